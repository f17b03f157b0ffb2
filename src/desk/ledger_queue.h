/* What the public must know: written in the transaction of the change, taken into the ledger in
 * this order by its sequencer. A crash between loses nothing and doubles nothing: the row's id
 * stays with the entry. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

/* Queues an entry. `kind` as "order.activated"; `subject` is the id that it is about, under which
 * the ledger finds it, or NULL; `content` (borrowed) is published as it is. Must be called in a
 * transaction; `ret_id` gets the id by which GET /ledger/entries/{id} finds it later. */
_must_check_ int ledger_queue_put(struct store *store, int64_t now_ms, const char *kind,
                                  const char *subject, const json_t *content,
                                  char ret_id[static ID_SIZE], struct error *ret_error);
