#include "order/address_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"

#define ROOM_FIRST 256
#define ROOM_MAX   ((size_t)1 << 31)

/* The keyed hash of names, with the address as one label. */
static uint64_t hash(const struct address *address)
{
    uint8_t label[1 + 17] = {17, address->family};
    memcpy(label + 2, address->octets, sizeof(address->octets));
    return name_hash_child(0, label);
}

void address_table_clear(struct address_table *table)
{
    free(table->addresses);
    free(table->slots);
    *table = (struct address_table){0};
}

static bool equal(const struct address *one, const struct address *other)
{
    return one->family == other->family &&
           memcmp(one->octets, other->octets, sizeof(one->octets)) == 0;
}

/* The slot of the address, or the empty one where it belongs. */
static size_t slot_of(const struct address_table *table, const struct address *address)
{
    size_t at = hash(address) & (table->capacity - 1);

    while (table->slots[at] != 0 && !equal(&table->addresses[table->slots[at] - 1], address))
        at = (at + 1) & (table->capacity - 1);
    return at;
}

size_t address_table_find(const struct address_table *table, const struct address *address)
{
    if (table->capacity == 0)
        return ADDRESS_NONE;
    uint32_t slot = table->slots[slot_of(table, address)];
    return slot != 0 ? slot - 1 : ADDRESS_NONE;
}

static int grow(struct address_table *table)
{
    size_t room = table->room == 0 ? ROOM_FIRST : table->room * 2;

    if (room > ROOM_MAX)
        return -E2BIG;
    struct address *addresses = reallocarray(table->addresses, room, sizeof(*addresses));
    if (addresses == NULL)
        return -ENOMEM;
    table->addresses = addresses;
    uint32_t *slots = calloc(room * 2, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    free(table->slots);
    table->slots = slots;
    table->capacity = room * 2;
    table->room = room;
    for (size_t i = 0; i < table->count; i++)
        slots[slot_of(table, &addresses[i])] = (uint32_t)(i + 1);
    return 0;
}

int address_table_add(struct address_table *table, const struct address *address, size_t *ret_index)
{
    size_t found = address_table_find(table, address);

    if (found == ADDRESS_NONE) {
        int rc = table->count < table->room ? 0 : grow(table);
        if (rc < 0)
            return rc;
        found = table->count++;
        table->addresses[found] = *address;
        table->slots[slot_of(table, address)] = (uint32_t)(found + 1);
    }
    *ret_index = found;
    return 0;
}

struct address address_of(const uint8_t *octets, size_t size)
{
    struct address address = {.family = size == 4 ? 4 : 6};
    memcpy(address.octets, octets, size < sizeof(address.octets) ? size : sizeof(address.octets));
    return address;
}
