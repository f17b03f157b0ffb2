/* Shared by the files that build a generation; no other module includes it. */
#pragma once

#include "zone/nsec_chain.h"
#include "zone/zone_data.h"

/* An empty generation with room for `names` entries. */
_must_check_ int zone_data_allocate(const struct name *apex, uint64_t names,
                                    struct zone_data **ret_data);

/* Reads the SOA of a generation whose apex has one, as every built one does, and makes the record
 * of its negative answers. Returns 0 or -ENOMEM. */
_must_check_ int zone_data_read_soa(struct zone_data *data);

/* Counts the memory that it holds. */
void zone_data_measure(struct zone_data *data);

/* Builds the NSEC or NSEC3 chain from what the generation holds; NULL chain when the zone is
 * unsigned. */
_must_check_ int zone_data_link_chain(struct zone_data *data,
                                      const struct name_entry **nsec3_entries, size_t nsec3_count);
