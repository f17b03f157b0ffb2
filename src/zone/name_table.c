#include "zone/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/octets.h"
#include "zone/large_pages.h"

/* A slot: the entry's address in bits 3 to 47 (entries are aligned to 8, user space ends below
 * 2^47), the mark in bit 0, sixteen bits of the hash as a tag in bits 48 to 63. Zero is empty. */
#define SLOT_MARK    ((uint64_t)1)
#define SLOT_POINTER ((uint64_t)0x0000fffffffffff8)
#define SLOT_TAG     ((uint64_t)0xffff000000000000)

/* A new table is at most 3/4 full: linear probing then looks at two slots on average, one cache
 * line. */
#define LOAD_NUMERATOR   3
#define LOAD_DENOMINATOR 4

/* Phantoms may fill it to 13/16, where a miss looks at 15 slots, two lines: room for one listed
 * name in twelve before the table must grow. */
#define LOAD_LIMIT_NUMERATOR   13
#define LOAD_LIMIT_DENOMINATOR 16

/* Octets of an entry up to the end of its first address, for names of usual length. */
#define ENTRY_SIZE_USUAL 44

/* A table of few names still has room for some phantoms. */
#define CAPACITY_MIN 8

/* The upper half of the hash picks the slot, the lower half makes the tag: the two are independent.
 */
static inline uint64_t slot_index(uint64_t hash, uint64_t capacity)
{
    return (uint64_t)(((unsigned __int128)hash * capacity) >> 64);
}

static inline uint64_t slot_tag(uint64_t hash)
{
    return hash << 48;
}

static inline const struct name_entry *slot_entry(uint64_t slot)
{
    return (const struct name_entry *)(uintptr_t)(slot & SLOT_POINTER);
}

/* Empty slots; what is smaller than a page of its own comes cleared from the system. */
static uint64_t *slots_create(uint64_t capacity)
{
    size_t size = capacity * sizeof(uint64_t);
    if (size < LARGE_PAGE_SIZE)
        return calloc(capacity, sizeof(uint64_t));
    void *slots = large_pages_alloc(size);
    return slots == NULL ? NULL : memset(slots, 0, size);
}

int name_table_init(struct name_table *table, uint64_t names)
{
    uint64_t capacity = names + names / LOAD_NUMERATOR + CAPACITY_MIN;
    uint64_t *slots = slots_create(capacity);
    if (slots == NULL)
        return -ENOMEM;
    *table = (struct name_table){.slots = slots, .capacity = capacity};
    return 0;
}

void name_table_clear(struct name_table *table)
{
    free(table->slots);
    *table = (struct name_table){0};
}

static inline uint64_t *table_probe(const struct name_table *table, uint64_t hash,
                                    const uint8_t *owner, size_t owner_size, uint64_t *ret_slot)
{
    uint64_t tag = slot_tag(hash);
    uint64_t index = slot_index(hash, table->capacity);
    for (;;) {
        uint64_t slot = __atomic_load_n(&table->slots[index], __ATOMIC_ACQUIRE);
        if (slot == 0)
            return NULL;
        if ((slot & SLOT_TAG) == tag) {
            const struct name_entry *entry = slot_entry(slot);
            if (entry->owner_size == owner_size && octets_equal(entry->owner, owner, owner_size)) {
                *ret_slot = slot;
                return &table->slots[index];
            }
        }
        if (++index == table->capacity)
            index = 0;
    }
}

struct name_hit name_table_find(const struct name_table *table, uint64_t hash, const uint8_t *owner,
                                size_t owner_size)
{
    uint64_t slot;
    if (table_probe(table, hash, owner, owner_size, &slot) == NULL)
        return (struct name_hit){0};
    return (struct name_hit){.entry = slot_entry(slot), .marked = (slot & SLOT_MARK) != 0};
}

void name_table_prefetch(const struct name_table *table, uint64_t hash)
{
    __builtin_prefetch(&table->slots[slot_index(hash, table->capacity)]);
}

bool name_table_prefetch_entry(const struct name_table *table, uint64_t hash)
{
    uint64_t tag = slot_tag(hash);
    uint64_t index = slot_index(hash, table->capacity);
    for (;;) {
        uint64_t slot = __atomic_load_n(&table->slots[index], __ATOMIC_RELAXED);
        if (slot == 0)
            return false;
        if ((slot & SLOT_TAG) == tag) {
            const char *entry = (const char *)slot_entry(slot);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + ENTRY_SIZE_USUAL);
            return (slot & SLOT_MARK) != 0;
        }
        if (++index == table->capacity)
            index = 0;
    }
}

bool name_table_has_room(const struct name_table *table, uint64_t count)
{
    return (table->used + count) * LOAD_LIMIT_DENOMINATOR <= table->capacity * LOAD_LIMIT_NUMERATOR;
}

void name_table_insert(struct name_table *table, uint64_t hash, const struct name_entry *entry,
                       bool marked)
{
    assert(((uintptr_t)entry & ~SLOT_POINTER) == 0);
    assert(table->used < table->capacity - 1); /* an empty slot must remain: it ends a probe */

    uint64_t slot = (uint64_t)(uintptr_t)entry | slot_tag(hash) | (marked ? SLOT_MARK : 0);
    uint64_t index = slot_index(hash, table->capacity);
    while (table->slots[index] != 0) {
        if (++index == table->capacity)
            index = 0;
    }
    /* Release: a reader that sees the slot sees the entry's octets. */
    __atomic_store_n(&table->slots[index], slot, __ATOMIC_RELEASE);
    table->used++;
}

bool name_table_mark(struct name_table *table, uint64_t hash, const uint8_t *owner,
                     size_t owner_size, bool marked)
{
    uint64_t slot;
    uint64_t *place = table_probe(table, hash, owner, owner_size, &slot);
    if (place == NULL)
        return false;
    __atomic_store_n(place, marked ? slot | SLOT_MARK : slot & ~SLOT_MARK, __ATOMIC_RELEASE);
    return true;
}

int name_table_each(const struct name_table *table,
                    int (*visit)(void *context, const struct name_entry *entry, bool marked),
                    void *context)
{
    for (uint64_t i = 0; i < table->capacity; i++) {
        uint64_t slot = __atomic_load_n(&table->slots[i], __ATOMIC_ACQUIRE);
        if (slot == 0)
            continue;
        int rc = visit(context, slot_entry(slot), (slot & SLOT_MARK) != 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

uint64_t name_table_index(const struct name_table *table, uint64_t hash,
                          const struct name_entry *entry)
{
    uint64_t slot;
    const uint64_t *place = table_probe(table, hash, entry->owner, entry->owner_size, &slot);
    assert(place != NULL);
    return (uint64_t)(place - table->slots);
}

const struct name_entry *name_table_at(const struct name_table *table, uint64_t index)
{
    return index < table->capacity ? slot_entry(table->slots[index]) : NULL;
}

int name_table_pack(struct name_table *table,
                    int (*place)(void *context, const struct name_entry *entry,
                                 uint64_t *ret_place),
                    void *context)
{
    for (uint64_t i = 0; i < table->capacity; i++) {
        uint64_t slot = table->slots[i];
        if (slot == 0)
            continue;
        uint64_t at = 0;
        int rc = place(context, slot_entry(slot), &at);
        if (rc != 0)
            return rc;
        assert(at != 0 && (at & ~SLOT_POINTER) == 0);
        table->slots[i] = (slot & SLOT_TAG) | at;
    }
    return 0;
}

int name_table_unpack(struct name_table *table,
                      const struct name_entry *(*find)(void *context, uint64_t place),
                      void *context)
{
    uint64_t used = 0;
    for (uint64_t i = 0; i < table->capacity; i++) {
        uint64_t slot = table->slots[i];
        if (slot == 0)
            continue;
        if ((slot & ~(SLOT_TAG | SLOT_POINTER)) != 0)
            return -EBADMSG;
        const struct name_entry *entry = find(context, slot & SLOT_POINTER);
        if (entry == NULL)
            return -EBADMSG;
        table->slots[i] = (slot & SLOT_TAG) | (uint64_t)(uintptr_t)entry;
        used++;
    }
    if (used == table->capacity) /* an empty slot must remain: it ends a probe */
        return -EBADMSG;
    table->used = used;
    return 0;
}
