/* Shared by the files of the rehearsal; no other includes it. */
#pragma once

#include "order/address_table.h"
#include "order/rehearsal.h"

/* The part of the order that blocks once it is active. */
static inline bool rehearsal_name_blocks(const struct rehearsal *rehearsal, size_t index)
{
    return rehearsal->names[index].state < LISTED_EXEMPT;
}

/* Whether the order, once active, is for `name`; then where it lists it. */
bool rehearsal_covers(const struct rehearsal *rehearsal, const struct name *name,
                      struct order_listing *ret_listing);

/* Walks all zones: shared addresses, references, names below, subtrees. */
_must_check_ int rehearsal_collateral(struct rehearsal *rehearsal);
