/* Deconfliction: the interests that partners have placed without telling what they are about, and
 * the orders that touch them. doc/deconfliction.md tells the protocol and its limits.
 *
 * What stands here is for who drafts, amends and activates orders:
 *
 *     struct interest_check *check;
 *     interest_check_make(desk, store, names, count, &check, error);  // slow, no transaction
 *     ... in the transaction of the draft, of an amendment, and again of the activation:
 *     interest_overlaps(store, check, &occasion, &hold, error);
 *     interest_check_free(check);
 *     ... before it becomes active, in the transaction:
 *     interest_hold_find(store, order, now_s, &hold, error);          // hold.until_s > now_s:
 * refuse
 *     ... and after a commit that found something:
 *     outbox_wake(desk);
 *
 * Interests may be placed between draft and activation: so the overlaps are looked for again, and
 * what was found before is not found twice.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/principal.h"
#include "desk/store.h"

struct desk;

/* A name that an order lists: lower case, A-labels, without the last dot. */
struct interest_name {
    const char *name;
    bool is_subtree; /* the order covers what is below the name, too */
};

/* The tokens of an order's names, under each of the desk's keys. */
struct interest_check;

/* Computes them: about 0.1 ms for each name and each name above one, so it is done outside of a
 * transaction, and not at all while nobody has placed an interest. `names` is borrowed until the
 * check is freed. Any thread. */
_must_check_ int interest_check_make(struct desk *desk, struct store *store,
                                     const struct interest_name *names, size_t count,
                                     struct interest_check **ret_check, struct error *ret_error);
void interest_check_free(struct interest_check *check);
DEFINE_FREEP(struct interest_check, interest_check_free)

struct interest_occasion {
    const char *order;           /* its id */
    const struct principal *who; /* drafts it: the contact of the desk's side; NULL: a job */
    const char *client;
    int64_t now_ms;
    unsigned hold_s; /* of an overlap that is found: orders.hold-seconds */
};

/* How an order stands. */
struct interest_hold {
    unsigned overlaps; /* ever found and not withdrawn: approval is by two people when not 0 */
    unsigned open;     /* of them those that hold: not overridden, not released, not run out */
    int64_t until_s;   /* when the last of the open ones runs out; 0: nothing holds */
};

/* Finds the interests that the names touch and writes an overlap for each that is new: it holds the
 * order for `hold_s` from now on, opens the channel, and tells the partner by mail. In a
 * transaction. */
_must_check_ int interest_overlaps(struct store *store, const struct interest_check *check,
                                   const struct interest_occasion *occasion,
                                   struct interest_hold *ret_hold, struct error *ret_error);

/* Whether overlaps hold the order now; in a transaction or not. */
_must_check_ int interest_hold_find(struct store *store, const char *order, int64_t now_s,
                                    struct interest_hold *ret_hold, struct error *ret_error);
