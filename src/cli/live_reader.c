#include "cli/live_reader.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/rights.h"

/* Questions on their way: some 20,000, a fifth of a second at the rates that one core answers. */
#define BUFFER_SIZE (1024 * 1024)

#define STEP_MS      100
#define STEP_BUSY_MS 5 /* while the way is blocked */

enum record_kind { RECORD_QUESTION, RECORD_FIGURES, RECORD_OPEN, RECORD_ERROR };

/* In front of each record; both ends are the same program. */
struct record {
    uint8_t kind;
    uint8_t dnssec_ok; /* RECORD_OPEN: confined */
    uint16_t type;
    uint16_t zone;
    uint16_t size; /* of what follows */
};

/* ---- The process that reads ---- */

struct reading {
    const struct live_reader_options *options;
    int fd;
    struct live_figures figures;
    size_t held;
    uint8_t buffer[BUFFER_SIZE];
};

static bool record_put(struct reading *reading, const struct record *record, const void *octets)
{
    if (sizeof(reading->buffer) - reading->held < sizeof(*record) + record->size)
        return false;
    memcpy(reading->buffer + reading->held, record, sizeof(*record));
    memcpy(reading->buffer + reading->held + sizeof(*record), octets, record->size);
    reading->held += sizeof(*record) + record->size;
    return true;
}

/* Sends what the other end has room for. False: it is gone. */
static bool records_send(struct reading *reading)
{
    size_t sent = 0;

    while (sent < reading->held) {
        ssize_t size = send(reading->fd, reading->buffer + sent, reading->held - sent,
                            MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (size < 0 && errno == EAGAIN)
            break;
        sent += size > 0 ? (size_t)size : 0;
    }
    reading->held -= sent;
    memmove(reading->buffer, reading->buffer + sent, reading->held);
    return true;
}

/* The zone that a name is in: of several, the one below the others. */
static size_t zone_find(const struct live_reader_options *options, const uint8_t *name)
{
    size_t found = SIZE_MAX, labels_found = 0;

    for (size_t i = 0; i < options->zone_count; i++) {
        size_t labels = knot_dname_labels(options->zones[i], NULL);
        if (knot_dname_in_bailiwick(name, options->zones[i]) >= 0 &&
            (found == SIZE_MAX || labels > labels_found)) {
            found = i;
            labels_found = labels;
        }
    }
    return found;
}

static int query_take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    struct reading *reading = context;

    (void)ret_error;
    size_t zone = zone_find(reading->options, query->name->wire);
    if (zone == SIZE_MAX) {
        reading->figures.outside++;
        return 0;
    }
    const struct record record = {.kind = RECORD_QUESTION,
                                  .dnssec_ok = query->request->dnssec_ok,
                                  .type = query->request->qtype,
                                  .zone = (uint16_t)zone,
                                  .size = (uint16_t)query->name->size};
    reading->figures.dropped += !record_put(reading, &record, query->name->wire);
    return 0;
}

static void error_put(struct reading *reading, const struct error *error)
{
    const struct record record = {.kind = RECORD_ERROR, .size = sizeof(*error)};
    reading->held = 0; /* nothing matters more */
    (void)record_put(reading, &record, error);
}

/* The other end has closed its half: it wants no more, or is gone. */
static bool stop_wanted(int fd)
{
    char octet;
    return recv(fd, &octet, sizeof(octet), MSG_DONTWAIT) == 0;
}

static void figures_put(struct reading *reading, const struct traffic_live *live)
{
    const struct record record = {.kind = RECORD_FIGURES, .size = sizeof(reading->figures)};
    reading->figures.report = *traffic_live_report(live);
    (void)record_put(reading, &record, &reading->figures); /* the next ones tell it, too */
}

static void reading_loop(struct reading *reading, struct traffic_live *live)
{
    struct error error = {0};
    int rc = 0;

    while (rc == 0 && !stop_wanted(reading->fd)) {
        int wait_ms = reading->held > 0 ? STEP_BUSY_MS : STEP_MS;
        rc = traffic_live_step(live, wait_ms, query_take, reading, &error);
        figures_put(reading, live);
        if (!records_send(reading))
            return;
    }
    if (rc < 0)
        error_put(reading, &error);
    /* The end of it may take its time. */
    while (reading->held > 0 && records_send(reading)) {
        struct pollfd poller = {.fd = reading->fd, .events = POLLOUT};
        if (reading->held > 0)
            (void)poll(&poller, 1, STEP_MS);
    }
}

/* The process from its first to its last line. */
static void reading_run(const struct live_reader_options *options, int fd)
{
    static struct reading reading; /* of this process alone */
    struct traffic_live *live = NULL;
    struct error error = {0};

    /* An interrupt of the terminal is for the process that asks; it then closes the socket. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    reading.options = options;
    reading.fd = fd;
    if (options->traffic.interface != NULL)
        rights_narrow();
    if (traffic_live_open(&options->traffic, &live, &error) < 0) {
        error_put(&reading, &error);
        (void)records_send(&reading);
        return;
    }
    const struct record open = {.kind = RECORD_OPEN, .dnssec_ok = rights_drop()};
    (void)record_put(&reading, &open, "");
    reading_loop(&reading, live);
    traffic_live_free(live);
}

/* ---- The process that asks ---- */

struct live_reader {
    pid_t process;
    int fd;
    size_t zone_count;
    bool is_open, confined, stopped;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)]; /* of a Unix socket; "": none */
    struct live_figures figures;
    size_t held;
    uint8_t buffer[65536];
};

const struct live_figures *live_reader_figures(const struct live_reader *reader)
{
    return &reader->figures;
}

bool live_reader_is_confined(const struct live_reader *reader)
{
    return reader->confined;
}

/* The reader parses what strangers send: what it says is looked at as if they had said it. */
static bool question_read(const struct live_reader *reader, const struct record *record,
                          const uint8_t *octets, struct exchange_question *ret_question)
{
    if (record->size > NAME_SIZE_MAX || record->zone >= reader->zone_count ||
        knot_dname_wire_check(octets, octets + record->size, NULL) != record->size)
        return false;
    *ret_question = (struct exchange_question){.name_size = (uint8_t)record->size,
                                               .type = record->type,
                                               .dnssec_ok = record->dnssec_ok != 0};
    memcpy(ret_question->name, octets, record->size);
    return true;
}

static int record_take(struct live_reader *reader, const struct record *record,
                       const uint8_t *octets, live_reader_fn *take, void *context,
                       struct error *ret_error)
{
    struct exchange_question question;
    struct error error;

    switch (record->kind) {
    case RECORD_QUESTION:
        if (take != NULL && question_read(reader, record, octets, &question)) {
            take(context, record->zone, &question);
            return 0;
        }
        break;
    case RECORD_FIGURES:
        if (record->size == sizeof(reader->figures)) {
            memcpy(&reader->figures, octets, sizeof(reader->figures));
            return 0;
        }
        break;
    case RECORD_OPEN:
        reader->is_open = true;
        reader->confined = record->dnssec_ok != 0;
        return 0;
    case RECORD_ERROR:
        if (record->size == sizeof(error)) {
            memcpy(&error, octets, sizeof(error));
            error.file[sizeof(error.file) - 1] = '\0';
            error.text[sizeof(error.text) - 1] = '\0';
            return error_set_at(ret_error, error.code < 0 ? error.code : -EIO, error.file, 0, "%s",
                                error.text);
        }
        break;
    }
    return error_set(ret_error, -EBADMSG, "the process that reads the traffic sent no question");
}

static int records_take(struct live_reader *reader, live_reader_fn *take, void *context,
                        struct error *ret_error)
{
    size_t at = 0;
    int rc = 0;

    while (rc == 0 && reader->held - at >= sizeof(struct record)) {
        struct record record;
        memcpy(&record, reader->buffer + at, sizeof(record));
        if (record.size > sizeof(reader->buffer) / 2)
            return error_set(ret_error, -EBADMSG, "a record of %u octets is too long", record.size);
        if (reader->held - at - sizeof(record) < record.size)
            break;
        rc = record_take(reader, &record, reader->buffer + at + sizeof(record), take, context,
                         ret_error);
        at += sizeof(record) + record.size;
    }
    reader->held -= at;
    memmove(reader->buffer, reader->buffer + at, reader->held);
    return rc;
}

int live_reader_step(struct live_reader *reader, int timeout_ms, live_reader_fn *take,
                     void *context, struct error *ret_error)
{
    struct pollfd poller = {.fd = reader->fd, .events = POLLIN};

    if (poll(&poller, 1, timeout_ms) <= 0)
        return 0;
    ssize_t size = recv(reader->fd, reader->buffer + reader->held,
                        sizeof(reader->buffer) - reader->held, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (size <= 0 && reader->stopped)
        return 1;
    if (size <= 0)
        return error_set(ret_error, -EPIPE, "the process that reads the traffic has ended");
    reader->held += (size_t)size;
    return records_take(reader, take, context, ret_error);
}

void live_reader_stop(struct live_reader *reader)
{
    reader->stopped = true;
    (void)shutdown(reader->fd, SHUT_WR);
}

void live_reader_free(struct live_reader *reader)
{
    if (reader == NULL)
        return;
    close(reader->fd); /* the reader ends when nobody listens */
    while (reader->process > 0 && waitpid(reader->process, NULL, 0) < 0 && errno == EINTR)
        continue;
    if (reader->path[0] != '\0')
        (void)unlink(reader->path);
    free(reader);
}

/* Starts the process; its end of the socket pair is open there alone. */
static int reader_fork(struct live_reader *reader, const struct live_reader_options *options,
                       struct error *ret_error)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return error_set(ret_error, -errno, "cannot make a socket pair: %s", strerror(errno));
    fflush(NULL); /* what is buffered is not for both */
    reader->process = fork();
    if (reader->process == 0) {
        close(pair[0]);
        reading_run(options, pair[1]);
        _exit(0);
    }
    close(pair[1]);
    reader->fd = pair[0];
    return reader->process > 0
               ? 0
               : error_set(ret_error, -errno, "cannot start a process: %s", strerror(errno));
}

int live_reader_start(const struct live_reader_options *options, struct live_reader **ret_reader,
                      struct error *ret_error)
{
    _cleanup_(live_reader_freep) struct live_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    reader->fd = -1;
    reader->zone_count = options->zone_count;
    int rc = reader_fork(reader, options, ret_error);
    while (rc == 0 && !reader->is_open)
        rc = live_reader_step(reader, -1, NULL, NULL, ret_error);
    if (rc < 0)
        return rc;
    const struct sockaddr *address = options->traffic.dnstap;
    if (options->traffic.interface == NULL && address->sa_family == AF_UNIX)
        memcpy(reader->path, ((const struct sockaddr_un *)address)->sun_path, sizeof(reader->path));
    *ret_reader = TAKE(reader);
    return 0;
}
