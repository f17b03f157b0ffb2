/* Copying and comparing runs of a few octets whose number only run time knows: there a call of
 * memcpy() or memcmp() costs more than the work. Nothing outside of the runs is read or written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Two halves that may overlap cover every size between one and two of them. */
#define OCTETS_COPY_HALVES(half)                   \
    do {                                           \
        uint8_t first_[half], last_[half];         \
        memcpy(first_, from, half);                \
        memcpy(last_, from + size - (half), half); \
        memcpy(to, first_, half);                  \
        memcpy(to + size - (half), last_, half);   \
    } while (0)

/* Copies `size` octets between places that don't overlap. */
static inline void octets_copy(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size > 64)
        memcpy(to, from, size);
    else if (size > 32)
        OCTETS_COPY_HALVES(32);
    else if (size >= 16)
        OCTETS_COPY_HALVES(16);
    else if (size >= 8)
        OCTETS_COPY_HALVES(8);
    else if (size >= 4)
        OCTETS_COPY_HALVES(4);
    else
        for (size_t i = 0; i < size; i++)
            to[i] = from[i];
}

static inline uint64_t octets_load64(const uint8_t *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

static inline uint32_t octets_load32(const uint8_t *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof(word));
    return word;
}

/* `size` octets, 1 to 8 of them, as the low end of a word; the others are zero. */
static inline uint64_t octets_load(const uint8_t *at, size_t size)
{
    if (size == 8)
        return octets_load64(at);
    if (size >= 4)
        return octets_load32(at) | (uint64_t)octets_load32(at + size - 4) << (8 * (size - 4));
    uint64_t word = at[0];
    if (size > 1)
        word |= (uint64_t)at[size - 1] << (8 * (size - 1));
    if (size > 2)
        word |= (uint64_t)at[1] << 8;
    return word;
}

static inline bool octets_equal(const uint8_t *one, const uint8_t *other, size_t size)
{
    if (size < 8)
        return size == 0 || octets_load(one, size) == octets_load(other, size);
    for (size_t at = 0; at + 8 < size; at += 8) {
        if (octets_load64(one + at) != octets_load64(other + at))
            return false;
    }
    return octets_load64(one + size - 8) == octets_load64(other + size - 8);
}
