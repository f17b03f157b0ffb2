/* Blocks in the public ledger. What is in the ledger stays there for ever, and a block may turn out
 * to be wrong: so an entry has not the blocked name but a commitment to it, SHA-256 over a salt of
 * 32 octets and the name. The salt is here: while the block stands the public look-up shows it, so
 * that everybody can check that this block is in the ledger and nobody can guess names from the
 * ledger alone. It is deleted when the block is lifted or its owner's account closed. */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"

/* Commits to a name that `decision` on `report` blocks, and adds the commitment to `commitments`.
 * In a transaction. */
_must_check_ int block_opening_put(struct store *store, const char *decision, const char *report,
                                   const char *name, json_t *commitments, struct error *ret_error);

/* Notes which entry of the ledger has a decision's commitments. In the same transaction. */
_must_check_ int block_openings_place(struct store *store, const char *decision, const char *entry,
                                      struct error *ret_error);

/* What opens the entries about a blocked name: an array of {entry, salt}, which is the caller's. */
_must_check_ int block_openings_json(struct store *store, const char *name, json_t **ret_json,
                                     struct error *ret_error);

/* Forgets what opens them. In a transaction. */
_must_check_ int block_openings_forget(struct store *store, const char *name,
                                       struct error *ret_error);
