#include "zone/name_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/octets.h"
#include "zone/large_pages.h"

/* A slot with an entry: its address in bits 3 to 47 (entries are aligned to 8, user space ends
 * below 2^47), the mark in bit 0, sixteen bits of the hash as a tag in bits 48 to 63.
 *
 * A slot with a mark alone: the tag, the rest of the hash but for two of its bits in bits 2 to 47,
 * bits 0 and 1 set. Two names whose 62 bits are equal would be taken for each other; the hash is
 * keyed at random, and among ten million names that happens once in a hundred thousand servers.
 *
 * Zero is empty; SLOT_TOMBSTONE was left by a name. */
#define SLOT_MARK      ((uint64_t)1)
#define SLOT_BARE      ((uint64_t)2) /* no entry: a mark alone, or a tombstone */
#define SLOT_POINTER   ((uint64_t)0x0000fffffffffff8)
#define SLOT_REST      ((uint64_t)0x0000fffffffffffc)
#define SLOT_TAG       ((uint64_t)0xffff000000000000)
#define SLOT_TOMBSTONE SLOT_BARE

/* Bits of the hash that a slot with a mark alone does not keep. They have no say in where a name
 * belongs, so that growing finds the same place. */
#define HASH_UNKEPT ((uint64_t)3 << 16)

/* How far ahead of its use an entry is asked for when a table is copied: a miss takes as long as
 * some ten entries. */
#define COPY_AHEAD 16

/* A new table is at most 3/4 full: linear probing then looks at two slots on average, one cache
 * line. */
#define LOAD_NUMERATOR   3
#define LOAD_DENOMINATOR 4

/* Marks and new names may fill it to 13/16, where a miss looks at 15 slots, two lines: room for one
 * name in twelve before the table must grow. */
#define LOAD_LIMIT_NUMERATOR   13
#define LOAD_LIMIT_DENOMINATOR 16

/* Octets of an entry up to the end of its first address, for names of usual length. */
#define ENTRY_SIZE_USUAL 44

/* A table of few names still has room for some marks. */
#define CAPACITY_MIN 8

/* The upper half of the hash picks the slot, the lower half makes the tag: the two are independent.
 */
static inline uint64_t slot_index(uint64_t hash, uint64_t capacity)
{
    return (uint64_t)(((unsigned __int128)(hash & ~HASH_UNKEPT) * capacity) >> 64);
}

static inline uint64_t slot_tag(uint64_t hash)
{
    return hash << 48;
}

static inline uint64_t slot_of_mark(uint64_t hash)
{
    return slot_tag(hash) | ((hash >> 16) & SLOT_REST) | SLOT_BARE | SLOT_MARK;
}

static inline uint64_t slot_mark_hash(uint64_t slot)
{
    return (slot & SLOT_REST) << 16 | slot >> 48;
}

static inline bool slot_has_entry(uint64_t slot)
{
    return slot != 0 && (slot & SLOT_BARE) == 0;
}

static inline const struct name_entry *slot_entry(uint64_t slot)
{
    return (const struct name_entry *)(uintptr_t)(slot & SLOT_POINTER);
}

static inline uint64_t load_slot(const struct name_table *table, uint64_t index)
{
    return __atomic_load_n(&table->slots[index], __ATOMIC_ACQUIRE);
}

/* Release: a reader that sees the slot sees the entry's octets. */
static inline void store_slot(struct name_table *table, uint64_t index, uint64_t slot)
{
    __atomic_store_n(&table->slots[index], slot, __ATOMIC_RELEASE);
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

/* Whether the slot, which has the hash's tag, is the name's. */
static inline bool slot_is_of(uint64_t slot, uint64_t hash, const uint8_t *owner, size_t owner_size)
{
    if ((slot & SLOT_BARE) != 0)
        return slot == slot_of_mark(hash);
    const struct name_entry *entry = slot_entry(slot);
    return entry->owner_size == owner_size && octets_equal(entry->owner, owner, owner_size);
}

struct name_hit name_table_find(const struct name_table *table, uint64_t hash, const uint8_t *owner,
                                size_t owner_size)
{
    uint64_t tag = slot_tag(hash);
    uint64_t index = slot_index(hash, table->capacity);
    for (;;) {
        uint64_t slot = load_slot(table, index);
        if (slot == 0)
            return (struct name_hit){0};
        if ((slot & SLOT_TAG) == tag && slot_is_of(slot, hash, owner, owner_size))
            return (struct name_hit){
                .entry = (slot & SLOT_BARE) == 0 ? slot_entry(slot) : NULL,
                .marked = (slot & SLOT_MARK) != 0,
            };
        if (++index == table->capacity)
            index = 0;
    }
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
            /* Of a mark alone this asks for memory that is not there, which does no harm. */
            const char *entry = (const char *)slot_entry(slot);
            __builtin_prefetch(entry);
            __builtin_prefetch(entry + ENTRY_SIZE_USUAL);
            return (slot & SLOT_MARK) != 0;
        }
        if (++index == table->capacity)
            index = 0;
    }
}

/* ---- Changing ---- */

/* Where a name is, as the writer sees it. */
struct place {
    uint64_t index; /* of its slot, or of the one that it would get */
    uint64_t slot;  /* what is there: 0 or SLOT_TOMBSTONE when the name has none */
};

static struct place find_place(const struct name_table *table, uint64_t hash, const uint8_t *owner,
                               size_t owner_size)
{
    uint64_t tag = slot_tag(hash);
    uint64_t index = slot_index(hash, table->capacity);
    struct place free_place = {.index = UINT64_MAX};
    for (;;) {
        uint64_t slot = load_slot(table, index);
        if (slot == 0)
            return free_place.index != UINT64_MAX ? free_place : (struct place){.index = index};
        if (slot == SLOT_TOMBSTONE) {
            if (free_place.index == UINT64_MAX)
                free_place = (struct place){.index = index, .slot = slot};
        } else if ((slot & SLOT_TAG) == tag && slot_is_of(slot, hash, owner, owner_size)) {
            return (struct place){.index = index, .slot = slot};
        }
        if (++index == table->capacity)
            index = 0;
    }
}

static bool place_is_taken(const struct place *place)
{
    return place->slot != 0 && place->slot != SLOT_TOMBSTONE;
}

/* Counts the slot, which is to be taken, as such. */
static void take_place(struct name_table *table, const struct place *place)
{
    if (place->slot == SLOT_TOMBSTONE) {
        table->tombstones--;
        return;
    }
    assert(table->used < table->capacity - 1); /* an empty slot must remain: it ends a probe */
    table->used++;
}

/* A slot that no probe goes past becomes empty, and with it the tombstones right before it. */
static void leave_place(struct name_table *table, uint64_t index)
{
    uint64_t next = index + 1 == table->capacity ? 0 : index + 1;
    if (table->slots[next] != 0) {
        store_slot(table, index, SLOT_TOMBSTONE);
        table->tombstones++;
        return;
    }
    store_slot(table, index, 0);
    table->used--;
    for (;;) {
        index = index == 0 ? table->capacity - 1 : index - 1;
        if (table->slots[index] != SLOT_TOMBSTONE)
            return;
        store_slot(table, index, 0);
        table->used--;
        table->tombstones--;
    }
}

bool name_table_has_room(const struct name_table *table, uint64_t count)
{
    return (table->used + count) * LOAD_LIMIT_DENOMINATOR <= table->capacity * LOAD_LIMIT_NUMERATOR;
}

uint64_t name_table_count(const struct name_table *table)
{
    return table->used - table->tombstones;
}

static void insert_slot(struct name_table *table, uint64_t hash, uint64_t slot)
{
    assert(table->used < table->capacity - 1);
    uint64_t index = slot_index(hash, table->capacity);
    while (table->slots[index] != 0) {
        if (++index == table->capacity)
            index = 0;
    }
    store_slot(table, index, slot);
    table->used++;
}

static inline uint64_t slot_of_entry(uint64_t hash, const struct name_entry *entry)
{
    assert(((uintptr_t)entry & ~SLOT_POINTER) == 0);
    return (uint64_t)(uintptr_t)entry | slot_tag(hash);
}

void name_table_insert(struct name_table *table, uint64_t hash, const struct name_entry *entry,
                       bool marked)
{
    insert_slot(table, hash, slot_of_entry(hash, entry) | (marked ? SLOT_MARK : 0));
}

const struct name_entry *name_table_replace(struct name_table *table, uint64_t hash,
                                            const uint8_t *owner, size_t owner_size,
                                            const struct name_entry *entry, uint64_t *ret_index)
{
    struct place place = find_place(table, hash, owner, owner_size);
    *ret_index = place.index;
    const struct name_entry *before = slot_has_entry(place.slot) ? slot_entry(place.slot) : NULL;
    uint64_t mark = place.slot & SLOT_MARK; /* neither empty slots nor tombstones have one */
    if (entry != NULL) {
        if (!place_is_taken(&place))
            take_place(table, &place);
        store_slot(table, place.index, slot_of_entry(hash, entry) | mark);
    } else if (before != NULL && mark != 0) {
        store_slot(table, place.index, slot_of_mark(hash));
    } else if (before != NULL) {
        leave_place(table, place.index);
    }
    return before;
}

bool name_table_mark(struct name_table *table, uint64_t hash, const uint8_t *owner,
                     size_t owner_size)
{
    struct place place = find_place(table, hash, owner, owner_size);
    if (!place_is_taken(&place))
        return false;
    store_slot(table, place.index, place.slot | SLOT_MARK);
    return true;
}

void name_table_insert_mark(struct name_table *table, uint64_t hash)
{
    /* No entry has this owner: it begins with an octet that is no label's length. */
    static const uint8_t nobody = 0xff;
    struct place place = find_place(table, hash, &nobody, sizeof(nobody));
    if (place_is_taken(&place))
        return;
    take_place(table, &place);
    store_slot(table, place.index, slot_of_mark(hash));
}

void name_table_unmark(struct name_table *table, uint64_t hash, const uint8_t *owner,
                       size_t owner_size)
{
    struct place place = find_place(table, hash, owner, owner_size);
    if ((place.slot & SLOT_MARK) == 0)
        return;
    if (slot_has_entry(place.slot))
        store_slot(table, place.index, place.slot & ~SLOT_MARK);
    else
        leave_place(table, place.index);
}

void name_table_copy(struct name_table *to, const struct name_table *from,
                     uint64_t (*hash_of)(const void *context, const struct name_entry *entry),
                     const void *context)
{
    for (uint64_t i = 0; i < from->capacity; i++) {
        if (i + COPY_AHEAD < from->capacity && slot_has_entry(from->slots[i + COPY_AHEAD]))
            __builtin_prefetch(slot_entry(from->slots[i + COPY_AHEAD]));
        uint64_t slot = from->slots[i];
        if (slot_has_entry(slot)) {
            uint64_t hash = hash_of(context, slot_entry(slot));
            name_table_insert(to, hash, slot_entry(slot), (slot & SLOT_MARK) != 0);
        } else if (slot != 0 && slot != SLOT_TOMBSTONE) {
            insert_slot(to, slot_mark_hash(slot), slot);
        }
    }
}

int name_table_each(const struct name_table *table,
                    int (*visit)(void *context, const struct name_entry *entry, bool marked),
                    void *context)
{
    for (uint64_t i = 0; i < table->capacity; i++) {
        uint64_t slot = load_slot(table, i);
        if (!slot_has_entry(slot))
            continue;
        int rc = visit(context, slot_entry(slot), (slot & SLOT_MARK) != 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- As octets in a file ---- */

uint64_t name_table_index(const struct name_table *table, uint64_t hash,
                          const struct name_entry *entry)
{
    struct place place = find_place(table, hash, entry->owner, entry->owner_size);
    assert(slot_has_entry(place.slot));
    return place.index;
}

const struct name_entry *name_table_at(const struct name_table *table, uint64_t index)
{
    if (index >= table->capacity)
        return NULL;
    uint64_t slot = load_slot(table, index);
    return slot_has_entry(slot) ? slot_entry(slot) : NULL;
}

int name_table_pack(struct name_table *table,
                    int (*place)(void *context, const struct name_entry *entry,
                                 uint64_t *ret_place),
                    void *context)
{
    for (uint64_t i = 0; i < table->capacity; i++) {
        uint64_t slot = table->slots[i];
        if (!slot_has_entry(slot))
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
