/* Record sets in the order of their keys: a skip list with one writer and readers without locks.
 *
 * The key of a name is such that octets compare as names do in canonical order (RFC 4034, 6.1), and
 * that an ancestor's key is the beginning of its descendants'. A lookup is about log2 of the number
 * of sets in steps; no set moves, so that readers need nothing but an RCU read-side section.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rcu.h"
#include "dns/name.h"

/* Octets of a name's key: each of the name's at most twice. */
#define DENIAL_KEY_MAX (2 * NAME_SIZE_MAX)

struct denial_key {
    size_t size;
    uint8_t octets[DENIAL_KEY_MAX + 4]; /* room for an asterisk or a type behind it */
};

/* Label by label from the root on: octets 0 and 1 as two octets, and 0 behind each label. */
void denial_key_make(struct denial_key *ret_key, const struct name *name);

/* Makes the key of the wildcard below the first `size` octets of `name`'s key. */
void denial_key_make_wildcard(struct denial_key *ret_key, const struct denial_key *name,
                              size_t size);

/* Octets of the key of the longest ancestor that two names have in common. */
size_t denial_key_common(const uint8_t *one, size_t one_size, const uint8_t *other,
                         size_t other_size);

int denial_key_compare(const uint8_t *one, size_t one_size, const uint8_t *other,
                       size_t other_size);

/* A record set with its signatures. All is fixed once it is in an index, but for the links, which
 * the writer sets, and `used`. */
struct denial_entry {
    struct rcu_head retired;
    struct denial_zone *zone;
    struct denial_index *index;
    struct denial_entry *older, *newer; /* in the store's queue */
    _Atomic(uint8_t) used;              /* by readers, since the queue came by */
    uint8_t height;
    uint8_t owner_size;
    uint16_t type;
    uint16_t key_size;
    uint16_t end_size; /* of the key where the span ends: NSEC and NSEC3 */
    uint16_t record_count, signature_count;
    uint32_t octets; /* of memory */
    uint32_t data_size, signatures_size;
    int64_t stored_at, expires_at;
    const uint8_t *key, *end, *owner; /* all behind the links */
    const uint8_t *data, *signatures; /* each record with its length in front */
    const uint8_t *bitmap;            /* of the types at the owner (RFC 4034, 4.1.2) */
    uint16_t bitmap_size;
    struct denial_entry *next[];
};

#define DENIAL_HEIGHT_MAX 16 /* for 65,536 sets at half each, and beyond it at more steps */

/* All zero is an empty one. */
struct denial_index {
    size_t count;
    uint32_t random; /* of heights */
    struct denial_entry *first[DENIAL_HEIGHT_MAX];
};

/* A height for an entry to come; writer. */
uint8_t denial_index_height(struct denial_index *index);

/* Puts an entry, whose key is in the index nowhere; writer. */
void denial_index_put(struct denial_index *index, struct denial_entry *entry);

/* Takes an entry out; readers may still be at it until a grace period has passed. Writer. */
void denial_index_remove(struct denial_index *index, struct denial_entry *entry);

/* The entry of the key, or else the last one before it; NULL: there is none. */
struct denial_entry *denial_index_find(const struct denial_index *index, const uint8_t *key,
                                       size_t size, bool *ret_exact);

/* The last entry of all; NULL: the index is empty. */
struct denial_entry *denial_index_last(const struct denial_index *index);
