/* The pages about the desk itself: health, figures, the description of its interface, and whom to
 * tell of a weakness; and what keeps its own tables small. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "desk/desk.h"
#include "desk/http.h"
#include "desk/openapi.h"
#include "desk/parts.h"

#define DAY_S                (24 * 3600)
#define IDEMPOTENCY_KEPT_S   DAY_S
#define SECURITY_TXT_VALID_S (180 * DAY_S)

/* ---- Pages ---- */

static int health_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct http_figures figures;

    int rc = store_query(request_store(request), &rows, ret_error, "SELECT 1");
    if (rc < 0)
        return rc;
    http_figures_get(request_desk(request)->http, &figures);
    json_t *alarms = json_array();
    for (size_t i = 0; i < desk_part_count; i++)
        if (desk_parts[i]->health != NULL)
            desk_parts[i]->health(request_desk(request), alarms);
    return reply_json(reply, 200,
                      json_pack("{s:s, s:i, s:o}", "status",
                                json_array_size(alarms) == 0 ? "ok" : "degraded", "queued",
                                (int)figures.queued, "alarms", alarms));
}

static bool is_loopback(const struct sockaddr *client)
{
    if (client->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)client)->sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)client)->sin6_addr);
}

static void figures_write(struct desk *desk, FILE *stream)
{
    struct http_figures figures;
    http_figures_get(desk->http, &figures);
    fprintf(stream,
            "# TYPE tamis_desk_requests_total counter\ntamis_desk_requests_total %" PRIu64 "\n",
            figures.requests);
    fputs("# TYPE tamis_desk_answers_total counter\n", stream);
    for (unsigned i = 1; i < 6; i++)
        fprintf(stream, "tamis_desk_answers_total{class=\"%uxx\"} %" PRIu64 "\n", i,
                figures.answers_by_class[i]);
    fprintf(stream,
            "# TYPE tamis_desk_refused_queue_full_total counter\n"
            "tamis_desk_refused_queue_full_total %" PRIu64 "\n"
            "# TYPE tamis_desk_refused_bodies_full_total counter\n"
            "tamis_desk_refused_bodies_full_total %" PRIu64 "\n"
            "# TYPE tamis_desk_large_body_octets gauge\ntamis_desk_large_body_octets %" PRIu64 "\n"
            "# TYPE tamis_desk_queued gauge\ntamis_desk_queued %u\n"
            "# TYPE tamis_desk_working gauge\ntamis_desk_working %u\n"
            "# TYPE tamis_desk_pending gauge\ntamis_desk_pending %u\n"
            "# TYPE tamis_desk_connections gauge\ntamis_desk_connections %u\n",
            figures.refused_queue_full, figures.refused_bodies_full, figures.large_octets,
            figures.queued, figures.working, figures.pending, figures.connections);
}

static int backlog_write(struct store *store, FILE *stream, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT kind, state, COUNT(*) FROM outbox GROUP BY kind, state");
    if (rc < 0)
        return rc;
    fputs("# TYPE tamis_desk_outbox gauge\n", stream);
    for (size_t i = 0; i < store_rows_count(rows); i++)
        fprintf(stream, "tamis_desk_outbox{kind=\"%s\",state=\"%s\"} %" PRId64 "\n",
                store_row_text(rows, i, 0), store_row_text(rows, i, 1),
                store_row_integer(rows, i, 2));
    return 0;
}

/* Figures are for who runs the desk: its own machine, or a role that may read all. */
static int metrics_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    const unsigned readers = ROLE_OPERATOR | ROLE_AUDITOR;
    if (!is_loopback(request_client(request)) && (request_principal(request)->role & readers) == 0)
        return error_set(ret_error, -ENOENT, "there is no such path");

    struct desk *desk = request_desk(request);
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return -ENOMEM;
    figures_write(desk, stream);
    int rc = backlog_write(request_store(request), stream, ret_error);
    for (size_t i = 0; i < desk_part_count && rc == 0; i++)
        if (desk_parts[i]->metrics != NULL)
            desk_parts[i]->metrics(desk, stream);
    if (fclose(stream) != 0 && rc == 0)
        rc = -ENOMEM;
    if (rc == 0)
        return reply_buffer(reply, 200, "text/plain; version=0.0.4", text, size);
    free(text);
    return rc;
}

static int openapi_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    (void)request, (void)ret_error;
    return reply_constant(reply, 200, "application/json", openapi_json);
}

/* RFC 9116. */
static int security_txt_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    const struct desk_config_http *http = &request_desk(request)->config->http;
    char expires[CLOCK_TEXT_SIZE], *text;

    if (http->security_contact == NULL)
        return error_set(ret_error, -ENOENT, "no contact is configured");
    clock_text(request_now_s(request) + SECURITY_TXT_VALID_S, expires);
    int size = asprintf(&text, "Contact: %s\nExpires: %s\nCanonical: %s/.well-known/security.txt\n",
                        http->security_contact, expires, http->base);
    if (size < 0)
        return -ENOMEM;
    return reply_buffer(reply, 200, "text/plain; charset=utf-8", text, (size_t)size);
}

/* ---- Jobs ---- */

static int idempotency_expire(struct desk *desk, struct store *store, int64_t now_s,
                              struct error *ret_error)
{
    (void)desk;
    return store_change(store, NULL, ret_error, "DELETE FROM idempotency WHERE created_at < $1",
                        store_integer(now_s - IDEMPOTENCY_KEPT_S));
}

static const struct route routes[] = {
    {"GET", "/healthz", ROLE_PUBLIC, 0, health_get},
    {"GET", "/metrics", ROLE_PUBLIC, 0, metrics_get},
    {"GET", "/openapi.json", ROLE_PUBLIC, 0, openapi_get, .fast = true},
    {"GET", "/.well-known/security.txt", ROLE_PUBLIC, 0, security_txt_get, .fast = true},
};

static const struct job jobs[] = {
    {"idempotency.expire", 3600, idempotency_expire},
};

const struct desk_part part_system = {
    .name = "system",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
};
