/* The differences of an incremental transfer (RFC 1995): records that go and records that come, as
 * an origin sends them, and the changes of record sets that they come to.
 *
 * Nothing an origin says of our zone is believed: a record that goes must be there, one that comes
 * must not, and what is left must be a zone. Otherwise origin and we do not speak of the same zone,
 * and only a whole transfer helps.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/change.h"
#include "zone/zone_data.h"

/* Differences in order of arrival. All zero is an empty list. */
struct difference_list {
    uint8_t *octets;
    size_t size, room;
    size_t count;
};

void difference_list_clear(struct difference_list *list);

/* Adds a record that comes or goes. `owner` is any name, in any letter case; rdata is uncompressed.
 * Returns 0; -ENOMEM; -ERANGE for an owner outside of the zone; -EINVAL for a type that no zone
 * has. */
_must_check_ int difference_list_add(struct difference_list *list, const struct name *apex,
                                     bool is_addition, const uint8_t *owner, uint16_t type,
                                     uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size);

/* What a zone has at a name; NULL: nothing. NSEC3 records live apart from names (is_nsec3). */
struct difference_base {
    const struct name *apex;
    const struct name_entry *(*find)(const void *context, const struct name *owner, bool is_nsec3);
    const void *context;
};

/* Adds to `changes` what the differences do to the zone: each record set once, the SOA last. Takes
 * time n log n of the differences and of the record sets that they touch. Returns 0; -ENOMEM; or
 * -EBADMSG, with a text, when they do not fit the zone or leave what cannot be served. */
_must_check_ int difference_list_resolve(const struct difference_list *list,
                                         const struct difference_base *base,
                                         struct change_list *changes, struct error *ret_error);
