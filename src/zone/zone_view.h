/* A generation frozen at one serial, read for as long as it takes while edits go on: for zone
 * transfers, snapshots and dumps.
 *
 * Slots of the table never move within a table, so a view walks them from the first to the last.
 * While a view is open, an edit that swaps an entry which the view has yet to pass leaves the old
 * one with the view. A view costs an edit one look-up and memory for what changes meanwhile, and
 * queries nothing.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "zone/zone_data.h"

struct zone_view;

/* Opens a view of what is committed now. Under the lock that edits of the zone are under. Returns 0
 * or -ENOMEM. */
_must_check_ int zone_view_open(struct zone_data *data, struct zone_view **ret_view);

/* Any thread, without the lock; frees. NULL is fine. */
void zone_view_close(struct zone_view *view);
DEFINE_FREEP(struct zone_view, zone_view_close)

/* The numbers of the SOA and the apex entry as they were when the view was opened. */
const struct soa *zone_view_soa(const struct zone_view *view);
const struct name_entry *zone_view_apex(const struct zone_view *view);
const struct zone_data *zone_view_data(const struct zone_view *view);

/* What edits change of the generation beside its entries, as it was when the view was opened. */
struct zone_view_state {
    struct zone_source source;
    uint64_t name_count, entry_count;
};
const struct zone_view_state *zone_view_state(const struct zone_view *view);

/* The next entries with records or anything below, up to `max`, in the order of the slots, the apex
 * among them; 0 at the end. One thread at a time, any thread. The entries live until the view is
 * closed. `ret_slots` (NULL: not wanted) gets the slots' indices. */
size_t zone_view_next(struct zone_view *view, const struct name_entry **ret_entries,
                      uint64_t *ret_slots, size_t max);
