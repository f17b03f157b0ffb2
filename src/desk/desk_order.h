/* Orders, as other parts of the desk need them: an escalated report drafts one, a granted appeal
 * exempts a name, an overlap of interests holds one, a look-up asks what is in force.
 *
 * How to use it from a part that decides:
 *
 *     static int decision_do(struct store *store, void *context, struct error *ret_error)
 *     {
 *         ...
 *         rc = desk_order_exempt(store, &change, &exemption, &count, ret_error);
 *     }
 *     rc = request_transact(request, decision_do, &decision, ret_error);
 *     desk_orders_settle(desk);
 *
 * What changes an order runs in the caller's transaction and writes event, audit and ledger rows
 * itself. The zones that servers get follow from the tables alone (zone_publisher.h).
 *
 * Names are lower case, A-labels, without a last dot. An `id` is that of the row ("ord_...") or the
 * document's own. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/store.h"

struct change; /* desk/change.h */
struct desk;
struct order;

#define DESK_ORDER_NAME_SIZE 64 /* the document's id, with its NUL */

/* What to draft. */
struct desk_order_draft {
    const char *document; /* YAML of tamis-order(5), or JSON of the same; no names-file */
    size_t document_size;
    const char *path;       /* what errors call it, as "/document" */
    struct order *loaded;   /* the same, loaded ahead of the transaction; borrowed; NULL: not */
    const json_t *contacts; /* array of mail addresses beside the provider's, or NULL */
    const char *report;     /* id of what led to it, or NULL */
    int64_t sealed_until_s; /* 0: not sealed */
};

/* Drafts an order: nothing is in force before it was rehearsed, notified, approved and activated.
 * In a transaction. -EINVAL: the document is refused, with its line. -EEXIST: there is an order of
 * its id. */
_must_check_ int desk_order_draft(struct desk *desk, struct store *store,
                                  const struct change *change, const struct desk_order_draft *draft,
                                  char ret_id[static ID_SIZE], struct error *ret_error);

/* A name to be carved out. */
struct desk_order_exemption {
    const char *name;
    const char *reason;    /* published: a line that names nobody */
    const char *reference; /* id of the appeal, or NULL */
    const char *order;     /* the one order to amend, or NULL: every active one that lists it */
};

/* Amends active orders that list the name or a subtree above it, and tells their contacts and the
 * name's owner. In a transaction; after it, desk_orders_settle(). `ret_count`: orders amended,
 * which do not count those that had it exempt already; 0 is no error. */
_must_check_ int desk_order_exempt(const struct desk *desk, struct store *store,
                                   const struct change *change,
                                   const struct desk_order_exemption *exemption, size_t *ret_count,
                                   struct error *ret_error);

/* Lifts an active order, or withdraws one that never was in force, and tells whoever had notice of
 * it. One person, one call. In a transaction; after it, desk_orders_settle(). -EEXIST: it has ended
 * already. */
_must_check_ int desk_order_lift(const struct desk *desk, struct store *store,
                                 const struct change *change, const char *id, const char *reason,
                                 struct error *ret_error);

/* Has an order wait: it cannot be activated before `until_s` or desk_order_hold_end(), and two
 * people approve it. Again for the same reference changes the time. In a transaction. */
_must_check_ int desk_order_hold(struct store *store, const struct change *change, const char *id,
                                 const char *reference, int64_t until_s, struct error *ret_error);
_must_check_ int desk_order_hold_end(struct store *store, const struct change *change,
                                     const char *id, const char *reference,
                                     struct error *ret_error);

/* An order in force that blocks a name. */
struct desk_order_block {
    char id[ID_SIZE], name[DESK_ORDER_NAME_SIZE];
    char action[12];
};

/* The order by which a name is blocked now, by its precedence (tamis-order(5)); exemptions are
 * seen, orders that merely observe are not. -ENOENT: none. */
_must_check_ int desk_order_find(struct store *store, const char *name, int64_t now_s,
                                 struct desk_order_block *ret_block, struct error *ret_error);

/* After the transaction of a change, whatever came of it: the servers are told at once. Any thread.
 */
void desk_orders_settle(struct desk *desk);
