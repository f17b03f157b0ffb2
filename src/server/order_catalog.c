/* The members of the catalog of orders: zones that come and go while the server runs. */
#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/order_zones_internal.h"

/* The new state of the catalog, beside what there is. */
struct catalog_change {
    struct catalog catalog;
    struct policy_source **added;
    struct zone **added_zones, **removed_zones;
    size_t added_count, removed_count;
};

static int compare_zone(const void *apex, const void *member)
{
    return knot_dname_cmp(apex, ((const struct catalog_member *)member)->zone);
}

/* Whether the catalog still lists the source under the same label: another label means that the
 * member begins anew (RFC 9432, 5.4). */
static bool still_lists(const struct catalog *catalog, const struct policy_source *source)
{
    const struct catalog_member *member =
        catalog->count == 0 ? NULL
                            : bsearch(source->apex, catalog->members, catalog->count,
                                      sizeof(*member), compare_zone);
    return member != NULL &&
           memcmp(member->label, source->label, 1 + (size_t)member->label[0]) == 0;
}

static bool is_catalog(const struct order_zones *zones, const struct zone *zone)
{
    return zones->catalog != NULL && name_equal(zones->catalog->apex, zone->name.wire);
}

/* Ends the orders of members that the catalog lists no more. The lock is held. */
static void lift_unlisted(struct order_zones *zones, struct zone_data *data)
{
    struct catalog catalog;
    struct zone_view *view;
    struct error error;

    if (zone_view_open(data, &view) < 0)
        return; /* the thread tries again */
    int rc = catalog_read(view, ORDERS_MAX, &catalog, &error);
    zone_view_close(view);
    if (rc < 0)
        return;
    for (size_t i = 0; i < zones->count; i++) {
        struct policy_source *source = zones->sources[i];
        if (!source_is_member(source) || still_lists(&catalog, source))
            continue;
        source->is_gone = true;
        source_lift(zones, source);
    }
    catalog_clear(&catalog);
}

void order_zones_arrives(struct order_zones *zones, const struct zone *zone, struct zone_data *data)
{
    if (!atomic_load(&zone->transfer_only))
        return;
    pthread_mutex_lock(&zones->lock);
    if (is_catalog(zones, zone))
        lift_unlisted(zones, data);
    pthread_mutex_unlock(&zones->lock);
}

/* ---- Members ---- */

/* What a member is configured like: from the catalog's origins with its key, and given to whom the
 * catalog is given. */
static void configure_member(const struct order_zones *zones, struct policy_source *source)
{
    unsigned next = source->config ^ 1;
    struct config_zone *config = &source->configs[next];

    *config = zones->catalog != NULL ? *zones->catalog : (struct config_zone){0};
    config->kind = CONFIG_SECONDARY;
    config->name = source->zone->text;
    config->apex = source->zone->name.wire;
    config->use = CONFIG_POLICY;
    config->is_member = true;
    rcu_assign_pointer(source->zone->config, (void *)config);
    source->config = next;
}

static int create_member(const struct order_zones *zones, const struct catalog_member *member,
                         struct policy_source **ret_source)
{
    struct config_zone config = *zones->catalog;
    uint8_t apex[NAME_SIZE_MAX];
    struct zone *zone;

    memcpy(apex, member->zone, sizeof(apex));
    config.apex = apex;
    config.use = CONFIG_POLICY;
    int rc = server_zone_create(&config, &zone);
    if (rc < 0)
        return rc;
    rc = source_create(zone, ret_source);
    if (rc < 0) {
        server_zone_free(zone);
        return rc;
    }
    memcpy((*ret_source)->label, member->label, sizeof(member->label));
    configure_member(zones, *ret_source);
    return 0;
}

/* Whether a zone that is there already keeps a member out: one of its name is not the catalog's to
 * change (RFC 9432, 5.2), and from an ordinary one above it, it would take names away. The control
 * lock is held, since zones that others made may go. */
static bool is_kept_out(const struct order_zones *zones, const uint8_t *apex)
{
    knot_dname_txt_storage_t text;
    struct name name;

    const struct zone *holder = name_parse(&name, apex, NAME_SIZE_MAX) > 0
                                    ? zone_set_find(zones->server->view.zones, &name, 0)
                                    : NULL;
    bool is_same = holder != NULL && name_equal(holder->name.wire, apex);
    if (holder == NULL || (!is_same && atomic_load(&holder->transfer_only)))
        return false;
    (void)knot_dname_to_str(text, apex, sizeof(text));
    server_log(LOG_WARNING, "catalog %s: its member %s %s the zone %s, which stays as it is",
               zones->catalog->name, text, is_same ? "is" : "would cut names out of", holder->text);
    return true;
}

/* Whether there is a zone in the way of a new member. */
static bool is_taken(const struct order_zones *zones, const uint8_t *apex)
{
    for (size_t i = 0; i < zones->count; i++)
        if (source_is_member(zones->sources[i]) && name_equal(zones->sources[i]->apex, apex))
            return !zones->sources[i]->is_gone;
    pthread_mutex_lock(&zones->server->control);
    bool is_taken = is_kept_out(zones, apex);
    pthread_mutex_unlock(&zones->server->control);
    return is_taken;
}

/* ---- From one state to the next ---- */

static void change_clear(struct catalog_change *change)
{
    catalog_clear(&change->catalog);
    for (size_t i = 0; i < change->added_count; i++) {
        server_zone_free(change->added[i]->zone);
        source_free(change->added[i]);
    }
    free(change->added);
    free(change->added_zones);
    free(change->removed_zones);
}

/* Marks who goes and makes who comes. The lock is held. */
static int plan(struct order_zones *zones, struct catalog_change *change)
{
    const struct catalog *catalog = &change->catalog;

    change->added = calloc(catalog->count + 1, sizeof(struct policy_source *));
    change->added_zones = calloc(catalog->count + 1, sizeof(struct zone *));
    change->removed_zones = calloc(zones->count + 1, sizeof(struct zone *));
    if (change->added == NULL || change->added_zones == NULL || change->removed_zones == NULL ||
        sources_reserve(zones, catalog->count) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < zones->count; i++) {
        struct policy_source *source = zones->sources[i];
        if (!source_is_member(source))
            continue;
        source->is_gone |= !still_lists(catalog, source);
        if (source->is_gone)
            change->removed_zones[change->removed_count++] = source->zone;
    }
    for (size_t i = 0; i < catalog->count; i++) {
        if (is_taken(zones, catalog->members[i].zone))
            continue;
        struct policy_source *source;
        int rc = create_member(zones, &catalog->members[i], &source);
        if (rc < 0)
            return rc;
        change->added[change->added_count] = source;
        change->added_zones[change->added_count++] = source->zone;
    }
    return 0;
}

/* The zones are changed; now the list of sources. The lock is held. */
static void take_over(struct order_zones *zones, struct catalog_change *change)
{
    for (size_t i = zones->count; i-- > 0;) {
        if (!zones->sources[i]->is_gone)
            continue;
        source_free(zones->sources[i]);
        zones->sources[i] = zones->sources[--zones->count];
    }
    for (size_t i = 0; i < change->added_count; i++)
        zones->sources[zones->count++] = change->added[i];
    change->added_count = 0;
    sources_wake(zones);
}

static void lift_gone(struct order_zones *zones)
{
    for (size_t i = 0; i < zones->count; i++)
        if (zones->sources[i]->is_gone)
            source_lift(zones, zones->sources[i]);
}

/* Changes the zones, for which their refresher pauses. */
static int change_zones(struct order_zones *zones, struct catalog_change *change,
                        struct error *ret_error)
{
    struct server *server = zones->server;
    struct error error;

    if (zones->is_running)
        server_members_stop(server);
    int rc = server_zones_change(server, change->added_zones, change->added_count,
                                 change->removed_zones, change->removed_count);
    if (rc == 0) {
        server_log(LOG_INFO, "catalog: %zu policy zones more, %zu less", change->added_count,
                   change->removed_count);
        pthread_mutex_lock(&zones->lock);
        take_over(zones, change);
        pthread_mutex_unlock(&zones->lock);
    } else {
        error_set(ret_error, rc, "out of memory: members of the catalog are missing");
    }
    int start_rc = zones->is_running ? server_members_start(server, &error) : 0;
    if (rc == 0 && start_rc < 0)
        *ret_error = error;
    return rc < 0 ? rc : start_rc;
}

static int apply(struct order_zones *zones, struct catalog_change *change, bool loads,
                 struct error *ret_error)
{
    pthread_mutex_lock(&zones->lock);
    int rc = plan(zones, change);
    lift_gone(zones);
    pthread_mutex_unlock(&zones->lock);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory: members of the catalog are missing");
    size_t added_count = change->added_count;
    if (added_count + change->removed_count == 0)
        return 0;
    rc = change_zones(zones, change, ret_error);
    return rc == 0 && loads
               ? server_load_zones(zones->server, change->added_zones, added_count, ret_error)
               : rc;
}

/* What the catalog lists now. Without a catalog that is nothing. */
static int read_catalog(struct order_zones *zones, struct zone *zone, struct catalog *ret_catalog,
                        struct error *ret_error)
{
    struct zone_view *view;

    if (zones->catalog == NULL)
        return 0;
    if (zone == NULL)
        return -ESTALE;
    int rc = order_zones_view(zone, &view, NULL);
    if (rc == -ESTALE)
        return rc; /* not here yet, or expired: what it said last counts */
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    rc = catalog_read(view, ORDERS_MAX, ret_catalog, ret_error);
    zone_view_close(view);
    return rc;
}

void order_catalog_apply(struct order_zones *zones, bool loads)
{
    struct catalog_change change = {0};
    struct error error;
    struct zone *zone =
        zones->catalog != NULL ? server_zone_find(zones->server, zones->catalog->apex) : NULL;

    int rc = read_catalog(zones, zone, &change.catalog, &error);
    if (rc == 0)
        rc = apply(zones, &change, loads, &error);
    if (rc < 0 && rc != -ESTALE && zone != NULL) {
        server_log(LOG_ERR, "zone %s: %s", zone->text, error.text);
        zone_last_error_set(zone, error.text);
    }
    change_clear(&change);
}

/* ---- Configuration ---- */

/* A zone of the configuration has taken a member's place; it may be the very one. */
static bool is_overtaken(const struct order_zones *zones, const struct config *config,
                         const struct policy_source *source)
{
    const struct server *server = zones->server;

    for (size_t i = config->zone_count; i < server->zone_count; i++)
        if (server->zones[i] == source->zone)
            return false;
    return true;
}

void order_catalog_configure(struct order_zones *zones, const struct config *config)
{
    const struct config_zone *catalog = config->order_catalog;
    bool is_same = catalog != NULL && zones->catalog != NULL &&
                   name_equal(catalog->apex, zones->catalog->apex);

    for (size_t i = 0; i < zones->count; i++) {
        struct policy_source *source = zones->sources[i];
        if (!is_overtaken(zones, config, source))
            continue;
        source->label[0] = 0; /* one of the configuration, which may or may not use it for orders */
        source->is_gone = false;
    }
    zones->catalog = catalog;
    for (size_t i = 0; i < zones->count; i++) {
        struct policy_source *source = zones->sources[i];
        if (!source_is_member(source))
            continue;
        source->is_gone |= !is_same;
        if (source->is_gone)
            source_lift(zones, source);
        configure_member(zones, source);
    }
    synchronize_rcu(); /* now nobody looks at the old configuration of a member */
    zones->catalog_changed = true;
}
