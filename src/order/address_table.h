/* A set of IP addresses, each with an index by which its owner keeps what belongs to it.
 *
 * Costs about 25 to 50 octets an address. The hash is keyed: nobody can choose addresses that
 * collide.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct address {
    uint8_t octets[16]; /* of an IPv4 address the first four, the others zero */
    uint8_t family;     /* 4 or 6 */
};

struct address_table {
    struct address *addresses;
    size_t count, room;
    uint32_t *slots; /* index plus one; 0: empty */
    size_t capacity; /* a power of two: twice the room */
};

#define ADDRESS_NONE SIZE_MAX

void address_table_clear(struct address_table *table);

/* Index of the address, or ADDRESS_NONE. */
size_t address_table_find(const struct address_table *table, const struct address *address);

/* Index of the address, added when it is new. Returns 0, -ENOMEM, or -E2BIG above 2^31 addresses.
 */
_must_check_ int address_table_add(struct address_table *table, const struct address *address,
                                   size_t *ret_index);

/* The address in the rdata of an A or AAAA record. */
struct address address_of(const uint8_t *octets, size_t size);
