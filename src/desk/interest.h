/* Deconfliction: the interests that partners have placed without telling what they are about, and
 * the orders that touch them. doc/deconfliction.md tells the protocol and its limits.
 *
 * Orders are compared by interest_order_check(): when one is drafted or changed, when it is
 * rehearsed, and before it becomes active, since interests may be placed meanwhile. What was
 * compared is not compared again. The rest of the header is what that is made of.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
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

/* Computes them: about 0.05 ms for each name and each name above one, so it is done outside of a
 * transaction, and not at all while nobody has placed an interest. `names` is borrowed until the
 * check is freed. Any thread. */
_must_check_ int interest_check_make(struct desk *desk, struct store *store,
                                     const struct interest_name *names, size_t count,
                                     struct interest_check **ret_check, struct error *ret_error);
void interest_check_free(struct interest_check *check);
/* Copies what it borrows, so that the names may go before it. */
_must_check_ int interest_check_own(struct interest_check *check, struct error *ret_error);
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
 * order for `hold_s` from now on. In a transaction. */
_must_check_ int interest_overlaps(struct store *store, const struct interest_check *check,
                                   const struct interest_occasion *occasion,
                                   struct interest_hold *ret_hold, struct error *ret_error);

/* Whether overlaps hold the order now; in a transaction or not. */
_must_check_ int interest_hold_find(struct store *store, const char *order, int64_t now_s,
                                    struct interest_hold *ret_hold, struct error *ret_error);

/* Compares an order that never was in force with the interests that it was not compared with yet:
 * about 0.05 ms for each of its names, and nothing while nobody is interested in anything. Each new
 * overlap holds the order (desk_order_hold()) for orders.hold-seconds, opens a channel and tells
 * its partner by mail. Outside of a transaction; opens its own. Whatever goes wrong is to stop the
 * order. */
_must_check_ int interest_order_check(struct desk *desk, struct store *store,
                                      const struct change *change, const char *order,
                                      struct error *ret_error);

/* Has an overlap hold the order no more; nothing when it does not. In a transaction. */
_must_check_ int interest_hold_end(struct store *store, const struct change *change,
                                   const char *order, const char *overlap, struct error *ret_error);
