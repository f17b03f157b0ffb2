/* A new generation of a zone out of the present one and changes to it, for zones that cannot be
 * changed in place (zone/zone_edit.h): signed ones, whose chain of NSEC or NSEC3 records is built
 * with the generation, and those whose digest is to be checked before anyone sees them. Costs what
 * building the zone costs.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/zone_data.h"

/* `changes` are those that the list of octets says (zone/change.h), each record set once. Nobody
 * changes what is held meanwhile but for marks. The new generation's source is none. Returns 0,
 * -ENOMEM, or -EBADMSG when what comes out is no zone. */
_must_check_ int zone_rebuild(const struct zone_hold *hold, const uint8_t *changes, size_t size,
                              struct zone_data **ret_data, struct error *ret_error);

/* What a held generation has at a name, NSEC3 owners apart; NULL: nothing. `held` is a struct
 * zone_hold, as struct difference_base passes it. */
const struct name_entry *zone_hold_find(const void *held, const struct name *owner, bool is_nsec3);
