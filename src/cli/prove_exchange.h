/* Asks two servers the same questions, many at a time, on one thread.
 *
 * Questions go out over UDP in batches from a few connected sockets a side (EDNS 1232, RFC 6891),
 * with TCP for what comes back truncated (RFC 7766). Random ids, one table a side, tell which
 * question an answer is for; an answer whose question is not the one asked is dropped. A window
 * that grows with answers and shrinks with losses keeps the servers' socket buffers from running
 * over. Memory is bounded by the options: nothing depends on how many questions there are.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/error.h"
#include "cli/pace.h"
#include "dns/name.h"

enum exchange_side { EXCHANGE_FRONT, EXCHANGE_ORIGIN, EXCHANGE_SIDES };

#define EXCHANGE_IN_FLIGHT_MAX \
    16384 /* ids of a side stay sparse, so that a free one is soon found */

struct exchange_address {
    struct sockaddr_storage socket;
    socklen_t size;
};

struct exchange_options {
    struct exchange_address address[EXCHANGE_SIDES];
    unsigned in_flight_max; /* questions; each is one query to each side */
    unsigned rate_max;      /* questions a second; 0: no bound */
    struct pace *pace;      /* shared with others, and told how the servers do; instead of rate_max.
                               NULL: none */
    unsigned timeout_ms;    /* for the last try over UDP, and for TCP */
    unsigned tries_max;     /* over UDP; 0: 3, which is the most */
    unsigned window_start;  /* questions in flight to begin with; 0: 64 */
};

struct exchange_question {
    uint8_t name[NAME_SIZE_MAX]; /* wire form, in the letter case that is sent */
    uint8_t name_size;
    bool dnssec_ok;
    uint8_t round; /* 0 at first, 1 when it is asked again */
    uint16_t type;
    uint64_t ordinal; /* the caller's; so is `mark` */
    const void *mark;
};

enum exchange_outcome {
    EXCHANGE_ANSWERED,
    EXCHANGE_SILENT,     /* no answer to any try */
    EXCHANGE_TCP_FAILED, /* a truncated answer, and none over TCP */
};

struct exchange_reply {
    enum exchange_outcome outcome;
    bool over_tcp;
    uint8_t *octets; /* the message; valid during the call only */
    size_t size;
};

struct exchange_client {
    void *context;
    /* Gives the next question. False: there are no more, or as waits() says. */
    bool (*next)(void *context, struct exchange_question *ret_question);
    /* next() had none: whether there may be one later. NULL: no. */
    bool (*waits)(void *context);
    /* Both sides are through. True: ask both again after a pause. */
    bool (*done)(void *context, const struct exchange_question *question,
                 const struct exchange_reply replies[EXCHANGE_SIDES]);
    /* Called ten times a second. False: stop now; what is in flight is dropped. May be NULL. */
    bool (*tick)(void *context);
};

struct exchange_counts {
    uint64_t queries_sent[EXCHANGE_SIDES]; /* over UDP, repeated ones included */
    uint64_t repeated[EXCHANGE_SIDES];     /* sent once more because no answer came in time */
    uint64_t over_tcp[EXCHANGE_SIDES];     /* questions that were truncated over UDP */
    uint64_t rtt_us[EXCHANGE_SIDES];       /* smoothed round trip; 0: none seen yet */
    uint64_t stray;                        /* datagrams that answer nothing that is asked */
    unsigned window;                       /* questions that may be in flight now */
};

struct exchange;

_must_check_ int exchange_create(const struct exchange_options *options,
                                 struct exchange **ret_exchange, struct error *ret_error);
void exchange_free(struct exchange *exchange);
DEFINE_FREEP(struct exchange, exchange_free)

/* Asks until the client has no more questions and all are through, or tick() stops it. May be
 * called again. Returns 0, or a negative errno where the machine itself fails. */
_must_check_ int exchange_run(struct exchange *exchange, const struct exchange_client *client,
                              struct error *ret_error);

struct exchange_counts exchange_counts(const struct exchange *exchange);

/* Microseconds of the monotonic clock. */
uint64_t exchange_clock_us(void);
