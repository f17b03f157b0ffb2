#include "dns/name.h"

#include <errno.h>
#include <string.h>

#include "base/octets.h"

/* Key of the hash. Odd constants until the process draws its own. */
static uint64_t hash_key0 = 0x9e3779b97f4a7c15;
static uint64_t hash_key1 = 0xc2b2ae3d27d4eb4f;

/* Both halves of the 128-bit product: every input bit reaches every output bit. */
static inline uint64_t multiply_fold(uint64_t one, uint64_t other)
{
    unsigned __int128 product = (unsigned __int128)one * other;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

void name_hash_key_set(uint64_t key0, uint64_t key1)
{
    /* Folded, so that a key of few bits, as a test may use, still multiplies well. */
    hash_key0 = multiply_fold(key0 ^ 0xa0761d6478bd642f, 0xe7037ed1a0b428db);
    hash_key1 = multiply_fold(key1 ^ 0x8ebc6af09c88c6e3, 0x589965cc75374cc3) | 1;
}

uint64_t name_hash_child(uint64_t parent, const uint8_t *label)
{
    /* The length octet is hashed with the label, so that label borders count. */
    size_t left = (size_t)label[0] + 1;
    uint64_t hash = parent ^ hash_key0;
    while (left > 8) {
        hash = multiply_fold(hash ^ octets_load64(label), hash_key1);
        label += 8;
        left -= 8;
    }
    return multiply_fold(hash ^ octets_load(label, left), hash_key1 ^ left);
}

/* The same where 8 octets may be read behind the label, as in a parsed name. */
static inline uint64_t hash_parsed_label(uint64_t parent, const uint8_t *label)
{
    size_t left = (size_t)label[0] + 1;
    uint64_t hash = parent ^ hash_key0;
    for (; left > 8; left -= 8, label += 8)
        hash = multiply_fold(hash ^ octets_load64(label), hash_key1);
    uint64_t tail = octets_load64(label) & (UINT64_MAX >> (64 - 8 * left));
    return multiply_fold(hash ^ tail, hash_key1 ^ left);
}

/* Lower case of the eight octets in `word`, all at once: octets from 'A' to 'Z' get bit 5 set. */
static inline uint64_t fold64(uint64_t word)
{
    const uint64_t ones = 0x0101010101010101;
    uint64_t low7 = word & (0x7f * ones);
    uint64_t from_a = low7 + (0x80 - 'A') * ones; /* bit 7 set where the octet is >= 'A' */
    uint64_t past_z = low7 + (0x7f - 'Z') * ones; /* bit 7 set where the octet is > 'Z' */
    uint64_t letters = (from_a & ~past_z & ~word) & (0x80 * ones);
    return word | (letters >> 2);
}

/* Sixteen octets, which every 64-bit machine handles as one value. */
typedef uint8_t octets16 __attribute__((vector_size(16)));

static inline void fold16(uint8_t *ret_wire, const uint8_t *wire)
{
    octets16 octets;
    memcpy(&octets, wire, sizeof(octets));
    octets |= ((octets - 'A') < (uint8_t)26) & 0x20;
    memcpy(ret_wire, &octets, sizeof(octets));
}

/* The last ones of each size may have been folded in part: folding twice changes nothing. */
static inline void fold(uint8_t *ret_wire, const uint8_t *wire, size_t size)
{
    if (size >= 16) {
        for (size_t at = 0; at + 16 < size; at += 16)
            fold16(ret_wire + at, wire + at);
        fold16(ret_wire + size - 16, wire + size - 16);
    } else if (size >= 8) {
        uint64_t first = fold64(octets_load64(wire));
        uint64_t last = fold64(octets_load64(wire + size - 8));
        memcpy(ret_wire, &first, 8);
        memcpy(ret_wire + size - 8, &last, 8);
    } else if (size > 0) {
        uint64_t word = fold64(octets_load(wire, size));
        memcpy(ret_wire, &word, size);
    }
}

void name_fold(uint8_t *ret_wire, const uint8_t *wire, size_t size)
{
    fold(ret_wire, wire, size);
}

int name_parse(struct name *ret_name, const uint8_t *wire, size_t available)
{
    size_t at = 0, labels = 0;
    size_t limit = available < NAME_SIZE_MAX ? available : NAME_SIZE_MAX;

    for (;;) {
        if (at >= limit)
            return -EBADMSG;
        uint8_t length = wire[at];
        ret_name->offsets[labels] = (uint8_t)at;
        if (length == 0)
            break;
        if (length > 63) /* a compression pointer or an obsolete label type (RFC 6891, 5) */
            return -EBADMSG;
        at += (size_t)length + 1;
        labels++; /* at most 127: each label takes two of the 254 octets before the root */
    }

    size_t size = at + 1;
    fold(ret_name->wire, wire, size);
    ret_name->size = (uint8_t)size;
    ret_name->label_count = (uint8_t)labels;

    uint64_t hash = hash_key1;
    ret_name->hashes[labels] = hash;
    for (size_t i = labels; i-- > 0;) {
        hash = hash_parsed_label(hash, ret_name->wire + ret_name->offsets[i]);
        ret_name->hashes[i] = hash;
    }
    return (int)size;
}

uint64_t name_hash(const uint8_t *wire)
{
    struct name name;
    if (name_parse(&name, wire, NAME_SIZE_MAX) < 0)
        return 0;
    return name.hashes[0];
}

size_t name_wire_size(const uint8_t *wire)
{
    size_t at = 0;
    while (wire[at] != 0)
        at += (size_t)wire[at] + 1;
    return at + 1;
}

bool name_equal(const uint8_t *one, const uint8_t *other)
{
    size_t size = name_wire_size(one);
    if (size != name_wire_size(other))
        return false;

    uint8_t one_folded[NAME_SIZE_MAX], other_folded[NAME_SIZE_MAX];
    name_fold(one_folded, one, size);
    name_fold(other_folded, other, size);
    return memcmp(one_folded, other_folded, size) == 0;
}
