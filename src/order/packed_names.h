/* The names of an order in force: sorted, and packed to about eight octets each.
 *
 * Names of one zone share their ends, and neighbours in canonical order share most: in blocks of
 * sixteen each name, its labels turned round, is kept as what it has different from the one before.
 * A block is a few cache lines, so that to look for a name in its block costs little more than to
 * read it; which block that is, an index tells (name_index.h).
 *
 * Immutable: any number of threads may read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/name.h"
#include "order/order.h"

#define PACKED_BLOCK 16

struct packed_names {
    uint8_t *octets;
    uint32_t *blocks; /* where each block begins in octets[] */
    size_t count;     /* names */
};

/* Packs sorted names without duplicates, as an order has them. Returns 0, -ENOMEM or -E2BIG. */
_must_check_ int packed_names_create(const struct order_names *names,
                                     struct packed_names *ret_packed);
void packed_names_clear(struct packed_names *names);

/* The names as an order being read has them, without their lines; order_names_clear() frees them.
 * Returns 0, -ENOMEM or -E2BIG. */
_must_check_ int packed_names_unpack(const struct packed_names *names,
                                     struct order_names *ret_names);

static inline size_t packed_names_blocks(const struct packed_names *names)
{
    return (names->count + PACKED_BLOCK - 1) / PACKED_BLOCK;
}

/* The form that is packed and compared: the labels from the right to the left, each followed by its
 * length octet. The root label is left out. */
struct packed_key {
    size_t size;
    uint8_t octets[NAME_SIZE_MAX + 8]; /* what is behind the end is anything */
};

/* Any suffix of a name from a label on. */
void packed_key_write(const struct name *name, size_t label, struct packed_key *ret_key);

/* Index of the name with this key if it is in the block, or SIZE_MAX. */
size_t packed_names_find_in(const struct packed_names *names, size_t block,
                            const struct packed_key *key);

/* Index of the first name that is not before `wire` (lower case) in canonical order. */
size_t packed_names_lower_bound(const struct packed_names *names, const uint8_t *wire);

/* A walk over the names in canonical order. */
struct packed_walk {
    const struct packed_names *names;
    const uint8_t *at;
    size_t next; /* index of the name that comes next */
    struct packed_key key;
    uint8_t wire[NAME_SIZE_MAX];
};

/* Begins at the name `first`. The names outlive the walk. */
void packed_walk_begin(struct packed_walk *walk, const struct packed_names *names, size_t first);

/* The next name in wire form, lower case, until the next call; NULL behind the last one. Its index
 * is walk->next - 1. */
const uint8_t *packed_walk_next(struct packed_walk *walk);
