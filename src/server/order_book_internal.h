/* The inside of the order book, shared by what keeps orders (order_book.c) and what puts them in
 * force (order_activate.c). Unless said otherwise, the caller holds the control lock. */
#pragma once

#include <limits.h>
#include <time.h>

#include "server/order_book.h"

struct order_book {
    struct responder_view *view;
    pthread_mutex_t *control; /* guards the entries, the view, what is cleared, the kept files */
    pthread_mutex_t marks;    /* see the header; taken before `control` */
    pthread_mutex_t loading;  /* guards the policy while an order is checked against it */
    char *directory;
    unsigned workers;
    struct order_policy policy;
    void (*changed)(void *context); /* NULL: nobody watches */
    void *changed_context;
    struct order_entry *entries;
    size_t count, room;

    /* Orders that are in force no more and whose marks are still set. */
    struct active_order **gone;
    size_t gone_count, gone_room;
};

static inline const struct order *order_entry_order(const struct order_entry *entry)
{
    return active_order_get(entry->active);
}

/* NULL: none has that id. */
struct order_entry *order_book_find(const struct order_book *book, const char *id);

/* Makes the overlay of the orders that have not ended, with `added` (NULL: none) in the place of
 * the entry `replaced` (NULL: of none). NULL is the overlay without orders. An added order's index
 * of names is merged with those of others where that is due (active_orders_join()). */
_must_check_ int order_book_overlay(const struct order_book *book, struct active_order *added,
                                    const struct order_entry *replaced,
                                    struct overlay_set **ret_set);

/* From here on answers are by the new overlay. */
void order_book_publish(struct order_book *book, struct overlay_set *set);

/* Publishes an overlay without the entry. */
_must_check_ int order_book_publish_without(struct order_book *book,
                                            const struct order_entry *entry);

/* Takes over a reference to an order that is in no overlay any more: its marks go at the
 * next tick. */
void order_book_put_away(struct order_book *book, struct active_order *active);

/* Takes an entry off the list; it is in no overlay any more. */
void order_book_remove(struct order_book *book, struct order_entry *entry);

/* The file that remembers that an order of the configuration was lifted. Any thread. */
void order_book_lifted_path(const struct order_book *book, const char *id, char ret_path[PATH_MAX]);

/* Takes a reference to the order. */
void order_result_fill(struct order_result *result, struct active_order *active, uint64_t refused,
                       const struct timespec *start);
