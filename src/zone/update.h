/* What an UPDATE message asks of a zone (RFC 2136), done to an edit of it.
 *
 * A message is atomic: its prerequisites are looked at, then all of its updates are made, or none.
 * What it sees is the zone as the edit has it, with the messages before it. The serial is not this
 * module's: whoever commits advances it once, unless a message brought a SOA of its own.
 *
 * Beyond RFC 2136: a DNAME replaces the one that is there, as a CNAME does (RFC 6672, 2.4), and
 * records that only a signer makes (NSEC, NSEC3, NSEC3PARAM, RRSIG) are refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/record_reader.h"
#include "zone/zone_edit.h"

/* Who may change what. */
struct update_permission {
    /* Whether records of `type` may be added to `owner` or taken away; KNOT_RRTYPE_ANY: of any type
     * at all. NULL: everything is allowed. */
    bool (*allows)(void *context, const struct name *owner, uint16_t type);
    void *context;
};

struct update_outcome {
    uint8_t rcode;
    bool has_changed;    /* the edit holds changes of this message */
    bool has_own_serial; /* among them a SOA: the serial is not to be advanced */
    const char *reason;  /* why it was refused; NULL when it was not. Static text. */
};

/* Takes the message at `wire` (a whole header, opcode UPDATE) to `edit`, an edit of `data`. The
 * zone section must name the apex of `data`; a message about another zone is NOTZONE's kin and the
 * caller's. Returns 0 with the outcome, or -ENOMEM: then the message has changed nothing. */
_must_check_ int update_apply(struct zone_edit *edit, const struct zone_data *data,
                              struct record_reader *reader, const uint8_t *wire, size_t size,
                              const struct update_permission *permission,
                              struct update_outcome *ret_outcome);
