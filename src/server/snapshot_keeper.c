#include "server/snapshot_keeper.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "server/log.h"
#include "zone/snapshot.h"
#include "zone/zone_file.h"

/* A write that failed, mostly for want of room, is tried again after this long. */
#define RETRY_S 60

/* A zone that changes in place is written this long after, or so many times as long as the last
 * write took, if that is longer. Until then a start replays the journal. */
#define CHANGE_DELAY_S      30
#define CHANGE_DELAY_FACTOR 100

/* What is known of one zone's snapshot. */
struct kept {
    uint64_t hash;
    uint8_t apex_size, apex[NAME_SIZE_MAX];
    char *path;
    struct kept *next; /* in the queue */
    bool is_queued;

    bool wants_write, wants_check;
    bool is_change;          /* wants a write for changes in place: retry_at is when that is due */
    double took_s;           /* the last write */
    uint64_t unsaved_octets; /* of the journal, since a write began */
    bool is_warned;          /* its failures are told once, until a write succeeds */
    time_t retry_at;

    /* What the file has; not yet, or not any more: kind NONE. */
    struct zone_source source;
    uint32_t serial;
    int64_t checked_at; /* as it is to be */
};

struct snapshot_keeper {
    struct snapshot_handlers handlers;
    char *folder;

    pthread_mutex_t lock; /* guards all that follows; never held around the disk */
    pthread_cond_t work, ended;
    struct kept **slots; /* hash by name; a power of two, at least twice the count */
    size_t slot_count, count;
    struct kept *first, **last;
    uint64_t unsaved_octets; /* of all zones */
    bool is_started, is_ended, stops;
    _Atomic(bool) cancels;
    pthread_t thread;
};

/* ---- What is known of the zones; with the lock ---- */

static struct kept **kept_slot(const struct snapshot_keeper *keeper, const struct name *zone)
{
    size_t at = zone->hashes[0] & (keeper->slot_count - 1);
    while (keeper->slots[at] != NULL &&
           (keeper->slots[at]->apex_size != zone->size ||
            memcmp(keeper->slots[at]->apex, zone->wire, zone->size) != 0))
        at = (at + 1) & (keeper->slot_count - 1);
    return &keeper->slots[at];
}

static int slots_grow(struct snapshot_keeper *keeper)
{
    const size_t slot_count = keeper->slot_count * 2;
    struct kept **slots = calloc(slot_count, sizeof(struct kept *));
    if (slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < keeper->slot_count; i++) {
        struct kept *kept = keeper->slots[i];
        if (kept == NULL)
            continue;
        size_t at = kept->hash & (slot_count - 1);
        while (slots[at] != NULL)
            at = (at + 1) & (slot_count - 1);
        slots[at] = kept;
    }
    free(keeper->slots);
    keeper->slots = slots;
    keeper->slot_count = slot_count;
    return 0;
}

/* NULL: no memory, and so no snapshot. */
static struct kept *kept_get(struct snapshot_keeper *keeper, const struct name *zone)
{
    struct kept **slot = kept_slot(keeper, zone);
    if (*slot != NULL)
        return *slot;
    if (keeper->count * 2 >= keeper->slot_count) {
        if (slots_grow(keeper) < 0)
            return NULL;
        slot = kept_slot(keeper, zone);
    }
    struct kept *kept = calloc(1, sizeof(*kept));
    char *path = snapshot_keeper_path(keeper, zone->wire);
    if (kept == NULL || path == NULL) {
        free(kept);
        free(path);
        return NULL;
    }
    kept->hash = zone->hashes[0];
    kept->apex_size = zone->size;
    memcpy(kept->apex, zone->wire, zone->size);
    kept->path = path;
    *slot = kept;
    keeper->count++;
    return kept;
}

static void kept_queue(struct snapshot_keeper *keeper, struct kept *kept)
{
    if (kept->is_queued)
        return;
    kept->is_queued = true;
    kept->next = NULL;
    *keeper->last = kept;
    keeper->last = &kept->next;
    pthread_cond_signal(&keeper->work);
}

void snapshot_keeper_published(struct snapshot_keeper *keeper, const struct zone *zone)
{
    const struct zone_data *data = zone->data;
    if (data->source.kind == ZONE_SOURCE_NONE || data->apex_entry == NULL)
        return;

    pthread_mutex_lock(&keeper->lock);
    struct kept *kept = kept_get(keeper, &zone->name);
    if (kept != NULL) {
        bool is_there = data->source.kind == ZONE_SOURCE_FILE && !kept->wants_write &&
                        zone_file_source_equal(&kept->source, &data->source);
        if (data->source.is_snapshot) {
            kept->source = data->source;
            kept->serial = data->soa.serial;
            kept->checked_at = data->source.checked_at;
        } else if (!is_there) {
            kept->source.kind = ZONE_SOURCE_NONE;
            kept->wants_write = true;
            kept->is_change = false;
            kept->retry_at = 0;
            kept_queue(keeper, kept);
        }
    }
    pthread_mutex_unlock(&keeper->lock);
}

/* Writes what has changed now. */
static void hurry(struct snapshot_keeper *keeper)
{
    for (struct kept *kept = keeper->first; kept != NULL; kept = kept->next) {
        if (kept->is_change)
            kept->retry_at = 0;
    }
    pthread_cond_signal(&keeper->work);
}

void snapshot_keeper_changed(struct snapshot_keeper *keeper, const struct zone *zone, size_t octets,
                             uint64_t octets_max)
{
    pthread_mutex_lock(&keeper->lock);
    struct kept *kept = kept_get(keeper, &zone->name);
    if (kept != NULL && !kept->wants_write) {
        const double delay_s = kept->took_s * CHANGE_DELAY_FACTOR;
        kept->wants_write = kept->is_change = true;
        kept->retry_at = time(NULL) + (delay_s > CHANGE_DELAY_S ? (time_t)delay_s : CHANGE_DELAY_S);
        kept_queue(keeper, kept);
    }
    if (kept != NULL) {
        kept->unsaved_octets += octets;
        keeper->unsaved_octets += octets;
        if (keeper->unsaved_octets > octets_max && kept->retry_at != 0)
            hurry(keeper);
    }
    pthread_mutex_unlock(&keeper->lock);
}

void snapshot_keeper_checked(struct snapshot_keeper *keeper, const struct zone *zone)
{
    const int64_t checked_at = atomic_load(&zone->checked_at);
    struct zone_figures figures;
    zone_figures(zone, &figures);
    pthread_mutex_lock(&keeper->lock);
    struct kept *kept = *kept_slot(keeper, &zone->name);
    if (kept != NULL && kept->source.kind == ZONE_SOURCE_TRANSFER &&
        kept->serial == figures.soa.serial && checked_at > kept->checked_at) {
        kept->checked_at = checked_at;
        kept->wants_check = true;
        kept_queue(keeper, kept);
    }
    pthread_mutex_unlock(&keeper->lock);
}

/* ---- The thread ---- */

static double seconds_since(const struct timespec *start)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + (double)(now.tv_nsec - start->tv_nsec) / 1e9;
}

static void write_failed(struct snapshot_keeper *keeper, struct kept *kept,
                         const struct error *error)
{
    if (error->code == -ECANCELED)
        return;
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    if (!kept->is_warned)
        server_log(LOG_WARNING,
                   "snapshot %s; it is tried again every %d s, and until then the next start reads "
                   "the zone's source",
                   error_format(error, text, sizeof(text)), RETRY_S);
    pthread_mutex_lock(&keeper->lock);
    kept->is_warned = true;
    kept->wants_write = true;
    kept->is_change = false;
    kept->retry_at = time(NULL) + RETRY_S;
    pthread_mutex_unlock(&keeper->lock);
}

static void write_zone(struct snapshot_keeper *keeper, struct kept *kept)
{
    struct zone_view *view;
    int64_t checked_at;
    if (!keeper->handlers.view(keeper->handlers.context, kept->apex, &view, &checked_at))
        return;
    const struct zone_source source = zone_view_state(view)->source;
    if (source.kind == ZONE_SOURCE_NONE) {
        zone_view_close(view);
        return;
    }
    if (source.checked_at > checked_at)
        checked_at = source.checked_at;

    struct timespec start;
    clock_gettime(CLOCK_MONOTONIC, &start);
    const uint32_t serial = zone_view_soa(view)->serial;
    uint64_t size;
    struct error error;
    int rc = snapshot_write(kept->path, view, checked_at, &keeper->cancels, &size, &error);
    zone_view_close(view);
    if (rc < 0) {
        write_failed(keeper, kept, &error);
        return;
    }
    const double took_s = seconds_since(&start);
    server_log(LOG_INFO, "snapshot %s: serial %u, %llu octets in %.2f s", kept->path, serial,
               (unsigned long long)size, took_s);
    keeper->handlers.written(keeper->handlers.context, kept->apex, serial);

    pthread_mutex_lock(&keeper->lock);
    kept->is_warned = false;
    kept->took_s = took_s;
    if (!kept->wants_write) { /* otherwise a newer one came meanwhile */
        kept->source = source;
        kept->serial = serial;
        kept->checked_at = checked_at;
    }
    pthread_mutex_unlock(&keeper->lock);
}

static void write_check(struct snapshot_keeper *keeper, struct kept *kept, uint32_t serial,
                        int64_t checked_at)
{
    struct error error;
    char text[sizeof(error.file) + sizeof(error.text) + 16];
    if (snapshot_set_checked(kept->path, kept->apex, serial, checked_at, &error) == 0)
        return;
    server_log(LOG_WARNING, "snapshot %s; it is written anew",
               error_format(&error, text, sizeof(text)));
    pthread_mutex_lock(&keeper->lock);
    kept->source.kind = ZONE_SOURCE_NONE;
    kept->wants_write = true;
    pthread_mutex_unlock(&keeper->lock);
}

/* Whether its snapshot is to be written now. At the end changes are not waited with. */
static bool kept_is_due(const struct snapshot_keeper *keeper, const struct kept *kept, time_t now)
{
    return kept->retry_at <= now || (kept->is_change && keeper->stops);
}

/* The next zone whose turn it is, taken from the queue; NULL when none is. What waits for another
 * attempt waits on, also at the end: a disk that was full a moment ago is full now. */
static struct kept *kept_take(struct snapshot_keeper *keeper, time_t now)
{
    for (struct kept **link = &keeper->first; *link != NULL; link = &(*link)->next) {
        struct kept *kept = *link;
        if (!kept_is_due(keeper, kept, now) && !kept->wants_check)
            continue;
        *link = kept->next;
        if (keeper->last == &kept->next)
            keeper->last = link;
        kept->is_queued = false;
        return kept;
    }
    return NULL;
}

static void *keeper_run(void *argument)
{
    struct snapshot_keeper *keeper = argument;

    pthread_setname_np(pthread_self(), "snapshots");
    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        struct kept *kept = kept_take(keeper, now.tv_sec);
        if (kept == NULL && keeper->stops)
            break;
        if (kept == NULL) {
            now.tv_sec += keeper->first != NULL ? 1 : 3600;
            pthread_cond_timedwait(&keeper->work, &keeper->lock, &now);
            continue;
        }
        const bool writes = kept->wants_write && kept_is_due(keeper, kept, now.tv_sec);
        const bool checks = kept->wants_check && !kept->wants_write;
        if (writes) {
            kept->wants_write = kept->is_change = false;
            keeper->unsaved_octets -= kept->unsaved_octets;
            kept->unsaved_octets = 0;
        }
        kept->wants_check = false; /* what is written has the latest */
        const uint32_t serial = kept->serial;
        const int64_t checked_at = kept->checked_at;
        pthread_mutex_unlock(&keeper->lock);
        if (writes)
            write_zone(keeper, kept);
        else if (checks)
            write_check(keeper, kept, serial, checked_at);
        pthread_mutex_lock(&keeper->lock);
        if (kept->wants_write)
            kept_queue(keeper, kept);
    }
    keeper->is_ended = true;
    pthread_cond_broadcast(&keeper->ended);
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

/* ---- Start and stop ---- */

int snapshot_keeper_create(const char *state, const struct snapshot_handlers *handlers,
                           struct snapshot_keeper **ret_keeper, struct error *ret_error)
{
    struct snapshot_keeper *keeper = calloc(1, sizeof(*keeper));
    if (keeper == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    pthread_mutex_init(&keeper->lock, NULL);
    pthread_cond_init(&keeper->work, NULL);
    pthread_cond_init(&keeper->ended, NULL);
    keeper->handlers = *handlers;
    keeper->last = &keeper->first;
    keeper->slot_count = 64;
    keeper->slots = calloc(keeper->slot_count, sizeof(struct kept *));
    if (keeper->slots == NULL || asprintf(&keeper->folder, "%s/zones", state) < 0) {
        keeper->folder = NULL;
        snapshot_keeper_stop(keeper, 0);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    /* A folder that cannot be made shows as a warning when the first snapshot cannot be written. */
    if (mkdir(state, 0750) == 0 || errno == EEXIST)
        (void)mkdir(keeper->folder, 0750);
    *ret_keeper = keeper;
    return 0;
}

char *snapshot_keeper_path(const struct snapshot_keeper *keeper, const uint8_t *apex)
{
    char path[PATH_MAX];
    return snapshot_path(keeper->folder, apex, path, sizeof(path)) < 0 ? NULL : strdup(path);
}

int snapshot_keeper_start(struct snapshot_keeper *keeper, struct error *ret_error)
{
    int rc = pthread_create(&keeper->thread, NULL, keeper_run, keeper);
    if (rc != 0)
        return error_set(ret_error, -rc, "cannot start the thread that keeps snapshots: %s",
                         strerror(rc));
    keeper->is_started = true;
    return 0;
}

void snapshot_keeper_stop(struct snapshot_keeper *keeper, unsigned timeout_ms)
{
    if (keeper == NULL)
        return;
    if (keeper->is_started) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += timeout_ms / 1000;
        pthread_mutex_lock(&keeper->lock);
        keeper->stops = true;
        pthread_cond_signal(&keeper->work);
        int rc = 0;
        while (!keeper->is_ended && rc == 0)
            rc = pthread_cond_timedwait(&keeper->ended, &keeper->lock, &until);
        atomic_store(&keeper->cancels, true);
        pthread_mutex_unlock(&keeper->lock);
        pthread_join(keeper->thread, NULL);
    }
    for (size_t i = 0; keeper->slots != NULL && i < keeper->slot_count; i++) {
        if (keeper->slots[i] == NULL)
            continue;
        free(keeper->slots[i]->path);
        free(keeper->slots[i]);
    }
    free(keeper->slots);
    free(keeper->folder);
    pthread_cond_destroy(&keeper->work);
    pthread_cond_destroy(&keeper->ended);
    pthread_mutex_destroy(&keeper->lock);
    free(keeper);
}
