/* Which listed name, and so which order, brought a client.
 *
 * The names come from the orders' files. What the client says itself is certain: HTTP Host, TLS
 * SNI. Else the answers that name servers gave for listed names decide, which come as dnstap events
 * over a UNIX socket from tamisd, or from any other server that sends its answers for the zones in
 * question: a name that was answered with this very address within the window, the nearer the
 * resolver to the client the surer.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/dialogue.h"
#include "sink/event.h"

struct arrivals_options {
    char *const *orders; /* paths of order files */
    size_t order_count;
    const char *answers; /* UNIX socket to listen on, Frame Streams with dnstap; NULL: none */
    unsigned window_s;   /* between the answer and the client */
};

struct arrivals;

_must_check_ int arrivals_create(const struct arrivals_options *options,
                                 struct arrivals **ret_arrivals, struct error *ret_error);
/* Starts the thread that takes answers. */
_must_check_ int arrivals_start(struct arrivals *arrivals, struct error *ret_error);
void arrivals_free(struct arrivals *arrivals);
DEFINE_FREEP(struct arrivals, arrivals_free)

/* Fills name, name_source and order of `event`. Any thread. */
void arrivals_find(struct arrivals *arrivals, const struct sink_flight *flight,
                   const struct sink_recognition *recognition, struct sink_event *event);

/* For the page: a dialogue_order_fn, whose context is the arrivals. */
dialogue_order_fn arrivals_order;

/* Answers taken, and of those how many were for listed names. */
void arrivals_figures(const struct arrivals *arrivals, uint64_t *ret_answers, uint64_t *ret_listed);
