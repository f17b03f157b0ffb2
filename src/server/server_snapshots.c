/* The server's zones at the start, from their snapshots where these are good, and what the keeper
 * of snapshots is told and shown afterwards. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"
#include "server/soa_timers.h"

/* How much of a secondary's last good check may be lost in a crash: its data then expires as much
 * earlier. Expiry is a matter of days. */
#define CHECKED_INTERVAL_S 5

/* How long a stop waits for snapshots that are being written: 5,000,000 names take a few seconds on
 * a slow disk, and systemd's patience ends at 90 s. */
#define STOP_MS 30000

/* ---- The keeper ---- */

static bool view_zone(void *context, const uint8_t *apex, struct zone_view **ret_view,
                      int64_t *ret_checked_at)
{
    struct server *server = context;
    struct name name;
    if (name_parse(&name, apex, NAME_SIZE_MAX) < 0)
        return false;
    /* The lock of whoever marks, publishes and reloads. An activation may have it for seconds; who
     * asks is in no hurry. */
    order_book_marks_lock(server->book);
    struct zone *zone = zone_set_find(server->view.zones, &name, 0);
    bool found = zone != NULL && zone->name.label_count == name.label_count;
    if (found) {
        pthread_mutex_lock(&zone->writer);
        found = zone->data->apex_entry != NULL && zone_view_open(zone->data, ret_view) == 0;
        *ret_checked_at = atomic_load(&zone->checked_at);
        pthread_mutex_unlock(&zone->writer);
    }
    order_book_marks_unlock(server->book);
    return found;
}

/* The journal may let go of what the snapshot has. */
static void written(void *context, const uint8_t *apex, uint32_t serial)
{
    struct server *server = context;
    struct error error;
    if (server->journal != NULL && journal_kept(server->journal, apex, serial, &error) < 0)
        server_log(LOG_WARNING, "the journal is not told of a snapshot: %s", error.text);
}

int server_snapshots_create(struct server *server, struct error *ret_error)
{
    const struct snapshot_handlers handlers = {
        .view = view_zone, .written = written, .context = server};
    return snapshot_keeper_create(server->config->state, &handlers, &server->snapshots, ret_error);
}

static void tell_checks(struct server *server)
{
    pthread_mutex_lock(&server->control);
    for (size_t i = 0; i < server->zone_count; i++) {
        if (server->zones[i]->role == ZONE_SECONDARY)
            snapshot_keeper_checked(server->snapshots, server->zones[i]);
    }
    pthread_mutex_unlock(&server->control);
}

void server_snapshots_tick(struct server *server)
{
    const int64_t now = time(NULL);
    /* Also when the clock was set back. */
    if (llabs(now - server->snapshots_told_at) < CHECKED_INTERVAL_S)
        return;
    server->snapshots_told_at = now;
    tell_checks(server);
}

void server_snapshots_stop(struct server *server)
{
    if (server->snapshots == NULL)
        return;
    tell_checks(server);
    snapshot_keeper_stop(server->snapshots, STOP_MS);
    server->snapshots = NULL;
}

/* ---- The start ---- */

/* Whether the journal has changes of the zone, and leads on from the snapshot. */
static bool has_chain(const struct zone_load *load, uint32_t serial, bool *ret_leads_on)
{
    const struct server *server = load->context;
    uint32_t first, last;
    if (server->journal == NULL || journal_range(server->journal, load->apex, &first, &last) < 0)
        return false;
    *ret_leads_on = (int32_t)(serial - first) >= 0 && (int32_t)(last - serial) >= 0;
    return true;
}

/* A file counts until the zone was updated; from then on snapshot and journal do. */
static int judge_file(const struct zone_load *load, const struct snapshot_info *info,
                      struct error *ret_error)
{
    if (info->source.kind != ZONE_SOURCE_FILE)
        return error_set_at(ret_error, -ESTALE, load->snapshot, 0, "of the zone as a secondary");
    struct zone_source now;
    bool leads_on = false;
    const bool is_updated = has_chain(load, info->soa.serial, &leads_on);
    if (is_updated && !leads_on)
        return error_set_at(ret_error, -ESTALE, load->snapshot, 0,
                            "of serial %u, from which the journal does not lead on",
                            info->soa.serial);
    if (!is_updated && info->soa.serial == info->source.serial &&
        (zone_file_source(load->path, &now) < 0 || !zone_file_source_equal(&now, &info->source)))
        return error_set_at(ret_error, -ESTALE, load->snapshot, 0,
                            "older than the zone file, which has changed since");
    return 0;
}

static int judge_transfer(const struct zone_load *load, const struct snapshot_info *info,
                          struct error *ret_error)
{
    if (info->source.kind != ZONE_SOURCE_TRANSFER)
        return error_set_at(ret_error, -ESTALE, load->snapshot, 0, "of the zone as a primary");
    const int64_t age_s = (int64_t)time(NULL) - info->source.checked_at;
    if (age_s * 1000 >= soa_expire_ms(&info->soa))
        return error_set_at(ret_error, -ETIME, load->snapshot, 0,
                            "expired: an origin last had serial %u %lld s ago, and its SOA allows "
                            "%u s",
                            info->soa.serial, (long long)age_s, info->soa.expire_s);
    return 0;
}

static void log_findings(const struct zone_load *load)
{
    char text[sizeof(load->error.file) + sizeof(load->error.text) + 16];
    size_t kept =
        load->finding_count < LOADER_FINDINGS_MAX ? load->finding_count : LOADER_FINDINGS_MAX;
    for (size_t i = 0; i < kept; i++)
        server_log(LOG_WARNING, "%s", error_format(&load->findings[i], text, sizeof(text)));
    if (load->finding_count > kept)
        server_log(LOG_WARNING, "%s: %llu more findings of this kind", load->path,
                   (unsigned long long)(load->finding_count - kept));
    if (load->data == NULL && load->error.code != 0)
        server_log(LOG_ERR, "%s", error_format(&load->error, text, sizeof(text)));
}

/* A snapshot that is merely behind is the way of things; a damaged one is not. */
static void log_unusable(const struct zone *zone, const struct zone_load *load)
{
    if (load->unusable.code == 0)
        return;
    bool is_behind = load->unusable.code == -ESTALE || load->unusable.code == -ENOTSUP ||
                     load->unusable.code == -EKEYREJECTED;
    char text[sizeof(load->unusable.file) + sizeof(load->unusable.text) + 16];
    server_log(is_behind ? LOG_INFO : LOG_WARNING, "zone %s: snapshot %s; %s instead", zone->text,
               error_format(&load->unusable, text, sizeof(text)),
               load->path != NULL ? "the zone file is read" : "the zone is transferred");
}

void server_warn_of_file(const struct zone *zone, const char *path)
{
    server_log(LOG_WARNING,
               "zone %s: file %s has changed, and so has the zone, by updates: it stays as the "
               "updates made it; \"tamis zone import %s %s\" takes the file over",
               zone->text, path, zone->text, path);
}

/* The zone file was changed by a person after the zone was by updates. */
static void warn_of_file(const struct zone *zone, const struct zone_load *load)
{
    const struct zone_source *source = &load->data->source;
    struct zone_source now;
    if (zone->role != ZONE_PRIMARY || !source->is_snapshot || source->file_size == 0 ||
        zone_file_source(load->path, &now) < 0 || zone_file_source_equal(&now, source))
        return;
    if (server_is_beyond_file(load->data))
        server_warn_of_file(zone, load->path);
    else /* it was imported, and the journal leads to that: a reload begins anew */
        server_log(LOG_WARNING, "zone %s: file %s has changed: \"tamis ctl reload\" reads it",
                   zone->text, load->path);
}

static void publish_load(struct server *server, struct zone *zone, struct zone_load *load)
{
    log_findings(load);
    log_unusable(zone, load);
    if (load->data == NULL) {
        if (load->error.code != 0)
            zone_last_error_set(zone, load->error.text);
        if (load->unusable.code == -ETIME) {
            zone_last_error_set(zone, load->unusable.text);
            atomic_store(&zone->status, ZONE_EXPIRED);
        }
        return;
    }

    const uint64_t names = load->data->name_count;
    const struct soa soa = load->data->soa;
    const struct zone_source source = load->data->source;
    if (source.kind == ZONE_SOURCE_TRANSFER) {
        /* The refresher goes on from here. */
        atomic_store(&zone->checked_at, source.checked_at);
        atomic_store(&zone->expires_at, source.checked_at + soa_expire_ms(&soa) / 1000);
    }
    warn_of_file(zone, load);
    if (load->replayed > 0)
        load->data->source.is_snapshot = false; /* the next one is to have it all */
    if (server_publish_first(server, zone, load->data) < 0) {
        zone_data_free(load->data);
        return;
    }
    char replayed[64] = "";
    if (load->replayed > 0)
        snprintf(replayed, sizeof(replayed), " and %llu commits of the journal",
                 (unsigned long long)load->replayed);
    server_log(LOG_INFO, "zone %s: %s%s, serial %u, %llu names in %.2f s", zone->text,
               source.is_snapshot ? "from its snapshot" : "loaded", replayed, soa.serial,
               (unsigned long long)names, load->took_s);
}

int server_load_zones(struct server *server, struct zone *const *zones, size_t zone_count,
                      struct error *ret_error)
{
    struct zone_load *loads = calloc(zone_count + 1, sizeof(*loads));
    if (loads == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    size_t count = 0;
    for (size_t i = 0; i < zone_count; i++) {
        struct zone *zone = zones[i];
        if (zone->role == ZONE_FORWARD)
            continue;
        const struct config_zone *config = zone->config;
        loads[count++] = (struct zone_load){
            .path = zone->role == ZONE_PRIMARY ? config->file : NULL,
            .apex = config->apex,
            .owner = zone,
            /* Without one for want of memory the source is read. */
            .snapshot = snapshot_keeper_path(server->snapshots, config->apex),
            .judge = zone->role == ZONE_PRIMARY ? judge_file : judge_transfer,
            .loaded = server_replay,
            .context = server,
        };
    }
    zone_loader_run(loads, count, 0);
    for (size_t i = 0; i < count; i++)
        publish_load(server, loads[i].owner, &loads[i]);
    zone_loads_free(loads, count);
    return 0;
}
