#include "server/server.h"

#include <ctype.h>
#include <errno.h>
#include <libknot/dname.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "order/timestamp.h"
#include "server/log.h"
#include "server/server_internal.h"
#include "server/server_transfers.h"

/* How nice threads are that work for long: at 10 one gets a tenth of what a worker gets, so that on
 * a loaded machine a reload or a transfer takes longer and answers do not. */
#define BACKGROUND_NICE 10

/* How long a stop waits for TCP clients to take their answers. */
#define DRAIN_MS 2000

/* How long "ready" waits for the first transfers; a zone that takes longer comes when it comes. */
#define FIRST_TRANSFER_S (30 * 60)

/* ---- Zones ---- */

int server_zone_create(const struct config_zone *config, struct zone **ret_zone)
{
    struct zone *zone = calloc(1, sizeof(*zone));
    if (zone == NULL)
        return -ENOMEM;
    zone->role = config->kind == CONFIG_PRIMARY     ? ZONE_PRIMARY
                 : config->kind == CONFIG_SECONDARY ? ZONE_SECONDARY
                                                    : ZONE_FORWARD;
    zone->config = (void *)config;
    atomic_store(&zone->transfer_only, config->use != CONFIG_ORDINARY);
    int rc = name_parse(&zone->name, config->apex, NAME_SIZE_MAX);
    if (rc > 0)
        rc = zone_data_create_empty(config->apex, &zone->data);
    if (rc < 0) {
        free(zone);
        return rc;
    }
    knot_dname_to_str(zone->text, config->apex, sizeof(zone->text));
    size_t size = strlen(zone->text);
    if (size > 1)
        zone->text[size - 1] = '\0';
    pthread_mutex_init(&zone->writer, NULL);
    *ret_zone = zone;
    return 0;
}

void server_zone_free(struct zone *zone)
{
    if (zone == NULL)
        return;
    zone_data_free(zone->data);
    pthread_mutex_destroy(&zone->writer);
    free(zone);
}

void server_zone_count(struct server *server, struct zone *zone)
{
    zone->counter = zone_counters_take(server->zone_counters);
}

void server_zone_uncount(struct server *server, struct zone *zone)
{
    zone_counters_give_back(server->zone_counters, zone->counter);
    zone->counter = 0;
}

bool server_is_beyond_file(const struct zone_data *data)
{
    return data->apex_entry != NULL && data->source.kind == ZONE_SOURCE_FILE &&
           data->soa.serial != data->source.serial;
}

static bool has_chain(const struct server *server, const struct zone *zone)
{
    uint32_t first, last;
    return server->journal != NULL &&
           journal_range(server->journal, zone->name.wire, &first, &last) == 0;
}

/* Lets go of what the zone was by updates or IXFR: its file counts again, and a snapshot that a
 * crash would leave from before would be taken for the latest of it. A copy of what an origin has
 * is served also where the journal cannot be written: a restart drops the chain that stays behind.
 */
static int begin_anew(const struct server *server, struct zone *zone)
{
    struct error error;
    if (zone->role != ZONE_PRIMARY) {
        if (journal_forget(server->journal, zone->name.wire, &error) < 0)
            server_log(LOG_WARNING, "zone %s: %s", zone->text, error.text);
        return 0;
    }
    char *path = snapshot_keeper_path(server->snapshots, zone->name.wire);
    if (path != NULL)
        (void)unlink(path); /* there may be none */
    free(path);
    int rc = journal_forget(server->journal, zone->name.wire, &error);
    if (rc < 0)
        zone_last_error_set(zone, error.text);
    return rc;
}

/* Swaps the data, under the lock of who changes it. */
static int swap_data(struct server *server, struct zone *zone, struct zone_data *data,
                     bool is_first, struct zone_data **ret_old)
{
    int rc = 0;
    pthread_mutex_lock(&zone->writer);
    if (!is_first && zone->role == ZONE_PRIMARY && server_is_beyond_file(zone->data))
        rc = -ESTALE;
    else if (!is_first && has_chain(server, zone))
        rc = begin_anew(server, zone);
    if (rc < 0) {
        pthread_mutex_unlock(&zone->writer);
        return rc;
    }
    pthread_mutex_lock(&server->control);
    *ret_old = zone->data;
    rcu_assign_pointer(zone->data, data);
    atomic_store(&zone->loaded_at, time(NULL));
    atomic_store(&zone->status, ZONE_SERVING);
    if (server->snapshots != NULL)
        snapshot_keeper_published(server->snapshots, zone);
    pthread_mutex_unlock(&server->control);
    pthread_mutex_unlock(&zone->writer);
    return 0;
}

static int publish(struct server *server, struct zone *zone, struct zone_data *data, bool is_first)
{
    /* The marks lock keeps activations out from before the marks to after the publication: an order
     * that came between would mark the old generation alone. */
    if (server->book != NULL) {
        order_book_marks_lock(server->book);
        int rc = order_book_mark(server->book, server->view.zones, data);
        if (rc < 0) {
            order_book_marks_unlock(server->book);
            zone_last_error_set(zone, "out of memory for the marks of the orders");
            return rc;
        }
    }
    struct zone_data *old;
    int rc = swap_data(server, zone, data, is_first, &old);
    if (server->book != NULL)
        order_book_marks_unlock(server->book);
    if (rc < 0)
        return rc;
    zone_last_error_set(zone, "");
    server_tell_secondaries(server, zone);
    /* Whoever else looked at the old generation did so under one of the locks, and is done. */
    zone_data_retire(old);
    if (server->order_zones != NULL)
        order_zones_changed(server->order_zones, zone);
    return 0;
}

int server_publish(struct server *server, struct zone *zone, struct zone_data *data)
{
    return publish(server, zone, data, false);
}

int server_publish_first(struct server *server, struct zone *zone, struct zone_data *data)
{
    return publish(server, zone, data, true);
}

int server_plan_loads(const struct config *config, struct zone_load **ret_loads, size_t *ret_count)
{
    struct zone_load *loads = calloc(config->zone_count + 1, sizeof(*loads));
    if (loads == NULL)
        return -ENOMEM;
    size_t count = 0;
    for (size_t i = 0; i < config->zone_count; i++) {
        struct config_zone *zone = &config->zones[i];
        if (zone->kind != CONFIG_PRIMARY)
            continue;
        loads[count].path = zone->file;
        loads[count].apex = zone->apex;
        loads[count].owner = zone;
        count++;
    }
    *ret_loads = loads;
    *ret_count = count;
    return 0;
}

static int create_zones(struct server *server, struct error *ret_error)
{
    const struct config *config = server->config;
    server->zones = calloc(config->zone_count + 1, sizeof(struct zone *));
    if (server->zones == NULL ||
        zone_counters_create(config->workers + server_forward_threads(config),
                             config->zone_counters_max, &server->zone_counters) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < config->zone_count; i++) {
        if (server_zone_create(&config->zones[i], &server->zones[i]) < 0)
            return error_set(ret_error, -ENOMEM, "out of memory");
        server_zone_count(server, server->zones[i]);
        server->zone_count++;
    }
    struct zone_set *set;
    if (zone_set_create(server->zones, server->zone_count, &set) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    rcu_assign_pointer(server->view.zones, set);
    return 0;
}

/* ---- Orders ---- */

int server_order_policy(const struct config *config, struct order_keyring_entry **ret_keyring,
                        struct order_policy *ret_policy)
{
    struct order_keyring_entry *keyring = calloc(config->signer_count + 1, sizeof(*keyring));
    if (keyring == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < config->signer_count; i++) {
        keyring[i].name = config->signers[i].name;
        keyring[i].public_key = config->signers[i].public_key;
    }
    *ret_keyring = keyring;
    *ret_policy = (struct order_policy){
        .keyring = keyring,
        .keyring_count = config->signer_count,
        .signatures_min = config->signatures_min,
    };
    return 0;
}

void server_log_order_findings(const struct order_result *result)
{
    /* A list of a million bad lines must not become a log of a million lines. */
    const size_t shown_max = 20;
    const struct order *order = order_result_order(result);
    for (size_t i = 0; i < order->finding_count && i < shown_max; i++) {
        char text[700];
        server_log(LOG_WARNING, "order %s: %s:%u: %s", order->id, order->findings[i].file,
                   order->findings[i].line,
                   order_finding_format(&order->findings[i], text, sizeof(text)));
    }
    if (order->finding_total > shown_max)
        server_log(LOG_WARNING,
                   "order %s: %llu more findings: \"tamis ctl orders --json\" lists them",
                   order->id, (unsigned long long)(order->finding_total - shown_max));
}

void server_orders_from_config(struct server *server, const struct config *config,
                               void (*report)(void *context, const struct error *error),
                               void *context)
{
    for (size_t i = 0; i < config->order_file_count; i++) {
        struct order_result result;
        struct error error;
        int rc = order_book_activate(server->book, config->order_files[i], false, ORDER_FROM_CONFIG,
                                     &result, &error);
        if (rc < 0) {
            report(context, &error);
            continue;
        }
        if (result.unchanged) {
            order_result_clear(&result);
            continue;
        }
        server_log_order_findings(&result);
        server_log(LOG_INFO, "order %s: active, %llu names marked, %llu refused, in %.1f ms",
                   order_result_order(&result)->id, (unsigned long long)result.marked,
                   (unsigned long long)result.refused, result.took_ms);
        order_result_clear(&result);
    }
}

static void log_error(const struct error *error)
{
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    server_log(error->code == -ECANCELED || error->code == -ETIME ? LOG_INFO : LOG_ERR, "%s",
               error_format(error, text, sizeof(text)));
}

static void log_config_order_error(void *context, const struct error *error)
{
    (void)context;
    log_error(error);
}

static int create_orders(struct server *server, struct error *ret_error)
{
    char directory[PATH_MAX];
    if (mkdir(server->config->state, 0750) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, server->config->state, 0,
                            "cannot make the state folder: %s", strerror(errno));
    snprintf(directory, sizeof(directory), "%s/orders", server->config->state);
    struct order_policy policy;
    if (server_order_policy(server->config, &server->keyring, &policy) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = order_book_create(&server->view, &server->control, directory,
                               server->config->workers + server_forward_threads(server->config),
                               &policy, &server->book, ret_error);
    if (rc < 0)
        return rc;
    server_orders_from_config(server, server->config, log_config_order_error, NULL);
    order_book_restore(server->book, log_error);
    return 0;
}

static void report_ended(const struct order *order)
{
    char ends[TIMESTAMP_SIZE];
    server_log(LOG_INFO, "order %s: ended at %s", order->id, timestamp_write(order->ends, ends));
}

void server_tick(struct server *server)
{
    order_book_tick(server->book, time(NULL), report_ended);
    server_snapshots_tick(server);
}

/* ---- Refreshing ---- */

static void refresh_expire(void *context, struct zone *zone)
{
    struct server *server = context;
    atomic_store(&zone->status, ZONE_EXPIRED);
    order_zones_changed(server->order_zones, zone);
}

static void refresh_log(void *context, int level, const char *text)
{
    (void)context;
    server_log(level, "%s", text);
}

static void plan_free(struct refresh_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free((struct transfer_source *)plan->zones[i].sources); /* ours; the refresher only reads */
    free(plan->zones);
    free(plan->keys);
    *plan = (struct refresh_plan){0};
}

static int plan_zone(struct refresh_plan *plan, struct zone *zone)
{
    const struct config_zone *config = zone->config;
    struct refresh_zone *planned = &plan->zones[plan->count];
    struct transfer_key *key = &plan->keys[plan->count];
    planned->zone = zone;
    planned->zonemd = config->zonemd;
    struct transfer_source *sources = calloc(config->from_count + 1, sizeof(*sources));
    if (sources == NULL)
        return -ENOMEM;
    planned->sources = sources;
    planned->source_count = config->from_count;
    if (config->key != NULL)
        *key = (struct transfer_key){.name = config->key->name,
                                     .algorithm = config->key->algorithm,
                                     .secret = config->key->secret};
    for (size_t i = 0; i < config->from_count; i++)
        sources[i] = (struct transfer_source){
            .origin = (const struct sockaddr *)&config->from[i].address,
            .origin_size = config->from[i].size,
            .key = config->key != NULL ? key : NULL,
            .tls = config->tls,
            .total_timeout_ms = config->transfer_time_max_ms,
            .size_max = config->transfer_size_max,
        };
    plan->count++;
    return 0;
}

/* The secondary zones of the configuration, or the members of the catalog. */
static int plan_secondaries(struct server *server, bool members, struct refresh_plan *plan)
{
    pthread_mutex_lock(&server->control); /* zones that are no secondaries may come and go */
    plan->zones = calloc(server->zone_count + 1, sizeof(*plan->zones));
    plan->keys = calloc(server->zone_count + 1, sizeof(*plan->keys));
    int rc = plan->zones == NULL || plan->keys == NULL ? -ENOMEM : 0;
    for (size_t i = 0; i < server->zone_count && rc == 0; i++) {
        struct zone *zone = server->zones[i];
        const struct config_zone *config = zone->config;
        if (zone->role == ZONE_SECONDARY && config->is_member == members)
            rc = plan_zone(plan, zone);
    }
    pthread_mutex_unlock(&server->control);
    return rc;
}

static int start_refresher(struct server *server, bool members, struct refresh_plan *ret_plan,
                           struct refresher **ret_refresher, struct error *ret_error)
{
    struct refresh_plan plan = {0};
    int rc = plan_secondaries(server, members, &plan);
    if (rc < 0) {
        plan_free(&plan);
        return error_set(ret_error, rc, "out of memory");
    }
    if (plan.count == 0) {
        plan_free(&plan);
        return 0;
    }

    const struct refresh_handlers handlers = {.publish = server_take_zone,
                                              .change = server_take_changes,
                                              .expire = refresh_expire,
                                              .log = refresh_log,
                                              .context = server};
    const unsigned threads = 4; /* so that three dead origins leave one for the others */
    struct refresher *refresher;
    rc = refresher_start(plan.zones, plan.count, threads, &handlers, &refresher, ret_error);
    if (rc < 0) {
        plan_free(&plan);
        return rc;
    }
    *ret_plan = plan;
    rcu_assign_pointer(*ret_refresher, refresher);
    return 0;
}

static void stop_refresher(struct refresh_plan *plan, struct refresher **published)
{
    struct refresher *refresher = *published;
    if (refresher == NULL)
        return;
    /* A worker that found the refresher before this is done with it after the grace period. A
     * NOTIFY that comes until the next one starts is answered and not acted upon: who starts that
     * one asks for a check of every zone. */
    rcu_assign_pointer(*published, NULL);
    synchronize_rcu();
    refresher_stop(refresher);
    plan_free(plan);
}

int server_refresh_start(struct server *server, struct error *ret_error)
{
    return start_refresher(server, false, &server->plan, &server->refresher, ret_error);
}

void server_refresh_stop(struct server *server)
{
    stop_refresher(&server->plan, &server->refresher);
}

int server_members_start(struct server *server, struct error *ret_error)
{
    int rc =
        start_refresher(server, true, &server->member_plan, &server->member_refresher, ret_error);
    for (size_t i = 0; i < server->member_plan.count; i++) {
        /* Of one that waits for its first data there is nothing to be missed. */
        const struct zone *zone = server->member_plan.zones[i].zone;
        if (atomic_load(&zone->loaded_at) != 0)
            refresher_poke(server->member_refresher, zone, 0);
    }
    return rc;
}

void server_members_stop(struct server *server)
{
    stop_refresher(&server->member_plan, &server->member_refresher);
}

/* ---- Responders ---- */

static bool notify_allowed(void *context, const struct zone *zone, const struct sockaddr *client,
                           const char *key_name)
{
    (void)context;
    const struct config_zone *config = rcu_dereference(zone->config);
    return config_access_allows(config->allow_notify, config->allow_notify_count, client, key_name);
}

static bool transfer_allowed(void *context, const struct zone *zone, const struct sockaddr *client,
                             const char *key_name)
{
    (void)context;
    const struct config_zone *config = rcu_dereference(zone->config);
    return config_access_allows(config->allow_transfer, config->allow_transfer_count, client,
                                key_name);
}

static void notified(void *context, struct zone *zone, uint32_t serial)
{
    struct server *server = context;
    struct refresher *const refreshers[] = {rcu_dereference(server->refresher),
                                            rcu_dereference(server->member_refresher)};
    for (size_t i = 0; i < 2; i++)
        if (refreshers[i] != NULL)
            refresher_poke(refreshers[i], zone, serial); /* who does not have it ignores it */
}

/* NSID is text, or octets written as 0x and hexadecimal digits, which the configuration has
 * checked. */
static int parse_nsid(struct server *server)
{
    const char *text = server->config->nsid;
    if (text == NULL)
        return 0;
    size_t size = strlen(text);
    server->nsid = malloc(size + 1);
    if (server->nsid == NULL)
        return -ENOMEM;
    if (strncmp(text, "0x", 2) != 0) {
        memcpy(server->nsid, text, size);
        server->nsid_size = size;
        return 0;
    }
    for (const char *at = text + 2;
         isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]); at += 2) {
        char pair[3] = {at[0], at[1], '\0'};
        server->nsid[server->nsid_size++] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return 0;
}

/* What the configuration says, or the default; NULL when it is "" and the question is refused. */
static const char *chaos_answer(const char *configured, const char *preset)
{
    if (configured == NULL)
        return preset;
    return configured[0] == '\0' ? NULL : configured;
}

struct responder_options server_responder_options(struct server *server, unsigned worker)
{
    const struct config *config = server->first_config;
    return (struct responder_options){
        .view = &server->view,
        .worker = worker,
        .udp_payload_max = config->udp_payload_max,
        .tcp_idle_timeout_ms = config->tcp_idle_timeout_ms,
        .nsid = server->nsid,
        .nsid_size = server->nsid_size,
        .version = chaos_answer(config->version, server->version),
        .identity = chaos_answer(config->identity, server->identity),
        .keyring = server->tsig_keyring,
        .error_reports = server->error_reports,
        .listed = server->listed,
        .zone_counts = zone_counters_of(server->zone_counters, worker),
        .notify_allowed = notify_allowed,
        .notified = notified,
        .transfer_allowed = transfer_allowed,
        .transfer = server_take_transfer,
        .update = server_take_update,
        .forward = server_take_forward,
        .context = server,
    };
}

static int create_responders(struct server *server, struct error *ret_error)
{
    const struct config *config = server->config;
    snprintf(server->version, sizeof(server->version), "tamis %s", TAMIS_VERSION);
    if (gethostname(server->identity, sizeof(server->identity) - 1) < 0)
        snprintf(server->identity, sizeof(server->identity), "unknown");
    server->responders = calloc(config->workers, sizeof(struct responder *));
    if (server->responders == NULL || parse_nsid(server) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    if (config->error_agent != NULL &&
        error_reports_create(config->error_agent, &server->error_reports) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = server_tsig_keyring_create(config, &server->tsig_keyring, ret_error);
    if (rc == 0 && config->dnstap != NULL)
        rc = listed_answers_start(config->dnstap, config->workers + server_forward_threads(config),
                                  &server->listed, ret_error);
    if (rc < 0)
        return rc;

    for (unsigned i = 0; i < config->workers; i++) {
        const struct responder_options options = server_responder_options(server, i);
        rc = responder_create(&options, &server->responders[i], ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static size_t answer(void *context, const uint8_t *request, size_t request_size,
                     const struct sockaddr *client, enum transport transport, int64_t now,
                     uint8_t *response, size_t response_max)
{
    return responder_answer(context, request, request_size, client, transport, now, response,
                            response_max);
}

static void answer_batch(void *context, struct responder_datagram *datagrams, size_t count,
                         int64_t now, size_t response_max)
{
    responder_answer_batch(context, datagrams, count, now, response_max);
}

static int start_workers(struct server *server, struct error *ret_error)
{
    const struct config *config = server->config;
    const size_t listen_count = config->listen_count + config->tls.listen_count;
    struct worker_address *listen = calloc(listen_count + 1, sizeof(*listen));
    if (listen == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < config->listen_count; i++)
        listen[i] = (struct worker_address){.address = config->listen[i].address,
                                            .size = config->listen[i].size};
    for (size_t i = 0; i < config->tls.listen_count; i++)
        listen[config->listen_count + i] =
            (struct worker_address){.address = config->tls.listen[i].address,
                                    .size = config->tls.listen[i].size,
                                    .is_tls = true};
    struct worker_options options = {
        .listen = listen,
        .listen_count = listen_count,
        .worker_count = config->workers,
        .tcp_clients_max = config->tcp_clients_max,
        .tcp_clients_per_address_max = config->tcp_clients_per_address_max,
        .tcp_idle_timeout_ms = config->tcp_idle_timeout_ms,
        .tls = server->tls,
        .answer = answer,
        .answer_batch = answer_batch,
        .contexts = (void **)server->responders,
    };
    int rc = worker_pool_start(&options, &server->pool, ret_error);
    free(listen);
    return rc;
}

/* ---- The whole ---- */

void server_yield_to_workers(void)
{
    errno = 0;
    int nice_now = getpriority(PRIO_PROCESS, 0); /* on Linux: of the calling thread */
    if (errno == 0 && nice_now < BACKGROUND_NICE)
        (void)setpriority(PRIO_PROCESS, 0, BACKGROUND_NICE); /* best effort */
}

static int start_all(struct server *server, struct error *ret_error)
{
    int rc = create_zones(server, ret_error);
    if (rc == 0)
        rc = server_snapshots_create(server, ret_error);
    if (rc == 0)
        rc = server_journal_open(server, server->config, ret_error);
    if (rc == 0)
        rc = server_load_zones(server, server->zones, server->zone_count, ret_error);
    if (rc == 0)
        rc = create_orders(server, ret_error);
    if (rc == 0)
        rc = order_zones_create(server, &server->order_zones, ret_error);
    if (rc == 0)
        order_zones_load(server->order_zones);
    if (rc == 0)
        rc = order_publisher_create(server, &server->order_publisher, ret_error);
    if (rc == 0)
        rc = create_responders(server, ret_error);
    if (rc == 0)
        rc = server_tls_start(server, ret_error);
    if (rc == 0)
        rc = server_updater_start(server, ret_error);
    if (rc == 0)
        rc = server_sender_start(server, ret_error);
    if (rc == 0)
        rc = server_update_forwarder_start(server, server->config, ret_error);
    if (rc == 0)
        rc = server_forwarding_start(server, server->config, FORWARD_OTHERS_GO, ret_error);
    if (rc == 0)
        rc = start_workers(server, ret_error);
    if (rc == 0 && server->config->control != NULL)
        rc = control_server_start(server->config->control, server_commands, server_command_count,
                                  server, &server->control_server, ret_error);
    if (rc == 0)
        server_yield_to_workers();
    if (rc == 0 && server->config->has_metrics) {
        server->metrics_source = (struct metrics_source){
            .write = server_write_metrics, .healthy = server_is_healthy, .context = server};
        rc = metrics_server_start((const struct sockaddr *)&server->config->metrics.address,
                                  server->config->metrics.size, &server->metrics_source,
                                  &server->metrics_server, ret_error);
    }
    if (rc == 0)
        rc = server_notifier_start(server, false, ret_error); /* before zones come and go */
    if (rc == 0)
        rc = order_zones_start(server->order_zones, ret_error);
    if (rc == 0)
        rc = order_publisher_start(server->order_publisher, ret_error);
    if (rc == 0)
        rc = server_refresh_start(server, ret_error);
    for (size_t i = 0; rc == 0 && i < server->plan.count; i++) {
        /* Last checked before the start, and a NOTIFY may have come since to nobody. */
        const struct zone *zone = server->plan.zones[i].zone;
        if (atomic_load(&zone->loaded_at) != 0)
            refresher_poke(server->refresher, zone, 0);
    }
    /* Writing begins when nothing is left to be loaded that would have to share the cores with it.
     */
    if (rc == 0)
        rc = snapshot_keeper_start(server->snapshots, ret_error);
    return rc;
}

int server_start(struct config *config, struct server **ret_server, struct error *ret_error)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        config_free(config);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    server->first_config = server->config = config;
    server->started_at = time(NULL);
    pthread_mutex_init(&server->control, NULL);
    pthread_mutex_init(&server->reload, NULL);
    pthread_mutex_init(&server->membership, NULL);
    pthread_mutex_init(&server->writing, NULL);
    pthread_mutex_init(&server->telling, NULL);

    int rc = start_all(server, ret_error);
    if (rc < 0) {
        server_stop(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

bool server_is_ready(struct server *server)
{
    if (time(NULL) - server->started_at >= FIRST_TRANSFER_S)
        return true;
    /* A reload may be about to stop the refresher; what it starts instead is asked next time. */
    if (pthread_mutex_trylock(&server->reload) != 0)
        return false;
    bool ready = (server->refresher == NULL || refresher_has_tried_all(server->refresher)) &&
                 order_zones_are_settled(server->order_zones) &&
                 order_publisher_is_settled(server->order_publisher);
    pthread_mutex_unlock(&server->reload);
    return ready;
}

void server_stop(struct server *server)
{
    if (server == NULL)
        return;
    if (server->control_server != NULL)
        control_server_stop(server->control_server);
    if (server->metrics_server != NULL)
        metrics_server_stop(server->metrics_server);
    order_publisher_stop(server->order_publisher);
    order_zones_stop(server->order_zones);
    server_refresh_stop(server);
    worker_pool_drain(server->pool, DRAIN_MS);
    updater_stop(server->updater); /* answers all that the workers took */
    update_forwarder_stop(server->update_forwarder);
    server_forwarding_stop(server);
    server_notifier_stop(server, false);
    server_notifier_stop(server, true);
    transfer_sender_stop(server->sender);
    worker_pool_stop(server->pool, 0);
    transfer_sender_free(server->sender);
    tls_server_free(server->tls);
    server_snapshots_stop(server);
    journal_close(server->journal);

    order_publisher_free(server->order_publisher);
    order_zones_free(server->order_zones);
    order_book_free(server->book);
    for (unsigned i = 0; server->responders != NULL && i < server->first_config->workers; i++)
        responder_free(server->responders[i]);
    free(server->responders);
    server_forwarding_free(server);
    tsig_keyring_free(server->tsig_keyring);
    free(server->nsid);
    zone_set_free(server->view.zones);
    for (size_t i = 0; i < server->zone_count; i++)
        server_zone_free(server->zones[i]);
    free(server->zones);
    zone_counters_free(server->zone_counters);
    listed_answers_stop(server->listed);
    error_reports_free(server->error_reports);
    free(server->keyring);
    if (server->config != server->first_config)
        config_free(server->config);
    config_free(server->first_config);
    pthread_mutex_destroy(&server->control);
    pthread_mutex_destroy(&server->reload);
    pthread_mutex_destroy(&server->membership);
    pthread_mutex_destroy(&server->writing);
    pthread_mutex_destroy(&server->telling);
    free(server);
}
