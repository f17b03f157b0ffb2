/* An order against the zones that are held: what of its lists can be blocked there, and the marks
 * that lead the answer path to the overlay. */
#pragma once

#include "order/order.h"
#include "zone/zone.h"

/* The zone that a listed name belongs to, with the name parsed; NULL: outside of every zone. */
struct zone *order_scope_zone(const struct zone_set *zones, const uint8_t *wire,
                              struct name *ret_name);

/* Makes a finding of each listed name that cannot be blocked as it is listed: one outside of every
 * zone, an apex, a zone cut. Returns how many there are. */
uint64_t order_scope_check(const struct zone_set *zones, struct order *order);

/* The same number without findings, of an order that is in force already. */
uint64_t order_scope_refused(const struct zone_set *zones, const struct order *order);

/* Marks the listed names in the present generations. Writer only. Returns 0 or -ENOMEM; marks
 * without an order say nothing, so that those that were set may stay. */
_must_check_ int order_scope_mark(const struct zone_set *zones, const struct order *order);
