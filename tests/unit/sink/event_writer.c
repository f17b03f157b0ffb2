/* Writes numbered events until it is told to end by SIGTERM, or killed:
 *
 *     event_writer FOLDER FLUSH_MS SEGMENT_OCTETS WAITING_OCTETS PAUSE_US
 *
 * After each batch it prints a line "<put> <dropped> <written> <failures>": so many events were
 * put, of which so many had no room, and so many are durable. The number of an event is its
 * `received`, from 0. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "event_sample.h"
#include "sink/event_log.h"

#define BATCH 50

static volatile sig_atomic_t is_told_to_end;

static void end(int number)
{
    (void)number;
    is_told_to_end = 1;
}

static void tell(const struct event_log *log, uint64_t put)
{
    struct event_log_figures figures;
    event_log_figures(log, &figures);
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", put, figures.dropped,
           figures.written, figures.failures);
    fflush(stdout);
}

int main(int count, char **arguments)
{
    struct event_log *log;
    struct error error = {0};
    if (count != 6)
        return 2;
    const struct event_log_options options = {
        .folder = arguments[1],
        .threads = 1,
        .flush_ms = (unsigned)atoi(arguments[2]),
        .segment_octets_max = strtoul(arguments[3], NULL, 10),
        .segment_seconds = 3600,
        .waiting_octets_max = strtoul(arguments[4], NULL, 10),
    };
    const struct timespec pause = {.tv_nsec = atol(arguments[5]) * 1000};
    (void)signal(SIGTERM, end);
    if (event_log_open(&options, &log, &error) < 0) {
        error_print(stderr, "event_writer", &error);
        return 1;
    }
    uint64_t put = 0;
    while (!is_told_to_end) {
        for (unsigned i = 0; i < BATCH; i++, put++) {
            struct sink_event event = sample_checkin((int64_t)put + 1);
            event.received = put;
            (void)event_log_put(log, 0, &event);
        }
        tell(log, put);
        nanosleep(&pause, NULL);
    }
    event_log_close(log);
    return 0;
}
