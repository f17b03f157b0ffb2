/* From a request's octets to a response's octets: the whole of what the server says to DNS clients.
 *
 * A responder belongs to one worker thread, which is registered with RCU and online while it calls.
 * No call blocks or takes a lock, nor allocates but for what takes updates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/request.h"
#include "front/forwarder.h"
#include "order/overlay_set.h"
#include "server/error_reports.h"
#include "server/listed_answers.h"
#include "server/zone_counters.h"
#include "zone/tsig_server.h"
#include "zone/zone.h"

/* TLS by its version, since zones are not transferred over 1.2 (RFC 9103, 7.2). */
enum transport { TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_TLS_1_2, TRANSPORT_TLS_1_3 };

static inline bool transport_is_encrypted(enum transport transport)
{
    return transport >= TRANSPORT_TLS_1_2;
}

#define RESPONSE_SIZE_MAX 65535

struct responder;

/* What all responders share: data published by the control side, read under RCU. */
struct responder_view {
    struct zone_set *zones;     /* rcu_dereference() */
    struct overlay_set *orders; /* rcu_dereference(); NULL: none */
    struct cache *cache;        /* of forwarded zones; rcu_dereference(); NULL: none yet */

    /* What origins have denied for other names, too; there before the cache is. */
    struct denial_store *denials;
};

/* What `transfer` and `update` return in the place of an RCODE. */
#define RESPONDER_DEFERRED (-1) /* another thread answers */
#define RESPONDER_SILENT   (-2) /* nobody does: the client asks again */

struct responder_options {
    const struct responder_view *view;
    unsigned worker;              /* index of the counters */
    uint16_t udp_payload_max;     /* octets we send and announce over UDP */
    unsigned tcp_idle_timeout_ms; /* announced by RFC 7828 */
    const uint8_t *nsid;          /* NULL: none */
    size_t nsid_size;
    const char *version;  /* of version.bind; NULL: refused */
    const char *identity; /* of id.server; NULL: refused */
    const struct tsig_keyring *keyring;
    struct error_reports *error_reports; /* NULL: answers name no agent */
    struct listed_answers *listed;       /* NULL: nobody is told of what orders decide */
    struct zone_counts *zone_counts;     /* of this thread, by zone.counter; NULL: nobody counts */

    /* Whether `client`, with the TSIG key `key_name` (NULL: unsigned), may notify of `zone`. */
    bool (*notify_allowed)(void *context, const struct zone *zone, const struct sockaddr *client,
                           const char *key_name);
    /* A NOTIFY that was allowed; returns at once. `serial` 0: none was given. */
    void (*notified)(void *context, struct zone *zone, uint32_t serial);
    /* Whether the client may transfer `zone`; NULL: nobody may. */
    bool (*transfer_allowed)(void *context, const struct zone *zone, const struct sockaddr *client,
                             const char *key_name);
    /* Takes an AXFR or IXFR of `zone`, which is served here, as `update` below; `tsig` is that of a
     * request whose signature is good, else NULL. `datagram_max`: of UDP, octets that the client
     * takes. NULL: nobody may have a zone. */
    int (*transfer)(void *context, const struct zone *zone, const struct request *request,
                    const struct tsig_server *tsig, const struct sockaddr *client,
                    enum transport transport, size_t datagram_max);
    /* Takes an UPDATE for `zone`, which is served here, its TSIG not looked at; returns at once,
     * and RESPONDER_DEFERRED, RESPONDER_SILENT, or the RCODE to answer. NULL: no zone is updated.
     */
    int (*update)(void *context, struct zone *zone, const struct request *request,
                  const struct sockaddr *client, enum transport transport);
    /* Takes a question for a forwarded zone, as `update`; `subnet` is whether the client's is
     * passed on. With `client` NULL only the cache wants the answer: it may be left undone. */
    int (*forward)(void *context, const struct zone *zone, const struct cache_key *key,
                   const struct request *request, bool subnet, const struct sockaddr *client,
                   enum transport transport);
    void *context;
};

/* Options and what they point to must outlive the responder. */
_must_check_ int responder_create(const struct responder_options *options,
                                  struct responder **ret_responder, struct error *ret_error);
void responder_free(struct responder *responder);

/* Written by the responder's worker alone, read relaxed by anyone. */
struct responder_counters {
    uint64_t queries, notifies, updates, others; /* requests by opcode */
    uint64_t rcodes[24];                         /* responses by RCODE, BADVERS among them */
    uint64_t ignored, malformed, truncated;
    uint64_t verdicts; /* answers that an order decided */
};
void responder_counters(const struct responder *responder, struct responder_counters *ret_counters);

/* Answers one request. Returns the response's size, 0 for none (the request is ignored). `response`
 * has room for RESPONSE_SIZE_MAX octets on TCP and TLS, and for at least 4096 on UDP. `now` is in
 * Unix seconds. */
size_t responder_answer(struct responder *responder, const uint8_t *request, size_t request_size,
                        const struct sockaddr *client, enum transport transport, int64_t now,
                        uint8_t *response, size_t response_max);

/* Answers a request that `forward` took, when what it waited for has come. By a responder of the
 * calling thread. */
size_t responder_answer_forwarded(struct responder *responder, const uint8_t *request,
                                  size_t request_size, const struct sockaddr *client,
                                  enum transport transport, int64_t now,
                                  const struct forward_outcome *outcome, uint8_t *response,
                                  size_t response_max);

/* One request that came over UDP, and its response. Both buffers have room for response_max octets,
 * and both may be written. */
struct responder_datagram {
    uint8_t *request;
    size_t request_size;
    const struct sockaddr *client;
    uint8_t *spare;       /* takes responses that cannot take the request's place */
    uint8_t *response;    /* set unless there is none: in `request` or in `spare` */
    size_t response_size; /* set: 0 for none */
};

/* Does the same for any number of requests in a fraction of the time: they wait together, not one
 * after the other, for the memory that holds their names, and most responses are written behind the
 * question where it stands. */
void responder_answer_batch(struct responder *responder, struct responder_datagram *datagrams,
                            size_t count, int64_t now, size_t response_max);
