/* The thread that takes what is queued for the ledger into its tree, in batches: entries that come
 * within one interval share an append and its few fsyncs.
 *
 * Whoever writes to the queue does not wait for it. A disk that is full or broken below state/
 * stops the thread, not the desk: the rows wait, /healthz and the figures say so, and what waited
 * is taken when there is room again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct desk;
struct ledger_sequencer;

/* Opens the ledger in state/ledger, with its key, brings it and the database together, starts the
 * thread. */
_must_check_ int ledger_sequencer_start(struct desk *desk, struct ledger_sequencer **ret_sequencer,
                                        struct error *ret_error);
/* Takes what is queued and ends. NULL is ignored. */
void ledger_sequencer_stop(struct ledger_sequencer *sequencer);

/* The ledger's folder. The rest of this header: any thread. */
const char *ledger_sequencer_folder(const struct ledger_sequencer *sequencer);
/* Entries that the checkpoint counts. */
uint64_t ledger_sequencer_size(const struct ledger_sequencer *sequencer);
/* The same after an append under way, whose checkpoint may be read before it is counted. May block.
 */
uint64_t ledger_sequencer_size_settled(struct ledger_sequencer *sequencer);

/* ledger_log_cosign() with the configured witnesses. */
_must_check_ int ledger_sequencer_cosign(struct ledger_sequencer *sequencer, const char *octets,
                                         size_t size, unsigned *ret_added, struct error *ret_error);

struct ledger_figures {
    uint64_t entries, appends; /* appends: since the start */
    bool is_failing;
    int64_t behind_s;  /* age of the oldest entry that is known to wait; 0: none */
    char failure[512]; /* why, while it fails */
};
void ledger_sequencer_figures(struct ledger_sequencer *sequencer,
                              struct ledger_figures *ret_figures);
