#include "server/forwarding_status.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libknot/dname.h>
#include <string.h>

#include "base/rcu.h"
#include "server/log.h"
#include "server/server_internal.h"

#define ADDRESS_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("@65535"))

static int no_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory");
}

/* "192.0.2.1@53" */
static void address_text(const struct sockaddr_storage *address, char ret_text[ADDRESS_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)address;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)address;
    const bool is_ipv4 = address->ss_family == AF_INET;
    const void *octets = is_ipv4 ? (const void *)&ipv4->sin_addr : (const void *)&ipv6->sin6_addr;
    (void)inet_ntop(address->ss_family, octets, host, sizeof(host));
    snprintf(ret_text, ADDRESS_TEXT_MAX, "%s@%u", host,
             ntohs(is_ipv4 ? ipv4->sin_port : ipv6->sin6_port));
}

/* ---- Every origin server ---- */

/* Told for each server of each forwarded zone. */
typedef void state_fn(void *context, const char *zone, const struct origin_server_state *state);

static void tell_states(struct server *server, state_fn *tell, void *context)
{
    struct origin_server_state states[ORIGIN_SERVERS_MAX];
    for (size_t i = 0; i < server->zone_count; i++) {
        const struct zone *zone = server->zones[i];
        if (zone->role != ZONE_FORWARD)
            continue;
        const size_t count =
            forwarder_zone_state(server->forwarder, zone->name.wire, states, ORIGIN_SERVERS_MAX);
        for (size_t k = 0; k < count; k++)
            tell(context, zone->text, &states[k]);
    }
}

/* ---- The command ---- */

static void add_origin(void *context, const char *zone, const struct origin_server_state *state)
{
    char address[ADDRESS_TEXT_MAX];
    address_text(&state->address, address);
    json_array_append_new(
        context,
        json_pack("{s:s, s:s, s:b, s:f, s:f, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "zone", zone,
                  "server", address, "healthy", state->is_healthy, "rtt_ms", state->rtt_ms,
                  "p95_ms", state->p95_ms, "asked", (json_int_t)state->asked, "answered",
                  (json_int_t)state->answered, "timeouts", (json_int_t)state->timeouts, "refused",
                  (json_int_t)state->refused, "mismatches", (json_int_t)state->mismatches,
                  "truncated", (json_int_t)state->truncated, "tcp", (json_int_t)state->over_tcp,
                  "hedges", (json_int_t)state->hedges));
}

static json_t *cache_json(const struct cache *cache)
{
    struct cache_counters counters;
    cache_counters(cache, &counters);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "answers",
                     (json_int_t)counters.answers, "denials", (json_int_t)counters.denials,
                     "octets", (json_int_t)counters.octets, "octets_max",
                     (json_int_t)counters.octets_max, "hits", (json_int_t)counters.hits, "misses",
                     (json_int_t)counters.misses, "stored", (json_int_t)counters.stored, "evicted",
                     (json_int_t)counters.evicted, "expired", (json_int_t)counters.expired,
                     "refused", (json_int_t)counters.refused);
}

static json_t *denials_json(const struct denial_store *denials)
{
    struct denial_counters counters;
    denial_store_counters(denials, &counters);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "records",
                     (json_int_t)counters.records, "octets", (json_int_t)counters.octets,
                     "octets_max", (json_int_t)counters.octets_max, "nxdomain",
                     (json_int_t)counters.nxdomain, "nodata", (json_int_t)counters.nodata,
                     "wildcard", (json_int_t)counters.wildcard, "verified",
                     (json_int_t)counters.verified, "bogus", (json_int_t)counters.bogus, "useless",
                     (json_int_t)counters.useless, "over_bound", (json_int_t)counters.over_bound,
                     "evicted", (json_int_t)counters.evicted);
}

static json_t *forwarding_json(const struct forwarder *forwarder)
{
    struct forwarder_counters counters;
    forwarder_counters(forwarder, &counters);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "asked",
                     (json_int_t)counters.asked, "joined", (json_int_t)counters.joined, "answered",
                     (json_int_t)counters.answered, "stale", (json_int_t)counters.stale, "failed",
                     (json_int_t)counters.failed, "refreshed", (json_int_t)counters.refreshed,
                     "over_unseen", (json_int_t)counters.over_unseen, "over_bound",
                     (json_int_t)counters.over_bound, "waiting", (json_int_t)counters.waiting);
}

static int tell_stats(struct server *server, json_t **ret_result, struct error *ret_error)
{
    json_t *origins = json_array();
    pthread_mutex_lock(&server->control);
    tell_states(server, add_origin, origins);
    pthread_mutex_unlock(&server->control);
    *ret_result = json_pack("{s:o, s:o, s:o, s:o}", "cache", cache_json(server->view.cache),
                            "denials", denials_json(server->view.denials), "forwarding",
                            forwarding_json(server->forwarder), "origins", origins);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

static int purge(struct server *server, const char *text, bool with_subtree, json_t **ret_result,
                 struct error *ret_error)
{
    knot_dname_storage_t wire;
    struct name name;
    if (text == NULL || text[0] == '\0' || knot_dname_from_str(wire, text, sizeof(wire)) == NULL ||
        name_parse(&name, wire, sizeof(wire)) < 0)
        return error_set(ret_error, -EINVAL, "\"%.200s\" is not a domain name",
                         text != NULL ? text : "");
    const uint64_t purged = cache_purge(server->view.cache, &name, with_subtree);
    const uint64_t denials = denial_store_purge(server->view.denials, &name, with_subtree);
    server_log(LOG_INFO, "cache: %llu answers of %s%s purged, and %llu denials of its zone",
               (unsigned long long)purged, text, with_subtree ? " and below" : "",
               (unsigned long long)denials);
    *ret_result =
        json_pack("{s:I, s:I}", "purged", (json_int_t)purged, "denials", (json_int_t)denials);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

int forwarding_command_cache(void *context, const json_t *request, json_t **ret_result,
                             struct error *ret_error)
{
    struct server *server = context;
    if (rcu_dereference(server->forwarder) == NULL)
        return error_set(ret_error, -ENOENT, "no zone is forwarded, so there is no cache");
    const json_t *name = json_object_get(request, "purge");
    if (name == NULL)
        return tell_stats(server, ret_result, ret_error);
    return purge(server, json_string_value(name), json_is_true(json_object_get(request, "subtree")),
                 ret_result, ret_error);
}

/* ---- Metrics ---- */

struct metric {
    const char *name, *type, *help;
    uint64_t value;
};

static void write_metrics(FILE *stream, const struct metric *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", metrics[i].name, metrics[i].help,
                metrics[i].name, metrics[i].type, metrics[i].name,
                (unsigned long long)metrics[i].value);
}

static void write_cache_metrics(const struct cache *cache, FILE *stream)
{
    struct cache_counters cached;
    cache_counters(cache, &cached);
    const struct metric metrics[] = {
        {"tamisd_cache_hits_total", "counter", "Questions with an answer in the cache.",
         cached.hits},
        {"tamisd_cache_misses_total", "counter", "Questions without one.", cached.misses},
        {"tamisd_cache_evicted_total", "counter", "Answers that went to make room.",
         cached.evicted},
        {"tamisd_cache_answers", "gauge", "Answers kept, but for denials.", cached.answers},
        {"tamisd_cache_denials", "gauge", "Denials kept.", cached.denials},
        {"tamisd_cache_octets", "gauge", "Octets in use.", cached.octets},
        {"tamisd_cache_octets_max", "gauge", "Octets that the cache may have.", cached.octets_max},
    };
    write_metrics(stream, metrics, sizeof(metrics) / sizeof(metrics[0]));
}

static void write_denial_metrics(const struct denial_store *denials, FILE *stream)
{
    struct denial_counters counters;
    denial_store_counters(denials, &counters);
    const struct metric metrics[] = {
        {"tamisd_denial_nxdomain_total", "counter",
         "Names denied by what the origin said of others.", counters.nxdomain},
        {"tamisd_denial_nodata_total", "counter", "Types denied likewise.", counters.nodata},
        {"tamisd_denial_wildcard_total", "counter", "Answers made from a wildcard.",
         counters.wildcard},
        {"tamisd_denial_records", "gauge", "Record sets kept for it.", counters.records},
        {"tamisd_denial_octets", "gauge", "Octets in use.", counters.octets},
        {"tamisd_denial_octets_max", "gauge", "Octets that they may have.", counters.octets_max},
        {"tamisd_denial_verified_total", "counter", "Record sets with a right signature.",
         counters.verified},
        {"tamisd_denial_bogus_total", "counter", "Record sets without one.", counters.bogus},
        {"tamisd_denial_useless_total", "counter",
         "Records that deny no more than their own question, or cost too much.", counters.useless},
        {"tamisd_denial_over_bound_total", "counter",
         "Record sets left unverified because enough were in that second.", counters.over_bound},
        {"tamisd_denial_evicted_total", "counter", "Record sets that went to make room.",
         counters.evicted},
    };
    write_metrics(stream, metrics, sizeof(metrics) / sizeof(metrics[0]));
}

static void write_forwarding_metrics(const struct forwarder *forwarder, FILE *stream)
{
    struct forwarder_counters forwarded;
    forwarder_counters(forwarder, &forwarded);
    const struct metric metrics[] = {
        {"tamisd_forward_asked_total", "counter", "Questions put to origins.", forwarded.asked},
        {"tamisd_forward_joined_total", "counter", "Clients that waited for one in flight.",
         forwarded.joined},
        {"tamisd_forward_answered_total", "counter", "Clients answered by origins.",
         forwarded.answered},
        {"tamisd_forward_stale_total", "counter", "Clients answered with what had expired.",
         forwarded.stale},
        {"tamisd_forward_failed_total", "counter", "Clients answered with SERVFAIL.",
         forwarded.failed},
        {"tamisd_forward_refreshed_total", "counter", "Answers renewed before they expired.",
         forwarded.refreshed},
        {"tamisd_forward_over_unseen_total", "counter",
         "Clients refused for the budget of names never seen.", forwarded.over_unseen},
        {"tamisd_forward_over_bound_total", "counter", "Clients refused because too many wait.",
         forwarded.over_bound},
        {"tamisd_forward_waiting", "gauge", "Questions in flight.", forwarded.waiting},
    };
    write_metrics(stream, metrics, sizeof(metrics) / sizeof(metrics[0]));
}

/* One metric of all servers. */
struct origin_metric {
    FILE *stream;
    const char *name;
    double (*value)(const struct origin_server_state *state);
};

static void write_origin(void *context, const char *zone, const struct origin_server_state *state)
{
    const struct origin_metric *metric = context;
    char address[ADDRESS_TEXT_MAX];
    address_text(&state->address, address);
    fprintf(metric->stream, "%s{zone=\"%s\",server=\"%s\"} %.9g\n", metric->name, zone, address,
            metric->value(state));
}

static double healthy_of(const struct origin_server_state *state)
{
    return state->is_healthy;
}

static double rtt_of(const struct origin_server_state *state)
{
    return state->rtt_ms / 1000;
}

static double asked_of(const struct origin_server_state *state)
{
    return (double)state->asked;
}

static double answered_of(const struct origin_server_state *state)
{
    return (double)state->answered;
}

static double timeouts_of(const struct origin_server_state *state)
{
    return (double)state->timeouts;
}

void forwarding_write_metrics(struct server *server, FILE *stream)
{
    static const struct {
        const char *name, *type, *help;
        double (*value)(const struct origin_server_state *state);
    } origins[] = {
        {"tamisd_origin_healthy", "gauge", "1 while the server answers.", healthy_of},
        {"tamisd_origin_rtt_seconds", "gauge", "Smoothed round-trip time.", rtt_of},
        {"tamisd_origin_asked_total", "counter", "Messages sent.", asked_of},
        {"tamisd_origin_answered_total", "counter", "Answers, good or not.", answered_of},
        {"tamisd_origin_timeouts_total", "counter", "Messages without an answer.", timeouts_of},
    };
    if (rcu_dereference(server->forwarder) == NULL)
        return;
    write_cache_metrics(server->view.cache, stream);
    write_denial_metrics(server->view.denials, stream);
    write_forwarding_metrics(server->forwarder, stream);
    for (size_t i = 0; i < sizeof(origins) / sizeof(origins[0]); i++) {
        struct origin_metric metric = {
            .stream = stream, .name = origins[i].name, .value = origins[i].value};
        fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", origins[i].name, origins[i].help,
                origins[i].name, origins[i].type);
        tell_states(server, write_origin, &metric);
    }
}
