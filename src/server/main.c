/* tamisd: the name server. */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file_text.h"
#include "server/check.h"
#include "server/hash_key.h"
#include "server/log.h"
#include "server/server.h"

/* How often it is asked whether the first transfers are done; signals are heard meanwhile. */
#define READY_POLL_MS 10

enum { EXIT_OK = 0, EXIT_PROBLEM = 1, EXIT_WRONG_USE = 2 };

static const char help_text[] =
    "Usage: tamisd -c FILE [--check [--json]]\n"
    "\n"
    "Serves DNS zones, with the orders in force on top. Runs in the foreground, logs to standard "
    "error and\n"
    "prints \"ready\" when every configured zone that can be served is.\n"
    "\n"
    "Options:\n"
    "  -c, --config FILE   the configuration (tamisd.conf(5))\n"
    "      --check         load all that it would, say what is wrong, and exit with 0 or 1\n"
    "      --json          with --check: the findings as JSON on standard output\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "Signals: SIGTERM and SIGINT drain and end, SIGHUP reads configuration, zones and orders "
    "again.\n"
    "\n"
    "Example:\n"
    "  tamisd -c tamisd.yaml --check && tamisd -c tamisd.yaml\n";

struct options {
    const char *config;
    bool check, json;
};

static int wrong_use(const char *text)
{
    fprintf(stderr, "tamisd: %s; see tamisd --help\n", text);
    return EXIT_WRONG_USE;
}

/* Returns -1 to go on, or an exit code. */
static int parse_options(int argc, char **argv, struct options *ret_options)
{
    enum { OPTION_CHECK = 256, OPTION_JSON };
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, OPTION_CHECK},
        {"json", no_argument, NULL, OPTION_JSON}, {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},      {0},
    };
    *ret_options = (struct options){0};
    opterr = 0;
    for (;;) {
        switch (getopt_long(argc, argv, ":c:hV", long_options, NULL)) {
        case -1:
            if (optind < argc)
                return wrong_use("unexpected argument");
            return ret_options->config == NULL ? wrong_use("no configuration given: add -c FILE")
                                               : -1;
        case 'c':
            ret_options->config = optarg;
            break;
        case OPTION_CHECK:
            ret_options->check = true;
            break;
        case OPTION_JSON:
            ret_options->json = true;
            break;
        case 'h':
            fputs(help_text, stdout);
            return EXIT_OK;
        case 'V':
            printf("tamisd %s\n", TAMIS_VERSION);
            return EXIT_OK;
        case ':':
            return wrong_use("an option lacks its value");
        default:
            return wrong_use("unknown option");
        }
    }
}

/* The key of the name hash: from the folder of state, before any name is hashed; `state` NULL: a
 * fresh one. Returns 0, or a negative errno when the system gives no random numbers. */
static int set_hash_key(const char *state)
{
    uint64_t key[2];
    struct error error = {0};
    int rc = state == NULL ? hash_key_draw(key) : hash_key_load(state, key, &error);
    if (rc < 0)
        return rc;
    if (error.code != 0) {
        char text[sizeof(error.file) + sizeof(error.text) + 16];
        server_log(LOG_WARNING, "%s", error_format(&error, text, sizeof(text)));
    }
    name_hash_key_set(key[0], key[1] | 1);
    return 0;
}

static int no_random_numbers(void)
{
    fprintf(stderr, "tamisd: the system gives no random numbers\n");
    return EXIT_PROBLEM;
}

/* Sockets, files and connections want descriptors: take what the system grants. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* the limits of connections hold without it */
    }
}

/* Memory of that size is mapped by itself and goes back to the system when it is freed. Left alone,
 * the C library raises the size with what it sees freed, and keeps what a zone's loading took for
 * good. */
#define MAPPED_SIZE_MIN (256 * 1024)

static void reload(struct server *server)
{
    json_t *result = NULL;
    struct error error;
    if (server_reload(server, &result, &error) < 0) {
        char text[sizeof(error.file) + sizeof(error.text) + 16];
        server_log(LOG_ERR, "reload: %s; everything stays as it was",
                   error_format(&error, text, sizeof(text)));
    }
    json_decref(result);
}

/* On both streams, where they are two: a supervisor reads the one, a person who keeps the log the
 * other. */
static void tell_ready(void)
{
    struct stat out, log;
    bool is_one = fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &log) == 0 &&
                  out.st_dev == log.st_dev && out.st_ino == log.st_ino;
    if (!is_one)
        fputs("ready\n", stderr);
    fputs("ready\n", stdout);
    fflush(stdout);
}

static void run_until_told(struct server *server, const sigset_t *signals)
{
    bool ready = false;
    for (;;) {
        if (!ready && server_is_ready(server)) {
            ready = true;
            tell_ready();
        }
        const struct timespec pause = {.tv_sec = ready ? 1 : 0,
                                       .tv_nsec = ready ? 0 : READY_POLL_MS * 1000000L};
        int signal_number = sigtimedwait(signals, NULL, &pause);
        if (signal_number == SIGTERM || signal_number == SIGINT) {
            server_log(LOG_INFO, "ending");
            return;
        }
        if (signal_number == SIGHUP)
            reload(server);
        server_tick(server);
    }
}

int main(int argc, char **argv)
{
    struct options options;
    int code = parse_options(argc, argv, &options);
    if (code >= 0)
        return code;
    if (sodium_init() < 0 || (options.check && set_hash_key(NULL) < 0))
        return no_random_numbers();
    file_text_refuse_pipes();
    if (options.check)
        return server_check(options.config, options.json) == 0 ? EXIT_OK : EXIT_PROBLEM;

    /* Blocked before any thread starts, so that all of them inherit it. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of that write, not the end */
    raise_descriptor_limit();
    (void)mallopt(M_MMAP_THRESHOLD, MAPPED_SIZE_MIN);

    struct config *config;
    struct error error;
    struct server *server;
    if (config_load(options.config, &config, &error) < 0) {
        error_print(stderr, "tamisd", &error);
        return EXIT_PROBLEM;
    }
    if (set_hash_key(config->state) < 0) {
        config_free(config);
        return no_random_numbers();
    }
    if (server_start(config, &server, &error) < 0) {
        error_print(stderr, "tamisd", &error);
        return EXIT_PROBLEM;
    }
    run_until_told(server, &signals);
    server_stop(server);
    return EXIT_OK;
}
