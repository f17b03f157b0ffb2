/* The names of the orders as the proof sees them: which names must be blocked, and how. */
#pragma once

#include "order/order.h"

struct listing;

_must_check_ int listing_create(struct listing **ret_listing);
void listing_free(struct listing *listing);
DEFINE_FREEP(struct listing, listing_free)

/* Takes the order over. An earlier order goes first, then the smaller id (tamis-order(5)). */
_must_check_ int listing_add(struct listing *listing, struct order *order);

/* Loads an order that is in force now and adds it; one that has not started or has ended is refused
 * with -EINVAL. */
_must_check_ int listing_load(struct listing *listing, const char *path,
                              const struct order_policy *policy, struct error *ret_error);

size_t listing_order_count(const struct listing *listing);
const struct order *listing_order(const struct listing *listing, size_t index);

/* The order that blocks `name` (wire form, lower case), or NULL: nobody lists it, each order that
 * does exempts it, or only observes. Logarithmic in the number of names. */
const struct order *listing_find(const struct listing *listing, const uint8_t *name);

/* Remembers that `name` was asked about, so that listing_next() leaves it out. */
void listing_mark(struct listing *listing, const uint8_t *name);

/* Walks all names of all orders, the exempt ones and the subtrees themselves included, that were
 * not marked; marks them. Returns NULL at the end. */
const uint8_t *listing_next(struct listing *listing);

/* Names, subtrees and exempt names of all orders together. */
size_t listing_size(const struct listing *listing);
