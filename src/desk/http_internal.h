/* What the HTTP side's files share: private to http*.c, request.c, json_request.c, idempotency.c.
 */
#pragma once

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "desk/http.h"
#include "desk/request.h"
#include "desk/router.h"

/* "255.255.255.255" to IPv6 with a scope. */
#define CLIENT_TEXT_SIZE 64

struct request_text {
    struct request_text *next;
    char text[];
};

struct request {
    struct http *http;
    struct http_loop *loop; /* whose connection it came by */
    struct MHD_Connection *connection;
    struct connection_watch *watch;
    const char *method, *path;
    struct route_match match; /* route NULL: refused before one was found */
    bool answered;            /* `reply` is ready to be sent */
    bool is_early;            /* refused before its body came */
    bool has_arrived;         /* with all of its body */

    char *body;
    size_t body_size, body_room;
    bool is_too_large;
    bool is_checked;     /* who asks was looked at while the body came, and may */
    size_t body_counted; /* octets of `http->large_octets` that are this body's */
    json_t *json;
    struct request_text *texts; /* decoded for the handler */

    int64_t now_ms;
    struct sockaddr_storage client;
    char client_text[CLIENT_TEXT_SIZE];
    struct principal principal;
    struct store *store; /* of the worker that has it */

    const char *idempotency_key; /* NULL: none */
    uint8_t key_hash[32], request_hash[32];
    bool is_claimed;

    struct reply reply;
    struct request *next; /* in the queue of the workers */
};

/* A connection, watched for one that never finishes what it says. */
struct connection_watch {
    struct connection_watch *previous, *next;
    int fd;
    int64_t since_ms; /* monotonic: start, or end of the last request; 0: a request is at work */
};

/* A thread that reads and writes connections. */
struct http_loop {
    struct http_loop *next;
    struct http *http;
    struct MHD_Daemon *daemon; /* NULL: could not be started */
    int wake_fd;
    bool is_quiet; /* takes no connections any more */
    atomic_bool is_asleep, must_look;
    pthread_t thread;
    bool started;
};

struct worker;

struct http {
    struct desk *desk;
    struct http_loop *loops; /* as many as threads for each listen address */
    char *certificate, *key;

    pthread_mutex_t lock;
    pthread_cond_t work, idle;
    struct request *queue_first, **queue_last;
    unsigned queued, working, pending;
    unsigned open_requests; /* begun and not yet sent */
    bool stopping;
    struct worker *workers;
    unsigned worker_count;

    pthread_mutex_t watch_lock;
    struct connection_watch watches; /* head of a ring */
    unsigned connection_count;
    pthread_t watcher;
    bool watcher_started;
    atomic_bool draining, loops_end, watcher_ends;

    atomic_uint_fast64_t requests, answers[6], refused_queue_full, refused_bodies_full;
    atomic_size_t large_octets; /* held for large bodies */
};

/* What anybody may have the desk hold before it looks who asks. */
#define BODY_SMALL ((size_t)64 << 10)

/* ---- http_loop.c ---- */

/* Makes a loop, which http_loops_stop() frees, with room for a daemon. */
_must_check_ int http_loop_create(struct http *http, struct http_loop **ret_loop,
                                  struct error *ret_error);
/* Runs its daemon in a thread. */
_must_check_ int http_loop_start(struct http_loop *loop, struct error *ret_error);
/* Has the loops look at what has changed. */
void http_loops_wake(struct http *http);
/* When no connection is suspended. */
void http_loops_stop(struct http *http);

/* Has the loop send `request->reply`; any thread. The request is no longer the caller's. */
void http_resume(struct request *request);

/* The same for one whose body is still on its way: it is read on. */
void http_resume_reading(struct request *request);

/* ---- http_connection.c ---- */

enum MHD_Result http_on_request(void *context, struct MHD_Connection *connection, const char *path,
                                const char *method, const char *version, const char *octets,
                                size_t *size, void **request_context);
void http_on_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode code);

/* Lets go of the octets of a body that have come. While the request is the caller's. */
void http_body_drop(struct request *request);

/* ---- http_watch.c ---- */

void http_on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                        enum MHD_ConnectionNotificationCode code);
_must_check_ int http_watch_start(struct http *http, struct error *ret_error);
void http_watch_stop(struct http *http);
/* Of the connection of a request: it has arrived, or is done. */
void http_watch_set(struct request *request, bool is_waiting);

/* ---- http_workers.c ---- */

_must_check_ int http_workers_start(struct http *http, struct error *ret_error);
/* After all requests are done. */
void http_workers_stop(struct http *http);
/* Hands a suspended request over; false when the queue is full. */
bool http_workers_take(struct http *http, struct request *request);

/* ---- http_access.c ---- */

/* Finds who asks and whether they may: 0, or 1 when `reply` says why not, or a negative errno. */
_must_check_ int http_access(struct request *request, struct error *ret_error);

/* Before the body of a request is read: 1 when `reply` refuses it, since it shows no credentials
 * where some are needed. */
_must_check_ int http_access_early(struct request *request);

/* ---- http_client.c ---- */

/* Finds the client's address behind trusted proxies. */
void http_client_find(struct request *request);

/* Whether the request's header says in one way where its body ends. */
bool http_framing_is_clear(struct request *request);

/* ---- idempotency.c ---- */

/* 0: go on; 1: `reply` is what was answered before, or why it cannot be; or a negative errno. */
_must_check_ int idempotency_begin(struct request *request, struct error *ret_error);
/* In the transaction of the change. */
_must_check_ int idempotency_claim(struct request *request, struct store *store,
                                   struct error *ret_error);
/* Keeps the answer of what was done. */
void idempotency_keep(struct request *request);
