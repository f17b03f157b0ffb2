/* tamis zone dump, diff, import, history, restore: the data of a zone of a running tamisd. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/control_client.h"

struct zone_options {
    const char *socket, *name, *file; /* file NULL: none is wanted */
    uint32_t serial;
    bool has_serial, json;
};

static bool read_serial(const char *text, struct zone_options *options)
{
    char *end;
    errno = 0;
    unsigned long long number = text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || number > UINT32_MAX)
        return false;
    options->serial = (uint32_t)number;
    options->has_serial = true;
    return true;
}

/* `serial_option` is the option that takes a serial, or NULL. */
static int options_parse(const struct command *command, int argc, char **argv,
                         const char *serial_option, bool wants_file,
                         struct zone_options *ret_options)
{
    const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {serial_option, required_argument, NULL, 'n'},
        {0},
    };
    *ret_options = (struct zone_options){0};
    optind = 0;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, ":s:", options, NULL)) != -1;) {
        if (option == 's')
            ret_options->socket = optarg;
        else if (option == 'j')
            ret_options->json = true;
        else if (option == 'n' && !read_serial(optarg, ret_options))
            return command_usage_error(command, "\"%s\" is not a serial", optarg);
        else if (option == ':')
            return command_usage_error(command, "%s needs a value", argv[optind - 1]);
        else if (option != 'n')
            return command_usage_error(command, "unknown option %s", argv[optind - 1]);
    }
    if (argc - optind != 1 + wants_file)
        return command_usage_error(command, wants_file ? "needs the zone's NAME and a FILE"
                                                       : "needs a NAME");
    ret_options->name = argv[optind];
    ret_options->file = wants_file ? argv[optind + 1] : NULL;
    return EXIT_OK;
}

/* Asks; on success *ret_result is for the caller to free. Returns an exit code. */
static int ask(const char *path, const struct zone_options *options, json_t *request,
               json_t **ret_result)
{
    struct error error = {0};
    int rc = request != NULL
                 ? control_ask(control_path(options->socket), request, 0, ret_result, &error)
                 : error_set(&error, -EINVAL, "an argument is not UTF-8: rename it");
    json_decref(request);
    if (rc < 0) {
        char program[64];
        snprintf(program, sizeof(program), "tamis %s", path);
        error_print(stderr, program, &error);
        return EXIT_FINDING;
    }
    return EXIT_OK;
}

static void print_json(const json_t *result)
{
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
}

static json_int_t number(const json_t *result, const char *key)
{
    return json_integer_value(json_object_get(result, key));
}

static const char *text(const json_t *result, const char *key)
{
    const char *value = json_string_value(json_object_get(result, key));
    return value != NULL ? value : "-";
}

static void print_lines(const json_t *lines, const char *sign)
{
    size_t i;
    json_t *line;
    json_array_foreach(lines, i, line) printf("%s%s\n", sign, json_string_value(line));
}

/* ---- dump ---- */

static int dump_run(int argc, char **argv)
{
    struct zone_options options;
    json_t *result;
    int code = options_parse(&command_zone_dump, argc, argv, NULL, false, &options);
    if (code == EXIT_OK)
        code = ask("zone dump", &options,
                   json_pack("{s:s, s:s}", "command", "zone-dump", "zone", options.name), &result);
    if (code != EXIT_OK)
        return code;
    if (options.json)
        print_json(result);
    else
        fputs(text(result, "text"), stdout);
    json_decref(result);
    return EXIT_OK;
}

#define SOCKET_HELP                                                              \
    "  -s, --socket SOCKET   the control socket; default: $TAMIS_SOCKET, else\n" \
    "                        ./tamisd.sock, else /run/tamis/tamisd.sock\n"       \
    "      --json            print one object instead of text\n"                 \
    "\n"

const struct command command_zone_dump = {
    .path = "zone dump",
    .summary = "print a zone of a running tamisd as a zone file",
    .help = "usage: tamis zone dump [-s SOCKET] [--json] NAME\n"
            "\n"
            "Prints the zone NAME as it is now, in canonical order, the SOA first.\n"
            "\n" SOCKET_HELP "Exits 0, or 1 when it cannot, 2 on wrong use.\n"
            "\n"
            "example: tamis zone dump a.example > a.example.zone\n",
    .run = dump_run,
};

/* ---- diff and import ---- */

/* Asks the server to compare or take over a file, which it reads itself. */
static int ask_file(const struct command *command, const char *word, int argc, char **argv,
                    struct zone_options *ret_options, json_t **ret_result)
{
    char file[PATH_MAX];
    int code = options_parse(command, argc, argv, NULL, true, ret_options);
    if (code != EXIT_OK)
        return code;
    /* The server has another working directory. */
    if (realpath(ret_options->file, file) == NULL) {
        fprintf(stderr, "tamis %s: %s: cannot be found: %s\n", command->path, ret_options->file,
                strerror(errno));
        return EXIT_FINDING;
    }
    return ask(
        command->path, ret_options,
        json_pack("{s:s, s:s, s:s}", "command", word, "zone", ret_options->name, "file", file),
        ret_result);
}

static int diff_run(int argc, char **argv)
{
    struct zone_options options;
    json_t *result;
    int code = ask_file(&command_zone_diff, "zone-diff", argc, argv, &options, &result);
    if (code != EXIT_OK)
        return code;
    const bool differs = number(result, "changed") > 0;
    if (options.json) {
        print_json(result);
    } else {
        print_lines(json_object_get(result, "removed"), "-");
        print_lines(json_object_get(result, "added"), "+");
    }
    json_decref(result);
    return differs ? EXIT_FINDING : EXIT_OK;
}

const struct command command_zone_diff = {
    .path = "zone diff",
    .summary = "compare a zone of a running tamisd with a zone file",
    .help = "usage: tamis zone diff [-s SOCKET] [--json] NAME FILE\n"
            "\n"
            "Prints what importing FILE into the zone NAME would take away (-) and add (+).\n"
            "tamisd reads the file itself.\n"
            "\n" SOCKET_HELP
            "Exits 0 when they are the same, 1 when they differ or cannot be compared, 2 on wrong\n"
            "use.\n"
            "\n"
            "example: tamis zone diff a.example a.example.zone\n",
    .run = diff_run,
};

static void print_changed(const json_t *result, const char *name)
{
    if (number(result, "changed") == 0)
        printf("%s: nothing to change, serial %" JSON_INTEGER_FORMAT "\n", name,
               number(result, "serial"));
    else
        printf("%s: %" JSON_INTEGER_FORMAT " record sets changed, serial %" JSON_INTEGER_FORMAT
               " -> %" JSON_INTEGER_FORMAT "\n",
               name, number(result, "changed"), number(result, "serial_from"),
               number(result, "serial"));
}

static int import_run(int argc, char **argv)
{
    struct zone_options options;
    json_t *result;
    int code = ask_file(&command_zone_import, "zone-import", argc, argv, &options, &result);
    if (code != EXIT_OK)
        return code;
    if (options.json)
        print_json(result);
    else
        print_changed(result, options.name);
    json_decref(result);
    return EXIT_OK;
}

const struct command command_zone_import = {
    .path = "zone import",
    .summary = "make a zone of a running tamisd what a zone file says",
    .help =
        "usage: tamis zone import [-s SOCKET] [--json] NAME FILE\n"
        "\n"
        "Changes the zone NAME to what FILE has, as one commit of its journal, which can be\n"
        "undone (tamis zone restore). The serial is the file's if that is newer, else the next.\n"
        "See tamis zone diff for what would change. tamisd reads the file itself.\n"
        "\n" SOCKET_HELP "Exits 0, or 1 when it cannot, 2 on wrong use.\n"
        "\n"
        "example: tamis zone import a.example a.example.zone\n",
    .run = import_run,
};

/* ---- history and restore ---- */

static int history_run(int argc, char **argv)
{
    struct zone_options options;
    json_t *result;
    int code = options_parse(&command_zone_history, argc, argv, "since", false, &options);
    if (code != EXIT_OK)
        return code;
    json_t *request = json_pack("{s:s, s:s}", "command", "zone-history", "name", options.name);
    if (request != NULL && options.has_serial)
        json_object_set_new(request, "since", json_integer(options.serial));
    code = ask("zone history", &options, request, &result);
    if (code != EXIT_OK)
        return code;
    if (options.json) {
        print_json(result);
        json_decref(result);
        return EXIT_OK;
    }
    if (number(result, "left_out") > 0)
        fprintf(stderr,
                "tamis zone history: %" JSON_INTEGER_FORMAT
                " older changes are left out: ask for one name, or begin later with --since\n",
                number(result, "left_out"));
    size_t i;
    json_t *change;
    json_array_foreach(json_object_get(result, "changes"), i, change)
    {
        printf("%s  serial %" JSON_INTEGER_FORMAT "  %s by %s\n", text(change, "at"),
               number(change, "serial"), text(change, "kind"), text(change, "by"));
        print_lines(json_object_get(change, "before"), "  -");
        print_lines(json_object_get(change, "after"), "  +");
    }
    json_decref(result);
    return EXIT_OK;
}

const struct command command_zone_history = {
    .path = "zone history",
    .summary = "who changed what of a zone or a name, and when",
    .help =
        "usage: tamis zone history [-s SOCKET] [--json] [--since SERIAL] NAME\n"
        "\n"
        "Prints each change of the zone NAME, or of the name NAME in one, that the journal has:\n"
        "the time, the serial that it led to, the key or address that asked for it, the records\n"
        "before (-) and after (+). At most the latest 10000.\n"
        "\n"
        "      --since SERIAL    begin behind this serial\n" SOCKET_HELP
        "Exits 0, or 1 when it cannot, 2 on wrong use.\n"
        "\n"
        "example: tamis zone history host.a.example\n",
    .run = history_run,
};

static int restore_run(int argc, char **argv)
{
    struct zone_options options;
    json_t *result;
    int code = options_parse(&command_zone_restore, argc, argv, "serial", false, &options);
    if (code == EXIT_OK && !options.has_serial)
        code = command_usage_error(&command_zone_restore,
                                   "needs --serial: \"tamis zone history\" tells them");
    if (code == EXIT_OK)
        code = ask("zone restore", &options,
                   json_pack("{s:s, s:s, s:I}", "command", "zone-restore", "name", options.name,
                             "serial", (json_int_t)options.serial),
                   &result);
    if (code != EXIT_OK)
        return code;
    if (options.json)
        print_json(result);
    else
        print_changed(result, options.name);
    json_decref(result);
    return EXIT_OK;
}

const struct command command_zone_restore = {
    .path = "zone restore",
    .summary = "put a zone or a name back as it was at a serial",
    .help =
        "usage: tamis zone restore [-s SOCKET] [--json] --serial SERIAL NAME\n"
        "\n"
        "Makes the zone NAME, or the name NAME in one, what it was at SERIAL, as one commit of\n"
        "the journal with a new serial: it can be undone the same way.\n"
        "\n"
        "      --serial SERIAL   of the journal; see tamis zone history\n" SOCKET_HELP
        "Exits 0, or 1 when it cannot, 2 on wrong use.\n"
        "\n"
        "example: tamis zone restore --serial 2024 host.a.example\n",
    .run = restore_run,
};
