/* The HTTP side of the desk: connections by libmicrohttpd with epoll, and workers that run the
 * handlers that may wait.
 *
 * A request that has arrived whole is routed. A fast route is answered in the thread that read it;
 * any other is suspended, goes over a bounded queue to one of the workers, each with its own store,
 * and is resumed with its reply. A full queue answers 503. Every answer bears the headers that keep
 * a browser from doing anything with it but showing it.
 *
 * Of a body 64 KiB are read before anybody is known; then a worker looks who asks, and the rest is
 * read when the route is theirs. All large bodies together are bounded.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct desk;
struct http;

struct http_figures {
    uint64_t requests, answers_by_class[6]; /* [2]: 2xx, ... */
    uint64_t refused_queue_full, refused_bodies_full;
    uint64_t large_octets; /* held for large bodies */
    unsigned queued, working, pending, connections;
};

/* `desk` has its configuration and its router; `desk->http` is set before the first request comes.
 */
_must_check_ int http_start(struct desk *desk, struct error *ret_error);

void http_figures_get(struct http *http, struct http_figures *ret_figures);

/* Takes no new connection, waits until all requests that were read are answered, closes. NULL is
 * ignored. */
void http_stop(struct http *http);
