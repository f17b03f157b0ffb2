/* The SOA record of a zone as its negative answers carry it (RFC 2308, 3), ready to be copied.
 *
 * Negative answers without DNSSEC differ in nothing but where the question ends. So the record is
 * made once for each generation, with the names in it compressed against a question for the apex;
 * behind another question of the zone it stands as much later as that question is longer, and so
 * does the apex that it points to. It is immutable and RCU-published in zone_data.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/octets.h"
#include "base/rcu.h"
#include "zone/zone_data.h"

#define NEGATIVE_POINTERS_MAX 3 /* of the owner, the primary server and the mailbox */
#define NEGATIVE_SHARED_MAX   2 /* of the latter two */
#define NEGATIVE_TTL_OFFSET   6 /* behind the owner's pointer, type and class */

struct zone_negative {
    struct rcu_head retired;
    uint32_t ttl_s; /* as in octets[]: the lesser of the record's own and the SOA's minimum */
    bool is_signed; /* with the DO bit signatures follow, which are not in here */
    uint8_t pointer_count, shared_count;
    uint16_t
        pointers[NEGATIVE_POINTERS_MAX]; /* offsets in octets[], ascending, the owner's first */
    uint16_t size;
    /* Hashes of the names one label below the apex that the record holds: behind a question at or
     * below one of these it would be compressed further. */
    uint64_t shared[NEGATIVE_SHARED_MAX];
    uint8_t octets[]; /* `size` of them */
};

/* Makes it from an apex entry with a SOA. NULL in *ret_negative when the record has another form
 * behind every question: in the root zone, and where the apex has too many labels. Returns 0 or
 * -ENOMEM. */
_must_check_ int zone_negative_create(const struct name *apex, const struct name_entry *apex_entry,
                                      struct zone_negative **ret_negative);

/* Frees it when all present readers are done. NULL is fine. */
void zone_negative_retire(struct zone_negative *negative);

/* Whether the record looks behind the question `name`, which is at or below the apex of
 * `apex_label_count` labels, as it was made. */
static inline bool zone_negative_fits(const struct zone_negative *negative, const struct name *name,
                                      unsigned apex_label_count)
{
    if (name->label_count == apex_label_count)
        return true;
    uint64_t hash = name->hashes[name->label_count - apex_label_count - 1];
    for (unsigned i = 0; i < negative->shared_count; i++) {
        if (negative->shared[i] == hash)
            return false;
    }
    return true;
}

/* Writes the record right behind a question whose name is `shift` octets longer than the apex. */
static inline void zone_negative_write(const struct zone_negative *negative, uint8_t *at,
                                       unsigned shift)
{
    octets_copy(at, negative->octets, negative->size);
    for (unsigned i = 0; i < negative->pointer_count; i++) {
        uint8_t *pointer = at + negative->pointers[i];
        unsigned value = (unsigned)(pointer[0] << 8 | pointer[1]) + shift;
        pointer[0] = (uint8_t)(value >> 8);
        pointer[1] = (uint8_t)value;
    }
}
