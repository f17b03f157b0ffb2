/* Changing a published generation in place, while readers go on without locks.
 *
 * An edit collects changes without touching what readers see; zone_edit_commit() then swaps the
 * changed entries one by one, each by a single store. So a question sees of every name either what
 * was before or what is after. The cost of a change is that of its record set, never of the zone;
 * exceptions are a zone cut or DNAME that comes or goes, whose descendants are marked anew, by one
 * walk of the table.
 *
 * One edit at a time per zone: the caller serializes edits, opening views and the publication of
 * another generation by one lock (struct zone, `writer`). Marks (zone_data_mark) may come from
 * another thread meanwhile; the two share a lock of the generation's own for moments. Old entries
 * are freed after a grace period and when no view (zone/zone_view.h) of an earlier serial needs
 * them.
 *
 * Only zones without a chain of NSEC or NSEC3 records can be edited: the server does not sign, and
 * an unsigned change would make a signed zone bogus. zone_edit_begin() returns -EPERM for one.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"
#include "zone/change.h"
#include "zone/zone_data.h"

struct zone_edit;

_must_check_ int zone_edit_begin(struct zone_data *data, struct zone_edit **ret_edit,
                                 struct error *ret_error);

/* Ends an edit and gives up what was not committed. NULL is fine. */
void zone_edit_end(struct zone_edit *edit);
DEFINE_FREEP(struct zone_edit, zone_edit_end)

/* Changes from here on carry this author. */
void zone_edit_set_author(struct zone_edit *edit, uint16_t author);

/* ---- The zone as the edit sees it: what was committed, with the edit's own changes ---- */

/* The entry of a name at or below the apex, for its records; NULL, or rrset_count 0: it has none.
 * Its flags, and whether there is an entry of a name without records, are as committed. Valid until
 * the next change of this name, a rewind or the edit's end. */
const struct name_entry *zone_edit_find(const struct zone_edit *edit, const struct name *owner);

/* ---- Changing: names at or below the apex, rdata uncompressed, TTLs in host order ---- */

/* All of these return 0, -ENOMEM, -EINVAL for what no zone can hold (a meta type, a SOA below the
 * apex, a second SOA, CNAME or DNAME), and -EPERM for the records of a chain of NSEC or NSEC3; the
 * edit is then as before. The form of the data is the caller's to check (dns/rdata.h). */

/* Puts `rrset` in the place of the set of its type; rr_count 0 removes it. Its records may come in
 * any order and more than once. */
_must_check_ int zone_edit_put(struct zone_edit *edit, const struct name *owner,
                               const struct rrset *rrset);

/* Adds one record to its set, whose TTL becomes `ttl_s` (RFC 2136 says nothing of other TTLs of the
 * set, RFC 2181, 5.2 wants them equal). An equal record stays: only its TTL may change. A SOA,
 * CNAME or DNAME takes the place of the one that is there (RFC 2136, 3.4.2.2). For comparing, names
 * within the rdata of the types of RFC 4034, 6.2 are taken in any letter case. *ret_changed tells
 * whether anything differs. -E2BIG when the set would not fit a message. */
_must_check_ int zone_edit_add(struct zone_edit *edit, const struct name *owner, uint16_t type,
                               uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size,
                               bool *ret_changed);
_must_check_ int zone_edit_remove(struct zone_edit *edit, const struct name *owner, uint16_t type,
                                  const uint8_t *rdata, uint16_t rdata_size, bool *ret_changed);

/* ---- Several messages in one commit ---- */

/* Where an edit stands, so that a message that fails takes back its own changes alone. A mark is
 * good until the edit is rewound to an earlier one. */
struct zone_edit_mark {
    size_t size, count;
};
struct zone_edit_mark zone_edit_mark(struct zone_edit *edit);
void zone_edit_rewind(struct zone_edit *edit, const struct zone_edit_mark *mark);

/* What was changed so far. */
const struct change_list *zone_edit_changes(const struct zone_edit *edit);

/* Sets the serial of the SOA, as the last change of the commit. */
_must_check_ int zone_edit_set_serial(struct zone_edit *edit, uint32_t serial);

/* The serial of the SOA as the edit has it. */
uint32_t zone_edit_serial(const struct zone_edit *edit);

/* Makes room for everything that the commit needs, so that it cannot fail any more. The caller then
 * makes the changes durable and commits. More changes may follow instead; they want another
 * prepare. Returns 0, -ENOMEM, or -EINVAL when the zone would have a CNAME beside other data or no
 * SOA or NS at its apex. Waits for a grace period in the rare case that the table must grow. */
_must_check_ int zone_edit_prepare(struct zone_edit *edit);

/* Publishes, the apex last. After zone_edit_prepare() with no change since. Then the edit is only
 * good for zone_edit_changes() and to be ended. */
void zone_edit_commit(struct zone_edit *edit);

/* ---- Applying changes that were made elsewhere ---- */

/* Makes the changes of a checked list, as replay and restore do. With `is_backward` each record set
 * becomes what it was before, from the last change to the first. -EBADMSG when a set is not what
 * the list says it was: list and zone do not belong together; the edit is then only good to be
 * ended. */
_must_check_ int zone_edit_apply(struct zone_edit *edit, const uint8_t *octets, size_t size,
                                 bool is_backward, struct error *ret_error);
