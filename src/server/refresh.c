#include "server/refresh.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "server/refresh_internal.h"
#include "zone/origin_link.h"

/* Fewer could not keep one free of failing origins. */
#define THREADS_MIN 2

/* ---- Pokes ---- */

static size_t zone_slot(const struct refresher *refresher, const struct zone *zone)
{
    return (size_t)((uintptr_t)zone * UINT64_C(0x9e3779b97f4a7c15) >> 20) &
           (refresher->by_zone_size - 1);
}

static void zone_slot_fill(struct refresher *refresher, struct secondary *secondary)
{
    size_t at = zone_slot(refresher, secondary->zone);
    while (refresher->by_zone[at] != NULL)
        at = (at + 1) & (refresher->by_zone_size - 1);
    refresher->by_zone[at] = secondary;
}

static struct secondary *secondary_of(const struct refresher *refresher, const struct zone *zone)
{
    size_t at = zone_slot(refresher, zone);
    while (refresher->by_zone[at] != NULL && refresher->by_zone[at]->zone != zone)
        at = (at + 1) & (refresher->by_zone_size - 1);
    return refresher->by_zone[at];
}

void refresher_poke(struct refresher *refresher, const struct zone *zone, uint32_t serial_hint)
{
    struct secondary *secondary = secondary_of(refresher, zone);
    if (secondary == NULL)
        return;

    /* Two pokes with different hints become one without. */
    uint64_t before = atomic_load(&secondary->poke), after;
    do {
        after = before == 0 || before == (POKED | serial_hint) ? POKED | serial_hint : POKED;
    } while (!atomic_compare_exchange_weak(&secondary->poke, &before, after));
    if (before != 0)
        return; /* on the stack already */

    struct secondary *first = atomic_load(&refresher->poked);
    do {
        secondary->next_poked = first;
    } while (!atomic_compare_exchange_weak(&refresher->poked, &first, secondary));
    eventfd_write(refresher->wake_fd, 1);
}

static void take_pokes(struct refresher *refresher)
{
    struct secondary *secondary = atomic_exchange(&refresher->poked, NULL);
    const int64_t now_ms = monotonic_ms();
    while (secondary != NULL) {
        /* As soon as its poke is taken it may be pushed again. */
        struct secondary *next = secondary->next_poked;
        const uint32_t hint = (uint32_t)atomic_exchange(&secondary->poke, 0);
        secondary_poked(refresher, secondary, hint, now_ms);
        secondary = next;
    }
}

/* ---- Threads ---- */

static void timer_due(struct refresher *refresher, struct timer *timer, int64_t now_ms)
{
    timer_unset(&refresher->timers, timer);
    struct secondary *secondary = timer->owner;
    if (timer == &secondary->check)
        secondary_check(refresher, secondary, now_ms);
    else
        secondary_expire(refresher, secondary);
}

static void *scheduler_run(void *argument)
{
    struct refresher *refresher = argument;

    pthread_setname_np(pthread_self(), "refresh");
    pthread_mutex_lock(&refresher->lock);
    while (!refresher->stops) {
        take_pokes(refresher);

        struct timer *first = timer_heap_first(&refresher->timers);
        const int64_t now_ms = monotonic_ms();
        if (first != NULL && first->due_ms <= now_ms) {
            timer_due(refresher, first, now_ms);
            continue;
        }

        const int64_t left_ms = first != NULL ? first->due_ms - now_ms : INT_MAX;
        pthread_mutex_unlock(&refresher->lock);
        struct pollfd fds[2] = {{.fd = refresher->wake_fd, .events = POLLIN},
                                {.fd = refresher->cancel_fd, .events = POLLIN}};
        eventfd_t ignored;
        if (poll(fds, 2, left_ms < INT_MAX ? (int)left_ms : INT_MAX) > 0 && fds[0].revents != 0)
            eventfd_read(refresher->wake_fd, &ignored);
        pthread_mutex_lock(&refresher->lock);
    }
    pthread_mutex_unlock(&refresher->lock);
    return NULL;
}

static void *transfer_thread_run(void *argument)
{
    struct refresher *refresher = argument;

    pthread_setname_np(pthread_self(), "transfers in");
    pthread_mutex_lock(&refresher->lock);
    while (!refresher->stops) {
        enum origin_health health;
        struct secondary *secondary = refresh_origin_take(refresher, &health);
        if (secondary != NULL)
            secondary_attempt(refresher, secondary, health);
        else
            pthread_cond_wait(&refresher->work, &refresher->lock);
    }
    pthread_mutex_unlock(&refresher->lock);
    return NULL;
}

/* ---- Start and stop ---- */

static void refresher_free(struct refresher *refresher)
{
    if (refresher == NULL)
        return;
    for (size_t i = 0; i < refresher->count; i++)
        free(refresher->secondaries[i].origins);
    free(refresher->secondaries);
    free(refresher->by_zone);
    free(refresher->origins);
    free(refresher->threads);
    timer_heap_clear(&refresher->timers);
    if (refresher->wake_fd >= 0)
        close(refresher->wake_fd);
    if (refresher->cancel_fd >= 0)
        close(refresher->cancel_fd);
    pthread_cond_destroy(&refresher->settled);
    pthread_cond_destroy(&refresher->work);
    pthread_mutex_destroy(&refresher->lock);
    free(refresher);
}

static int refresher_allocate(struct refresher *refresher, const struct refresh_zone *zones,
                              size_t count)
{
    size_t source_total = 0;
    for (size_t i = 0; i < count; i++)
        source_total += zones[i].source_count;

    refresher->by_zone_size = 4;
    while (refresher->by_zone_size < count * 2)
        refresher->by_zone_size *= 2;
    refresher->by_zone = calloc(refresher->by_zone_size, sizeof(*refresher->by_zone));
    refresher->secondaries = calloc(count + 1, sizeof(*refresher->secondaries));
    refresher->origins = calloc(source_total + 1, sizeof(*refresher->origins));
    refresher->threads = calloc(refresher->thread_max + 1, sizeof(*refresher->threads));
    if (refresher->by_zone == NULL || refresher->secondaries == NULL ||
        refresher->origins == NULL || refresher->threads == NULL)
        return -ENOMEM;
    return timer_heap_init(&refresher->timers, 2 * count);
}

static int secondary_init(struct refresher *refresher, struct secondary *secondary,
                          const struct refresh_zone *zone)
{
    secondary->zone = zone->zone;
    secondary->check.owner = secondary->expiry.owner = secondary;
    secondary->sources = zone->sources;
    secondary->source_count = zone->source_count;
    secondary->zonemd = zone->zonemd;
    secondary->origins = calloc(zone->source_count, sizeof(*secondary->origins));
    if (secondary->origins == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < zone->source_count; i++)
        secondary->origins[i] = refresh_origin_get(refresher, &zone->sources[i]);
    zone_slot_fill(refresher, secondary);
    return 0;
}

static struct refresher *refresher_create(unsigned threads, const struct refresh_handlers *handlers)
{
    struct refresher *refresher = calloc(1, sizeof(*refresher));
    if (refresher == NULL)
        return NULL;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&refresher->lock, NULL);
    pthread_cond_init(&refresher->work, NULL);
    pthread_cond_init(&refresher->settled, &monotonic);
    pthread_condattr_destroy(&monotonic);

    refresher->handlers = *handlers;
    refresher->thread_max = threads > THREADS_MIN ? threads : THREADS_MIN;
    refresher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    refresher->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return refresher;
}

static int threads_start(struct refresher *refresher)
{
    int rc = 0;
    for (; rc == 0 && refresher->thread_count <= refresher->thread_max; refresher->thread_count++)
        rc = pthread_create(&refresher->threads[refresher->thread_count], NULL,
                            refresher->thread_count == 0 ? scheduler_run : transfer_thread_run,
                            refresher);
    if (rc != 0)
        refresher->thread_count--;
    return -rc;
}

int refresher_start(const struct refresh_zone *zones, size_t count, unsigned threads,
                    const struct refresh_handlers *handlers, struct refresher **ret_refresher,
                    struct error *ret_error)
{
    for (size_t i = 0; i < count; i++)
        if (zones[i].source_count == 0 || zones[i].source_count > SOURCES_MAX)
            return error_set(ret_error, -EINVAL, "the zone %s has %zu origins: give it 1 to %d",
                             zones[i].zone->text, zones[i].source_count, SOURCES_MAX);

    struct refresher *refresher = refresher_create(threads, handlers);
    if (refresher == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = refresher->wake_fd < 0 || refresher->cancel_fd < 0
                 ? -EMFILE
                 : refresher_allocate(refresher, zones, count);
    for (; rc == 0 && refresher->count < count; refresher->count++)
        rc = secondary_init(refresher, &refresher->secondaries[refresher->count],
                            &zones[refresher->count]);
    if (rc < 0) {
        refresher_free(refresher);
        return error_set(ret_error, rc, "cannot keep %zu secondary zones fresh: %s", count,
                         strerror(-rc));
    }

    const int64_t now_ms = monotonic_ms();
    for (size_t i = 0; i < count; i++)
        secondary_start(refresher, &refresher->secondaries[i], now_ms);
    rc = threads_start(refresher);
    if (rc < 0) {
        refresher_stop(refresher);
        return error_set(ret_error, rc, "cannot start a transfer thread: %s", strerror(-rc));
    }
    *ret_refresher = refresher;
    return 0;
}

void refresher_stop(struct refresher *refresher)
{
    if (refresher == NULL)
        return;
    pthread_mutex_lock(&refresher->lock);
    refresher->stops = true;
    pthread_cond_broadcast(&refresher->work);
    pthread_mutex_unlock(&refresher->lock);
    eventfd_write(refresher->cancel_fd, 1);

    for (unsigned i = 0; i < refresher->thread_count; i++)
        pthread_join(refresher->threads[i], NULL);
    refresher_free(refresher);
}

bool refresher_has_tried_all(struct refresher *refresher)
{
    pthread_mutex_lock(&refresher->lock);
    bool tried = refresher->tried_count == refresher->count;
    pthread_mutex_unlock(&refresher->lock);
    return tried;
}

size_t refresher_wait_first(struct refresher *refresher, unsigned timeout_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += timeout_ms / 1000;
    until.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }

    pthread_mutex_lock(&refresher->lock);
    int rc = 0;
    while (refresher->tried_count < refresher->count && rc == 0)
        rc = pthread_cond_timedwait(&refresher->settled, &refresher->lock, &until);
    size_t serving = 0;
    for (size_t i = 0; i < refresher->count; i++)
        serving += atomic_load(&refresher->secondaries[i].zone->status) == ZONE_SERVING;
    pthread_mutex_unlock(&refresher->lock);
    return serving;
}
