#include "zone/nsec_chain.h"

#include <nettle/sha1.h>
#include <stdlib.h>
#include <string.h>

void nsec_chain_free(struct nsec_chain *chain)
{
    if (chain == NULL)
        return;
    free(chain->nsec);
    free(chain->nsec3);
    free(chain);
}

/* Places of the labels of a relative owner, leftmost first; returns how many there are. */
static size_t owner_labels(const uint8_t *owner, size_t size, uint8_t ret_offsets[NAME_LABELS_MAX])
{
    size_t count = 0;
    for (size_t at = 0; at < size; at += (size_t)owner[at] + 1)
        ret_offsets[count++] = (uint8_t)at;
    return count;
}

int owner_compare(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size)
{
    uint8_t one_offsets[NAME_LABELS_MAX], other_offsets[NAME_LABELS_MAX];
    size_t one_left = owner_labels(one, one_size, one_offsets);
    size_t other_left = owner_labels(other, other_size, other_offsets);

    while (one_left > 0 && other_left > 0) {
        const uint8_t *one_label = one + one_offsets[--one_left];
        const uint8_t *other_label = other + other_offsets[--other_left];
        size_t common = one_label[0] < other_label[0] ? one_label[0] : other_label[0];
        int order = memcmp(one_label + 1, other_label + 1, common);
        if (order != 0)
            return order < 0 ? -1 : 1;
        if (one_label[0] != other_label[0])
            return one_label[0] < other_label[0] ? -1 : 1;
    }
    return (one_left > 0) - (other_left > 0);
}

const struct name_entry *nsec_chain_covering(const struct nsec_chain *chain, const uint8_t *owner,
                                             size_t owner_size, bool *ret_exact)
{
    *ret_exact = false;
    if (chain->nsec_count == 0)
        return NULL;

    /* The first owner greater than ours; the one before it covers. */
    size_t low = 0, high = chain->nsec_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct name_entry *entry = chain->nsec[middle];
        int order = owner_compare(entry->owner, entry->owner_size, owner, owner_size);
        if (order == 0) {
            *ret_exact = true;
            return entry;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return chain->nsec[low == 0 ? chain->nsec_count - 1 : low - 1];
}

void nsec3_hash(const struct nsec_chain *chain, const uint8_t *owner, size_t owner_size,
                uint8_t ret_hash[NSEC3_HASH_SIZE])
{
    struct sha1_ctx context;
    sha1_init(&context);
    sha1_update(&context, owner_size, owner);
    sha1_update(&context, chain->salt_size, chain->salt);
    sha1_digest(&context, NSEC3_HASH_SIZE, ret_hash);
    for (unsigned i = 0; i < chain->iterations; i++) {
        sha1_update(&context, NSEC3_HASH_SIZE, ret_hash);
        sha1_update(&context, chain->salt_size, chain->salt);
        sha1_digest(&context, NSEC3_HASH_SIZE, ret_hash);
    }
}

const struct nsec3_link *nsec3_chain_covering(const struct nsec_chain *chain,
                                              const uint8_t hash[NSEC3_HASH_SIZE], bool *ret_exact)
{
    *ret_exact = false;
    if (chain->nsec3_count == 0)
        return NULL;

    size_t low = 0, high = chain->nsec3_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = memcmp(chain->nsec3[middle].hash, hash, NSEC3_HASH_SIZE);
        if (order == 0) {
            *ret_exact = true;
            return &chain->nsec3[middle];
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return &chain->nsec3[low == 0 ? chain->nsec3_count - 1 : low - 1];
}

bool nsec3_label_decode(const uint8_t *label, uint8_t ret_hash[NSEC3_HASH_SIZE])
{
    if (label[0] != NSEC3_HASH_SIZE * 8 / 5)
        return false;

    uint64_t bits = 0;
    unsigned bit_count = 0;
    size_t size = 0;
    for (unsigned i = 1; i <= label[0]; i++) {
        uint8_t c = label[i];
        unsigned value;
        if (c >= '0' && c <= '9')
            value = c - '0';
        else if (c >= 'a' && c <= 'v')
            value = c - 'a' + 10u;
        else if (c >= 'A' && c <= 'V')
            value = c - 'A' + 10u;
        else
            return false;
        bits = bits << 5 | value;
        bit_count += 5;
        if (bit_count >= 8) {
            bit_count -= 8;
            ret_hash[size++] = (uint8_t)(bits >> bit_count);
        }
    }
    return true;
}
