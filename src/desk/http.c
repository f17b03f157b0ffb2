/* Starting, draining and ending what serves HTTP. */
#include "desk/http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file_text.h"
#include "base/tls_files.h"
#include "desk/desk.h"
#include "desk/http_internal.h"

/* Room for a request's line and headers, and for an answer's headers; longer ones are refused
 * (431). */
#define CONNECTION_MEMORY 16384

#define PEM_SIZE_MAX (1 << 20)

/* How long a drain waits for requests that have not arrived yet beyond the time they have for it.
 */
#define DRAIN_EXTRA_S 2

static const char priority_text[] = TLS_PRIORITY_BASE ":+VERS-TLS1.3:+VERS-TLS1.2:"
                                                      "%SERVER_PRECEDENCE";

/* Paths and queries are decoded where they are used, since what is decoded first and taken apart
 * then means something else. */
static size_t leave_escaped(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    return strlen(text);
}

static void library_log(void *context, const char *format, va_list arguments)
{
    (void)context, (void)format, (void)arguments; /* what clients do wrong is no news */
}

static int pem_read(const char *path, char **ret_text, struct error *ret_error)
{
    struct file_text text;
    int rc = file_text_read(path, PEM_SIZE_MAX, &text, ret_error);
    if (rc == 0)
        *ret_text = text.octets;
    return rc;
}

static int daemon_start(struct http *http, const struct config_address *address,
                        struct error *ret_error)
{
    const struct desk_config_http *config = &http->desk->config->http;
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (address->address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    if (config->certificate != NULL)
        flags |= MHD_USE_TLS;
    const struct MHD_OptionItem tls[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, http->certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, http->key},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)priority_text},
        {MHD_OPTION_END, 0, NULL},
    };
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    const unsigned connections_max =
        (config->connections_max + config->threads - 1) / config->threads;

    struct http_loop *loop;
    int rc = http_loop_create(http, &loop, ret_error);
    if (rc < 0)
        return rc;
    loop->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, http_on_request, loop, MHD_OPTION_EXTERNAL_LOGGER, library_log, NULL,
        MHD_OPTION_SOCK_ADDR, (const struct sockaddr *)&address->address,
        MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, NULL, MHD_OPTION_NOTIFY_CONNECTION,
        http_on_connection, http, MHD_OPTION_UNESCAPE_CALLBACK, leave_escaped, NULL,
        MHD_OPTION_CONNECTION_LIMIT, connections_max, MHD_OPTION_PER_IP_CONNECTION_LIMIT,
        config->connections_per_address_max, MHD_OPTION_CONNECTION_TIMEOUT, config->timeout_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
        MHD_OPTION_LISTENING_ADDRESS_REUSE, 1u, MHD_OPTION_LISTEN_BACKLOG_SIZE, 1024u,
        MHD_OPTION_ARRAY, config->certificate != NULL ? tls : none, MHD_OPTION_END);
    if (loop->daemon == NULL)
        return error_set(
            ret_error, -EADDRINUSE,
            "cannot serve HTTP on %s: another program has the port, or the certificate "
            "and its key don't fit",
            address->text);
    return http_loop_start(loop, ret_error);
}

static int daemons_start(struct http *http, struct error *ret_error)
{
    const struct desk_config_http *config = &http->desk->config->http;
    int rc = 0;

    if (config->certificate != NULL) {
        rc = pem_read(config->certificate, &http->certificate, ret_error);
        if (rc == 0)
            rc = pem_read(config->key, &http->key, ret_error);
    }
    for (size_t i = 0; i < config->listen_count; i++)
        for (unsigned j = 0; j < config->threads && rc == 0; j++)
            rc = daemon_start(http, &config->listen[i], ret_error);
    return rc;
}

int http_start(struct desk *desk, struct error *ret_error)
{
    struct http *http = calloc(1, sizeof(*http));
    if (http == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting HTTP");
    http->desk = desk;
    pthread_condattr_t clock;
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_mutex_init(&http->lock, NULL);
    pthread_cond_init(&http->work, NULL);
    pthread_cond_init(&http->idle, &clock);
    pthread_condattr_destroy(&clock);
    pthread_mutex_init(&http->watch_lock, NULL);
    http->watches.next = http->watches.previous = &http->watches;
    http->queue_last = &http->queue_first;

    /* Before the first request comes, whose handler may look at it. */
    desk->http = http;
    int rc = http_workers_start(http, ret_error);
    if (rc == 0)
        rc = http_watch_start(http, ret_error);
    if (rc == 0)
        rc = daemons_start(http, ret_error);
    if (rc < 0) {
        http_stop(http);
        desk->http = NULL;
        return rc;
    }
    return 0;
}

void http_figures_get(struct http *http, struct http_figures *ret_figures)
{
    struct http_figures figures = {
        .requests = atomic_load(&http->requests),
        .refused_queue_full = atomic_load(&http->refused_queue_full),
        .refused_bodies_full = atomic_load(&http->refused_bodies_full),
        .large_octets = atomic_load(&http->large_octets),
    };
    for (size_t i = 0; i < 6; i++)
        figures.answers_by_class[i] = atomic_load(&http->answers[i]);
    pthread_mutex_lock(&http->lock);
    figures.queued = http->queued;
    figures.working = http->working;
    figures.pending = http->pending;
    pthread_mutex_unlock(&http->lock);
    pthread_mutex_lock(&http->watch_lock);
    figures.connections = http->connection_count;
    pthread_mutex_unlock(&http->watch_lock);
    *ret_figures = figures;
}

/* Waits for what has been asked: as long as a handler takes, and no longer for a request that is
 * still on its way than it may take to arrive. A connection that is suspended must not be closed.
 */
static void wait_until_idle(struct http *http)
{
    struct timespec deadline;
    clock_gettime(CLOCK_MONOTONIC, &deadline);
    deadline.tv_sec += http->desk->config->http.timeout_s + DRAIN_EXTRA_S;

    pthread_mutex_lock(&http->lock);
    bool in_time = true;
    while (http->queued + http->working + http->pending > 0 ||
           (http->open_requests > 0 && in_time)) {
        if (in_time)
            in_time = pthread_cond_timedwait(&http->idle, &http->lock, &deadline) != ETIMEDOUT;
        else
            pthread_cond_wait(&http->idle, &http->lock);
    }
    pthread_mutex_unlock(&http->lock);
}

void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    atomic_store(&http->draining, true);
    http_loops_wake(http);
    wait_until_idle(http);
    http_loops_stop(http);
    http_watch_stop(http);
    http_workers_stop(http);
    pthread_mutex_destroy(&http->lock);
    pthread_cond_destroy(&http->work);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->watch_lock);
    free(http->certificate);
    free(http->key);
    free(http);
}
