/* What one commit does to a zone: a list of changes, each of one record set, in the order in which
 * they were made.
 *
 * The list is one run of octets: an edit writes it, the journal keeps it, replay, IXFR and the
 * history read it. Owners are relative to the apex and in lower case, as in struct name_entry.
 * The same record set may occur more than once; then `before` of the later is `after` of the
 * earlier. A change of the SOA is a change like any other and is the last one of a list. Whoever
 * reads a list from outside the process checks it whole with change_list_check() first.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "zone/name_table.h"

/* One record set before and after, its records in canonical order; rr_count 0: it was not there, or
 * is not any more. */
struct change {
    /* Whom the change is due to: an index that the list's keeper gives meaning to. */
    uint16_t author;
    const uint8_t *owner;
    uint8_t owner_size;
    struct rrset before, after; /* both have the type */
};

/* A growing list. All zero is an empty one. */
struct change_list {
    uint8_t *octets;
    size_t size, room;
    size_t count;
};

void change_list_clear(struct change_list *list);

/* Copies the change to the end. Returns 0 or -ENOMEM, which leaves the list as it was. */
_must_check_ int change_list_add(struct change_list *list, const struct change *change);

/* Cuts the list back to what it was when it had `size` octets and `count` changes. */
void change_list_cut(struct change_list *list, size_t size, size_t count);

/* Walks octets that were checked, or that this process has written. `*at` begins at 0. Returns
 * false at the end. The change points into the octets. */
bool change_list_next(const uint8_t *octets, size_t size, size_t *at, struct change *ret_change);

/* Whether the octets are a whole list of well-formed changes: lengths, owners, record data, and
 * nothing that no zone can hold, such as a SOA below the apex. Any octets. */
bool change_list_check(const uint8_t *octets, size_t size, size_t *ret_count);
