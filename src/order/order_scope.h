/* An order against the zones that are held: what of its lists can be blocked there, and the marks
 * that lead the answer path to the overlay. */
#pragma once

#include "order/overlay_set.h"
#include "zone/zone.h"

/* The zone that a listed name belongs to, with the name parsed; NULL: outside of every zone. */
struct zone *order_scope_zone(const struct zone_set *zones, const uint8_t *wire,
                              struct name *ret_name);

/* Listed names that stand side by side and belong to one zone. */
struct scope_run {
    struct zone *zone; /* NULL: outside of every zone */
    size_t left;       /* of them, those that are to be marked */
    size_t missing;    /* of these, those that the zone has no place for yet */
};

/* What zones say about an order's names. Holds as long as the zones keep their data. */
struct order_scope {
    uint64_t refused; /* names and subtrees that cannot be blocked as they are listed */
    struct scope_run *runs;
    size_t run_count, run_room;
    uint32_t *left; /* indices of the names that are to be marked */
    size_t left_count, left_room;
};
void order_scope_clear(struct order_scope *scope);

/* The zones keep their generations meanwhile and may be edited. The calling thread is no reader
 * (base/rcu.h). */

/* Makes a finding of each listed name that cannot be blocked as it is listed: one outside of every
 * zone, an apex, a zone cut. With `marks`, for which the caller is the writer, it marks those at
 * once that have a place in their zone: they are at hand. Returns 0 or -ENOMEM; the caller clears
 * the scope. */
_must_check_ int order_scope_check(const struct zone_set *zones, struct order *order, bool marks,
                                   struct order_scope *ret_scope);

/* Marks the other listed names in the present generations. Writer only. Returns 0 or -ENOMEM; marks
 * without an order say nothing, so that those that were set may stay. */
_must_check_ int order_scope_mark(const struct order_scope *scope, const struct order *order);

/* The number of refused ones without findings, of an order that is in force already. */
uint64_t order_scope_refused(const struct zone_set *zones, const struct active_order *active);
