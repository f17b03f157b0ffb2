/* Two pages over HTTP: libmicrohttpd's own thread, bounded connections, a body made per request. */
#include "service/metrics.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A scraper or two and a health check; more wait in the backlog. */
#define CONNECTIONS_MAX 32

/* A client that sends nothing for so long is closed, so that CONNECTIONS_MAX idle ones don't keep
 * the scraper out. */
#define TIMEOUT_S 10

#define LISTEN_BACKLOG 64

struct metrics_server {
    struct metrics_source source;
    struct MHD_Daemon *daemon;
};

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status, const char *type,
                               const char *allow, char *body, size_t size,
                               enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(size, body, mode);
    if (response == NULL) {
        if (mode == MHD_RESPMEM_MUST_FREE)
            free(body);
        return MHD_NO;
    }

    enum MHD_Result result = MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (result == MHD_YES)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    if (result == MHD_YES && allow != NULL)
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, allow);
    if (result == MHD_YES)
        result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned status,
                                    const char *allow, const char *text)
{
    return respond(connection, status, "text/plain; charset=utf-8", allow, (char *)text,
                   strlen(text), MHD_RESPMEM_PERSISTENT);
}

static enum MHD_Result respond_metrics(const struct metrics_server *server,
                                       struct MHD_Connection *connection)
{
    char *body = NULL;
    size_t size = 0;

    FILE *stream = open_memstream(&body, &size);
    if (stream == NULL)
        return MHD_NO;
    server->source.write(server->source.context, stream);
    if (fclose(stream) != 0) { /* out of memory: half a page would look like counters reset */
        free(body);
        return respond_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "out of memory\n");
    }
    return respond(connection, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", NULL, body,
                   size, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result respond_health(const struct metrics_server *server,
                                      struct MHD_Connection *connection)
{
    char *body = NULL;
    size_t size = 0;

    FILE *stream = open_memstream(&body, &size);
    if (stream == NULL)
        return MHD_NO;
    bool healthy = server->source.healthy(server->source.context, stream);
    bool silent = ftell(stream) == 0;
    if (silent)
        fputs(healthy ? "ok\n" : "not healthy\n", stream);
    if (fclose(stream) != 0) {
        free(body);
        return respond_text(connection, MHD_HTTP_INTERNAL_SERVER_ERROR, NULL, "out of memory\n");
    }
    return respond(connection, healthy ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                   "text/plain; charset=utf-8", NULL, body, size, MHD_RESPMEM_MUST_FREE);
}

static enum MHD_Result answer(void *context, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *upload,
                              size_t *upload_size, void **request_state)
{
    const struct metrics_server *server = context;
    bool metrics = strcmp(url, "/metrics") == 0;
    bool health = strcmp(url, "/healthz") == 0;

    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request_state;
    if (!metrics && !health)
        return respond_text(connection, MHD_HTTP_NOT_FOUND, NULL,
                            "not found: ask for /metrics or /healthz\n");
    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
        return respond_text(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD",
                            "method not allowed: use GET\n");
    return metrics ? respond_metrics(server, connection) : respond_health(server, connection);
}

/* What clients do wrong is no news for the server's log. */
static void be_silent(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

/* Opens the socket ourselves: libmicrohttpd doesn't say why it fails to. */
static int listener_open(const struct sockaddr *address, socklen_t size, struct error *ret_error)
{
    char host[64] = "?", port[16] = "?";
    const int on = 1;

    getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0 &&
        (address->sa_family != AF_INET6 ||
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0) &&
        bind(fd, address, size) == 0 && listen(fd, LISTEN_BACKLOG) == 0)
        return fd;

    int rc = -errno;
    if (fd >= 0)
        close(fd);
    return error_set(ret_error, rc,
                     "metrics cannot listen on %s@%s: %s; configure another \"metrics\" address",
                     host, port, strerror(-rc));
}

/* Signals are the main thread's: libmicrohttpd's inherits the mask that blocks them. */
static struct MHD_Daemon *daemon_start(struct metrics_server *server, int fd)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_EPOLL | MHD_USE_ITC | MHD_USE_ERROR_LOG, 0, NULL,
        NULL, answer, server, MHD_OPTION_EXTERNAL_LOGGER, be_silent, NULL, MHD_OPTION_LISTEN_SOCKET,
        fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)TIMEOUT_S, MHD_OPTION_END);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return daemon;
}

int metrics_server_start(const struct sockaddr *address, socklen_t size,
                         const struct metrics_source *source, struct metrics_server **ret_server,
                         struct error *ret_error)
{
    int fd = listener_open(address, size, ret_error);
    if (fd < 0)
        return fd;

    struct metrics_server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        close(fd);
        return error_set(ret_error, -ENOMEM, "out of memory for metrics");
    }
    server->source = *source;
    server->daemon = daemon_start(server, fd);
    if (server->daemon == NULL) {
        /* The socket stays: whether libmicrohttpd closed it depends on where it failed, and a
         * second close could hit a descriptor of another thread. */
        free(server);
        return error_set(ret_error, -ENOMEM, "metrics cannot start: out of memory or descriptors");
    }
    *ret_server = server;
    return 0;
}

void metrics_server_stop(struct metrics_server *server)
{
    if (server == NULL)
        return;
    MHD_stop_daemon(server->daemon); /* closes the socket as well */
    free(server);
}
