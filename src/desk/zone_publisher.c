/* What is published: the tables looked at, compared with what there is, and zones made anew. */
#include "desk/zone_publisher.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/rcu.h"
#include "desk/zone_publisher_internal.h"
#include "dns/serial.h"
#include "zone/origin_link.h"
#include "zone/zone_view.h"

/* How often the tables are looked at when nobody says that there is something: another process may
 * have changed them. */
#define LOOK_EVERY_MS 1000

/* After a zone could not be made. */
#define RETRY_MS 5000

struct zone_publisher {
    struct desk *desk;
    struct store *store; /* of the publisher's thread */
    struct zone_notifier *notifier;
    struct zone_server *server;
    pthread_t thread, builder;
    bool has_thread, has_builder;
    int wake_fd;
    _Atomic(bool) stops;

    /* Under the lock: what is served. */
    pthread_mutex_t lock;
    struct published catalog;
    struct published **zones; /* in no order */
    size_t count, room;
    char *members; /* of the catalog, lines in ascending order */

    /* Under the lock: the zone that is being made. */
    pthread_cond_t build;
    struct published *job; /* a copy; NULL: none */
    bool is_building;
};

/* ---- Serving ---- */

static struct published *zone_find(struct zone_publisher *publisher, const uint8_t *apex)
{
    if (name_equal(publisher->catalog.apex, apex))
        return &publisher->catalog;
    for (size_t i = 0; i < publisher->count; i++)
        if (name_equal(publisher->zones[i]->apex, apex))
            return publisher->zones[i];
    return NULL;
}

static int transfer_open(const struct published *zone, enum opening opening, uint32_t serial,
                         struct transfer_out **ret_transfer)
{
    bool is_current = zone->serial == serial || serial_is_newer(serial, zone->serial);
    struct zone_view *view;
    struct rrset soa;

    if (opening == OPEN_SOA || (opening == OPEN_SINCE && is_current)) {
        if (!name_entry_rrset(zone->data->apex_entry, KNOT_RRTYPE_SOA, &soa))
            return -ENODATA;
        return transfer_out_soa(zone->apex, &soa, ret_transfer);
    }
    int rc = zone_view_open(zone->data, &view);
    return rc < 0 ? rc : transfer_out_axfr(view, ret_transfer);
}

int zone_publisher_open(struct zone_publisher *publisher, const uint8_t *apex, enum opening opening,
                        uint32_t serial, struct transfer_out **ret_transfer)
{
    pthread_mutex_lock(&publisher->lock);
    const struct published *zone = zone_find(publisher, apex);
    int rc = zone == NULL         ? -ENOENT
             : zone->data == NULL ? -ENODATA
                                  : transfer_open(zone, opening, serial, ret_transfer);
    pthread_mutex_unlock(&publisher->lock);
    return rc;
}

/* A view that a transfer has keeps what it needs of the data before. */
static void data_swap(struct zone_publisher *publisher, struct published *zone,
                      struct zone_data *data, uint32_t serial)
{
    pthread_mutex_lock(&publisher->lock);
    struct zone_data *before = zone->data;
    zone->data = data;
    zone->serial = serial;
    pthread_mutex_unlock(&publisher->lock);
    zone_data_free(before);
    zone_notifier_tell(publisher->notifier, zone->apex);
}

/* ---- The catalog ---- */

static bool is_line_of(const char *lines, const char *line)
{
    size_t size = strlen(line);
    for (const char *at = strstr(lines, line); at != NULL; at = strstr(at + 1, line))
        if ((at == lines || at[-1] == '\n') && (at[size] == '\n' || at[size] == '\0'))
            return true;
    return false;
}

static int compare_labels(const void *one, const void *other)
{
    const struct published *const *left = one, *const *right = other;
    return strcmp((*left)->label, (*right)->label);
}

/* What is to be listed: what is in force and was made, or was listed before: no order leaves
 * because its zone is not made yet, as after a start. */
static char *members_make(struct zone_publisher *publisher)
{
    char *text = malloc(publisher->count * DESK_ORDER_NAME_SIZE + 1), *end = text;

    if (text == NULL)
        return NULL;
    pthread_mutex_lock(&publisher->lock);
    if (publisher->count > 1)
        qsort(publisher->zones, publisher->count, sizeof(struct published *), compare_labels);
    pthread_mutex_unlock(&publisher->lock);
    *end = '\0';
    for (size_t i = 0; i < publisher->count; i++) {
        const struct published *zone = publisher->zones[i];
        if (zone->data == NULL && !is_line_of(publisher->members, zone->label))
            continue;
        end += sprintf(end, "%s%s", end == text ? "" : "\n", zone->label);
    }
    return text;
}

struct catalog_change {
    const char *members;
    int64_t now_s, serial;
};

/* The serial is durable before anybody gets it: it never means two things. */
static int catalog_note(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct catalog_change *change = context;

    int rc = store_query(store, &rows, ret_error,
                         "UPDATE order_zones SET members = $1, serial = CASE WHEN serial >= $2 "
                         "THEN serial + 1 ELSE $3 END WHERE zone = 'catalog' RETURNING serial",
                         store_text(change->members), store_integer(change->now_s),
                         store_integer(change->now_s));
    if (rc == 0)
        change->serial = store_row_integer(rows, 0, 0);
    return rc;
}

static int catalog_serve(struct zone_publisher *publisher, const char *members, uint32_t serial,
                         struct error *ret_error)
{
    struct zone_data *data = NULL;
    int rc =
        zone_build_catalog(&publisher->desk->config->orders, members, serial, &data, ret_error);
    if (rc == 0)
        data_swap(publisher, &publisher->catalog, data, serial);
    return rc;
}

static int catalog_publish(struct zone_publisher *publisher, struct error *ret_error)
{
    char *members = members_make(publisher);
    struct catalog_change change = {.members = members,
                                    .now_s = clock_now_s(publisher->desk->clock)};
    int rc = 0;

    if (members == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the catalog");
    bool is_same = publisher->catalog.data != NULL && strcmp(members, publisher->members) == 0;
    /* At the start it may be what it was; before the first order it was nothing. */
    bool is_kept = publisher->catalog.data == NULL && publisher->catalog.wanted != 0 &&
                   strcmp(members, publisher->members) == 0;
    if (is_kept)
        change.serial = publisher->catalog.wanted;
    else if (!is_same)
        rc = store_transact(publisher->store, catalog_note, &change, ret_error);
    if (rc == 0 && !is_same)
        rc = catalog_serve(publisher, members, (uint32_t)change.serial, ret_error);
    if (rc < 0 || is_same) {
        free(members);
        return rc;
    }
    free(publisher->members);
    publisher->members = members;
    return 0;
}

/* ---- From tables to zones ---- */

static struct published *label_find(const struct zone_publisher *publisher, const char *label)
{
    for (size_t i = 0; i < publisher->count; i++)
        if (strcmp(publisher->zones[i]->label, label) == 0)
            return publisher->zones[i];
    return NULL;
}

static int zones_reserve(struct zone_publisher *publisher)
{
    if (publisher->count < publisher->room)
        return 0;
    size_t room = publisher->room == 0 ? 16 : publisher->room * 2;
    pthread_mutex_lock(&publisher->lock);
    struct published **zones = reallocarray(publisher->zones, room, sizeof(struct published *));
    if (zones != NULL) {
        publisher->zones = zones;
        publisher->room = room;
    }
    pthread_mutex_unlock(&publisher->lock);
    return zones != NULL ? 0 : -ENOMEM;
}

static int zone_want(struct zone_publisher *publisher, const char *id, const char *label,
                     uint32_t serial, struct error *ret_error)
{
    struct published *zone = label_find(publisher, label);

    if (zone == NULL) {
        zone = calloc(1, sizeof(*zone));
        if (zone == NULL || zones_reserve(publisher) < 0) {
            free(zone);
            return error_set(ret_error, -ENOMEM, "out of memory for a zone");
        }
        snprintf(zone->id, sizeof(zone->id), "%s", id);
        snprintf(zone->label, sizeof(zone->label), "%s", label);
        if (!zone_name_make(label, publisher->desk->config->orders.suffix, zone->apex)) {
            free(zone);
            return 0; /* the configuration leaves room for every id */
        }
        pthread_mutex_lock(&publisher->lock);
        publisher->zones[publisher->count++] = zone;
        pthread_mutex_unlock(&publisher->lock);
    }
    zone->wanted = serial;
    zone->stays = true;
    return 0;
}

static int orders_want(struct zone_publisher *publisher, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL, *exempt = NULL;

    int rc = store_query(publisher->store, &rows, ret_error,
                         "SELECT id, name, serial FROM orders WHERE state = 'active' "
                         "ORDER BY activated_at LIMIT $1",
                         store_integer(ORDERS_ACTIVE_MAX));
    if (rc == 0)
        rc = store_query(publisher->store, &exempt, ret_error,
                         "SELECT serial FROM order_zones WHERE zone = 'exemptions' AND EXISTS "
                         "(SELECT 1 FROM order_exemptions JOIN orders ON "
                         "orders.id = order_exemptions.order_id WHERE orders.state = 'active')");
    if (rc == 0 && store_rows_count(exempt) > 0)
        rc = zone_want(publisher, "", EXEMPTIONS_ID, (uint32_t)store_row_integer(exempt, 0, 0),
                       ret_error);
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = zone_want(publisher, store_row_text(rows, i, 0), store_row_text(rows, i, 1),
                       (uint32_t)store_row_integer(rows, i, 2), ret_error);
    return rc;
}

static void published_free(struct published *zone)
{
    zone_data_free(zone->data);
    free(zone);
}

/* Takes what is gone out of the table and hands it over: it is served until the catalog is new. */
static size_t gone_take(struct zone_publisher *publisher, struct published **ret_gone)
{
    size_t kept = 0, gone = 0;

    pthread_mutex_lock(&publisher->lock);
    for (size_t i = 0; i < publisher->count; i++) {
        struct published *zone = publisher->zones[i];
        if (zone->stays)
            publisher->zones[kept++] = zone;
        else
            ret_gone[gone++] = zone;
    }
    publisher->count = kept;
    pthread_mutex_unlock(&publisher->lock);
    return gone;
}

/* Lifts first: the catalog without what is over leaves before any zone is made. */
static int tables_look(struct zone_publisher *publisher, struct error *ret_error)
{
    for (size_t i = 0; i < publisher->count; i++)
        publisher->zones[i]->stays = false;
    int rc = orders_want(publisher, ret_error);
    if (rc < 0)
        return rc; /* what is served stays as it is */
    struct published **gone = calloc(publisher->count + 1, sizeof(struct published *));
    if (gone == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the zones");
    size_t count = gone_take(publisher, gone);
    rc = catalog_publish(publisher, ret_error);
    for (size_t i = 0; i < count; i++) {
        zone_notifier_forget(publisher->notifier, gone[i]->apex);
        published_free(gone[i]);
    }
    free(gone);
    return rc;
}

/* ---- Making zones ---- */

/* The exemptions first, since somebody waits for what was blocked by mistake. */
static struct published *zone_next(const struct zone_publisher *publisher)
{
    struct published *next = NULL;
    for (size_t i = 0; i < publisher->count; i++) {
        struct published *zone = publisher->zones[i];
        bool is_due = (zone->data == NULL || zone->serial != zone->wanted) &&
                      zone->retry_ms <= monotonic_ms();
        if (is_due && (next == NULL || zone->id[0] == '\0'))
            next = zone;
    }
    return next;
}

static void build_next(struct zone_publisher *publisher)
{
    const struct published *next = zone_next(publisher);

    pthread_mutex_lock(&publisher->lock);
    if (next != NULL && publisher->job == NULL && !publisher->is_building) {
        publisher->job = malloc(sizeof(*publisher->job));
        if (publisher->job != NULL) {
            *publisher->job = *next;
            publisher->job->data = NULL;
            publisher->is_building = true;
            pthread_cond_signal(&publisher->build);
        }
    }
    pthread_mutex_unlock(&publisher->lock);
}

/* What the builder made; NULL: nothing yet. */
static struct published *built_take(struct zone_publisher *publisher)
{
    struct published *built = NULL;
    pthread_mutex_lock(&publisher->lock);
    if (!publisher->is_building)
        built = TAKE(publisher->job);
    pthread_mutex_unlock(&publisher->lock);
    return built;
}

/* The zone may have gone, or be wanted anew, meanwhile. */
static void built_publish(struct zone_publisher *publisher)
{
    struct published *built = built_take(publisher);
    struct published *zone = built != NULL ? label_find(publisher, built->label) : NULL;

    if (zone != NULL && strcmp(zone->id, built->id) != 0)
        zone = NULL;
    if (zone != NULL && built->data != NULL)
        data_swap(publisher, zone, TAKE(built->data), built->wanted);
    else if (zone != NULL)
        zone->retry_ms = monotonic_ms() + RETRY_MS;
    if (built != NULL)
        published_free(built);
}

static void job_do(struct zone_publisher *publisher, struct store *store, struct published *job)
{
    struct error error = {0};
    if (zone_build(publisher->desk, store, job, &job->data, &error) < 0)
        log_event(LOG_ERR, "order %s: its zone cannot be made: %s", job->label, error.text);
}

static void *builder_run(void *context)
{
    struct zone_publisher *publisher = context;
    struct store *store = NULL;
    struct error error;

    if (desk_store_open(publisher->desk, &store, &error) < 0)
        log_event(LOG_ERR, "orders: %s", error.text);
    pthread_mutex_lock(&publisher->lock);
    while (!atomic_load(&publisher->stops)) {
        if (!publisher->is_building) {
            pthread_cond_wait(&publisher->build, &publisher->lock);
            continue;
        }
        struct published *job = publisher->job;
        pthread_mutex_unlock(&publisher->lock);
        if (store == NULL && desk_store_open(publisher->desk, &store, &error) < 0)
            log_event(LOG_ERR, "orders: %s", error.text);
        else
            job_do(publisher, store, job);
        pthread_mutex_lock(&publisher->lock);
        publisher->is_building = false;
        zone_publisher_wake(publisher);
    }
    pthread_mutex_unlock(&publisher->lock);
    store_close(store);
    return NULL;
}

/* ---- The thread ---- */

static void publisher_wait(struct zone_publisher *publisher)
{
    int wait_ms = zone_notifier_work(publisher->notifier, LOOK_EVERY_MS);
    const int *sockets = zone_notifier_sockets(publisher->notifier);
    struct pollfd waits[] = {{.fd = publisher->wake_fd, .events = POLLIN},
                             {.fd = sockets[0], .events = POLLIN},
                             {.fd = sockets[1], .events = POLLIN}};
    eventfd_t wakes;

    (void)poll(waits, sizeof(waits) / sizeof(waits[0]), wait_ms);
    (void)eventfd_read(publisher->wake_fd, &wakes);
}

static void *publisher_run(void *context)
{
    struct zone_publisher *publisher = context;
    struct error error;
    int before = 0;

    while (!atomic_load(&publisher->stops)) {
        built_publish(publisher);
        int rc = tables_look(publisher, &error);
        if (rc < 0 && rc != before) /* said once, not every second */
            log_event(LOG_ERR, "orders are not published anew: %s", error.text);
        before = rc;
        build_next(publisher);
        publisher_wait(publisher);
    }
    return NULL;
}

void zone_publisher_wake(struct zone_publisher *publisher)
{
    (void)eventfd_write(publisher->wake_fd, 1);
}

/* ---- Start and stop ---- */

static int catalog_recall(struct zone_publisher *publisher, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(publisher->store, &rows, ret_error,
                         "SELECT serial, members FROM order_zones WHERE zone = 'catalog'");
    if (rc < 0)
        return rc;
    publisher->catalog.wanted = (uint32_t)store_row_integer(rows, 0, 0);
    publisher->members = strdup(store_row_text(rows, 0, 1));
    return publisher->members != NULL ? 0 : error_set(ret_error, -ENOMEM, "out of memory");
}

static int threads_start(struct zone_publisher *publisher, struct error *ret_error)
{
    int rc = -pthread_create(&publisher->builder, NULL, builder_run, publisher);
    publisher->has_builder = rc == 0;
    if (rc == 0)
        rc = -pthread_create(&publisher->thread, NULL, publisher_run, publisher);
    publisher->has_thread = publisher->has_builder && rc == 0;
    return rc < 0 ? error_set(ret_error, rc, "no thread for the orders' zones") : 0;
}

static int publisher_prepare(struct zone_publisher *publisher, struct error *ret_error)
{
    const struct desk_config_orders *config = &publisher->desk->config->orders;

    publisher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (publisher->wake_fd < 0)
        return error_set(ret_error, -errno, "no descriptor for the orders' zones");
    if (!zone_name_make("", config->catalog, publisher->catalog.apex))
        return error_set(ret_error, -EINVAL, "the catalog's name is too long");
    int rc = desk_store_open(publisher->desk, &publisher->store, ret_error);
    if (rc == 0)
        rc = catalog_recall(publisher, ret_error);
    if (rc == 0)
        rc = zone_notifier_create(config, &publisher->notifier, ret_error);
    if (rc == 0)
        rc = zone_server_start(publisher, config, &publisher->server, ret_error);
    return rc < 0 ? rc : threads_start(publisher, ret_error);
}

int zone_publisher_start(struct desk *desk, struct zone_publisher **ret_publisher,
                         struct error *ret_error)
{
    struct zone_publisher *publisher = calloc(1, sizeof(*publisher));
    if (publisher == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the orders' zones");
    publisher->desk = desk;
    publisher->wake_fd = -1;
    pthread_mutex_init(&publisher->lock, NULL);
    pthread_cond_init(&publisher->build, NULL);
    int rc = publisher_prepare(publisher, ret_error);
    if (rc < 0) {
        zone_publisher_stop(publisher);
        return rc;
    }
    *ret_publisher = publisher;
    return 0;
}

static void threads_stop(struct zone_publisher *publisher)
{
    atomic_store(&publisher->stops, true);
    if (publisher->wake_fd >= 0)
        zone_publisher_wake(publisher);
    pthread_mutex_lock(&publisher->lock);
    pthread_cond_broadcast(&publisher->build);
    pthread_mutex_unlock(&publisher->lock);
    if (publisher->has_thread)
        pthread_join(publisher->thread, NULL);
    if (publisher->has_builder)
        pthread_join(publisher->builder, NULL);
}

void zone_publisher_stop(struct zone_publisher *publisher)
{
    if (publisher == NULL)
        return;
    threads_stop(publisher);
    zone_server_stop(publisher->server);
    zone_notifier_free(publisher->notifier);
    store_close(publisher->store);
    for (size_t i = 0; i < publisher->count; i++)
        published_free(publisher->zones[i]);
    zone_data_free(publisher->catalog.data);
    if (publisher->job != NULL)
        published_free(publisher->job);
    free(publisher->zones);
    free(publisher->members);
    if (publisher->wake_fd >= 0)
        close(publisher->wake_fd);
    pthread_mutex_destroy(&publisher->lock);
    pthread_cond_destroy(&publisher->build);
    free(publisher);
}

void zone_publisher_figures(struct zone_publisher *publisher,
                            struct zone_publisher_figures *ret_figures)
{
    struct zone_notify_figures *notify = zone_notifier_figures(publisher->notifier);
    struct zone_server_figures *server = zone_server_figures(publisher->server);

    pthread_mutex_lock(&publisher->lock);
    uint64_t zones = publisher->count;
    pthread_mutex_unlock(&publisher->lock);
    *ret_figures = (struct zone_publisher_figures){
        .zones = zones,
        .transfers = atomic_load(&server->transfers),
        .refused = atomic_load(&server->refused),
        .notifies = atomic_load(&notify->sent),
        .unanswered = atomic_load(&notify->unanswered),
    };
}
