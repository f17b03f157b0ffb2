/* tamis ctl: asks a running tamisd over its control socket (server/control.h). */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/command.h"
#include "cli/ctl_client.h"
#include "cli/ctl_print.h"

#define SOCKET_HERE   "tamisd.sock"
#define SOCKET_SYSTEM "/run/tamis/tamisd.sock"

/* No result is longer; a server that sends more is none of ours. */
#define ANSWER_OCTETS_MAX ((size_t)1 << 30)

#define READ_OCTETS_MIN 65536

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

/* Which socket is meant: the nearest one that exists, even if nobody serves it, so that a command
 * never reaches another server than the one whose folder one stands in. */
static const char *socket_path(const struct ctl_options *options)
{
    const char *environment = getenv("TAMIS_SOCKET");
    struct stat status;

    if (options->socket != NULL)
        return options->socket;
    if (environment != NULL && environment[0] != '\0')
        return environment;
    if (lstat(SOCKET_HERE, &status) == 0 && S_ISSOCK(status.st_mode))
        return SOCKET_HERE;
    return SOCKET_SYSTEM;
}

static int server_connect(const char *path, int *ret_fd, struct error *ret_error)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(path) >= sizeof(address.sun_path))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0,
                            "a socket's path may have %zu octets: change to its folder and name it "
                            "from there",
                            sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set(ret_error, -errno, "no socket to be had: %s", strerror(errno));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) {
        *ret_fd = fd;
        return 0;
    }

    int rc = -errno;
    close(fd);
    if (rc == -EACCES || rc == -EPERM)
        return error_set_at(ret_error, rc, path, 0,
                            "you may not use this socket: run as tamisd's user or join its group");
    return error_set_at(ret_error, rc, path, 0,
                        "no tamisd answers here (%s): start it with \"tamisd -c FILE\", or name "
                        "its socket with -s SOCKET or TAMIS_SOCKET",
                        strerror(-rc));
}

static int request_make(const struct ctl_options *options, char **ret_line, struct error *ret_error)
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

    char *line = json_dumps(request, JSON_COMPACT);
    json_decref(request);
    if (line == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    line[strlen(line)] = '\n'; /* in place of the NUL; see request_send() */
    *ret_line = line;
    return 0;
}

static int request_send(int fd, const char *line, struct error *ret_error)
{
    size_t size = (size_t)(strchr(line, '\n') - line) + 1;

    while (size > 0) {
        ssize_t sent = send(fd, line, size, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_set(ret_error, -errno, "tamisd went away: %s; see its log",
                             strerror(errno));
        line += sent;
        size -= (size_t)sent;
    }
    return 0;
}

/* Waits until the server sends; on a terminal a wait over a second shows. */
static void answer_wait(int fd, unsigned *waited_s)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};

    while (poll(&poll_fd, 1, 1000) == 0) {
        ++*waited_s;
        if (isatty(STDERR_FILENO))
            fprintf(stderr, "\rwaiting for tamisd: %u s", *waited_s);
    }
}

/* Receives until the end of the line. `*ret_text` is not NUL-terminated. */
static int answer_receive(int fd, char **ret_text, size_t *ret_size, struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0, capacity = 0;
    unsigned waited_s = 0;
    int rc = 0;

    while (size == 0 || text[size - 1] != '\n') {
        if (size == capacity) {
            capacity = capacity == 0 ? READ_OCTETS_MIN : capacity * 2;
            char *larger = capacity <= ANSWER_OCTETS_MAX ? realloc(text, capacity) : NULL;
            if (larger == NULL) {
                rc = error_set(ret_error, -ENOMEM, "the answer does not fit into memory");
                break;
            }
            text = larger;
        }
        answer_wait(fd, &waited_s);
        ssize_t got = recv(fd, text + size, capacity - size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            rc = error_set(ret_error, got < 0 ? -errno : -ECONNRESET,
                           "tamisd went away before it had answered; see its log");
            break;
        }
        size += (size_t)got;
    }
    if (waited_s > 0 && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (rc < 0) {
        free(text);
        return rc;
    }
    *ret_text = text;
    *ret_size = size;
    return 0;
}

static int exchange(const char *path, const char *line, json_t **ret_answer,
                    struct error *ret_error)
{
    char *text = NULL;
    size_t size = 0;
    int fd = -1;

    int rc = server_connect(path, &fd, ret_error);
    if (rc < 0)
        return rc;
    rc = request_send(fd, line, ret_error);
    if (rc == 0)
        rc = answer_receive(fd, &text, &size, ret_error);
    close(fd);
    if (rc < 0)
        return rc;

    json_t *answer = json_loadb(text, size, 0, NULL);
    free(text);
    if (!json_is_object(answer) || json_object_get(answer, "ok") == NULL) {
        json_decref(answer);
        return error_set_at(ret_error, -EPROTO, path, 0,
                            "what answers here is no tamisd: name another socket with -s SOCKET");
    }
    *ret_answer = answer;
    return 0;
}

int ctl_ask(const char *socket, json_t *request, json_t **ret_answer, struct error *ret_error)
{
    const struct ctl_options options = {.socket = socket};
    char *line = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    if (line == NULL)
        return error_set(ret_error, -EINVAL, "an argument is not UTF-8: rename it");
    line[strlen(line)] = '\n'; /* in place of the NUL; see request_send() */
    int rc = exchange(socket_path(&options), line, ret_answer, ret_error);
    free(line);
    return rc;
}

static void json_print(const json_t *value)
{
    json_dumpf(value, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
}

/* The server's error as if it had happened here. */
void ctl_answer_error(const json_t *answer, struct error *ret_error)
{
    const json_t *object = json_object_get(answer, "error");
    const char *text = json_string_value(json_object_get(object, "text"));
    const char *file = json_string_value(json_object_get(object, "file"));
    json_int_t line = json_integer_value(json_object_get(object, "line"));

    error_set_at(ret_error, -EINVAL, file, line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0,
                 "%s", text != NULL ? text : "tamisd refused and did not say why");
}

static int answer_print(const struct ctl_options *options, const json_t *answer)
{
    const json_t *result = json_object_get(answer, "result");

    if (!json_is_true(json_object_get(answer, "ok"))) {
        struct error error = {0};
        ctl_answer_error(answer, &error);
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
    char *line = NULL;
    json_t *answer = NULL;

    int code = options_parse(argc, argv, &options);
    if (code != EXIT_OK)
        return code;

    int rc = request_make(&options, &line, &error);
    if (rc == 0)
        rc = exchange(socket_path(&options), line, &answer, &error);
    free(line);
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
