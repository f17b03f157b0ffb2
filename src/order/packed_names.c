/* A name in a block: an octet whose upper half says how many octets the key before loses at its
 * end, whose lower half how many new ones follow. Fifteen in a half stands for a number in an octet
 * of its own behind. The first name of a block loses nothing of a key of no octets. */
#include "order/packed_names.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "order/name_key.h"

#define HALF_ESCAPE 15

/* The first octet and two numbers. */
#define HEADER_MAX 3

/* Labels are copied eight octets at a time, beyond their ends: what a name has behind its own is
 * readable, and in a key the next label overwrites it. */
void packed_key_write(const struct name *name, size_t label, struct packed_key *ret_key)
{
    uint8_t *to = ret_key->octets;

    for (size_t i = name->label_count; i-- > label;) {
        const uint8_t *from = name->wire + name->offsets[i];
        uint8_t size = *from++;
        for (size_t at = 0; at < size; at += 8)
            memcpy(to + at, from + at, 8);
        to += size;
        *to++ = size;
    }
    ret_key->size = (size_t)(to - ret_key->octets);
}

/* The same of a lower-case name in wire form, as a list has it. */
static void write_key(const uint8_t *wire, struct packed_key *ret_key)
{
    const uint8_t *labels[NAME_LABELS_MAX];
    uint8_t *to = ret_key->octets;
    size_t count = 0;

    for (; *wire != 0; wire += 1 + *wire)
        labels[count++] = wire;
    while (count > 0) {
        const uint8_t *label = labels[--count];
        memcpy(to, label + 1, label[0]);
        to += label[0];
        *to++ = label[0];
    }
    ret_key->size = (size_t)(to - ret_key->octets);
}

/* The key's name in wire form. */
static void read_key(const struct packed_key *key, uint8_t *ret_wire)
{
    for (size_t end = key->size; end > 0;) {
        uint8_t size = key->octets[--end];
        end -= size;
        *ret_wire++ = size;
        memcpy(ret_wire, key->octets + end, size);
        ret_wire += size;
    }
    *ret_wire = 0;
}

/* How many octets two runs of `limit` begin with alike. */
static inline size_t equal_octets(const uint8_t *one, const uint8_t *other, size_t limit)
{
    size_t equal = 0;

    for (; limit - equal >= 8; equal += 8) {
        uint64_t left, right;
        memcpy(&left, one + equal, 8);
        memcpy(&right, other + equal, 8);
        if (left != right)
            return equal + (size_t)__builtin_ctzll(le64toh(left ^ right)) / 8;
    }
    while (equal < limit && one[equal] == other[equal])
        equal++;
    return equal;
}

static inline size_t smaller(size_t one, size_t other)
{
    return one < other ? one : other;
}

/* ---- Writing ---- */

struct packing {
    struct packed_names names;
    size_t used, room;         /* of names.octets */
    struct packed_key keys[2]; /* of the name before and of this one, in turn */
};

static int make_room(struct packing *packing)
{
    size_t needed = packing->used + HEADER_MAX + NAME_SIZE_MAX;

    if (needed > UINT32_MAX)
        return -E2BIG;
    if (needed <= packing->room)
        return 0;
    size_t room = packing->room + packing->room / 2 + 4 * (HEADER_MAX + NAME_SIZE_MAX);
    uint8_t *octets = realloc(packing->names.octets, room);
    if (octets == NULL)
        return -ENOMEM;
    packing->names.octets = octets;
    packing->room = room;
    return 0;
}

static unsigned half_of(size_t number)
{
    return number < HALF_ESCAPE ? (unsigned)number : HALF_ESCAPE;
}

static void pack_name(struct packing *packing, size_t index, const uint8_t *wire)
{
    struct packed_key *key = &packing->keys[index % 2], *before = &packing->keys[1 - index % 2];

    write_key(wire, key);
    if (index % PACKED_BLOCK == 0) {
        packing->names.blocks[index / PACKED_BLOCK] = (uint32_t)packing->used;
        before->size = 0;
    }
    size_t shared = equal_octets(before->octets, key->octets, smaller(before->size, key->size));
    size_t lost = before->size - shared, added = key->size - shared;
    uint8_t *at = packing->names.octets + packing->used;
    *at++ = (uint8_t)(half_of(lost) << 4 | half_of(added));
    if (lost >= HALF_ESCAPE)
        *at++ = (uint8_t)lost;
    if (added >= HALF_ESCAPE)
        *at++ = (uint8_t)added;
    memcpy(at, key->octets + shared, added);
    packing->used = (size_t)(at + added - packing->names.octets);
}

int packed_names_create(const struct order_names *names, struct packed_names *ret_packed)
{
    struct packing packing = {.names.count = names->count};
    int rc = 0;

    if (names->count == 0) {
        *ret_packed = packing.names;
        return 0;
    }
    size_t blocks = packed_names_blocks(&packing.names);
    packing.names.blocks = reallocarray(NULL, blocks, sizeof(*packing.names.blocks));
    if (packing.names.blocks == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        rc = make_room(&packing);
        if (rc == 0)
            pack_name(&packing, i, order_names_at(names, i));
    }
    if (rc < 0) {
        packed_names_clear(&packing.names);
        return rc;
    }
    uint8_t *exact = realloc(packing.names.octets, packing.used);
    if (exact != NULL)
        packing.names.octets = exact;
    *ret_packed = packing.names;
    return 0;
}

void packed_names_clear(struct packed_names *names)
{
    free(names->octets);
    free(names->blocks);
    *names = (struct packed_names){0};
}

/* ---- Reading ---- */

/* Reads the header at `at`; returns where the new octets begin. */
static inline const uint8_t *read_header(const uint8_t *at, size_t *ret_lost, size_t *ret_added)
{
    size_t lost = *at >> 4, added = *at & 0xf;

    at++;
    if (lost == HALF_ESCAPE)
        lost = *at++;
    if (added == HALF_ESCAPE)
        added = *at++;
    *ret_lost = lost;
    *ret_added = added;
    return at;
}

size_t packed_names_find_in(const struct packed_names *names, size_t block,
                            const struct packed_key *key)
{
    const uint8_t *at = names->octets + names->blocks[block];
    size_t index = block * PACKED_BLOCK, left = names->count - index;
    size_t size = 0;  /* of the key before */
    size_t equal = 0; /* octets that it begins with like the one that is looked for */

    for (left = smaller(left, PACKED_BLOCK); left > 0; left--, index++) {
        size_t lost, added;
        at = read_header(at, &lost, &added);
        size -= lost;
        if (size < equal) { /* what comes in the place of the equal octets differs */
            equal = size;
        } else if (size == equal) {
            size_t same = equal_octets(at, key->octets + equal, smaller(added, key->size - equal));
            equal += same;
            if (equal == key->size && same == added)
                return index;
        }
        size += added;
        at += added;
    }
    return SIZE_MAX;
}

/* Makes the key of the next name of that of the one before. */
static void step(struct packed_walk *walk)
{
    struct packed_key *key = &walk->key;
    size_t lost, added;

    if (walk->next % PACKED_BLOCK == 0)
        key->size = 0;
    walk->at = read_header(walk->at, &lost, &added);
    memcpy(key->octets + key->size - lost, walk->at, added);
    key->size += added - lost;
    walk->at += added;
    walk->next++;
}

void packed_walk_begin(struct packed_walk *walk, const struct packed_names *names, size_t first)
{
    walk->names = names;
    walk->next = first < names->count ? first - first % PACKED_BLOCK : names->count;
    if (walk->next < names->count)
        walk->at = names->octets + names->blocks[walk->next / PACKED_BLOCK];
    while (walk->next < first && walk->next < names->count)
        step(walk);
}

const uint8_t *packed_walk_next(struct packed_walk *walk)
{
    if (walk->next == walk->names->count)
        return NULL;
    step(walk);
    read_key(&walk->key, walk->wire);
    return walk->wire;
}

/* Whether a name comes before the one of the key `wanted`. */
static bool is_before(const uint8_t *wire, const uint8_t *wanted)
{
    uint8_t key[NAME_KEY_MAX];

    (void)name_key_write(wire, key);
    return name_key_compare(key, wanted) < 0;
}

size_t packed_names_lower_bound(const struct packed_names *names, const uint8_t *wire)
{
    size_t low = 0, high = packed_names_blocks(names); /* it is in `low`, or at the end of it */
    uint8_t wanted[NAME_KEY_MAX];
    struct packed_walk walk;

    (void)name_key_write(wire, wanted);
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        packed_walk_begin(&walk, names, middle * PACKED_BLOCK);
        if (is_before(packed_walk_next(&walk), wanted))
            low = middle;
        else
            high = middle;
    }
    packed_walk_begin(&walk, names, low * PACKED_BLOCK);
    for (const uint8_t *at = packed_walk_next(&walk); at != NULL; at = packed_walk_next(&walk))
        if (!is_before(at, wanted))
            return walk.next - 1;
    return names->count;
}

static size_t unpacked_size(const struct packed_names *names)
{
    struct packed_walk walk;
    size_t size = 0;

    packed_walk_begin(&walk, names, 0);
    for (const uint8_t *wire = packed_walk_next(&walk); wire != NULL;
         wire = packed_walk_next(&walk))
        size += name_wire_size(wire);
    return size;
}

int packed_names_unpack(const struct packed_names *names, struct order_names *ret_names)
{
    const size_t size = unpacked_size(names);
    if (size > UINT32_MAX)
        return -E2BIG;
    struct order_names unpacked = {
        .octets = malloc(size + 1),
        .offsets = calloc(names->count + 1, sizeof(*unpacked.offsets)),
    };
    if (unpacked.octets == NULL || unpacked.offsets == NULL) {
        free(unpacked.octets);
        free(unpacked.offsets);
        return -ENOMEM;
    }

    struct packed_walk walk;
    size_t at = 0;
    packed_walk_begin(&walk, names, 0);
    for (const uint8_t *wire = packed_walk_next(&walk); wire != NULL;
         wire = packed_walk_next(&walk)) {
        const size_t wire_size = name_wire_size(wire);
        memcpy(unpacked.octets + at, wire, wire_size);
        unpacked.offsets[unpacked.count++] = (uint32_t)at;
        at += wire_size;
    }
    *ret_names = unpacked;
    return 0;
}
