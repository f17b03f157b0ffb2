/* Traffic as it comes: packets of an interface, or dnstap events that servers send to a socket.
 *
 * What is opened with the rights of a superuser can be read without them. One thread at a time.
 */
#pragma once

#include <sys/socket.h>

#include "order/traffic.h"

struct traffic_live_options {
    const char *interface; /* as `ip link` names it, or "any"; NULL: dnstap */
    uint16_t port;         /* where requests on the interface go to */
    /* Where to listen for dnstap, an address over TCP or a Unix socket, and how to call it. */
    const struct sockaddr *dnstap;
    socklen_t dnstap_size;
    const char *dnstap_name;
    /* Clients whose requests are passed over: those that we ask ourselves would come back as
     * traffic for ever. */
    const struct address *own;
    size_t own_count;
};

struct traffic_live;

/* The options must outlive it. */
_must_check_ int traffic_live_open(const struct traffic_live_options *options,
                                   struct traffic_live **ret_live, struct error *ret_error);
void traffic_live_free(struct traffic_live *live);
DEFINE_FREEP(struct traffic_live, traffic_live_free)

/* Waits for traffic, at most `timeout_ms`, and hands out what is there. Returns 0, what `take`
 * returned, or a negative errno when nothing more will come. */
_must_check_ int traffic_live_step(struct traffic_live *live, int timeout_ms, traffic_fn *take,
                                   void *context, struct error *ret_error);

/* What was read so far. */
const struct traffic_report *traffic_live_report(const struct traffic_live *live);
