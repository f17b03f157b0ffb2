#include "server/cache_saver.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/log.h"
#include "server/server_internal.h"

struct cache_saver {
    struct cache *cache;
    unsigned interval_s;
    pthread_t thread;
    pthread_mutex_t lock; /* of `stops` */
    pthread_cond_t stopped;
    bool stops;
    struct cache_counters saved; /* as they were before it was last written */
    char path[PATH_MAX];
};

/* What cannot be read back is asked for anew. */
static void load(const struct cache_saver *saver)
{
    uint64_t answers;
    struct error error;
    if (access(saver->path, F_OK) != 0)
        return;
    if (cache_load(saver->cache, saver->path, time(NULL), &answers, &error) < 0)
        server_log(LOG_WARNING, "%s: %s: the cache begins empty", saver->path, error.text);
    else
        server_log(LOG_INFO, "cache: %llu answers from before", (unsigned long long)answers);
}

/* Whether an answer came or went since it was written. What time alone does the next start sees by
 * itself. */
static bool has_changed(const struct cache_saver *saver, const struct cache_counters *now)
{
    return now->stored != saver->saved.stored || now->answers != saver->saved.answers ||
           now->denials != saver->saved.denials;
}

static void save(struct cache_saver *saver)
{
    uint64_t answers;
    struct error error;
    struct cache_counters now;
    cache_counters(saver->cache, &now);
    if (!has_changed(saver, &now))
        return;
    if (cache_save(saver->cache, saver->path, time(NULL), &answers, &error) < 0)
        server_log(LOG_WARNING, "%s: %s: the next start begins with the cache as it was before",
                   saver->path, error.text);
    else
        saver->saved = now;
}

/* Waits for the next time to save; false: the saver is to stop. */
static bool wait_for_turn(struct cache_saver *saver)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += saver->interval_s;
    pthread_mutex_lock(&saver->lock);
    int rc = 0;
    while (!saver->stops && rc == 0)
        rc = pthread_cond_timedwait(&saver->stopped, &saver->lock, &until);
    const bool goes_on = !saver->stops;
    pthread_mutex_unlock(&saver->lock);
    return goes_on;
}

static void *run(void *context)
{
    struct cache_saver *saver = context;
    pthread_setname_np(pthread_self(), "cache-saver");
    server_yield_to_workers();
    while (wait_for_turn(saver))
        save(saver);
    return NULL;
}

static void saver_free(struct cache_saver *saver)
{
    pthread_cond_destroy(&saver->stopped);
    pthread_mutex_destroy(&saver->lock);
    free(saver);
}

int cache_saver_start(struct cache *cache, const char *state, unsigned interval_s,
                      struct cache_saver **ret_saver, struct error *ret_error)
{
    struct cache_saver *saver = calloc(1, sizeof(*saver));
    if (saver == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    saver->cache = cache;
    saver->interval_s = interval_s;
    snprintf(saver->path, sizeof(saver->path), "%s/cache", state);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&saver->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&saver->lock, NULL);

    load(saver);
    const int rc = -pthread_create(&saver->thread, NULL, run, saver);
    if (rc < 0) {
        saver_free(saver);
        return error_set(ret_error, rc, "cannot start the thread that saves the cache: %s",
                         strerror(-rc));
    }
    *ret_saver = saver;
    return 0;
}

void cache_saver_stop(struct cache_saver *saver)
{
    if (saver == NULL)
        return;
    pthread_mutex_lock(&saver->lock);
    saver->stops = true;
    pthread_cond_signal(&saver->stopped);
    pthread_mutex_unlock(&saver->lock);
    pthread_join(saver->thread, NULL);
    save(saver);
    saver_free(saver);
}
