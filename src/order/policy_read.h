/* A policy zone (draft-vixie-dnsop-dns-rpz) as orders.
 *
 * One that was made from an order says so in its metadata and becomes that order again, equal in
 * its canonical form. One made by others becomes an order for each answer that it gives. What each
 * record means, and what is refused by count and name, is defined in tamis-order(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"
#include "zone/zone_view.h"

/* The end of an order of which the zone does not say when it ends: 9999-12-31T23:59:59Z. It is in
 * force as long as its zone is fresh, which is the caller's to enforce. */
#define POLICY_ENDS_NEVER INT64_C(253402300799)

/* Different answers that a zone made by others can give: each is an order of its own. */
#define POLICY_ORDERS_MAX 32

struct policy_orders {
    struct order *orders[POLICY_ORDERS_MAX]; /* whoever takes one over leaves NULL */
    char ids[POLICY_ORDERS_MAX][64];         /* of these orders, also of those taken over */
    size_t count;
    bool has_metadata; /* then it is one order, with an end of its own */
};
void policy_orders_clear(struct policy_orders *orders);

/* What errors and findings call the zone, and the path of its orders: "policy zone NAME". */
#define POLICY_PATH_MAX 1040
void policy_zone_path(const uint8_t *apex, char ret_path[POLICY_PATH_MAX]);

/* What the zone has at the name of an order's metadata; NULL: nothing. Asked where the view for
 * policy_zone_read() is opened, under the same lock: then it lives until the view is closed. */
const struct name_entry *policy_zone_metadata(const struct zone_data *data);

/* Reads what a view, of which nothing was walked yet, shows. `starts` is when orders start
 * whose zone does not say: the same for all generations of a zone, so that an order that has not
 * changed is equal to its earlier self. Costs a pass over the names and their sorting.
 *
 * A broken record becomes a finding of the (first) order; broken metadata refuses the whole with
 * -EINVAL. The orders are not verified: signature_check() is the caller's. */
_must_check_ int policy_zone_read(struct zone_view *view, const struct name_entry *metadata,
                                  int64_t starts, struct policy_orders *ret_orders,
                                  struct error *ret_error);
