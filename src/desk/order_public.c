/* What everybody may ask: whether a name is blocked, by which order, why, until when, and how to
 * appeal; and the notice of an order. As JSON, or as a page for a browser. Who asked for an order
 * is told to nobody, and what a sealed one lists not either. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/block.h"
#include "desk/block_opening.h"
#include "desk/desk_order_internal.h"
#include "desk/html.h"

#define NAMES_TOLD_MAX 1000

/* ---- Pages ---- */

static bool wants_page(const struct request *request)
{
    const char *accept = request_header(request, "Accept");
    return accept != NULL && strstr(accept, "text/html") != NULL;
}

static void html_value(FILE *stream, const json_t *value)
{
    if (json_is_string(value))
        html_text(stream, json_string_value(value));
    else if (json_is_integer(value))
        fprintf(stream, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        fputs(json_is_true(value) ? "yes" : "no", stream);
}

/* The members of an object as a list of terms; lists and objects within them likewise. */
static void html_members(FILE *stream, const json_t *object)
{
    const char *name;
    const json_t *value, *entry;
    size_t index;

    fputs("<dl>\n", stream);
    json_object_foreach((json_t *)object, name, value)
    {
        if (json_is_null(value) || (json_is_array(value) && json_array_size(value) == 0))
            continue;
        fputs("<dt>", stream);
        for (const char *at = name; *at != '\0'; at++)
            fputc(*at == '_' ? ' ' : *at, stream);
        fputs("</dt><dd>", stream);
        if (json_is_object(value))
            html_members(stream, value);
        else if (!json_is_array(value))
            html_value(stream, value);
        json_array_foreach(value, index, entry)
        {
            if (json_is_object(entry)) {
                html_members(stream, entry);
                continue;
            }
            fputs("<p>", stream);
            html_value(stream, entry);
            fputs("</p>", stream);
        }
        fputs("</dd>\n", stream);
    }
    fputs("</dl>\n", stream);
}

static int page_reply(struct reply *reply, const char *title, const char *sentence, json_t *json)
{
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);

    if (stream == NULL) {
        json_decref(json);
        return -ENOMEM;
    }
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", stream);
    html_text(stream, title);
    fputs("</title></head><body>\n<h1>", stream);
    html_text(stream, title);
    fputs("</h1>\n<p>", stream);
    html_text(stream, sentence);
    fputs("</p>\n", stream);
    html_members(stream, json);
    fputs("</body></html>\n", stream);
    json_decref(json);
    if (fclose(stream) != 0) {
        free(text);
        return -ENOMEM;
    }
    return reply_buffer(reply, 200, "text/html; charset=utf-8", text, size);
}

static int choose_reply(const struct request *request, struct reply *reply, const char *title,
                        const char *sentence, json_t *json)
{
    if (json == NULL || reply_header_add(reply, "Vary", "Accept") < 0) {
        json_decref(json);
        return -ENOMEM;
    }
    return wants_page(request) ? page_reply(reply, title, sentence, json)
                               : reply_json(reply, 200, json);
}

static json_t *appeal_json(const struct request *request)
{
    return json_pack("{s:s+, s:s}", "url", request_desk(request)->config->http.base, "/v1/appeals",
                     "text",
                     "Whoever holds the name, or can prove control of it, may appeal; somebody "
                     "else than who decided answers.");
}

/* ---- A name ---- */

static json_t *order_block_json(const struct request *request, const struct order_row *row)
{
    char starts[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];
    bool is_sealed = order_row_is_sealed(row, request_now_s(request));

    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:s++}", "by", "order", "order",
                     row->name, "kind", row->kind, "action", row->action, "reason",
                     is_sealed ? json_null() : json_string(row->authority), "since",
                     clock_text(row->starts_s, starts), "until", clock_text(row->ends_s, ends),
                     "notice", request_desk(request)->config->http.base, "/orders/", row->name);
}

static int order_block_add(const struct request *request, const char *name, json_t *blocks,
                           struct error *ret_error)
{
    struct store *store = request_store(request);
    struct desk_order_block found;
    struct order_row row;

    int rc = desk_order_find(store, name, request_now_s(request), &found, ret_error);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = order_row_get(store, found.id, &row, ret_error);
    if (rc == 0 && json_array_append_new(blocks, order_block_json(request, &row)) < 0)
        rc = -ENOMEM;
    return rc;
}

static json_t *time_or_null(int64_t time_s)
{
    char text[CLOCK_TEXT_SIZE];
    return time_s != 0 ? json_string(clock_text(time_s, text)) : json_null();
}

static int provider_block_add(const struct request *request, const char *name, json_t *blocks,
                              struct error *ret_error)
{
    struct block block;
    json_t *openings = NULL;

    int rc = block_find(request_store(request), name, request_now_s(request), &block, ret_error);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = block_openings_json(request_store(request), block.name, &openings, ret_error);
    if (rc == 0 && json_array_append_new(
                       blocks, json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "by", "provider", "name",
                                         block.name, "reason", block.reason, "since",
                                         time_or_null(block.since_s), "until",
                                         time_or_null(block.until_s), "ledger", openings)) < 0)
        rc = -ENOMEM;
    return rc;
}

int order_name_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    char name[ORDER_NAME_TEXT_SIZE], title[ORDER_NAME_TEXT_SIZE + 32];

    int rc = order_name_normalize(request_param(request, "name"), name, ret_error);
    if (rc < 0)
        return rc;
    json_t *blocks = json_array();
    rc = order_block_add(request, name, blocks, ret_error);
    if (rc == 0)
        rc = provider_block_add(request, name, blocks, ret_error);
    if (rc < 0) {
        json_decref(blocks);
        return rc;
    }
    bool is_blocked = json_array_size(blocks) > 0;
    snprintf(title, sizeof(title), "%s is %sblocked", name, is_blocked ? "" : "not ");
    return choose_reply(request, reply, title,
                        is_blocked ? "It is blocked as told here." : "Nothing blocks it here.",
                        json_pack("{s:s, s:b, s:o, s:o}", "name", name, "blocked", is_blocked,
                                  "blocks", blocks, "appeal",
                                  is_blocked ? appeal_json(request) : json_null()));
}

/* ---- An order's notice ---- */

static int names_add(struct store *store, const struct order_row *row, json_t *json,
                     struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT name FROM order_names WHERE order_id = $1 AND list <> 'exempt' "
                         "ORDER BY name LIMIT $2",
                         store_text(row->id), store_integer(NAMES_TOLD_MAX));
    if (rc < 0)
        return rc;
    json_t *names = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(names, json_string(store_row_text(rows, i, 0)));
    return json_object_set_new(json, "listed", names) == 0 ? 0 : -ENOMEM;
}

static json_t *notice_json(const struct request *request, const struct order_row *row)
{
    char starts[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];
    char commitment[2 * crypto_hash_sha256_BYTES + 1], salt[2 * sizeof(row->salt) + 1];
    bool is_open = order_row_is_public(row, request_now_s(request));

    order_row_commitment(row, commitment);
    sodium_bin2hex(salt, sizeof(salt), row->salt, sizeof(row->salt));
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:b, s:o, s:s, s:o, s:o, s:o}", "order",
        row->name, "state", row->state, "kind", row->kind, "action", row->action, "authority",
        is_open ? json_string(row->authority) : json_null(), "starts",
        clock_text(row->starts_s, starts), "ends", clock_text(row->ends_s, ends), "ended_at",
        time_or_null(row->ended_at_s), "end_reason",
        row->end_reason[0] != '\0' && is_open ? json_string(row->end_reason) : json_null(),
        "sealed", !is_open, "sealed_until",
        is_open ? json_null() : time_or_null(row->sealed_until_s), "commitment", commitment, "salt",
        is_open ? json_string(salt) : json_null(), "document_sha256",
        is_open ? json_string(row->document_hash) : json_null(), "appeal", appeal_json(request));
}

/* What was never in force is nobody's business yet. */
int order_notice_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct order_row row;
    char title[DESK_ORDER_NAME_SIZE + 16];

    int rc = order_row_get(request_store(request), request_param(request, "id"), &row, ret_error);
    if (rc < 0)
        return rc;
    if (row.activated_at_s == 0 || strcmp(row.action, "observe") == 0)
        return error_set(ret_error, -ENOENT, "there is no such order");
    json_t *json = notice_json(request, &row);
    if (json == NULL)
        return -ENOMEM;
    if (order_row_is_public(&row, request_now_s(request)))
        rc = names_add(request_store(request), &row, json, ret_error);
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    snprintf(title, sizeof(title), "Order %s", row.name);
    return choose_reply(request, reply, title,
                        order_row_is(&row, "active") ? "It is in force." : "It is over.", json);
}

/* ---- A name, for staff ---- */

static const char *decision_of(const struct store_rows *rows, size_t row)
{
    const char *state = store_row_text(rows, row, 2), *list = store_row_text(rows, row, 3);

    if (strcmp(list, "exempt") == 0 || !store_row_is_null(rows, row, 6))
        return "exempt";
    if (strcmp(state, "active") != 0)
        return store_row_is_null(rows, row, 10) ? "pending" : "ended";
    return strcmp(store_row_text(rows, row, 11), "observe") == 0 ? "observed" : "blocked";
}

static json_t *listing_json(const struct store_rows *rows, size_t row)
{
    const char *found = store_row_text(rows, row, 4), *reason = store_row_text(rows, row, 6);

    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "id",
                     store_row_text(rows, row, 0), "order", store_row_text(rows, row, 1),
                     "order_state", store_row_text(rows, row, 2), "list",
                     store_row_text(rows, row, 3), "listed_as", store_row_text(rows, row, 9),
                     "decision", decision_of(rows, row), "state",
                     found != NULL ? json_string(found) : json_null(), "seen_at",
                     time_or_null(store_row_integer(rows, row, 5)), "exempt_reason",
                     reason != NULL ? json_string(reason) : json_null(), "exempt_at",
                     time_or_null(store_row_integer(rows, row, 7)), "ends",
                     time_or_null(store_row_integer(rows, row, 8)), "ended_at",
                     time_or_null(store_row_integer(rows, row, 10)));
}

/* The rows of the name itself, then those of subtrees that take it in. */
static int listings_add(struct store *store, const char *name, const char *listed, json_t *items,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    bool is_itself = strcmp(name, listed) == 0;

    int rc = store_query(
        store, &rows, ret_error,
        "SELECT orders.id, orders.name, orders.state, list, found, seen_at, "
        "order_exemptions.reason, order_exemptions.at, orders.ends_at, order_names.name, "
        "orders.ended_at, orders.action FROM order_names JOIN orders ON "
        "orders.id = order_names.order_id LEFT JOIN order_exemptions ON "
        "order_exemptions.order_id = orders.id AND order_exemptions.name = $1 "
        "WHERE order_names.name = $2 AND ($3 = 1 OR list = 'subtree') ORDER BY orders.id DESC "
        "LIMIT $4",
        store_text(name), store_text(listed), store_integer(is_itself),
        store_integer(NAMES_TOLD_MAX));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        if (json_array_append_new(items, listing_json(rows, i)) < 0)
            rc = -ENOMEM;
    return rc;
}

int order_name_staff_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    char name[ORDER_NAME_TEXT_SIZE];
    json_t *items = json_array(), *blocks = json_array();

    int rc = order_name_normalize(request_param(request, "name"), name, ret_error);
    for (const char *at = name; rc == 0 && at != NULL;) {
        rc = listings_add(request_store(request), name, at, items, ret_error);
        at = strchr(at, '.');
        at = at != NULL ? at + 1 : NULL;
    }
    if (rc == 0)
        rc = provider_block_add(request, name, blocks, ret_error);
    json_t *json =
        rc == 0 ? json_pack("{s:s, s:O, s:O}", "name", name, "orders", items, "blocks", blocks)
                : NULL;
    json_decref(items);
    json_decref(blocks);
    return rc < 0 ? rc : reply_json(reply, 200, json);
}
