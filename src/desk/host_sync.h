/* Bringing the zone to what the tables say of a host: its wildcard and its TXT records, or nothing
 * at all when the host is gone, blocked, expired or offline. Addresses are the zone's own and come
 * with updates.
 *
 * What is put into the outbox says only "look at this name": whoever delivers reads what the tables
 * say by then, so that rows may be delivered late, twice or in another order. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/outbox.h"
#include "desk/store.h"

struct desk;

#define HOST_SYNC_KIND "host"

/* Puts the row for a name; in the transaction that changes what the tables say of it. */
_must_check_ int host_sync_put(struct store *store, int64_t now_ms, const char *name,
                               struct error *ret_error);

/* After that transaction, whatever came of it: drops what is cached of the name and all below it,
 * and has the outbox look at once. Any thread. */
void host_sync_settle(struct desk *desk, const char *name);

/* The outbox's handler of the kind. */
int host_sync_deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                      struct error *ret_error);
