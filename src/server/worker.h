/* The worker threads: sockets, batches, TCP and TLS connections. What an answer is, the worker
 * doesn't know.
 *
 * Each worker owns one UDP socket and one TCP listener per address, of a TLS address the listener
 * alone (SO_REUSEPORT), and one epoll loop; workers share nothing. A worker is an RCU reader:
 * registered, quiescent once per loop, offline while it waits.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "server/responder.h"

/* Answers one request: responder_answer()'s contract; `context` is the worker's own. */
typedef size_t answer_fn(void *context, const uint8_t *request, size_t request_size,
                         const struct sockaddr *client, enum transport transport, int64_t now,
                         uint8_t *response, size_t response_max);

/* Answers the requests of one batch: responder_answer_batch()'s contract. */
typedef void answer_batch_fn(void *context, struct responder_datagram *datagrams, size_t count,
                             int64_t now, size_t response_max);

struct worker_address {
    struct sockaddr_storage address;
    socklen_t size;
    bool is_tls; /* DNS over TLS (RFC 7858) instead of UDP and TCP */
};

struct tls_server;

struct worker_options {
    const struct worker_address *listen;
    size_t listen_count;
    unsigned worker_count;
    unsigned tcp_clients_max; /* per worker; the longest idle one gives way to a new one */
    unsigned tcp_clients_per_address_max; /* per worker and client address (IPv6: per /64) */
    /* RFC 7766, 6.2.3: from the last complete request, from a request's first octet to its last,
     * and for reading the answers that wait. */
    unsigned tcp_idle_timeout_ms;
    struct tls_server *tls; /* NULL when no address is TLS; outlives the pool */
    answer_fn *answer;
    answer_batch_fn *answer_batch; /* for UDP; NULL: `answer` for each */
    void **contexts;               /* one per worker */
};

/* Counters of one worker, written by it alone, read relaxed by anyone. */
struct worker_counters {
    uint64_t udp_requests, udp_responses, udp_batches;
    uint64_t udp_dropped; /* responses that the system didn't take */
    uint64_t tcp_connections, tcp_requests, tcp_responses;
    uint64_t tcp_refused;   /* over the limit of their address */
    uint64_t tcp_displaced; /* closed to make room for a newer one */
    uint64_t tcp_timeouts;
    uint64_t tcp_clients; /* connections open now */
    /* The counters of TCP include connections with TLS, but for the messages on them. */
    uint64_t tls_connections; /* whose handshake succeeded */
    uint64_t tls_resumed;     /* of these, by a ticket */
    uint64_t tls_handshake_failures;
    uint64_t tls_requests, tls_responses;
};

struct worker_pool;
struct reply_route;

/* Where the answer to a request goes when it is made later, by another thread (server/reply.h).
 * Called within `answer` for the request that it was given, with the same `client` and `transport`;
 * `answer` then returns 0. Exactly one REPLY_LAST or REPLY_CLOSE has to follow by reply_send(), of
 * size 0 when there will be no answer: until then a TCP connection counts as busy. */
void worker_route_current(const struct sockaddr *client, enum transport transport,
                          struct reply_route *ret_route);

/* Binds every address on every worker, then starts the threads. On failure nothing is left bound
 * and `ret_error` names the address and the remedy (port in use, no permission, no such address).
 * A port that another server holds is an error even if that one would share it. Port 0 takes a free
 * port, the same one for UDP, TCP and all workers. The options are copied; `contexts` live as long
 * as the pool. The caller is no RCU reader, or offline. */
_must_check_ int worker_pool_start(const struct worker_options *options,
                                   struct worker_pool **ret_pool, struct error *ret_error);

/* Stops accepting, answers what was received, closes connections when idle or after `drain_ms`;
 * joins the threads. UDP sockets stay open, so that answers which other threads still make can
 * leave. NULL is fine. The caller is no RCU reader, or offline. */
void worker_pool_drain(struct worker_pool *pool, unsigned drain_ms);

/* Drains if that was not done, and frees: no route of the pool is good any more. NULL is fine. */
void worker_pool_stop(struct worker_pool *pool, unsigned drain_ms);

/* Where options.listen[index] is bound: with the real port when 0 was asked for. */
void worker_pool_address(const struct worker_pool *pool, size_t index,
                         struct worker_address *ret_address);

unsigned worker_pool_count(const struct worker_pool *pool);
void worker_pool_counters(const struct worker_pool *pool, unsigned worker,
                          struct worker_counters *ret_counters);
