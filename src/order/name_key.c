#include "order/name_key.h"

#include <assert.h>
#include <pthread.h>
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

int name_key_compare(const uint8_t *one, const uint8_t *other)
{
    uint8_t before = 0;

    for (;; one++, other++) {
        if (*one != *other)
            return *one < *other ? -1 : 1;
        if (*one == 0 && before == 0)
            return 0;
        before = *one;
    }
}

/* The eight octets at `depth` as a number that compares like them, zero beyond the key's end. */
static uint64_t window_at(const uint8_t *key, size_t depth)
{
    uint64_t window = 0;
    uint8_t before = depth > 0 ? key[depth - 1] : 0;

    for (unsigned shift = 64; shift > 0;) {
        uint8_t octet = key[depth];
        key++;
        shift -= 8;
        window |= (uint64_t)octet << shift;
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

/* Loads the windows at `depth`; returns in which octets they differ. */
static uint64_t load_windows(struct name_key_entry *entries, size_t count, const uint8_t *keys,
                             size_t depth)
{
    uint64_t differing = 0;

    for (size_t i = 0; i < count; i++) {
        if (i + NAME_KEY_AHEAD < count)
            __builtin_prefetch(keys + entries[i + NAME_KEY_AHEAD].key + depth);
        entries[i].window = window_at(keys + entries[i].key, depth);
        differing |= entries[i].window ^ entries[0].window;
    }
    return differing;
}

/* Below this the 256 counters of a pass cost more than the comparisons that they save. */
#define RADIX_COUNT_MIN 512

/* One stable pass by the octet at `shift`, from `entries` to `sorted`. */
static void radix_pass(const struct name_key_entry *entries, size_t count, unsigned shift,
                       struct name_key_entry *sorted)
{
    size_t places[256] = {0};
    size_t place = 0;

    for (size_t i = 0; i < count; i++)
        places[entries[i].window >> shift & 0xff]++;
    for (size_t i = 0; i < 256; i++) {
        size_t size = places[i];
        places[i] = place;
        place += size;
    }
    for (size_t i = 0; i < count; i++)
        sorted[places[entries[i].window >> shift & 0xff]++] = entries[i];
}

/* Sorts by window. Entries stand in the order of their keys, and stay so where windows are equal.
 * `spare` has room for as many entries, or is NULL. */
static void sort_windows(struct name_key_entry *entries, size_t count, uint64_t differing,
                         struct name_key_entry *spare)
{
    struct name_key_entry *from = entries, *to = spare;

    if (spare == NULL || count < RADIX_COUNT_MIN) {
        qsort(entries, count, sizeof(*entries), compare_entries);
        return;
    }
    for (unsigned shift = 0; shift < 64; shift += 8) {
        if ((differing >> shift & 0xff) == 0)
            continue;
        radix_pass(from, count, shift, to);
        struct name_key_entry *sorted = to;
        to = from;
        from = sorted;
    }
    if (from != entries)
        memcpy(entries, from, count * sizeof(*entries));
}

/* A range of entries, of which the first `depth` octets of the keys are equal. */
struct sorting {
    struct name_key_entry *entries;
    size_t count;
    const uint8_t *keys;
    size_t depth;
    struct name_key_entry *spare; /* room for as many, or NULL */
    bool forks;                   /* a second thread may take a part */
};

/* Below this a thread costs more than it spares. */
#define FORK_COUNT_MIN 65536

static void sort_from(const struct sorting *sorting);

/* Sorts each group of equal windows, of which `sorting` has a whole number, by what follows them.
 */
static void sort_groups(const struct sorting *sorting)
{
    const struct name_key_entry *entries = sorting->entries;

    for (size_t begin = 0, end; begin < sorting->count; begin = end) {
        uint64_t window = entries[begin].window;
        for (end = begin + 1; end < sorting->count && entries[end].window == window; end++)
            ;
        if (end - begin == 1 || window_ends(window))
            continue;
        struct sorting group = {
            .entries = sorting->entries + begin,
            .count = end - begin,
            .keys = sorting->keys,
            .depth = sorting->depth + sizeof(window),
            .spare = sorting->spare != NULL ? sorting->spare + begin : NULL,
            .forks = sorting->forks && end - begin > sorting->count / 2,
        };
        sort_from(&group);
    }
}

static void *sort_part(void *context)
{
    sort_groups(context);
    return NULL;
}

/* Where the groups may be parted, at the end of the one in the middle; 0: it is too large for that.
 */
static size_t part_groups(const struct sorting *sorting)
{
    const struct name_key_entry *entries = sorting->entries;
    size_t at = sorting->count / 2;

    while (at < sorting->count && entries[at].window == entries[at - 1].window)
        at++;
    return at <= sorting->count - sorting->count / 4 ? at : 0;
}

/* Parts the groups among two threads. Returns false when they cannot be parted. */
static bool sort_forked(const struct sorting *sorting)
{
    size_t parted = sorting->count >= FORK_COUNT_MIN ? part_groups(sorting) : 0;
    struct sorting first = *sorting, second = *sorting;
    pthread_t thread;

    if (parted == 0)
        return false;
    first.count = parted;
    second.entries += parted;
    second.count -= parted;
    if (second.spare != NULL)
        second.spare += parted;
    first.forks = second.forks = false;
    if (pthread_create(&thread, NULL, sort_part, &second) != 0)
        return false;
    sort_groups(&first);
    pthread_join(thread, NULL);
    return true;
}

/* Sorts by eight octets at a time: names of one zone share their first windows, which then cost one
 * pass and no comparison. Recursion is as deep as the longest key has windows. */
static void sort_from(const struct sorting *sorting)
{
    uint64_t differing =
        load_windows(sorting->entries, sorting->count, sorting->keys, sorting->depth);

    if (differing != 0)
        sort_windows(sorting->entries, sorting->count, differing, sorting->spare);
    if (!sorting->forks || !sort_forked(sorting))
        sort_groups(sorting);
}

void name_key_sort(struct name_key_entry *entries, size_t count, const uint8_t *keys)
{
    /* Without memory for the spare entries it is slower, not wrong. */
    struct sorting sorting = {
        .entries = entries,
        .count = count,
        .keys = keys,
        .spare = count >= RADIX_COUNT_MIN ? reallocarray(NULL, count, sizeof(struct name_key_entry))
                                          : NULL,
        .forks = true,
    };

    if (count > 0)
        sort_from(&sorting);
    free(sorting.spare);
}
