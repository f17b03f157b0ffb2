/* Sends zones to those who may have them: AXFR (RFC 5936) and IXFR (RFC 1995).
 *
 * A few threads make the messages, each for many transfers in turn, and sign them; the worker that
 * has the connection sends them. At most TRANSFER_MESSAGES_OUT messages of a transfer are on their
 * way, so a client that reads slowly holds these, its view of the zone or its difference, and
 * nothing else; one that does not read at all is cut off by the worker's time-out.
 *
 * Locks: a whole zone begins under `writing` and the zone's `writer`, for moments; then it has a
 * view of its own and takes no lock. A difference over TCP takes none from its beginning.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/request.h"
#include "server/reply.h"
#include "server/responder.h"
#include "zone/journal.h"
#include "zone/tsig_server.h"

/* The next message is made while the client reads the one before. */
#define TRANSFER_MESSAGES_OUT 2

struct transfer_sender;

struct transfer_sender_options {
    const struct responder_view *view;
    struct journal *const *journal; /* atomic; NULL: no differences are told as yet */
    pthread_mutex_t *writing;
    unsigned threads;
    uint16_t udp_payload_max;                                 /* announced */
    void (*reply)(const struct reply *replies, size_t count); /* reply_send() */
    void (*thread_begins)(void);                              /* in each thread, first */
    void (*log)(void *context, int level, const char *text);
    void *context;
};

/* The options are copied; what they point to outlives the sender. */
_must_check_ int transfer_sender_start(const struct transfer_sender_options *options,
                                       struct transfer_sender **ret_sender,
                                       struct error *ret_error);

/* Ends the threads: nothing is sent any more. NULL is fine. */
void transfer_sender_stop(struct transfer_sender *sender);

/* After the stop, and after the watches of all replies were called: with the pool of workers gone.
 * NULL is fine. */
void transfer_sender_free(struct transfer_sender *sender);

struct transfer_order {
    const struct reply_route *route;
    const struct request *request;  /* AXFR or IXFR, of which the question is a zone's apex */
    const struct tsig_server *tsig; /* NULL: unsigned */
    size_t datagram_max;            /* of UDP: octets that the client takes */
};

/* Takes the request of a client that may have the zone. Any worker; never waits. False when too
 * many wait already: the request is not taken. */
bool transfer_sender_submit(struct transfer_sender *sender, const struct transfer_order *order);

struct transfer_sender_counters {
    uint64_t whole, differences; /* sent to the end */
    uint64_t current;            /* clients that had the serial, or are sent on from UDP */
    uint64_t failed;             /* cut off, or with an error for an answer */
    uint64_t refused_full;       /* not taken by transfer_sender_submit() */
    uint64_t records, messages, octets;
    uint64_t running, waiting; /* now */
};
void transfer_sender_counters(const struct transfer_sender *sender,
                              struct transfer_sender_counters *ret_counters);
