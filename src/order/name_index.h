/* Where names are, by their hash, in the packed names of one order or of many: one probe for all of
 * them.
 *
 * The upper bits of a hash pick a bucket of eight to sixteen slots, the next bits make the tag of
 * the slot, and the rest of it says in which block of packed names to look. A name costs five
 * octets at most, a probe two cache misses. Since the hash is in the slots, indexes are merged
 * without the names: activating a hundred orders does not hash them over and over.
 *
 * Immutable, and reference counted by who holds it: generations of the overlay and active orders.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "order/packed_names.h"

struct name_index;

/* Indexes one list; hashes[i] is that of its name i. `names` must live as long as somebody looks at
 * matches in them, not as long as the index. Returns 0 or -ENOMEM. */
_must_check_ int name_index_create(const struct packed_names *names, const uint64_t *hashes,
                                   struct name_index **ret_index);

/* A list that a merged index leaves out. */
#define NAME_INDEX_DROPPED UINT32_MAX

/* An index to be merged. `lists` has an element for each of its lists: NAME_INDEX_DROPPED, or
 * anything else, in whose place its number in the merged index is set. */
struct name_index_part {
    const struct name_index *index;
    uint32_t *lists;
};

/* Makes one index of some. Returns 0 or -ENOMEM. */
_must_check_ int name_index_merge(const struct name_index_part *parts, size_t count,
                                  struct name_index **ret_index);

struct name_index *name_index_ref(struct name_index *index);
void name_index_unref(struct name_index *index); /* NULL is fine */

size_t name_index_list_count(const struct name_index *index);
uint64_t name_index_name_count(const struct name_index *index); /* of all lists */

/* A walk over the places where a name may be. */
struct name_probe {
    const struct name_index *index;
    const uint32_t *begin, *slot, *end; /* the bucket, and what comes next of it */
    uint32_t tag;
};

/* A place: the name is in this block of this list, or, seldom, it is not. */
struct name_place {
    uint32_t list;
    uint32_t block;
};

void name_probe_begin(struct name_probe *probe, const struct name_index *index, uint64_t hash);

/* Ask the memory for where a hash's bucket begins, and for where the block of a place whose list
 * still lives begins or, once that has come, for the block. */
void name_index_prefetch(const struct name_index *index, uint64_t hash);
void name_index_prefetch_block(const struct name_index *index, const struct name_place *place,
                               bool octets);

/* The next place; false: there is none. */
bool name_probe_next(struct name_probe *probe, struct name_place *ret_place);

/* Looks at a place whose list still lives. Returns the name's index in the list, or SIZE_MAX. */
size_t name_index_look(const struct name_index *index, const struct name_place *place,
                       const struct packed_key *key);
