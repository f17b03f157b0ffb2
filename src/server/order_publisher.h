/* The orders in force as zones of this server, so that others follow them by transfer: a policy
 * zone for each, and a catalog zone (RFC 9432) that lists them (orders.publish of tamisd.conf(5)).
 *
 * A thread makes the zones, some time after the orders: an order that ends or is lifted leaves the
 * catalog first, before anything that takes long; one that is activated comes into it when its zone
 * is there. Orders that came as zones themselves are left to their own catalog.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct config;
struct order_publisher;
struct server;

/* For the running configuration, which may publish nothing. */
_must_check_ int order_publisher_create(struct server *server,
                                        struct order_publisher **ret_publisher,
                                        struct error *ret_error);

/* Stopped before. NULL is fine. */
void order_publisher_free(struct order_publisher *publisher);

/* Starts and stops the thread; stopping waits for the zone that is being made. */
_must_check_ int order_publisher_start(struct order_publisher *publisher, struct error *ret_error);
void order_publisher_stop(struct order_publisher *publisher);

/* Takes a new configuration over, whose zones are published, while stopped. Before it returns
 * nothing of the old one may be freed. */
void order_publisher_configure(struct order_publisher *publisher, const struct config *config);

/* Whether all orders in force are published. Any thread. */
bool order_publisher_is_settled(struct order_publisher *publisher);
