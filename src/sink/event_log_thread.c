/* The thread that writes: takes events from the rings, fills blocks, and makes them durable in
 * time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>
#include <xxhash.h>

#include "base/log.h"
#include "sink/event_log_internal.h"

#define MS UINT64_C(1000000)

/* How often the rings are looked into: nobody wakes the thread, so that a put is a copy and nothing
 * else. A ring holds what comes in many times as long. */
#define POLL_MS_MAX 20

#define RETRY_MS        500
#define RETENTION_HOURS 1

/* Written without waiting for the flush, so that little memory is in use under load. */
#define COMMIT_OCTETS (4 * 1024 * 1024)

/* Above 1, levels cost more time than they save octets: most are hashes. */
#define COMPRESSION_LEVEL 1

uint64_t event_log_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 * MS + (uint64_t)now.tv_nsec;
}

/* ---- Blocks ---- */

/* False: as many octets wait as may. */
static bool may_wait(const struct event_log *log)
{
    return log->waiting_first == NULL ||
           log->waiting_octets + BLOCK_SIZE_MAX <= log->waiting_octets_max;
}

/* Puts the block among those that wait, and empties it. False: no room now, it stays. */
static bool close_block(struct event_log *log)
{
    if (log->block.count == 0)
        return true;
    if (!may_wait(log))
        return false;
    size_t size = ZSTD_compressCCtx(log->compressor, log->packed, BLOCK_RAW_MAX, log->block.raw,
                                    log->block.size, COMPRESSION_LEVEL);
    const bool is_compressed = !ZSTD_isError(size) && size < log->block.size;
    const uint8_t *payload = is_compressed ? log->packed : log->block.raw;
    if (!is_compressed)
        size = log->block.size;
    struct waiting_block *waiting = malloc(sizeof(*waiting) + BLOCK_HEADER_SIZE + size);
    if (waiting == NULL)
        return false;

    const struct block_header header = {
        .size = (uint32_t)size,
        .raw_size = (uint32_t)log->block.size,
        .count = log->block.count,
        .is_compressed = is_compressed,
        .first_us = log->block.first_us,
        .last_us = log->block.last_us,
        .checksum = XXH3_64bits(payload, size),
    };
    block_header_write(&header, waiting->octets);
    memcpy(waiting->octets + BLOCK_HEADER_SIZE, payload, size);
    waiting->next = NULL;
    waiting->size = BLOCK_HEADER_SIZE + size;
    waiting->count = log->block.count;
    *log->waiting_end = waiting;
    log->waiting_end = &waiting->next;
    log->waiting_octets += waiting->size;
    atomic_fetch_add(&log->octets_raw, log->block.size);
    log->block.size = log->block.count = 0;
    return true;
}

static void add_event(struct event_log *log, const struct sink_event *event)
{
    const bool is_first = log->block.count == 0;
    log->block.size += sink_event_encode(event, log->block.raw + log->block.size);
    log->block.count++;
    if (is_first || event->at_us < log->block.first_us)
        log->block.first_us = event->at_us;
    if (is_first || event->at_us > log->block.last_us)
        log->block.last_us = event->at_us;
}

/* Takes what is in the rings now; false: no room for more. */
static bool take_ring(struct event_log *log, struct event_ring *ring)
{
    const struct sink_event *event;
    for (unsigned i = 0; i < RING_EVENTS && (event = event_ring_first(ring)) != NULL; i++) {
        if (log->block.size + SINK_EVENT_OCTETS_MAX > BLOCK_RAW_MAX && !close_block(log))
            return false;
        add_event(log, event);
        event_ring_drop_first(ring);
    }
    return true;
}

/* Half of the flush time is left for the write itself. */
static void take_events(struct event_log *log, uint64_t now_ns)
{
    for (unsigned i = 0; i < log->ring_count; i++)
        if (!take_ring(log, &log->rings[i]))
            break;
    if (log->flush_ns == 0 && (log->block.count > 0 || log->waiting_first != NULL))
        log->flush_ns = now_ns + log->flush_ms * MS / 2;
}

/* ---- Writing ---- */

static void tell_failure(struct event_log *log, int rc, uint64_t now_ns)
{
    atomic_fetch_add(&log->failures, 1);
    if (log->retry_ns == 0)
        log_event(LOG_ERR,
                  "%s: events cannot be written: %s; they wait in memory, and when %zu octets of "
                  "them do, more are dropped: make room",
                  log->folder, strerror(-rc), log->waiting_octets_max);
    log->retry_ns = now_ns + RETRY_MS * MS;
}

static void tell_success(struct event_log *log)
{
    if (log->retry_ns != 0)
        log_event(LOG_INFO, "%s: events are written again", log->folder);
    log->retry_ns = 0;
}

static void commit(struct event_log *log, uint64_t now_ns)
{
    /* While nothing can be written, blocks are closed only when they are full. */
    const bool is_closed =
        log->retry_ns == 0 || log->waiting_first == NULL ? close_block(log) : true;
    int rc = event_log_commit(log);
    if (rc == 0)
        rc = event_log_rotate(log);
    if (rc < 0) {
        tell_failure(log, rc, now_ns);
        return;
    }
    tell_success(log);
    if (is_closed && log->block.count == 0)
        log->flush_ns = 0;
}

static bool commit_is_due(const struct event_log *log, uint64_t now_ns)
{
    if (log->retry_ns != 0)
        return now_ns >= log->retry_ns;
    return (log->flush_ns != 0 && now_ns >= log->flush_ns) ||
           log->waiting_octets >= COMMIT_OCTETS || !may_wait(log);
}

static void keep_house(struct event_log *log, uint64_t now_ns)
{
    if (log->retry_ns == 0) {
        int rc = event_log_rotate(log);
        if (rc < 0)
            tell_failure(log, rc, now_ns);
    }
    if (now_ns >= log->retention_ns) {
        event_log_retain(log);
        log->retention_ns = now_ns + RETENTION_HOURS * 3600 * 1000 * MS;
    }
}

/* Whether a ring fills so fast that it must not be left alone. */
static bool is_busy(const struct event_log *log)
{
    for (unsigned i = 0; i < log->ring_count; i++) {
        const struct event_ring *ring = &log->rings[i];
        if (atomic_load(&ring->put_count) - atomic_load(&ring->taken_count) > RING_EVENTS / 8)
            return log->retry_ns == 0 || may_wait(log);
    }
    return false;
}

/* Returns false at the end. */
static bool rest(struct event_log *log)
{
    if (is_busy(log))
        return true;
    const unsigned poll_ms = log->flush_ms / 4 < POLL_MS_MAX ? log->flush_ms / 4 : POLL_MS_MAX;
    const uint64_t until_ns = event_log_now_ns() + poll_ms * MS + MS / 2;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / (1000 * MS)),
                                   .tv_nsec = (long)(until_ns % (1000 * MS))};
    pthread_mutex_lock(&log->mutex);
    int rc = 0;
    while (rc == 0 && !log->is_ending)
        rc = pthread_cond_timedwait(&log->wake, &log->mutex, &until);
    const bool goes_on = !log->is_ending;
    pthread_mutex_unlock(&log->mutex);
    return goes_on;
}

/* Everything that was put; one try. */
static void write_rest(struct event_log *log)
{
    const uint64_t now_ns = event_log_now_ns();
    int rc = 0;
    for (bool has_more = true; rc == 0 && has_more;) {
        has_more = false;
        take_events(log, now_ns);
        if (!close_block(log) && log->waiting_first == NULL)
            break; /* no memory: what is left is told as lost */
        rc = event_log_commit(log);
        for (unsigned i = 0; i < log->ring_count; i++)
            has_more |= event_ring_first(&log->rings[i]) != NULL;
        has_more |= log->block.count > 0;
    }
    if (rc < 0)
        tell_failure(log, rc, now_ns);
}

void *event_log_thread(void *context)
{
    struct event_log *log = context;
    do {
        const uint64_t now_ns = event_log_now_ns();
        take_events(log, now_ns);
        if (commit_is_due(log, now_ns))
            commit(log, now_ns);
        keep_house(log, now_ns);
    } while (rest(log));
    write_rest(log);
    return NULL;
}
