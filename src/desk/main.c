/* tamis-desk: the provider's desk. */
#include <getopt.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/commands.h"
#include "desk/desk.h"

static const char help_text[] =
    "Usage: tamis-desk -c FILE [--check]\n"
    "       tamis-desk -c FILE deliver [--sender ADDRESS]\n"
    "       tamis-desk -c FILE migrate\n"
    "       tamis-desk -c FILE staff add EMAIL --role ROLE\n"
    "       tamis-desk routes [--json]\n"
    "\n"
    "Serves customers, reports, orders and the ledger over HTTP. Runs in the foreground, logs to "
    "standard\n"
    "error and prints \"ready\" when it serves.\n"
    "\n"
    "Options:\n"
    "  -c, --config FILE   the configuration (tamis-desk.conf(5))\n"
    "      --check         load it, say what is wrong, and exit with 0 or 1\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "Commands:\n"
    "  deliver             take in a mail on standard input, as an MTA's pipe hands it over\n"
    "  migrate             bring the database up to this program\n"
    "  staff add           make an account of staff; prints its id and a token that sets the first "
    "password\n"
    "  routes              list what the HTTP interface takes, and from whom\n"
    "\n"
    "Signals: SIGTERM and SIGINT answer what was asked and end.\n"
    "\n"
    "Example:\n"
    "  tamis-desk -c tamis-desk.yaml --check && tamis-desk -c tamis-desk.yaml\n";

struct options {
    const char *config;
    bool check;
    char **words;
    int word_count;
};

/* Returns -1 to go on, or an exit code. */
static int parse_options(int argc, char **argv, struct options *ret_options)
{
    enum { OPTION_CHECK = 256 };
    static const struct option long_options[] = {
        {"config", required_argument, NULL, 'c'},
        {"check", no_argument, NULL, OPTION_CHECK},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    *ret_options = (struct options){0};
    opterr = 0;
    for (;;) {
        /* '+': what stands behind a command's name is the command's. */
        switch (getopt_long(argc, argv, "+:c:hV", long_options, NULL)) {
        case -1:
            ret_options->words = argv + optind;
            ret_options->word_count = argc - optind;
            return -1;
        case 'c':
            ret_options->config = optarg;
            break;
        case OPTION_CHECK:
            ret_options->check = true;
            break;
        case 'h':
            fputs(help_text, stdout);
            return EXIT_OK;
        case 'V':
            printf("tamis-desk %s\n", TAMIS_VERSION);
            return EXIT_OK;
        case ':':
            return wrong_use("an option lacks its value");
        default:
            return wrong_use("unknown option");
        }
    }
}

static int command_run(const struct options *options)
{
    _cleanup_(desk_config_freep) struct desk_config *config = NULL;
    const struct desk_command *command = NULL;
    struct error error;

    for (size_t i = 0; i < desk_command_count; i++)
        if (strcmp(desk_commands[i].name, options->words[0]) == 0)
            command = &desk_commands[i];
    if (command == NULL)
        return wrong_use("unknown command");
    if (command->needs_config && options->config == NULL)
        return wrong_use("no configuration given: add -c FILE before the command");
    if (command->needs_config && desk_config_load(options->config, &config, &error) < 0) {
        error_print(stderr, "tamis-desk", &error);
        return EXIT_PROBLEM;
    }
    return command->run(config, options->word_count - 1, options->words + 1);
}

/* Connections want descriptors: take what the system grants. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* the limits of connections hold without it */
    }
}

static int run_until_told(struct desk *desk, const sigset_t *signals)
{
    const struct timespec pause = {.tv_sec = 1};

    fputs("ready\n", stdout);
    fflush(stdout);
    for (;;) {
        int number = sigtimedwait(signals, NULL, &pause);
        if (number == SIGTERM || number == SIGINT) {
            log_event(LOG_INFO, "ending");
            return EXIT_OK;
        }
        if (atomic_load(&desk->must_end))
            return EXIT_PROBLEM;
    }
}

static int serve(const struct options *options)
{
    struct desk_config *config;
    struct desk *desk;
    struct error error;

    if (options->config == NULL)
        return wrong_use("no configuration given: add -c FILE");
    int rc = desk_config_load(options->config, &config, &error);
    if (rc == 0 && options->check) {
        desk_config_free(config);
        return EXIT_OK;
    }
    /* Blocked before any thread starts, so that all of them inherit it. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    if (rc == 0)
        rc = desk_start(config, &desk, &error);
    if (rc < 0) {
        error_print(stderr, "tamis-desk", &error);
        return EXIT_PROBLEM;
    }
    int code = run_until_told(desk, &signals);
    desk_stop(desk);
    return code;
}

int main(int argc, char **argv)
{
    struct options options;
    int code = parse_options(argc, argv, &options);
    if (code >= 0)
        return code;
    if (sodium_init() < 0) {
        fprintf(stderr, "tamis-desk: the system gives no random numbers\n");
        return EXIT_PROBLEM;
    }
    umask(0027); /* the database holds what is nobody else's to read */
    return options.word_count > 0 ? command_run(&options) : serve(&options);
}
