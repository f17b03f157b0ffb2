#include "order/name_index.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Names in a bucket on average, at least; at most twice as many: one or two cache lines. */
#define BUCKET_NAMES_MIN 8

struct indexed_list {
    const struct packed_names *names;
    uint32_t first_block; /* its blocks' numbers in the slots begin here */
};

struct name_index {
    atomic_uint references;
    unsigned bucket_bits, tag_bits, block_bits; /* of a hash, of a slot, of a slot */
    uint32_t *starts;                           /* of each bucket in slots[], and the end */
    uint32_t *slots;                            /* tag, block */
    uint64_t count;
    uint32_t block_count;
    size_t list_count;
    struct indexed_list lists[];
};

/* ---- Parts of a hash ---- */

static inline uint64_t bits_at(uint64_t hash, unsigned from, unsigned bits)
{
    return bits == 0 ? 0 : hash << from >> (64 - bits);
}

static inline uint64_t bucket_of(const struct name_index *index, uint64_t hash)
{
    return bits_at(hash, 0, index->bucket_bits);
}

static inline uint32_t tag_of(const struct name_index *index, uint64_t hash)
{
    return (uint32_t)bits_at(hash, index->bucket_bits, index->tag_bits);
}

static inline uint32_t slot_tag(const struct name_index *index, uint32_t slot)
{
    return slot >> index->block_bits; /* which are 28 at most: there are at most 2^32 octets */
}

static inline uint32_t slot_block(const struct name_index *index, uint32_t slot)
{
    return slot & (uint32_t)((UINT64_C(1) << index->block_bits) - 1);
}

static unsigned bits_for(uint64_t values)
{
    return values <= 1 ? 0 : 64 - (unsigned)__builtin_clzll(values - 1);
}

/* ---- Building ---- */

/* Decides the size of everything. `hash_bits`: how many upper bits of the hashes are known. */
static int allocate(uint64_t count, uint32_t block_count, size_t list_count, unsigned hash_bits,
                    struct name_index **ret_index)
{
    struct name_index *index = calloc(1, sizeof(*index) + list_count * sizeof(struct indexed_list));
    if (index == NULL)
        return -ENOMEM;
    atomic_init(&index->references, 1);
    index->count = count;
    index->block_count = block_count;
    index->list_count = list_count;
    uint64_t buckets = count / BUCKET_NAMES_MIN;
    index->bucket_bits = buckets <= 1 ? 0 : 63 - (unsigned)__builtin_clzll(buckets);
    if (index->bucket_bits > hash_bits)
        index->bucket_bits = hash_bits;
    index->block_bits = bits_for(block_count);
    index->tag_bits = 32 - index->block_bits;
    if (index->tag_bits > hash_bits - index->bucket_bits)
        index->tag_bits = hash_bits - index->bucket_bits;
    /* One more than the buckets and the end: see count_slot(). */
    index->starts = calloc((UINT64_C(1) << index->bucket_bits) + 2, sizeof(*index->starts));
    index->slots = reallocarray(NULL, count + 1, sizeof(*index->slots));
    if (index->starts == NULL || index->slots == NULL) {
        name_index_unref(index);
        return -ENOMEM;
    }
    *ret_index = index;
    return 0;
}

/* Two places further than where the bucket begins, so that the sums of the counts are the starts of
 * the buckets one place further, and are their ends, which is what the next bucket starts at, when
 * all slots are in. */
static inline void count_slot(struct name_index *index, uint64_t hash)
{
    index->starts[bucket_of(index, hash) + 2]++;
}

static void sum_counts(struct name_index *index)
{
    uint64_t buckets = UINT64_C(1) << index->bucket_bits;

    for (uint64_t i = 2; i <= buckets + 1; i++)
        index->starts[i] += index->starts[i - 1];
}

static inline void put_slot(struct name_index *index, uint64_t hash, uint32_t block)
{
    uint32_t *place = &index->starts[bucket_of(index, hash) + 1];

    index->slots[(*place)++] =
        (uint32_t)((uint64_t)tag_of(index, hash) << index->block_bits) | block;
}

int name_index_create(const struct packed_names *names, const uint64_t *hashes,
                      struct name_index **ret_index)
{
    struct name_index *index;

    int rc = allocate(names->count, (uint32_t)packed_names_blocks(names), 1, 64, &index);
    if (rc < 0)
        return rc;
    index->lists[0].names = names;
    for (size_t i = 0; i < names->count; i++)
        count_slot(index, hashes[i]);
    sum_counts(index);
    for (size_t i = 0; i < names->count; i++)
        put_slot(index, hashes[i], (uint32_t)(i / PACKED_BLOCK));
    *ret_index = index;
    return 0;
}

/* ---- Merging ---- */

static unsigned hash_bits(const struct name_index *index)
{
    return index->bucket_bits + index->tag_bits;
}

/* What a slot knows of the hash of its name. */
static inline uint64_t known_hash(const struct name_index *index, uint64_t bucket, uint32_t slot)
{
    unsigned bits = hash_bits(index);

    return bits == 0 ? 0 : (bucket << index->tag_bits | slot_tag(index, slot)) << (64 - bits);
}

static uint32_t list_blocks(const struct name_index *index, size_t list)
{
    uint32_t end =
        list + 1 < index->list_count ? index->lists[list + 1].first_block : index->block_count;

    return end - index->lists[list].first_block;
}

static uint64_t kept_names(const struct name_index_part *part)
{
    uint64_t kept = 0;

    for (size_t i = 0; i < part->index->list_count; i++)
        if (part->lists[i] != NAME_INDEX_DROPPED)
            kept += part->index->lists[i].names->count;
    return kept;
}

/* Puts the kept lists of a part behind those that are in, and notes which block each of its blocks
 * becomes. */
static void take_lists(struct name_index *merged, size_t *list_count, uint32_t *block_count,
                       const struct name_index_part *part, uint32_t *ret_blocks)
{
    const struct name_index *index = part->index;

    for (size_t i = 0; i < index->list_count; i++) {
        uint32_t first = index->lists[i].first_block, blocks = list_blocks(index, i);
        bool dropped = part->lists[i] == NAME_INDEX_DROPPED;
        for (uint32_t k = 0; k < blocks; k++)
            ret_blocks[first + k] = dropped ? NAME_INDEX_DROPPED : *block_count + k;
        if (dropped)
            continue;
        part->lists[i] = (uint32_t)*list_count;
        merged->lists[(*list_count)++] = (struct indexed_list){
            .names = index->lists[i].names,
            .first_block = *block_count,
        };
        *block_count += blocks;
    }
}

/* Counts the slots of a part, or puts them in. */
static void take_slots(struct name_index *merged, const struct name_index *index,
                       const uint32_t *blocks, bool puts)
{
    for (uint64_t bucket = 0; bucket < UINT64_C(1) << index->bucket_bits; bucket++) {
        for (uint32_t i = index->starts[bucket]; i < index->starts[bucket + 1]; i++) {
            uint32_t block = blocks[slot_block(index, index->slots[i])];
            if (block == NAME_INDEX_DROPPED)
                continue;
            uint64_t hash = known_hash(index, bucket, index->slots[i]);
            if (puts)
                put_slot(merged, hash, block);
            else
                count_slot(merged, hash);
        }
    }
}

/* `blocks`: room for the blocks of all parts. */
static void fill(struct name_index *merged, const struct name_index_part *parts, size_t count,
                 uint32_t *blocks)
{
    size_t list_count = 0, at = 0;
    uint32_t block_count = 0;

    for (size_t i = 0; i < count; at += parts[i++].index->block_count) {
        take_lists(merged, &list_count, &block_count, &parts[i], blocks + at);
        take_slots(merged, parts[i].index, blocks + at, false);
    }
    sum_counts(merged);
    at = 0;
    for (size_t i = 0; i < count; at += parts[i++].index->block_count)
        take_slots(merged, parts[i].index, blocks + at, true);
}

int name_index_merge(const struct name_index_part *parts, size_t count,
                     struct name_index **ret_index)
{
    uint64_t names = 0, all_blocks = 0;
    uint32_t kept_blocks = 0;
    size_t lists = 0;
    unsigned bits = 64;

    for (size_t i = 0; i < count; i++) {
        const struct name_index *index = parts[i].index;
        names += kept_names(&parts[i]);
        all_blocks += index->block_count;
        bits = hash_bits(index) < bits ? hash_bits(index) : bits;
        for (size_t k = 0; k < index->list_count; k++) {
            bool kept = parts[i].lists[k] != NAME_INDEX_DROPPED;
            lists += kept;
            kept_blocks += kept ? list_blocks(index, k) : 0;
        }
    }
    uint32_t *blocks = reallocarray(NULL, all_blocks + 1, sizeof(*blocks));
    if (blocks == NULL)
        return -ENOMEM;
    struct name_index *merged;
    int rc = allocate(names, kept_blocks, lists, bits, &merged);
    if (rc == 0) {
        fill(merged, parts, count, blocks);
        *ret_index = merged;
    }
    free(blocks);
    return rc;
}

/* ---- Holding ---- */

struct name_index *name_index_ref(struct name_index *index)
{
    atomic_fetch_add_explicit(&index->references, 1, memory_order_relaxed);
    return index;
}

void name_index_unref(struct name_index *index)
{
    if (index == NULL ||
        atomic_fetch_sub_explicit(&index->references, 1, memory_order_acq_rel) != 1)
        return;
    free(index->starts);
    free(index->slots);
    free(index);
}

size_t name_index_list_count(const struct name_index *index)
{
    return index->list_count;
}

uint64_t name_index_name_count(const struct name_index *index)
{
    return index->count;
}

/* ---- Looking ---- */

void name_probe_begin(struct name_probe *probe, const struct name_index *index, uint64_t hash)
{
    uint64_t bucket = bucket_of(index, hash);

    *probe = (struct name_probe){
        .index = index,
        .begin = index->slots + index->starts[bucket],
        .slot = index->slots + index->starts[bucket],
        .end = index->slots + index->starts[bucket + 1],
        .tag = tag_of(index, hash),
    };
}

void name_index_prefetch(const struct name_index *index, uint64_t hash)
{
    __builtin_prefetch(&index->starts[bucket_of(index, hash)]);
}

void name_index_prefetch_block(const struct name_index *index, const struct name_place *place,
                               bool octets)
{
    const struct packed_names *names = index->lists[place->list].names;
    const uint32_t *block = &names->blocks[place->block];

    if (octets)
        __builtin_prefetch(names->octets + *block);
    else
        __builtin_prefetch(block);
}

/* The list that a block belongs to: the last one that begins at it or before. */
static uint32_t list_of(const struct name_index *index, uint32_t block)
{
    size_t low = 0, high = index->list_count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (index->lists[middle].first_block <= block)
            low = middle;
        else
            high = middle;
    }
    return (uint32_t)low;
}

bool name_probe_next(struct name_probe *probe, struct name_place *ret_place)
{
    const struct name_index *index = probe->index;

    while (probe->slot < probe->end) {
        uint32_t slot = *probe->slot++;
        if (slot_tag(index, slot) != probe->tag)
            continue;
        /* Two names of one block whose hashes begin alike: they stand side by side, as the names
         * do, and each would be found at both. */
        if (probe->slot - probe->begin > 1 && probe->slot[-2] == slot)
            continue;
        uint32_t block = slot_block(index, slot), list = list_of(index, block);
        *ret_place = (struct name_place){
            .list = list,
            .block = block - index->lists[list].first_block,
        };
        return true;
    }
    return false;
}

size_t name_index_look(const struct name_index *index, const struct name_place *place,
                       const struct packed_key *key)
{
    return packed_names_find_in(index->lists[place->list].names, place->block, key);
}
