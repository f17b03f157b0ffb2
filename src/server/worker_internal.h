/* One worker thread's insides, shared by worker.c (pool, loop), worker_udp.c (batches),
 * worker_tcp.c (connections) and worker_tls.c (TLS on these). Everything here belongs to the
 * worker's own thread once it runs. */
#pragma once

#include <netinet/in.h>
#include <poll.h>
#include <stdalign.h>
#include <stdbool.h>
#include <sys/epoll.h>

#include "base/handover.h"
#include "server/reply.h"
#include "server/worker.h"

/* Hot data of two workers never shares a line. 128: the adjacent-line prefetcher pulls pairs. */
#define WORKER_ALIGNMENT 128

/* Events asked of epoll at once. */
#define EVENTS_MAX 16

/* What epoll's data points to; the first member of whatever owns the descriptor. */
enum endpoint_kind {
    ENDPOINT_STOP,
    ENDPOINT_LATE,
    ENDPOINT_LISTENER,
    ENDPOINT_TLS_LISTENER,
    ENDPOINT_CLIENT
};

struct endpoint {
    enum endpoint_kind kind;
    int fd; /* -1: closed */
};

/* A client's address: a quarter of sockaddr_storage, so that a batch of them stays in few lines. */
union peer {
    struct sockaddr any;
    struct sockaddr_in ipv4;
    struct sockaddr_in6 ipv6;
};

struct udp_batch;
struct tcp_server;

/* An answer that another thread has made for a client of TCP, on its way to the worker. */
struct late_reply {
    struct cds_wfcq_node node;
    uint64_t connection;
    enum reply_next next;
    struct reply_watch *watch;
    size_t size;      /* of the octets; 0: there is no answer */
    uint8_t octets[]; /* the message behind its length (RFC 1035, 4.2.2) */
};

/* What is left of a reply whose client is gone. */
static inline void late_reply_lose(const struct late_reply *reply)
{
    if (reply->watch != NULL)
        reply->watch->done(reply->watch, false);
}

/* What many write stands on lines of its own. */
struct worker { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    alignas(WORKER_ALIGNMENT) answer_fn *answer;
    answer_batch_fn *answer_batch;
    void *context;
    /* What the loop waits for: one UDP socket per address (-1 where it is TLS), then the epoll set
     * of all the others. */
    struct pollfd *waits;
    int epoll_fd;
    /* What epoll told last; served from event_next on. */
    struct epoll_event events[EVENTS_MAX];
    int event_count, event_next;
    struct endpoint stop;           /* an eventfd: readable once the pool stops */
    struct endpoint late;           /* an eventfd: readable once there are late replies */
    struct endpoint *tcp_listeners; /* one per address */
    size_t listen_count;
    int64_t now_ms; /* monotonic, read once per turn of the loop */
    bool stopping;
    unsigned drain_ms; /* set when stopping */
    struct udp_batch *udp;
    struct tcp_server *tcp;
    struct tls_server *tls;         /* NULL: no address is TLS */
    struct cds_wfcq_head late_head; /* struct late_reply: any thread puts, the worker takes */
    alignas(WORKER_ALIGNMENT) struct worker_counters counters;
    alignas(WORKER_ALIGNMENT) struct cds_wfcq_tail late_tail;
};

/* One writer, many readers: a plain addition published by a relaxed store, no locked instruction.
 */
static inline void counter_add(uint64_t *counter, uint64_t count)
{
    __atomic_store_n(counter, *counter + count, __ATOMIC_RELAXED);
}

/* Unix seconds, for answer_fn: a clock read costs little, but once a batch costs less. */
int64_t worker_unix_now(void);

/* worker_udp.c */

/* Sets what a UDP socket needs before bind(). Returns a negative errno. */
_must_check_ int udp_socket_prepare(int fd, const struct worker_address *address);

/* Returns NULL when memory is short. The buffers stay untouched until the worker's thread uses
 * them, which puts their pages near its core. */
_must_check_ struct udp_batch *udp_batch_create(void);
void udp_batch_free(struct udp_batch *batch);

/* Receives, answers and sends until a batch isn't full, at most `rounds_max` times. */
void udp_serve(struct worker *worker, int fd, unsigned rounds_max);

/* Where the answer to a request of the present batch goes. */
void udp_route(const struct worker *worker, const struct sockaddr *client,
               struct reply_route *ret_route);

/* Batches in a row from one socket before TCP gets its turn: about a thousand queries, 1-5 ms. */
#define UDP_ROUNDS_MAX 16

/* Batches answered from one socket on the way out: more than its receive buffer can hold. */
#define UDP_DRAIN_ROUNDS_MAX 256

/* worker_tcp.c */

struct tcp_limits {
    unsigned clients_max, clients_per_address_max, idle_timeout_ms;
};

/* Sets what a TCP listener needs before bind(). Returns a negative errno. */
_must_check_ int tcp_listener_prepare(int fd);

/* Connections that wait for accept(); the kernel's net.core.somaxconn may lower it. */
#define TCP_BACKLOG 1024

/* Connections accepted in a row from one listener before others get their turn. */
#define TCP_ACCEPTS_MAX 32

_must_check_ struct tcp_server *tcp_server_create(const struct tcp_limits *limits);
void tcp_server_free(struct tcp_server *server); /* closes every connection */

/* Accepts up to `accepts_max` connections. */
void tcp_accept(struct worker *worker, struct endpoint *listener, unsigned accepts_max);

/* Serves an event of the client that begins with `endpoint`. */
void tcp_serve(struct worker *worker, struct endpoint *endpoint);

/* Where the answer to a request that is just being answered goes; from here on the client has one
 * more answer to come. */
void tcp_route(struct worker *worker, const struct sockaddr *peer, struct reply_route *ret_route);

/* Sends what another thread has answered, if the client is still there. */
void tcp_send_late(struct worker *worker, const struct late_reply *reply);

/* Closes clients that are past their deadline and takes up accepting after a pause. */
void tcp_expire(struct worker *worker);

/* How long epoll may wait: until the next deadline; -1 when there is none. */
int tcp_timeout_ms(const struct worker *worker);

/* Answers what clients have sent and closes those with nothing open. Returns clients left. */
size_t tcp_drain(struct worker *worker);

/* worker_tls.c */

struct tls_session;

/* A server's session on the socket `fd`, which stays the caller's and non-blocking. NULL: no
 * memory.
 */
_must_check_ struct tls_session *tls_session_create(struct tls_server *server, int fd);

/* Says good-bye where it can; before the socket is closed. NULL is fine. */
void tls_session_free(struct tls_session *session);

/* Goes on with the handshake. Returns 0 when it is done, -EAGAIN when the socket has to become
 * ready first (tls_session_wants_to_send()), -EPROTO when it failed. */
_must_check_ int tls_session_handshake(struct tls_session *session);

/* What a handshake waits for: room to send, or else octets. */
bool tls_session_wants_to_send(const struct tls_session *session);
bool tls_session_is_resumed(const struct tls_session *session);

/* After the handshake: the version as the responder knows it. */
enum transport tls_session_transport(const struct tls_session *session);

/* Whether tls_session_receive() has something to tell, octets or the end, without the socket's
 * help.
 */
bool tls_session_holds(const struct tls_session *session);

/* Receives what is there, at most `size` octets: 0 for nothing now, -ECONNRESET for the end. */
_must_check_ ssize_t tls_session_receive(struct tls_session *session, uint8_t *ret_octets,
                                         size_t size);

/* Sends what the system takes. Returns the octets that are done with; the next call begins with the
 * first of the others. */
_must_check_ ssize_t tls_session_send(struct tls_session *session, const uint8_t *octets,
                                      size_t size);
