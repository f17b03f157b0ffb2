/* What the server tells about itself over the control socket. */
#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "order/timestamp.h"
#include "server/forwarding_status.h"
#include "server/log.h"
#include "server/server_internal.h"
#include "server/zone_commands.h"
#include "server/zone_status.h"

const char *server_role_word(enum zone_role role)
{
    static const char *const words[] = {"primary", "secondary", "forward"};
    return words[role];
}

/* A forwarded zone has no data of its own to wait for. */
static int status_of(const struct zone *zone)
{
    return zone->role == ZONE_FORWARD ? ZONE_SERVING : atomic_load(&zone->status);
}

static const char *status_word(int status)
{
    static const char *const words[] = {"unloaded", "serving", "expired"};
    return words[status];
}

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "out of memory");
}

/* Unix seconds, or null for "never". */
static json_t *json_time(int64_t time)
{
    return time == 0 ? json_null() : json_integer(time);
}

static void sum_workers(const struct server *server, struct worker_counters *ret_sum)
{
    *ret_sum = (struct worker_counters){0};
    uint64_t *sum = (uint64_t *)ret_sum;
    for (unsigned i = 0; i < worker_pool_count(server->pool); i++) {
        struct worker_counters counters;
        worker_pool_counters(server->pool, i, &counters);
        const uint64_t *one = (const uint64_t *)&counters;
        for (size_t k = 0; k < sizeof(counters) / sizeof(uint64_t); k++)
            sum[k] += one[k];
    }
}

/* NULL: TLS is not served. */
static json_t *tls_json(const struct server *server, const struct worker_counters *workers)
{
    if (server->tls == NULL)
        return NULL;
    return json_pack("{s:I, s:I, s:I, s:I}", "connections", (json_int_t)workers->tls_connections,
                     "resumed", (json_int_t)workers->tls_resumed, "handshake_failures",
                     (json_int_t)workers->tls_handshake_failures, "certificate_expires_at",
                     (json_int_t)tls_server_expires_at(server->tls));
}

static json_t *transfers_json(const struct server *server)
{
    struct transfer_sender_counters counters;
    transfer_sender_counters(server->sender, &counters);
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "running",
                     (json_int_t)counters.running, "waiting", (json_int_t)counters.waiting, "axfr",
                     (json_int_t)counters.whole, "ixfr", (json_int_t)counters.differences,
                     "current", (json_int_t)counters.current, "failed", (json_int_t)counters.failed,
                     "refused", (json_int_t)counters.refused_full, "records",
                     (json_int_t)counters.records, "octets", (json_int_t)counters.octets);
}

static void notify_counters(struct server *server, struct notifier_counters *ret_counters)
{
    pthread_mutex_lock(&server->telling);
    *ret_counters = server->notified;
    for (size_t i = 0; i < 2; i++) {
        struct notifier_counters now;
        if (server->notifiers[i] == NULL)
            continue;
        notifier_counters(server->notifiers[i], &now);
        notifier_counters_add(ret_counters, &now);
    }
    pthread_mutex_unlock(&server->telling);
}

static json_t *notify_json(struct server *server)
{
    struct notifier_counters counters;
    notify_counters(server, &counters);
    return json_pack("{s:I, s:I, s:I}", "sent", (json_int_t)counters.sent, "answered",
                     (json_int_t)counters.answered, "given_up", (json_int_t)counters.given_up);
}

static int command_status(void *context, const json_t *request, json_t **ret_result,
                          struct error *ret_error)
{
    (void)request;
    struct server *server = context;
    struct worker_counters workers;
    sum_workers(server, &workers);
    json_int_t by_status[3] = {0}, memory = 0, names = 0;
    for (size_t i = 0; i < server->zone_count; i++) {
        struct zone_figures figures;
        zone_figures(server->zones[i], &figures);
        by_status[status_of(server->zones[i])]++;
        memory += (json_int_t)figures.memory;
        names += (json_int_t)figures.names;
    }
    json_int_t active = 0, listed = 0;
    for (size_t i = 0; i < order_book_count(server->book); i++) {
        const struct order_entry *entry = order_book_at(server->book, i);
        if (entry->ended)
            continue;
        active++;
        listed += (json_int_t)active_order_names(entry->active)->count;
    }
    *ret_result = json_pack(
        "{s:s, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I}, s:I, s:{s:I, s:I, "
        "s:I}, s:o, s:o, s:o*}",
        "version", TAMIS_VERSION, "pid", (json_int_t)getpid(), "started",
        (json_int_t)server->started_at, "uptime_s", (json_int_t)(time(NULL) - server->started_at),
        "workers", (json_int_t)worker_pool_count(server->pool), "zones", "total",
        (json_int_t)server->zone_count, "serving", by_status[ZONE_SERVING], "unloaded",
        by_status[ZONE_UNLOADED], "expired", by_status[ZONE_EXPIRED], "names", names, "orders",
        "active", active, "names", listed, "memory_octets", memory, "queries", "udp",
        (json_int_t)workers.udp_requests, "tcp", (json_int_t)workers.tcp_requests, "tls",
        (json_int_t)workers.tls_requests, "transfers_out", transfers_json(server), "notify",
        notify_json(server), "tls", tls_json(server, &workers));
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

static json_t *zone_json(const struct server *server, const struct zone *zone)
{
    char error[512];
    zone_last_error_get(zone, error, sizeof(error));
    struct zone_figures figures;
    zone_figures(zone, &figures);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:I, s:I, s:I, s:o, s:o, s:o, s:I, s:I, s:o, s:s}", "name",
        zone->text, "role", server_role_word(zone->role), "status", status_word(status_of(zone)),
        "serial", figures.has_data ? json_integer(figures.soa.serial) : json_null(), "names",
        (json_int_t)figures.names, "records", (json_int_t)figures.records, "memory_octets",
        (json_int_t)figures.memory, "loaded_at", json_time(atomic_load(&zone->loaded_at)),
        "checked_at", json_time(atomic_load(&zone->checked_at)), "expires_at",
        json_time(atomic_load(&zone->expires_at)), "transfers",
        (json_int_t)atomic_load(&zone->transfers), "transfer_failures",
        (json_int_t)atomic_load(&zone->transfer_failures), "answers",
        zone_status_answers(server, zone), "error", error);
}

static int command_zones(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error)
{
    (void)request;
    struct server *server = context;
    json_t *zones = json_array();
    for (size_t i = 0; i < server->zone_count; i++) {
        if (json_array_append_new(zones, zone_json(server, server->zones[i])) < 0) {
            json_decref(zones);
            return no_memory(ret_error);
        }
    }
    *ret_result = zones;
    return 0;
}

/* Findings in an answer; a person reads the first ones, a program asks "orders" for all. */
static json_t *findings_json(const struct order *order, size_t max)
{
    json_t *findings = json_array();
    for (size_t i = 0; i < order->finding_count && i < max; i++) {
        const struct order_finding *finding = &order->findings[i];
        json_array_append_new(findings,
                              json_pack("{s:s, s:I, s:s, s:s, s:s*}", "file", finding->file, "line",
                                        (json_int_t)finding->line, "entry", finding->entry,
                                        "reason", finding->reason, "detail", finding->detail));
    }
    return findings;
}

static const char *state_word(const struct order_entry *entry, int64_t now)
{
    const struct order *order = active_order_get(entry->active);
    if (entry->ended || now >= order->ends)
        return "ended";
    return now < order->starts ? "waiting" : "in force";
}

static const char *source_word(const struct order_entry *entry)
{
    return entry->from_config ? "configuration" : entry->from_zone ? "zone" : "command";
}

static json_t *order_json(const struct order_entry *entry, int64_t now)
{
    const struct order *order = active_order_get(entry->active);
    char starts[TIMESTAMP_SIZE], ends[TIMESTAMP_SIZE];
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:s*, s:I, s:s, s:I, "
        "s:o}",
        "id", order->id, "kind", order_kind_word(order->kind), "action",
        order_action_word(order->action), "authority", order->authority, "starts",
        timestamp_write(order->starts, starts), "ends", timestamp_write(order->ends, ends), "state",
        state_word(entry, now), "names", (json_int_t)active_order_names(entry->active)->count,
        "marked", (json_int_t)entry->marked, "refused", (json_int_t)order->finding_total,
        "subtrees", (json_int_t)order->subtrees.count, "exempt", (json_int_t)order->exempt.count,
        "hits", (json_int_t)active_order_hits(entry->active), "notice", order->notice,
        "activated_at", (json_int_t)entry->activated_at, "source", source_word(entry),
        "finding_total", (json_int_t)order->finding_total, "findings",
        findings_json(order, ORDER_FINDINGS_MAX));
}

static int command_orders(void *context, const json_t *request, json_t **ret_result,
                          struct error *ret_error)
{
    (void)request;
    struct server *server = context;
    struct order_entry *entries;
    size_t count;
    if (order_book_snapshot(server->book, &entries, &count) < 0)
        return no_memory(ret_error);
    json_t *orders = json_array();
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = json_array_append_new(orders, order_json(&entries[i], time(NULL)));
    order_entries_free(entries, count);
    if (rc < 0) {
        json_decref(orders);
        return no_memory(ret_error);
    }
    *ret_result = orders;
    return 0;
}

/* ---- Counters ---- */

struct name_hits {
    const struct packed_names *names;
    size_t index;
    uint64_t hits;
};

static int compare_hits(const void *one, const void *other)
{
    const struct name_hits *a = one, *b = other;
    return (a->hits < b->hits) - (a->hits > b->hits);
}

/* The names of one list that were asked for; `ret_hits` may be NULL. Returns how many. */
static size_t collect_hits(const struct active_order *active, const struct packed_names *names,
                           uint64_t (*hits_of)(const struct active_order *active, size_t index),
                           size_t room, struct name_hits *ret_hits)
{
    size_t count = 0;
    for (size_t i = 0; i < names->count && (ret_hits == NULL || count < room); i++) {
        uint64_t hits = hits_of(active, i);
        if (hits == 0)
            continue;
        if (ret_hits != NULL)
            ret_hits[count] = (struct name_hits){names, i, hits};
        count++;
    }
    return count;
}

static json_t *name_hits_json(const struct name_hits *hits)
{
    struct packed_walk walk;
    char text[KNOT_DNAME_TXT_MAXLEN + 1];
    packed_walk_begin(&walk, hits->names, hits->index);
    if (knot_dname_to_str(text, packed_walk_next(&walk), sizeof(text)) == NULL)
        return NULL;
    size_t size = strlen(text);
    if (size > 1)
        text[size - 1] = '\0';
    return json_pack("{s:s, s:I}", "name", text, "hits", (json_int_t)hits->hits);
}

static json_t *order_stats(const struct active_order *active)
{
    const struct packed_names *names = active_order_names(active);
    const struct packed_names *subtrees = active_order_subtrees(active);
    /* Of millions of names few are asked for. One more may be by the second time. */
    size_t room = collect_hits(active, names, active_order_name_hits, 0, NULL) +
                  collect_hits(active, subtrees, active_order_subtree_hits, 0, NULL);
    struct name_hits *hits = calloc(room + 1, sizeof(*hits));
    json_t *list = json_array();
    if (hits == NULL || list == NULL) {
        free(hits);
        json_decref(list);
        return NULL;
    }
    size_t count = collect_hits(active, names, active_order_name_hits, room, hits);
    count += collect_hits(active, subtrees, active_order_subtree_hits, room - count, hits + count);
    qsort(hits, count, sizeof(*hits), compare_hits);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, name_hits_json(&hits[i]));
    free(hits);
    return json_pack("{s:s, s:I, s:o}", "id", active_order_get(active)->id, "hits",
                     (json_int_t)active_order_hits(active), "names", list);
}

/* Sums of all responders. */
static void add_responder(const struct responder *responder, struct responder_counters *sum)
{
    struct responder_counters counters;
    responder_counters(responder, &counters);
    const uint64_t *from = (const uint64_t *)&counters;
    uint64_t *to = (uint64_t *)sum;
    for (size_t i = 0; i < sizeof(counters) / sizeof(uint64_t); i++)
        to[i] += from[i];
}

static void sum_responders(const struct server *server, struct responder_counters *ret_sum)
{
    *ret_sum = (struct responder_counters){0};
    for (unsigned i = 0; i < server->first_config->workers; i++)
        add_responder(server->responders[i], ret_sum);
    if (rcu_dereference(server->forwarder) == NULL)
        return;
    /* What waited for an origin was counted as a question by the worker that took it. */
    const uint64_t queries = ret_sum->queries;
    for (unsigned i = 0; i < forwarder_threads(server->forwarder); i++)
        add_responder(server->forward_responders[i], ret_sum);
    ret_sum->queries = queries;
}

static const char *rcode_word(size_t rcode)
{
    static const char *const words[] = {"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
                                        "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
                                        "NXRRSET", "NOTAUTH", "NOTZONE"};
    if (rcode < sizeof(words) / sizeof(words[0]))
        return words[rcode];
    return rcode == 16 ? "BADVERS" : NULL;
}

/* What the updater counts; all zero without one. It lives from the start, or the reload that made
 * it, to the end of the server. */
static void get_updates(const struct server *server, struct updater_counters *ret_counters,
                        struct journal_stats *ret_journal)
{
    const struct updater *updater = __atomic_load_n(&server->updater, __ATOMIC_ACQUIRE);
    *ret_counters = (struct updater_counters){0};
    *ret_journal = (struct journal_stats){0};
    if (updater == NULL)
        return;
    updater_counters(updater, ret_counters);
    if (journal_stats(server->journal, ret_journal) < 0)
        *ret_journal = (struct journal_stats){0};
}

static json_t *updates_json(const struct server *server)
{
    struct updater_counters counters;
    struct journal_stats journal;
    get_updates(server, &counters, &journal);
    json_t *rcodes = json_object();
    for (size_t i = 0; i < sizeof(counters.rcodes) / sizeof(counters.rcodes[0]); i++) {
        if (rcode_word(i) != NULL && counters.rcodes[i] > 0)
            json_object_set_new(rcodes, rcode_word(i),
                                json_integer((json_int_t)counters.rcodes[i]));
    }
    return json_pack(
        "{s:I, s:o, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}}", "answered",
        (json_int_t)counters.messages, "responses", rcodes, "changed", (json_int_t)counters.changes,
        "commits", (json_int_t)counters.commits, "failed_commits", (json_int_t)counters.failures,
        "not_taken", (json_int_t)counters.refused_full, "waiting", (json_int_t)counters.waiting,
        "journal", "octets", (json_int_t)journal.octets, "octets_max", (json_int_t)journal.size_max,
        "commits", (json_int_t)journal.commits, "zones", (json_int_t)journal.zones);
}

static int command_stats(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error)
{
    (void)request;
    struct server *server = context;
    struct responder_counters responders;
    struct worker_counters workers;
    sum_responders(server, &responders);
    sum_workers(server, &workers);

    struct order_entry *entries;
    size_t count;
    if (order_book_snapshot(server->book, &entries, &count) < 0)
        return no_memory(ret_error);

    json_t *rcodes = json_object(), *orders = json_array(), *updates = updates_json(server);
    for (size_t i = 0; i < sizeof(responders.rcodes) / sizeof(responders.rcodes[0]); i++) {
        if (rcode_word(i) != NULL)
            json_object_set_new(rcodes, rcode_word(i),
                                json_integer((json_int_t)responders.rcodes[i]));
    }
    for (size_t i = 0; i < count; i++)
        json_array_append_new(orders, order_stats(entries[i].active));
    order_entries_free(entries, count);

    *ret_result = json_pack(
        "{s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o}", "queries",
        "udp", (json_int_t)workers.udp_requests, "tcp", (json_int_t)workers.tcp_requests, "tls",
        (json_int_t)workers.tls_requests, "query", (json_int_t)responders.queries, "notify",
        (json_int_t)responders.notifies, "update", (json_int_t)responders.updates, "other",
        (json_int_t)responders.others, "ignored", (json_int_t)responders.ignored, "malformed",
        (json_int_t)responders.malformed, "truncated", (json_int_t)responders.truncated, "verdicts",
        (json_int_t)responders.verdicts, "responses", rcodes, "updates", updates, "orders", orders);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

/* ---- Changes ---- */

static int command_activate(void *context, const json_t *request, json_t **ret_result,
                            struct error *ret_error)
{
    struct server *server = context;
    const char *file = json_string_value(json_object_get(request, "file"));
    if (file == NULL)
        return error_set(ret_error, -EINVAL, "activate needs \"file\": the path of an order");

    struct order_result result;
    int rc =
        order_book_activate(server->book, file, json_is_true(json_object_get(request, "strict")),
                            ORDER_FROM_COMMAND, &result, ret_error);
    if (rc < 0)
        return rc;
    const struct order *order = order_result_order(&result);
    server_log(LOG_INFO,
               "order %s: activated by command, %llu names marked, %llu findings, in %.1f ms",
               order->id, (unsigned long long)result.marked,
               (unsigned long long)order->finding_total, result.took_ms);
    *ret_result =
        json_pack("{s:s, s:I, s:I, s:I, s:f, s:b, s:b, s:I, s:o}", "id", order->id, "names",
                  (json_int_t)result.names, "marked", (json_int_t)result.marked, "refused",
                  (json_int_t)order->finding_total, "took_ms", result.took_ms, "replaced",
                  result.replaced, "unchanged", result.unchanged, "finding_total",
                  (json_int_t)order->finding_total, "findings", findings_json(order, 1000));
    order_result_clear(&result);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

static int command_lift(void *context, const json_t *request, json_t **ret_result,
                        struct error *ret_error)
{
    struct server *server = context;
    const char *id = json_string_value(json_object_get(request, "id"));
    if (id == NULL)
        return error_set(ret_error, -EINVAL, "lift needs \"id\": an order's");

    struct order_result result;
    int rc = order_book_lift(server->book, id, &result, ret_error);
    if (result.active != NULL)
        server_log(LOG_INFO, "order %s: lifted by command, in %.1f ms", id, result.took_ms);
    if (rc == 0) {
        *ret_result = json_pack("{s:s, s:I, s:f}", "id", id, "names", (json_int_t)result.names,
                                "took_ms", result.took_ms);
        rc = *ret_result == NULL ? no_memory(ret_error) : 0;
    }
    order_result_clear(&result);
    return rc;
}

static int command_reload(void *context, const json_t *request, json_t **ret_result,
                          struct error *ret_error)
{
    (void)request;
    return server_reload(context, ret_result, ret_error);
}

static int command_reports(void *context, const json_t *request, json_t **ret_result,
                           struct error *ret_error)
{
    (void)request;
    const struct server *server = context;
    *ret_result = error_reports_json(server->error_reports);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

/* Commands that look at what the control lock guards, quickly; the others take the locks that they
 * need. */
#define LOCKED(name)                                                                    \
    static int locked_##name(void *context, const json_t *request, json_t **ret_result, \
                             struct error *ret_error)                                   \
    {                                                                                   \
        struct server *server = context;                                                \
        pthread_mutex_lock(&server->control);                                           \
        int rc = command_##name(context, request, ret_result, ret_error);               \
        pthread_mutex_unlock(&server->control);                                         \
        return rc;                                                                      \
    }

LOCKED(status)
LOCKED(zones)

/* Slow are those that read, go through or tell a list of any length. A lift must never wait for
 * one. */
const struct control_command server_commands[] = {
    {"status", locked_status, false},
    {"zones", locked_zones, false},
    {"orders", command_orders, true},
    {"stats", command_stats, true},
    {"reports", command_reports, false},
    {"activate", command_activate, true},
    {"lift", command_lift, false},
    {"reload", command_reload, true},
    {"cache", forwarding_command_cache, true},
    {"zone-dump", zone_command_dump, true},
    {"zone-diff", zone_command_diff, true},
    {"zone-import", zone_command_import, true},
    {"zone-history", zone_command_history, true},
    {"zone-restore", zone_command_restore, true},
};
const size_t server_command_count = sizeof(server_commands) / sizeof(server_commands[0]);

/* ---- Metrics ---- */

static void write_counter(FILE *stream, const char *name, const char *help)
{
    fprintf(stream, "# HELP %s %s\n# TYPE %s counter\n", name, help, name);
}

static void write_gauge(FILE *stream, const char *name, const char *help)
{
    fprintf(stream, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name);
}

static void write_query_metrics(const struct server *server, FILE *stream)
{
    struct responder_counters responders;
    struct worker_counters workers;
    sum_responders(server, &responders);
    sum_workers(server, &workers);

    write_counter(stream, "tamisd_requests_total", "Requests received, by transport.");
    fprintf(stream, "tamisd_requests_total{transport=\"udp\"} %llu\n",
            (unsigned long long)workers.udp_requests);
    fprintf(stream, "tamisd_requests_total{transport=\"tcp\"} %llu\n",
            (unsigned long long)workers.tcp_requests);
    fprintf(stream, "tamisd_requests_total{transport=\"tls\"} %llu\n",
            (unsigned long long)workers.tls_requests);
    write_counter(stream, "tamisd_responses_total", "Responses sent, by RCODE.");
    for (size_t i = 0; i < sizeof(responders.rcodes) / sizeof(responders.rcodes[0]); i++) {
        if (rcode_word(i) != NULL)
            fprintf(stream, "tamisd_responses_total{rcode=\"%s\"} %llu\n", rcode_word(i),
                    (unsigned long long)responders.rcodes[i]);
    }
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"tamisd_ignored_total", "Requests that got no answer.", responders.ignored},
        {"tamisd_malformed_total", "Requests answered with FORMERR.", responders.malformed},
        {"tamisd_truncated_total", "Answers that did not fit the message.", responders.truncated},
        {"tamisd_verdicts_total", "Responses that an order decided.", responders.verdicts},
        {"tamisd_udp_dropped_total", "UDP responses that the system did not take.",
         workers.udp_dropped},
        {"tamisd_tcp_connections_total", "TCP connections accepted.", workers.tcp_connections},
        {"tamisd_tcp_refused_total", "TCP connections over the limit of their address.",
         workers.tcp_refused},
        {"tamisd_tcp_displaced_total", "TCP connections closed to make room.",
         workers.tcp_displaced},
        {"tamisd_tcp_timeouts_total", "TCP connections closed for idling.", workers.tcp_timeouts},
        {"tamisd_tls_connections_total", "TCP connections whose TLS handshake succeeded.",
         workers.tls_connections},
        {"tamisd_tls_resumed_total", "TLS handshakes that resumed a session.", workers.tls_resumed},
        {"tamisd_tls_handshake_failures_total", "TLS handshakes that failed or were not finished.",
         workers.tls_handshake_failures},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        write_counter(stream, counters[i].name, counters[i].help);
        fprintf(stream, "%s %llu\n", counters[i].name, (unsigned long long)counters[i].value);
    }
}

static void write_update_metrics(const struct server *server, FILE *stream)
{
    struct updater_counters updates;
    struct journal_stats journal;
    get_updates(server, &updates, &journal);
    write_counter(stream, "tamisd_updates_total", "Dynamic updates answered, by RCODE.");
    for (size_t i = 0; i < sizeof(updates.rcodes) / sizeof(updates.rcodes[0]); i++) {
        if (rcode_word(i) != NULL)
            fprintf(stream, "tamisd_updates_total{rcode=\"%s\"} %llu\n", rcode_word(i),
                    (unsigned long long)updates.rcodes[i]);
    }
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"tamisd_update_commits_total", "Writes of updates to the journal.", updates.commits},
        {"tamisd_update_commit_failures_total", "Writes of updates that failed.", updates.failures},
        {"tamisd_update_changes_total", "Record sets that updates changed.", updates.changes},
        {"tamisd_updates_not_taken_total", "Updates that found the queue full.",
         updates.refused_full},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        write_counter(stream, counters[i].name, counters[i].help);
        fprintf(stream, "%s %llu\n", counters[i].name, (unsigned long long)counters[i].value);
    }
    write_gauge(stream, "tamisd_updates_waiting", "Updates taken and not answered.");
    fprintf(stream, "tamisd_updates_waiting %llu\n", (unsigned long long)updates.waiting);
    write_gauge(stream, "tamisd_journal_octets", "Octets in use of the journal.");
    fprintf(stream, "tamisd_journal_octets %llu\n", (unsigned long long)journal.octets);
    write_gauge(stream, "tamisd_journal_octets_max", "Octets that the journal may have.");
    fprintf(stream, "tamisd_journal_octets_max %llu\n", (unsigned long long)journal.size_max);
}

static void write_transfer_metrics(struct server *server, FILE *stream)
{
    struct transfer_sender_counters transfers;
    struct notifier_counters notifies;
    transfer_sender_counters(server->sender, &transfers);
    notify_counters(server, &notifies);
    write_gauge(stream, "tamisd_transfers_out_running", "Zones on their way to secondaries.");
    fprintf(stream, "tamisd_transfers_out_running %llu\n", (unsigned long long)transfers.running);
    write_gauge(stream, "tamisd_transfers_out_waiting", "Transfers that wait for their turn.");
    fprintf(stream, "tamisd_transfers_out_waiting %llu\n", (unsigned long long)transfers.waiting);
    write_counter(stream, "tamisd_transfers_out_total", "Transfers to secondaries, by outcome.");
    const struct {
        const char *outcome;
        uint64_t value;
    } outcomes[] = {{"axfr", transfers.whole},
                    {"ixfr", transfers.differences},
                    {"current", transfers.current},
                    {"failed", transfers.failed},
                    {"refused", transfers.refused_full}};
    for (size_t i = 0; i < sizeof(outcomes) / sizeof(outcomes[0]); i++)
        fprintf(stream, "tamisd_transfers_out_total{outcome=\"%s\"} %llu\n", outcomes[i].outcome,
                (unsigned long long)outcomes[i].value);
    const struct {
        const char *name, *help;
        uint64_t value;
    } counters[] = {
        {"tamisd_transfers_out_records_total", "Records sent to secondaries.", transfers.records},
        {"tamisd_transfers_out_octets_total", "Octets sent to secondaries.", transfers.octets},
        {"tamisd_notify_sent_total", "NOTIFY messages sent.", notifies.sent},
        {"tamisd_notify_answered_total", "NOTIFY messages answered.", notifies.answered},
        {"tamisd_notify_given_up_total", "Secondaries that answered no NOTIFY of a change.",
         notifies.given_up},
    };
    for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++) {
        write_counter(stream, counters[i].name, counters[i].help);
        fprintf(stream, "%s %llu\n", counters[i].name, (unsigned long long)counters[i].value);
    }
}

static void write_tls_metrics(const struct server *server, FILE *stream)
{
    if (server->tls == NULL)
        return;
    write_gauge(stream, "tamisd_tls_certificate_expiry_seconds",
                "When the certificate ends, Unix time.");
    fprintf(stream, "tamisd_tls_certificate_expiry_seconds %lld\n",
            (long long)tls_server_expires_at(server->tls));
}

static void write_zone_metrics(const struct server *server, FILE *stream)
{
    write_gauge(stream, "tamisd_zone_serving", "1 when the zone is served.");
    for (size_t i = 0; i < server->zone_count; i++)
        fprintf(stream, "tamisd_zone_serving{zone=\"%s\"} %d\n", server->zones[i]->text,
                status_of(server->zones[i]) == ZONE_SERVING);
    struct zone_figures figures;
    write_gauge(stream, "tamisd_zone_serial", "Serial of the zone's SOA.");
    for (size_t i = 0; i < server->zone_count; i++) {
        zone_figures(server->zones[i], &figures);
        fprintf(stream, "tamisd_zone_serial{zone=\"%s\"} %u\n", server->zones[i]->text,
                figures.soa.serial);
    }
    write_gauge(stream, "tamisd_zone_names", "Names with records.");
    for (size_t i = 0; i < server->zone_count; i++) {
        zone_figures(server->zones[i], &figures);
        fprintf(stream, "tamisd_zone_names{zone=\"%s\"} %llu\n", server->zones[i]->text,
                (unsigned long long)figures.names);
    }
    write_counter(stream, "tamisd_zone_transfer_failures_total", "Failed checks and transfers.");
    for (size_t i = 0; i < server->zone_count; i++)
        fprintf(stream, "tamisd_zone_transfer_failures_total{zone=\"%s\"} %llu\n",
                server->zones[i]->text,
                (unsigned long long)atomic_load(&server->zones[i]->transfer_failures));
}

static void write_order_metrics(const struct server *server, FILE *stream)
{
    int64_t now = time(NULL);
    write_gauge(stream, "tamisd_order_in_force", "1 while the order is in force.");
    for (size_t i = 0; i < order_book_count(server->book); i++) {
        const struct order_entry *entry = order_book_at(server->book, i);
        fprintf(stream, "tamisd_order_in_force{order=\"%s\"} %d\n",
                active_order_get(entry->active)->id,
                strcmp(state_word(entry, now), "in force") == 0);
    }
    write_counter(stream, "tamisd_order_hits_total", "Queries for names that the order lists.");
    for (size_t i = 0; i < order_book_count(server->book); i++) {
        const struct order_entry *entry = order_book_at(server->book, i);
        fprintf(stream, "tamisd_order_hits_total{order=\"%s\"} %llu\n",
                active_order_get(entry->active)->id,
                (unsigned long long)active_order_hits(entry->active));
    }
    write_gauge(stream, "tamisd_order_names", "Names that the order lists.");
    for (size_t i = 0; i < order_book_count(server->book); i++) {
        const struct active_order *active = order_book_at(server->book, i)->active;
        fprintf(stream, "tamisd_order_names{order=\"%s\"} %zu\n", active_order_get(active)->id,
                active_order_names(active)->count);
    }
}

void server_write_metrics(void *context, FILE *stream)
{
    struct server *server = context;
    pthread_mutex_lock(&server->control);
    write_gauge(stream, "tamisd_start_time_seconds", "When the server started, Unix time.");
    fprintf(stream, "tamisd_start_time_seconds %lld\n", (long long)server->started_at);
    write_query_metrics(server, stream);
    write_transfer_metrics(server, stream);
    write_tls_metrics(server, stream);
    write_update_metrics(server, stream);
    forwarding_write_metrics(server, stream);
    write_zone_metrics(server, stream);
    zone_status_write_metrics(server, stream);
    error_reports_write_metrics(server->error_reports, stream);
    write_order_metrics(server, stream);
    listed_answers_write_metrics(server->listed, stream);
    pthread_mutex_unlock(&server->control);
}

bool server_is_healthy(void *context, FILE *stream)
{
    struct server *server = context;
    bool healthy = true;
    pthread_mutex_lock(&server->control);
    for (size_t i = 0; i < server->zone_count; i++) {
        const struct zone *zone = server->zones[i];
        if (status_of(zone) == ZONE_SERVING)
            continue;
        char error[512];
        zone_last_error_get(zone, error, sizeof(error));
        fprintf(stream, "zone %s is %s%s%s\n", zone->text, status_word(atomic_load(&zone->status)),
                error[0] == '\0' ? "" : ": ", error);
        healthy = false;
    }
    pthread_mutex_unlock(&server->control);
    return healthy;
}
