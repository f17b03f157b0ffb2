/* tamisd as a whole: zones, orders, workers, refreshing, control and metrics, started and stopped
 * together.
 *
 * Locks, in the order in which they are taken; query threads take none of them:
 * - `reload` serializes reloads, which parse for as long as it takes, and guards what they alone
 *   use: `config`, `keyring`, `plan` and the life of the refresher.
 * - `membership` makes the two threads take turns that add and remove zones beside the
 *   configuration's (order_zones.h, order_publisher.h); a reload stops both.
 * - the order book's marks lock (server/order_book.h): who publishes a zone or its data holds it.
 * - `writing` keeps zones and their configuration where they are for the threads that make updates
 *   and begin transfers: who swaps them holds it, and they meanwhile, during a write to the journal
 *   too.
 * - a zone's `writer` (zone/zone.h): who changes its data or publishes other data holds it.
 * - `control` guards what the control side shows and changes (the zones, their data, the orders)
 * and is held for milliseconds. A pointer to a zone, its data or an order that was found under it
 * is not used after it, but for an order that one took a reference to.
 * - `telling` keeps the notifier there for who tells it something; the last one of all.
 */
#pragma once

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "front/forwarder.h"
#include "server/config.h"
#include "server/error_reports.h"
#include "server/listed_answers.h"
#include "server/notifier.h"
#include "server/order_book.h"
#include "server/order_publisher.h"
#include "server/order_zones.h"
#include "server/refresh.h"
#include "server/responder.h"
#include "server/snapshot_keeper.h"
#include "server/tls_server.h"
#include "server/transfer_sender.h"
#include "server/update_forwarder.h"
#include "server/update_policy.h"
#include "server/updater.h"
#include "server/worker.h"
#include "server/zone_counters.h"
#include "service/control.h"
#include "service/metrics.h"

/* What a refresher works on; lives as long as it. */
struct refresh_plan {
    struct refresh_zone *zones;
    struct transfer_key *keys;
    size_t count;
};

/* What a notifier works on; lives as long as it. */
struct notify_plan {
    struct notify_zone *zones;
    struct transfer_key *keys;
    size_t count;
};

struct server {
    struct config *first_config; /* of the start: sockets and responders keep what it says */
    struct config *config;       /* the running one; the same until the first reload */
    pthread_mutex_t control, reload, writing;

    struct responder_view view;
    struct zone **zones;
    size_t zone_count;
    struct zone_counters *zone_counters;
    struct listed_answers *listed;       /* NULL: nobody is told of what orders decide */
    struct error_reports *error_reports; /* NULL: answers name no agent */
    struct order_book *book;
    struct order_keyring_entry *keyring; /* of `config` */

    char version[64], identity[256];
    uint8_t *nsid;
    size_t nsid_size;
    struct tsig_keyring *tsig_keyring; /* of `first_config` */
    struct responder **responders;     /* one a worker */
    struct tls_server *tls;            /* NULL: no TLS */
    struct worker_pool *pool;

    struct journal *journal;          /* NULL: no zone was ever updated, or it is damaged */
    uint64_t unsaved_octets_max;      /* of it, that no snapshot has */
    struct updater *updater;          /* RCU; NULL without a journal */
    struct update_grant update_grant; /* the updater's */
    struct transfer_sender *sender;
    /* Over the notifiers: of the configuration's zones, which goes and comes with a reload, and of
     * all others, whenever one of them does. NULL: there is nobody to tell. */
    pthread_mutex_t telling;
    struct notifier *notifiers[2];
    struct notify_plan notify_plans[2];
    struct notifier_counters notified;         /* by those that are gone */
    struct update_forwarder *update_forwarder; /* RCU; NULL: no zone forwards updates */
    struct forwarder *forwarder;               /* RCU; NULL: no zone was ever forwarded */
    struct cache_pages *cache_pages;           /* NULL: there is no cache */
    struct cache_saver *cache_saver;           /* NULL: the cache does not persist */
    struct responder **forward_responders;     /* one a thread of the forwarder */
    struct forward_outbox **forward_outboxes;  /* likewise */
    uint8_t *forward_buffers;                  /* RESPONSE_SIZE_MAX for each of them */
    struct snapshot_keeper *snapshots;
    int64_t snapshots_told_at;   /* when the keeper was last told of checks */
    struct refresher *refresher; /* RCU: workers poke it */
    struct refresh_plan plan;
    pthread_mutex_t membership; /* in server_zones_change(): two threads make zones */
    struct order_publisher *order_publisher;
    struct order_zones *order_zones;
    struct refresher *member_refresher; /* RCU; of the catalog's members, which come and go */
    struct refresh_plan member_plan;    /* only order_zones.c uses both */
    struct control_server *control_server;
    struct metrics_server *metrics_server;
    struct metrics_source metrics_source;
    int64_t started_at;
};

/* Takes the configuration over. Loads, binds, serves; transfers go on in the background. On failure
 * everything is undone. */
_must_check_ int server_start(struct config *config, struct server **ret_server,
                              struct error *ret_error);

/* Whether every zone that can be served is: each secondary was tried once, or has had long enough.
 * Never waits. */
bool server_is_ready(struct server *server);

/* Drains and frees. */
void server_stop(struct server *server);

/* Once a second: puts ended orders away. */
void server_tick(struct server *server);

/* Reads the configuration, all zone files and orders again. What is broken keeps its old generation
 * and is told in the result, {"zones": {...}, "orders": {...}, "findings": [...]}. Sockets,
 * workers, state folder, keys of clients and identity stay as they were started. */
_must_check_ int server_reload(struct server *server, json_t **ret_result, struct error *ret_error);

/* Commands of the control socket; `context` is the server. */
extern const struct control_command server_commands[];
extern const size_t server_command_count;

/* Metrics and health (service/metrics.h); `context` is the server. */
void server_write_metrics(void *context, FILE *stream);
bool server_is_healthy(void *context, FILE *stream);
