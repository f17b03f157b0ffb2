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

int server_take_update(void *context, struct zone *zone, const struct request *request,
                       const struct sockaddr *client, enum transport transport)
{
    struct server *server = context;
    if (!config_zone_is_updated(rcu_dereference(zone->config)))
        return KNOT_RCODE_REFUSED;
    struct updater *updater = rcu_dereference(server->updater);
    if (updater == NULL)
        return KNOT_RCODE_SERVFAIL; /* the journal cannot be opened */

    struct reply_route route;
    worker_route_current(client, transport, &route);
    if (updater_submit(updater, &route, request->wire, request->size, request->tsig_offset,
                       request->has_edns))
        return RESPONDER_DEFERRED;
    const struct reply none = {.route = &route};
    reply_send(&none, 1);
    return transport == TRANSPORT_UDP ? RESPONDER_SILENT : KNOT_RCODE_SERVFAIL;
}

/* ---- The thread ---- */

void server_zone_changed(struct server *server, struct zone *zone)
{
    /* From here on a snapshot is wanted, whether or not what was loaded can be told from what its
     * file has now. */
    if (zone->data->source.kind == ZONE_SOURCE_NONE)
        zone->data->source.kind = ZONE_SOURCE_FILE;
    if (server->snapshots != NULL)
        snapshot_keeper_changed(server->snapshots, zone);
    server_tell_secondaries(server, zone);
    if (server->order_zones != NULL) {
        order_zones_arrives(server->order_zones, zone, zone->data);
        order_zones_changed(server->order_zones, zone);
    }
}

static void changed(void *context, struct zone *zone)
{
    server_zone_changed(context, zone);
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
