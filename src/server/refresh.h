/* Keeps secondary zones fresh: SOA timers (RFC 1034, 4.3.5), NOTIFY (RFC 1996), retry with
 * back-off, expiry.
 *
 * A zone without data is transferred at once and then after 1, 2, 4 ... 60 seconds; one with data
 * is checked by its SOA's refresh and retry times and transferred when an origin has a newer serial
 * (RFC 1982). An origin that does not answer rests as a whole, so that its zones do not keep others
 * waiting. Data expires exactly the SOA's expire time after the last good check began; what comes
 * back then is taken whatever its serial.
 *
 * Of each zone it keeps checked_at, expires_at, transfers, transfer_failures and last_error; the
 * handlers keep the rest.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/transfer_in.h"
#include "zone/zone.h"

/* What it points at outlives the refresher. */
struct refresh_zone {
    struct zone *zone;
    struct transfer_source *sources; /* one per origin, tried in order, the last good one
                                              first; cancel_fd is not looked at */
    size_t source_count;             /* 1 to 64 */
};

/* Called from the refresher's threads, one at a time per zone, several zones at once. */
struct refresh_handlers {
    /* Hands over a new generation; the handler marks it, publishes it, retires the old one and sets
     * the zone's status and loaded_at. On failure (negative errno) nothing has changed, the data
     * stays the refresher's, and it tries again later. */
    int (*publish)(void *context, struct zone *zone, struct zone_data *data);
    /* Sets the zone's status; the refresher logs it. */
    void (*expire)(void *context, struct zone *zone);
    /* level: LOG_INFO, ... of <syslog.h>; one line without its end. From several threads at once.
     */
    void (*log)(void *context, int level, const char *text);
    void *context;
};

struct refresher;

/* Starts `threads` transfer threads (at least two, so that an origin that fails never holds the
 * last; none is an RCU reader) and a scheduler. A zone that serves already goes on by its timers;
 * one whose checked_at is 0 serves data that is not of its origins, until expires_at, and is
 * transferred at once whatever the serial.
 * While it runs nobody else replaces the data of its zones. */
_must_check_ int refresher_start(const struct refresh_zone *zones, size_t count, unsigned threads,
                                 const struct refresh_handlers *handlers,
                                 struct refresher **ret_refresher, struct error *ret_error);

/* Interrupts waits, joins, frees. No refresher_poke() may be under way or follow: unpublish the
 * pointer and wait for a grace period first. NULL is fine. */
void refresher_stop(struct refresher *refresher);

/* Asks for a check now: NOTIFY or a person. For worker threads: a few atomic operations and at most
 * one eventfd write; pokes of a zone that is poked already do nothing more. `serial_hint` from the
 * NOTIFY's SOA, or 0; a serial that is held already asks nobody. Zones of others are ignored. */
void refresher_poke(struct refresher *refresher, const struct zone *zone, uint32_t serial_hint);

/* Whether every zone was tried once (served or failed). */
bool refresher_has_tried_all(struct refresher *refresher);

/* Blocks until every zone was tried once (served or failed), or until timeout_ms. Returns zones
 * serving. */
size_t refresher_wait_first(struct refresher *refresher, unsigned timeout_ms);
