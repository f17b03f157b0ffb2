/* A socket that name servers send dnstap events to, several of them at a time.
 *
 * A server that breaks off may come again; one that sends what is no dnstap is cut off and counted.
 * One thread at a time. */
#pragma once

#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"

struct dnstap_listener;

/* Takes one event, a protocol buffer that is valid during the call. A negative value ends the step.
 */
typedef int dnstap_event_fn(void *context, const uint8_t *octets, size_t size);

/* What servers did wrong. */
struct dnstap_faults {
    uint64_t cut_off;   /* streams that ended inside an event */
    uint64_t malformed; /* streams that are no dnstap */
};

/* `name` is what errors call the address. A UNIX socket that a killed process left is replaced. */
_must_check_ int dnstap_listener_open(const struct sockaddr *address, socklen_t size,
                                      const char *name, struct dnstap_listener **ret_listener,
                                      struct error *ret_error);
void dnstap_listener_close(struct dnstap_listener *listener);
DEFINE_FREEP(struct dnstap_listener, dnstap_listener_close)

/* Waits for events, at most `timeout_ms`, and hands out what came. 0, or what `take` returned. */
_must_check_ int dnstap_listener_step(struct dnstap_listener *listener, int timeout_ms,
                                      dnstap_event_fn *take, void *context);
const struct dnstap_faults *dnstap_listener_faults(const struct dnstap_listener *listener);
