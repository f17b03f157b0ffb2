/* Clients that say what they say slowly, an octet at a time: libmicrohttpd's time limit begins
 * again with every octet, this one does not. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>

#include "desk/desk.h"
#include "desk/http_internal.h"

/* From a connection's beginning, or from the end of its last request, until the next one has
 * arrived whole: this many times the limit for silence, so that a slow line may still send a large
 * list. */
#define ARRIVAL_FACTOR 4

#define LOOK_EVERY_MS 500

static int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void watch_add(struct http *http, struct MHD_Connection *connection, void **socket_context)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct connection_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL)
        return; /* a connection that nobody watches is still bounded by the limit for silence */
    watch->fd = info->connect_fd;
    watch->since_ms = monotonic_ms();

    pthread_mutex_lock(&http->watch_lock);
    watch->next = &http->watches;
    watch->previous = http->watches.previous;
    watch->previous->next = watch->next->previous = watch;
    http->connection_count++;
    pthread_mutex_unlock(&http->watch_lock);
    *socket_context = watch;
}

void http_on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        watch_add(http, connection, socket_context);
        return;
    }
    /* Before the socket is closed, so that no other one has its number yet. */
    struct connection_watch *watch = *socket_context;
    if (watch == NULL)
        return;
    pthread_mutex_lock(&http->watch_lock);
    watch->previous->next = watch->next;
    watch->next->previous = watch->previous;
    http->connection_count--;
    pthread_mutex_unlock(&http->watch_lock);
    free(watch);
    *socket_context = NULL;
}

void http_watch_set(struct request *request, bool is_waiting)
{
    if (request->watch == NULL)
        return;
    int64_t since_ms = is_waiting ? monotonic_ms() : 0;
    pthread_mutex_lock(&request->http->watch_lock);
    request->watch->since_ms = since_ms;
    pthread_mutex_unlock(&request->http->watch_lock);
}

static void *watch_run(void *context)
{
    struct http *http = context;
    const int64_t limit_ms = (int64_t)http->desk->config->http.timeout_s * 1000 * ARRIVAL_FACTOR;
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_MS * 1000000L};

    while (!atomic_load(&http->watcher_ends)) {
        int64_t now_ms = monotonic_ms();
        pthread_mutex_lock(&http->watch_lock);
        struct connection_watch *watch = http->watches.next;
        for (; watch != &http->watches; watch = watch->next)
            if (watch->since_ms != 0 && now_ms - watch->since_ms > limit_ms)
                (void)shutdown(watch->fd, SHUT_RDWR); /* its thread sees the end and closes it */
        pthread_mutex_unlock(&http->watch_lock);
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

int http_watch_start(struct http *http, struct error *ret_error)
{
    int rc = pthread_create(&http->watcher, NULL, watch_run, http);
    if (rc != 0)
        return error_set(ret_error, -rc, "no thread to watch connections with");
    http->watcher_started = true;
    return 0;
}

void http_watch_stop(struct http *http)
{
    if (!http->watcher_started)
        return;
    atomic_store(&http->watcher_ends, true);
    pthread_join(http->watcher, NULL);
}
