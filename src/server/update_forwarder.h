/* Passes updates of secondary zones on to their primaries (RFC 2136, 6): octet by octet, so that
 * TSIG stays between client and primary, over TCP, from a few threads of its own. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "server/config.h"
#include "server/reply.h"

struct update_forwarder;

_must_check_ int update_forwarder_start(struct update_forwarder **ret_forwarder,
                                        struct error *ret_error);

/* Answers what waits with SERVFAIL and frees; what is under way is broken off. NULL is fine. */
void update_forwarder_stop(struct update_forwarder *forwarder);

/* Passes a request on to the zone's origins, in turn until one answers, whose answer goes to the
 * client; SERVFAIL when none does. Any worker; never waits. Returns false when too much waits
 * already: the request is not taken. */
bool update_forwarder_submit(struct update_forwarder *forwarder, const struct reply_route *route,
                             const struct config_zone *zone, const uint8_t *request, size_t size);
