/* An entry of the ledger with the proof that it is there, for whoever asks. */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

/* Finds where an entry is: `name` is its id, or its place as a number. -ENOENT: there is none.
 * `ret_is_waiting`: it is queued, and has no place yet. */
_must_check_ int ledger_entry_find(struct store *store, const char *name, uint64_t *ret_place,
                                   char ret_id[static ID_SIZE], bool *ret_is_waiting,
                                   struct error *ret_error);

/* Reads the entry at `place` from the ledger in `folder` and proves it: {id, index, entry, octets,
 * hash, checkpoint, proof}. The caller frees it. */
_must_check_ int ledger_entry_prove(const char *folder, uint64_t place, json_t **ret_proof,
                                    struct error *ret_error);
