#include "zone/child_counts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define CAPACITY_MIN 64

void child_counts_clear(struct child_counts *counts)
{
    free(counts->slots);
    *counts = (struct child_counts){0};
}

static struct child_count *find_slot(const struct child_counts *counts, uint64_t name)
{
    size_t mask = counts->capacity - 1;
    size_t at = name & mask;
    while (counts->slots[at].name != 0 && counts->slots[at].name != name)
        at = (at + 1) & mask;
    return &counts->slots[at];
}

/* No name is hashed to what an empty slot has. */
static uint64_t key_of(uint64_t name)
{
    return name | (name == 0);
}

uint32_t child_counts_get(const struct child_counts *counts, uint64_t name)
{
    return counts->capacity == 0 ? 0 : find_slot(counts, key_of(name))->count;
}

int child_counts_reserve(struct child_counts *counts, size_t more)
{
    if (counts->used + more <= counts->capacity / 2)
        return 0;
    size_t live = 0;
    for (size_t i = 0; i < counts->capacity; i++)
        live += counts->slots[i].count > 0;
    struct child_counts larger = {.capacity = CAPACITY_MIN};
    while (larger.capacity < (live + more) * 3)
        larger.capacity *= 2;
    larger.slots = calloc(larger.capacity, sizeof(*larger.slots));
    if (larger.slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < counts->capacity; i++) { /* zeros stay behind */
        if (counts->slots[i].count == 0)
            continue;
        *find_slot(&larger, counts->slots[i].name) = counts->slots[i];
        larger.used++;
    }
    free(counts->slots);
    *counts = larger;
    return 0;
}

void child_counts_add(struct child_counts *counts, uint64_t name, int64_t by)
{
    struct child_count *slot = find_slot(counts, key_of(name));
    if (slot->name == 0) {
        assert(counts->used < counts->capacity / 2);
        slot->name = key_of(name);
        counts->used++;
    }
    assert(by >= 0 || slot->count >= (uint64_t)-by);
    slot->count = (uint32_t)(slot->count + (uint64_t)by);
}
