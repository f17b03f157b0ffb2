#include "sink/event_log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include "base/log.h"
#include "sink/event_log_internal.h"

#define FOLDER_MODE 0750

/* ---- The folder ---- */

int event_log_take_folder(struct event_log *log, struct error *ret_error)
{
    char path[PATH_MAX];
    if (mkdir(log->folder, FOLDER_MODE) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, log->folder, 0, "cannot be made: %s",
                            strerror(errno));
    if (snprintf(path, sizeof(path), "%s/lock", log->folder) >= (int)sizeof(path))
        return error_set_at(ret_error, -ENAMETOOLONG, log->folder, 0, "is too long a path");
    int lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
        close(lock);
        return error_set_at(ret_error, -EBUSY, log->folder, 0,
                            "another process writes events there; end it, or give each a folder "
                            "of its own");
    }
    if (log->lock >= 0)
        close(log->lock);
    log->lock = lock;
    return 0;
}

/* ---- Memory ---- */

static bool make_rings(struct event_log *log, unsigned count)
{
    log->rings = aligned_alloc(_Alignof(struct event_ring), count * sizeof(*log->rings));
    if (log->rings == NULL)
        return false;
    memset(log->rings, 0, count * sizeof(*log->rings));
    log->ring_count = count;
    for (unsigned i = 0; i < count; i++) {
        log->rings[i].events = calloc(RING_EVENTS, sizeof(struct sink_event));
        if (log->rings[i].events == NULL)
            return false;
    }
    return true;
}

static bool make_buffers(struct event_log *log, const struct event_log_options *options)
{
    log->folder = strdup(options->folder);
    log->compressor = ZSTD_createCCtx();
    log->block.raw = malloc(BLOCK_RAW_MAX);
    log->packed = malloc(BLOCK_RAW_MAX);
    return log->folder != NULL && log->compressor != NULL && log->block.raw != NULL &&
           log->packed != NULL && make_rings(log, options->threads);
}

static void free_log(struct event_log *log)
{
    while (log->waiting_first != NULL) {
        struct waiting_block *block = log->waiting_first;
        log->waiting_first = block->next;
        free(block);
    }
    for (unsigned i = 0; i < log->ring_count; i++)
        free(log->rings[i].events);
    free(log->rings);
    free(log->packed);
    free(log->block.raw);
    ZSTD_freeCCtx(log->compressor);
    if (log->segment.file >= 0)
        close(log->segment.file);
    if (log->lock >= 0)
        close(log->lock);
    free(log->folder);
    free(log);
}

static int start_thread(struct event_log *log)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&log->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&log->mutex, NULL);
    int rc = -pthread_create(&log->thread, NULL, event_log_thread, log);
    if (rc < 0) {
        pthread_cond_destroy(&log->wake);
        pthread_mutex_destroy(&log->mutex);
    }
    return rc;
}

/* ---- Opening and closing ---- */

static int open_log(struct event_log *log, const struct event_log_options *options,
                    struct error *ret_error)
{
    if (sodium_init() < 0 || !make_buffers(log, options))
        return error_set(ret_error, -ENOMEM, "no memory for the log of events");
    int rc = event_log_take_folder(log, ret_error);
    if (rc == 0)
        rc = event_log_recover(log, ret_error);
    if (rc < 0)
        return rc;
    rc = start_thread(log);
    return rc < 0 ? error_set(ret_error, rc, "cannot start a thread: %s", strerror(-rc)) : 0;
}

int event_log_open(const struct event_log_options *options, struct event_log **ret_log,
                   struct error *ret_error)
{
    assert(options->threads > 0 && options->flush_ms > 0);
    struct event_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the log of events");
    log->flush_ms = options->flush_ms;
    log->segment_seconds = options->segment_seconds;
    log->keep_days = options->keep_days;
    log->segment_octets_max = options->segment_octets_max;
    log->octets_max = options->octets_max;
    log->calendar = options->calendar;
    log->waiting_octets_max = options->waiting_octets_max;
    log->lock = log->segment.file = -1;
    log->waiting_end = &log->waiting_first;
    int rc = open_log(log, options, ret_error);
    if (rc < 0) {
        free_log(log);
        return rc;
    }
    *ret_log = log;
    return 0;
}

void event_log_close(struct event_log *log)
{
    struct event_log_figures figures;
    if (log == NULL)
        return;
    pthread_mutex_lock(&log->mutex);
    log->is_ending = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->mutex);
    pthread_join(log->thread, NULL);
    event_log_figures(log, &figures);
    if (figures.waiting > 0)
        log_event(LOG_ERR, "%s: %" PRIu64 " events are lost: they could not be written",
                  log->folder, figures.waiting);
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->mutex);
    free_log(log);
}

/* ---- What other threads call ---- */

bool event_log_put(struct event_log *log, unsigned thread, const struct sink_event *event)
{
    assert(thread < log->ring_count);
    return event_ring_put(&log->rings[thread], event);
}

void event_log_figures(const struct event_log *log, struct event_log_figures *ret_figures)
{
    struct event_log_figures figures = {
        .written = atomic_load(&log->written), /* before what was put, of which it is a part */
        .blocks = atomic_load(&log->blocks),
        .octets = atomic_load(&log->octets),
        .octets_raw = atomic_load(&log->octets_raw),
        .failures = atomic_load(&log->failures),
        .segments_deleted = atomic_load(&log->segments_deleted),
    };
    uint64_t put = 0;
    for (unsigned i = 0; i < log->ring_count; i++) {
        put += atomic_load(&log->rings[i].put_count);
        figures.dropped += atomic_load(&log->rings[i].dropped);
    }
    figures.waiting = put - figures.written;
    *ret_figures = figures;
}
