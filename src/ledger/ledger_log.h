/* An append-only log in a folder, laid out as C2SP tlog-tiles so that any web server can give it
 * away: `checkpoint`, `tile/L/N` and `tile/entries/N`.
 *
 * Entries become part of the log when the checkpoint that counts them is in place. Before that
 * their tiles are written and synced, so that a kill at any moment leaves the log of the last
 * checkpoint, and octets beyond it that the next append writes anew. One process and one thread at
 * a time; who only reads needs nothing of this (ledger_reader.h).
 */
#pragma once

#include <stdint.h>

#include "ledger/note.h"
#include "ledger/tile.h"

struct ledger_log;

/* Opens the log in `folder`, made when it is missing, with the key (NOTE_KEY_ED25519) that signs
 * its checkpoints; the key's name is the log's origin. What is there is checked against the
 * checkpoint: a log of another key, or one that lacks a part, is refused (-EBADMSG). A second
 * process is refused
 * (-EBUSY). */
_must_check_ int ledger_log_open(const char *folder, const struct note_signer *signer,
                                 struct ledger_log **ret_log, struct error *ret_error);
void ledger_log_close(struct ledger_log *log);
DEFINE_FREEP(struct ledger_log, ledger_log_close)

uint64_t ledger_log_size(const struct ledger_log *log);

struct ledger_entry {
    const uint8_t *octets;
    size_t size; /* at most ENTRY_SIZE_MAX */
};

/* Appends entries, durable and signed for, all or none. After a failure the same entries must come
 * next, in the same order, whatever follows them: the checkpoint that counts them may have become
 * visible though it is not known to be durable. Returns the first one's index in `ret_index`. Costs
 * a few fsyncs for the checkpoint and for every 256 entries. */
_must_check_ int ledger_log_append(struct ledger_log *log, const struct ledger_entry *entries,
                                   size_t count, uint64_t *ret_index, struct error *ret_error);

/* Adds the cosignatures that a witness sent: a note with the text of the present checkpoint, or the
 * signature lines alone. Only lines of the given witnesses count, and each must hold (-EBADMSG);
 * -ESTALE when it is over another checkpoint. Sets how many are new. */
_must_check_ int ledger_log_cosign(struct ledger_log *log, const char *octets, size_t size,
                                   const struct note_verifier *witnesses, size_t witness_count,
                                   unsigned *ret_added, struct error *ret_error);
