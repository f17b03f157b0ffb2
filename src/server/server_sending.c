/* Zones on their way out, in the server: who may have one, what is sent by whom, and who is told
 * that there is news. */
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"

/* Threads that make messages. One makes 240 MB a second, and two keep a large zone from holding up
 * a small one. */
#define SENDER_THREADS 2

static void log_text(void *context, int level, const char *text)
{
    (void)context;
    server_log(level, "%s", text);
}

/* ---- Sending ---- */

int server_take_transfer(void *context, const struct zone *zone, const struct request *request,
                         const struct tsig_server *tsig, const struct sockaddr *client,
                         enum transport transport, size_t datagram_max)
{
    struct server *server = context;
    const struct config_zone *config = rcu_dereference(zone->config);
    if (!config_access_allows(config->allow_transfer, config->allow_transfer_count, client,
                              tsig != NULL ? tsig->key_name : NULL))
        return KNOT_RCODE_REFUSED; /* RFC 5936, 2.2.1 */
    if (atomic_load_explicit(&zone->status, memory_order_relaxed) != ZONE_SERVING)
        return KNOT_RCODE_SERVFAIL;

    struct reply_route route;
    worker_route_current(client, transport, &route);
    const struct transfer_order order = {
        .route = &route, .request = request, .tsig = tsig, .datagram_max = datagram_max};
    if (transfer_sender_submit(server->sender, &order))
        return RESPONDER_DEFERRED;
    const struct reply none = {.route = &route};
    reply_send(&none, 1);
    return KNOT_RCODE_SERVFAIL;
}

int server_sender_start(struct server *server, struct error *ret_error)
{
    const struct transfer_sender_options options = {
        .view = &server->view,
        .journal = &server->journal,
        .writing = &server->writing,
        .threads = SENDER_THREADS,
        .udp_payload_max = server->config->udp_payload_max,
        .reply = reply_send,
        .thread_begins = server_yield_to_workers,
        .log = log_text,
        .context = server,
    };
    return transfer_sender_start(&options, &server->sender, ret_error);
}

/* ---- Telling ---- */

static void plan_clear(struct notify_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        free((struct notify_target *)plan->zones[i].targets); /* ours; the notifier only reads */
    free(plan->zones);
    free(plan->keys);
    *plan = (struct notify_plan){0};
}

static int plan_zone(struct notify_plan *plan, const struct zone *zone, struct transfer_key *keys)
{
    const struct config_zone *config = zone->config;
    struct notify_target *targets = calloc(config->notify_count, sizeof(*targets));
    if (targets == NULL)
        return -ENOMEM;
    plan->zones[plan->count++] = (struct notify_zone){
        .zone = zone, .targets = targets, .target_count = config->notify_count};
    for (size_t i = 0; i < config->notify_count; i++) {
        const struct config_notify *notify = &config->notify[i];
        targets[i].address = (const struct sockaddr *)&notify->address.address;
        targets[i].size = notify->address.size;
        if (notify->key == NULL)
            continue;
        keys[i] = (struct transfer_key){.name = notify->key->name,
                                        .algorithm = notify->key->algorithm,
                                        .secret = notify->key->secret};
        targets[i].key = &keys[i];
    }
    return 0;
}

static bool is_told(const struct zone *zone, bool members)
{
    const struct config_zone *config = zone->config;
    return zone->role != ZONE_FORWARD && config->notify_count > 0 && config->is_member == members;
}

/* The control lock is held. */
static int plan_held(const struct server *server, bool members, struct notify_plan *plan)
{
    size_t zone_count = 0, target_count = 0;
    for (size_t i = 0; i < server->zone_count; i++) {
        if (!is_told(server->zones[i], members))
            continue;
        zone_count++;
        target_count += ((const struct config_zone *)server->zones[i]->config)->notify_count;
    }
    plan->zones = calloc(zone_count + 1, sizeof(*plan->zones));
    plan->keys = calloc(target_count + 1, sizeof(*plan->keys));
    if (plan->zones == NULL || plan->keys == NULL)
        return -ENOMEM;
    struct transfer_key *keys = plan->keys;
    for (size_t i = 0; i < server->zone_count; i++) {
        const struct zone *zone = server->zones[i];
        if (!is_told(zone, members))
            continue;
        const int rc = plan_zone(plan, zone, keys);
        if (rc < 0)
            return rc;
        keys += ((const struct config_zone *)zone->config)->notify_count;
    }
    return 0;
}

static int plan_all(struct server *server, bool members, struct notify_plan *plan)
{
    pthread_mutex_lock(&server->control); /* members may come and go */
    const int rc = plan_held(server, members, plan);
    pthread_mutex_unlock(&server->control);
    return rc;
}

/* The SOA as queries see it now: by RCU, so that a commit which waits for the disk makes nobody
 * wait here. */
static bool read_soa(void *context, const struct zone *zone, uint8_t *ret_rdata, uint16_t *ret_size,
                     uint32_t *ret_ttl_s)
{
    (void)context;
    rcu_register_thread();
    const struct zone_data *data = rcu_dereference(zone->data);
    const struct name_entry *apex = rcu_dereference(data->apex_entry);
    struct rrset soa;
    const bool found = atomic_load(&zone->status) == ZONE_SERVING && apex != NULL &&
                       name_entry_rrset(apex, KNOT_RRTYPE_SOA, &soa) &&
                       soa.size - 2 <= NOTIFY_SOA_SIZE_MAX;
    if (found) {
        *ret_size = (uint16_t)(soa.size - 2);
        *ret_ttl_s = soa.ttl;
        memcpy(ret_rdata, soa.data + 2, soa.size - 2);
    }
    rcu_unregister_thread();
    return found;
}

int server_notifier_start(struct server *server, bool members, struct error *ret_error)
{
    struct notify_plan plan = {0};
    if (plan_all(server, members, &plan) < 0) {
        plan_clear(&plan);
        return error_set(ret_error, -ENOMEM, "out of memory");
    }
    if (plan.count == 0) {
        plan_clear(&plan);
        return 0;
    }
    const struct notifier_handlers handlers = {.soa = read_soa, .log = log_text, .context = server};
    struct notifier *notifier;
    const int rc = notifier_start(plan.zones, plan.count, &handlers, &notifier, ret_error);
    if (rc < 0) {
        plan_clear(&plan);
        return rc;
    }
    /* What changed while nobody could tell, or since the last run: a secondary that has it says so
     * by one answer. */
    for (size_t i = 0; i < plan.count; i++)
        notifier_tell(notifier, plan.zones[i].zone);
    pthread_mutex_lock(&server->telling);
    server->notifiers[members] = notifier;
    server->notify_plans[members] = plan;
    pthread_mutex_unlock(&server->telling);
    return 0;
}

void server_notifier_stop(struct server *server, bool members)
{
    pthread_mutex_lock(&server->telling);
    struct notifier *notifier = TAKE(server->notifiers[members]);
    struct notify_plan plan = server->notify_plans[members];
    server->notify_plans[members] = (struct notify_plan){0};
    if (notifier != NULL) {
        struct notifier_counters counters;
        notifier_counters(notifier, &counters);
        notifier_counters_add(&server->notified, &counters);
    }
    pthread_mutex_unlock(&server->telling);
    notifier_stop(notifier);
    plan_clear(&plan);
}

void server_tell_secondaries(struct server *server, const struct zone *zone)
{
    pthread_mutex_lock(&server->telling);
    for (size_t i = 0; i < 2; i++)
        if (server->notifiers[i] != NULL)
            notifier_tell(server->notifiers[i], zone); /* who does not have it ignores it */
    pthread_mutex_unlock(&server->telling);
}
