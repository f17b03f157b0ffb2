/* Shared by the files of the server; no other includes it. */
#pragma once

#include "server/server.h"
#include "zone/zone_loader.h"

/* A new zone without data. */
_must_check_ int server_zone_create(const struct config_zone *config, struct zone **ret_zone);
void server_zone_free(struct zone *zone);

/* Has the answers of a new zone counted, before it is published; and lets go of the counters, after
 * the last reader. */
void server_zone_count(struct server *server, struct zone *zone);
void server_zone_uncount(struct server *server, struct zone *zone);
const char *server_role_word(enum zone_role role);

/* Lets the workers, and the control thread that activates and lifts, go before the calling thread
 * and all that it starts from here on: transfers, the loaders of a reload. */
void server_yield_to_workers(void);

/* Whether updates have made a primary zone other than its file was. The zone's `writer` is held, or
 * the data not published. */
bool server_is_beyond_file(const struct zone_data *data);
void server_warn_of_file(const struct zone *zone, const char *path);

/* zone_load.loaded: brings what was loaded up to what the journal has. */
void server_replay(struct zone_load *load);

/* Marks a generation with all orders, publishes it and frees the old one; what the journal had of
 * the zone is forgotten. Takes the marks lock, the zone's and the control lock. -ESTALE when the
 * zone is a primary one that was updated: its file counts no more. */
_must_check_ int server_publish(struct server *server, struct zone *zone, struct zone_data *data);

/* The same at the start, for what the journal leads to. */
_must_check_ int server_publish_first(struct server *server, struct zone *zone,
                                      struct zone_data *data);
/* What is told about a file, to a log or a list. */
typedef void server_report_fn(void *context, const struct error *error);

/* The certificate of DNS over TLS: loaded for the workers, when the configuration has one; read
 * again, with what is broken told to `find` and the old one kept; only looked at. What works and
 * should not be, as a key that everyone can read, is logged or told to `note`. */
_must_check_ int server_tls_start(struct server *server, struct error *ret_error);
void server_tls_reload(struct server *server, const struct config *config, server_report_fn *find,
                       server_report_fn *note, void *context);
_must_check_ int server_tls_check(const struct config *config, server_report_fn *note,
                                  void *context, struct error *ret_error);

/* Policy for orders by the configuration; the keyring is allocated into *ret_keyring. */
_must_check_ int server_order_policy(const struct config *config,
                                     struct order_keyring_entry **ret_keyring,
                                     struct order_policy *ret_policy);

/* Loads that the primary zones of `config` need, one for each, with `owner` the config_zone. */
_must_check_ int server_plan_loads(const struct config *config, struct zone_load **ret_loads,
                                   size_t *ret_count);

/* Snapshots: the keeper made and not yet started, all zones loaded, the keeper told of checks once
 * a second, and stopped after what is pending. */
_must_check_ int server_snapshots_create(struct server *server, struct error *ret_error);
_must_check_ int server_load_zones(struct server *server, struct zone *const *zones, size_t count,
                                   struct error *ret_error);
void server_snapshots_tick(struct server *server);
void server_snapshots_stop(struct server *server);

/* Opens the journal if a zone of `config` takes updates or one is there already, and it is not open
 * yet. One that is damaged as a whole is told and left closed. */
_must_check_ int server_journal_open(struct server *server, const struct config *config,
                                     struct error *ret_error);

/* Starts to take updates when there is a journal; for the first time, or after a reload opened it.
 */
_must_check_ int server_updater_start(struct server *server, struct error *ret_error);

/* Starts to forward updates when a zone of `config` wants that; likewise. */
_must_check_ int server_update_forwarder_start(struct server *server, const struct config *config,
                                               struct error *ret_error);

/* Starts to forward when a zone of `config` wants that and it is not done yet, and tells the
 * forwarder of the zones of `config`: with those that it has, before they are published, and
 * without, behind that. */
_must_check_ int server_forwarding_start(struct server *server, const struct config *config,
                                         enum forward_others others, struct error *ret_error);

/* Behind the workers, which submit no more: answers who waits, and keeps the cache for the next
 * start. The memory goes with server_forwarding_free(), behind the last reader. */
void server_forwarding_stop(struct server *server);
void server_forwarding_free(struct server *server);

/* responder_options.forward */
int server_take_forward(void *context, const struct zone *zone, const struct cache_key *key,
                        const struct request *request, bool subnet, const struct sockaddr *client,
                        enum transport transport);

/* What all responders have in common; `worker` indexes the orders' counters. */
struct responder_options server_responder_options(struct server *server, unsigned worker);

/* Threads that a forwarder has or would have. */
unsigned server_forward_threads(const struct config *config);

/* responder_options.update */
int server_take_update(void *context, struct zone *zone, const struct request *request,
                       const struct sockaddr *client, enum transport transport);

/* A commit to the zone's data is published, of so many octets in the journal: tells all who follow
 * the zone, and returns at once. Its `writer` is held. */
void server_zone_changed(struct server *server, struct zone *zone, size_t octets);

_must_check_ int server_tsig_keyring_create(const struct config *config,
                                            struct tsig_keyring **ret_keyring,
                                            struct error *ret_error);

/* The refresher for the present zones. The reload lock is held, unless the server only starts or
 * stops; the others are not. */
_must_check_ int server_refresh_start(struct server *server, struct error *ret_error);
void server_refresh_stop(struct server *server);

/* The same for the members of the catalog; the caller is order_zones.c. */
_must_check_ int server_members_start(struct server *server, struct error *ret_error);
void server_members_stop(struct server *server);

/* The zone with that apex; NULL: there is none. Takes the control lock. A zone of the configuration
 * lives until a reload, any other as long as whoever made it lets it. */
struct zone *server_zone_find(struct server *server, const uint8_t *apex);

/* Publishes a set of zones without `removed`, which are freed, and with `added`. The caller keeps
 * reloads out, and none of the zones is in a refresher's hands. Returns 0 or -ENOMEM, and then
 * nothing has changed. */
_must_check_ int server_zones_change(struct server *server, struct zone *const *added,
                                     size_t added_count, struct zone *const *removed,
                                     size_t removed_count);
/* Zones out: responder_options.transfer, and the threads that send; stopped before the pool of
 * workers goes, freed behind it. */
int server_take_transfer(void *context, const struct zone *zone, const struct request *request,
                         const struct tsig_server *tsig, const struct sockaddr *client,
                         enum transport transport, size_t datagram_max);
_must_check_ int server_sender_start(struct server *server, struct error *ret_error);

/* The notifier for the present zones of the configuration, or for those that are members of a
 * catalog, followed or published; it tells of them at once. Of members the membership lock or, with
 * all that make zones stopped, the reload lock is held; else as the refresher. */
_must_check_ int server_notifier_start(struct server *server, bool members,
                                       struct error *ret_error);
void server_notifier_stop(struct server *server, bool members);

/* The zone has another serial than before. Any thread; returns at once. */
void server_tell_secondaries(struct server *server, const struct zone *zone);

/* Activates the orders that the configuration names; what fails is told to `report`. */
void server_orders_from_config(struct server *server, const struct config *config,
                               void (*report)(void *context, const struct error *error),
                               void *context);

/* The first findings of an order that was put in force. */
void server_log_order_findings(const struct order_result *result);
