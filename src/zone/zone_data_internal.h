/* Shared by the files that build and edit a generation; no other module includes it. */
#pragma once

#include "zone/nsec_chain.h"
#include "zone/zone_data.h"

/* An empty generation with room for `names` entries. */
_must_check_ int zone_data_allocate(const struct name *apex, uint64_t names,
                                    struct zone_data **ret_data);

/* Reads the SOA of a generation whose apex has one, as every built one does. */
void zone_data_read_soa(struct zone_data *data);

/* The same for a new generation, and makes the record of its negative answers. Returns 0 or
 * -ENOMEM. */
_must_check_ int zone_data_take_apex(struct zone_data *data);

/* Counts the memory that it holds; what comes later is added, modulo 2^64 what goes. */
void zone_data_measure(struct zone_data *data);
void zone_data_add_memory(struct zone_data *data, uint64_t octets);

/* Makes room for `count` names beside those reserved, with the table's lock held. When the table
 * had to grow, *ret_old is the old one, to be given to zone_data_retire_table() without the lock,
 * else NULL. Returns 0 or -ENOMEM. */
_must_check_ int zone_data_make_room(struct zone_data *data, uint64_t count,
                                     struct name_table **ret_old);
void zone_data_retire_table(struct name_table *old);

/* The table of now, kept from being freed. */
struct name_table *zone_data_hold_table(struct zone_data *data);
void zone_data_release_table(struct name_table *table);

/* The hash of a relative owner's full name. */
uint64_t zone_data_owner_hash(const struct zone_data *data, const uint8_t *owner,
                              size_t owner_size);

/* Ends what edits have made; no view is open any more. NULL is fine. */
void zone_changing_free(struct zone_changing *changing);

/* Builds the NSEC or NSEC3 chain from what the generation holds; NULL chain when the zone is
 * unsigned. */
_must_check_ int zone_data_link_chain(struct zone_data *data,
                                      const struct name_entry **nsec3_entries, size_t nsec3_count);
