/* Asking origins on behalf of clients: the cache, the servers of every forwarded zone and the
 * clients that wait, brought together.
 *
 * A few threads, each with an origin pool of its own. A question belongs to one of them by its
 * name, so that one query is in flight for it, however many clients wait. Workers find fresh
 * answers in the cache themselves and hand over all else: what is missing, what is stale, and what
 * is popular and about to expire.
 *
 * What an origin cannot say now is answered from what it said before (RFC 8767): at once when it is
 * known to fail, else after 0.2 seconds, while the query goes on. Without such an answer it is
 * SERVFAIL; a failure never becomes a denial.
 *
 * Names that have never existed, as far as is known, have a rate and a share of what is in flight
 * of their own, so that asking for random ones takes nothing from those that exist.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "front/cache.h"
#include "front/denial.h"
#include "front/origin.h"

struct forwarder;

/* The TTL of stale records (RFC 8767, 4). */
#define FORWARDER_STALE_TTL_S 30

/* Octets of the data of a client subnet option (RFC 7871, 6), with an IPv6 address. */
#define FORWARDER_SUBNET_SIZE_MAX 20

/* What becomes of a question. */
struct forward_outcome {
    const struct cached_answer *answer; /* NULL: SERVFAIL */
    int ede_code;                       /* -1: none but the answer's own */
    const char *ede_text;               /* NULL: none */
};

/* A zone and its origin. */
struct forward_zone {
    const uint8_t *apex; /* wire form, lower case */
    const struct sockaddr_storage *servers;
    size_t server_count;      /* at most ORIGIN_SERVERS_MAX */
    unsigned rate_max;        /* messages a second to the origin; 0: no bound */
    unsigned unseen_rate_max; /* questions a second about names never seen; 0: half of rate_max, and
                                 without that no bound */
    uint32_t stale_s;         /* how long an answer may be used when it has expired */
    bool uses_denials;        /* of a signed origin, for other names as well (RFC 8198) */
};

struct forwarder_options {
    unsigned threads; /* at least one */
    struct cache *cache;
    struct denial_store *denials; /* is told of the zones */

    /* Answers one client: called by the thread with that index, which is an RCU reader, with what
     * was given to forwarder_submit(). Returns at once. */
    void (*answer)(void *context, unsigned thread, const void *route, const uint8_t *request,
                   size_t size, const struct forward_outcome *outcome);
    /* A turn of that thread is over, in which it may have called `answer`: what was held back to
     * send it together is to be sent. NULL: nothing is. */
    void (*flush)(void *context, unsigned thread);
    void *context;
};

/* Starts without zones. The options are copied; what they point to outlives the forwarder. */
_must_check_ int forwarder_start(const struct forwarder_options *options,
                                 struct forwarder **ret_forwarder, struct error *ret_error);

/* Answers all who wait, with what there is, and frees. NULL is fine. No worker submits any more. */
void forwarder_stop(struct forwarder *forwarder);

/* What becomes of zones that are not named. They stay until nobody can submit questions for them
 * any more. */
enum forward_others { FORWARD_OTHERS_GO, FORWARD_OTHERS_STAY };

/* Sets the zones. Questions that wait stay: those of a zone whose servers have changed are asked of
 * the new ones, those of a zone that is gone are the zone's above it, and fail without one. What is
 * known of servers that stay is kept. Waits for the threads: not to be called by one of them, nor
 * by an RCU reader. On failure nothing has changed. */
_must_check_ int forwarder_configure(struct forwarder *forwarder, const struct forward_zone *zones,
                                     size_t count, enum forward_others others,
                                     struct error *ret_error);

unsigned forwarder_threads(const struct forwarder *forwarder);

/* A question of a client, or with `request` NULL one that only the cache wants the answer to. */
struct forward_question {
    struct cache_key key;
    const struct name *apex;      /* of its zone */
    const uint8_t *client_subnet; /* to pass on (RFC 7871, 6), NULL: none; the answer is then for
                                     this client alone and not kept */
    size_t client_subnet_size;    /* at most FORWARDER_SUBNET_SIZE_MAX */
    const void *route;            /* copied, for options.answer() */
    size_t route_size;
    const uint8_t *request; /* copied, likewise */
    size_t size;
};

/* Hands a question over; any thread, never waits. False: too much waits, or there is no memory, and
 * it is not taken. Else options.answer() is called once if there is a request. */
bool forwarder_submit(struct forwarder *forwarder, const struct forward_question *question);

struct forwarder_counters {
    uint64_t asked;       /* questions that were put to origins */
    uint64_t joined;      /* clients that waited for a question in flight */
    uint64_t answered;    /* clients, by origins */
    uint64_t stale;       /* clients, from stale answers */
    uint64_t failed;      /* clients, SERVFAIL */
    uint64_t refreshed;   /* answers that were replaced before they expired */
    uint64_t over_unseen; /* clients refused for the budget of names never seen */
    uint64_t over_bound;  /* clients refused because too many wait */
    uint64_t waiting;     /* questions in flight */
};
void forwarder_counters(const struct forwarder *forwarder, struct forwarder_counters *ret_counters);

/* Of a zone's servers, summed over the threads; the times are those of the thread with most
 * answers. Waits for the threads; as forwarder_configure(). Returns how many. */
size_t forwarder_zone_state(struct forwarder *forwarder, const uint8_t *apex,
                            struct origin_server_state *ret_states, size_t max);
