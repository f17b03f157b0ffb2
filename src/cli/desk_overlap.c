/* `tamis overlap`: where orders touch the interests of partners, and what both sides have to say to
 * each other about it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/file_text.h"
#include "cli/command.h"
#include "cli/desk_client.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The desk takes 8,192 octets: what is longer is told by it. */
#define TEXT_SIZE_MAX (1 << 20)

enum { OPTION_HELD = 0x100, OPTION_FILE, OPTION_REASON, OPTION_DETAIL };

struct arguments {
    const struct command *command;
    struct desk_options desk;
    const char *file, *reason, *detail;
    bool held;
    char **words;
    int word_count;
};

typedef int work_fn(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error);

static const struct desk_column list_columns[] = {
    {"OVERLAP", "id", false},
    {"STATE", "state", false},
    {"NAME", "name", false},
    {"RELATION", "relation", false},
    {"ORDER", "order", false},
    {"FOUND", "found_at", false},
    {"HELD UNTIL", "held_until", false},
};

static const struct desk_column overlap_columns[] = {
    {"overlap", "id", false},        {"state", "state", false},
    {"order", "order", false},       {"name", "name", false},
    {"relation", "relation", false}, {"interest", "interest", false},
    {"found", "found_at", false},    {"held until", "held_until", false},
    {"ended", "ended_at", false},    {"reason", "reason", false},
};

static const struct desk_column message_columns[] = {
    {"message", "id", false},
    {"at", "at", false},
    {"side", "side", false},
};

/* ---- The command line ---- */

static void option_take(struct arguments *arguments, int option)
{
    switch (option) {
    case OPTION_HELD:
        arguments->held = true;
        break;
    case OPTION_FILE:
        arguments->file = optarg;
        break;
    case OPTION_REASON:
        arguments->reason = optarg;
        break;
    default:
        arguments->detail = optarg;
        break;
    }
}

static int arguments_read(struct arguments *arguments, const int *takes, int argc, char **argv)
{
    static const struct option all[] = {
        {"held", no_argument, NULL, OPTION_HELD},
        {"file", required_argument, NULL, OPTION_FILE},
        {"reason", required_argument, NULL, OPTION_REASON},
        {"detail", required_argument, NULL, OPTION_DETAIL},
    };
    struct option table[COUNT(all) + DESK_OPTION_COUNT + 1];
    int option;

    desk_options_pick(all, COUNT(all), takes, table);
    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0)
        option_take(arguments, option);
    arguments->words = argv + optind;
    arguments->word_count = argc - optind;
    return option == DESK_OPTION_WRONG ? EXIT_USAGE : EXIT_OK;
}

static int overlap_work(const struct arguments *arguments, work_fn *work)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct error error = {0};

    int rc = desk_client_open(&arguments->desk, &client, &error);
    if (rc == 0)
        rc = work(client, arguments, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    return EXIT_OK;
}

/* ---- list ---- */

static json_t *held_only(const json_t *items)
{
    json_t *held = json_array(), *item;
    size_t index;

    json_array_foreach((json_t *)items, index, item)
    {
        const char *state = json_string_value(json_object_get(item, "state"));
        if (state != NULL && strcmp(state, "held") == 0)
            json_array_append(held, item);
    }
    return held;
}

static int list(struct desk_client *client, const struct arguments *arguments,
                struct error *ret_error)
{
    json_t *items = NULL;
    int rc = desk_client_list(client, "/v1/overlaps", &items, ret_error);
    if (rc < 0)
        return rc;
    json_t *shown = arguments->held ? held_only(items) : json_incref(items);
    if (arguments->desk.json)
        desk_json_print(shown);
    else
        rc = desk_table_print(shown, list_columns, COUNT(list_columns));
    json_decref(shown);
    json_decref(items);
    return rc;
}

static int list_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_HELD, 0};
    struct arguments arguments = {.command = &command_overlap_list};
    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.word_count != 0)
        return command_usage_error(&command_overlap_list, "it takes no words");
    return overlap_work(&arguments, list);
}

const struct command command_overlap_list = {
    .path = "overlap list",
    .summary = "list where orders touch interests of partners",
    .help = "Usage: tamis overlap list [OPTION]...\n"
            "\n"
            "Lists where orders touch what partners are interested in; to a partner its own.\n"
            "\n"
            "  --held             only what still holds an order\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis overlap list --held\n",
    .run = list_run,
};

/* ---- show ---- */

/* Lines of a message are indented: none can look like the head of another. */
static void message_print(const json_t *message)
{
    const char *text = json_string_value(json_object_get(message, "text"));

    printf("\n%s  %s\n", json_string_value(json_object_get(message, "at")),
           json_string_value(json_object_get(message, "side")));
    while (text != NULL && *text != '\0') {
        size_t size = strcspn(text, "\n");
        printf("    %.*s\n", (int)size, text);
        text += size + (text[size] == '\n');
    }
}

static int overlap_print(const struct arguments *arguments, const json_t *overlap)
{
    const json_t *messages = json_object_get(overlap, "messages");
    json_t *message;
    size_t index;

    if (arguments->desk.json) {
        desk_json_print(overlap);
        return 0;
    }
    int rc = desk_object_print(overlap, overlap_columns, COUNT(overlap_columns));
    json_array_foreach((json_t *)messages, index, message) message_print(message);
    return rc;
}

static int show(struct desk_client *client, const struct arguments *arguments,
                struct error *ret_error)
{
    struct desk_path path;
    json_t *overlap = NULL;
    int rc = desk_path(&path, ret_error, "/v1/overlaps/{}", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "GET", path.text, NULL, &overlap, ret_error);
    if (rc == 0)
        rc = overlap_print(arguments, overlap);
    json_decref(overlap);
    return rc;
}

static int show_run(int argc, char **argv)
{
    static const int takes[] = {0};
    struct arguments arguments = {.command = &command_overlap_show};
    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.word_count != 1)
        return command_usage_error(&command_overlap_show, "give the id of one overlap");
    return overlap_work(&arguments, show);
}

const struct command command_overlap_show = {
    .path = "overlap show",
    .summary = "show an overlap, and what both sides said about it",
    .help = "Usage: tamis overlap show [OPTION]... OVERLAP\n"
            "\n"
            "Shows where an order touches an interest, and the messages between the partner and\n"
            "the desk.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis overlap show ovl_06gz7q0f2v8k3m5n9p1r\n",
    .run = show_run,
};

/* ---- say ---- */

static int message_send(struct desk_client *client, const struct arguments *arguments,
                        const char *text, struct error *ret_error)
{
    struct desk_path path;
    json_t *said = NULL;
    json_t *body = json_pack("{s:s}", "text", text);

    if (body == NULL)
        return error_set(ret_error, -EINVAL, "the message is no UTF-8: type it anew");
    int rc = desk_path(&path, ret_error, "/v1/overlaps/{}/messages", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &said, ret_error);
    json_decref(body);
    if (rc == 0 && arguments->desk.json)
        desk_json_print(said);
    else if (rc == 0)
        rc = desk_object_print(said, message_columns, COUNT(message_columns));
    json_decref(said);
    return rc;
}

static int say(struct desk_client *client, const struct arguments *arguments,
               struct error *ret_error)
{
    struct file_text text;

    if (arguments->file == NULL)
        return message_send(client, arguments, arguments->words[1], ret_error);
    int rc = file_text_read(arguments->file, TEXT_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    /* The line feed that ends a file is none of the message's. */
    if (text.size > 0 && text.octets[text.size - 1] == '\n')
        text.octets[text.size - 1] = '\0';
    rc = message_send(client, arguments, text.octets, ret_error);
    file_text_clear(&text);
    return rc;
}

static int say_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_FILE, 0};
    struct arguments arguments = {.command = &command_overlap_say};
    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.word_count != (arguments.file != NULL ? 1 : 2))
        return command_usage_error(&command_overlap_say,
                                   "give the id of one overlap, and the text or --file");
    return overlap_work(&arguments, say);
}

const struct command command_overlap_say = {
    .path = "overlap say",
    .summary = "write to the other side of an overlap",
    .help = "Usage: tamis overlap say [OPTION]... OVERLAP [TEXT]\n"
            "\n"
            "Writes to the other side: a partner to the desk, staff to the partner. It is told by\n"
            "mail that there is something to read, and nothing of it.\n"
            "\n"
            "  --file FILE        the text, in place of TEXT\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis overlap say ovl_06gz7q0f2v8k3m5n9p1r 'Can it wait until Monday?'\n",
    .run = say_run,
};

/* ---- override ---- */

static int override(struct desk_client *client, const struct arguments *arguments,
                    struct error *ret_error)
{
    struct desk_path path;
    json_t *overlap = NULL;
    json_t *body =
        json_pack("{s:s, s:s*}", "reason", arguments->reason, "detail", arguments->detail);

    if (body == NULL)
        return error_set(ret_error, -EINVAL, "the reason is no UTF-8: type it anew");
    int rc = desk_path(&path, ret_error, "/v1/overlaps/{}/overrides", arguments->words[0]);
    if (rc == 0)
        rc = desk_client_ask(client, "POST", path.text, body, &overlap, ret_error);
    json_decref(body);
    if (rc == 0)
        rc = overlap_print(arguments, overlap);
    json_decref(overlap);
    return rc;
}

static int override_run(int argc, char **argv)
{
    static const int takes[] = {OPTION_REASON, OPTION_DETAIL, 0};
    struct arguments arguments = {.command = &command_overlap_override};
    int code = arguments_read(&arguments, takes, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (arguments.word_count != 1)
        return command_usage_error(&command_overlap_override, "give the id of one overlap");
    if (arguments.reason == NULL)
        return command_usage_error(&command_overlap_override, "give a --reason");
    return overlap_work(&arguments, override);
}

const struct command command_overlap_override = {
    .path = "overlap override",
    .summary = "end the hold of an order before its time",
    .help = "Usage: tamis overlap override --reason CODE [OPTION]... OVERLAP\n"
            "\n"
            "Ends the hold. By an approver that is an override: the public ledger tells it with\n"
            "its reason. By the partner it is a release, which nobody else is told.\n"
            "\n"
            "  --reason CODE      agreed, imminent-harm, court-deadline, mistaken-overlap or\n"
            "                     no-answer\n"
            "  --detail TEXT      for the audit trail, which is not public\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis overlap override --reason agreed ovl_06gz7q0f2v8k3m5n9p1r\n",
    .run = override_run,
};
