/* What the parts of the outbox share: event_outbox.c starts, stops and tries again;
 * event_outbox_connect.c gets to a server and its stream; event_outbox_send.c sends blocks and
 * takes acknowledgements; event_outbox_place.c keeps the place and watches the folder. */
#pragma once

#include <nats/nats.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sink/event_log.h"
#include "sink/event_outbox.h"

/* Messages that are not acknowledged yet. Each has some 100 KiB: enough for a gigabit over 10 ms,
 * and little to send again. */
#define OUTBOX_FLIGHT_MAX 16

/* How long one step with a server may take: to connect, to answer a request, to take octets. */
#define OUTBOX_STEP_MS 2000

#define OUTBOX_ID_SIZE 64 /* "<node>-<segment>-<octet>" */

struct outbox_message {
    struct event_place place; /* behind its block */
    uint64_t sent_ns;
    bool is_acknowledged;
};

struct outbox_segment {
    uint64_t number, size;
};

/* One connection, from its begin to its end. */
struct outbox_session {
    natsConnection *connection;
    natsSubscription *answers;
    natsInbox *inbox;
    struct event_reader *reader;

    /* Messages first..next-1 are in flight, `first` being the oldest. They count up from 0 in a
     * session, so that a late answer is never taken for another message's. */
    struct outbox_message flight[OUTBOX_FLIGHT_MAX];
    uint64_t first, next;
    uint64_t alone_until; /* what is before this number is sent alone and without a condition */
    bool one_by_one;      /* all are: the stream has other senders, or replicas */
    struct event_place previous; /* of the message sent last */
};

struct event_outbox {
    char *events, *place_path, *stream, *subject;
    char **servers;
    size_t server_count;
    unsigned replicas;
    natsOptions *nats;
    bool has_ca;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool is_ending; /* under the mutex */

    /* The thread's own. */
    size_t server;                   /* which one is tried */
    uint64_t node;                   /* of the log; 0: not known yet */
    uint64_t pause_ms;               /* before the next try */
    struct event_place place, saved; /* behind what is acknowledged; what the file says */
    uint64_t look_ns;                /* when to save and to look through the folder again */
    struct outbox_segment *segments; /* as they were when it was looked through last */
    size_t segment_count;
    struct outbox_session session;
    char told[512]; /* the failure told last; "": all is well */
    bool has_told_place, has_told_settings, has_told_senders;

    _Atomic uint64_t sent, failures, sessions, behind, lost;
    _Atomic bool connected;
};

uint64_t outbox_now_ns(void); /* CLOCK_MONOTONIC */
bool outbox_is_ending(struct event_outbox *outbox);

/* ---- event_outbox_connect.c ---- */

/* Checks what can be checked without a server. */
_must_check_ int outbox_nats_options(struct event_outbox *outbox,
                                     const struct event_outbox_options *options,
                                     struct error *ret_error);
/* Connects to the next server, and finds or makes the stream. Returns -EAGAIN and why not. */
_must_check_ int outbox_connect(struct event_outbox *outbox, struct error *ret_error);
void outbox_disconnect(struct event_outbox *outbox);
/* Which server that is, without what may be secret in its URL. */
const char *outbox_server_name(const struct event_outbox *outbox);

/* ---- event_outbox_send.c ---- */

/* Sends what there is and takes what is answered, for a tenth of a second. Returns -EAGAIN and why
 * when the session is over. */
_must_check_ int outbox_pump(struct event_outbox *outbox, struct error *ret_error);

/* ---- event_outbox_place.c ---- */

/* Reads the place; none is the beginning. */
_must_check_ int outbox_place_load(struct event_outbox *outbox, struct error *ret_error);
/* Makes sure that the place is one of this log. Returns 0 (the log has nothing yet) or 1. */
_must_check_ int outbox_place_check(struct event_outbox *outbox);
/* Saves the place if it moved, and brings `behind` and `lost` up to date. */
void outbox_look(struct event_outbox *outbox);
