/* The orders in force as the answer path sees them: implements zone/overlay.h.
 *
 * Precedence (documented in tamis-order(5)): an exemption wins: a name that a blocking order in
 * force exempts is blocked by none. Of the orders that list a name, the one that started earlier
 * wins, then the smaller id. `observe` orders never win over a blocking one; they are counted as
 * well.
 *
 * An active order is an immutable hash set of its names with a counter each, shared by successive
 * overlay generations; a generation is an array of them in order of precedence.
 */
#pragma once

#include "order/order.h"

struct active_order; /* one order in force, reference counted by generations */
struct overlay_set;  /* one generation; its first member is a struct overlay */

/* Builds the hash set; takes the order over. `workers`: how many threads count. */
_must_check_ int active_order_create(struct order *order, unsigned workers,
                                     struct active_order **ret_active);
void active_order_unref(struct active_order *active);
struct active_order *active_order_ref(struct active_order *active);
const struct order *active_order_get(const struct active_order *active);

/* Sums over all workers. Names are in the order of order->names. */
uint64_t active_order_hits(const struct active_order *active);
uint64_t active_order_name_hits(const struct active_order *active, size_t name_index);
uint64_t active_order_subtree_hits(const struct active_order *active, size_t subtree_index);

/* What one order says about a name. */
struct order_listing {
    size_t name;    /* index in order->names, or SIZE_MAX */
    size_t subtree; /* index in order->subtrees of the nearest one that holds it, or SIZE_MAX */
};

/* Whether the order, time apart, is for `name`: listed or in a subtree, and not exempt. Counts
 * nothing. */
bool active_order_lists(const struct active_order *active, const struct name *name,
                        bool is_cut_or_apex, struct order_listing *ret_listing);

/* Index in order->names of the suffix of `name` that begins with label `label`, or SIZE_MAX. */
size_t active_order_find_suffix(const struct active_order *active, const struct name *name,
                                size_t label);

/* Makes a generation of `count` orders (references are taken). */
_must_check_ int overlay_set_create(struct active_order *const *orders, size_t count,
                                    struct overlay_set **ret_set);
void overlay_set_free(struct overlay_set *set); /* drops references; after a grace period */

const struct overlay *overlay_set_overlay(const struct overlay_set *set);
size_t overlay_set_count(const struct overlay_set *set);
struct active_order *overlay_set_at(const struct overlay_set *set, size_t index);
struct active_order *overlay_set_by_id(const struct overlay_set *set, const char *id);
