/* `tamis account`: sign up, confirm, look at one's own account, take it along, delete it. */
#include <errno.h>
#include <getopt.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/desk_account_internal.h"
#include "cli/desk_sign_in.h"

enum {
    OPTION_LANGUAGE = 0x100,
    OPTION_REASON,
    OPTION_ROLE,
    OPTION_STATE,
    OPTION_EMAIL,
    OPTION_OUTPUT,
    OPTION_LABEL,
    OPTION_SCOPES,
    OPTION_DAYS,
};

#define DAYS_MAX 3650

static const struct desk_column account_columns[] = {
    {"id", "id", false},
    {"address", "email", false},
    {"role", "role", false},
    {"plan", "plan", false},
    {"state", "state", false},
    {"reason", "state_reason", false},
    {"second factor", "second_factor", false},
    {"language", "language", false},
    {"since", "created_at", false},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- The command line ---- */

/* Takes one option. 0, or an exit code. */
static int option_take(struct account_arguments *arguments, int option, unsigned takes)
{
    const struct {
        int option;
        unsigned needs;
        const char **value;
    } texts[] = {
        {OPTION_LANGUAGE, TAKES_LANGUAGE, &arguments->language},
        {OPTION_REASON, TAKES_REASON, &arguments->reason},
        {OPTION_ROLE, TAKES_FILTER, &arguments->role},
        {OPTION_STATE, TAKES_FILTER, &arguments->state},
        {OPTION_EMAIL, TAKES_FILTER, &arguments->email},
        {OPTION_OUTPUT, TAKES_OUTPUT, &arguments->output},
        {OPTION_LABEL, TAKES_TOKEN, &arguments->label},
        {OPTION_SCOPES, TAKES_TOKEN, &arguments->scopes},
    };
    char *end;

    if (option == OPTION_DAYS && (takes & TAKES_TOKEN) != 0) {
        const unsigned long days = strtoul(optarg, &end, 10);
        if (optarg[0] < '1' || optarg[0] > '9' || *end != '\0' || days > DAYS_MAX)
            return command_usage_error(arguments->command, "'%s' is no number of days", optarg);
        arguments->days = (unsigned)days;
        return 0;
    }
    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].option == option && (takes & texts[i].needs) != 0) {
            *texts[i].value = optarg;
            return 0;
        }
    return command_usage_error(arguments->command, "takes no such option");
}

static int arguments_read(struct account_arguments *arguments, int argc, char **argv,
                          unsigned takes)
{
    static const struct option table[] = {
        DESK_OPTIONS,
        {"language", required_argument, NULL, OPTION_LANGUAGE},
        {"reason", required_argument, NULL, OPTION_REASON},
        {"role", required_argument, NULL, OPTION_ROLE},
        {"state", required_argument, NULL, OPTION_STATE},
        {"email", required_argument, NULL, OPTION_EMAIL},
        {"output", required_argument, NULL, OPTION_OUTPUT},
        {"label", required_argument, NULL, OPTION_LABEL},
        {"scopes", required_argument, NULL, OPTION_SCOPES},
        {"days", required_argument, NULL, OPTION_DAYS},
        {0},
    };
    int option;

    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0) {
        int exit_code = option_take(arguments, option, takes);
        if (exit_code != 0)
            return exit_code;
    }
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return 0;
}

int account_run(const struct command *command, int argc, char **argv, unsigned takes, int words_min,
                int words_max,
                int (*work)(struct desk_client *client, const struct account_arguments *arguments,
                            struct error *ret_error))
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct account_arguments arguments = {.command = command};
    struct error error = {0};

    int exit_code = arguments_read(&arguments, argc, argv, takes);
    if (exit_code != 0)
        return exit_code;
    if (arguments.word_count < words_min || arguments.word_count > words_max)
        return command_usage_error(
            command, arguments.word_count < words_min ? "something is missing" : "too many words");
    int rc = desk_client_open(&arguments.desk, &client, &error);
    if (rc == 0)
        rc = work(client, &arguments, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    return EXIT_OK;
}

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "no memory for a request");
}

/* Prints what was done, for people; an empty object for programs. */
static int done(const struct account_arguments *arguments, const char *text)
{
    if (arguments->desk.json)
        puts("{}");
    else
        puts(text);
    return 0;
}

int account_print(const struct account_arguments *arguments, const json_t *account)
{
    if (!arguments->desk.json)
        return desk_object_print(account, account_columns, COUNT(account_columns));
    desk_json_print(account);
    return 0;
}

/* ---- create, reset, confirm ---- */

static int ask_mail(struct desk_client *client, const struct account_arguments *arguments,
                    const char *path, struct error *ret_error)
{
    json_t *body =
        json_pack("{s:s, s:s*}", "email", arguments->words[0], "language", arguments->language);
    int rc = body != NULL ? desk_client_ask(client, "POST", path, body, NULL, ret_error)
                          : out_of_memory(ret_error);
    json_decref(body);
    return rc < 0 ? rc : done(arguments, "A mail says how it goes on.");
}

static int create(struct desk_client *client, const struct account_arguments *arguments,
                  struct error *ret_error)
{
    return ask_mail(client, arguments, "/v1/accounts", ret_error);
}

static int create_run(int argc, char **argv)
{
    return account_run(&command_account_create, argc, argv, TAKES_LANGUAGE, 1, 1, create);
}

static int reset(struct desk_client *client, const struct account_arguments *arguments,
                 struct error *ret_error)
{
    return ask_mail(client, arguments, "/v1/password-resets", ret_error);
}

static int reset_run(int argc, char **argv)
{
    return account_run(&command_account_reset, argc, argv, 0, 1, 1, reset);
}

static int confirm(struct desk_client *client, const struct account_arguments *arguments,
                   struct error *ret_error)
{
    char token[SECRET_LINE_SIZE], password[SECRET_LINE_SIZE] = "";

    int rc = secret_ask("code of the mail", token, ret_error);
    if (rc == 0) {
        rc = secret_ask("new password", password, ret_error);
        if (rc == -ENODATA) /* a change of address needs none; the desk says when it does */
            rc = 0;
    }
    json_t *body = rc == 0 ? json_pack("{s:s, s:s*}", "token", token, "password",
                                       password[0] != '\0' ? password : NULL)
                           : NULL;
    if (rc == 0)
        rc = body != NULL ? desk_client_ask(client, "POST", "/v1/accounts/confirmations", body,
                                            NULL, ret_error)
                          : out_of_memory(ret_error);
    json_decref(body);
    sodium_memzero(token, sizeof(token));
    sodium_memzero(password, sizeof(password));
    return rc < 0 ? rc : done(arguments, "Confirmed: tamis account login EMAIL signs in.");
}

static int confirm_run(int argc, char **argv)
{
    return account_run(&command_account_confirm, argc, argv, 0, 0, 0, confirm);
}

/* ---- show, export ---- */

int account_path(const struct account_arguments *arguments, struct desk_path *ret_path,
                 struct error *ret_error)
{
    return desk_path(ret_path, ret_error, "/v1/accounts/{}", arguments->words[0]);
}

static int show(struct desk_client *client, const struct account_arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path = {"/v1/account"};
    json_t *account = NULL;

    int rc = arguments->word_count > 0 ? account_path(arguments, &path, ret_error) : 0;
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &account, ret_error);
    if (rc == 0)
        rc = account_print(arguments, account);
    json_decref(account);
    return rc;
}

static int show_run(int argc, char **argv)
{
    return account_run(&command_account_show, argc, argv, 0, 0, 1, show);
}

static int export_own(struct desk_client *client, const struct account_arguments *arguments,
                      struct error *ret_error)
{
    json_t *all = NULL;
    int rc = desk_client_ask(client, "GET", "/v1/account/export", NULL, &all, ret_error);
    if (rc < 0)
        return rc;
    if (arguments->output == NULL) {
        desk_json_print(all);
    } else {
        char *text = json_dumps(all, JSON_INDENT(2));
        rc = text != NULL ? file_text_put(arguments->output, 0600, text, strlen(text), ret_error)
                          : out_of_memory(ret_error);
        free(text);
    }
    json_decref(all);
    return rc;
}

static int export_run(int argc, char **argv)
{
    return account_run(&command_account_export, argc, argv, TAKES_OUTPUT, 0, 0, export_own);
}

/* ---- delete ---- */

static int delete_own(struct desk_client *client, struct error *ret_error)
{
    char password[SECRET_LINE_SIZE], code[SECRET_LINE_SIZE];

    int rc = desk_sign_in_again(client, password, ret_error);
    if (rc < 0)
        return rc;
    json_t *body = json_pack("{s:s}", "password", password);
    rc = desk_client_ask(client, "DELETE", "/v1/account", body, NULL, ret_error);
    if (rc == -EACCES && strcmp(ret_error->file, "/code") == 0) {
        rc = secret_ask("another code of the authenticator", code, ret_error);
        if (rc == 0) {
            json_object_set_new(body, "code", json_string(code));
            rc = desk_client_ask(client, "DELETE", "/v1/account", body, NULL, ret_error);
        }
    }
    if (rc < 0)
        desk_sign_out(client);
    json_decref(body);
    sodium_memzero(password, sizeof(password));
    return rc;
}

static int delete (struct desk_client *client, const struct account_arguments *arguments,
                   struct error *ret_error)
{
    if (arguments->word_count > 0)
        return account_patch(client, arguments, json_pack("{s:s}", "state", "closed"), ret_error);
    int rc = delete_own(client, ret_error);
    return rc < 0 ? rc : done(arguments, "Your account is deleted.");
}

static int delete_run(int argc, char **argv)
{
    return account_run(&command_account_delete, argc, argv, 0, 0, 1, delete);
}

/* ---- The commands ---- */

const struct command command_account_create = {
    .path = "account create",
    .summary = "ask a desk for an account",
    .help = "Usage: tamis account create [OPTION]... EMAIL\n"
            "\n"
            "Asks for an account with this address. A mail to it says how it goes on.\n"
            "\n"
            "  --language TAG     of the mails, as \"en\"\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account create --desk https://desk.example ada@example.org\n",
    .run = create_run,
};

const struct command command_account_reset = {
    .path = "account reset",
    .summary = "ask for a new password",
    .help = "Usage: tamis account reset [OPTION]... EMAIL\n"
            "\n"
            "Has a mail sent with which a new password can be set.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account reset ada@example.org\n",
    .run = reset_run,
};

const struct command command_account_confirm = {
    .path = "account confirm",
    .summary = "confirm an address by the code of a mail",
    .help = "Usage: tamis account confirm [OPTION]...\n"
            "\n"
            "Asks for the code of a mail and for a new password, on the terminal or as two lines\n"
            "of standard input. For a change of address the password stays empty.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account confirm --desk https://desk.example\n",
    .run = confirm_run,
};

const struct command command_account_show = {
    .path = "account show",
    .summary = "show one's own account, or another",
    .help = "Usage: tamis account show [OPTION]... [ID]\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account show\n",
    .run = show_run,
};

const struct command command_account_export = {
    .path = "account export",
    .summary = "take along all that a desk keeps about one",
    .help = "Usage: tamis account export [OPTION]...\n"
            "\n"
            "Writes one JSON object with all that is kept about one's account.\n"
            "\n"
            "  --output FILE      write it there, readable by nobody else\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account export --output account.json\n",
    .run = export_run,
};

const struct command command_account_delete = {
    .path = "account delete",
    .summary = "delete one's account, or another",
    .help = "Usage: tamis account delete [OPTION]... [ID]\n"
            "\n"
            "Deletes one's own account, for which the password is asked; or, as an operator, that\n"
            "with the ID. Its hosts are released, and what is known of its owner is erased.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis account delete\n",
    .run = delete_run,
};
