#include "ledger/merkle.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdbool.h>
#include <string.h>

static_assert(MERKLE_HASH_SIZE == crypto_hash_sha256_BYTES, "the tree's hash is SHA-256");

/* What keeps an entry from being taken for an inner node (RFC 9162, 2.1.1). */
enum { PREFIX_ENTRY = 0, PREFIX_NODE = 1 };

void merkle_hash_entry(const uint8_t *entry, size_t size, struct merkle_hash *ret_hash)
{
    const uint8_t prefix = PREFIX_ENTRY;
    crypto_hash_sha256_state state;
    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, &prefix, 1);
    if (size > 0)
        crypto_hash_sha256_update(&state, entry, size);
    crypto_hash_sha256_final(&state, ret_hash->octets);
}

void merkle_hash_children(const struct merkle_hash *left, const struct merkle_hash *right,
                          struct merkle_hash *ret_hash)
{
    uint8_t text[1 + 2 * MERKLE_HASH_SIZE] = {PREFIX_NODE};
    memcpy(text + 1, left->octets, MERKLE_HASH_SIZE);
    memcpy(text + 1 + MERKLE_HASH_SIZE, right->octets, MERKLE_HASH_SIZE);
    crypto_hash_sha256(ret_hash->octets, text, sizeof(text));
}

void merkle_hash_nothing(struct merkle_hash *ret_hash)
{
    crypto_hash_sha256(ret_hash->octets, (const uint8_t *)"", 0);
}

/* ---- A tree as it grows ---- */

void merkle_edge_append(struct merkle_edge *edge, const struct merkle_hash *entry)
{
    unsigned count = (unsigned)__builtin_popcountll(edge->size);
    struct merkle_hash root = *entry;
    /* Every trailing 1 of the size is a subtree that the new one completes to its double. */
    for (uint64_t left = edge->size; (left & 1) != 0; left >>= 1)
        merkle_hash_children(&edge->roots[--count], &root, &root);
    edge->roots[count] = root;
    edge->size++;
}

void merkle_edge_root(const struct merkle_edge *edge, struct merkle_hash *ret_root)
{
    unsigned count = (unsigned)__builtin_popcountll(edge->size);
    if (count == 0) {
        merkle_hash_nothing(ret_root);
        return;
    }
    *ret_root = edge->roots[--count];
    while (count > 0)
        merkle_hash_children(&edge->roots[--count], ret_root, ret_root);
}

/* ---- Reading ---- */

/* The largest power of two below `size`, which is at least 2: where RFC 9162 splits a tree. */
static uint64_t split_of(uint64_t size)
{
    return UINT64_C(1) << (63 - __builtin_clzll(size - 1));
}

/* The root over the entries from `first` on; `first` is a multiple of the smallest power of two
 * that is not below `size`, as every split leaves it. */
static int range_root(const struct merkle_nodes *nodes, uint64_t first, uint64_t size,
                      struct merkle_hash *ret_root)
{
    struct merkle_hash parts[MERKLE_PROOF_MAX];
    unsigned count = 0;
    while (size > 0) {
        const unsigned level = 63 - (unsigned)__builtin_clzll(size);
        int rc = nodes->read(nodes->context, level, first >> level, &parts[count++]);
        if (rc < 0)
            return rc;
        first += UINT64_C(1) << level;
        size -= UINT64_C(1) << level;
    }
    struct merkle_hash root = parts[--count];
    while (count > 0)
        merkle_hash_children(&parts[--count], &root, &root);
    *ret_root = root;
    return 0;
}

int merkle_root(const struct merkle_nodes *nodes, uint64_t size, struct merkle_hash *ret_root)
{
    if (size == 0) {
        merkle_hash_nothing(ret_root);
        return 0;
    }
    return range_root(nodes, 0, size, ret_root);
}

/* A proof is collected from the root down, and told from the bottom up. */
static void reverse(struct merkle_proof *proof)
{
    for (unsigned i = 0; i < proof->count / 2; i++) {
        struct merkle_hash kept = proof->hashes[i];
        proof->hashes[i] = proof->hashes[proof->count - 1 - i];
        proof->hashes[proof->count - 1 - i] = kept;
    }
}

int merkle_prove_inclusion(const struct merkle_nodes *nodes, uint64_t index, uint64_t size,
                           struct merkle_proof *ret_proof)
{
    if (index >= size)
        return -EINVAL;
    struct merkle_proof proof = {0};
    uint64_t first = 0;
    while (size > 1) {
        const uint64_t left = split_of(size);
        const bool goes_left = index - first < left;
        int rc = goes_left
                     ? range_root(nodes, first + left, size - left, &proof.hashes[proof.count++])
                     : range_root(nodes, first, left, &proof.hashes[proof.count++]);
        if (rc < 0)
            return rc;
        if (!goes_left)
            first += left;
        size = goes_left ? left : size - left;
    }
    reverse(&proof);
    *ret_proof = proof;
    return 0;
}

int merkle_prove_consistency(const struct merkle_nodes *nodes, uint64_t old_size, uint64_t size,
                             struct merkle_proof *ret_proof)
{
    if (old_size == 0 || old_size > size)
        return -EINVAL;
    struct merkle_proof proof = {0};
    uint64_t first = 0, old_left = old_size;
    while (old_left != size) {
        const uint64_t left = split_of(size);
        const bool goes_left = old_left <= left;
        int rc = goes_left
                     ? range_root(nodes, first + left, size - left, &proof.hashes[proof.count++])
                     : range_root(nodes, first, left, &proof.hashes[proof.count++]);
        if (rc < 0)
            return rc;
        if (!goes_left) {
            first += left;
            old_left -= left;
        }
        size = goes_left ? left : size - left;
    }
    /* The old tree's own root is known to who asks, unless it has become a part of others. */
    if (first > 0) {
        int rc = range_root(nodes, first, size, &proof.hashes[proof.count++]);
        if (rc < 0)
            return rc;
    }
    reverse(&proof);
    *ret_proof = proof;
    return 0;
}

/* ---- Checking ---- */

static bool hash_equal(const struct merkle_hash *one, const struct merkle_hash *other)
{
    return memcmp(one->octets, other->octets, MERKLE_HASH_SIZE) == 0;
}

int merkle_check_inclusion(uint64_t index, uint64_t size, const struct merkle_hash *entry,
                           const struct merkle_proof *proof, const struct merkle_hash *root)
{
    if (index >= size)
        return -EBADMSG;
    uint64_t number = index, last = size - 1;
    struct merkle_hash hash = *entry;
    for (unsigned i = 0; i < proof->count; i++) {
        if (last == 0)
            return -EBADMSG;
        if ((number & 1) != 0 || number == last) {
            merkle_hash_children(&proof->hashes[i], &hash, &hash);
            while ((number & 1) == 0 && number != 0) {
                number >>= 1;
                last >>= 1;
            }
        } else {
            merkle_hash_children(&hash, &proof->hashes[i], &hash);
        }
        number >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(&hash, root) ? 0 : -EBADMSG;
}

int merkle_check_consistency(uint64_t old_size, uint64_t size, const struct merkle_hash *old_root,
                             const struct merkle_hash *root, const struct merkle_proof *proof)
{
    if (old_size == 0)
        return proof->count == 0 ? 0 : -EBADMSG; /* every tree goes on from nothing */
    if (old_size > size)
        return -EBADMSG;
    if (old_size == size)
        return proof->count == 0 && hash_equal(old_root, root) ? 0 : -EBADMSG;

    /* A complete old tree is the first step itself. */
    const bool is_complete = (old_size & (old_size - 1)) == 0;
    unsigned next = 0;
    if (!is_complete && proof->count == 0)
        return -EBADMSG;
    struct merkle_hash old_hash = is_complete ? *old_root : proof->hashes[next++];
    struct merkle_hash hash = old_hash;
    uint64_t number = old_size - 1, last = size - 1;
    while ((number & 1) != 0) {
        number >>= 1;
        last >>= 1;
    }
    for (; next < proof->count; next++) {
        if (last == 0)
            return -EBADMSG;
        const struct merkle_hash *step = &proof->hashes[next];
        if ((number & 1) != 0 || number == last) {
            merkle_hash_children(step, &old_hash, &old_hash);
            merkle_hash_children(step, &hash, &hash);
            while ((number & 1) == 0 && number != 0) {
                number >>= 1;
                last >>= 1;
            }
        } else {
            merkle_hash_children(&hash, step, &hash);
        }
        number >>= 1;
        last >>= 1;
    }
    return last == 0 && hash_equal(&old_hash, old_root) && hash_equal(&hash, root) ? 0 : -EBADMSG;
}
