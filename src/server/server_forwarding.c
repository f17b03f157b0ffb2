/* Forwarded zones in the server: the cache and who asks origins, started, told of the zones, and
 * what they say about themselves. */
#include <errno.h>
#include <libknot/consts.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "server/cache_pages.h"
#include "server/cache_saver.h"
#include "server/forward_outbox.h"
#include "server/server_internal.h"

/* Of the cache's room, what denials that are used for other names may have (RFC 8198): of 64 MiB an
 * eighth holds some 15,000 NSEC with a signature each. */
#define DENIAL_SHARE 8

/* ---- Questions ---- */

int server_take_forward(void *context, const struct zone *zone, const struct cache_key *key,
                        const struct request *request, bool subnet, const struct sockaddr *client,
                        enum transport transport)
{
    struct server *server = context;
    struct forwarder *forwarder = rcu_dereference(server->forwarder);
    if (forwarder == NULL)
        return KNOT_RCODE_SERVFAIL; /* it could not be started */
    struct forward_question question = {.key = *key, .apex = &zone->name};
    if (client == NULL) {
        (void)forwarder_submit(forwarder, &question);
        return RESPONDER_DEFERRED;
    }

    struct reply_route route;
    worker_route_current(client, transport, &route);
    question.route = &route;
    question.route_size = sizeof(route);
    question.request = request->wire;
    question.size = request->size;
    if (subnet) {
        question.client_subnet = request->client_subnet;
        question.client_subnet_size = request->client_subnet_size;
    }
    if (forwarder_submit(forwarder, &question))
        return RESPONDER_DEFERRED;
    const struct reply none = {.route = &route};
    reply_send(&none, 1);
    return RESPONDER_SILENT;
}

static void answer(void *context, unsigned thread, const void *route_octets, const uint8_t *request,
                   size_t size, const struct forward_outcome *outcome)
{
    struct server *server = context;
    const struct reply_route *route = route_octets;
    struct forward_outbox *outbox = server->forward_outboxes[thread];
    const bool is_datagram = route->transport == TRANSPORT_UDP;
    uint8_t *wire = is_datagram ? forward_outbox_room(outbox)
                                : server->forward_buffers + (size_t)thread * RESPONSE_SIZE_MAX;
    const size_t answer_size = responder_answer_forwarded(
        server->forward_responders[thread], request, size, &route->peer.any, route->transport,
        time(NULL), outcome, wire, is_datagram ? FORWARD_DATAGRAM_MAX : RESPONSE_SIZE_MAX);
    if (is_datagram) {
        forward_outbox_put(outbox, route, answer_size);
        return;
    }
    const struct reply reply = {.route = route, .wire = wire, .size = answer_size};
    reply_send(&reply, 1);
}

static void flush(void *context, unsigned thread)
{
    struct server *server = context;
    forward_outbox_flush(server->forward_outboxes[thread]);
}

/* ---- The cache ---- */

static int create_cache(struct server *server, struct error *ret_error)
{
    const struct config *config = server->first_config;
    const uint64_t denial_octets = config->cache_octets_max / DENIAL_SHARE;
    const struct cache_options options = {.octets_max = config->cache_octets_max - denial_octets};
    struct cache *cache = NULL;
    struct denial_store *denials = NULL;
    int rc = cache_create(&options, &cache);
    if (rc == 0)
        rc = denial_store_create(denial_octets, &denials);
    if (rc < 0 && cache != NULL)
        cache_free(cache);
    if (rc < 0)
        return error_set(ret_error, rc, "no memory for a cache of %llu MiB: lower cache.size",
                         (unsigned long long)(config->cache_octets_max >> 20));
    if (config->cache_persists)
        rc = cache_saver_start(cache, config->state, config->cache_save_interval_s,
                               &server->cache_saver, ret_error);
    if (rc == 0)
        rc = cache_pages_start(cache, &server->cache_pages, ret_error);
    if (rc < 0) {
        cache_saver_stop(TAKE(server->cache_saver));
        denial_store_free(denials);
        cache_free(cache);
        return rc;
    }
    rcu_assign_pointer(server->view.denials, denials);
    rcu_assign_pointer(server->view.cache, cache);
    return 0;
}

/* ---- The forwarder ---- */

unsigned server_forward_threads(const struct config *config)
{
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    if (config->forward_threads != 0)
        return config->forward_threads;
    return cores > 3 ? (unsigned)cores / 2 : 1;
}

static void free_responders(struct server *server)
{
    const unsigned threads = server_forward_threads(server->first_config);
    for (unsigned i = 0; server->forward_responders != NULL && i < threads; i++)
        responder_free(server->forward_responders[i]);
    for (unsigned i = 0; server->forward_outboxes != NULL && i < threads; i++)
        forward_outbox_free(server->forward_outboxes[i]);
    free(server->forward_responders);
    free(server->forward_outboxes);
    free(server->forward_buffers);
    server->forward_responders = NULL;
    server->forward_outboxes = NULL;
    server->forward_buffers = NULL;
}

static int allocate_responders(struct server *server, unsigned threads, struct error *ret_error)
{
    const unsigned workers = server->first_config->workers;
    server->forward_responders = calloc(threads, sizeof(struct responder *));
    server->forward_outboxes = calloc(threads, sizeof(struct forward_outbox *));
    server->forward_buffers = malloc((size_t)threads * RESPONSE_SIZE_MAX);
    if (server->forward_responders == NULL || server->forward_outboxes == NULL ||
        server->forward_buffers == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = 0;
    for (unsigned i = 0; i < threads && rc == 0; i++) {
        const struct responder_options options = server_responder_options(server, workers + i);
        rc = responder_create(&options, &server->forward_responders[i], ret_error);
        server->forward_outboxes[i] = forward_outbox_create();
        if (rc == 0 && server->forward_outboxes[i] == NULL)
            rc = error_set(ret_error, -ENOMEM, "out of memory");
    }
    return rc;
}

/* All or none of them, so that a reload may try again. */
static int create_responders(struct server *server, unsigned threads, struct error *ret_error)
{
    const int rc = allocate_responders(server, threads, ret_error);
    if (rc < 0)
        free_responders(server);
    return rc;
}

static int start(struct server *server, struct error *ret_error)
{
    const unsigned threads = server_forward_threads(server->first_config);
    int rc = server->view.cache == NULL ? create_cache(server, ret_error) : 0;
    if (rc == 0 && server->forward_responders == NULL)
        rc = create_responders(server, threads, ret_error);
    if (rc < 0)
        return rc;
    const struct forwarder_options options = {.threads = threads,
                                              .cache = server->view.cache,
                                              .denials = server->view.denials,
                                              .answer = answer,
                                              .flush = flush,
                                              .context = server};
    struct forwarder *forwarder = NULL;
    rc = forwarder_start(&options, &forwarder, ret_error);
    if (rc < 0)
        return rc;
    rcu_assign_pointer(server->forwarder, forwarder);
    return 0;
}

/* The zones of the configuration that are forwarded, whose addresses are put in a row behind them.
 */
static int plan_zones(const struct config *config, struct forward_zone **ret_zones,
                      size_t *ret_count)
{
    size_t count = 0, server_count = 0;
    for (size_t i = 0; i < config->zone_count; i++) {
        if (config->zones[i].kind != CONFIG_FORWARD)
            continue;
        count++;
        server_count += config->zones[i].from_count;
    }
    struct forward_zone *zones = NULL;
    zones = malloc(count * sizeof(*zones) + server_count * sizeof(struct sockaddr_storage) + 1);
    if (zones == NULL)
        return -ENOMEM;
    struct sockaddr_storage *servers = (struct sockaddr_storage *)(zones + count);
    size_t at = 0;
    for (size_t i = 0; i < config->zone_count; i++) {
        const struct config_zone *zone = &config->zones[i];
        if (zone->kind != CONFIG_FORWARD)
            continue;
        zones[at++] = (struct forward_zone){
            .apex = zone->apex,
            .servers = servers,
            .server_count = zone->from_count,
            .rate_max = zone->rate_max,
            .unseen_rate_max = zone->unseen_rate_max,
            .stale_s = zone->stale_s,
            .uses_denials = zone->uses_denials,
        };
        for (size_t k = 0; k < zone->from_count; k++)
            *servers++ = zone->from[k].address;
    }
    *ret_zones = zones;
    *ret_count = count;
    return 0;
}

int server_forwarding_start(struct server *server, const struct config *config,
                            enum forward_others others, struct error *ret_error)
{
    struct forward_zone *zones;
    size_t count;
    int rc = plan_zones(config, &zones, &count);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    if (count > 0 && server->forwarder == NULL)
        rc = start(server, ret_error);
    if (rc == 0 && server->forwarder != NULL)
        rc = forwarder_configure(server->forwarder, zones, count, others, ret_error);
    free(zones);
    return rc;
}

void server_forwarding_stop(struct server *server)
{
    forwarder_stop(server->forwarder);
    server->forwarder = NULL;
    cache_pages_stop(TAKE(server->cache_pages));
    cache_saver_stop(server->cache_saver);
    server->cache_saver = NULL;
}

void server_forwarding_free(struct server *server)
{
    free_responders(server);
    if (server->view.cache != NULL)
        cache_free(server->view.cache);
    denial_store_free(server->view.denials);
}
