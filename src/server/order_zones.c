#include "server/order_zones_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rcu.h"
#include "server/log.h"

/* ---- Sources ---- */

int source_create(struct zone *zone, struct policy_source **ret_source)
{
    struct policy_source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return -ENOMEM;
    source->zone = zone;
    source->starts = time(NULL);
    source->changed = true;
    memcpy(source->apex, zone->name.wire, zone->name.size);
    policy_zone_path(source->apex, source->path);
    *ret_source = source;
    return 0;
}

void source_free(struct policy_source *source)
{
    free(source);
}

int sources_reserve(struct order_zones *zones, size_t count)
{
    if (zones->count + count <= zones->room)
        return 0;
    size_t room = (zones->count + count) * 2;
    struct policy_source **sources =
        reallocarray(zones->sources, room, sizeof(struct policy_source *));
    if (sources == NULL)
        return -ENOMEM;
    zones->sources = sources;
    zones->room = room;
    return 0;
}

static void report_dropped(const struct order *order)
{
    server_log(LOG_INFO, "order %s: %s holds it no more: out of force", order->id, order->path);
}

void source_lift(struct order_zones *zones, const struct policy_source *source)
{
    order_book_drop_of_zone(zones->server->book, source->path, NULL, report_dropped);
}

void sources_wake(struct order_zones *zones)
{
    for (size_t i = 0; i < zones->count; i++) {
        zones->sources[i]->changed |= zones->sources[i]->waits;
        zones->sources[i]->waits = false;
    }
    pthread_cond_signal(&zones->work);
}

int order_zones_view(struct zone *zone, struct zone_view **ret_view,
                     const struct name_entry **ret_metadata)
{
    pthread_mutex_lock(&zone->writer);
    bool has_data = zone->data->apex_entry != NULL && atomic_load(&zone->status) == ZONE_SERVING;
    int rc = has_data ? zone_view_open(zone->data, ret_view) : -ESTALE;
    if (rc == 0 && ret_metadata != NULL)
        *ret_metadata = policy_zone_metadata(zone->data);
    pthread_mutex_unlock(&zone->writer);
    return rc;
}

/* ---- From a generation to orders in force ---- */

static void log_problem(struct zone *zone, const struct error *error)
{
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    bool is_expected = error->code == -ECANCELED || error->code == -ETIME;
    server_log(is_expected ? LOG_INFO : LOG_ERR, "%s", error_format(error, text, sizeof(text)));
    zone_last_error_set(zone, is_expected ? "" : error->text);
}

static void log_active(const struct order_result *result)
{
    if (result->unchanged)
        return;
    server_log_order_findings(result);
    server_log(LOG_INFO, "order %s: active, %llu names marked, %llu refused, in %.1f ms",
               order_result_order(result)->id, (unsigned long long)result->marked,
               (unsigned long long)result->refused, result->took_ms);
}

/* Puts one in force. `ret_waits` is set when one of its id is in force that came from elsewhere. */
static int activate_one(struct order_zones *zones, struct policy_source *source,
                        struct order *order, bool *ret_waits)
{
    struct order_result result;
    struct error error;

    int rc = order_book_activate_read(zones->server->book, order, &result, &error);
    if (rc < 0) {
        *ret_waits |= rc == -EEXIST;
        log_problem(source->zone, &error);
        return rc;
    }
    *ret_waits |= strcmp(order_result_order(&result)->path, source->path) != 0;
    log_active(&result);
    order_result_clear(&result);
    return 0;
}

/* Puts each in force, then takes those out that the zone no more holds or that have ended. */
static void activate(struct order_zones *zones, struct policy_source *source,
                     struct policy_orders *orders)
{
    bool waits = false;

    for (size_t i = 0; i < orders->count; i++)
        if (activate_one(zones, source, TAKE(orders->orders[i]), &waits) == -ETIME)
            orders->ids[i][0] = '\0'; /* what it was before is not kept either */
    order_book_drop_of_zone(zones->server->book, source->path, orders, report_dropped);
    pthread_mutex_lock(&zones->lock);
    source->waits = waits;
    pthread_mutex_unlock(&zones->lock);
}

static void read_source(struct order_zones *zones, struct policy_source *source)
{
    struct zone_view *view;
    const struct name_entry *metadata;
    struct error error;

    int rc = order_zones_view(source->zone, &view, &metadata);
    if (rc == -ESTALE) {
        if (source->is_endless)
            source_lift(zones, source);
        return;
    }
    struct policy_orders orders = {0};
    if (rc == 0) {
        rc = policy_zone_read(view, metadata, source->starts, &orders, &error);
        zone_view_close(view);
    } else {
        error_set_at(&error, rc, source->path, 0, "out of memory");
    }
    if (rc < 0) {
        log_problem(source->zone, &error);
        return;
    }
    source->is_endless = !orders.has_metadata;
    activate(zones, source, &orders);
    policy_orders_clear(&orders);

    /* The catalog may have let go of it meanwhile, and found the order before not in force. */
    pthread_mutex_lock(&zones->lock);
    bool is_gone = source->is_gone;
    pthread_mutex_unlock(&zones->lock);
    if (is_gone)
        source_lift(zones, source);
}

/* Does one thing that is to be done; false: there is none. The lock is held, and left meanwhile. */
static bool do_next(struct order_zones *zones, bool loads)
{
    struct policy_source *source = NULL;

    bool catalog = zones->catalog_changed;
    zones->catalog_changed = false;
    for (size_t i = 0; !catalog && i < zones->count && source == NULL; i++)
        if (zones->sources[i]->changed)
            source = zones->sources[i];
    if (!catalog && source == NULL)
        return false;
    if (source != NULL)
        source->changed = false;
    zones->is_busy = true;
    pthread_mutex_unlock(&zones->lock);
    if (catalog)
        order_catalog_apply(zones, loads);
    else
        read_source(zones, source);
    pthread_mutex_lock(&zones->lock);
    zones->is_busy = false;
    return true;
}

static void *run(void *argument)
{
    struct order_zones *zones = argument;

    pthread_setname_np(pthread_self(), "order zones");
    pthread_mutex_lock(&zones->lock);
    while (!zones->stops)
        if (!do_next(zones, false) && !zones->stops)
            pthread_cond_wait(&zones->work, &zones->lock);
    pthread_mutex_unlock(&zones->lock);
    return NULL;
}

/* ---- Start and stop ---- */

int order_zones_create(struct server *server, struct order_zones **ret_zones,
                       struct error *ret_error)
{
    struct order_zones *zones = calloc(1, sizeof(*zones));
    if (zones == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    zones->server = server;
    pthread_mutex_init(&zones->lock, NULL);
    pthread_cond_init(&zones->work, NULL);
    int rc = order_zones_configure(zones, server->config, ret_error);
    if (rc < 0) {
        order_zones_free(zones);
        return rc;
    }
    *ret_zones = zones;
    return 0;
}

void order_zones_free(struct order_zones *zones)
{
    if (zones == NULL)
        return;
    for (size_t i = 0; i < zones->count; i++)
        source_free(zones->sources[i]);
    free(zones->sources);
    pthread_cond_destroy(&zones->work);
    pthread_mutex_destroy(&zones->lock);
    free(zones);
}

void order_zones_load(struct order_zones *zones)
{
    pthread_mutex_lock(&zones->lock);
    while (do_next(zones, true))
        ;
    pthread_mutex_unlock(&zones->lock);
}

int order_zones_start(struct order_zones *zones, struct error *ret_error)
{
    int rc = server_members_start(zones->server, ret_error);
    if (rc < 0)
        return rc;
    zones->stops = false;
    zones->is_running = true;
    rc = -pthread_create(&zones->thread, NULL, run, zones);
    if (rc < 0) {
        zones->is_running = false;
        return error_set(ret_error, rc, "cannot start the thread that reads policy zones: %s",
                         strerror(-rc));
    }
    return 0;
}

void order_zones_stop(struct order_zones *zones)
{
    if (zones == NULL)
        return;
    if (zones->is_running) {
        pthread_mutex_lock(&zones->lock);
        zones->stops = true;
        pthread_cond_signal(&zones->work);
        pthread_mutex_unlock(&zones->lock);
        pthread_join(zones->thread, NULL);
        zones->is_running = false;
    }
    server_members_stop(zones->server);
}

/* ---- Configuration ---- */

static struct policy_source *configured_source(const struct order_zones *zones, const char *path)
{
    for (size_t i = 0; i < zones->count; i++)
        if (!source_is_member(zones->sources[i]) && strcmp(zones->sources[i]->path, path) == 0)
            return zones->sources[i];
    return NULL;
}

/* Points the source of a zone that the configuration names to the zone, or makes one. */
static int configure_zone(struct order_zones *zones, struct zone *zone)
{
    char path[POLICY_PATH_MAX];
    policy_zone_path(zone->name.wire, path);
    struct policy_source *source = configured_source(zones, path);
    if (source != NULL) {
        source->zone = zone;
        return 0;
    }
    if (sources_reserve(zones, 1) < 0 || source_create(zone, &source) < 0)
        return -ENOMEM;
    zones->sources[zones->count++] = source;
    return 0;
}

static bool is_named(const struct order_zones *zones, const struct config *config,
                     const struct policy_source *source)
{
    for (size_t i = 0; i < config->zone_count; i++)
        if (config->zones[i].use == CONFIG_POLICY && zones->server->zones[i] == source->zone)
            return true;
    return false;
}

static void drop_unnamed(struct order_zones *zones, const struct config *config)
{
    for (size_t i = zones->count; i-- > 0;) {
        struct policy_source *source = zones->sources[i];
        if (source_is_member(source) || is_named(zones, config, source))
            continue;
        source_lift(zones, source);
        source_free(source);
        zones->sources[i] = zones->sources[--zones->count];
    }
}

int order_zones_configure(struct order_zones *zones, const struct config *config,
                          struct error *ret_error)
{
    int rc = 0;

    pthread_mutex_lock(&zones->lock);
    order_catalog_configure(zones, config);
    for (size_t i = 0; i < config->zone_count; i++) {
        struct zone *zone = zones->server->zones[i]; /* in the order of the configuration */
        atomic_store(&zone->transfer_only, config->zones[i].use != CONFIG_ORDINARY);
        if (config->zones[i].use == CONFIG_POLICY && configure_zone(zones, zone) < 0)
            rc = -ENOMEM;
    }
    drop_unnamed(zones, config);
    for (size_t i = 0; i < zones->count; i++)
        zones->sources[i]->changed = true; /* the keyring may be another one */
    pthread_mutex_unlock(&zones->lock);
    /* Members without a catalog have no origins that a refresher could ask. */
    if (config->order_catalog == NULL)
        order_catalog_apply(zones, false);
    return rc < 0 ? error_set(ret_error, rc, "out of memory: some policy zones are not in force")
                  : 0;
}

/* ---- What others tell and ask ---- */

bool order_zones_are_settled(struct order_zones *zones)
{
    pthread_mutex_lock(&zones->lock);
    bool settled = zones->is_running && !zones->is_busy && !zones->catalog_changed;
    for (size_t i = 0; i < zones->count && settled; i++)
        settled = !zones->sources[i]->changed;
    /* The thread alone stops the members' refresher, and it is not at work. */
    if (settled && zones->server->member_refresher != NULL)
        settled = refresher_has_tried_all(zones->server->member_refresher);
    pthread_mutex_unlock(&zones->lock);
    return settled;
}

void order_zones_changed(struct order_zones *zones, const struct zone *zone)
{
    if (!atomic_load(&zone->transfer_only))
        return;
    pthread_mutex_lock(&zones->lock);
    if (zones->catalog != NULL && name_equal(zones->catalog->apex, zone->name.wire))
        zones->catalog_changed = true;
    for (size_t i = 0; i < zones->count; i++)
        zones->sources[i]->changed |= zones->sources[i]->zone == zone;
    pthread_cond_signal(&zones->work);
    pthread_mutex_unlock(&zones->lock);
}
