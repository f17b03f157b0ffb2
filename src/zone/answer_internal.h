/* Shared by the files that make answers; no other module includes it. */
#pragma once

#include "zone/answer.h"

/* The closest existing ancestor of a name that does not exist (RFC 4592, 3.3.1), and the label of
 * `name` at which it begins. */
const struct name_entry *answer_encloser(const struct zone_data *data, const struct name *name,
                                         size_t *ret_label);

/* The wildcard right below the closest encloser, which begins at a label of `name`; NULL: none. */
const struct name_entry *answer_wildcard(const struct zone_data *data, const struct name *name,
                                         size_t encloser_label);

/* Puts a record set with its signatures when DNSSEC is asked for; remembers it. False: it does not
 * fit. `ttl_s` replaces the set's own. A set that is there already is not put again. */
bool answer_put(struct answer *answer, enum section section, struct response_owner owner,
                uint64_t owner_hash, const struct name_entry *entry, const struct rrset *rrset,
                uint32_t ttl_s);

/* The proofs of a signed zone; false when they don't fit. All do nothing for an unsigned zone or
 * without DO. */
bool denial_of_name(struct answer *answer, const struct answer_hop *hop);
bool denial_of_type(struct answer *answer, const struct answer_hop *hop,
                    const struct name_entry *entry);
bool denial_of_better_match(struct answer *answer, const struct answer_hop *hop);
bool denial_of_ds(struct answer *answer, const struct answer_hop *hop, size_t cut_label,
                  const struct name_entry *cut);
