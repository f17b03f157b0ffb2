/* `tamis appeal submit` to `tamis appeal decide`, and `tamis report figures`. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/command.h"
#include "cli/desk_client.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Of a statement, an explanation, a kept answer. */
#define FILE_SIZE_MAX 65536

/* Options with a value; each command takes some. */
enum {
    OPTION_STATEMENT,
    OPTION_EMAIL,
    OPTION_OUTPUT,
    OPTION_SIGNATURE,
    OPTION_HOST_KEY,
    OPTION_STATE,
    OPTION_NAME,
    OPTION_REASON,
    OPTION_EXPLANATION,
    OPTION_BY,
    OPTION_FROM,
    OPTION_TO,
    OPTION_MONTH,
    OPTION_VALUES,
    OPTION_FIRST = 0x100,
    OPTION_MINE = 0x200,
    OPTION_GRANT,
    OPTION_DENY,
};

#define TAKES(option) (1u << (option))

struct arguments {
    const struct command *command;
    struct desk_options desk;
    const char *values[OPTION_VALUES];
    bool mine, grant, deny;
    const char *word; /* NULL: none */
};

/* What a command is beside its work: the options that it takes, and its one word. */
struct form {
    unsigned takes;
    enum { WORD_NONE, WORD_OPTIONAL, WORD_NEEDED } word;
};

typedef int work_fn(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error);

/* ---- The command line ---- */

static int option_take(struct arguments *arguments, int option, unsigned takes)
{
    if (option == OPTION_MINE || option == OPTION_GRANT || option == OPTION_DENY) {
        arguments->mine |= option == OPTION_MINE;
        arguments->grant |= option == OPTION_GRANT;
        arguments->deny |= option == OPTION_DENY;
        return 0;
    }
    if ((takes & TAKES(option - OPTION_FIRST)) == 0)
        return command_usage_error(arguments->command, "takes no such option");
    arguments->values[option - OPTION_FIRST] = optarg;
    return 0;
}

static int arguments_read(struct arguments *arguments, int argc, char **argv,
                          const struct form *form)
{
    static const struct option table[] = {
        DESK_OPTIONS,
        {"statement", required_argument, NULL, OPTION_FIRST + OPTION_STATEMENT},
        {"email", required_argument, NULL, OPTION_FIRST + OPTION_EMAIL},
        {"output", required_argument, NULL, OPTION_FIRST + OPTION_OUTPUT},
        {"signature", required_argument, NULL, OPTION_FIRST + OPTION_SIGNATURE},
        {"host-key", required_argument, NULL, OPTION_FIRST + OPTION_HOST_KEY},
        {"state", required_argument, NULL, OPTION_FIRST + OPTION_STATE},
        {"name", required_argument, NULL, OPTION_FIRST + OPTION_NAME},
        {"reason", required_argument, NULL, OPTION_FIRST + OPTION_REASON},
        {"explanation", required_argument, NULL, OPTION_FIRST + OPTION_EXPLANATION},
        {"by", required_argument, NULL, OPTION_FIRST + OPTION_BY},
        {"from", required_argument, NULL, OPTION_FIRST + OPTION_FROM},
        {"to", required_argument, NULL, OPTION_FIRST + OPTION_TO},
        {"month", required_argument, NULL, OPTION_FIRST + OPTION_MONTH},
        {"mine", no_argument, NULL, OPTION_MINE},
        {"grant", no_argument, NULL, OPTION_GRANT},
        {"deny", no_argument, NULL, OPTION_DENY},
        {0},
    };
    int option;

    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0) {
        int exit_code = option_take(arguments, option, form->takes);
        if (exit_code != 0)
            return exit_code;
    }
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    int words = argc - optind;
    if (words > (form->word != WORD_NONE))
        return command_usage_error(arguments->command, "too many words");
    if (words == 0 && form->word == WORD_NEEDED)
        return command_usage_error(arguments->command, "something is missing");
    arguments->word = words > 0 ? argv[optind] : NULL;
    return 0;
}

static int appeal_run(const struct command *command, int argc, char **argv, struct form form,
                      work_fn *work)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct arguments arguments = {.command = command};
    struct error error = {0};

    int exit_code = arguments_read(&arguments, argc, argv, &form);
    if (exit_code != 0)
        return exit_code;
    int rc = desk_client_open(&arguments.desk, &client, &error);
    if (rc == 0)
        rc = work(client, &arguments, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    return EXIT_OK;
}

/* ---- Printing ---- */

static const struct desk_column appeal_columns[] = {
    {"appeal", "id", false},
    {"against", "against", false},
    {"name", "name", false},
    {"state", "state", false},
    {"proof", "proof", false},
    {"submitted", "created_at", false},
    {"prove by", "prove_by", false},
    {"decided by", "decide_by", false},
    {"given to", "assigned_to", false},
    {"decided", "decided_at", false},
    {"reason", "reason", false},
    {"explanation", "explanation", false},
    {"TXT record at", "proofs/dns-txt/owner", false},
    {"TXT value", "proofs/dns-txt/value", false},
};

static const struct desk_column list_columns[] = {
    {"APPEAL", "id", false},           {"AGAINST", "against", false},
    {"NAME", "name", false},           {"STATE", "state", false},
    {"DECIDE BY", "decide_by", false}, {"GIVEN TO", "assigned_to", false},
};

static int appeal_print(const struct arguments *arguments, const json_t *appeal)
{
    if (!arguments->desk.json)
        return desk_object_print(appeal, appeal_columns, COUNT(appeal_columns));
    desk_json_print(appeal);
    return 0;
}

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "no memory for a request");
}

/* Sends `body`, which it takes, and prints the appeal that comes back. */
static int send_print(struct desk_client *client, const struct arguments *arguments,
                      const char *path, json_t *body, struct error *ret_error)
{
    json_t *answer = NULL;
    if (body == NULL)
        return no_memory(ret_error);
    int rc = desk_client_ask(client, "POST", path, body, &answer, ret_error);
    json_decref(body);
    if (rc == 0)
        rc = appeal_print(arguments, answer);
    json_decref(answer);
    return rc;
}

/* ---- submit ---- */

/* A file's text without its last line feeds; the caller frees it. */
static int text_of_file(const char *path, char **ret_text, struct error *ret_error)
{
    struct file_text text;
    int rc = file_text_read(path, FILE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    while (text.size > 0 &&
           (text.octets[text.size - 1] == '\n' || text.octets[text.size - 1] == '\r'))
        text.octets[--text.size] = '\0';
    *ret_text = text.octets;
    return 0;
}

/* The answer has the token without which nobody gets at the appeal again: it is kept before
 * anything else is said. */
static int answer_keep(const struct arguments *arguments, const json_t *answer,
                       struct error *ret_error)
{
    char path[256];
    snprintf(path, sizeof(path), "%s.json", json_string_value(json_object_get(answer, "id")));
    const char *output =
        arguments->values[OPTION_OUTPUT] != NULL ? arguments->values[OPTION_OUTPUT] : path;
    char *text = json_dumps(answer, JSON_INDENT(2));
    if (text == NULL)
        return no_memory(ret_error);
    int rc = file_text_create(output, 0600, text, strlen(text), ret_error);
    free(text);
    if (rc == 0 && !arguments->desk.json)
        printf("kept in %s, which proves that the appeal is yours\n\n", output);
    return rc;
}

static int submit(struct desk_client *client, const struct arguments *arguments,
                  struct error *ret_error)
{
    char *statement;
    json_t *answer = NULL;

    if (arguments->values[OPTION_STATEMENT] == NULL)
        return error_set(ret_error, -EINVAL,
                         "say why: write it into a file and give --statement FILE");
    int rc = text_of_file(arguments->values[OPTION_STATEMENT], &statement, ret_error);
    if (rc < 0)
        return rc;
    json_t *body = json_pack("{s:s, s:s*, s:s*}", "statement", statement, "name", arguments->word,
                             "email", arguments->values[OPTION_EMAIL]);
    free(statement);
    if (body == NULL)
        return error_set(ret_error, -EINVAL, "the statement is no UTF-8");
    rc = desk_client_ask(client, "POST", "/v1/appeals", body, &answer, ret_error);
    json_decref(body);
    if (rc == 0)
        rc = answer_keep(arguments, answer, ret_error);
    if (rc == 0)
        rc = appeal_print(arguments, answer);
    json_decref(answer);
    return rc;
}

static int submit_run(int argc, char **argv)
{
    return appeal_run(
        &command_appeal_submit, argc, argv,
        (struct form){TAKES(OPTION_STATEMENT) | TAKES(OPTION_EMAIL) | TAKES(OPTION_OUTPUT),
                      WORD_OPTIONAL},
        submit);
}

const struct command command_appeal_submit = {
    .path = "appeal submit",
    .summary = "appeal against a block, an order or a suspension",
    .help = "Usage: tamis appeal submit --statement FILE [OPTION]... [NAME]\n"
            "\n"
            "Appeals for the host or domain NAME; without it, against the suspension of your\n"
            "account. Needs no account: then prove that you control the name.\n"
            "\n"
            "  --statement FILE   why the block is wrong\n"
            "  --email ADDRESS    where the answer goes, without an account\n"
            "  --output FILE      where the desk's answer is kept (default: "
            "ID.json)\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis appeal submit --statement why.txt home.dyn.example\n",
    .run = submit_run,
};

/* ---- The kept answer ---- */

static int kept_read(const char *path, json_t **ret_kept, struct error *ret_error)
{
    char *text;
    int rc = text_of_file(path, &text, ret_error);
    if (rc < 0)
        return rc;
    json_t *kept = json_loads(text, 0, NULL);
    free(text);
    if (json_string_value(json_object_get(kept, "id")) == NULL) {
        json_decref(kept);
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "is no answer to an appeal: give the file that 'tamis appeal submit' "
                            "made");
    }
    *ret_kept = kept;
    return 0;
}

/* ---- prove ---- */

static int proof_make(const struct arguments *arguments, const json_t *kept, json_t **ret_body,
                      struct error *ret_error)
{
    const char *signature = arguments->values[OPTION_SIGNATURE];
    const char *key = arguments->values[OPTION_HOST_KEY];
    char *text = NULL;

    if (signature != NULL && key != NULL)
        return error_set(ret_error, -EINVAL, "--signature and --host-key: give one of them");
    if (signature != NULL || key != NULL) {
        int rc = text_of_file(signature != NULL ? signature : key, &text, ret_error);
        if (rc < 0)
            return rc;
    }
    *ret_body = json_pack("{s:s, s:s*, s:s*, s:s*}", "method",
                          signature != NULL ? "signature"
                          : key != NULL     ? "host-key"
                                            : "dns-txt",
                          "token", json_string_value(json_object_get(kept, "token")), "signature",
                          signature != NULL ? text : NULL, "key", key != NULL ? text : NULL);
    free(text);
    return *ret_body != NULL ? 0 : no_memory(ret_error);
}

static int prove(struct desk_client *client, const struct arguments *arguments,
                 struct error *ret_error)
{
    struct desk_path path;
    json_t *kept, *body = NULL;

    int rc = kept_read(arguments->word, &kept, ret_error);
    if (rc < 0)
        return rc;
    rc = desk_path(&path, ret_error, "/v1/appeals/{}/proofs",
                   json_string_value(json_object_get(kept, "id")));
    if (rc == 0)
        rc = proof_make(arguments, kept, &body, ret_error);
    json_decref(kept);
    return rc < 0 ? rc : send_print(client, arguments, path.text, body, ret_error);
}

static int prove_run(int argc, char **argv)
{
    return appeal_run(&command_appeal_prove, argc, argv,
                      (struct form){TAKES(OPTION_SIGNATURE) | TAKES(OPTION_HOST_KEY), WORD_NEEDED},
                      prove);
}

const struct command command_appeal_prove = {
    .path = "appeal prove",
    .summary = "prove that a name is yours",
    .help = "Usage: tamis appeal prove [OPTION]... FILE\n"
            "\n"
            "FILE is the desk's answer that 'tamis appeal submit' kept. Without an option the\n"
            "desk looks for the TXT record that the answer names: publish it first.\n"
            "\n"
            "  --signature FILE   a signature in base64 over the text that the answer has\n"
            "                     (proofs, signature), by a key that the desk knew before\n"
            "  --host-key FILE    an update key of the host\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis appeal prove apl_0123456789abcdefghjk.json\n",
    .run = prove_run,
};

/* ---- show, list ---- */

/* The word is an id, or the file of the kept answer. */
static int show_path(const struct arguments *arguments, struct desk_path *path,
                     struct error *ret_error)
{
    json_t *kept;
    if (strncmp(arguments->word, "apl_", 4) == 0 && strchr(arguments->word, '.') == NULL)
        return desk_path(path, ret_error, "/v1/appeals/{}", arguments->word);
    int rc = kept_read(arguments->word, &kept, ret_error);
    if (rc < 0)
        return rc;
    const char *token = json_string_value(json_object_get(kept, "token"));
    rc = desk_path(path, ret_error, "/v1/appeals/{}?token={}",
                   json_string_value(json_object_get(kept, "id")), token != NULL ? token : "");
    json_decref(kept);
    return rc;
}

static int show(struct desk_client *client, const struct arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path;
    json_t *answer = NULL;
    int rc = show_path(arguments, &path, ret_error);
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &answer, ret_error);
    if (rc == 0)
        rc = appeal_print(arguments, answer);
    json_decref(answer);
    return rc;
}

static int show_run(int argc, char **argv)
{
    return appeal_run(&command_appeal_show, argc, argv, (struct form){0, WORD_NEEDED}, show);
}

const struct command command_appeal_show = {
    .path = "appeal show",
    .summary = "show how far an appeal is",
    .help =
        "Usage: tamis appeal show [OPTION]... ID|FILE\n"
        "\n"
        "Shows an appeal: by its ID to its account and to staff, by the FILE that 'tamis appeal\n"
        "submit' kept to everybody who has it.\n"
        "\n" DESK_OPTIONS_HELP "\n"
        "Example: tamis appeal show apl_0123456789abcdefghjk.json\n",
    .run = show_run,
};

static int list(struct desk_client *client, const struct arguments *arguments,
                struct error *ret_error)
{
    const char *state = arguments->values[OPTION_STATE], *name = arguments->values[OPTION_NAME];
    struct desk_path path;
    json_t *items = NULL;

    int rc = arguments->mine
                 ? desk_path(&path, ret_error, "/v1/appeals?queue=mine&state={}&name={}",
                             state != NULL ? state : "open", name != NULL ? name : "")
                 : desk_path(&path, ret_error, "/v1/appeals?state={}&name={}",
                             state != NULL ? state : "", name != NULL ? name : "");
    if (rc == 0)
        rc = desk_client_list(client, path.text, &items, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(items);
    else if (rc == 0)
        rc = desk_table_print(items, list_columns, COUNT(list_columns));
    json_decref(items);
    return rc;
}

static int list_run(int argc, char **argv)
{
    return appeal_run(&command_appeal_list, argc, argv,
                      (struct form){TAKES(OPTION_STATE) | TAKES(OPTION_NAME), WORD_NONE}, list);
}

const struct command command_appeal_list = {
    .path = "appeal list",
    .summary = "list appeals: all, one's own, those to decide",
    .help = "Usage: tamis appeal list [OPTION]...\n"
            "\n"
            "Lists all appeals to staff, and to customers their own.\n"
            "\n"
            "  --mine             those that you have to decide\n"
            "  --state STATE      unproven, open, granted, denied or lapsed\n"
            "  --name NAME        of one name\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis appeal list --mine\n",
    .run = list_run,
};

/* ---- decide ---- */

static int decide(struct desk_client *client, const struct arguments *arguments,
                  struct error *ret_error)
{
    const char *reason = arguments->values[OPTION_REASON];
    const char *file = arguments->values[OPTION_EXPLANATION];
    struct desk_path path;
    char *explanation;

    if (arguments->grant == arguments->deny)
        return error_set(ret_error, -EINVAL, "--grant or --deny: give one of them");
    if (reason == NULL || file == NULL)
        return error_set(ret_error, -EINVAL,
                         "a decision has its reason: give --reason CODE and --explanation FILE");
    int rc = desk_path(&path, ret_error, "/v1/appeals/{}/decisions", arguments->word);
    if (rc == 0)
        rc = text_of_file(file, &explanation, ret_error);
    if (rc < 0)
        return rc;
    json_t *body = json_pack("{s:s, s:s, s:s}", "outcome", arguments->grant ? "granted" : "denied",
                             "reason", reason, "explanation", explanation);
    free(explanation);
    return send_print(client, arguments, path.text, body, ret_error);
}

static int decide_run(int argc, char **argv)
{
    return appeal_run(&command_appeal_decide, argc, argv,
                      (struct form){TAKES(OPTION_REASON) | TAKES(OPTION_EXPLANATION), WORD_NEEDED},
                      decide);
}

const struct command command_appeal_decide = {
    .path = "appeal decide",
    .summary = "grant or deny an appeal",
    .help =
        "Usage: tamis appeal decide --grant|--deny --reason CODE --explanation FILE [OPTION]... "
        "ID\n"
        "\n"
        "Decides an appeal that is in your queue. Granted, the block is lifted, or the order\n"
        "exempts the name, on every server at once.\n"
        "\n"
        "  --grant, --deny    the decision\n"
        "  --reason CODE      as false-positive; the ledger shows it\n"
        "  --explanation FILE what whoever appealed is told\n" DESK_OPTIONS_HELP "\n"
        "Example: tamis appeal decide --grant --reason false-positive --explanation why.txt "
        "apl_0123456789abcdefghjk\n",
    .run = decide_run,
};

/* ---- report figures ---- */

static const struct desk_column figure_columns[] = {
    {"OF", "key", false},
    {"RECEIVED", "received", true},
    {"ACKNOWLEDGED", "acknowledge/count", true},
    {"MEDIAN s", "acknowledge/median", true},
    {"P95 s", "acknowledge/p95", true},
    {"DECIDED", "decide/count", true},
    {"MEDIAN s", "decide/median", true},
    {"P95 s", "decide/p95", true},
    {"ACTED", "act/count", true},
    {"MEDIAN s", "act/median", true},
    {"P95 s", "act/p95", true},
};

/* {"spam": {...}} as [{"key": "spam", ...}]. */
static int figures_print(const json_t *figures)
{
    const char *key;
    json_t *value, *items = json_array();
    json_object_foreach((json_t *)figures, key, value)
    {
        json_t *item = json_copy(value);
        json_object_set_new(item, "key", json_string(key));
        json_array_append_new(items, item);
    }
    int rc = desk_table_print(items, figure_columns, COUNT(figure_columns));
    json_decref(items);
    return rc;
}

static int figures(struct desk_client *client, const struct arguments *arguments,
                   struct error *ret_error)
{
    const char *by = arguments->values[OPTION_BY], *month = arguments->values[OPTION_MONTH];
    const char *from = arguments->values[OPTION_FROM], *to = arguments->values[OPTION_TO];
    struct desk_path path;
    json_t *answer = NULL;
    int rc;

    by = by != NULL ? by : "class";
    if (month != NULL)
        rc = desk_path(&path, ret_error, "/figures/{}", month);
    else if (from != NULL)
        rc = desk_path(&path, ret_error, "/v1/figures?by={}&from={}&to={}", by, from,
                       to != NULL ? to : from);
    else
        rc = desk_path(&path, ret_error, "/v1/figures?by={}", by);
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &answer, ret_error);
    if (rc < 0)
        return rc;
    const json_t *shown = json_object_get(answer, "figures");
    if (arguments->desk.json)
        desk_json_print(answer);
    else
        rc = figures_print(month != NULL ? json_object_get(shown, "classes") : shown);
    json_decref(answer);
    return rc;
}

static int figures_run(int argc, char **argv)
{
    return appeal_run(&command_report_figures, argc, argv,
                      (struct form){TAKES(OPTION_BY) | TAKES(OPTION_FROM) | TAKES(OPTION_TO) |
                                        TAKES(OPTION_MONTH),
                                    WORD_NONE},
                      figures);
}

const struct command command_report_figures = {
    .path = "report figures",
    .summary = "show how fast reports are answered",
    .help =
        "Usage: tamis report figures [OPTION]...\n"
        "\n"
        "Shows the times from a report to its acknowledgement, its decision and what followed:\n"
        "counts, median and 95th percentile in seconds, of this month.\n"
        "\n"
        "  --by WHAT          class (default), reporter, month, appeals or all\n"
        "  --from MONTH       the first month, as 2026-10\n"
        "  --to MONTH         the last month\n"
        "  --month MONTH      what was published of a month; needs no account\n" DESK_OPTIONS_HELP
        "\n"
        "Example: tamis report figures --by reporter --from 2026-01 --to 2026-06\n",
    .run = figures_run,
};
