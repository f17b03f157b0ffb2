/* `tamis report`: reports of abuse, as reporters send them and as staff deal with them. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/command.h"
#include "cli/desk_client.h"
#include "cli/desk_report_receipt.h"

enum {
    OPTION_BULK = 0x100,
    OPTION_STATE,
    OPTION_CLASS,
    OPTION_NAME,
    OPTION_ACCOUNT,
    OPTION_MINE,
    OPTION_RELEASE,
    OPTION_NOTE,
    OPTION_ORDER,
    OPTION_OUTPUT,
};

/* A larger report is refused by the desk. */
#define REPORT_SIZE_MAX (16 * 1024 * 1024)

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct desk_column list_columns[] = {
    {"REPORT", "id", false},           {"CLASS", "class", false},
    {"STATE", "state", false},         {"NAME", "name", false},
    {"NAMES", "names", true},          {"SEEN", "seen", true},
    {"DECIDE BY", "decide_by", false}, {"OVERDUE", "overdue", false},
    {"TAKEN BY", "claimed_by", false}, {"REPORTER", "reporter", false},
    {"UPHELD", "share_upheld", true},
};

static const struct desk_column report_columns[] = {
    {"report", "id", false},
    {"class", "class", false},
    {"state", "state", false},
    {"counts on", "first", false},
    {"came by", "channel", false},
    {"XARF", "xarf_type", false},
    {"seen", "seen", false},
    {"observed", "observed_at", false},
    {"received", "received_at", false},
    {"decide by", "decide_by", false},
    {"overdue", "overdue", false},
    {"taken by", "claimed_by", false},
    {"decided", "decided_at", false},
    {"took effect", "acted_at", false},
    {"reporter", "reporter/label", false},
    {"trusted", "reporter/trusted", false},
    {"reports", "reporter/reports", false},
    {"share upheld", "reporter/share_upheld", false},
    {"outcome", "outcome/action", false},
    {"reason", "outcome/reason", false},
};

static const struct desk_column name_columns[] = {
    {"NAME", "name", false},
    {"OURS", "ours", false},
    {"HOST", "host_name", false},
    {"ACCOUNT", "account", false},
    {"BLOCKED SINCE", "blocked_since", false},
    {"FOR", "blocked_reason", false},
};

static const struct desk_column evidence_columns[] = {
    {"EVIDENCE", "hash", false},
    {"SIZE", "size", true},
    {"TYPE", "type", false},
    {"WHAT", "label", false},
};

static const struct desk_column decision_columns[] = {
    {"DECISION", "action", false}, {"REASON", "reason", false}, {"BY", "by", false},
    {"AT", "at", false},           {"STATE", "state", false},   {"EFFECT", "act_at", false},
    {"NOTE", "note", false},
};

static const struct desk_column related_columns[] = {
    {"RELATED", "id", false},           {"CLASS", "class", false},     {"STATE", "state", false},
    {"RECEIVED", "received_at", false}, {"DECISION", "action", false},
};

static const struct desk_column receipt_columns[] = {
    {"report", "id", false},   {"token", "token", false},         {"state", "state", false},
    {"class", "class", false}, {"decide by", "decide_by", false}, {"counts on", "first", false},
};

static const struct desk_column bulk_columns[] = {
    {"LINE", "line", true},
    {"REPORT", "id", false},
    {"STATE", "state", false},
    {"WHAT IS WRONG", "problem", false},
};

static const struct desk_column decided_columns[] = {
    {"decision", "id", false},   {"report", "report", false},       {"action", "action", false},
    {"reason", "reason", false}, {"takes effect", "act_at", false},
};

/* ---- The command line ---- */

struct arguments {
    const struct command *command;
    struct desk_options desk;
    const char *state, *class, *name, *account, *note, *order, *output;
    bool bulk, mine, release;
    char **words;
    int word_count;
};

typedef int work_fn(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error);

static const struct option all_options[] = {
    {"bulk", no_argument, NULL, OPTION_BULK},
    {"state", required_argument, NULL, OPTION_STATE},
    {"class", required_argument, NULL, OPTION_CLASS},
    {"name", required_argument, NULL, OPTION_NAME},
    {"account", required_argument, NULL, OPTION_ACCOUNT},
    {"mine", no_argument, NULL, OPTION_MINE},
    {"release", no_argument, NULL, OPTION_RELEASE},
    {"note", required_argument, NULL, OPTION_NOTE},
    {"order", required_argument, NULL, OPTION_ORDER},
    {"output", required_argument, NULL, OPTION_OUTPUT},
};

static void option_take(struct arguments *arguments, int option)
{
    const char **const texts[] = {
        [OPTION_STATE - OPTION_BULK] = &arguments->state,
        [OPTION_CLASS - OPTION_BULK] = &arguments->class,
        [OPTION_NAME - OPTION_BULK] = &arguments->name,
        [OPTION_ACCOUNT - OPTION_BULK] = &arguments->account,
        [OPTION_NOTE - OPTION_BULK] = &arguments->note,
        [OPTION_ORDER - OPTION_BULK] = &arguments->order,
        [OPTION_OUTPUT - OPTION_BULK] = &arguments->output,
    };
    if (texts[option - OPTION_BULK] != NULL)
        *texts[option - OPTION_BULK] = optarg;
    arguments->bulk = arguments->bulk || option == OPTION_BULK;
    arguments->mine = arguments->mine || option == OPTION_MINE;
    arguments->release = arguments->release || option == OPTION_RELEASE;
}

static int arguments_read(struct arguments *arguments, const int *takes, int argc, char **argv)
{
    struct option table[COUNT(all_options) + DESK_OPTION_COUNT + 1];
    int option;

    desk_options_pick(all_options, COUNT(all_options), takes, table);
    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0)
        option_take(arguments, option);
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return EXIT_OK;
}

static int command_work(const struct command *command, const int *takes, int argc, char **argv,
                        int word_count, work_fn *work)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct arguments arguments = {.command = command};
    struct error error = {0};

    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.word_count != word_count)
        return command_usage_error(
            command, arguments.word_count < word_count ? "something is missing" : "too many words");
    int rc = desk_client_open(&arguments.desk, &client, &error);
    if (rc == 0)
        rc = work(client, &arguments, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    return rc;
}

/* ---- submit ---- */

static int receipt_print(const struct arguments *arguments, const json_t *json)
{
    const json_t *items = json_object_get(json, "items"), *item;
    size_t i;

    if (arguments->desk.json)
        desk_json_print(json);
    else if (!arguments->bulk)
        return desk_object_print(json, receipt_columns, COUNT(receipt_columns));
    else if (desk_table_print(items, bulk_columns, COUNT(bulk_columns)) < 0)
        return -ENOMEM;
    json_array_foreach((json_t *)items, i,
                       item) if (json_object_get(item, "problem") != NULL) return EXIT_FINDING;
    return EXIT_OK;
}

static int submit_work(struct desk_client *client, const struct arguments *arguments,
                       struct error *ret_error)
{
    struct desk_answer answer = {0};
    struct file_text text;

    int rc = file_text_read(arguments->words[0], REPORT_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    rc = desk_client_send(client, "POST", arguments->bulk ? "/v1/reports/bulk" : "/v1/reports",
                          arguments->bulk ? "text/csv" : "application/json", text.octets, text.size,
                          &answer, ret_error);
    if (rc == 0 && answer.json == NULL)
        rc = error_set(ret_error, -EBADMSG, "the desk answers with what is no JSON");
    /* Printed first: what cannot be kept is at least seen. */
    if (rc == 0)
        rc = receipt_print(arguments, answer.json);
    if (rc >= 0 && arguments->output != NULL) {
        int kept = report_receipt_keep(arguments->output, answer.json, ret_error);
        rc = kept < 0 ? kept : rc;
    }
    desk_answer_clear(&answer);
    file_text_clear(&text);
    return rc;
}

static int submit_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_BULK, OPTION_OUTPUT, 0};
    return command_work(&command_report_submit, takes, argc, argv, 1, submit_work);
}

const struct command command_report_submit = {
    .path = "report submit",
    .summary = "report abuse of a name to its provider",
    .help = "Usage: tamis report submit FILE [OPTION]...\n"
            "\n"
            "Sends a report in XARF 4 (or 3) and prints its number, and the token that shows what\n"
            "became of it.\n"
            "\n"
            "Options:\n"
            "  --bulk             FILE is CSV: its first line names the columns name, class, and\n"
            "                     where there are any description and observed_at; for reporters\n"
            "                     whom the desk trusts. Exit code 1 tells of wrong lines\n"
            "  --output FILE      where the desk's answer is kept, for 'tamis report "
            "show'\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report submit phishing.json --output receipt.json --desk "
            "https://desk.example\n",
    .run = submit_run,
};

/* ---- list, queue ---- */

static int items_print(struct desk_client *client, const struct arguments *arguments,
                       const char *path, struct error *ret_error)
{
    json_t *items = NULL;
    int rc = desk_client_list(client, path, &items, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(items);
    else if (rc == 0)
        rc = desk_table_print(items, list_columns, COUNT(list_columns));
    json_decref(items);
    return rc;
}

static const char *or_empty(const char *text)
{
    return text != NULL ? text : "";
}

static int list_work(struct desk_client *client, const struct arguments *arguments,
                     struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error, "/v1/reports?state={}&class={}&name={}&account={}",
                       or_empty(arguments->state), or_empty(arguments->class),
                       or_empty(arguments->name), or_empty(arguments->account));
    return rc < 0 ? rc : items_print(client, arguments, path.text, ret_error);
}

static int list_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_STATE, OPTION_CLASS, OPTION_NAME, OPTION_ACCOUNT, 0};
    return command_work(&command_report_list, takes, argc, argv, 0, list_work);
}

const struct command command_report_list = {
    .path = "report list",
    .summary = "list reports of abuse, the newest first",
    .help = "Usage: tamis report list [OPTION]...\n"
            "\n"
            "Options:\n"
            "  --state STATE      open, noticed, decided, not-ours or duplicate\n"
            "  --class CLASS      malware-controller, csam, malware, phishing, attack, spam,\n"
            "                     copyright or other\n"
            "  --name NAME        about a name, or a host\n"
            "  --account ID       about a customer\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report list --name bad.dyn.example\n",
    .run = list_run,
};

static int queue_work(struct desk_client *client, const struct arguments *arguments,
                      struct error *ret_error)
{
    struct desk_path path;
    int rc = desk_path(&path, ret_error,
                       arguments->mine ? "/v1/queue?mine=yes&class={}" : "/v1/queue?class={}",
                       or_empty(arguments->class));
    return rc < 0 ? rc : items_print(client, arguments, path.text, ret_error);
}

static int queue_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_MINE, OPTION_CLASS, 0};
    return command_work(&command_report_queue, takes, argc, argv, 0, queue_work);
}

const struct command command_report_queue = {
    .path = "report queue",
    .summary = "list what waits for a decision, the most urgent first",
    .help = "Usage: tamis report queue [OPTION]...\n"
            "\n"
            "Options:\n"
            "  --mine             only what one has claimed\n"
            "  --class CLASS      only one class\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report queue --class phishing\n",
    .run = queue_run,
};

/* ---- show ---- */

static int section_print(const json_t *report, const char *member,
                         const struct desk_column *columns, size_t count)
{
    const json_t *items = json_object_get(report, member);
    if (json_array_size(items) == 0)
        return 0;
    putchar('\n');
    return desk_table_print(items, columns, count);
}

static int report_print(const json_t *report)
{
    const char *description = json_string_value(json_object_get(report, "description"));
    int rc = desk_object_print(report, report_columns, COUNT(report_columns));
    if (rc == 0 && description != NULL && description[0] != '\0')
        printf("\n%s\n", description);
    if (rc == 0)
        rc = section_print(report, "names", name_columns, COUNT(name_columns));
    if (rc == 0)
        rc = section_print(report, "evidence", evidence_columns, COUNT(evidence_columns));
    if (rc == 0)
        rc = section_print(report, "decisions", decision_columns, COUNT(decision_columns));
    if (rc == 0)
        rc = section_print(report, "related", related_columns, COUNT(related_columns));
    return rc;
}

static int show_path(const char *word, struct desk_client *client, struct desk_path *ret_path,
                     struct error *ret_error)
{
    if (strncmp(word, "rep_", 4) == 0 && strpbrk(word, "./") == NULL)
        return desk_path(ret_path, ret_error, "/v1/reports/{}", word);
    /* The receipt is all that it takes: no account is told with it. */
    desk_client_session(client, NULL);
    return report_receipt_path(word, ret_path, ret_error);
}

static int show_work(struct desk_client *client, const struct arguments *arguments,
                     struct error *ret_error)
{
    struct desk_path path;
    json_t *report = NULL;
    int rc = show_path(arguments->words[0], client, &path, ret_error);
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &report, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(report);
    else if (rc == 0)
        rc = report_print(report);
    json_decref(report);
    return rc;
}

static int show_run(int argc, char **argv)
{
    static const int takes[] = {0};
    return command_work(&command_report_show, takes, argc, argv, 1, show_work);
}

const struct command command_report_show = {
    .path = "report show",
    .summary = "show a report, with its names, evidence and decisions",
    .help = "Usage: tamis report show REPORT|FILE [OPTION]...\n"
            "\n"
            "By its number staff see all of a report, and reporters with an account what became\n"
            "of theirs. FILE is the receipt, which shows that to everybody who has it: what\n"
            "'tamis report submit --output' kept, or the acknowledgement that came by mail.\n"
            "\n"
            "Options:\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report show receipt.json\n",
    .run = show_run,
};

/* ---- claim ---- */

static int claim_work(struct desk_client *client, const struct arguments *arguments,
                      struct error *ret_error)
{
    struct desk_path path;
    json_t *claim = NULL;
    int rc = desk_path(&path, ret_error, "/v1/reports/{}/claims", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, arguments->release ? "DELETE" : "POST", path.text, NULL,
                             &claim, ret_error);
    if (rc == 0 && arguments->desk.json && claim != NULL)
        desk_json_print(claim);
    else if (rc == 0 && arguments->desk.json)
        puts("{}");
    else if (rc == 0 && arguments->release)
        printf("%s is free again\n", arguments->words[0]);
    else if (rc == 0)
        printf("%s is yours until %s\n", arguments->words[0],
               json_string_value(json_object_get(claim, "claimed_until")));
    json_decref(claim);
    return rc;
}

static int claim_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_RELEASE, 0};
    return command_work(&command_report_claim, takes, argc, argv, 1, claim_work);
}

const struct command command_report_claim = {
    .path = "report claim",
    .summary = "take a report for oneself, or give it back",
    .help = "Usage: tamis report claim REPORT [OPTION]...\n"
            "\n"
            "Options:\n"
            "  --release          give it back\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report claim rep_06h0n6pj0tvr6b1z8sj3\n",
    .run = claim_run,
};

/* ---- decide ---- */

static int decide_work(struct desk_client *client, const struct arguments *arguments,
                       struct error *ret_error)
{
    struct desk_path path;
    json_t *decision = NULL;
    json_t *body =
        json_pack("{s:s, s:s, s:s*, s:s*}", "action", arguments->words[1], "reason",
                  arguments->words[2], "note", arguments->note, "order", arguments->order);
    if (body == NULL)
        return error_set(ret_error, -EINVAL, "the decision is no UTF-8: type it anew");
    int rc = desk_path(&path, ret_error, "/v1/reports/{}/decisions", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &decision, ret_error);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(decision);
    else if (rc == 0)
        rc = desk_object_print(decision, decided_columns, COUNT(decided_columns));
    json_decref(decision);
    json_decref(body);
    return rc;
}

static int decide_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_NOTE, OPTION_ORDER, 0};
    return command_work(&command_report_decide, takes, argc, argv, 3, decide_work);
}

const struct command command_report_decide = {
    .path = "report decide",
    .summary = "decide on a report: dismiss, warn, suspend or escalate",
    .help = "Usage: tamis report decide REPORT ACTION REASON [OPTION]...\n"
            "\n"
            "ACTION and its REASONs:\n"
            "  dismiss            no-abuse, no-evidence, resolved, blocked-already\n"
            "  warn, suspend-host, suspend-account\n"
            "                     what it was found to be: malware-controller, csam, malware,\n"
            "                     phishing, attack, spam, copyright, other\n"
            "  escalate           order-needed, authority\n"
            "The customer is told and has the time that the desk's configuration gives; for\n"
            "malware-controller and csam the block comes with the notice.\n"
            "\n"
            "Options:\n"
            "  --note TEXT        for staff\n"
            "  --order ID         of escalate: the order\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis report decide rep_06h0n6pj0tvr6b1z8sj3 suspend-host phishing\n",
    .run = decide_run,
};
