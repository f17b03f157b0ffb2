/* The orders in force as the answer path sees them: implements zone/overlay.h.
 *
 * Precedence (documented in tamis-order(5)): an exemption wins: a name that a blocking order in
 * force exempts is blocked by none. Of the orders that list a name, the one that started earlier
 * wins, then the smaller id. `observe` orders never win over a blocking one; they are counted as
 * well.
 *
 * An active order holds its names packed, with a counter each, and is shared by successive overlay
 * generations. A generation is an array of active orders in order of precedence, and the indexes of
 * their names: one for many orders, so that a probe or a few ask them all.
 */
#pragma once

#include "order/order.h"
#include "order/packed_names.h"

struct active_order; /* one order in force, reference counted by generations */
struct overlay_set;  /* one generation; its first member is a struct overlay */

/* Packs and indexes the names; takes the order over. `workers`: how many threads count. */
_must_check_ int active_order_create(struct order *order, unsigned workers,
                                     struct active_order **ret_active);
void active_order_unref(struct active_order *active);
struct active_order *active_order_ref(struct active_order *active);
const struct order *active_order_get(const struct active_order *active);

/* Frees order->names, which the packed names stand in for from then on; a name's line is forgotten.
 * Nobody else may look at them. */
void active_order_drop_list(struct active_order *active);

/* Whether `order` says what the active one says, by the form that is signed (tamis-order(5)).
 * Returns 1, 0 or -ENOMEM. */
_must_check_ int active_order_is(const struct active_order *active, const struct order *order);

/* The same names in the same order as order->names had them. */
const struct packed_names *active_order_names(const struct active_order *active);
const struct packed_names *active_order_subtrees(const struct active_order *active);

/* Names and subtrees. */
uint64_t active_order_entries(const struct active_order *active);

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
 * nothing. Not while another thread calls active_orders_join(). */
bool active_order_lists(const struct active_order *active, const struct name *name,
                        bool is_cut_or_apex, struct order_listing *ret_listing);

/* Index in order->names of the suffix of `name` that begins with label `label`, or SIZE_MAX. Not
 * while another thread calls active_orders_join(). */
size_t active_order_find_suffix(const struct active_order *active, const struct name *name,
                                size_t label);

/* Merges indexes of these orders, which are all that are in force, where there are too many: then
 * each is at least four times as large as all smaller ones, so that a generation of any number of
 * orders has few. Costs some nanoseconds a name, and that for each name a few times only, however
 * many orders come one after the other. Without memory it does nothing.
 *
 * One writer: not while overlay_set_create() runs. Generations made before are not touched. */
void active_orders_join(struct active_order *const *orders, size_t count);

/* Makes a generation of `count` orders (references are taken). */
_must_check_ int overlay_set_create(struct active_order *const *orders, size_t count,
                                    struct overlay_set **ret_set);
void overlay_set_free(struct overlay_set *set); /* drops references; after a grace period */

/* Whether any of the orders, time apart, lists the name itself. */
bool overlay_set_lists(const struct overlay_set *set, const struct name *name);

const struct overlay *overlay_set_overlay(const struct overlay_set *set);
size_t overlay_set_count(const struct overlay_set *set);
struct active_order *overlay_set_at(const struct overlay_set *set, size_t index);
struct active_order *overlay_set_by_id(const struct overlay_set *set, const char *id);
