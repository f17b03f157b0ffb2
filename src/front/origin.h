/* Asking a zone's own name servers, many questions at once, from one thread's event loop.
 *
 * A pool of unconnected UDP sockets with ports that the kernel picks at random, an identifier at
 * random for each question, random letter case (0x20) and cookies (RFC 7873) towards servers that
 * return them; TCP when an answer is truncated or doubtful. Of each server a smoothed round-trip
 * time, its variation and its health are kept; a question that the best server leaves unanswered
 * beyond its 95th percentile is asked of the next one as well, the first good answer counts.
 * Failures are remembered (RFC 9520). Nobody is asked more than the configured rate.
 *
 * What comes back is believed only if address, port, identifier, question in the case it was sent
 * and cookie are right; everything else is counted and thrown away, and the wait goes on. What is
 * believed still must be an answer: with authority for the zone, about the name that was asked.
 *
 * A pool, its groups and its questions belong to one thread. A server that several groups name has
 * one round-trip time, one health and one cookie for all of them. Nothing is allocated for a
 * question but on TCP, whose connections have buffers.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"

/* Servers of one group. */
#define ORIGIN_SERVERS_MAX 32

struct origin_pool;  /* all servers of all forwarded zones, of one thread */
struct origin_group; /* the servers of one zone */

struct origin_options {
    unsigned sockets;     /* of each family; 0: 32 */
    unsigned timeout_ms;  /* of a question in all; 0: 2000 */
    uint16_t udp_payload; /* announced; 0: 1232 */
    unsigned waiting_max; /* questions in flight; 0: 20000. A group gets no more than what is left
                             free, so that there is always room for another one. */
};

_must_check_ int origin_pool_create(const struct origin_options *options,
                                    struct origin_pool **ret_pool, struct error *ret_error);

/* Removes its groups first. NULL is ignored. */
void origin_pool_free(struct origin_pool *pool);
DEFINE_FREEP(struct origin_pool, origin_pool_free)

/* Adds a zone (text) and its servers; the addresses may be of both families. -EINVAL: no zone's
 * name, no server or another family; -E2BIG: more than ORIGIN_SERVERS_MAX servers; -ENOMEM; or what
 * opening the sockets of a family gave. */
_must_check_ int origin_group_add(struct origin_pool *pool, const char *zone,
                                  const struct sockaddr_storage *servers, size_t count,
                                  unsigned rate_max /* messages a second; 0: no bound */,
                                  struct origin_group **ret_group);

/* Its unanswered questions end with -ECANCELED before this returns. Not to be called by a
 * question's done(). A group whose servers have changed is added anew first: what is known of the
 * servers that stay is kept. NULL is ignored. */
void origin_group_remove(struct origin_group *group);

/* A question and where its answer goes. */
struct origin_question {
    const struct name *name; /* copied; at or below the zone */
    uint16_t type;
    bool dnssec_ok, checking_disabled;
    const uint8_t *client_subnet; /* data of the EDNS option to pass on (RFC 7871, 6), copied; NULL:
                                     none */
    uint16_t client_subnet_size;  /* at most 20 */
    /* Called once, from origin_pool_run() or origin_group_remove(); it may ask again. Code 0 with
     * the whole message of the origin, whose question has the name in lower case, or a negative
     * errno: -ETIMEDOUT; -EREMOTEIO: servers answered, yet none with a good answer (when the last
     * of them did just now, `message` is what it said, for its RCODE; else NULL); -ECANCELED. */
    void (*done)(void *context, int code, const uint8_t *message, size_t size);
    void *context;
};

/* Asks. Returns 0: done() will be called. Or at once, and done() will not be called: -EBUSY, over
 * the rate or the bound, or only TCP would do and has no room; -EHOSTDOWN, all servers are known to
 * fail, or to fail for this question; -EINVAL, the name is outside the zone or the client subnet
 * too long. */
_must_check_ int origin_ask(struct origin_group *group, const struct origin_question *question);

/* The descriptor to wait for (an epoll set), and how long until origin_pool_run() has something to
 * do; -1: nothing until then. Questions leave in batches from origin_pool_run(): call it after a
 * batch of origin_ask(). */
int origin_pool_fd(const struct origin_pool *pool);
int origin_pool_timeout_ms(const struct origin_pool *pool);

/* Takes what has come and what is due, and sends what waits. */
void origin_pool_run(struct origin_pool *pool);

/* ---- For a thread that waits for nothing else but an event of its own ---- */

/* Has writing to an eventfd end a wait. It is never read. Returns 0 or a negative errno. */
_must_check_ int origin_pool_watch(struct origin_pool *pool, int event_fd);

/* Waits at most so long for something to come, -1: without end. origin_pool_run() is called next,
 * before anything else of the pool, and then needs no look of its own. */
void origin_pool_wait(struct origin_pool *pool, int timeout_ms);

/* Sends what waits. */
void origin_pool_flush(struct origin_pool *pool);

/* Of one server, for all groups that name it. Counters never go back. */
struct origin_server_state {
    struct sockaddr_storage address;
    bool is_healthy;       /* it answers, and most of its answers to this group are good */
    bool has_case;         /* it returns the letter case of questions */
    bool has_edns;         /* it knows EDNS */
    bool has_cookies;      /* it returns cookies */
    double rtt_ms, p95_ms; /* 0: not known yet */
    uint64_t asked;        /* messages sent */
    uint64_t answered;     /* answers that were to a question in flight, good or not */
    uint64_t timeouts;
    uint64_t refused;    /* failed, lame, wrong or malformed answers */
    uint64_t late;       /* answers to what was given up, or answered by others before */
    uint64_t mismatches; /* other messages from its address that answer nothing */
    uint64_t truncated;
    uint64_t over_tcp; /* of `asked` */
    uint64_t hedges;   /* of `asked`: because another server was slow */
};
size_t origin_group_state(const struct origin_group *group, struct origin_server_state *ret_states,
                          size_t max);

struct origin_counters {
    uint64_t waiting;        /* questions in flight now */
    uint64_t unexpected;     /* datagrams from addresses that nothing was asked of */
    uint64_t over_rate;      /* questions and repetitions not sent for the rate's sake */
    uint64_t over_bound;     /* questions not taken because too many are in flight */
    uint64_t known_failures; /* questions not sent because their failure is remembered */
};
void origin_counters(const struct origin_pool *pool, struct origin_counters *ret_counters);
