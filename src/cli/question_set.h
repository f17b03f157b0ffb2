/* Questions to ask, each once: from a names file, from orders, or from recorded traffic. Kept in
 * memory, some 24 octets and the name for each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cli/prove_listing.h"
#include "dns/name.h"

/* Enough for the names of the largest zones; bounds the memory that a capture can take. */
#define QUESTIONS_MAX ((size_t)1 << 26)

struct question_entry {
    uint64_t name; /* offset in octets[] */
    uint16_t type;
    bool dnssec_ok;
};

struct question_set {
    uint8_t *octets; /* names in wire form, lower case */
    size_t octet_count, octet_room;
    struct question_entry *entries;
    size_t count, room;
    uint32_t *table; /* index + 1 by hash; 0: free */
    size_t table_size;
};

void question_set_clear(struct question_set *set);

/* Adds a question unless it is there. `name` is in wire form, any letter case. */
_must_check_ int question_set_add(struct question_set *set, const uint8_t *name, uint16_t type,
                                  bool dnssec_ok);

/* The index of a question, or SIZE_MAX. */
size_t question_set_find(const struct question_set *set, const uint8_t *name, uint16_t type,
                         bool dnssec_ok);

static inline const uint8_t *question_set_name(const struct question_set *set, size_t index)
{
    return set->octets + set->entries[index].name;
}

/* What is taken into a set: names at and below the zone (NULL: all), each with these types. */
struct question_scope {
    const uint8_t *zone;
    const uint16_t *types;
    size_t type_count;
    bool dnssec_ok;
};

/* Adds the names of a file; `*ret_faults` counts its lines without a name. */
_must_check_ int question_set_add_file(struct question_set *set, const char *path,
                                       const struct question_scope *scope, uint64_t *ret_faults,
                                       struct error *ret_error);

/* Adds the names of all orders. */
_must_check_ int question_set_add_listing(struct question_set *set, struct listing *listing,
                                          const struct question_scope *scope);

/* Adds the queries of a capture or a list of queries (order/traffic.h), with the types and DNSSEC
 * bits that clients used; of the scope only the zone counts. */
_must_check_ int question_set_add_traffic(struct question_set *set, const char *path, uint16_t port,
                                          const struct question_scope *scope, uint64_t *ret_queries,
                                          struct error *ret_error);

/* A number that tells one set from another, whatever process made it. */
uint64_t question_set_digest(const struct question_set *set);
