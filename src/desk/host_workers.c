#include "desk/host_workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "desk/desk.h"

struct worker {
    struct host_workers *workers;
    struct store *store;
    pthread_t thread;
    bool started;
};

struct host_workers {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct host_work *first, **last;
    size_t waiting, waiting_max;
    bool ending;
    unsigned count;
    struct worker list[];
};

bool host_workers_take(struct host_workers *workers, struct host_work *work)
{
    pthread_mutex_lock(&workers->lock);
    bool has_room = workers->waiting < workers->waiting_max && !workers->ending;
    if (has_room) {
        work->next = NULL;
        *workers->last = work;
        workers->last = &work->next;
        workers->waiting++;
        pthread_cond_signal(&workers->some);
    }
    pthread_mutex_unlock(&workers->lock);
    return has_room;
}

/* NULL: all is done, and it ends. */
static struct host_work *work_wait(struct host_workers *workers)
{
    pthread_mutex_lock(&workers->lock);
    while (workers->first == NULL && !workers->ending)
        pthread_cond_wait(&workers->some, &workers->lock);
    struct host_work *work = workers->first;
    if (work != NULL) {
        workers->first = work->next;
        if (workers->first == NULL)
            workers->last = &workers->first;
        workers->waiting--;
    }
    pthread_mutex_unlock(&workers->lock);
    return work;
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    struct host_work *work;
    while ((work = work_wait(worker->workers)) != NULL)
        work->run(work, worker->store);
    return NULL;
}

int host_workers_start(struct desk *desk, unsigned threads, size_t waiting_max,
                       struct host_workers **ret_workers, struct error *ret_error)
{
    struct host_workers *workers = calloc(1, sizeof(*workers) + threads * sizeof(workers->list[0]));
    if (workers == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting what serves updates");
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->some, NULL);
    workers->last = &workers->first;
    workers->waiting_max = waiting_max;
    workers->count = threads;
    for (unsigned i = 0; i < threads; i++) {
        struct worker *worker = &workers->list[i];
        worker->workers = workers;
        int rc = desk_store_open(desk, &worker->store, ret_error);
        if (rc == 0) {
            rc = pthread_create(&worker->thread, NULL, worker_run, worker);
            if (rc != 0)
                rc = error_set(ret_error, -rc, "no thread for updates");
        }
        if (rc < 0) {
            host_workers_stop(workers);
            return rc;
        }
        worker->started = true;
    }
    *ret_workers = workers;
    return 0;
}

void host_workers_stop(struct host_workers *workers)
{
    if (workers == NULL)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->some);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->count; i++) {
        if (workers->list[i].started)
            pthread_join(workers->list[i].thread, NULL);
        store_close(workers->list[i].store);
    }
    pthread_mutex_destroy(&workers->lock);
    pthread_cond_destroy(&workers->some);
    free(workers);
}
