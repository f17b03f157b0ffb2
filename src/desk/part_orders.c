/* Orders: drafting and reading them, the routes of all their steps, and what runs beside. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/interest.h"
#include "desk/parts.h"
#include "desk/row_json.h"
#include "desk/zone_publisher.h"
#include "dns/name.h"

/* A document of some 500,000 names. */
#define DOCUMENT_SIZE_MAX ((size_t)16 * 1024 * 1024)

#define STEP_BODY_MAX  65536
#define EVENTS_MAX     500
#define CONTACTS_MAX   50
#define ROLE_STAFF     (ROLE_ANALYST | ROLE_APPROVER | ROLE_OPERATOR)
#define ROLE_READERS   (ROLE_STAFF | ROLE_AUDITOR)
#define ROLE_APPROVERS (ROLE_APPROVER | ROLE_OPERATOR)

/* ---- Drafting ---- */

int order_document_in(struct json_in *in, char **ret_text, struct error *ret_error)
{
    const json_t *value = json_object_get(in->object, "document");

    (void)json_in_has(in, "document"); /* it counts as known */
    if (json_is_string(value) && json_string_length(value) > 0)
        *ret_text = strdup(json_string_value(value));
    else if (json_is_object(value))
        *ret_text = json_dumps(value, JSON_INDENT(1));
    else
        return json_in_fail(in, "document", ret_error,
                            "is no order: give the YAML as a text, or the same as an object");
    return *ret_text != NULL ? 0 : error_set(ret_error, -ENOMEM, "out of memory for a document");
}

/* A draft, or a change of one: what was not sent is NULL. */
struct drafting {
    struct request *request;
    char *document;
    struct desk_order_draft draft;
    bool has_seal;
    char id[ID_SIZE];
};

static int drafting_read(struct drafting *drafting, bool is_new, struct error *ret_error)
{
    struct desk_order_draft *draft = &drafting->draft;
    struct json_in in;

    int rc = request_json_in(drafting->request, &in, ret_error);
    if (rc == 0 && (is_new || json_in_has(&in, "document")))
        rc = order_document_in(&in, &drafting->document, ret_error);
    drafting->has_seal = rc == 0 && json_object_get(in.object, "sealed_until") != NULL;
    if (rc == 0 && json_in_has(&in, "sealed_until"))
        rc = json_in_time(&in, "sealed_until", &draft->sealed_until_s, ret_error);
    if (rc == 0 && json_in_has(&in, "contacts"))
        rc = json_in_array(&in, "contacts", CONTACTS_MAX, &draft->contacts, ret_error);
    if (rc == 0 && is_new && json_in_has(&in, "report"))
        rc = json_in_text(&in, "report", 1, ID_SIZE - 1, &draft->report, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0 && drafting->document != NULL) {
        draft->document = drafting->document;
        draft->document_size = strlen(drafting->document);
        draft->path = "/document";
        /* Other writers do not wait while a long list is read. */
        rc = order_document_load(request_desk(drafting->request), draft->path, draft->document,
                                 draft->document_size, &draft->loaded, ret_error);
    }
    return rc;
}

static void drafting_clear(struct drafting *drafting)
{
    order_free(drafting->draft.loaded);
    free(drafting->document);
}

static int draft_do(struct store *store, void *context, struct error *ret_error)
{
    struct drafting *drafting = context;
    struct change change = change_of_request(drafting->request);
    return desk_order_draft(request_desk(drafting->request), store, &change, &drafting->draft,
                            drafting->id, ret_error);
}

/* A draft is a draft whatever comes of this: it is done again before anything is in force. */
static void draft_compare(struct request *request, const char *id)
{
    const struct change change = change_of_request(request);
    struct error error = {0};
    int rc =
        interest_order_check(request_desk(request), request_store(request), &change, id, &error);
    if (rc < 0)
        log_event(LOG_WARNING, "%s is not compared with interests yet: %s", id, error.text);
}

static int orders_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct drafting drafting = {.request = request};
    char location[64];

    int rc = drafting_read(&drafting, true, ret_error);
    if (rc == 0)
        rc = request_transact(request, draft_do, &drafting, ret_error);
    drafting_clear(&drafting);
    if (rc < 0)
        return rc;
    draft_compare(request, drafting.id);
    snprintf(location, sizeof(location), "/v1/orders/%s", drafting.id);
    if (reply_header_add(reply, "Location", location) < 0)
        return -ENOMEM;
    return order_reply(request, reply, 201, drafting.id, ret_error);
}

/* ---- Changing a draft ---- */

static int seal_and_contacts_set(struct store *store, const struct drafting *drafting,
                                 struct error *ret_error)
{
    const struct desk_order_draft *draft = &drafting->draft;
    int rc = 0;

    if (drafting->has_seal)
        rc = store_change(
            store, NULL, ret_error, "UPDATE orders SET sealed_until = $1 WHERE id = $2",
            draft->sealed_until_s != 0 ? store_integer(draft->sealed_until_s) : store_null(),
            store_text(drafting->id));
    if (rc < 0 || draft->contacts == NULL)
        return rc;
    char *contacts = json_dumps(draft->contacts, JSON_COMPACT);
    if (contacts == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the contacts");
    rc = store_change(store, NULL, ret_error, "UPDATE orders SET contacts = $1 WHERE id = $2",
                      store_text(contacts), store_text(drafting->id));
    free(contacts);
    return rc;
}

static int patch_do(struct store *store, void *context, struct error *ret_error)
{
    struct drafting *drafting = context;
    struct request *request = drafting->request;
    struct change change = change_of_request(request);
    struct order_row row;

    int rc = order_row_get(store, request_param(request, "id"), &row, ret_error);
    if (rc < 0)
        return rc;
    memcpy(drafting->id, row.id, sizeof(row.id));
    if (row.approved_at_s != 0 || row.ended_at_s != 0)
        return error_set(ret_error, -EEXIST,
                         "the order is %s: one that was approved is amended, or lifted and drafted "
                         "anew",
                         row.state);
    if (drafting->document == NULL && order_row_is(&row, "notified"))
        return error_set(ret_error, -EEXIST,
                         "the notice is on its way as it was: only another document changes the "
                         "order, which then begins anew");
    if (drafting->document != NULL)
        rc = order_document_replace(request_desk(request), store, &change, &row, &drafting->draft,
                                    ret_error);
    else
        rc = desk_order_draft_check(&drafting->draft, change.now_ms / 1000, ret_error);
    if (rc == 0)
        rc = seal_and_contacts_set(store, drafting, ret_error);
    if (rc == 0)
        rc = order_row_get(store, row.id, &row, ret_error);
    return rc < 0 ? rc : order_event(store, &change, &row, "order.edited", NULL, ret_error);
}

static int order_patch(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct drafting drafting = {.request = request};

    int rc = drafting_read(&drafting, false, ret_error);
    if (rc == 0)
        rc = request_transact(request, patch_do, &drafting, ret_error);
    drafting_clear(&drafting);
    if (rc < 0)
        return rc;
    draft_compare(request, drafting.id);
    return order_reply(request, reply, 200, drafting.id, ret_error);
}

/* ---- Reading ---- */

static int orders_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor, *state = request_query(request, "state");
    struct order_row row = {0};
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc < 0)
        return rc;
    state = state != NULL ? state : "";
    rc = store_query(request_store(request), &rows, ret_error,
                     "SELECT " ORDER_COLUMNS " FROM orders WHERE ($1 = '' OR id < $2) AND "
                     "($3 = '' OR state = $4) ORDER BY id DESC LIMIT $5",
                     store_text(cursor), store_text(cursor), store_text(state), store_text(state),
                     store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        order_row_read(rows, i, &row);
        json_array_append_new(items, order_row_json(&row, request_now_s(request)));
    }
    return reply_list(reply, items, store_rows_count(rows) == limit ? row.id : NULL);
}

static json_t *stored_json(const struct store_rows *rows, size_t row, size_t column)
{
    const char *text = store_row_text(rows, row, column);
    json_t *json = text != NULL ? json_loads(text, 0, NULL) : NULL;
    return json != NULL ? json : json_null();
}

static int events_add(struct store *store, const char *id, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char at[CLOCK_TEXT_SIZE];

    int rc = store_query(store, &rows, ret_error,
                         "SELECT at, action, account, role, detail, ledger FROM order_events "
                         "WHERE order_id = $1 ORDER BY id LIMIT $2",
                         store_text(id), store_integer(EVENTS_MAX));
    if (rc < 0)
        return rc;
    json_t *events = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            events, json_pack("{s:s, s:s, s:o, s:s, s:o, s:s}", "at",
                              clock_text(store_row_integer(rows, i, 0) / 1000, at), "action",
                              store_row_text(rows, i, 1), "account", row_text_json(rows, i, 2),
                              "role", store_row_text(rows, i, 3), "detail", stored_json(rows, i, 4),
                              "ledger", store_row_text(rows, i, 5)));
    return json_object_set_new(json, "events", events) == 0 ? 0 : -ENOMEM;
}

static int holds_add(struct store *store, const char *id, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT reference, until_at, ended_at FROM order_holds "
                         "WHERE order_id = $1 ORDER BY reference",
                         store_text(id));
    if (rc < 0)
        return rc;
    json_t *holds = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            holds, json_pack("{s:s, s:o, s:o}", "reference", store_row_text(rows, i, 0), "until",
                             row_time_json(rows, i, 1), "ended_at", row_time_json(rows, i, 2)));
    return json_object_set_new(json, "holds", holds) == 0 ? 0 : -ENOMEM;
}

static int rest_add(struct store *store, const struct order_row *row, json_t *json,
                    struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    unsigned needed = 0, given = 0;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT contacts, rehearsal, report, drafted_by FROM orders WHERE id = $1",
                         store_text(row->id));
    if (rc == 0)
        rc = order_approvals(store, row, &needed, &given, ret_error);
    if (rc < 0)
        return rc;
    json_t *rest =
        json_pack("{s:o, s:o, s:o, s:o, s:{s:I, s:I}}", "contacts", stored_json(rows, 0, 0),
                  "rehearsal", stored_json(rows, 0, 1), "report", row_text_json(rows, 0, 2),
                  "drafted_by", row_text_json(rows, 0, 3), "approvals", "needed",
                  (json_int_t)needed, "given", (json_int_t)given);
    rc = rest != NULL && json_object_update(json, rest) == 0 ? 0 : -ENOMEM;
    json_decref(rest);
    return rc;
}

int order_reply(struct request *request, struct reply *reply, unsigned status, const char *id,
                struct error *ret_error)
{
    struct store *store = request_store(request);
    struct order_row row;

    int rc = order_row_get(store, id, &row, ret_error);
    if (rc < 0)
        return rc;
    json_t *json = order_row_json(&row, request_now_s(request));
    rc = json != NULL ? rest_add(store, &row, json, ret_error) : -ENOMEM;
    if (rc == 0)
        rc = holds_add(store, row.id, json, ret_error);
    if (rc == 0)
        rc = events_add(store, row.id, json, ret_error);
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    return reply_json(reply, status, json);
}

static int order_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    return order_reply(request, reply, 200, request_param(request, "id"), ret_error);
}

/* As it was uploaded: its SHA-256 is what the ledger commits to. */
static int document_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct order_row row;

    int rc = order_row_get(request_store(request), request_param(request, "id"), &row, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT document FROM orders WHERE id = $1", store_text(row.id));
    if (rc < 0)
        return rc;
    const char *text = store_row_text(rows, 0, 0);
    return reply_octets(reply, 200, "application/yaml", text, strlen(text));
}

static int names_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct order_row row;
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = order_row_get(request_store(request), request_param(request, "id"), &row, ret_error);
    if (rc == 0)
        rc = store_query(
            request_store(request), &rows, ret_error,
            "SELECT order_names.name, list, found, seen_at, order_exemptions.reason, "
            "order_exemptions.at FROM order_names LEFT JOIN order_exemptions ON "
            "order_exemptions.order_id = order_names.order_id AND order_exemptions.name = "
            "order_names.name WHERE order_names.order_id = $1 AND order_names.list <> 'exempt' AND "
            "order_names.name > $2 ORDER BY order_names.name LIMIT $3",
            store_text(row.id), store_text(cursor), store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            items, json_pack("{s:s, s:s, s:o, s:o, s:o, s:o}", "name", store_row_text(rows, i, 0),
                             "list", store_row_text(rows, i, 1), "found", row_text_json(rows, i, 2),
                             "seen_at", row_time_json(rows, i, 3), "exempt_reason",
                             row_text_json(rows, i, 4), "exempt_at", row_time_json(rows, i, 5)));
    return reply_list(reply, items, count == limit ? store_row_text(rows, count - 1, 0) : NULL);
}

static int servers_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct order_row row;
    json_t *items = NULL;

    int rc = order_row_get(request_store(request), request_param(request, "id"), &row, ret_error);
    if (rc == 0)
        rc = order_servers_ask(request_desk(request), request_store(request), &row, &items,
                               ret_error);
    return rc < 0 ? rc : reply_list(reply, items, NULL);
}

/* ---- The part ---- */

static int orders_prepare(struct desk *desk, struct error *ret_error)
{
    const struct desk_config_orders *config = &desk->config->orders;
    struct desk_orders *orders = desk->orders;
    uint64_t key[2];
    int rc = 0;

    /* Names of a hostile list cannot be chosen to collide. */
    randombytes_buf(key, sizeof(key));
    name_hash_key_set(key[0], key[1] | 1);
    if (config->keyring != NULL)
        rc = keyring_load(config->keyring, &orders->keyring, ret_error);
    if (rc == 0 && config->signing_key != NULL) {
        rc = signing_key_load(config->signing_key, &orders->signing_key, ret_error);
        orders->has_signing_key = rc == 0;
    }
    if (rc == 0 && config->listen_count > 0)
        rc = zone_publisher_start(desk, &orders->publisher, ret_error);
    return rc;
}

static void orders_stop(struct desk *desk)
{
    struct desk_orders *orders = desk->orders;

    zone_publisher_stop(orders->publisher); /* a zone that is being made still needs the rest */
    desk->orders = NULL;
    keyring_free(orders->keyring);
    signing_key_clear(&orders->signing_key);
    pthread_mutex_destroy(&orders->rehearsing);
    free(orders);
}

static int orders_start(struct desk *desk, struct error *ret_error)
{
    desk->orders = calloc(1, sizeof(*desk->orders));
    if (desk->orders == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the orders");
    pthread_mutex_init(&desk->orders->rehearsing, NULL);
    int rc = orders_prepare(desk, ret_error);
    if (rc < 0)
        orders_stop(desk);
    return rc;
}

static void orders_metrics(struct desk *desk, FILE *stream)
{
    struct zone_publisher_figures figures = {0};

    if (desk->orders->publisher == NULL)
        return;
    zone_publisher_figures(desk->orders->publisher, &figures);
    fprintf(stream,
            "# TYPE tamis_desk_order_zones gauge\ntamis_desk_order_zones %" PRIu64 "\n"
            "# TYPE tamis_desk_order_transfers_total counter\n"
            "tamis_desk_order_transfers_total %" PRIu64 "\n"
            "# TYPE tamis_desk_order_requests_refused_total counter\n"
            "tamis_desk_order_requests_refused_total %" PRIu64 "\n"
            "# TYPE tamis_desk_order_notifies_total counter\n"
            "tamis_desk_order_notifies_total %" PRIu64 "\n"
            "# TYPE tamis_desk_order_notifies_unanswered_total counter\n"
            "tamis_desk_order_notifies_unanswered_total %" PRIu64 "\n",
            figures.zones, figures.transfers, figures.refused, figures.notifies,
            figures.unanswered);
}

static const struct route routes[] = {
    {"GET", "/v1/orders", ROLE_READERS, SCOPE_ORDERS_READ, orders_get},
    {"POST", "/v1/orders", ROLE_STAFF, SCOPE_ORDERS_WRITE, orders_post,
     .body_max = DOCUMENT_SIZE_MAX},
    {"GET", "/v1/orders/{id}", ROLE_READERS, SCOPE_ORDERS_READ, order_get},
    {"PATCH", "/v1/orders/{id}", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_patch,
     .body_max = DOCUMENT_SIZE_MAX},
    {"GET", "/v1/orders/{id}/document", ROLE_READERS, SCOPE_ORDERS_READ, document_get},
    {"GET", "/v1/orders/{id}/names", ROLE_READERS, SCOPE_ORDERS_READ, names_get},
    {"GET", "/v1/orders/{id}/servers", ROLE_READERS, SCOPE_ORDERS_READ, servers_get},
    {"POST", "/v1/orders/{id}/rehearsals", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_rehearsals_post},
    {"POST", "/v1/orders/{id}/notifications", ROLE_STAFF, SCOPE_ORDERS_WRITE,
     order_notifications_post, .body_max = STEP_BODY_MAX},
    {"POST", "/v1/orders/{id}/approvals", ROLE_APPROVERS, SCOPE_ORDERS_WRITE, order_approvals_post},
    {"POST", "/v1/orders/{id}/activations", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_activations_post},
    {"POST", "/v1/orders/{id}/amendments", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_amendments_post,
     .body_max = DOCUMENT_SIZE_MAX},
    {"POST", "/v1/orders/{id}/lifts", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_lifts_post,
     .body_max = STEP_BODY_MAX},
    {"GET", "/v1/names/{name}", ROLE_READERS, SCOPE_ORDERS_READ, order_name_staff_get},
    {"POST", "/v1/names/{name}/exemptions", ROLE_STAFF, SCOPE_ORDERS_WRITE, order_exemptions_post,
     .body_max = STEP_BODY_MAX},
    {"GET", "/names/{name}", ROLE_PUBLIC, 0, order_name_get},
    {"GET", "/orders/{id}", ROLE_PUBLIC, 0, order_notice_get},
};

static const struct job jobs[] = {
    {"order.expire", 1, orders_expire},
};

const struct desk_part part_orders = {
    .name = "orders",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .start = orders_start,
    .stop = orders_stop,
    .metrics = orders_metrics,
};
