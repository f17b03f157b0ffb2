/* The orders of a running server: activated, marked in the zones, kept over a restart, ended,
 * lifted.
 *
 * Everything here runs under the server's control lock; answers go on meanwhile. What the answer
 * path sees is one pointer to an immutable overlay, swapped when all marks of a new order are set:
 * an order is in force for all of its names at once. Marks without a verdict say nothing, so that
 * lifting is the swap alone.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "order/order.h"
#include "order/overlay_set.h"
#include "server/responder.h"
#include "zone/zone.h"

/* Orders in force at once: a lookup of a listed name walks them, so that there must be an end. */
#define ORDERS_MAX 4096

struct order_entry {
    struct active_order *active;
    bool from_config; /* named in the configuration; else activated by a person and kept in the
                         state folder */
    bool ended;       /* its time is up: in no overlay any more */
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

/* `directory` holds the kept orders; it is made when missing. `control` is the lock that guards the
 * view and the zones' data. The policy's keyring lives until order_book_set_policy() returns with
 * another one, or the book is freed. */
_must_check_ int order_book_create(struct responder_view *view, pthread_mutex_t *control,
                                   const char *directory, unsigned workers,
                                   const struct order_policy *policy, struct order_book **ret_book,
                                   struct error *ret_error);
void order_book_free(struct order_book *book);
void order_book_set_policy(struct order_book *book, const struct order_policy *policy);

/* Loads and activates an order; one of the same id is replaced at the same instant. An order of a
 * person is kept before it is in force, and a lift of the same id is forgotten. One that the
 * configuration names and a person lifted is not activated (-ECANCELED). The caller clears the
 * result. */
_must_check_ int order_book_activate(struct order_book *book, const char *path, bool strict,
                                     bool from_config, struct order_result *ret_result,
                                     struct error *ret_error);

/* Takes an order out of force, for good. The caller clears the result, also when the order is
 * lifted and only the record of it failed: then result.active is set. */
_must_check_ int order_book_lift(struct order_book *book, const char *id,
                                 struct order_result *ret_result, struct error *ret_error);

/* Activates what was kept; ended and broken ones are told to `report` and passed over. */
void order_book_restore(struct order_book *book, void (*report)(const struct error *error));

/* Takes orders that the configuration named before and no longer does out of force; `paths` are
 * those it names now. */
void order_book_drop_unnamed(struct order_book *book, char *const *paths, size_t path_count);

/* Sets the marks of all orders in a generation that is not published yet. The caller
 * holds the control lock. Returns 0 or -ENOMEM. */
_must_check_ int order_book_mark(struct order_book *book, struct zone_data *data);

/* Puts ended orders away; calls `report` for each. The answer path has let go of them before by
 * itself. */
void order_book_tick(struct order_book *book, int64_t now,
                     void (*report)(const struct order *order));

/* The caller holds the control lock. */
size_t order_book_count(const struct order_book *book);
const struct order_entry *order_book_at(const struct order_book *book, size_t index);
