/* Writes numbered events and passes them on to NATS, until it is told to end by SIGTERM:
 *
 *     sink_outbox FOLDER PLACE STREAM SUBJECT REPLICAS FIRST COUNT EACH CREDENTIALS CA SERVER...
 *
 * CREDENTIALS and CA may be "-". The number of an event is its `received`, FIRST to FIRST+COUNT-1;
 * EACH of them are put each 10 ms. Whenever something changed it prints a line
 * "<written> <sent> <failures> <reconnects> <behind> <connected> <lost>"; events that were put and
 * had no room end it with status 3. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../unit/sink/event_sample.h"
#include "sink/event_log.h"
#include "sink/event_outbox.h"

#define FLUSH_MS       10
#define SEGMENT_OCTETS 200000 /* some segments in each run */

static volatile sig_atomic_t is_told_to_end;

static void end(int number)
{
    (void)number;
    is_told_to_end = 1;
}

static const char *or_null(const char *argument)
{
    return strcmp(argument, "-") == 0 ? NULL : argument;
}

static void tell(const struct event_log *log, const struct event_outbox *outbox)
{
    static char told[200];
    char line[200];
    struct event_log_figures written;
    struct event_outbox_figures passed;
    event_log_figures(log, &written);
    event_outbox_figures(outbox, &passed);
    snprintf(line, sizeof(line),
             "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %d %" PRIu64,
             written.written, passed.sent, passed.failures, passed.reconnects, passed.behind,
             passed.connected, passed.lost);
    if (strcmp(line, told) == 0)
        return;
    puts(line);
    fflush(stdout);
    memcpy(told, line, sizeof(line));
}

static int run(struct event_log *log, const struct event_outbox *outbox, uint64_t first,
               uint64_t count, uint64_t each)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    uint64_t put = 0;
    while (!is_told_to_end) {
        for (uint64_t i = 0; i < each && put < count; i++, put++) {
            struct sink_event event = sample_checkin((int64_t)(first + put + 1));
            event.received = first + put;
            if (!event_log_put(log, 0, &event))
                return 3;
        }
        tell(log, outbox);
        nanosleep(&pause, NULL);
    }
    return 0;
}

static int start(char **arguments, int server_count, struct event_log *log)
{
    struct event_outbox *outbox = NULL;
    struct error error = {0};
    const struct event_outbox_options options = {
        .events = arguments[1],
        .place = arguments[2],
        .stream = arguments[3],
        .subject = arguments[4],
        .replicas = (unsigned)atoi(arguments[5]),
        .credentials = or_null(arguments[9]),
        .ca_file = or_null(arguments[10]),
        .servers = arguments + 11,
        .server_count = (size_t)server_count,
    };
    if (event_outbox_start(&options, &outbox, &error) < 0) {
        error_print(stderr, "sink_outbox", &error);
        return 1;
    }
    int status = run(log, outbox, strtoull(arguments[6], NULL, 10),
                     strtoull(arguments[7], NULL, 10), strtoull(arguments[8], NULL, 10));
    event_outbox_stop(outbox);
    return status;
}

int main(int count, char **arguments)
{
    struct event_log *log = NULL;
    struct error error = {0};
    if (count < 12)
        return 2;
    const struct event_log_options options = {
        .folder = arguments[1],
        .threads = 1,
        .flush_ms = FLUSH_MS,
        .segment_octets_max = SEGMENT_OCTETS,
        .segment_seconds = 3600,
        .waiting_octets_max = 4 << 20,
    };
    (void)signal(SIGTERM, end);
    if (event_log_open(&options, &log, &error) < 0) {
        error_print(stderr, "sink_outbox", &error);
        return 1;
    }
    int status = start(arguments, count - 11, log);
    event_log_close(log);
    return status;
}
