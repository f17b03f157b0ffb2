/* Entries on their way from the ledger's queue into its tree: private to the sequencer.
 *
 * The queue's row is the promise, the tree's checkpoint is its keeping, and the table
 * ledger_entries is an index that can always be made anew from the tree, since each entry bears the
 * id of its row. So a batch goes: read rows, append to the tree (durable), record in SQL. Wherever
 * that is cut off, ledger_reconcile() finds at start what the tree has beyond the index, and goes
 * on behind it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"
#include "ledger/ledger_log.h"

/* Entries of one append, each of at most 48 KiB (LEDGER_CONTENT_MAX), most of a few hundred octets.
 */
#define LEDGER_BATCH_MAX 512

struct ledger_batch {
    struct store_rows *rows; /* id, at, kind, subject, content */
    struct ledger_entry entries[LEDGER_BATCH_MAX];
    size_t count;
    bool is_appended;
    uint64_t first; /* place of the first entry, once appended */
};

/* Reads the rows that come next, none, one or many, and makes their entries: canonical JSON (sorted
 * members, no blanks; RFC 8785 for what ledger_kinds.h allows) {data, id, kind, object, time, v}.
 */
_must_check_ int ledger_batch_fetch(struct store *store, struct ledger_batch *ret_batch,
                                    struct error *ret_error);

/* Notes the places of the appended entries. Twice is as once. */
_must_check_ int ledger_batch_record(struct store *store, const struct ledger_batch *batch,
                                     struct error *ret_error);

void ledger_batch_clear(struct ledger_batch *batch);

/* Brings tree and index together at start. What the tree has beyond the index is recorded. What the
 * index has beyond the tree, whose folder is an older copy then, is appended again, octet by octet
 * the same, as long as the queue still has it. -EBADMSG: they do not belong together. */
_must_check_ int ledger_reconcile(struct store *store, struct ledger_log *log, const char *folder,
                                  struct error *ret_error);
