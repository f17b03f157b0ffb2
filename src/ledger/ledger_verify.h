/* Checking a log as anybody may who does not trust its keeper: offline from a folder, or from a
 * URL.
 */
#pragma once

#include "ledger/ledger_reader.h"

struct ledger_claim {
    struct checkpoint checkpoint;
    unsigned witnesses;       /* cosignatures that hold */
    uint64_t witnessed_at;    /* the earliest of them, Unix seconds; 0: none */
    char note[NOTE_SIZE_MAX]; /* as read, for who keeps it */
    size_t note_size;
};

/* Reads the checkpoint and checks who signed it: the log, which also must be its origin, and so
 * many of the witnesses as are found. -EBADMSG when a signature is missing or wrong; a wrong one of
 * a witness counts as that, too. */
_must_check_ int ledger_claim_read(const struct ledger_source *source,
                                   const struct note_verifier *log,
                                   const struct note_verifier *witnesses, size_t witness_count,
                                   struct ledger_claim *ret_claim, struct error *ret_error);

/* Checks that a checkpoint goes on where an older one of the same log ended: -EBADMSG when it does
 * not, and the log has been rewritten. */
_must_check_ int ledger_verify_consistency(const struct ledger_source *source,
                                           const struct checkpoint *old,
                                           const struct checkpoint *present,
                                           struct error *ret_error);

/* Checks that an entry is in the log at its place, and gives it away; the caller frees it. */
_must_check_ int ledger_verify_entry(const struct ledger_source *source,
                                     const struct checkpoint *checkpoint, uint64_t index,
                                     uint8_t **ret_entry, size_t *ret_size,
                                     struct error *ret_error);

/* Reads every entry, makes the whole tree of them, and compares with the checkpoint, and on the way
 * with an older one, and with the tiles of hashes. */
struct ledger_audit {
    const struct ledger_source *source;
    const struct checkpoint *checkpoint;
    const struct checkpoint *old; /* NULL: none is known */

    /* Called for each entry, whose octets are valid during the call; NULL is fine. A negative value
     * ends it. The entries are not yet proved then. */
    int (*entry)(void *context, uint64_t index, const uint8_t *octets, size_t size);
    void *context;
};
_must_check_ int ledger_verify_all(const struct ledger_audit *audit, struct error *ret_error);
