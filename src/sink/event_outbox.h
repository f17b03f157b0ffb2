/* Passes events on to NATS JetStream: at least once, in the order of writing.
 *
 * The spool is the event log itself: a reader behind the writer, whose place is kept in a file
 * after each acknowledged message. A message is one block of a segment, as it lies there; its
 * Nats-Msg-Id is
 * "<node>-<segment>-<octet>", so that the stream drops what it has already.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct event_outbox_options {
    const char *events; /* the folder of the event log */
    const char *place;  /* the file that keeps the place */
    char *const *servers;
    size_t server_count;
    const char *stream, *subject;
    const char *credentials, *ca_file; /* or NULL */
    unsigned replicas;                 /* of the stream, when it is made here */
};

struct event_outbox_figures {
    uint64_t sent, failures, reconnects;
    uint64_t behind; /* octets of segments that are not acknowledged */
    bool connected;
};

struct event_outbox;

/* Starts its thread; it returns also when no server can be reached, and tries for ever. */
_must_check_ int event_outbox_start(const struct event_outbox_options *options,
                                    struct event_outbox **ret_outbox, struct error *ret_error);
void event_outbox_stop(struct event_outbox *outbox);
void event_outbox_figures(const struct event_outbox *outbox,
                          struct event_outbox_figures *ret_figures);
