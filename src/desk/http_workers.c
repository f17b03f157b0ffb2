/* The threads that run handlers which may wait, and the queue before them. */
#include <errno.h>
#include <stdlib.h>

#include "desk/desk.h"
#include "desk/http_internal.h"

struct worker {
    struct http *http;
    struct store *store;
    pthread_t thread;
    bool started;
};

bool http_workers_take(struct http *http, struct request *request)
{
    pthread_mutex_lock(&http->lock);
    bool has_room = http->queued < http->desk->config->http.queue_max;
    if (has_room) {
        request->next = NULL;
        *http->queue_last = request;
        http->queue_last = &request->next;
        http->queued++;
        pthread_cond_signal(&http->work);
    }
    pthread_mutex_unlock(&http->lock);
    return has_room;
}

/* NULL: all is done, and the process ends. */
static struct request *request_wait(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    while (http->queue_first == NULL && !http->stopping)
        pthread_cond_wait(&http->work, &http->lock);
    struct request *request = http->queue_first;
    if (request != NULL) {
        http->queue_first = request->next;
        if (http->queue_first == NULL)
            http->queue_last = &http->queue_first;
        http->queued--;
        http->working++;
    }
    pthread_mutex_unlock(&http->lock);
    return request;
}

/* Whether the reply is ready; false: pending_finish() brings it. */
static bool request_answer(struct request *request)
{
    struct error error = {0};
    struct reply *reply = &request->reply;

    int rc = http_access(request, &error);
    if (rc == 0)
        rc = idempotency_begin(request, &error);
    if (rc == 0) {
        rc = request->match.route->handler(request, reply, &error);
        if (rc == HANDLER_PENDING)
            return false;
        if (rc == 0)
            idempotency_keep(request);
    }
    if (rc < 0 && reply_error(reply, rc, &error) < 0)
        (void)reply_status(reply, 503); /* without memory there is no text to give */
    return true;
}

/* Whether the rest of a large body is read at all. */
static void body_answer(struct request *request)
{
    struct error error = {0};
    int rc = http_access(request, &error);
    if (rc < 0 && reply_error(&request->reply, rc, &error) < 0)
        (void)reply_status(&request->reply, 503);
    request->is_checked = true;
    request->answered = rc != 0;
    if (request->answered)
        http_body_drop(request);
    http_resume_reading(request);
}

static void request_run(struct request *request)
{
    if (!request->has_arrived)
        body_answer(request);
    else if (request_answer(request))
        http_resume(request);
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    struct http *http = worker->http;
    struct request *request;

    while ((request = request_wait(http)) != NULL) {
        request->store = worker->store;
        request_run(request);
        pthread_mutex_lock(&http->lock);
        http->working--;
        pthread_cond_broadcast(&http->idle);
        pthread_mutex_unlock(&http->lock);
    }
    return NULL;
}

int http_workers_start(struct http *http, struct error *ret_error)
{
    http->worker_count = http->desk->config->http.workers;
    http->workers = calloc(http->worker_count, sizeof(*http->workers));
    if (http->workers == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the workers");
    for (unsigned i = 0; i < http->worker_count; i++) {
        struct worker *worker = &http->workers[i];
        worker->http = http;
        int rc = desk_store_open(http->desk, &worker->store, ret_error);
        if (rc < 0)
            return rc;
        rc = pthread_create(&worker->thread, NULL, worker_run, worker);
        if (rc != 0)
            return error_set(ret_error, -rc, "no thread for a worker");
        worker->started = true;
    }
    return 0;
}

void http_workers_stop(struct http *http)
{
    pthread_mutex_lock(&http->lock);
    http->stopping = true;
    pthread_cond_broadcast(&http->work);
    pthread_mutex_unlock(&http->lock);
    for (unsigned i = 0; http->workers != NULL && i < http->worker_count; i++) {
        if (http->workers[i].started)
            pthread_join(http->workers[i].thread, NULL);
        store_close(http->workers[i].store);
    }
    free(http->workers);
}
