/* Asking a zone's own name servers, many questions at once, from one thread's event loop.
 *
 * A pool of unconnected UDP sockets with ports that the kernel picks at random, an identifier at
 * random for each question, random letter case (0x20) and cookies (RFC 7873) towards servers that
 * return them; TCP when an answer is truncated. Of each server a smoothed round-trip time, its
 * variation and its health are kept; a question that the best server leaves unanswered beyond its
 * 95th percentile is asked of the next one as well, the first good answer counts. Failures are
 * remembered (RFC 9520). Nobody is asked more than the configured rate.
 *
 * What comes back is believed only if address, port, identifier, question in the case it was sent
 * and cookie are right; everything else is counted and thrown away, and the wait goes on.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"

struct origin_pool;  /* all servers of all forwarded zones, of one thread */
struct origin_group; /* the servers of one zone */

struct origin_options {
    unsigned sockets;     /* of each family; 0: 32 */
    unsigned timeout_ms;  /* of a question in all; 0: 2000 */
    uint16_t udp_payload; /* announced; 0: 1232 */
    unsigned waiting_max; /* questions in flight; 0: 20000 */
};

_must_check_ int origin_pool_create(const struct origin_options *options,
                                    struct origin_pool **ret_pool, struct error *ret_error);
void origin_pool_free(struct origin_pool *pool); /* unanswered questions end with -ECANCELED */
DEFINE_FREEP(struct origin_pool, origin_pool_free)

_must_check_ int origin_group_add(struct origin_pool *pool, const char *zone,
                                  const struct sockaddr_storage *servers, size_t count,
                                  unsigned rate_max /* questions a second; 0: no bound */,
                                  struct origin_group **ret_group);

/* A question and where its answer goes. */
struct origin_question {
    const struct name *name; /* copied */
    uint16_t type;
    bool dnssec_ok, checking_disabled;
    const uint8_t *client_subnet; /* EDNS option to pass on (RFC 7871), wire form; NULL: none */
    uint16_t client_subnet_size;
    /* Called once from origin_pool_run(): code 0 with the whole message of the origin, or a
     * negative errno: -ETIMEDOUT, -EBUSY (over the rate or the bound), -ECANCELED, -EHOSTDOWN (all
     * servers are known to fail). The message's question has the name in lower case. */
    void (*done)(void *context, int code, const uint8_t *message, size_t size);
    void *context;
};

_must_check_ int origin_ask(struct origin_group *group, const struct origin_question *question);

/* The descriptor to wait for (an epoll set), and how long until the next timer; -1: no timer. */
int origin_pool_fd(const struct origin_pool *pool);
int origin_pool_timeout_ms(const struct origin_pool *pool);

/* Takes what has come and what is due. */
void origin_pool_run(struct origin_pool *pool);

struct origin_server_state {
    struct sockaddr_storage address;
    bool is_healthy;
    double rtt_ms, p95_ms;
    uint64_t asked, answered, timeouts, refused, mismatches, truncated;
};
size_t origin_group_state(const struct origin_group *group, struct origin_server_state *ret_states,
                          size_t max);
