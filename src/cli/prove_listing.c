#include "cli/prove_listing.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum listed_set { LISTED_NAMES, LISTED_SUBTREES, LISTED_EXEMPT, LISTED_SETS };

struct listed_order {
    struct order *order;
    uint8_t *asked[LISTED_SETS]; /* a bit for each name */
};

struct listing {
    struct listed_order *orders; /* in order of precedence */
    size_t count;
    size_t walk_order, walk_set, walk_index; /* of listing_next() */
};

static const struct order_names *order_set(const struct order *order, enum listed_set set)
{
    return set == LISTED_NAMES      ? &order->names
           : set == LISTED_SUBTREES ? &order->subtrees
                                    : &order->exempt;
}

static void listed_order_clear(struct listed_order *listed)
{
    order_free(listed->order);
    for (size_t set = 0; set < LISTED_SETS; set++)
        free(listed->asked[set]);
}

int listing_create(struct listing **ret_listing)
{
    struct listing *listing = calloc(1, sizeof(*listing));
    if (listing == NULL)
        return -ENOMEM;
    *ret_listing = listing;
    return 0;
}

void listing_free(struct listing *listing)
{
    if (listing == NULL)
        return;
    for (size_t i = 0; i < listing->count; i++)
        listed_order_clear(&listing->orders[i]);
    free(listing->orders);
    free(listing);
}

static bool order_precedes(const struct order *one, const struct order *other)
{
    if (one->starts != other->starts)
        return one->starts < other->starts;
    return strcmp(one->id, other->id) < 0;
}

int listing_add(struct listing *listing, struct order *order)
{
    struct listed_order added = {.order = order};
    struct listed_order *orders =
        realloc(listing->orders, (listing->count + 1) * sizeof(*listing->orders));
    if (orders == NULL)
        goto no_memory;
    listing->orders = orders;
    for (size_t set = 0; set < LISTED_SETS; set++) {
        added.asked[set] = calloc(order_set(order, set)->count / 8 + 1, 1);
        if (added.asked[set] == NULL)
            goto no_memory;
    }

    size_t position = listing->count;
    while (position > 0 && order_precedes(order, orders[position - 1].order))
        position--;
    memmove(orders + position + 1, orders + position,
            (listing->count - position) * sizeof(*orders));
    orders[position] = added;
    listing->count++;
    return 0;

no_memory:
    listed_order_clear(&added);
    return -ENOMEM;
}

int listing_load(struct listing *listing, const char *path, const struct order_policy *policy,
                 struct error *ret_error)
{
    struct order *order;
    int rc = order_load(path, policy, &order, ret_error);
    if (rc < 0)
        return rc;

    int64_t now = time(NULL);
    bool early = now < order->starts, late = now >= order->ends;
    rc = listing_add(listing, order);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    if (early || late)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "the order %s: without --order, the proof is that no name is blocked",
                            early ? "has not started yet" : "has ended");
    return 0;
}

size_t listing_order_count(const struct listing *listing)
{
    return listing->count;
}

const struct order *listing_order(const struct listing *listing, size_t index)
{
    return listing->orders[index].order;
}

size_t listing_size(const struct listing *listing)
{
    size_t size = 0;
    for (size_t i = 0; i < listing->count; i++)
        for (size_t set = 0; set < LISTED_SETS; set++)
            size += order_set(listing->orders[i].order, set)->count;
    return size;
}

static bool names_hold(const struct order_names *names, const uint8_t *name)
{
    return order_names_find(names, name) != SIZE_MAX;
}

static bool order_lists(const struct order *order, const uint8_t *name)
{
    if (names_hold(&order->names, name))
        return true;
    if (order->subtrees.count == 0)
        return false;
    for (const uint8_t *suffix = name;; suffix += 1 + suffix[0]) {
        if (names_hold(&order->subtrees, suffix))
            return true;
        if (suffix[0] == 0)
            return false;
    }
}

const struct order *listing_find(const struct listing *listing, const uint8_t *name)
{
    const struct order *found = NULL;
    for (size_t i = 0; i < listing->count; i++) {
        const struct order *order = listing->orders[i].order;
        if (order->action == VERDICT_OBSERVE)
            continue;
        if (names_hold(&order->exempt, name)) /* an exemption wins over every order */
            return NULL;
        if (found == NULL && order_lists(order, name))
            found = order;
    }
    return found;
}

void listing_mark(struct listing *listing, const uint8_t *name)
{
    for (size_t i = 0; i < listing->count; i++)
        for (size_t set = 0; set < LISTED_SETS; set++) {
            const struct order_names *names = order_set(listing->orders[i].order, set);
            size_t index = order_names_find(names, name);
            if (index != SIZE_MAX)
                listing->orders[i].asked[set][index / 8] |= (uint8_t)(1 << index % 8);
        }
}

const uint8_t *listing_next(struct listing *listing)
{
    for (; listing->walk_order < listing->count; listing->walk_order++, listing->walk_set = 0) {
        struct listed_order *listed = &listing->orders[listing->walk_order];
        for (; listing->walk_set < LISTED_SETS; listing->walk_set++, listing->walk_index = 0) {
            const struct order_names *names = order_set(listed->order, listing->walk_set);
            while (listing->walk_index < names->count) {
                size_t index = listing->walk_index++;
                if (listed->asked[listing->walk_set][index / 8] & 1 << index % 8)
                    continue;
                const uint8_t *name = order_names_at(names, index);
                listing_mark(listing, name);
                return name;
            }
        }
    }
    return NULL;
}
