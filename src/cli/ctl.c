/* tamis ctl: asks a running tamisd over its control socket (service/control.h). */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/command.h"
#include "cli/control_client.h"
#include "cli/ctl_print.h"

struct ctl_command {
    const char *name;
    const char *argument; /* what it is called, NULL: none */
    bool is_optional;     /* the argument; and a name may follow it */
    ctl_print_fn *print;
    bool (*found)(const json_t *result); /* whether the exit code says so; NULL: never */
};

static const struct ctl_command ctl_commands[] = {
    {.name = "status", .print = ctl_print_status},
    {.name = "zones", .print = ctl_print_zones},
    {.name = "orders", .print = ctl_print_orders},
    {.name = "stats", .print = ctl_print_stats},
    {.name = "reports", .print = ctl_print_reports},
    {.name = "cache", .argument = "stats|purge", .is_optional = true, .print = ctl_print_cache},
    {.name = "reload", .print = ctl_print_reload, .found = ctl_reload_found},
    {.name = "activate", .argument = "FILE", .print = ctl_print_activate},
    {.name = "lift", .argument = "ID", .print = ctl_print_lift},
};
#define COMMAND_COUNT (sizeof(ctl_commands) / sizeof(ctl_commands[0]))

struct ctl_options {
    const struct ctl_command *command;
    const char *socket;   /* NULL: not given */
    const char *argument; /* of the command, or NULL */
    const char *name;     /* of "cache purge" */
    bool json, strict, subtree;
};

/* "cache", "cache stats" or "cache purge NAME". */
static int cache_parse(int argc, char **argv, struct ctl_options *options)
{
    const char *word = options->argument;
    if (word == NULL || strcmp(word, "stats") == 0)
        return EXIT_OK;
    if (strcmp(word, "purge") != 0)
        return command_usage_error(&command_ctl, "cache does not take \"%s\": try stats or purge",
                                   word);
    if (optind == argc)
        return command_usage_error(&command_ctl, "cache purge needs its NAME");
    options->name = argv[optind++];
    return EXIT_OK;
}

static int options_parse(int argc, char **argv, struct ctl_options *ret_options)
{
    static const struct option long_options[] = {
        {"socket", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"strict", no_argument, NULL, 'S'},
        {"subtree", no_argument, NULL, 't'},
        {0},
    };
    struct ctl_options options = {0};
    int option;

    optind = 0; /* begins anew, whoever used getopt before */
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":s:", long_options, NULL)) != -1) {
        switch (option) {
        case 's':
            options.socket = optarg;
            break;
        case 'j':
            options.json = true;
            break;
        case 'S':
            options.strict = true;
            break;
        case 't':
            options.subtree = true;
            break;
        case ':':
            return command_usage_error(&command_ctl, "%s needs a value", argv[optind - 1]);
        default:
            return command_usage_error(&command_ctl, "unknown option %s", argv[optind - 1]);
        }
    }
    if (optind == argc)
        return command_usage_error(&command_ctl, "no command: try \"tamis ctl status\"");

    const char *name = argv[optind++], *names[COMMAND_COUNT];
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        names[i] = ctl_commands[i].name;
        if (strcmp(names[i], name) == 0)
            options.command = &ctl_commands[i];
    }
    if (options.command == NULL) {
        const char *nearest = nearest_word(name, names, COMMAND_COUNT);
        return command_usage_error(&command_ctl, "unknown command \"%s\"%s%s%s", name,
                                   nearest != NULL ? ": did you mean \"" : "",
                                   nearest != NULL ? nearest : "", nearest != NULL ? "\"?" : "");
    }
    if (options.command->argument != NULL) {
        if (optind == argc && !options.command->is_optional)
            return command_usage_error(&command_ctl, "%s needs its %s", name,
                                       options.command->argument);
        options.argument = optind < argc ? argv[optind++] : NULL;
    }
    if (options.command->print == ctl_print_cache) {
        int rc = cache_parse(argc, argv, &options);
        if (rc != EXIT_OK)
            return rc;
    }
    if (optind < argc)
        return command_usage_error(&command_ctl, "%s does not take \"%s\"", name, argv[optind]);
    if (options.strict && options.command->print != ctl_print_activate)
        return command_usage_error(&command_ctl, "--strict belongs to activate");
    if (options.subtree && options.name == NULL)
        return command_usage_error(&command_ctl, "--subtree belongs to cache purge");
    *ret_options = options;
    return EXIT_OK;
}

static int request_make(const struct ctl_options *options, json_t **ret_request,
                        struct error *ret_error)
{
    char file[PATH_MAX];
    json_t *request;

    if (options->command->print == ctl_print_activate) {
        /* The server has another working directory. */
        if (realpath(options->argument, file) == NULL)
            return error_set_at(ret_error, -errno, options->argument, 0,
                                "the order file cannot be found: %s", strerror(errno));
        request = json_pack("{s:s, s:s, s:b}", "command", "activate", "file", file, "strict",
                            options->strict);
    } else if (options->command->print == ctl_print_lift) {
        request = json_pack("{s:s, s:s}", "command", "lift", "id", options->argument);
    } else if (options->name != NULL) {
        request = json_pack("{s:s, s:s, s:b}", "command", "cache", "purge", options->name,
                            "subtree", options->subtree);
    } else {
        request = json_pack("{s:s}", "command", options->command->name);
    }
    if (request == NULL)
        return error_set(ret_error, -EINVAL, "\"%s\" is not UTF-8: rename it",
                         options->argument != NULL ? options->argument : options->command->name);
    *ret_request = request;
    return 0;
}

static void json_print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

static int answer_print(const struct ctl_options *options, const json_t *answer)
{
    const json_t *result = json_object_get(answer, "result");

    if (!json_is_true(json_object_get(answer, "ok"))) {
        struct error error = {0};
        control_answer_error(answer, &error);
        error_print(stderr, "tamis ctl", &error);
        if (options->json)
            json_print(answer);
        return EXIT_FINDING;
    }

    int rc = 0;
    if (options->json)
        json_print(result);
    else
        rc = options->command->print(result, (int64_t)time(NULL), stdout, stderr);
    if (rc < 0)
        fprintf(stderr, "tamis ctl: the result is too long for the memory here: use --json\n");
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        fprintf(stderr, "tamis ctl: the output cannot be written: %s\n", strerror(errno));
        return EXIT_FINDING;
    }
    bool found = options->command->found != NULL && options->command->found(result);
    return rc < 0 || found ? EXIT_FINDING : EXIT_OK;
}

static int ctl_run(int argc, char **argv)
{
    struct ctl_options options = {0};
    struct error error = {0};
    json_t *request = NULL, *answer = NULL;

    int code = options_parse(argc, argv, &options);
    if (code != EXIT_OK)
        return code;

    int rc = request_make(&options, &request, &error);
    if (rc == 0)
        rc = control_exchange(control_path(options.socket), request, &answer, &error);
    json_decref(request);
    if (rc < 0) {
        error_print(stderr, "tamis ctl", &error);
        return EXIT_FINDING;
    }
    code = answer_print(&options, answer);
    json_decref(answer);
    return code;
}

const struct command command_ctl = {
    .path = "ctl",
    .summary = "ask and steer a running tamisd",
    .help = "usage: tamis ctl [-s SOCKET] [--json] COMMAND\n"
            "\n"
            "  status              version, uptime, zones, orders, queries, memory\n"
            "  zones               each zone: role, status, serial, size, times\n"
            "  orders              each order: state, names, refused entries, hits, times\n"
            "  stats               counters of queries and responses, hits per order and name\n"
            "  reports             errors that resolvers reported, by zone, and the latest\n"
            "  cache [stats]       the cache of forwarded zones and the servers that are asked\n"
            "  cache purge NAME    have it forget a name, with --subtree all below as well\n"
            "  reload              read the configuration, zones and orders again\n"
            "  activate FILE       put an order in force, or replace the one with its id\n"
            "  lift ID             end an order now\n"
            "\n"
            "  -s, --socket SOCKET the control socket; default: $TAMIS_SOCKET, else\n"
            "                      ./tamisd.sock, else /run/tamis/tamisd.sock\n"
            "      --json          print the whole result as JSON\n"
            "      --subtree       with cache purge: what is below the name as well\n"
            "      --strict        with activate: refuse the order if any entry is refused\n"
            "\n"
            "exit code: 0 done, 1 failed or found something, 2 wrong use\n"
            "\n"
            "example: tamis ctl -s tamisd.sock activate orders/nv-2014-00987.yaml\n",
    .run = ctl_run,
};
