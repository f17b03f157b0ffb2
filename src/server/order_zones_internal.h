/* Shared by order_zones.c, which reads policy zones, and order_catalog.c, which keeps the members
 * of the catalog. */
#pragma once

#include <pthread.h>
#include <stdint.h>

#include "order/policy_read.h"
#include "server/order_zones.h"
#include "server/server_internal.h"
#include "zone/catalog.h"

/* A policy zone. Made and freed only by the thread, or while it is stopped. */
struct policy_source {
    struct zone *zone;
    uint8_t apex[NAME_SIZE_MAX];
    char path[POLICY_PATH_MAX]; /* of its orders */
    int64_t starts;             /* of orders whose zone does not say */
    bool is_endless;            /* so were those that were read last */
    bool changed;               /* under the lock: to be read */
    bool waits;                 /* under the lock: an order of its id came from elsewhere before */

    /* Of a member of the catalog: its label there, "" of a zone of the configuration. */
    uint8_t label[64];
    bool is_gone;                  /* under the lock: the catalog lists it no more */
    struct config_zone configs[2]; /* what stands for its configuration: one in use, RCU */
    unsigned config;
};

struct order_zones {
    struct server *server;
    pthread_mutex_t lock; /* taken before the control lock; held for moments */
    pthread_cond_t work;
    pthread_t thread;
    bool is_running, stops;
    bool is_busy; /* with what it has taken on */
    bool catalog_changed;
    const struct config_zone *catalog; /* NULL: none */
    struct policy_source **sources; /* with one slot for each that can be added without growing */
    size_t count, room;
};

static inline bool source_is_member(const struct policy_source *source)
{
    return source->label[0] != 0;
}

/* The source's room is made by the caller. */
_must_check_ int source_create(struct zone *zone, struct policy_source **ret_source);
void source_free(struct policy_source *source);

/* Room for `count` more sources. Returns 0 or -ENOMEM. */
_must_check_ int sources_reserve(struct order_zones *zones, size_t count);

/* Takes its orders out of force. */
void source_lift(struct order_zones *zones, const struct policy_source *source);

/* After orders of a zone are out of force: another zone may have one of the same id. The lock is
 * held. */
void sources_wake(struct order_zones *zones);

/* Opens a view of what a zone serves, with what it has for an order's metadata (NULL: not wanted).
 * Returns 0, -ENOMEM, or -ESTALE when it has no data, or has expired. */
_must_check_ int order_zones_view(struct zone *zone, struct zone_view **ret_view,
                                  const struct name_entry **ret_metadata);

/* Makes the sources what the catalog lists. `loads`: new members begin with their snapshots. */
void order_catalog_apply(struct order_zones *zones, bool loads);

/* Points the members to the origins and keys of the new catalog, or gives them up. */
void order_catalog_configure(struct order_zones *zones, const struct config *config);
