/* Entries of the ledger that are sealed: the world learns at once that something was done, and
 * when, and later what. The sealed entry has a commitment: the SHA-256 of its opening, which is
 * the canonical JSON {"data", "kind", "object", "salt"} with a salt of 32 octets that keeps anybody
 * from guessing. The entry that opens it shows the opening. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

/* As ledger_queue_put(), sealed until `opens_at_s` (0: until ledger_seal_open()). The subject is
 * sealed, too. In a transaction. */
_must_check_ int ledger_seal_put(struct store *store, int64_t now_ms, const char *kind,
                                 const char *subject, const json_t *content, int64_t opens_at_s,
                                 char ret_id[static ID_SIZE], struct error *ret_error);

/* Opens the sealed entry `id` before its time; one that is open already, or was never sealed, is
 * -ENOENT. In a transaction. `ret_id` gets the id of the entry that opens it. */
_must_check_ int ledger_seal_open(struct store *store, int64_t now_ms, const char *id,
                                  char ret_id[static ID_SIZE], struct error *ret_error);

/* Opens what is due: a job. */
struct desk;
_must_check_ int ledger_seal_open_due(struct desk *desk, struct store *store, int64_t now_s,
                                      struct error *ret_error);
