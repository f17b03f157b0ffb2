/* A configured zone and the set of all of them. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "zone/zone_data.h"

enum zone_role { ZONE_PRIMARY, ZONE_SECONDARY, ZONE_FORWARD };

enum zone_status {
    ZONE_UNLOADED, /* never had data: SERVFAIL with EDE 14 Not Ready */
    ZONE_SERVING,
    ZONE_EXPIRED, /* its SOA expire time has passed: SERVFAIL with EDE 24 Invalid Data */
};

/* Lives as long as a generation of the configuration keeps it; carried over a reload when its name
 * and role stay. `data` is RCU-published: never NULL, an empty generation while there is none. */
struct zone {
    struct name name;
    char text[1025]; /* the name as text, without the trailing dot except for the root */
    enum zone_role role;
    _Atomic(int) status; /* enum zone_status */
    /* A policy or catalog zone: only who may transfer it may ask about it. */
    _Atomic(bool) transfer_only;
    /* Of the counters that the server's threads keep of its answers; 0: none of its own. Set before
     * the zone is published. */
    uint32_t counter;
    struct zone_data *data; /* rcu_dereference() by readers */
    /* Held by who edits the data, opens a view of it or publishes other data. Taken behind the
     * order book's marks lock and before the control lock, and held around the journal's write. */
    pthread_mutex_t writer;
    void *config; /* RCU: struct config_zone of the running configuration, which is not to be
                     changed */

    /* Kept for status and metrics; written by the control side, read relaxed. */
    _Atomic(int64_t) loaded_at; /* Unix seconds of the present generation */
    /* When the zone of a secondary was last known to be its primary's: the last good check, or, by
     * EXPIRE (RFC 7314), the last one of an origin that is a secondary itself. */
    _Atomic(int64_t) checked_at;
    _Atomic(int64_t) expires_at; /* of a secondary; 0: not yet known */
    _Atomic(uint64_t) transfers, transfer_failures;
    char last_error[512]; /* only by zone_last_error_set() and _get(): threads share it */
};

/* Why the zone's last load, check or transfer failed; "" when it did not. Any thread but a query's.
 */
void zone_last_error_set(struct zone *zone, const char *text);
void zone_last_error_get(const struct zone *zone, char *ret_text, size_t size);

/* What a zone holds at a moment, while edits go on; all zero while it has no data. */
struct zone_figures {
    bool has_data;
    struct soa soa;
    uint64_t names, records, memory;
};

/* Any thread that is no reader and for which the zone lives; waits for nobody. */
void zone_figures(const struct zone *zone, struct zone_figures *ret_figures);

/* An immutable hash of zones by apex. */
struct zone_set;

_must_check_ int zone_set_create(struct zone *const *zones, size_t count,
                                 struct zone_set **ret_set);
void zone_set_free(struct zone_set *set); /* not the zones */

/* The zone with the longest apex at or above the suffix of `name` that begins with label
 * `first_label` (0: the whole name; 1: its parent, where a DS query belongs). NULL: not ours. */
struct zone *zone_set_find(const struct zone_set *set, const struct name *name,
                           unsigned first_label);

size_t zone_set_count(const struct zone_set *set);
struct zone *zone_set_at(const struct zone_set *set, size_t index);
