/* tamis-sink: the sinkhole's sensor. */
#include <errno.h>
#include <getopt.h>
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
#include "base/log.h"
#include "service/metrics.h"
#include "sink/confine.h"
#include "sink/sink_status.h"

enum { EXIT_OK = 0, EXIT_PROBLEM = 1, EXIT_WRONG_USE = 2 };

/* Descriptors beside those of connections: listeners, logs, databases, sockets of the service. */
#define DESCRIPTORS_SPARE 1000

/* Connections that may wait to be accepted when many come at once; Linux's own default. */
#define BACKLOG_WANTED 4096

static const char help_text[] =
    "Usage: tamis-sink -c FILE [--check]\n"
    "\n"
    "Takes what connects to the addresses of listed names, says what it is, and records what helps "
    "to clean\n"
    "the infected machines. Runs in the foreground, logs to standard error and prints \"ready\" "
    "when it listens.\n"
    "\n"
    "Options:\n"
    "  -c, --config FILE   the configuration (tamis-sink.conf(5))\n"
    "      --check         load all that it would, say what is wrong, and exit with 0 or 1\n"
    "  -h, --help          this text\n"
    "  -V, --version       the version\n"
    "\n"
    "Signals: SIGTERM, SIGINT and SIGHUP record what is open, write what waits, and end.\n"
    "\n"
    "Example:\n"
    "  tamis-sink -c tamis-sink.yaml --check && tamis-sink -c tamis-sink.yaml\n";

struct options {
    const char *config;
    bool check;
};

/* Everything that runs. */
struct sink {
    struct sink_config *config;
    struct dialogue_setting *dialogue;
    struct pipeline *pipeline;
    struct sensor *sensor;
    bool is_serving; /* the sensor was started */
    struct sink_status status;
    struct control_server *control;
    struct metrics_server *metrics;
};

static int wrong_use(const char *text)
{
    fprintf(stderr, "tamis-sink: %s; see tamis-sink --help\n", text);
    return EXIT_WRONG_USE;
}

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
        case 'h':
            fputs(help_text, stdout);
            return EXIT_OK;
        case 'V':
            printf("tamis-sink %s\n", TAMIS_VERSION);
            return EXIT_OK;
        case ':':
            return wrong_use("an option lacks its value");
        default:
            return wrong_use("unknown option");
        }
    }
}

/* ---- Limits of the system ---- */

/* Each thread of the sensor has a table of descriptors of its own, for which the limit counts. The
 * sensor takes what the hard limit grants, and tells when that is too little; only here it may be
 * lifted. */
static void descriptors_raise(const struct sink_config *config)
{
    const rlim_t wanted = config->connections_max / config->threads + DESCRIPTORS_SPARE;
    const struct rlimit higher = {.rlim_cur = wanted, .rlim_max = wanted};
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < wanted)
        (void)setrlimit(RLIMIT_NOFILE, &higher); /* root alone may */
}

static void backlog_look(unsigned connections_max)
{
    const unsigned long wanted =
        connections_max < BACKLOG_WANTED ? connections_max : BACKLOG_WANTED;
    char line[32] = "";
    FILE *file = fopen("/proc/sys/net/core/somaxconn", "re");

    if (file == NULL)
        return;
    unsigned long backlog =
        fgets(line, sizeof(line), file) != NULL ? strtoul(line, NULL, 10) : wanted;
    fclose(file);
    if (backlog < wanted)
        log_event(
            LOG_WARNING,
            "net.core.somaxconn is %lu: connections that come in bursts are lost; raise it to "
            "%lu with sysctl",
            backlog, wanted);
}

/* ---- Start ---- */

static int dialogue_begin(const struct sink_config *config, struct pipeline *pipeline,
                          struct dialogue_setting **ret_dialogue, struct error *ret_error)
{
    const struct dialogue_options options = {
        .certificate = config->certificate,
        .key = config->key,
        .operator_name = config->operator_name,
        .contact = config->contact,
        .octets_max = config->octets_max,
    };
    return dialogue_setting_create(&options, pipeline_order, pipeline, ret_dialogue, ret_error);
}

static int sensor_begin(struct sink *sink, struct error *ret_error)
{
    const struct sink_config *config = sink->config;
    const struct sensor_options options = {
        .listen = config->listen,
        .listen_count = config->listen_count,
        .threads = config->threads,
        .octets_max = config->octets_max,
        .seconds_max = config->seconds_max,
        .idle_seconds_max = config->idle_seconds_max,
        .connections_max = config->connections_max,
        .connections_per_source_max = config->connections_per_source_max,
        .datagrams_per_source_max = config->datagrams_per_source_max,
        .memory_max = config->memory_max,
        .dialogue = sink->dialogue,
        .take = pipeline_take,
        .context = sink->pipeline,
    };
    return sensor_create(&options, &sink->sensor, ret_error);
}

/* What may need more rights than the work itself: ports, limits, private keys, folders below
 * others'. */
static int privileged_begin(struct sink *sink, struct error *ret_error)
{
    const struct sink_config *config = sink->config;

    descriptors_raise(config);
    backlog_look(config->connections_max);
    sink->pipeline = pipeline_create(config);
    if (sink->pipeline == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = dialogue_begin(config, sink->pipeline, &sink->dialogue, ret_error);
    if (rc == 0)
        rc = sensor_begin(sink, ret_error);
    if (rc == 0)
        rc = confine_folder(config->state, config->user, ret_error);
    if (rc == 0)
        rc = confine_folder(config->events, config->user, ret_error);
    return rc;
}

static int service_begin(struct sink *sink, struct error *ret_error)
{
    const struct sink_config *config = sink->config;
    const struct metrics_source source = {
        .write = sink_metrics_write, .healthy = sink_metrics_healthy, .context = &sink->status};

    int rc = control_server_start(config->control, sink_status_commands, sink_status_command_count,
                                  &sink->status, &sink->control, ret_error);
    if (rc == 0 && config->metrics.size > 0)
        rc = metrics_server_start((const struct sockaddr *)&config->metrics.address,
                                  config->metrics.size, &source, &sink->metrics, ret_error);
    return rc;
}

static int sink_start(struct sink *sink, struct error *ret_error)
{
    struct timespec now;

    int rc = privileged_begin(sink, ret_error);
    if (rc == 0)
        rc = confine_user(sink->config->user, ret_error);
    if (rc == 0)
        rc = confine_calls(&sink->status.is_filtered, ret_error);
    if (rc == 0)
        rc = pipeline_open(sink->pipeline, ret_error);
    if (rc < 0)
        return rc;

    clock_gettime(CLOCK_REALTIME, &now);
    sink->status.config = sink->config;
    sink->status.sensor = sink->sensor;
    sink->status.pipeline = sink->pipeline;
    sink->status.started_at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
    if (!sink->status.is_filtered)
        log_event(LOG_WARNING, "system calls are not filtered: this build has sanitizers");
    if (sink->config->rules == NULL)
        log_event(LOG_WARNING, "no rules are installed: only the built-in families are known");
    rc = service_begin(sink, ret_error);
    if (rc == 0)
        rc = sensor_start(sink->sensor, ret_error);
    sink->is_serving = rc == 0;
    return rc;
}

/* In the order in which one needs the other. What is open is recorded, and then written. */
static void sink_stop(struct sink *sink)
{
    if (sink->is_serving)
        sensor_stop(sink->sensor);
    if (sink->control != NULL)
        control_server_stop(sink->control);
    if (sink->metrics != NULL)
        metrics_server_stop(sink->metrics);
    if (sink->sensor != NULL)
        sensor_free(sink->sensor);
    pipeline_close(sink->pipeline);
    if (sink->dialogue != NULL)
        dialogue_setting_free(sink->dialogue);
    sink_status_clear(&sink->status);
    sink_config_free(sink->config);
}

/* ---- Run ---- */

static void run_until_told(struct sink *sink, const sigset_t *signals)
{
    const struct timespec pause = {.tv_sec = 1};

    pipeline_tick(sink->pipeline);
    fputs("ready\n", stdout);
    fflush(stdout);
    for (;;) {
        if (sigtimedwait(signals, NULL, &pause) > 0) {
            log_event(LOG_INFO, "ending");
            return;
        }
        pipeline_tick(sink->pipeline);
    }
}

static int check(struct sink_config *config, struct error *ret_error)
{
    struct dialogue_setting *dialogue = NULL;

    int rc = pipeline_check(config, ret_error);
    if (rc == 0)
        rc = dialogue_begin(config, NULL, &dialogue, ret_error);
    if (rc == 0)
        dialogue_setting_free(dialogue);
    return rc;
}

static int problem(struct sink *sink, const struct error *error)
{
    error_print(stderr, "tamis-sink", error);
    sink_stop(sink);
    return EXIT_PROBLEM;
}

int main(int argc, char **argv)
{
    struct options options;
    struct sink sink = {0};
    struct error error = {0};
    int code = parse_options(argc, argv, &options);

    if (code >= 0)
        return code;
    if (sodium_init() < 0) {
        fprintf(stderr, "tamis-sink: the system gives no random numbers\n");
        return EXIT_PROBLEM;
    }
    file_text_refuse_pipes();
    sink_status_init(&sink.status);
    if (sink_config_load(options.config, &sink.config, &error) < 0)
        return problem(&sink, &error);
    if (options.check) {
        int rc = check(sink.config, &error);
        if (rc < 0)
            return problem(&sink, &error);
        sink_stop(&sink);
        return EXIT_OK;
    }

    /* Blocked before any thread starts, so that all of them inherit it. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP); /* a terminal that closes is no reason to lose what waits */
    sigprocmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is an error of that write, not the end */
    umask(0027);              /* events and keys are nobody else's to read */

    if (sink_start(&sink, &error) < 0)
        return problem(&sink, &error);
    run_until_told(&sink, &signals);
    sink_stop(&sink);
    return EXIT_OK;
}
