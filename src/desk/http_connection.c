/* One request on its way: read within its bounds, routed, handed on, and its reply sent. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/desk.h"
#include "desk/http_internal.h"

/* Of a body that is too large and has no length, this much is read and dropped so that the client
 * sees the answer; whoever goes on is cut off. */
#define DROPPED_MAX (1 << 20)

#define BODY_ROOM_FIRST 4096

/* The room that a body has when it grows over BODY_SMALL, and its sender is looked at. */
#define BODY_COUNTED (2 * BODY_SMALL)

/* ---- Beginning ---- */

static int path_refuse(struct request *request, int rc)
{
    struct reply *reply = &request->reply;
    char allow[128];

    if (rc == -EINVAL)
        return reply_problem(reply, 400, "invalid", "encode it as RFC 3986 says", NULL,
                             "the path has a part that cannot be");
    if (rc == -ENOENT)
        return reply_problem(reply, 404, "not-found", "/openapi.json lists what there is", NULL,
                             "there is no such path");
    if (!router_allow(request->http->desk->router, request->path, allow, sizeof(allow)))
        return -ENOMEM;
    if (reply_header_add(reply, "Allow", allow) < 0)
        return -ENOMEM;
    if (strcmp(request->method, "OPTIONS") == 0)
        return reply_status(reply, 204);
    return reply_problem(reply, 405, "method-not-allowed", NULL, NULL, "the path takes %s", allow);
}

static bool type_fits(const struct route *route, const char *type)
{
    const char *wanted = route->body_type != NULL ? route->body_type : "application/json";
    if (strcmp(wanted, "*") == 0)
        return true;
    size_t size = strlen(wanted);
    return type != NULL && strncasecmp(type, wanted, size) == 0 &&
           (type[size] == '\0' || type[size] == ';' || type[size] == ' ');
}

/* 0, or the request is refused: `reply` says why. */
static int body_check(struct request *request)
{
    const struct route *route = request->match.route;
    const char *length = request_header(request, "Content-Length");
    bool has_body = (length != NULL && strcmp(length, "0") != 0) ||
                    request_header(request, "Transfer-Encoding") != NULL;

    request->is_early = has_body; /* for whatever is wrong now */
    if (!has_body)
        return 0;
    if (length != NULL && strtoull(length, NULL, 10) > BODY_SMALL &&
        http_access_early(request) != 0) {
        request->answered = true;
        return 0;
    }
    if (length != NULL && strtoull(length, NULL, 10) > route->body_max) {
        request->answered = true;
        return reply_problem(&request->reply, 413, "too-large", NULL, NULL,
                             "the body may have %zu octets", route->body_max);
    }
    if (!type_fits(route, request_header(request, "Content-Type"))) {
        request->answered = true;
        return reply_problem(&request->reply, 415, "unsupported-type", NULL, NULL,
                             "the body must be %s",
                             route->body_type != NULL ? route->body_type : "application/json");
    }
    return 0;
}

static int framing_refuse(struct request *request)
{
    struct reply *reply = &request->reply;

    request->answered = request->is_early = true;
    if (reply_header_add(reply, "Connection", "close") < 0)
        return -ENOMEM;
    return reply_problem(reply, 400, "invalid", "send one Content-Length, or chunks", NULL,
                         "where the body ends is not clear");
}

static int route_find(struct request *request)
{
    if (!http_framing_is_clear(request))
        return framing_refuse(request);
    int rc =
        router_find(request->http->desk->router, request->method, request->path, &request->match);
    if (rc == 0)
        return body_check(request);
    request->match.route = NULL;
    request->answered = true;
    request->is_early = request_header(request, "Content-Length") != NULL ||
                        request_header(request, "Transfer-Encoding") != NULL;
    return path_refuse(request, rc);
}

static struct request *request_begin(struct http_loop *loop, struct MHD_Connection *connection,
                                     const char *path, const char *method)
{
    struct http *http = loop->http;
    struct request *request = malloc(sizeof(*request));
    if (request == NULL)
        return NULL;
    /* All but the room for values of the path, which is larger than the rest. */
    memset(request, 0, offsetof(struct request, match));
    memset(&request->match, 0, offsetof(struct route_match, values));
    request->match.count = 0;
    memset(&request->answered, 0, sizeof(*request) - offsetof(struct request, answered));
    request->http = http;
    request->loop = loop;
    request->connection = connection;
    request->path = path;
    request->method = method;
    request->principal.role = ROLE_PUBLIC;
    request->reply = REPLY_EMPTY;
    request->now_ms = clock_now_ms(http->desk->clock);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    request->watch = info != NULL ? info->socket_context : NULL;
    http_client_find(request);

    pthread_mutex_lock(&http->lock);
    http->open_requests++;
    pthread_mutex_unlock(&http->lock);
    atomic_fetch_add(&http->requests, 1);
    return request;
}

void http_body_drop(struct request *request)
{
    atomic_fetch_sub(&request->http->large_octets, request->body_counted);
    request->body_counted = 0;
    free(request->body);
    request->body = NULL;
    request->body_room = 0;
}

void http_on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode code)
{
    struct request *request = *request_context;

    (void)context, (void)connection, (void)code;
    if (request == NULL)
        return;
    struct http *http = request->http;
    *request_context = NULL;
    http_watch_set(request, true);
    reply_clear(&request->reply);
    json_decref(request->json);
    http_body_drop(request);
    while (request->texts != NULL) {
        struct request_text *text = request->texts;
        request->texts = text->next;
        free(text);
    }
    free(request);

    pthread_mutex_lock(&http->lock);
    http->open_requests--;
    pthread_cond_broadcast(&http->idle);
    pthread_mutex_unlock(&http->lock);
}

/* ---- Body ---- */

/* All large bodies together are bounded, and those of strangers to half of that, so that they keep
 * nobody out who has signed in. False: there is no room, and the request is refused. */
static bool room_take(struct request *request, size_t room)
{
    struct http *http = request->http;
    size_t total = (size_t)http->desk->config->http.bodies_mib_max << 20;
    size_t limit = request->principal.kind == PRINCIPAL_PUBLIC ? total / 2 : total;
    size_t more = room - request->body_counted;

    /* What comes until it is known who asks is nobody's share: strangers who have used up theirs
     * would keep out those who have signed in, too. */
    if (room <= BODY_COUNTED)
        return true;
    if (atomic_fetch_add(&http->large_octets, more) + more > limit) {
        atomic_fetch_sub(&http->large_octets, more);
        return false;
    }
    request->body_counted = room;
    return true;
}

static bool bodies_full(struct request *request)
{
    atomic_fetch_add(&request->http->refused_bodies_full, 1);
    http_body_drop(request);
    request->answered = true;
    return reply_problem(&request->reply, 503, "busy", "try again in a few seconds", NULL,
                         "more is being sent than can be held at the moment") == 0 &&
           reply_header_add(&request->reply, "Retry-After", "5") == 0;
}

/* Credentials are checked before a large body is read on, by a worker, since that asks the store.
 */
static bool needs_check(const struct request *request)
{
    const struct route *route = request->match.route;
    return !request->answered && !request->is_checked && !request->is_too_large &&
           request->body_size > BODY_SMALL && !route->fast && !route->tells_own;
}

static bool check_ask(struct request *request)
{
    MHD_suspend_connection(request->connection);
    if (http_workers_take(request->http, request))
        return true;
    bool is_refused = bodies_full(request);
    http_resume_reading(request);
    return is_refused;
}

static bool body_add(struct request *request, const char *octets, size_t size)
{
    size_t body_max = request->match.route != NULL ? request->match.route->body_max : 0;

    if (request->is_too_large || request->body_size + size > body_max) {
        request->is_too_large = true;
        request->body_size += size;
        return request->body_size <= body_max + DROPPED_MAX;
    }
    size_t needed = request->body_size + size + 1;
    if (needed > request->body_room) {
        size_t room = request->body_room == 0 ? BODY_ROOM_FIRST : request->body_room * 2;
        room = room < needed ? needed : room;
        room = room > body_max + 1 ? body_max + 1 : room;
        if (!room_take(request, room))
            return bodies_full(request);
        char *moved = realloc(request->body, room);
        if (moved == NULL)
            return false;
        request->body = moved;
        request->body_room = room;
    }
    memcpy(request->body + request->body_size, octets, size);
    request->body_size += size;
    request->body[request->body_size] = '\0';
    return true;
}

/* ---- Sending ---- */

static struct MHD_Response *response_make(struct reply *reply)
{
    struct MHD_Response *response;

    if (reply->fd >= 0) {
        response = MHD_create_response_from_fd(reply->size, reply->fd);
        if (response != NULL)
            reply->fd = -1;
        return response;
    }
    response = MHD_create_response_from_buffer(reply->size, reply->body,
                                               reply->body_is_constant || reply->body == NULL
                                                   ? MHD_RESPMEM_PERSISTENT
                                                   : MHD_RESPMEM_MUST_FREE);
    if (response != NULL)
        reply->body = NULL;
    return response;
}

static bool has_header(const struct reply *reply, const char *name)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcasecmp(reply->headers[i].name, name) == 0)
            return true;
    return false;
}

/* Nothing that is answered here is to be run, framed, guessed at or kept, unless the handler says
 * so. */
static bool headers_add(const struct request *request, struct MHD_Response *response)
{
    static const struct reply_header always[] = {
        {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
        {"X-Content-Type-Options", "nosniff"},
        {"Cache-Control", "no-store"},
        {"Referrer-Policy", "no-referrer"},
    };
    const struct reply *reply = &request->reply;
    bool is_added = true;

    for (size_t i = 0; i < sizeof(always) / sizeof(always[0]) && is_added; i++)
        if (!has_header(reply, always[i].name))
            is_added =
                MHD_add_response_header(response, always[i].name, always[i].value) == MHD_YES;
    for (size_t i = 0; i < reply->header_count && is_added; i++)
        is_added = MHD_add_response_header(response, reply->headers[i].name,
                                           reply->headers[i].value) == MHD_YES;
    if (is_added && reply->type != NULL)
        is_added = MHD_add_response_header(response, "Content-Type", reply->type) == MHD_YES;
    if (is_added && strncmp(request->http->desk->config->http.base, "https:", 6) == 0)
        is_added = MHD_add_response_header(response, "Strict-Transport-Security",
                                           "max-age=31536000") == MHD_YES;
    if (is_added && atomic_load(&request->http->draining))
        is_added = MHD_add_response_header(response, "Connection", "close") == MHD_YES;
    return is_added;
}

static enum MHD_Result reply_send(struct request *request)
{
    struct reply *reply = &request->reply;
    if (reply->status == 0)
        (void)reply_status(reply, 500); /* a handler that filled nothing */
    struct MHD_Response *response = response_make(reply);
    if (response == NULL)
        return MHD_NO;
    enum MHD_Result result = MHD_NO;
    if (headers_add(request, response))
        result = MHD_queue_response(request->connection, reply->status, response);
    MHD_destroy_response(response);
    atomic_fetch_add(&request->http->answers[reply->status / 100 % 6], 1);
    return result;
}

/* ---- Handing on ---- */

static enum MHD_Result fast_run(struct request *request)
{
    struct error error = {0};
    int rc = request->match.route->handler(request, &request->reply, &error);
    if (rc == HANDLER_PENDING)
        return MHD_YES; /* whoever has it may have answered already: it is not ours to look at */
    if (rc < 0 && reply_error(&request->reply, rc, &error) < 0)
        return MHD_NO;
    return reply_send(request);
}

static enum MHD_Result queue_full(struct request *request)
{
    struct reply *reply = &request->reply;
    atomic_fetch_add(&request->http->refused_queue_full, 1);
    if (reply_problem(reply, 503, "busy", "try again in a few seconds", NULL,
                      "more is asked than can be done at the moment") < 0 ||
        reply_header_add(reply, "Retry-After", "2") < 0)
        (void)reply_status(reply, 503);
    http_resume(request);
    return MHD_YES;
}

static enum MHD_Result request_dispatch(struct request *request)
{
    http_watch_set(request, false);
    request->has_arrived = true;
    if (request->is_too_large) {
        if (reply_problem(&request->reply, 413, "too-large", NULL, NULL,
                          "the body may have %zu octets", request->match.route->body_max) < 0)
            return MHD_NO;
        return reply_send(request);
    }
    if (request->match.route->fast)
        return fast_run(request);
    /* First suspended: once it is in the queue a worker may resume it. */
    MHD_suspend_connection(request->connection);
    if (http_workers_take(request->http, request))
        return MHD_YES;
    return queue_full(request);
}

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *octets,
                                size_t *size, void **request_context)
{
    struct request *request = *request_context;

    (void)version;
    if (request == NULL) {
        request = request_begin(context, connection, path, method);
        *request_context = request;
        if (request == NULL || route_find(request) < 0)
            return MHD_NO;
        /* A body that is refused is not waited for; without one the connection stays. */
        return request->answered && request->is_early ? reply_send(request) : MHD_YES;
    }
    if (*size > 0) {
        bool is_taken = request->answered || body_add(request, octets, *size);
        *size = 0;
        if (is_taken && needs_check(request))
            is_taken = check_ask(request);
        return is_taken ? MHD_YES : MHD_NO;
    }
    return request->answered ? reply_send(request) : request_dispatch(request);
}
