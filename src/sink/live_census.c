#include "sink/live_census.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "sink/event_log.h"

/* Events that are taken in at a time: who asks waits for no more. */
#define BATCH_MAX 256

/* How often the log is looked at again once all is read: often enough to add little to its flush
 * time, and rarely enough to cost nothing. */
#define POLL_MS_MIN 20
#define POLL_MS_MAX 250

struct ring {
    struct sink_event events[LIVE_EVENTS_MAX];
    size_t next, count;
};

struct live_census {
    struct event_reader *reader;
    struct sink_event *batch;
    unsigned poll_ms;
    pthread_t thread;
    bool has_failed; /* the reader, last time */

    pthread_mutex_t mutex; /* everything below */
    pthread_cond_t stops;
    bool must_stop;
    struct census *census;
    struct live_census_figures figures;
    struct ring last, last_checkins;
};

static void ring_add(struct ring *ring, const struct sink_event *event)
{
    ring->events[ring->next] = *event;
    ring->next = (ring->next + 1) % LIVE_EVENTS_MAX;
    if (ring->count < LIVE_EVENTS_MAX)
        ring->count++;
}

static void feed(struct live_census *live, size_t count)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    pthread_mutex_lock(&live->mutex);
    census_set_now(live->census, (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    for (size_t i = 0; i < count; i++) {
        if (census_feed(live->census, &live->batch[i]) < 0)
            live->figures.untracked++;
        ring_add(&live->last, &live->batch[i]);
        if (live->batch[i].kind == SINK_CHECKIN)
            ring_add(&live->last_checkins, &live->batch[i]);
    }
    live->figures.events += count;
    live->figures.damaged = event_reader_damaged(live->reader);
    if (count < BATCH_MAX)
        live->figures.is_caught_up = true;
    pthread_mutex_unlock(&live->mutex);
}

/* Takes in what there is, a batch at most; returns how many. */
static size_t batch_read(struct live_census *live)
{
    struct error error = {0};
    size_t count = 0;
    int rc = 1;

    while (count < BATCH_MAX && rc == 1) {
        rc = event_reader_next(live->reader, &live->batch[count], &error);
        if (rc == 1)
            count++;
    }
    if (rc < 0 && !live->has_failed)
        log_event(LOG_WARNING, "the census cannot read the events: %s", error.text);
    live->has_failed = rc < 0;
    feed(live, count);
    return count;
}

/* Waits for more events; false when it is to stop. */
static bool pause_or_stop(struct live_census *live, bool has_more)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)live->poll_ms * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;

    pthread_mutex_lock(&live->mutex);
    int rc = 0;
    while (!has_more && !live->must_stop && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&live->stops, &live->mutex, &until);
    bool goes_on = !live->must_stop;
    pthread_mutex_unlock(&live->mutex);
    return goes_on;
}

static void *live_main(void *argument)
{
    struct live_census *live = argument;
    bool has_more;

    pthread_setname_np(pthread_self(), "census");
    do
        has_more = batch_read(live) == BATCH_MAX;
    while (pause_or_stop(live, has_more));
    return NULL;
}

static void live_free(struct live_census *live)
{
    event_reader_close(live->reader);
    census_free(live->census);
    pthread_cond_destroy(&live->stops);
    pthread_mutex_destroy(&live->mutex);
    free(live->batch);
    free(live);
}

/* Signals are the main thread's: a new thread inherits the mask that blocks them. */
static int thread_start(struct live_census *live)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&live->thread, NULL, live_main, live);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

int live_census_start(const struct live_census_options *options, struct live_census **ret_live,
                      struct error *ret_error)
{
    struct live_census *live = calloc(1, sizeof(*live));
    pthread_condattr_t monotonic;

    if (live == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the census");
    live->poll_ms = options->flush_ms / 4;
    if (live->poll_ms < POLL_MS_MIN)
        live->poll_ms = POLL_MS_MIN;
    if (live->poll_ms > POLL_MS_MAX)
        live->poll_ms = POLL_MS_MAX;
    pthread_mutex_init(&live->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&live->stops, &monotonic);
    pthread_condattr_destroy(&monotonic);

    live->batch = calloc(BATCH_MAX, sizeof(*live->batch));
    live->census = census_create(options->census);
    int rc = 0;
    if (live->batch == NULL || live->census == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory for the census");
    if (rc == 0)
        rc = event_reader_open(options->events, 0, 0, NULL, &live->reader, ret_error);
    if (rc == 0 && (rc = thread_start(live)) < 0)
        rc = error_set(ret_error, rc, "the census cannot start its thread: %s", strerror(-rc));
    if (rc < 0) {
        live_free(live);
        return rc;
    }
    *ret_live = live;
    return 0;
}

void live_census_stop(struct live_census *live)
{
    if (live == NULL)
        return;
    pthread_mutex_lock(&live->mutex);
    live->must_stop = true;
    pthread_cond_signal(&live->stops);
    pthread_mutex_unlock(&live->mutex);
    pthread_join(live->thread, NULL);
    live_free(live);
}

const struct census *live_census_take(struct live_census *live)
{
    pthread_mutex_lock(&live->mutex);
    return live->census;
}

void live_census_give_back(struct live_census *live)
{
    pthread_mutex_unlock(&live->mutex);
}

void live_census_figures(struct live_census *live, struct live_census_figures *ret_figures)
{
    pthread_mutex_lock(&live->mutex);
    *ret_figures = live->figures;
    ret_figures->memory = census_memory(live->census);
    pthread_mutex_unlock(&live->mutex);
}

size_t live_census_last(struct live_census *live, bool checkins, size_t count_max,
                        struct sink_event ret_events[static LIVE_EVENTS_MAX])
{
    const struct ring *ring = checkins ? &live->last_checkins : &live->last;

    pthread_mutex_lock(&live->mutex);
    size_t count = ring->count < count_max ? ring->count : count_max;
    for (size_t i = 0; i < count; i++)
        ret_events[i] = ring->events[(ring->next + LIVE_EVENTS_MAX - 1 - i) % LIVE_EVENTS_MAX];
    pthread_mutex_unlock(&live->mutex);
    return count;
}
