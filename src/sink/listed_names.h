/* The names of the orders whose clients come here: which order lists a name, and whose address is
 * whose. Immutable once loaded: any thread. */
#pragma once

#include <netinet/in.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"

struct listed_names;

/* Loads the order files. Signatures are the name server's to look at: what leads here is in force.
 */
_must_check_ int listed_names_load(char *const *paths, size_t count,
                                   struct listed_names **ret_names, struct error *ret_error);
void listed_names_free(struct listed_names *names);
DEFINE_FREEP(struct listed_names, listed_names_free)

/* The first order that lists the name (wire form, lower case), by itself or by a subtree; NULL:
 * none. */
const struct order *listed_names_find(const struct listed_names *names, const uint8_t *wire);

/* The order that leads its names to the address, if it is the only one; else NULL. */
const struct order *listed_names_at(const struct listed_names *names,
                                    const struct in6_addr *address);

/* The only name of an order, in wire form; NULL: it has more, or subtrees. */
const uint8_t *listed_names_only(const struct order *order);
