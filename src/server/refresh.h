/* Keeps secondary zones fresh: SOA timers (RFC 1034, 4.3.5), NOTIFY (RFC 1996), retry with
 * back-off, expiry. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/transfer_in.h"
#include "zone/zone.h"

struct refresh_zone {
    struct zone *zone;
    struct transfer_source *sources; /* one per origin, tried in order, the last good one first */
    size_t source_count;
};

struct refresh_handlers {
    /* Hands over a new generation; the handler marks it, publishes it and sets the zone's status.
     */
    void (*publish)(void *context, struct zone *zone, struct zone_data *data);
    void (*expire)(void *context, struct zone *zone);
    void (*log)(void *context, int level,
                const char *text); /* level: LOG_INFO, ... of <syslog.h> */
    void *context;
};

struct refresher;

/* `threads` transfer threads (not RCU readers) share one timer queue. */
_must_check_ int refresher_start(const struct refresh_zone *zones, size_t count, unsigned threads,
                                 const struct refresh_handlers *handlers,
                                 struct refresher **ret_refresher, struct error *ret_error);
void refresher_stop(struct refresher *refresher); /* interrupts waits, joins */

/* Asks for a check now: NOTIFY or a person. Wait-free enough for a worker thread: one atomic flag
 * and one eventfd write. `serial_hint` from the NOTIFY's SOA, or 0. */
void refresher_poke(struct refresher *refresher, struct zone *zone, uint32_t serial_hint);

/* Blocks until every zone was tried once (served or failed), or until timeout_ms. Returns zones
 * serving. */
size_t refresher_wait_first(struct refresher *refresher, unsigned timeout_ms);
