/* The orders of a running server: activated, marked in the zones, kept over a restart, ended,
 * lifted.
 *
 * What the answer path sees is one pointer to an immutable overlay, swapped when all marks of a new
 * order are set: an order is in force for all of its names at once. Marks without a verdict say
 * nothing, so that lifting is the swap alone, and the marks go later.
 *
 * Any thread that is no RCU reader may call. Two locks, taken in this order:
 * - the marks lock, held as long as it takes to set or clear the marks of millions of names. Its
 *   holder is the one who changes marks, and the one who changes what carries them: who publishes a
 *   zone's data or the set of zones holds it, too, so that zones and data stay while it is held.
 * - the control lock, the server's, held for milliseconds: it guards the list of orders and the
 *   view. A lift takes this one alone, so that it waits for no activation and no reload.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "order/order.h"
#include "order/overlay_set.h"
#include "order/policy_read.h"
#include "server/responder.h"
#include "zone/zone.h"

/* Orders in force at once: a lookup of a listed name walks those that have exemptions or subtrees,
 * so that there must be an end. */
#define ORDERS_MAX 4096

enum order_source {
    ORDER_FROM_COMMAND, /* a person activates it: it is kept in the state folder */
    ORDER_FROM_CONFIG,  /* the configuration names its file */
    ORDER_FROM_STATE,   /* kept since an earlier run */
    ORDER_FROM_ZONE,    /* a policy zone holds it: the path of its order names the zone */
};

struct order_entry {
    struct active_order *active;
    char *config_path; /* under which the configuration names it; NULL: it does not, or this is a
                          copy of the entry */
    bool from_config, from_zone;
    bool ended; /* its time is up: in no overlay any more */
    int64_t activated_at;
    uint64_t marked;  /* names and subtrees that it is in force for */
    uint64_t refused; /* of these lists: outside of our zones, an apex, a zone cut */
};

struct order_result {
    struct active_order *active; /* a reference, with the order and its findings */
    uint64_t names, marked, refused;
    double took_ms;
    bool replaced;
    bool unchanged; /* it was in force already, word for word: its counters go on */
};
void order_result_clear(struct order_result *result);
const struct order *order_result_order(const struct order_result *result);

struct order_book;

/* `directory` holds the kept orders; it is made when missing. `control` is the control lock. The
 * policy's keyring lives until order_book_set_policy() returns with another one, or the book is
 * freed. */
_must_check_ int order_book_create(struct responder_view *view, pthread_mutex_t *control,
                                   const char *directory, unsigned workers,
                                   const struct order_policy *policy, struct order_book **ret_book,
                                   struct error *ret_error);
void order_book_free(struct order_book *book);
void order_book_set_policy(struct order_book *book, const struct order_policy *policy);

/* Loads and activates an order; one of the same id is replaced at the same instant. An order of a
 * person is kept before it is in force, and a lift of the same id is forgotten. One that the
 * configuration names and a person lifted is not activated (-ECANCELED); one whose end has passed
 * is not either (-ETIME), and the configuration's present one of that id ends. The caller clears
 * the result. */
_must_check_ int order_book_activate(struct order_book *book, const char *path, bool strict,
                                     enum order_source source, struct order_result *ret_result,
                                     struct error *ret_error);

/* The same with an order that was read from a policy zone, which it takes over in any case. One
 * that is in force from elsewhere under the same id stays, and the zone's is refused (-EEXIST):
 * neither does a zone overrule a person, nor another zone. */
_must_check_ int order_book_activate_read(struct order_book *book, struct order *order,
                                          struct order_result *ret_result, struct error *ret_error);

/* Takes the orders that came from the policy zone `path` out of force, but for those of `kept`
 * (NULL: none), and calls `report` for each. Waits for no activation. */
void order_book_drop_of_zone(struct order_book *book, const char *path,
                             const struct policy_orders *kept,
                             void (*report)(const struct order *order));

/* Takes an order out of force, for good. The caller clears the result, also when the order is
 * lifted and only the record of it failed: then result.active is set. */
_must_check_ int order_book_lift(struct order_book *book, const char *id,
                                 struct order_result *ret_result, struct error *ret_error);

/* Activates what was kept; ended and broken ones are told to `report` and passed over. */
void order_book_restore(struct order_book *book, void (*report)(const struct error *error));

/* Takes orders that the configuration named before and no longer does out of force, and calls
 * `report` for each; `paths` are those it names now. */
void order_book_drop_unnamed(struct order_book *book, char *const *paths, size_t path_count,
                             void (*report)(const struct order *order));

/* Puts ended orders away, and calls `report` for each; the answer path has let go of them before by
 * itself. Clears the marks of orders that are in force no more. */
void order_book_tick(struct order_book *book, int64_t now,
                     void (*report)(const struct order *order));

/* Has `changed` (NULL: nobody) called whenever orders come into force or go out of it. It holds the
 * control lock then, and returns at once. */
void order_book_watch(struct order_book *book, void (*changed)(void *context), void *context);

/* ---- For those who publish zones ---- */

/* The marks lock. */
void order_book_marks_lock(struct order_book *book);
void order_book_marks_unlock(struct order_book *book);

/* Sets the marks of all orders in a generation that is to be served beside those of `zones`. The
 * caller holds the marks lock and not the control lock. Returns 0 or -ENOMEM. */
_must_check_ int order_book_mark(struct order_book *book, const struct zone_set *zones,
                                 struct zone_data *data);

/* Counts anew which names the orders are in force for, after zones came or went. The caller holds
 * the marks lock and not the control lock. */
void order_book_recount(struct order_book *book);

/* ---- For those who tell ---- */

/* The caller holds the control lock, and looks at an entry only as long. */
size_t order_book_count(const struct order_book *book);
const struct order_entry *order_book_at(const struct order_book *book, size_t index);

/* Copies of all entries, each with a reference of its own, for who looks at them for longer than a
 * lock may be held. Takes the control lock. */
_must_check_ int order_book_snapshot(struct order_book *book, struct order_entry **ret_entries,
                                     size_t *ret_count);
void order_entries_free(struct order_entry *entries, size_t count);
