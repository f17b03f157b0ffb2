/* The Merkle tree of RFC 9162, 2.1: hashes of entries, roots, and the proofs that an entry is in a
 * tree and that one tree goes on where an older one ended.
 *
 * Nothing here reads files or knows of tiles. Nodes are named by their level (0: the hash of an
 * entry) and their number in it: node (k, i) is over the entries i * 2^k to (i + 1) * 2^k - 1.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define MERKLE_HASH_SIZE 32 /* SHA-256 */

struct merkle_hash {
    uint8_t octets[MERKLE_HASH_SIZE];
};

/* A tree of 2^63 entries has no longer proof. */
#define MERKLE_PROOF_MAX 64

struct merkle_proof {
    unsigned count;
    struct merkle_hash hashes[MERKLE_PROOF_MAX]; /* in the order of RFC 9162, 2.1.3 and 2.1.4 */
};

void merkle_hash_entry(const uint8_t *entry, size_t size, struct merkle_hash *ret_hash);
void merkle_hash_children(const struct merkle_hash *left, const struct merkle_hash *right,
                          struct merkle_hash *ret_hash);
/* Of the tree without entries. */
void merkle_hash_nothing(struct merkle_hash *ret_hash);

/* ---- A tree as it grows ---- */

/* The roots of the perfect subtrees that the entries so far make up, largest first: all that is
 * needed to go on and to tell the root. */
struct merkle_edge {
    uint64_t size; /* entries */
    struct merkle_hash roots[MERKLE_PROOF_MAX];
};

/* Takes the hash of the next entry. */
void merkle_edge_append(struct merkle_edge *edge, const struct merkle_hash *entry);
void merkle_edge_root(const struct merkle_edge *edge, struct merkle_hash *ret_root);

/* ---- Proofs ---- */

/* Where nodes of complete subtrees are read. Returns 0 or a negative errno. */
struct merkle_nodes {
    int (*read)(void *context, unsigned level, uint64_t number, struct merkle_hash *ret_hash);
    void *context;
};

/* The root of the tree of the first `size` entries. */
_must_check_ int merkle_root(const struct merkle_nodes *nodes, uint64_t size,
                             struct merkle_hash *ret_root);

/* RFC 9162, 2.1.3.1. -EINVAL unless index < size. */
_must_check_ int merkle_prove_inclusion(const struct merkle_nodes *nodes, uint64_t index,
                                        uint64_t size, struct merkle_proof *ret_proof);

/* RFC 9162, 2.1.4.1. -EINVAL unless 0 < old_size <= size. */
_must_check_ int merkle_prove_consistency(const struct merkle_nodes *nodes, uint64_t old_size,
                                          uint64_t size, struct merkle_proof *ret_proof);

/* RFC 9162, 2.1.3.2 and 2.1.4.2: 0, or -EBADMSG when the proof does not hold. */
_must_check_ int merkle_check_inclusion(uint64_t index, uint64_t size,
                                        const struct merkle_hash *entry,
                                        const struct merkle_proof *proof,
                                        const struct merkle_hash *root);
_must_check_ int merkle_check_consistency(uint64_t old_size, uint64_t size,
                                          const struct merkle_hash *old_root,
                                          const struct merkle_hash *root,
                                          const struct merkle_proof *proof);
