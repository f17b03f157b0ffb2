/* Sort keys of names: octets whose plain comparison is the canonical order (RFC 4034, 6.1).
 *
 * A key holds the labels from the right to the left, each ended by a zero octet; one more zero
 * octet ends the key. The octets 0 and 1 inside a label, which hardly ever occur, are written as 1
 * 1 and 1 2, so that only ends are zero and shorter comes first.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

/* Longest key: 254 octets of labels, each content octet doubled at most, and the ends. */
#define NAME_KEY_MAX 640

/* Writes the key of a lower-case wire-form name; returns its size. */
size_t name_key_write(const uint8_t *wire, uint8_t *ret_key);

/* Writes the name of a key; returns its wire size. */
size_t name_key_read(const uint8_t *key, uint8_t *ret_wire);

/* Compares two keys: below, at or above zero. */
int name_key_compare(const uint8_t *one, const uint8_t *other);

/* One name to sort: `key` is an offset into a buffer of keys, `line` travels along, `window`
 * belongs to the sorting. */
struct name_key_entry {
    uint64_t window;
    uint32_t key;
    uint32_t line;
};

/* Sorted keys are met in an order that no cache foresees: asking for the eighth ahead hides most of
 * the wait. */
#define NAME_KEY_AHEAD 8

/* Sorts by key; equal keys stay in the order of their places in the buffer, in which all entries
 * must stand at first. */
void name_key_sort(struct name_key_entry *entries, size_t count, const uint8_t *keys);
