/* Reading everything again while answers go on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"

/* What a new configuration changes, made before anything is changed. */
struct reload_plan {
    struct config *config;
    struct zone **zones;
    bool *is_new;          /* of zones[i]; else it is a present one, kept */
    struct zone **changed; /* the present zone of that name and another role; NULL: none */
    size_t count;
    struct zone_set *set;
    bool set_differs; /* zones come, go or change their role */
    struct order_keyring_entry *keyring;
    struct order_policy policy;
    struct zone_load *loads;
    size_t load_count;
};

struct reload_report {
    json_t *findings, *notes;           /* notes: as it should be, and a person may wonder */
    uint64_t loaded, unchanged, failed; /* zones */
    uint64_t orders_failed;
};

static void add_to(json_t *list, int level, const struct error *error)
{
    json_array_append_new(list, json_pack("{s:s, s:I, s:s}", "file", error->file, "line",
                                          (json_int_t)error->line, "text", error->text));
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    server_log(level, "reload: %s", error_format(error, text, sizeof(text)));
}

static void add_finding(struct reload_report *report, const struct error *error)
{
    add_to(report->findings, LOG_WARNING, error);
}

static void add_tls_finding(void *context, const struct error *error)
{
    struct reload_report *report = context;
    add_finding(report, error);
}

static void add_tls_note(void *context, const struct error *error)
{
    struct reload_report *report = context;
    add_to(report->notes, LOG_WARNING, error);
}

static void add_order_finding(void *context, const struct error *error)
{
    struct reload_report *report = context;
    if (error->code == -ECANCELED || error->code == -ETIME) {
        add_to(report->notes, LOG_INFO, error);
        return;
    }
    report->orders_failed++;
    add_finding(report, error);
}

/* ---- Planning ---- */

static void change_clear(struct reload_plan *change)
{
    for (size_t i = 0; i < change->count; i++) {
        if (change->is_new[i])
            server_zone_free(change->zones[i]);
    }
    for (size_t i = 0; i < change->load_count; i++)
        zone_data_free(change->loads[i].data);
    free(change->zones);
    free(change->is_new);
    free(change->changed);
    free(change->keyring);
    free(change->loads);
    zone_set_free(change->set);
    if (change->config != NULL)
        config_free(change->config);
    *change = (struct reload_plan){0};
}

/* The present zone of that name; NULL: there is none. The reload lock keeps it alive, and that who
 * makes zones is stopped. */
static struct zone *present_zone(const struct server *server, const struct zone *wanted)
{
    struct zone *zone = zone_set_find(server->view.zones, &wanted->name, 0);
    return zone != NULL && zone->name.label_count == wanted->name.label_count ? zone : NULL;
}

/* Members of the catalog stay until it is read anew, but for those that the configuration has a
 * zone of that name for. */
static int plan_members(const struct server *server, struct reload_plan *change)
{
    struct zone_set *configured;
    int rc = zone_set_create(change->zones, change->count, &configured);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < server->zone_count; i++) {
        struct zone *zone = server->zones[i];
        const struct config_zone *config = zone->config;
        const struct zone *same = zone_set_find(configured, &zone->name, 0);
        if (config->is_member && (same == NULL || same->name.label_count != zone->name.label_count))
            change->zones[change->count++] = zone;
    }
    zone_set_free(configured);
    return 0;
}

static int plan_zones(const struct server *server, struct reload_plan *change)
{
    const struct config *config = change->config;
    size_t count_max = config->zone_count + server->zone_count + 1;
    change->zones = calloc(count_max, sizeof(struct zone *));
    change->is_new = calloc(count_max, sizeof(bool));
    change->changed = calloc(count_max, sizeof(struct zone *));
    if (change->zones == NULL || change->is_new == NULL || change->changed == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < config->zone_count; i++) {
        struct zone *zone;
        int rc = server_zone_create(&config->zones[i], &zone);
        if (rc < 0)
            return rc;
        struct zone *present = present_zone(server, zone);
        bool keeps = present != NULL && present->role == zone->role;
        change->is_new[i] = !keeps;
        change->changed[i] = keeps ? NULL : present;
        change->zones[i] = keeps ? present : zone;
        change->set_differs |= !keeps;
        change->count++;
        if (keeps)
            server_zone_free(zone);
    }
    int rc = plan_members(server, change);
    if (rc < 0)
        return rc;
    change->set_differs |= change->count != server->zone_count;
    return zone_set_create(change->zones, change->count, &change->set);
}

/* Whether the present zone of the load was changed by updates, so that its file counts no more. */
static bool is_updated(const struct server *server, const struct zone_load *load)
{
    struct name name;
    struct zone *zone = NULL;
    if (name_parse(&name, load->apex, NAME_SIZE_MAX) > 0)
        zone = zone_set_find(server->view.zones, &name, 0);
    if (zone == NULL || zone->name.label_count != name.label_count || zone->role != ZONE_PRIMARY)
        return false;
    pthread_mutex_lock(&zone->writer);
    const struct zone_source source = zone->data->source;
    const bool is_beyond = server_is_beyond_file(zone->data);
    pthread_mutex_unlock(&zone->writer);
    struct zone_source now;
    if (is_beyond && source.file_size != 0 && zone_file_source(load->path, &now) == 0 &&
        !zone_file_source_equal(&now, &source))
        server_warn_of_file(zone, load->path);
    return is_beyond;
}

/* Files that count no more need not be read. */
static void leave_out_updated(struct server *server, struct reload_plan *change)
{
    size_t kept = 0;
    pthread_mutex_lock(&server->membership); /* zones of orders may still come and go */
    for (size_t i = 0; i < change->load_count; i++) {
        if (!is_updated(server, &change->loads[i]))
            change->loads[kept++] = change->loads[i];
    }
    pthread_mutex_unlock(&server->membership);
    change->load_count = kept;
}

/* Everything that may fail for want of memory, and the long part, with the reload lock alone. */
static int plan(struct server *server, struct reload_plan *change, struct error *ret_error)
{
    int rc = config_load(server->first_config->path, &change->config, ret_error);
    if (rc < 0)
        return rc;
    rc = server_order_policy(change->config, &change->keyring, &change->policy);
    if (rc == 0)
        rc = server_plan_loads(change->config, &change->loads, &change->load_count);
    if (rc == 0)
        leave_out_updated(server, change);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory: everything stays as it was");
    rc = server_journal_open(server, change->config, ret_error);
    if (rc == 0)
        rc = server_updater_start(server, ret_error);
    if (rc == 0)
        rc = server_update_forwarder_start(server, change->config, ret_error);
    if (rc < 0)
        return rc;
    zone_loader_run(change->loads, change->load_count, 0);
    return 0;
}

/* ---- Zones ---- */

/* Whether a zone of a new role begins with the data of the old one: its names stay alive until the
 * new source has been read, or for good when that is broken. */
static bool inherits(const struct zone *zone, const struct zone *old)
{
    return old != NULL && zone->role != ZONE_FORWARD &&
           rcu_dereference(old->data->apex_entry) != NULL &&
           atomic_load(&old->status) == ZONE_SERVING;
}

static void inherit(struct zone *zone, const struct zone *old)
{
    zone->data = old->data;
    atomic_store(&zone->loaded_at, atomic_load(&old->loaded_at));
    if (zone->role == ZONE_SECONDARY) /* until an origin is heard, which sets it anew */
        atomic_store(&zone->expires_at, time(NULL) + old->data->soa.expire_s);
    atomic_store(&zone->status, ZONE_SERVING);
}

/* Marks what the new set of zones is to serve: names may have got another zone. */
static int mark_zones(struct server *server, const struct reload_plan *change)
{
    for (size_t i = 0; i < change->count; i++) {
        const struct zone *zone = change->zones[i];
        struct zone_data *data =
            inherits(zone, change->changed[i]) ? change->changed[i]->data : zone->data;
        int rc = order_book_mark(server->book, change->set, data);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static void free_old_zones(struct server *server, struct zone **zones, size_t count,
                           const struct zone_set *now)
{
    for (size_t i = 0; i < count; i++) {
        if (zone_set_find(now, &zones[i]->name, 0) == zones[i])
            continue;
        server_log(LOG_INFO, "zone %s: no longer served as %s", zones[i]->text,
                   server_role_word(zones[i]->role));
        server_zone_uncount(server, zones[i]);
        server_zone_free(zones[i]);
    }
    free(zones);
}

/* Points every zone to its new configuration and publishes the new set. The refresher is stopped.
 * On failure nothing has changed. */
static int publish_zones(struct server *server, struct reload_plan *change)
{
    struct zone_data **spare = calloc(change->count + 1, sizeof(struct zone_data *));
    if (spare == NULL)
        return -ENOMEM;
    order_book_marks_lock(server->book);
    int rc = change->set_differs ? mark_zones(server, change) : 0;
    if (rc < 0) {
        order_book_marks_unlock(server->book);
        free(spare);
        return rc;
    }

    pthread_mutex_lock(&server->writing); /* updates and transfers out wait for the swap alone */
    pthread_mutex_lock(&server->control);
    struct zone_set *old_set = server->view.zones;
    struct zone **old_zones = server->zones;
    size_t old_count = server->zone_count;
    for (size_t i = 0; i < change->count; i++) {
        struct zone *zone = change->zones[i];
        if (change->is_new[i])
            server_zone_count(server, zone);
        if (inherits(zone, change->changed[i])) {
            spare[i] = zone->data;
            inherit(zone, change->changed[i]);
        }
        if (i < change->config->zone_count) /* else a member of the catalog, see order_zones.c */
            rcu_assign_pointer(zone->config, (void *)&change->config->zones[i]);
    }
    rcu_assign_pointer(server->view.zones, change->set);
    server->zones = change->zones;
    server->zone_count = change->count;
    pthread_mutex_unlock(&server->control);
    pthread_mutex_unlock(&server->writing);
    if (change->set_differs)
        order_book_recount(server->book);
    order_book_marks_unlock(server->book);

    /* Now nobody has a pointer to an old zone: workers have passed a quiescent state; who looks at
     * zones under one of the locks found the old ones before and let go of them, or finds the new
     * ones, and so does the thread of updates; the refresher's threads have ended. */
    synchronize_rcu();
    for (size_t i = 0; i < change->count; i++) {
        if (spare[i] != NULL)
            change->changed[i]->data =
                spare[i]; /* the new zone has the old one's: freed but once */
    }
    free_old_zones(server, old_zones, old_count, change->set);
    zone_set_free(old_set);
    free(spare);
    free(change->is_new);
    free(change->changed);
    change->zones = NULL;
    change->is_new = NULL;
    change->changed = NULL;
    change->set = NULL;
    change->count = 0;
    return 0;
}

/* Who is asked for a zone knows it from before it is published until after it is gone: no question
 * comes that nobody can answer. */
static int publish_forwarding(struct server *server, struct reload_plan *change,
                              struct reload_report *report)
{
    struct error error;
    if (server_forwarding_start(server, change->config, FORWARD_OTHERS_STAY, &error) < 0)
        add_finding(report, &error);
    const int rc = publish_zones(server, change);
    const struct config *published = rc == 0 ? change->config : server->config;
    if (server_forwarding_start(server, published, FORWARD_OTHERS_GO, &error) < 0)
        add_finding(report, &error);
    return rc;
}

struct zone *server_zone_find(struct server *server, const uint8_t *apex)
{
    struct name name;
    if (name_parse(&name, apex, NAME_SIZE_MAX) < 0)
        return NULL;
    pthread_mutex_lock(&server->control);
    struct zone *zone = zone_set_find(server->view.zones, &name, 0);
    bool found = zone != NULL && zone->name.label_count == name.label_count;
    pthread_mutex_unlock(&server->control);
    return found ? zone : NULL;
}

static int change_zones(struct server *server, struct zone *const *added, size_t added_count,
                        struct zone *const *removed, size_t removed_count)
{
    struct zone **zones = calloc(server->zone_count + added_count + 1, sizeof(struct zone *));
    struct zone_set *set = NULL;
    size_t count = 0;
    if (zones == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < server->zone_count; i++) {
        bool goes = false;
        for (size_t k = 0; k < removed_count && !goes; k++)
            goes = removed[k] == server->zones[i];
        if (!goes)
            zones[count++] = server->zones[i];
    }
    for (size_t i = 0; i < added_count; i++)
        zones[count++] = added[i];
    int rc = zone_set_create(zones, count, &set);

    order_book_marks_lock(server->book);
    for (size_t i = 0; i < added_count && rc == 0; i++)
        rc = order_book_mark(server->book, set, added[i]->data);
    if (rc < 0) {
        order_book_marks_unlock(server->book);
        zone_set_free(set);
        free(zones);
        return rc;
    }
    pthread_mutex_lock(&server->writing);
    pthread_mutex_lock(&server->control);
    struct zone_set *old_set = server->view.zones;
    struct zone **old_zones = server->zones;
    size_t old_count = server->zone_count;
    for (size_t i = 0; i < added_count; i++)
        server_zone_count(server, added[i]);
    rcu_assign_pointer(server->view.zones, set);
    server->zones = zones;
    server->zone_count = count;
    pthread_mutex_unlock(&server->control);
    pthread_mutex_unlock(&server->writing);
    order_book_marks_unlock(server->book);
    synchronize_rcu();
    free_old_zones(server, old_zones, old_count, set);
    zone_set_free(old_set);
    return 0;
}

int server_zones_change(struct server *server, struct zone *const *added, size_t added_count,
                        struct zone *const *removed, size_t removed_count)
{
    struct error error;
    pthread_mutex_lock(&server->membership);
    /* It looks at the zones that go, and starts with telling all, so that nothing is missed. */
    server_notifier_stop(server, true);
    int rc = change_zones(server, added, added_count, removed, removed_count);
    if (server_notifier_start(server, true, &error) < 0)
        server_log(LOG_WARNING, "secondaries of orders are not notified: %s", error.text);
    pthread_mutex_unlock(&server->membership);
    return rc;
}

static void publish_loads(struct server *server, struct zone_load *loads, size_t count,
                          struct reload_report *report)
{
    for (size_t i = 0; i < count; i++) {
        struct zone_load *load = &loads[i];
        struct name name;
        struct zone *zone = NULL;
        if (name_parse(&name, load->apex, NAME_SIZE_MAX) > 0)
            zone = zone_set_find(server->view.zones, &name, 0);
        size_t kept =
            load->finding_count < LOADER_FINDINGS_MAX ? load->finding_count : LOADER_FINDINGS_MAX;
        for (size_t k = 0; k < kept; k++)
            add_finding(report, &load->findings[k]);
        if (load->data == NULL) {
            report->failed++;
            add_finding(report, &load->error);
            if (zone != NULL)
                zone_last_error_set(zone, load->error.text);
            continue;
        }
        int rc = zone != NULL ? server_publish(server, zone, load->data) : -ENOMEM;
        if (rc == -ESTALE) {
            server_warn_of_file(zone, load->path); /* updated while the file was read */
        } else if (rc < 0) {
            struct error error;
            error_set_at(&error, rc, load->path, 0, "%s: the zone keeps its earlier state",
                         rc == -ENOMEM ? "out of memory" : "the journal cannot be written");
            report->failed++;
            add_finding(report, &error);
        } else {
            load->data = NULL; /* the zone's now */
            report->loaded++;
        }
    }
}

/* ---- Orders ---- */

static void report_unnamed(const struct order *order)
{
    server_log(LOG_INFO, "order %s: the configuration names it no more: out of force", order->id);
}

static void reload_orders(struct server *server, struct reload_plan *change,
                          struct reload_report *report)
{
    /* An activation that checks signatures against the old keyring is waited for. */
    order_book_set_policy(server->book, &change->policy);
    free(server->keyring);
    server->keyring = TAKE(change->keyring);
    const struct config *config = change->config;
    server_orders_from_config(server, config, add_order_finding, report);
    order_book_drop_unnamed(server->book, config->order_files, config->order_file_count,
                            report_unnamed);
}

/* ---- The whole ---- */

/* Starts the refresher for the present zones and has it ask every origin: a NOTIFY that came while
 * there was none, or whose transfer the stop cut off, is made good so. */
static void restart_refresher(struct server *server, struct reload_report *report)
{
    struct error error;
    if (server_refresh_start(server, &error) < 0) {
        add_finding(report, &error);
        return;
    }
    for (size_t i = 0; i < server->plan.count; i++)
        refresher_poke(server->refresher, server->plan.zones[i].zone, 0);
}

static void restart_order_zones(struct server *server, struct reload_report *report)
{
    struct error error;
    if (order_zones_start(server->order_zones, &error) < 0)
        add_finding(report, &error);
    if (order_publisher_start(server->order_publisher, &error) < 0)
        add_finding(report, &error);
}

static void restart_notifier(struct server *server, struct reload_report *report)
{
    struct error error;
    if (server_notifier_start(server, false, &error) < 0)
        add_finding(report, &error);
    server_notifier_stop(server, true); /* begun anew when an order's zone went meanwhile */
    if (server_notifier_start(server, true, &error) < 0)
        add_finding(report, &error);
}

static int reload_all(struct server *server, struct reload_plan *change,
                      struct reload_report *report, struct error *ret_error)
{
    int rc = plan(server, change, ret_error);
    if (rc < 0)
        return rc;

    /* The refresher works on the zones and on the configuration that go. It is stopped before a
     * lock is taken: its threads may wait for that lock to publish a transfer. */
    order_publisher_stop(server->order_publisher);
    order_zones_stop(server->order_zones);
    server_refresh_stop(server);
    server_notifier_stop(server, false);
    server_notifier_stop(server, true);
    rc = plan_zones(server, change); /* beside members that have come by now */
    if (rc == 0)
        rc = publish_forwarding(server, change, report);
    struct error error;
    if (rc == 0 && order_zones_configure(server->order_zones, change->config, &error) < 0)
        add_finding(report, &error);
    if (rc == 0)
        order_publisher_configure(server->order_publisher, change->config);
    restart_refresher(server, report);
    restart_notifier(server, report);
    if (rc < 0) {
        restart_order_zones(server, report);
        return error_set(ret_error, rc, "out of memory: everything stays as it was");
    }

    publish_loads(server, change->loads, change->load_count, report);
    reload_orders(server, change, report);
    server_tls_reload(server, change->config, add_tls_finding, add_tls_note, report);
    report->unchanged = server->zone_count - report->loaded - report->failed;

    /* Nothing points into the old configuration any more: zones, refresher and keyring have the new
     * one's, and what was taken at the start is the first one's. */
    struct config *old = server->config;
    server->config = TAKE(change->config);
    if (old != server->first_config)
        config_free(old);
    restart_order_zones(server, report); /* with the new keyring; from here on zones come and go */
    return 0;
}

int server_reload(struct server *server, json_t **ret_result, struct error *ret_error)
{
    struct reload_report report = {.findings = json_array(), .notes = json_array()};
    struct reload_plan change = {0};
    int rc = report.findings == NULL || report.notes == NULL
                 ? error_set(ret_error, -ENOMEM, "out of memory")
                 : 0;

    server_yield_to_workers();
    pthread_mutex_lock(&server->reload);
    if (rc == 0)
        rc = reload_all(server, &change, &report, ret_error);
    change_clear(&change);
    pthread_mutex_unlock(&server->reload);
    if (rc < 0) {
        json_decref(report.findings);
        json_decref(report.notes);
        return rc;
    }
    server_log(LOG_INFO, "reload: %llu zones loaded, %llu failed, %llu unchanged",
               (unsigned long long)report.loaded, (unsigned long long)report.failed,
               (unsigned long long)report.unchanged);

    pthread_mutex_lock(&server->control);
    json_int_t active = (json_int_t)order_book_count(server->book);
    pthread_mutex_unlock(&server->control);
    *ret_result = json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o, s:o}", "zones", "loaded",
                            (json_int_t)report.loaded, "unchanged", (json_int_t)report.unchanged,
                            "failed", (json_int_t)report.failed, "orders", "active", active,
                            "failed", (json_int_t)report.orders_failed, "findings", report.findings,
                            "notes", report.notes);
    return *ret_result == NULL ? error_set(ret_error, -ENOMEM, "out of memory") : 0;
}
