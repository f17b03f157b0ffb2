/* Reading everything again while answers go on. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"

/* The zones of a new configuration, and which of them are kept. */
struct zone_change {
    struct zone **zones;
    bool *is_new;
    size_t count;
    struct zone_set *set;
};

struct reload_report {
    json_t *findings;
    uint64_t loaded, unchanged, failed; /* zones */
    uint64_t orders_failed;
};

static void add_finding(struct reload_report *report, const struct error *error)
{
    json_array_append_new(report->findings,
                          json_pack("{s:s, s:I, s:s}", "file", error->file, "line",
                                    (json_int_t)error->line, "text", error->text));
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    server_log(LOG_WARNING, "reload: %s", error_format(error, text, sizeof(text)));
}

static void add_order_finding(void *context, const struct error *error)
{
    struct reload_report *report = context;
    if (error->code != -ECANCELED && error->code != -ETIME)
        report->orders_failed++;
    add_finding(report, error);
}

static void change_clear(struct zone_change *change)
{
    for (size_t i = 0; i < change->count; i++) {
        if (change->is_new[i])
            server_zone_free(change->zones[i]);
    }
    free(change->zones);
    free(change->is_new);
    zone_set_free(change->set);
    *change = (struct zone_change){0};
}

/* The present zone of that name and kind; NULL: there is none to keep. */
static struct zone *present_zone(const struct server *server, const struct zone *wanted)
{
    struct zone *zone = zone_set_find(server->view.zones, &wanted->name, 0);
    if (zone == NULL || zone->name.label_count != wanted->name.label_count ||
        zone->role != wanted->role)
        return NULL;
    return zone;
}

static int plan_change(const struct server *server, const struct config *config,
                       struct zone_change *ret_change)
{
    struct zone_change change = {
        .zones = calloc(config->zone_count + 1, sizeof(struct zone *)),
        .is_new = calloc(config->zone_count + 1, sizeof(bool)),
    };
    int rc = change.zones == NULL || change.is_new == NULL ? -ENOMEM : 0;
    for (size_t i = 0; i < config->zone_count && rc == 0; i++) {
        struct zone *zone;
        rc = server_zone_create(&config->zones[i], &zone);
        if (rc < 0)
            break;
        struct zone *present = present_zone(server, zone);
        change.is_new[i] = present == NULL;
        change.zones[i] = present == NULL ? zone : present;
        change.count++;
        if (present != NULL)
            server_zone_free(zone);
    }
    if (rc == 0)
        rc = zone_set_create(change.zones, change.count, &change.set);
    if (rc < 0) {
        change_clear(&change);
        return rc;
    }
    *ret_change = change;
    return 0;
}

/* Points every zone to its new configuration and publishes the new set. */
static void publish_zones(struct server *server, struct config *config, struct zone_change *change)
{
    pthread_mutex_lock(&server->control);
    struct zone_set *old_set = server->view.zones;
    struct zone **old_zones = server->zones;
    size_t old_count = server->zone_count;

    for (size_t i = 0; i < change->count; i++)
        rcu_assign_pointer(change->zones[i]->config, (void *)&config->zones[i]);
    rcu_assign_pointer(server->view.zones, change->set);
    server->zones = change->zones;
    server->zone_count = change->count;
    pthread_mutex_unlock(&server->control);
    synchronize_rcu();

    for (size_t i = 0; i < old_count; i++) {
        bool kept = false;
        struct zone *now = zone_set_find(change->set, &old_zones[i]->name, 0);
        kept = now == old_zones[i];
        if (!kept)
            server_zone_free(old_zones[i]);
    }
    zone_set_free(old_set);
    free(old_zones);
    free(change->is_new);
    *change = (struct zone_change){0};
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
        } else if (zone == NULL || server_publish(server, zone, load->data) < 0) {
            report->failed++;
            zone_data_free(load->data);
        } else {
            report->loaded++;
        }
    }
}

static void reload_orders(struct server *server, const struct config *config,
                          struct reload_report *report)
{
    struct order_keyring_entry *keyring;
    struct order_policy policy;
    if (server_order_policy(config, &keyring, &policy) < 0)
        return;

    struct order_keyring_entry *old = server->keyring;
    order_book_set_policy(server->book, &policy);
    server->keyring = keyring;
    free(old);
    server_orders_from_config(server, config, add_order_finding, report);
    order_book_drop_unnamed(server->book, config->order_files, config->order_file_count);
}

static int reload_all(struct server *server, struct reload_report *report, struct error *ret_error)
{
    struct config *config = NULL;
    int rc = config_load(server->first_config->path, &config, ret_error);
    if (rc < 0)
        return rc;

    struct zone_change change = {0};
    struct zone_load *loads = NULL;
    size_t load_count = 0;
    rc = plan_change(server, config, &change);
    if (rc == 0)
        rc = server_plan_loads(config, &loads, &load_count);
    if (rc < 0) {
        change_clear(&change);
        config_free(config);
        return error_set(ret_error, rc, "out of memory: everything stays as it was");
    }

    /* The long part, with nothing held but the reload lock. */
    zone_loader_run(loads, load_count, 0);

    server_refresh_stop(server);
    publish_zones(server, config, &change);
    publish_loads(server, loads, load_count, report);
    free(loads);
    reload_orders(server, config, report);
    report->unchanged = server->zone_count - report->loaded - report->failed;

    struct config *old = server->config;
    server->config = config;
    struct error error;
    if (server_refresh_start(server, &error) < 0)
        add_finding(report, &error);
    if (old != server->first_config)
        config_free(old);
    return 0;
}

int server_reload(struct server *server, json_t **ret_result, struct error *ret_error)
{
    struct reload_report report = {.findings = json_array()};
    if (report.findings == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    pthread_mutex_lock(&server->reload);
    int rc = reload_all(server, &report, ret_error);
    pthread_mutex_unlock(&server->reload);
    if (rc < 0) {
        json_decref(report.findings);
        return rc;
    }
    server_log(LOG_INFO, "reload: %llu zones loaded, %llu failed, %llu unchanged",
               (unsigned long long)report.loaded, (unsigned long long)report.failed,
               (unsigned long long)report.unchanged);
    *ret_result = json_pack("{s:{s:I, s:I, s:I}, s:{s:I, s:I}, s:o}", "zones", "loaded",
                            (json_int_t)report.loaded, "unchanged", (json_int_t)report.unchanged,
                            "failed", (json_int_t)report.failed, "orders", "active",
                            (json_int_t)order_book_count(server->book), "failed",
                            (json_int_t)report.orders_failed, "findings", report.findings);
    return *ret_result == NULL ? error_set(ret_error, -ENOMEM, "out of memory") : 0;
}
