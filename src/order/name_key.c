#include "order/name_key.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"

#define LABEL_SIZE_MAX 63

#define ESCAPE 1 /* in front of 1 for an octet 0, of 2 for an octet 1 */

size_t name_key_write(const uint8_t *wire, uint8_t *ret_key)
{
    const uint8_t *labels[NAME_LABELS_MAX];
    size_t count = 0, used = 0;

    for (; *wire != 0; wire += 1 + *wire)
        labels[count++] = wire;
    while (count > 0) {
        const uint8_t *label = labels[--count];
        for (size_t i = 1; i <= label[0]; i++) {
            if (label[i] <= ESCAPE) {
                ret_key[used++] = ESCAPE;
                ret_key[used++] = (uint8_t)(label[i] + 1);
            } else {
                ret_key[used++] = label[i];
            }
        }
        ret_key[used++] = 0;
    }
    ret_key[used++] = 0;
    assert(used <= NAME_KEY_MAX);
    return used;
}

/* Writes the label at `key` with its length octet; returns where the next label begins. */
static const uint8_t *read_label(const uint8_t *key, uint8_t *ret_label)
{
    uint8_t size = 0;

    for (; *key != 0; key++) {
        bool escaped = *key == ESCAPE;
        key += escaped ? 1 : 0;
        ret_label[++size] = (uint8_t)(escaped ? *key - 1 : *key);
    }
    ret_label[0] = size;
    return key + 1;
}

size_t name_key_read(const uint8_t *key, uint8_t *ret_wire)
{
    uint8_t reversed[NAME_SIZE_MAX + 1];
    size_t at = sizeof(reversed);
    uint8_t label[1 + LABEL_SIZE_MAX];

    reversed[--at] = 0;
    while (*key != 0) {
        key = read_label(key, label);
        at -= label[0] + 1u;
        memcpy(reversed + at, label, label[0] + 1u);
    }
    memcpy(ret_wire, reversed + at, sizeof(reversed) - at);
    return sizeof(reversed) - at;
}

size_t name_key_size(const uint8_t *key)
{
    size_t size = 0;

    while (key[size] != 0)
        size += strlen((const char *)key + size) + 1;
    return size + 1;
}

/* The eight octets at `depth` as a number that compares like them, zero beyond the key's end. */
static uint64_t window_at(const uint8_t *key, size_t depth)
{
    uint64_t window = 0;
    uint8_t before = depth > 0 ? key[depth - 1] : 1;

    for (size_t i = 0; i < sizeof(window); i++) {
        uint8_t octet = key[depth + i];
        window |= (uint64_t)octet << (56 - 8 * i);
        if (octet == 0 && before == 0)
            break;
        before = octet;
    }
    return window;
}

/* Whether a key with this window ends inside it: only there two zero octets stand together. */
static bool window_ends(uint64_t window)
{
    return (window & 0xffff) == 0;
}

static int compare_entries(const void *one, const void *other)
{
    const struct name_key_entry *left = one, *right = other;

    if (left->window != right->window)
        return left->window < right->window ? -1 : 1;
    return left->key < right->key ? -1 : left->key > right->key;
}

/* Loads the windows at `depth`; returns whether they already stand in order. */
static bool load_windows(struct name_key_entry *entries, size_t count, const uint8_t *keys,
                         size_t depth)
{
    bool sorted = true;

    for (size_t i = 0; i < count; i++) {
        entries[i].window = window_at(keys + entries[i].key, depth);
        sorted = sorted && (i == 0 || compare_entries(&entries[i - 1], &entries[i]) < 0);
    }
    return sorted;
}

/* Sorts by eight octets at a time: names of one zone share their first windows, which then cost one
 * pass and no comparison. Recursion is as deep as the longest key has windows. */
static void sort_from(struct name_key_entry *entries, size_t count, const uint8_t *keys,
                      size_t depth)
{
    if (!load_windows(entries, count, keys, depth))
        qsort(entries, count, sizeof(*entries), compare_entries);

    for (size_t begin = 0, end; begin < count; begin = end) {
        uint64_t window = entries[begin].window;
        for (end = begin + 1; end < count && entries[end].window == window; end++)
            ;
        if (end - begin > 1 && !window_ends(window))
            sort_from(entries + begin, end - begin, keys, depth + sizeof(window));
    }
}

void name_key_sort(struct name_key_entry *entries, size_t count, const uint8_t *keys)
{
    sort_from(entries, count, keys, 0);
}
