/* Keeps secondary zones fresh: SOA timers (RFC 1034, 4.3.5), NOTIFY (RFC 1996), retry with
 * back-off, expiry.
 *
 * A zone without data is transferred at once and then after 1, 2, 4 ... 60 seconds; one with data
 * is checked by its SOA's refresh and retry times. When an origin has a newer serial (RFC 1982), it
 * is asked for what has changed (RFC 1995), and for the whole zone where that does not do. An
 * origin that does not answer rests as a whole, so that its zones do not keep others waiting. Data
 * expires exactly the SOA's expire time after the last good check began, earlier when the origin is
 * a secondary that says how much of that time is left (EXPIRE, RFC 7314); what comes back then is
 * taken whatever its serial. Of a zone that fails the check of its digest (ZONEMD, RFC 8976) the
 * old copy is kept.
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
#include "zone/zonemd.h"

/* What it points at outlives the refresher. */
struct refresh_zone {
    struct zone *zone;
    struct transfer_source *sources; /* one per origin, tried in order, the last good one
                                              first; cancel_fd is not looked at */
    size_t source_count;             /* 1 to 64 */
    enum zonemd_policy zonemd;
};

struct difference_list;

/* What has changed at an origin. */
struct refresh_changes {
    const struct difference_list *differences;
    uint32_t serial_from;
    struct soa soa;     /* afterwards */
    const char *origin; /* "192.0.2.1@53" */
    int64_t checked_at; /* when the zone's primary was last known to have it; Unix seconds */
    enum zonemd_policy zonemd;
};

/* Called from the refresher's threads, one at a time per zone, several zones at once. */
struct refresh_handlers {
    /* Hands over a new generation; the handler marks it, publishes it, retires the old one and sets
     * the zone's status and loaded_at. On failure (negative errno) nothing has changed, the data
     * stays the refresher's, and it tries again later. */
    int (*publish)(void *context, struct zone *zone, struct zone_data *data);
    /* Makes changes part of the zone's data, which the handler may change in place or replace, and
     * sets the zone's status and loaded_at. Returns 0, -EBADMSG when they do not fit the data or
     * lead to what must not be served, upon which the whole zone is transferred, or another
     * negative errno; each with a text, and then nothing has changed. NULL: only whole zones are
     * asked for.
     */
    int (*change)(void *context, struct zone *zone, const struct refresh_changes *changes,
                  struct error *ret_error);
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
 * While it runs nobody else edits or replaces the data of its zones. */
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
