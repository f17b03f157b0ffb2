/* The desk as the hidden primary of its orders: a policy zone for each order in force, one for the
 * names that are exempt, and the catalog (RFC 9432) that lists them. Servers get them by AXFR with
 * TSIG and are told by NOTIFY.
 *
 * What is published follows from the tables alone, serials included: after a crash the same is
 * served again. An order that ends leaves the catalog before anything else is done, whatever zone
 * is being made meanwhile. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

struct desk;
struct zone_publisher;

/* The names' zone and order id: no order may have it. */
#define EXEMPTIONS_ID "desk-exemptions"

_must_check_ int zone_publisher_start(struct desk *desk, struct zone_publisher **ret_publisher,
                                      struct error *ret_error);
/* NULL is ignored. */
void zone_publisher_stop(struct zone_publisher *publisher);

/* Has it look at the tables at once. Any thread. */
void zone_publisher_wake(struct zone_publisher *publisher);

struct zone_publisher_figures {
    uint64_t zones, transfers, refused, notifies, unanswered;
};
void zone_publisher_figures(struct zone_publisher *publisher,
                            struct zone_publisher_figures *ret_figures);
