/* Passes events on to NATS JetStream: at least once, in the order of writing.
 *
 * The spool is the event log itself: a reader behind the writer, whose place is kept in a file
 * behind what was acknowledged. A message is one block of a segment, as it lies there; its
 * Nats-Msg-Id is "<node>-<segment>-<octet>", so that the stream drops what it has already.
 * doc/sink-events.md, "Over NATS", tells what a receiver needs.
 *
 * It has one thread of its own, which shares nothing with others but files: whatever NATS does,
 * nobody waits for it. Where NATS is away for longer than the log keeps its segments, what was
 * deleted unsent is counted and told; retention is a promise that a queue does not break.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* All are copied. */
struct event_outbox_options {
    const char *events;   /* the folder of the event log, which is there already */
    const char *place;    /* the file that keeps the place; its folder is there */
    char *const *servers; /* "nats://host:4222"; tried by turns */
    size_t server_count;  /* at least 1 */
    const char *stream, *subject;
    const char *credentials, *ca_file; /* or NULL; a CA makes TLS a must */
    unsigned replicas;                 /* of the stream, when it is made here; 1 to 5 */
};

struct event_outbox_figures {
    uint64_t sent;     /* messages that were acknowledged */
    uint64_t failures; /* tries to connect that failed, and connections that ended */
    uint64_t reconnects;
    uint64_t behind; /* octets of segments that are not acknowledged */
    uint64_t lost;   /* at most so many octets were deleted by retention before they were */
    bool connected;
};

struct event_outbox;

/* Starts its thread; it returns also when no server can be reached, and tries for ever. An error
 * (-EINVAL, -ENOENT, ...) is one of the options or of the file that keeps the place. */
_must_check_ int event_outbox_start(const struct event_outbox_options *options,
                                    struct event_outbox **ret_outbox, struct error *ret_error);

/* Keeps the place of what was acknowledged and ends the thread: at once as a rule, after some ten
 * seconds at most where a server takes octets and never answers. What is not sent is sent after
 * the next start. NULL is fine. */
void event_outbox_stop(struct event_outbox *outbox);
DEFINE_FREEP(struct event_outbox, event_outbox_stop)

/* Any thread. */
void event_outbox_figures(const struct event_outbox *outbox,
                          struct event_outbox_figures *ret_figures);
