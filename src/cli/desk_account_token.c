/* `tamis account login` and `tamis account token`: the tokens that programs show to a desk. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file_text.h"
#include "cli/desk_account_internal.h"
#include "cli/desk_sign_in.h"

#define DAY_S      (24 * 3600)
#define LOGIN_DAYS 30

/* The role still says what of it one may do. */
static const char scopes_all[] =
    "account:read,accounts:read,accounts:write,hosts:read,hosts:write,reports:read,reports:write,"
    "appeals:write,orders:read,orders:write,interests,ledger:write";

static const struct desk_column token_columns[] = {
    {"ID", "id", false},           {"LABEL", "label", false},
    {"SCOPES", "scopes", false},   {"USED", "last_used_at", false},
    {"ENDS", "expires_at", false},
};

/* ---- Making one ---- */

static json_t *scopes_json(const char *text)
{
    json_t *list = json_array();
    while (*text != '\0') {
        const size_t size = strcspn(text, ", ");
        if (size > 0)
            json_array_append_new(list, json_stringn(text, size));
        text += size + (text[size] != '\0');
    }
    return list;
}

int account_token_make(struct desk_client *client, const struct account_arguments *arguments,
                       const char *label_default, unsigned days_default, json_t **ret_answer,
                       struct error *ret_error)
{
    const unsigned days = arguments->days != 0 ? arguments->days : days_default;
    const time_t ends = time(NULL) + (time_t)days * DAY_S;
    char text[32];
    struct tm parts;

    if (gmtime_r(&ends, &parts) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return error_set(ret_error, -EINVAL, "the time cannot be told: is the clock right?");
    json_t *body = json_pack(
        "{s:s, s:o, s:s*}", "label", arguments->label != NULL ? arguments->label : label_default,
        "scopes", scopes_json(arguments->scopes != NULL ? arguments->scopes : scopes_all),
        "expires_at", days != 0 ? text : NULL);
    if (body == NULL)
        return error_set(ret_error, -EINVAL, "the label is no UTF-8: write another");
    int rc = desk_client_ask(client, "POST", "/v1/tokens", body, ret_answer, ret_error);
    json_decref(body);
    return rc;
}

/* ---- login ---- */

static int folder_make(char *folder, struct error *ret_error)
{
    for (char *at = folder + 1;; at++) {
        const char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            return error_set_at(ret_error, -errno, folder, 0, "the folder cannot be made: %s",
                                strerror(errno));
        *at = kept;
        if (kept == '\0')
            return 0;
    }
}

/* The token first: a desk.yaml that names none would be useless, a token without one is not used.
 */
static int place_write(const struct desk_client *client, const char *token, struct error *ret_error)
{
    char *folder = desk_folder(), path[4096], *text = NULL;
    json_t *url = json_string(desk_client_url(client));
    char *url_text = url != NULL ? json_dumps(url, JSON_ENCODE_ANY) : NULL; /* YAML reads JSON */
    int rc = -ENOMEM;

    if (folder == NULL || url_text == NULL ||
        asprintf(&text, "desk: %s\ntoken-file: desk.token\n", url_text) < 0) {
        text = NULL;
        rc = error_set(ret_error, -ENOMEM, "no folder for the token: set HOME");
    } else {
        rc = folder_make(folder, ret_error);
        (void)snprintf(path, sizeof(path), "%s/desk.token", folder);
        if (rc == 0)
            rc = file_text_put(path, 0600, token, strlen(token), ret_error);
        (void)snprintf(path, sizeof(path), "%s/desk.yaml", folder);
        if (rc == 0)
            rc = file_text_put(path, 0600, text, strlen(text), ret_error);
    }
    free(text);
    free(url_text);
    json_decref(url);
    free(folder);
    return rc;
}

static int login(struct desk_client *client, const struct account_arguments *arguments,
                 struct error *ret_error)
{
    char host[64] = "?", label[100];
    json_t *answer = NULL;

    (void)gethostname(host, sizeof(host) - 1);
    (void)snprintf(label, sizeof(label), "tamis on %s", host);
    int rc = desk_sign_in(client, arguments->words[0], ret_error);
    if (rc < 0)
        return rc;
    rc = account_token_make(client, arguments, label, LOGIN_DAYS, &answer, ret_error);
    desk_sign_out(client);
    if (rc == 0)
        rc = place_write(client, json_string_value(json_object_get(answer, "token")), ret_error);
    if (rc == 0 && arguments->desk.json)
        printf("{\"id\": \"%s\"}\n", json_string_value(json_object_get(answer, "id")));
    else if (rc == 0)
        printf("Signed in to %s as %s.\n", desk_client_url(client), arguments->words[0]);
    json_decref(answer);
    return rc;
}

static int login_run(int argc, char **argv)
{
    return account_run(&command_account_login, argc, argv, TAKES_TOKEN, 1, 1, login);
}

/* ---- token ---- */

/* Tokens are made and deleted in a session alone. */
static int in_session(struct desk_client *client, const struct account_arguments *arguments,
                      int (*work)(struct desk_client *client,
                                  const struct account_arguments *arguments,
                                  struct error *ret_error),
                      struct error *ret_error)
{
    int rc = desk_sign_in_again(client, NULL, ret_error);
    if (rc < 0)
        return rc;
    rc = work(client, arguments, ret_error);
    desk_sign_out(client);
    return rc;
}

static int token_list(struct desk_client *client, const struct account_arguments *arguments,
                      struct error *ret_error)
{
    json_t *items = NULL;
    int rc = desk_client_list(client, "/v1/tokens", &items, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(items);
    else if (rc == 0)
        rc = desk_table_print(items, token_columns,
                              sizeof(token_columns) / sizeof(token_columns[0]));
    json_decref(items);
    return rc;
}

static int token_list_in_session(struct desk_client *client,
                                 const struct account_arguments *arguments, struct error *ret_error)
{
    return in_session(client, arguments, token_list, ret_error);
}

static int token_list_run(int argc, char **argv)
{
    return account_run(&command_account_token_list, argc, argv, 0, 0, 0, token_list_in_session);
}

static int token_create(struct desk_client *client, const struct account_arguments *arguments,
                        struct error *ret_error)
{
    json_t *answer = NULL;
    int rc = account_token_make(client, arguments, "made by tamis", 0, &answer, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(answer);
    else if (rc == 0)
        puts(json_string_value(json_object_get(answer, "token")));
    json_decref(answer);
    return rc;
}

static int token_create_in_session(struct desk_client *client,
                                   const struct account_arguments *arguments,
                                   struct error *ret_error)
{
    return in_session(client, arguments, token_create, ret_error);
}

static int token_create_run(int argc, char **argv)
{
    return account_run(&command_account_token_create, argc, argv, TAKES_TOKEN, 0, 0,
                       token_create_in_session);
}

static int token_delete(struct desk_client *client, const struct account_arguments *arguments,
                        struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error, "/v1/tokens/{}", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "DELETE", path.text, NULL, NULL, ret_error);
    if (rc == 0)
        puts(arguments->desk.json ? "{}" : "The token has ended.");
    return rc;
}

static int token_delete_in_session(struct desk_client *client,
                                   const struct account_arguments *arguments,
                                   struct error *ret_error)
{
    return in_session(client, arguments, token_delete, ret_error);
}

static int token_delete_run(int argc, char **argv)
{
    return account_run(&command_account_token_delete, argc, argv, 0, 1, 1, token_delete_in_session);
}

/* ---- The commands ---- */

const struct command command_account_login = {
    .path = "account login",
    .summary = "sign in to a desk and keep a token for it",
    .help = "Usage: tamis account login [OPTION]... EMAIL\n"
            "\n"
            "Asks for the password, and for a code when there is a second factor; on the terminal\n"
            "or as lines of standard input. Keeps a token that ends after 30 days, and where the\n"
            "desk is, in ~/.config/tamis, so that other commands need neither.\n"
            "\n" TOKEN_OPTIONS_HELP DESK_OPTIONS_HELP "\n"
            "Example: tamis account login --desk https://desk.example ada@example.org\n",
    .run = login_run,
};

const struct command command_account_token_list = {
    .path = "account token list",
    .summary = "list one's API tokens",
    .help = "Usage: tamis account token list [OPTION]...\n"
            "\n"
            "Asks for the password: a token that leaked must not show the others.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account token list\n",
    .run = token_list_run,
};

const struct command command_account_token_create = {
    .path = "account token create",
    .summary = "make an API token for a program",
    .help = "Usage: tamis account token create [OPTION]...\n"
            "\n"
            "Asks for the password and prints the token, which is shown this once.\n"
            "\n" TOKEN_OPTIONS_HELP DESK_OPTIONS_HELP "\n"
            "Example: tamis account token create --label cron --scopes hosts:read --days 90\n",
    .run = token_create_run,
};

const struct command command_account_token_delete = {
    .path = "account token delete",
    .summary = "end an API token",
    .help = "Usage: tamis account token delete [OPTION]... ID\n"
            "\n"
            "Asks for the password. The token ends at once.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account token delete tok_06h0n3sf9pnx0qxbsaag\n",
    .run = token_delete_run,
};
