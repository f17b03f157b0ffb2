/* The chain of a signed zone: which NSEC or NSEC3 record proves that a name or type does not exist
 * (RFC 4035, 3.1.3; RFC 5155, 7.2). Built with the generation, then only read.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/name.h"
#include "zone/name_table.h"

#define NSEC3_HASH_SIZE 20 /* SHA-1, the only algorithm there is (RFC 5155, 11) */

struct nsec3_link {
    uint8_t hash[NSEC3_HASH_SIZE];
    const struct name_entry
        *entry; /* holds the NSEC3 record set and its RRSIG; not in the name table */
};

struct nsec_chain {
    const struct name_entry **nsec; /* owners of NSEC records in canonical order */
    size_t nsec_count;
    struct nsec3_link *nsec3; /* sorted by hash */
    size_t nsec3_count;
    uint16_t iterations;
    uint8_t salt_size;
    uint8_t salt[255];
};

void nsec_chain_free(struct nsec_chain *chain);

/* Compares two owners relative to one apex in canonical order (RFC 4034, 6.1): -1, 0 or 1. */
int owner_compare(const uint8_t *one, size_t one_size, const uint8_t *other, size_t other_size);

/* The NSEC owner equal to, or else the last one before, the relative owner. NULL: there is no
 * chain. */
const struct name_entry *nsec_chain_covering(const struct nsec_chain *chain, const uint8_t *owner,
                                             size_t owner_size, bool *ret_exact);

/* Hashes a whole name in wire form, lower case, root label included (RFC 5155, 5). */
void nsec3_hash(const struct nsec_chain *chain, const uint8_t *owner, size_t owner_size,
                uint8_t ret_hash[NSEC3_HASH_SIZE]);

/* The link equal to, or else the last before, `hash` (the chain is a ring). NULL: there is no
 * chain. */
const struct nsec3_link *nsec3_chain_covering(const struct nsec_chain *chain,
                                              const uint8_t hash[NSEC3_HASH_SIZE], bool *ret_exact);

/* Decodes the base32hex label of an NSEC3 owner (RFC 4648, 7); false when it is none. */
bool nsec3_label_decode(const uint8_t *label, uint8_t ret_hash[NSEC3_HASH_SIZE]);
