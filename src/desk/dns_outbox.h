/* Changes of hosts' records that must happen, even when the name server is down now: the removal of
 * what is blocked, deleted or expired. They go through the outbox, kind "dns", which hands them to
 * the updater until the server has made them. */
#pragma once

#include <stdint.h>

#include "desk/dns_updater.h"
#include "desk/outbox.h"

/* Puts a change into the outbox; called in the transaction of what causes it. After the commit,
 * outbox_wake() saves the wait. -EINVAL: a change that cannot be encoded. */
_must_check_ int dns_outbox_put(struct store *store, int64_t now_ms,
                                const struct dns_change *change, struct error *ret_error);

/* Drops what waits for the host: called in the transaction that makes it live again, so that an old
 * removal does not take away what is set from then on. */
_must_check_ int dns_outbox_cancel(struct store *store, const char *host, struct error *ret_error);

/* The outbox's handler of kind "dns". */
int dns_outbox_deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                       struct error *ret_error);
