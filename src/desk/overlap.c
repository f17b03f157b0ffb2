/* Overlaps: where an order and an interest meet, the channel between the two sides, and the end of
 * the hold. A partner sees its own ones, and neither who drafted the order nor its other names. */
#include <errno.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/interest.h"
#include "desk/interest_pages.h"
#include "desk/json_in.h"
#include "desk/ledger_queue.h"
#include "desk/mail.h"
#include "desk/outbox.h"

#define DETAIL_MAX 2000

#define ID_MESSAGE "msg"

#define OVERLAP_COLUMNS                                                                           \
    "id, order_id, interest, name, relation, found_at, held_until, ended_at, ended_how, reason, " \
    "account"

enum {
    COLUMN_ID,
    COLUMN_ORDER,
    COLUMN_INTEREST,
    COLUMN_NAME,
    COLUMN_RELATION,
    COLUMN_FOUND,
    COLUMN_HELD,
    COLUMN_ENDED,
    COLUMN_HOW,
    COLUMN_REASON,
    COLUMN_ACCOUNT,
};

static bool is_partner(const struct request *request)
{
    return request_principal(request)->role == ROLE_PARTNER;
}

/* ---- Looking ---- */

static json_t *overlap_json(const struct request *request, const struct store_rows *rows,
                            size_t row)
{
    char found[CLOCK_TEXT_SIZE], held[CLOCK_TEXT_SIZE], ended[CLOCK_TEXT_SIZE];
    const bool has_ended = !store_row_is_null(rows, row, COLUMN_ENDED);
    const int64_t held_until_s = store_row_integer(rows, row, COLUMN_HELD);
    const char *state = store_row_text(rows, row, COLUMN_HOW);
    if (!has_ended)
        state = held_until_s > request_now_s(request) ? "held" : "expired";
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s?, s:s?}", "id",
        store_row_text(rows, row, COLUMN_ID), "order", store_row_text(rows, row, COLUMN_ORDER),
        "interest", store_row_text(rows, row, COLUMN_INTEREST), "name",
        store_row_text(rows, row, COLUMN_NAME), "relation",
        store_row_text(rows, row, COLUMN_RELATION), "state", state, "found_at",
        clock_text(store_row_integer(rows, row, COLUMN_FOUND), found), "held_until",
        clock_text(held_until_s, held), "ended_at",
        has_ended ? clock_text(store_row_integer(rows, row, COLUMN_ENDED), ended) : NULL, "reason",
        store_row_text(rows, row, COLUMN_REASON));
}

int overlap_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc < 0)
        return rc;
    if (is_partner(request))
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " OVERLAP_COLUMNS
                         " FROM interest_overlaps WHERE account = $1 AND id > $2 "
                         "ORDER BY id LIMIT $3",
                         store_text(request_principal(request)->account), store_text(cursor),
                         store_integer(limit));
    else
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " OVERLAP_COLUMNS
                         " FROM interest_overlaps WHERE id > $1 ORDER BY id "
                         "LIMIT $2",
                         store_text(cursor), store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    const size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(items, overlap_json(request, rows, i));
    return reply_list(reply, items, count == limit ? store_row_text(rows, count - 1, 0) : NULL);
}

/* The overlap of the path; one of another partner is as if it were not. */
static int overlap_find(struct request *request, struct store *store, struct store_rows **ret_rows,
                        struct error *ret_error)
{
    struct store_rows *rows;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT " OVERLAP_COLUMNS " FROM interest_overlaps WHERE id = $1",
                         store_text(request_param(request, "id")));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0 ||
        (is_partner(request) && strcmp(store_row_text(rows, 0, COLUMN_ACCOUNT),
                                       request_principal(request)->account) != 0)) {
        store_rows_free(rows);
        return error_set(ret_error, -ENOENT, "there is no such overlap");
    }
    *ret_rows = rows;
    return 0;
}

static json_t *message_json(const struct store_rows *rows, size_t row)
{
    char at[CLOCK_TEXT_SIZE];
    return json_pack("{s:s, s:s, s:s, s:s}", "id", store_row_text(rows, row, 0), "at",
                     clock_text(store_row_integer(rows, row, 1), at), "side",
                     store_row_text(rows, row, 2), "text", store_row_text(rows, row, 3));
}

static int overlap_reply(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    _cleanup_(store_rows_freep) struct store_rows *messages = NULL;
    int rc = overlap_find(request, request_store(request), &rows, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &messages, ret_error,
                         "SELECT id, at, side, text FROM overlap_messages WHERE overlap = $1 "
                         "ORDER BY id",
                         store_text(request_param(request, "id")));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(messages); i++)
        json_array_append_new(list, message_json(messages, i));
    json_t *json = overlap_json(request, rows, 0);
    json_object_set_new(json, "messages", list);
    return reply_json(reply, 200, json);
}

int overlap_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    return overlap_reply(request, reply, ret_error);
}

/* ---- The channel ---- */

/* A channel that fills without end is no talk: more than two sides ever need. */
#define MESSAGES_MAX 1000

struct message {
    struct request *request;
    const char *text;
    char id[ID_SIZE];
};

/* Tells the other side that there is something to read, and nothing of it: mail is not private. */
static int message_tell(struct store *store, struct request *request, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *overlap = request_param(request, "id");
    const char *base = request_desk(request)->config->http.base;
    char subject[MAIL_SUBJECT_SIZE_MAX], text[1024];
    int rc = store_query(store, &rows, ret_error,
                         is_partner(request)
                             ? "SELECT a.email FROM accounts a JOIN interest_overlaps v ON "
                               "a.id = v.contact WHERE v.id = $1 AND a.state = 'active'"
                             : "SELECT a.email FROM accounts a JOIN interest_overlaps v ON "
                               "a.id = v.account WHERE v.id = $1 AND a.state = 'active'",
                         store_text(overlap));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    (void)snprintf(subject, sizeof(subject), "A message about the overlap %s", overlap);
    (void)snprintf(text, sizeof(text),
                   "The other side of the overlap %s has written to you.\n\nRead it here:\n"
                   "%s/v1/overlaps/%s\n",
                   overlap, base, overlap);
    return mail_put(
        store, request_now_ms(request),
        &(struct mail){
            .to = store_row_text(rows, 0, 0), .subject = subject, .text = text, .object = overlap},
        ret_error);
}

static int message_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    _cleanup_(store_rows_freep) struct store_rows *count = NULL;
    struct message *message = context;
    struct request *request = message->request;
    const char *overlap = request_param(request, "id");

    int rc = overlap_find(request, store, &rows, ret_error);
    if (rc == 0)
        rc = store_query(store, &count, ret_error,
                         "SELECT COUNT(*) FROM overlap_messages WHERE overlap = $1",
                         store_text(overlap));
    if (rc == 0 && store_row_integer(count, 0, 0) >= MESSAGES_MAX)
        rc = error_set(ret_error, -EDQUOT, "this channel is full: talk in another way");
    if (rc < 0)
        return rc;
    id_make(ID_MESSAGE, request_now_ms(request), message->id);
    rc = store_change(
        store, NULL, ret_error,
        "INSERT INTO overlap_messages (id, overlap, at, account, side, text) "
        "VALUES ($1, $2, $3, $4, $5, $6)",
        store_text(message->id), store_text(overlap), store_integer(request_now_s(request)),
        store_text(request_principal(request)->account),
        store_text(is_partner(request) ? "partner" : "desk"), store_text(message->text));
    if (rc == 0)
        rc = message_tell(store, request, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = request_now_ms(request),
                                               .who = request_principal(request),
                                               .client = request_client_text(request),
                                               .action = "overlap.message",
                                               .object = overlap},
                         ret_error);
    return rc;
}

int overlap_message(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct message message = {.request = request};
    char at[CLOCK_TEXT_SIZE];
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_lines(&in, "text", 1, MESSAGE_SIZE_MAX, &message.text, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = request_transact(request, message_do, &message, ret_error);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    return reply_json(reply, 201,
                      json_pack("{s:s, s:s, s:s, s:s}", "id", message.id, "at",
                                clock_text(request_now_s(request), at), "side",
                                is_partner(request) ? "partner" : "desk", "text", message.text));
}

/* ---- The end of the hold ---- */

static const char *const reasons[] = {"agreed",           "imminent-harm", "court-deadline",
                                      "mistaken-overlap", "no-answer",     NULL};

struct override {
    struct request *request;
    const char *reason, *detail;
};

/* The world learns that a hold was overridden, and with which reason; not whose interest it was. */
static int override_tell(struct store *store, const struct override *override,
                         const struct store_rows *rows, struct error *ret_error)
{
    char id[ID_SIZE], held[CLOCK_TEXT_SIZE];
    json_t *content = json_pack("{s:s, s:s, s:s}", "overlap", store_row_text(rows, 0, COLUMN_ID),
                                "reason", override->reason, "held_until",
                                clock_text(store_row_integer(rows, 0, COLUMN_HELD), held));
    int rc = ledger_queue_put(store, request_now_ms(override->request), "overlap.overridden",
                              store_row_text(rows, 0, COLUMN_ORDER), content, id, ret_error);
    json_decref(content);
    return rc;
}

static int override_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct override *override = context;
    struct request *request = override->request;
    const bool released = is_partner(request);

    int rc = overlap_find(request, store, &rows, ret_error);
    if (rc < 0)
        return rc;
    if (!store_row_is_null(rows, 0, COLUMN_ENDED))
        return error_set(ret_error, -EEXIST, "this overlap holds nothing any more");
    rc = store_change(
        store, NULL, ret_error,
        "UPDATE interest_overlaps SET ended_at = $1, ended_how = $2, reason = $3 WHERE id = "
        "$4",
        store_integer(request_now_s(request)), store_text(released ? "released" : "overridden"),
        store_text(override->reason), store_text(request_param(request, "id")));
    const struct change change = change_of_request(request);
    if (rc == 0)
        rc = interest_hold_end(store, &change, store_row_text(rows, 0, COLUMN_ORDER),
                               request_param(request, "id"), ret_error);
    if (rc == 0 && !released)
        rc = override_tell(store, override, rows, ret_error);
    json_t *detail =
        json_pack("{s:s, s:s?}", "reason", override->reason, "detail", override->detail);
    if (rc == 0)
        rc = audit_write(
            store,
            &(struct audit_entry){.now_ms = request_now_ms(request),
                                  .who = request_principal(request),
                                  .client = request_client_text(request),
                                  .action = released ? "overlap.release" : "overlap.override",
                                  .object = request_param(request, "id"),
                                  .detail = detail},
            ret_error);
    json_decref(detail);
    return rc;
}

int overlap_override(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct override override = {.request = request};
    struct json_in in;
    size_t reason = 0;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_word(&in, "reason", reasons, &reason, ret_error);
    if (rc == 0 && json_in_has(&in, "detail"))
        rc = json_in_lines(&in, "detail", 1, DETAIL_MAX, &override.detail, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    override.reason = reasons[reason];
    if (rc == 0)
        rc = request_transact(request, override_do, &override, ret_error);
    return rc < 0 ? rc : overlap_reply(request, reply, ret_error);
}
