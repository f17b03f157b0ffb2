#include "desk/jobs.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "desk/desk.h"
#include "desk/part.h"

#define LOOK_EVERY_S 1

/* A job that failed is not tried again before this: what was in its way seldom goes at once. */
#define AGAIN_AFTER_S 5

struct jobs {
    struct desk *desk;
    struct store *store;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool ending, lock_is_lost;
    int64_t *again_at_s; /* of each job, in the order of the parts; 0: it has not failed */
};

static bool is_ending(struct jobs *jobs)
{
    pthread_mutex_lock(&jobs->lock);
    bool ending = jobs->ending;
    pthread_mutex_unlock(&jobs->lock);
    return ending;
}

static int last_run_get(struct store *store, const struct job *job, int64_t *ret_last_s,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, "SELECT last_run_at FROM jobs WHERE name = $1",
                         store_text(job->name));
    if (rc == 0)
        *ret_last_s = store_rows_count(rows) == 0 ? 0 : store_row_integer(rows, 0, 0);
    return rc;
}

static int last_run_set(struct store *store, const struct job *job, int64_t now_s,
                        struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "INSERT INTO jobs (name, last_run_at) VALUES ($1, $2) "
                        "ON CONFLICT (name) DO UPDATE SET last_run_at = excluded.last_run_at",
                        store_text(job->name), store_integer(now_s));
}

/* The time is noted after the job: one that a crash cut short runs again. */
static void job_consider(struct jobs *jobs, const struct job *job, int64_t *again_at_s)
{
    struct error error = {0};
    int64_t now_s = clock_now_s(jobs->desk->clock), last_s = 0;

    if (now_s < *again_at_s && *again_at_s - now_s <= AGAIN_AFTER_S)
        return;
    int rc = last_run_get(jobs->store, job, &last_s, &error);
    if (rc == 0 && now_s - last_s < job->period_s && last_s <= now_s)
        return;
    if (rc == 0)
        rc = job->run(jobs->desk, jobs->store, now_s, &error);
    if (rc == 0)
        rc = last_run_set(jobs->store, job, now_s, &error);
    *again_at_s = rc < 0 ? now_s + AGAIN_AFTER_S : 0;
    if (rc < 0)
        log_event(LOG_WARNING, "job %s: %s; it is tried again in %d seconds", job->name, error.text,
                  AGAIN_AFTER_S);
}

static void jobs_consider(struct jobs *jobs)
{
    size_t at = 0;
    for (size_t i = 0; i < desk_part_count; i++)
        for (size_t j = 0; j < desk_parts[i]->job_count && !is_ending(jobs); j++)
            job_consider(jobs, &desk_parts[i]->jobs[j], &jobs->again_at_s[at++]);
}

/* Another process that took the database over while this one was cut off from it must stay alone.
 */
static bool lock_is_ours(struct jobs *jobs)
{
    struct error error;
    int rc = store_lock_keep(jobs->desk->lock, &error);
    if (rc == -EBUSY) {
        log_event(LOG_ERR, "%s", error.text);
        atomic_store(&jobs->desk->must_end, true);
    } else if (rc < 0 && !jobs->lock_is_lost) {
        log_event(LOG_WARNING, "%s", error.text);
    } else if (rc == 0 && jobs->lock_is_lost) {
        log_event(LOG_INFO, "the database is back");
    }
    jobs->lock_is_lost = rc < 0;
    return rc == 0;
}

static void *jobs_run(void *context)
{
    struct jobs *jobs = context;
    while (!is_ending(jobs)) {
        if (lock_is_ours(jobs))
            jobs_consider(jobs);
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += LOOK_EVERY_S;
        pthread_mutex_lock(&jobs->lock);
        if (!jobs->ending)
            pthread_cond_timedwait(&jobs->wake, &jobs->lock, &until);
        pthread_mutex_unlock(&jobs->lock);
    }
    return NULL;
}

void jobs_wake(struct desk *desk)
{
    if (desk->jobs == NULL)
        return;
    pthread_mutex_lock(&desk->jobs->lock);
    pthread_cond_signal(&desk->jobs->wake);
    pthread_mutex_unlock(&desk->jobs->lock);
}

int jobs_start(struct desk *desk, struct jobs **ret_jobs, struct error *ret_error)
{
    struct jobs *jobs = calloc(1, sizeof(*jobs));
    if (jobs == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the jobs");
    jobs->desk = desk;
    size_t count = 0;
    for (size_t i = 0; i < desk_part_count; i++)
        count += desk_parts[i]->job_count;
    jobs->again_at_s = calloc(count + 1, sizeof(*jobs->again_at_s));
    if (jobs->again_at_s == NULL) {
        free(jobs);
        return error_set(ret_error, -ENOMEM, "out of memory while starting the jobs");
    }
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&jobs->lock, NULL);
    pthread_cond_init(&jobs->wake, &clock);
    pthread_condattr_destroy(&clock);
    int rc = desk_store_open(desk, &jobs->store, ret_error);
    if (rc == 0) {
        rc = pthread_create(&jobs->thread, NULL, jobs_run, jobs);
        if (rc != 0)
            rc = error_set(ret_error, -rc, "no thread for the jobs");
    }
    if (rc < 0) {
        store_close(jobs->store);
        free(jobs->again_at_s);
        free(jobs);
        return rc;
    }
    *ret_jobs = jobs;
    return 0;
}

void jobs_stop(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    pthread_mutex_lock(&jobs->lock);
    jobs->ending = true;
    pthread_cond_signal(&jobs->wake);
    pthread_mutex_unlock(&jobs->lock);
    pthread_join(jobs->thread, NULL);
    store_close(jobs->store);
    pthread_mutex_destroy(&jobs->lock);
    pthread_cond_destroy(&jobs->wake);
    free(jobs->again_at_s);
    free(jobs);
}
