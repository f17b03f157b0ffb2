/* Keeps the snapshots of zones (zone/snapshot.h) in <state>/zones, from a thread of its own.
 *
 * A zone that was loaded from its source or transferred is written soon after, one zone at a time
 * and in the background; one that changes again before its turn is written once. Nothing waits for
 * it: a full disk costs the next start its speed and nobody an answer.
 *
 * One whose data changes in place is written some time after, so that writing takes a hundredth of
 * the time at most; at the end; and when the journal wants to let go of what it has.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/zone.h"
#include "zone/zone_view.h"

/* Called from the keeper's thread, which holds none of its locks then. */
struct snapshot_handlers {
    /* Opens a view of the zone `apex` as it is now and tells its checked_at; false when there is no
     * such zone any more, it has no data, or there is no memory. */
    bool (*view)(void *context, const uint8_t *apex, struct zone_view **ret_view,
                 int64_t *ret_checked_at);
    /* A snapshot with this serial is durable. */
    void (*written)(void *context, const uint8_t *apex, uint32_t serial);
    void *context;
};

struct snapshot_keeper;

/* Makes the folder in `state`. Nothing is written before snapshot_keeper_start(). */
_must_check_ int snapshot_keeper_create(const char *state, const struct snapshot_handlers *handlers,
                                        struct snapshot_keeper **ret_keeper,
                                        struct error *ret_error);

/* The thread gets the priority of the caller's. */
_must_check_ int snapshot_keeper_start(struct snapshot_keeper *keeper, struct error *ret_error);

/* Finishes what is to be written, within `timeout_ms`, and frees. NULL is fine. */
void snapshot_keeper_stop(struct snapshot_keeper *keeper, unsigned timeout_ms);

/* Where the snapshot of a zone is or will be; NULL: no memory, or too long a path. The caller
 * frees.
 */
char *snapshot_keeper_path(const struct snapshot_keeper *keeper, const uint8_t *apex);

/* The zone has a new generation. Whoever publishes it calls this; it takes a short lock and never
 * waits for the disk. */
void snapshot_keeper_published(struct snapshot_keeper *keeper, const struct zone *zone);

/* The zone's data has changed in place, which made `octets` of the journal. With more than
 * `octets_max` of all zones that no snapshot has, these are written at once. As
 * snapshot_keeper_published(). */
void snapshot_keeper_changed(struct snapshot_keeper *keeper, const struct zone *zone, size_t octets,
                             uint64_t octets_max);

/* The zone's checked_at may have moved on. Called for each secondary zone now and then, as often as
 * one may lose of it in a crash; costs a look-up. */
void snapshot_keeper_checked(struct snapshot_keeper *keeper, const struct zone *zone);
