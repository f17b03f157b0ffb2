/* `tamis host`: names under the provider's zones, their keys, and what they serve. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/command.h"
#include "cli/desk_client.h"

enum {
    OPTION_WILDCARD = 0x100,
    OPTION_SUFFIX,
    OPTION_STATE,
    OPTION_ACCOUNT,
    OPTION_LABEL,
    OPTION_DRY_RUN,
    OPTION_PARTIAL,
};

/* A larger file is refused by the desk. */
#define IMPORT_SIZE_MAX (1 << 20)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct desk_column list_columns[] = {
    {"NAME", "name", false},          {"STATE", "state", false},
    {"WILDCARD", "wildcard", false},  {"LAST SEEN", "seen_at", false},
    {"EXPIRES", "expires_at", false}, {"BLOCKED FOR", "block/reason", false},
};

static const struct desk_column host_columns[] = {
    {"name", "name", false},
    {"id", "id", false},
    {"account", "account", false},
    {"state", "state", false},
    {"blocked for", "block/reason", false},
    {"blocked until", "block/until", false},
    {"report", "block/report", false},
    {"order", "block/order", false},
    {"IPv4", "addresses/a", false},
    {"IPv6", "addresses/aaaa", false},
    {"IPv6 suffix", "aaaa_suffix", false},
    {"wildcard", "wildcard", false},
    {"made", "created_at", false},
    {"last seen", "seen_at", false},
    {"expires", "expires_at", false},
};

static const struct desk_column key_columns[] = {
    {"KEY", "id", false},
    {"LABEL", "label", false},
    {"SINCE", "created_at", false},
};

static const struct desk_column error_columns[] = {
    {"LINE", "line", true},
    {"WHAT IS WRONG", "detail", false},
};

/* ---- The command line ---- */

struct arguments {
    const struct command *command;
    struct desk_options desk;
    const char *wildcard, *suffix, *state, *account, *label;
    bool dry_run, partial;
    char **words;
    int word_count;
};

typedef int work_fn(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error);

/* What a command takes beside the common options; 0 ends it. */
static const struct option all_options[] = {
    {"wildcard", required_argument, NULL, OPTION_WILDCARD},
    {"aaaa-suffix", required_argument, NULL, OPTION_SUFFIX},
    {"state", required_argument, NULL, OPTION_STATE},
    {"account", required_argument, NULL, OPTION_ACCOUNT},
    {"label", required_argument, NULL, OPTION_LABEL},
    {"dry-run", no_argument, NULL, OPTION_DRY_RUN},
    {"partial", no_argument, NULL, OPTION_PARTIAL},
};

static bool option_take(struct arguments *arguments, int option)
{
    switch (option) {
    case OPTION_WILDCARD:
        arguments->wildcard = optarg;
        return strcmp(optarg, "yes") == 0 || strcmp(optarg, "no") == 0;
    case OPTION_SUFFIX:
        arguments->suffix = optarg;
        return true;
    case OPTION_STATE:
        arguments->state = optarg;
        return true;
    case OPTION_ACCOUNT:
        arguments->account = optarg;
        return true;
    case OPTION_LABEL:
        arguments->label = optarg;
        return true;
    case OPTION_DRY_RUN:
        return arguments->dry_run = true;
    case OPTION_PARTIAL:
        return arguments->partial = true;
    default:
        return false;
    }
}

static int arguments_read(struct arguments *arguments, const int *takes, int argc, char **argv)
{
    struct option table[COUNT(all_options) + DESK_OPTION_COUNT + 1];
    int option;

    desk_options_pick(all_options, COUNT(all_options), takes, table);
    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0)
        if (!option_take(arguments, option))
            return command_usage_error(arguments->command, "'%s' is neither yes nor no", optarg);
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return EXIT_OK;
}

static int command_work(const struct command *command, const int *takes, int argc, char **argv,
                        int words_min, int words_max, work_fn *work)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct arguments arguments = {.command = command};
    struct error error = {0};

    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
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
    return rc;
}

/* ---- Printing ---- */

static int host_print(const struct arguments *arguments, json_t *host)
{
    if (arguments->desk.json) {
        desk_json_print(host);
        return 0;
    }
    int rc = desk_object_print(host, host_columns, COUNT(host_columns));
    const json_t *keys = json_object_get(host, "keys"), *txt = json_object_get(host, "txt");
    const json_t *value;
    size_t i;
    json_array_foreach((json_t *)txt, i, value)
        printf("_acme-challenge  %s\n", json_string_value(value));
    if (rc == 0 && json_array_size(keys) > 0) {
        putchar('\n');
        rc = desk_table_print(keys, key_columns, COUNT(key_columns));
    }
    return rc;
}

/* Asks for something that answers with a host, and prints it. */
static int host_ask(struct desk_client *client, const struct arguments *arguments,
                    const char *method, const char *path, const json_t *body,
                    struct error *ret_error)
{
    json_t *host = NULL;
    int rc = desk_client_ask(client, method, path, body, &host, ret_error);
    if (rc == 0)
        rc = host_print(arguments, host);
    json_decref(host);
    return rc;
}

/* Says what was done, for people; an empty object for programs. */
static int done(const struct arguments *arguments, const char *text)
{
    if (arguments->desk.json)
        puts("{}");
    else
        printf("%s %s\n", arguments->words[arguments->word_count - 1], text);
    return 0;
}

/* ---- list, show ---- */

static int list_work(struct desk_client *client, const struct arguments *arguments,
                     struct error *ret_error)
{
    struct desk_path path = {.text = "/v1/hosts"};
    json_t *items = NULL;
    int rc = 0;

    if (arguments->account != NULL)
        rc = desk_path(&path, ret_error, "/v1/hosts?account={}", arguments->account);
    if (rc == 0)
        rc = desk_client_list(client, path.text, &items, ret_error);
    if (rc < 0)
        return rc;
    if (arguments->desk.json)
        desk_json_print(items);
    else
        rc = desk_table_print(items, list_columns, COUNT(list_columns));
    json_decref(items);
    return rc;
}

static int list_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_ACCOUNT, 0};
    return command_work(&command_host_list, takes, argc, argv, 0, 0, list_work);
}

const struct command command_host_list = {
    .path = "host list",
    .summary = "list hosts",
    .help = "Usage: tamis host list [OPTION]...\n"
            "\n"
            "Lists the account's hosts; for staff all hosts.\n"
            "\n"
            "Options:\n"
            "  --account ID       those of one account, for staff\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host list\n",
    .run = list_run,
};

static int show_work(struct desk_client *client, const struct arguments *arguments,
                     struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error, "/v1/hosts/{}", arguments->words[0]);
    return rc < 0 ? rc : host_ask(client, arguments, "GET", path.text, NULL, ret_error);
}

static int show_run(int argc, char **argv)
{
    static const int takes[] = {0};
    return command_work(&command_host_show, takes, argc, argv, 1, 1, show_work);
}

const struct command command_host_show = {
    .path = "host show",
    .summary = "show a host, its addresses and keys",
    .help = "Usage: tamis host show NAME [OPTION]...\n"
            "\n"
            "Shows a host: its state, why it is blocked if it is, the addresses that the name\n"
            "server has, its keys and TXT values.\n"
            "\n"
            "Options:\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host show home.dyn.example\n",
    .run = show_run,
};

/* ---- create, set, delete ---- */

static json_t *settings_json(const struct arguments *arguments)
{
    json_t *body = json_object();
    if (arguments->wildcard != NULL)
        (void)json_object_set_new(body, "wildcard",
                                  json_boolean(strcmp(arguments->wildcard, "yes") == 0));
    if (arguments->suffix != NULL)
        (void)json_object_set_new(body, "aaaa_suffix",
                                  arguments->suffix[0] != '\0' ? json_string(arguments->suffix)
                                                               : json_null());
    if (arguments->state != NULL)
        (void)json_object_set_new(body, "state", json_string(arguments->state));
    return body;
}

static int create_work(struct desk_client *client, const struct arguments *arguments,
                       struct error *ret_error)
{
    json_t *body = settings_json(arguments);
    (void)json_object_set_new(body, "name", json_string(arguments->words[0]));
    int rc = host_ask(client, arguments, "POST", "/v1/hosts", body, ret_error);
    json_decref(body);
    return rc;
}

static int create_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_WILDCARD, OPTION_SUFFIX, 0};
    return command_work(&command_host_create, takes, argc, argv, 1, 1, create_work);
}

const struct command command_host_create = {
    .path = "host create",
    .summary = "take a name",
    .help = "Usage: tamis host create NAME [OPTION]...\n"
            "\n"
            "Takes a name, one label below a zone of the provider. Addresses come with its first\n"
            "update: make a key for that by tamis host key add.\n"
            "\n"
            "Options:\n"
            "  --wildcard yes|no  whether all names below it are it (default: no)\n"
            "  --aaaa-suffix TEXT what stands behind a delegated IPv6 prefix, as "
            "::1:2:3:4\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host create home.dyn.example\n",
    .run = create_run,
};

static int set_work(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error)
{
    struct desk_path path;
    json_t *body = settings_json(arguments);
    int rc = desk_path(&path, ret_error, "/v1/hosts/{}", arguments->words[0]);
    if (rc == 0)
        rc = host_ask(client, arguments, "PATCH", path.text, body, ret_error);
    json_decref(body);
    return rc;
}

static int set_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_WILDCARD, OPTION_SUFFIX, OPTION_STATE, 0};
    return command_work(&command_host_set, takes, argc, argv, 1, 1, set_work);
}

const struct command command_host_set = {
    .path = "host set",
    .summary = "change a host",
    .help = "Usage: tamis host set NAME [OPTION]...\n"
            "\n"
            "Changes a host. One that has expired is active again, whatever is changed.\n"
            "\n"
            "Options:\n"
            "  --wildcard yes|no      whether all names below it are it\n"
            "  --aaaa-suffix TEXT     what stands behind a delegated IPv6 prefix; '' for none\n"
            "  --state active|offline offline takes all its records away\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host set home.dyn.example --wildcard yes\n",
    .run = set_run,
};

static int delete_work(struct desk_client *client, const struct arguments *arguments,
                       struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error, "/v1/hosts/{}", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "DELETE", path.text, NULL, NULL, ret_error);
    return rc < 0 ? rc : done(arguments, "is given up; its records go");
}

static int delete_run(int argc, char **argv)
{
    static const int takes[] = {0};
    return command_work(&command_host_delete, takes, argc, argv, 1, 1, delete_work);
}

const struct command command_host_delete = {
    .path = "host delete",
    .summary = "give a name up",
    .help = "Usage: tamis host delete NAME [OPTION]...\n"
            "\n"
            "Gives a name up and removes its records. Somebody else may take it then.\n"
            "\n"
            "Options:\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host delete home.dyn.example\n",
    .run = delete_run,
};

/* ---- key ---- */

static int key_add(struct desk_client *client, const struct arguments *arguments,
                   struct error *ret_error)
{
    struct desk_path path;
    json_t *key = NULL, *body = json_object();

    if (arguments->label != NULL)
        (void)json_object_set_new(body, "label", json_string(arguments->label));
    int rc = desk_path(&path, ret_error, "/v1/hosts/{}/keys", arguments->words[1]);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &key, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(key);
    else if (rc == 0)
        printf("%s  password of a client whose user is %s; it is not shown again\n",
               json_string_value(json_object_get(key, "key")), arguments->words[1]);
    json_decref(body);
    json_decref(key);
    return rc;
}

static int key_delete(struct desk_client *client, const struct arguments *arguments,
                      struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error, "/v1/hosts/{}/keys/{}", arguments->words[1],
                       arguments->words[2]);
    if (rc == 0)
        rc = desk_client_ask(client, "DELETE", path.text, NULL, NULL, ret_error);
    return rc < 0 ? rc : done(arguments, "opens nothing any more");
}

static int key_work(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error)
{
    if (strcmp(arguments->words[0], "add") == 0 && arguments->word_count == 2)
        return key_add(client, arguments, ret_error);
    if (strcmp(arguments->words[0], "delete") == 0 && arguments->word_count == 3)
        return key_delete(client, arguments, ret_error);
    return command_usage_error(arguments->command, "write 'add NAME' or 'delete NAME KEY'");
}

static int key_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_LABEL, 0};
    return command_work(&command_host_key, takes, argc, argv, 2, 3, key_work);
}

const struct command command_host_key = {
    .path = "host key",
    .summary = "make or take away a host's key",
    .help = "Usage: tamis host key add NAME [OPTION]...\n"
            "       tamis host key delete NAME KEY [OPTION]...\n"
            "\n"
            "A host's key can update that host's addresses and nothing else: it is the password\n"
            "for a router. tamis host show lists keys.\n"
            "\n"
            "Options:\n"
            "  --label TEXT       what to call it\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host key add home.dyn.example --label router\n",
    .run = key_run,
};

/* ---- txt ---- */

static int txt_work(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error)
{
    const char *const *words = (const char *const *)arguments->words;
    bool is_add = strcmp(words[0], "add") == 0, has_value = arguments->word_count == 3;
    struct desk_path path;

    if ((!is_add && strcmp(words[0], "delete") != 0) || (is_add && !has_value))
        return command_usage_error(arguments->command,
                                   "write 'add NAME VALUE' or 'delete NAME [VALUE]'");
    int rc = !is_add && has_value
                 ? desk_path(&path, ret_error, "/v1/hosts/{}/txt?value={}", words[1], words[2])
                 : desk_path(&path, ret_error, "/v1/hosts/{}/txt", words[1]);
    if (rc < 0)
        return rc;
    json_t *body = is_add ? json_pack("{s:s}", "value", words[2]) : NULL;
    rc = host_ask(client, arguments, is_add ? "PUT" : "DELETE", path.text, body, ret_error);
    json_decref(body);
    return rc;
}

static int txt_run(int argc, char **argv)
{
    static const int takes[] = {0};
    return command_work(&command_host_txt, takes, argc, argv, 2, 3, txt_work);
}

const struct command command_host_txt = {
    .path = "host txt",
    .summary = "prove a name to a certificate authority",
    .help = "Usage: tamis host txt add NAME VALUE [OPTION]...\n"
            "       tamis host txt delete NAME [VALUE] [OPTION]...\n"
            "\n"
            "Adds and removes TXT values at _acme-challenge below a host (DNS-01 of RFC 8555).\n"
            "It ends when the name server has them.\n"
            "\n"
            "Options:\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host txt add home.dyn.example gfj9Xq...Rg85nM\n",
    .run = txt_run,
};

/* ---- import ---- */

static int import_print(const struct arguments *arguments, const json_t *result)
{
    const json_t *errors = json_object_get(result, "errors");
    bool is_made = json_is_true(json_object_get(result, "made"));
    int rc = 0;

    if (arguments->desk.json) {
        desk_json_print(result);
    } else {
        printf("%lld hosts %s, %lld lines are wrong\n",
               (long long)json_integer_value(json_object_get(result, "hosts")),
               is_made              ? "are made"
               : arguments->dry_run ? "would be made"
                                    : "could be made, nothing is",
               (long long)json_integer_value(json_object_get(result, "errors_count")));
        if (json_array_size(errors) > 0)
            rc = desk_table_print(errors, error_columns, COUNT(error_columns));
    }
    if (rc < 0)
        return rc;
    return json_array_size(errors) > 0 ? EXIT_FINDING : EXIT_OK;
}

static int import_work(struct desk_client *client, const struct arguments *arguments,
                       struct error *ret_error)
{
    struct desk_answer answer = {0};
    struct desk_path path;
    struct file_text text;

    int rc = file_text_read(arguments->words[0], IMPORT_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    rc = desk_path(&path, ret_error, "/v1/hosts/imports?dry_run={}&partial={}",
                   arguments->dry_run ? "yes" : "no", arguments->partial ? "yes" : "no");
    if (rc == 0)
        rc = desk_client_send(client, "POST", path.text, "text/csv", text.octets, text.size,
                              &answer, ret_error);
    if (rc == 0)
        rc = answer.json != NULL
                 ? import_print(arguments, answer.json)
                 : error_set(ret_error, -EBADMSG, "the desk answers with what is no JSON");
    desk_answer_clear(&answer);
    file_text_clear(&text);
    return rc;
}

static int import_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_DRY_RUN, OPTION_PARTIAL, 0};
    return command_work(&command_host_import, takes, argc, argv, 1, 1, import_work);
}

const struct command command_host_import = {
    .path = "host import",
    .summary = "take names from a CSV file",
    .help = "Usage: tamis host import FILE [OPTION]...\n"
            "\n"
            "Takes the names of a CSV file. Its first line names the columns: name, and where\n"
            "there are any wildcard and aaaa_suffix. Of a file with a wrong line nothing is made,\n"
            "unless --partial is given; exit code 1 tells of wrong lines.\n"
            "\n"
            "Options:\n"
            "  --dry-run          say what would happen\n"
            "  --partial          make what can be made\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis host import hosts.csv --dry-run\n",
    .run = import_run,
};
