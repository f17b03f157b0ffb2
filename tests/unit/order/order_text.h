/* Orders from texts, for the tests of this folder. */
#pragma once

#include <string.h>

#include "order/order.h"

/* The least that an order needs, but for its lists. */
#define ORDER_HEAD                   \
    "id: t-1\n"                      \
    "kind: court\n"                  \
    "authority: \"A court, 1:23\"\n" \
    "starts: 2014-06-30T12:00:00Z\n" \
    "ends: 2014-07-14T12:00:00Z\n"   \
    "action: nxdomain\n"

static inline int order_from_text(const char *text, const struct order_policy *policy,
                                  struct order **ret_order, struct error *ret_error)
{
    static const struct order_policy unverified = {.unverified = true};

    return order_load_text("t.yaml", text, strlen(text), policy != NULL ? policy : &unverified,
                           ret_order, ret_error);
}
