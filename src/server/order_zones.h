/* Orders that arrive as policy zones (order/policy_read.h), and the catalog (zone/catalog.h) that
 * lists such zones.
 *
 * Each new generation of a policy zone is read and put in force by a thread of its own, since a
 * list of millions of names takes seconds; generations that come meanwhile are read once. What a
 * catalog lists becomes secondary zones of the catalog's origins, with a refresher of their own, so
 * that they come and go beside all other zones. What it lists no more is out of force before a new
 * generation of the catalog is published, and as soon as a change in place is: that waits for no
 * reading and no activation.
 *
 * An order with an end stays in force until then also when its zone expires, breaks or cannot be
 * reached. One whose zone does not say an end ends when its zone expires.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/zone.h"

struct config;
struct order_zones;
struct server;

/* For the zones of the running configuration. */
_must_check_ int order_zones_create(struct server *server, struct order_zones **ret_zones,
                                    struct error *ret_error);

/* Stopped before. NULL is fine. */
void order_zones_free(struct order_zones *zones);

/* Puts in force what the zones hold already, in the calling thread: before the first answer.
 * Members of a catalog that is held begin with their snapshots. */
void order_zones_load(struct order_zones *zones);

/* Starts the thread and keeps the members fresh; stops both. Between the two, a zone that changes
 * is read after the next start. Stopping waits for what is being read. NULL is fine for stopping.
 */
_must_check_ int order_zones_start(struct order_zones *zones, struct error *ret_error);
void order_zones_stop(struct order_zones *zones);

/* Takes a new configuration over, whose zones are published, while stopped. Orders of zones that it
 * does not name any more are out of force. Before it returns nothing of the old configuration may
 * be freed. */
_must_check_ int order_zones_configure(struct order_zones *zones, const struct config *config,
                                       struct error *ret_error);

/* Whether everything that has arrived is in force, and each member was tried once. Any thread. */
bool order_zones_are_settled(struct order_zones *zones);

/* ---- For those who publish zones; any thread that is no RCU reader, without the control lock ----
 */

/* Of a generation that is about to be published, or whose `writer` is held: orders that a catalog
 * lists no more end. */
void order_zones_arrives(struct order_zones *zones, const struct zone *zone,
                         struct zone_data *data);

/* The zone has a new generation, or has expired. */
void order_zones_changed(struct order_zones *zones, const struct zone *zone);
