/* `tamis sink live`: what the sinkhole sees, second by second. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/control_client.h"
#include "cli/sink_live_frame.h"

#define SOCKET_HERE   "tamis-sink.sock"
#define SOCKET_SYSTEM "/run/tamis-sink/tamis-sink.sock"

/* A sinkhole under full load answers in a few milliseconds. */
#define ANSWER_MS_MAX 5000

#define COLUMNS_DEFAULT 80
#define LINES_DEFAULT   24

struct live {
    const char *socket;
    bool once, json, follows;
    bool has_colour;
};

static volatile sig_atomic_t ended;

static void end(int signal)
{
    (void)signal;
    ended = 1;
}

/* The size is asked for with every frame; the signal only has to wake the wait. */
static void resized(int signal)
{
    (void)signal;
}

/* The signals that matter come only while it waits, so that none slips by before. */
static void signals_take(sigset_t *ret_waiting)
{
    const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    struct sigaction action = {.sa_handler = end};
    sigset_t blocked;

    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        sigaction(ends[i], &action, NULL);
        sigaddset(&blocked, ends[i]);
    }
    action.sa_handler = resized;
    sigaction(SIGWINCH, &action, NULL);
    sigaddset(&blocked, SIGWINCH);
    sigprocmask(SIG_BLOCK, &blocked, ret_waiting);
}

/* ---- Asking ---- */

static const char *socket_path(const char *given)
{
    const char *environment = getenv("TAMIS_SINK_SOCKET");
    struct stat status;

    if (given != NULL)
        return given;
    if (environment != NULL && environment[0] != '\0')
        return environment;
    if (lstat(SOCKET_HERE, &status) == 0 && S_ISSOCK(status.st_mode))
        return SOCKET_HERE;
    return SOCKET_SYSTEM;
}

static int snapshot_ask(const struct live *live, json_t **ret_snapshot, struct error *ret_error)
{
    json_t *request = json_pack("{s:s}", "command", "live");
    if (request == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = control_ask(live->socket, request, ANSWER_MS_MAX, ret_snapshot, ret_error);
    json_decref(request);
    if (rc == -ENOENT || rc == -ECONNREFUSED)
        return error_set_at(ret_error, rc, live->socket, 0,
                            "no tamis-sink answers here (%s): start it with \"tamis-sink -c "
                            "FILE\", or name its socket with -s SOCKET or TAMIS_SINK_SOCKET",
                            strerror(-rc));
    return rc;
}

/* ---- On no terminal ---- */

static int snapshot_print(const struct live *live, struct error *ret_error)
{
    json_t *snapshot = NULL;
    int rc = snapshot_ask(live, &snapshot, ret_error);
    if (rc == 0 && live->json) {
        json_dumpf(snapshot, stdout, live->follows ? JSON_COMPACT : JSON_INDENT(2));
        putchar('\n');
        fflush(stdout);
    } else if (rc == 0) {
        rc = live_frame_print(stdout, snapshot, ret_error);
    }
    json_decref(snapshot);
    return rc;
}

/* Waits until the next whole second of the monotonic clock, a key, or a signal. */
static void second_wait(const sigset_t *waiting, bool has_keys)
{
    struct pollfd keys = {.fd = has_keys ? STDIN_FILENO : -1, .events = POLLIN};
    struct timespec now, left = {0};
    char key;

    clock_gettime(CLOCK_MONOTONIC, &now);
    left.tv_nsec = 999999999 - now.tv_nsec;
    if (ppoll(&keys, 1, &left, waiting) <= 0)
        return;
    ssize_t got = read(STDIN_FILENO, &key, 1);
    if (got == 0 || (got == 1 && (key == 'q' || key == 'Q')))
        ended = 1;
}

static int follow(const struct live *live, struct error *ret_error)
{
    sigset_t waiting;
    int rc = 0;
    signals_take(&waiting);
    while (rc == 0 && !ended && !ferror(stdout)) {
        rc = snapshot_print(live, ret_error);
        if (rc == 0)
            second_wait(&waiting, false);
    }
    return rc;
}

/* ---- On a terminal ---- */

static struct winsize terminal_size(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0 || size.ws_row == 0)
        return (struct winsize){.ws_col = COLUMNS_DEFAULT, .ws_row = LINES_DEFAULT};
    return size;
}

/* A frame cuts its lines; of a message, nothing may be lost. */
static void message_print(FILE *frame, const char *message, unsigned columns)
{
    while (*message != '\0') {
        int size = fprintf(frame, "%.*s\n", (int)columns, message) - 1;
        message += size > 0 ? (size_t)size : strlen(message);
    }
    fputs("\nTrying again; q ends.\n", frame);
}

/* One frame, written at once so that it does not flicker. What fails is shown in its place: the
 * sinkhole may be about to start again. */
static int frame_draw(const struct live *live)
{
    struct winsize size = terminal_size();
    struct error error = {0};
    json_t *snapshot = NULL;
    char *text = NULL, message[1024];
    size_t octets = 0;

    FILE *frame = open_memstream(&text, &octets);
    if (frame == NULL)
        return -ENOMEM;
    int rc = snapshot_ask(live, &snapshot, &error);
    if (rc == 0)
        rc = live_frame_print(frame, snapshot, &error);
    if (rc < 0)
        message_print(frame, error_format(&error, message, sizeof(message)), size.ws_col);
    json_decref(snapshot);
    if (fclose(frame) != 0) {
        free(text);
        return -ENOMEM;
    }
    fputs("\033[H", stdout);
    live_frame_fit(stdout, text, size.ws_col, size.ws_row, rc == 0 && live->has_colour);
    fflush(stdout);
    free(text);
    return ferror(stdout) ? -EIO : 0;
}

/* The alternate screen without a cursor; keys come one by one and unseen, and Ctrl-Z, which would
 * leave the shell in all this, does nothing. */
static int view(const struct live *live, struct error *ret_error)
{
    struct termios before, during;
    json_t *snapshot = NULL;
    sigset_t waiting;

    int rc = snapshot_ask(live, &snapshot, ret_error);
    json_decref(snapshot);
    if (rc < 0)
        return rc;
    if (tcgetattr(STDIN_FILENO, &before) < 0)
        return error_set(ret_error, -errno, "the terminal can't be set up: %s", strerror(errno));
    during = before;
    during.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    during.c_cc[VMIN] = 1;
    during.c_cc[VTIME] = 0;
    during.c_cc[VSUSP] = _POSIX_VDISABLE;
    signals_take(&waiting);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &during);
    fputs("\033[?1049h\033[?25l", stdout);
    while (rc == 0 && !ended) {
        rc = frame_draw(live);
        if (rc == 0)
            second_wait(&waiting, true);
    }
    fputs("\033[?25h\033[?1049l", stdout);
    fflush(stdout);
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
    return rc < 0 ? error_set(ret_error, rc, "the view can't be drawn: %s", strerror(-rc)) : 0;
}

/* ---- The command ---- */

static bool is_terminal(void)
{
    const char *kind = getenv("TERM");
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && kind != NULL &&
           strcmp(kind, "dumb") != 0;
}

enum { OPTION_ONCE = 0x100, OPTION_JSON, OPTION_FOLLOW };

static int options_parse(struct live *live, int argc, char **argv)
{
    static const struct option table[] = {
        {"socket", required_argument, NULL, 's'},
        {"once", no_argument, NULL, OPTION_ONCE},
        {"json", no_argument, NULL, OPTION_JSON},
        {"follow", no_argument, NULL, OPTION_FOLLOW},
        {0},
    };
    const char *socket = NULL;
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":s:", table, NULL)) != -1)
        switch (option) {
        case 's':
            socket = optarg;
            break;
        case OPTION_ONCE:
            live->once = true;
            break;
        case OPTION_JSON:
            live->json = true;
            break;
        case OPTION_FOLLOW:
            live->follows = true;
            break;
        default:
            return command_usage_error(&command_sink_live,
                                       option == ':' ? "%s needs an argument" : "no option '%s'",
                                       argv[optind - 1]);
        }
    if (optind < argc)
        return command_usage_error(&command_sink_live, "no argument is taken: '%s'", argv[optind]);
    if (live->follows && !live->json)
        return command_usage_error(&command_sink_live, "--follow goes with --json");
    if (live->follows && live->once)
        return command_usage_error(&command_sink_live, "--follow and --once exclude each other");
    live->socket = socket_path(socket);
    return EXIT_OK;
}

static int live_run(int argc, char **argv)
{
    const char *no_colour = getenv("NO_COLOR");
    struct live live = {.has_colour = no_colour == NULL || no_colour[0] == '\0'};
    struct error error = {0};
    int rc;

    int code = options_parse(&live, argc, argv);
    if (code != EXIT_OK)
        return code;
    if (live.follows)
        rc = follow(&live, &error);
    else if (live.json || live.once || !is_terminal())
        rc = snapshot_print(&live, &error);
    else
        rc = view(&live, &error);
    if (rc < 0)
        error_print(stderr, "tamis", &error);
    return rc < 0 ? EXIT_FINDING : EXIT_OK;
}

const struct command command_sink_live = {
    .path = "sink live",
    .summary = "watch what a sinkhole sees",
    .help =
        "Usage: tamis sink live [OPTION]...\n"
        "\n"
        "Shows what a running tamis-sink sees: proven victims, who else connects, families,\n"
        "orders, networks and the last check-ins; drawn anew each second. q or Ctrl-C ends it.\n"
        "Where the output is no terminal, one snapshot is written as text.\n"
        "\n"
        "  -s, --socket SOCKET  the control socket of tamis-sink (default: TAMIS_SINK_SOCKET,\n"
        "                       tamis-sink.sock here, /run/tamis-sink/tamis-sink.sock)\n"
        "  --once               one snapshot as text\n"
        "  --json               one snapshot as a JSON object\n"
        "  --follow             with --json: one a second, each on a line\n"
        "\n"
        "Example: tamis sink live --once -s /run/tamis-sink/tamis-sink.sock\n",
    .run = live_run,
};
