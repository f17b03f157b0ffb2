/* The zones that an order is rehearsed against: named by options, loaded side by side. */
#pragma once

#include <stddef.h>

#include "base/cleanup.h"
#include "zone/zone.h"
#include "zone/zone_loader.h"

struct rehearsed_zones {
    struct zone **zones;
    struct zone_load *loads; /* as many */
    size_t count, room;
    struct zone_set *set; /* after rehearsed_zones_load() */
    double took_s;
};

/* Adds a zone of an option's argument: "NAME=FILE", or "NAME=ADDR@PORT" where `transfers`. Returns
 * NULL, or what is wrong with it. `argument` must outlive the zones. */
const char *rehearsed_zones_add(struct rehearsed_zones *zones, const char *argument,
                                bool transfers);

/* Loads all. What is left out of a zone is told on standard error. */
_must_check_ int rehearsed_zones_load(struct rehearsed_zones *zones, struct error *ret_error);
void rehearsed_zones_clear(struct rehearsed_zones *zones);
