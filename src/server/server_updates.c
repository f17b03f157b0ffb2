/* Dynamic updates in the server: the journal, the thread that makes them, who may, and who is told
 * of a change. */
#include <errno.h>
#include <libknot/consts.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"

/* Of the journal, so much may be changes that no snapshot has: the journal cannot let go of them.
 * More make the snapshots come at once, and what remains is room for the updates meanwhile. */
#define UNSAVED_DIVISOR 4

/* ---- The journal ---- */

/* By clients, or by an origin that tells what has changed. */
static bool any_zone_changes(const struct config *config)
{
    for (size_t i = 0; i < config->zone_count; i++) {
        if (config->zones[i].kind == CONFIG_SECONDARY || config_zone_is_updated(&config->zones[i]))
            return true;
    }
    return false;
}

int server_journal_open(struct server *server, const struct config *config, struct error *ret_error)
{
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/journal", config->state);
    /* What earlier updates have made of a zone counts also when it takes no more of them. */
    if (server->journal != NULL || (!any_zone_changes(config) && access(folder, F_OK) != 0))
        return 0;

    const struct journal_limits limits = {.size_max = config->journal_size_max,
                                          .age_max_s = config->journal_age_max_s};
    struct error error;
    struct journal *journal = NULL;
    int rc = journal_open(folder, &limits, &journal, &error);
    if (rc == 0) /* transfers may be going on */
        __atomic_store_n(&server->journal, journal, __ATOMIC_RELEASE);
    struct journal_stats stats;
    if (rc == 0 && journal_stats(journal, &stats) == 0)
        server->unsaved_octets_max = stats.size_max / UNSAVED_DIVISOR;
    if (rc != -EBADMSG) {
        if (rc < 0)
            *ret_error = error;
        return rc;
    }
    /* Names that answer with what the snapshots have are worth more than none. */
    server_log(LOG_ERR,
               "%s; until then zones are served as of their snapshots and files, and no "
               "updates are taken",
               error.text);
    return 0;
}

/* ---- Permission ---- */

static bool permits(void *context, const struct zone *zone, const struct sockaddr *client,
                    const char *key_name, struct update_permission *ret_permission)
{
    struct server *server = context;
    return update_policy_permits(zone->config, client, key_name, &server->update_grant,
                                 ret_permission);
}

/* ---- Requests ---- */

/* Hands the request over; false when there is no room for it. */
static bool submit(struct server *server, const struct config_zone *zone,
                   const struct request *request, const struct reply_route *route)
{
    if (zone->kind == CONFIG_SECONDARY)
        return update_forwarder_submit(rcu_dereference(server->update_forwarder), route, zone,
                                       request->wire, request->size);
    return updater_submit(rcu_dereference(server->updater), route, request->wire, request->size,
                          request->tsig_offset, request->has_edns);
}

int server_take_update(void *context, struct zone *zone, const struct request *request,
                       const struct sockaddr *client, enum transport transport)
{
    struct server *server = context;
    const struct config_zone *config = rcu_dereference(zone->config);
    if (!config_zone_is_updated(config) && !config->forwards_updates)
        return KNOT_RCODE_REFUSED;
    if (config->kind == CONFIG_PRIMARY ? rcu_dereference(server->updater) == NULL
                                       : rcu_dereference(server->update_forwarder) == NULL)
        return KNOT_RCODE_SERVFAIL; /* the journal cannot be opened, or a thread not started */

    struct reply_route route;
    worker_route_current(client, transport, &route);
    if (submit(server, config, request, &route))
        return RESPONDER_DEFERRED;
    const struct reply none = {.route = &route};
    reply_send(&none, 1);
    return transport == TRANSPORT_UDP ? RESPONDER_SILENT : KNOT_RCODE_SERVFAIL;
}

/* ---- The thread ---- */

void server_zone_changed(struct server *server, struct zone *zone, size_t octets)
{
    /* From here on a snapshot is wanted, whether or not what was loaded can be told from what its
     * file has now. */
    if (zone->data->source.kind == ZONE_SOURCE_NONE)
        zone->data->source.kind = ZONE_SOURCE_FILE;
    if (server->snapshots != NULL)
        snapshot_keeper_changed(server->snapshots, zone, octets, server->unsaved_octets_max);
    server_tell_secondaries(server, zone);
    if (server->order_zones != NULL) {
        order_zones_arrives(server->order_zones, zone, zone->data);
        order_zones_changed(server->order_zones, zone);
    }
}

static void changed(void *context, struct zone *zone, size_t octets)
{
    server_zone_changed(context, zone, octets);
}

static void log_text(void *context, int level, const char *text)
{
    (void)context;
    server_log(level, "%s", text);
}

int server_updater_start(struct server *server, struct error *ret_error)
{
    if (server->journal == NULL || server->updater != NULL)
        return 0;
    const struct updater_options options = {
        .view = &server->view,
        .journal = server->journal,
        .keyring = server->tsig_keyring,
        .writing = &server->writing,
        .permits = permits,
        .changed = changed,
        .reply = reply_send,
        .log = log_text,
        .context = server,
    };
    struct updater *updater;
    int rc = updater_start(&options, &updater, ret_error);
    if (rc == 0)
        rcu_assign_pointer(server->updater, updater);
    return rc;
}

int server_update_forwarder_start(struct server *server, const struct config *config,
                                  struct error *ret_error)
{
    bool is_wanted = false;
    for (size_t i = 0; i < config->zone_count; i++)
        is_wanted |= config->zones[i].forwards_updates;
    if (!is_wanted || server->update_forwarder != NULL)
        return 0;
    struct update_forwarder *forwarder;
    int rc = update_forwarder_start(&forwarder, ret_error);
    if (rc == 0)
        rcu_assign_pointer(server->update_forwarder, forwarder);
    return rc;
}

int server_tsig_keyring_create(const struct config *config, struct tsig_keyring **ret_keyring,
                               struct error *ret_error)
{
    struct transfer_key *keys = calloc(config->key_count + 1, sizeof(*keys));
    if (keys == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < config->key_count; i++)
        keys[i] = (struct transfer_key){.name = config->keys[i].name,
                                        .algorithm = config->keys[i].algorithm,
                                        .secret = config->keys[i].secret};
    int rc = tsig_keyring_create(keys, config->key_count, ret_keyring, ret_error);
    free(keys);
    return rc;
}
