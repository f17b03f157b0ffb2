/* What has to leave the house: mails, DNS updates, policy zones. A row is written in the
 * transaction of the change that causes it, and delivered afterwards by a thread of its kind, again
 * and again with longer and longer waits until it succeeds or its kind gives up. Delivery is at
 * least once: whoever delivers makes twice the same as once, by the item's id. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

struct desk;

struct outbox_item {
    const char *id;
    const json_t *payload;
    unsigned attempt;   /* from 1 */
    int64_t created_at; /* Unix seconds */
};

/* Delivers one. 0: done. -ECANCELED: never try again (logged). Other errors: later. Runs in the
 * kind's own thread, one item after the other, with a store of its own, outside of a transaction.
 */
typedef int outbox_deliver_fn(struct desk *desk, struct store *store,
                              const struct outbox_item *item, struct error *ret_error);

/* A kind, in the table of its part. */
struct outbox_kind {
    const char *name; /* "mail" */
    outbox_deliver_fn *deliver;
    unsigned retry_first_s, retry_max_s; /* waits double from the first to the longest */
    unsigned give_up_s;                  /* age at which a row is given up; 0: never */
};

/* Must be called in a transaction; `payload` is borrowed. `due_s` may lie ahead. */
_must_check_ int outbox_put(struct store *store, int64_t now_ms, const char *kind,
                            const json_t *payload, int64_t due_s, char ret_id[static ID_SIZE],
                            struct error *ret_error);

/* Tells the threads that something may be due, after the commit: saves the wait for its next look.
 * Any thread. */
void outbox_wake(struct desk *desk);

/* Whether stop has begun: a delivery that may wait long looks at this and ends as "later". */
bool outbox_is_ending(const struct desk *desk);

struct outbox;

_must_check_ int outbox_start(struct desk *desk, struct outbox **ret_outbox,
                              struct error *ret_error);
/* Finishes the delivery at hand. NULL is ignored. */
void outbox_stop(struct outbox *outbox);
