#include "sink/listed_names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"

struct listed_names {
    size_t count;
    struct order *orders[];
};

int listed_names_load(char *const *paths, size_t count, struct listed_names **ret_names,
                      struct error *ret_error)
{
    const struct order_policy policy = {.unverified = true};
    _cleanup_(listed_names_freep) struct listed_names *names =
        calloc(1, sizeof(*names) + count * sizeof(names->orders[0]));
    if (names == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the orders");
    for (size_t i = 0; i < count; i++) {
        int rc = order_load(paths[i], &policy, &names->orders[i], ret_error);
        if (rc < 0)
            return rc;
        names->count++;
    }
    *ret_names = TAKE(names);
    return 0;
}

void listed_names_free(struct listed_names *names)
{
    if (names == NULL)
        return;
    for (size_t i = 0; i < names->count; i++)
        order_free(names->orders[i]);
    free(names);
}

/* Whether the name or one above it is in the list. */
static bool is_within(const struct order_names *list, const uint8_t *wire)
{
    if (list->count == 0)
        return false;
    for (;; wire += wire[0] + 1) {
        if (order_names_find(list, wire) != SIZE_MAX)
            return true;
        if (wire[0] == 0)
            return false;
    }
}

const struct order *listed_names_find(const struct listed_names *names, const uint8_t *wire)
{
    for (size_t i = 0; i < names->count; i++) {
        const struct order *order = names->orders[i];
        if (order_names_find(&order->exempt, wire) != SIZE_MAX)
            continue;
        if (order_names_find(&order->names, wire) != SIZE_MAX || is_within(&order->subtrees, wire))
            return order;
    }
    return NULL;
}

static bool leads_to(const struct verdict *verdict, const struct in6_addr *address)
{
    if (IN6_IS_ADDR_V4MAPPED(address)) {
        for (size_t i = 0; i < verdict->a_count; i++)
            if (memcmp(verdict->a[i], address->s6_addr + 12, 4) == 0)
                return true;
        return false;
    }
    for (size_t i = 0; i < verdict->aaaa_count; i++)
        if (memcmp(verdict->aaaa[i], address, 16) == 0)
            return true;
    return false;
}

const struct order *listed_names_at(const struct listed_names *names,
                                    const struct in6_addr *address)
{
    const struct order *found = NULL;
    for (size_t i = 0; i < names->count; i++) {
        if (!leads_to(&names->orders[i]->verdict, address))
            continue;
        if (found != NULL)
            return NULL;
        found = names->orders[i];
    }
    return found;
}

const uint8_t *listed_names_only(const struct order *order)
{
    return order->names.count == 1 && order->subtrees.count == 0 ? order_names_at(&order->names, 0)
                                                                 : NULL;
}
