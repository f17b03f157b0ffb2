#include "desk/report_view.h"
#include "desk/row_json.h"

#include <errno.h>
#include <string.h>

/* Earlier reports that are shown beside one. */
#define EARLIER_MAX 20

/* ---- Small pieces ---- */

/* The share of a reporter's reports that were upheld, of those that were decided. */
static json_t *share_json(int64_t upheld, int64_t dismissed)
{
    return upheld + dismissed > 0 ? json_real((double)upheld / (double)(upheld + dismissed))
                                  : json_null();
}

/* A claim counts as long as it lasts. */
static bool is_claimed(const struct store_rows *rows, size_t row, size_t until, int64_t now_s)
{
    return store_row_integer(rows, row, until) > now_s;
}

/* ---- Receipt ---- */

json_t *report_receipt_json(const struct desk_config *config, const struct report_intake *intake,
                            const struct report_receipt *receipt, int64_t now_s)
{
    char acknowledged[CLOCK_TEXT_SIZE], decide_by[CLOCK_TEXT_SIZE], owner[REPORT_NAME_SIZE];
    json_t *names = json_array();

    for (size_t i = 0; i < intake->names.count; i++) {
        const char *name = intake->names.list[i];
        bool is_ours = report_name_owner(&config->hosts, name, owner);
        json_array_append_new(names, json_pack("{s:s, s:b}", "name", name, "ours", (int)is_ours));
    }
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s?, s:o, s:I, s:s?}", "id", receipt->id, "token",
                     receipt->token, "state", receipt->state, "class", intake->report_class->name,
                     "acknowledged_at", clock_text(now_s, acknowledged), "decide_by",
                     receipt->decide_by_s != 0 ? clock_text(receipt->decide_by_s, decide_by) : NULL,
                     "names", names, "names_left_out", (json_int_t)intake->names.left_out, "first",
                     receipt->first[0] != '\0' ? receipt->first : NULL);
}

/* ---- For the reporter ---- */

static int names_get(struct store *store, const char *id, json_t **ret_json,
                     struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT name, is_ours FROM report_names WHERE report = $1 ORDER BY name",
                         store_text(id));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(list, json_pack("{s:s, s:b}", "name", store_row_text(rows, i, 0),
                                              "ours", store_row_integer(rows, i, 1) != 0));
    *ret_json = list;
    return 0;
}

int report_public_json(struct store *store, const char *id, json_t **ret_json,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *names = NULL;

    /* What came of a duplicate is what came of the report that it counts on. */
    int rc = store_query(
        store, &rows, ret_error,
        "SELECT r.id, r.class, r.state, r.received_at, r.decide_by, f.state, d.action, d.reason, "
        "f.decided_at, f.acted_at FROM reports r JOIN reports f ON f.id = COALESCE(r.first, r.id) "
        "LEFT JOIN decisions d ON d.id = f.decision WHERE r.id = $1",
        store_text(id));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT, "there is no such report");
    if (rc == 0)
        rc = names_get(store, id, &names, ret_error);
    if (rc < 0)
        return rc;
    json_t *outcome = json_null();
    if (!store_row_is_null(rows, 0, 6))
        outcome = json_pack("{s:s, s:s, s:o, s:o}", "action", store_row_text(rows, 0, 6), "reason",
                            store_row_text(rows, 0, 7), "decided_at", row_time_json(rows, 0, 8),
                            "acted_at", row_time_json(rows, 0, 9));
    *ret_json = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "id", store_row_text(rows, 0, 0),
                          "class", store_row_text(rows, 0, 1), "state", store_row_text(rows, 0, 2),
                          "received_at", row_time_json(rows, 0, 3), "decide_by",
                          row_time_json(rows, 0, 4), "names", names, "outcome", outcome);
    return *ret_json == NULL ? -ENOMEM : 0;
}

/* ---- For staff ---- */

static int staff_names_get(struct store *store, const char *id, json_t *json,
                           struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT n.name, n.is_ours, n.owner_name, n.host, n.account, b.since, "
                         "b.reason FROM report_names n LEFT JOIN blocks b ON b.name = n.owner_name "
                         "WHERE n.report = $1 ORDER BY n.name",
                         store_text(id));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            list,
            json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o}", "name", store_row_text(rows, i, 0),
                      "ours", store_row_integer(rows, i, 1) != 0, "host_name",
                      row_text_json(rows, i, 2), "host", row_text_json(rows, i, 3), "account",
                      row_text_json(rows, i, 4), "blocked_since", row_time_json(rows, i, 5),
                      "blocked_reason", row_text_json(rows, i, 6)));
    json_object_set_new(json, "names", list);
    return 0;
}

static int evidence_get(struct store *store, const char *id, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT hash, size, type, label FROM report_evidence WHERE report = $1 "
                         "ORDER BY number",
                         store_text(id));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            list, json_pack("{s:o, s:I, s:s, s:s}", "hash", row_text_json(rows, i, 0), "size",
                            (json_int_t)store_row_integer(rows, i, 1), "type",
                            store_row_text(rows, i, 2), "label", store_row_text(rows, i, 3)));
    json_object_set_new(json, "evidence", list);
    return 0;
}

static int decisions_get(struct store *store, const char *id, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, action, reason, note, by_account, at, act_at, acted_at, "
                         "order_id, state FROM decisions WHERE report = $1 ORDER BY id",
                         store_text(id));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o, s:s}", "id",
                      store_row_text(rows, i, 0), "action", store_row_text(rows, i, 1), "reason",
                      store_row_text(rows, i, 2), "note", store_row_text(rows, i, 3), "by",
                      store_row_text(rows, i, 4), "at", row_time_json(rows, i, 5), "act_at",
                      row_time_json(rows, i, 6), "acted_at", row_time_json(rows, i, 7), "order",
                      row_text_json(rows, i, 8), "state", store_row_text(rows, i, 9)));
    json_object_set_new(json, "decisions", list);
    return 0;
}

/* Other reports about the same hosts, or about other hosts of the same account. */
static int earlier_get(struct store *store, const char *id, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(
        store, &rows, ret_error,
        "SELECT r.id, r.class, r.state, r.received_at, d.action FROM reports r LEFT JOIN decisions "
        "d ON d.id = r.decision WHERE r.id <> $1 AND r.id IN (SELECT o.report FROM report_names n "
        "JOIN report_names o ON o.owner_name = n.owner_name OR o.account = n.account WHERE "
        "n.report = $2) ORDER BY r.id DESC LIMIT $3",
        store_text(id), store_text(id), store_integer(EARLIER_MAX));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(
            list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "id", store_row_text(rows, i, 0), "class",
                            store_row_text(rows, i, 1), "state", store_row_text(rows, i, 2),
                            "received_at", row_time_json(rows, i, 3), "action",
                            row_text_json(rows, i, 4)));
    json_object_set_new(json, "related", list);
    return 0;
}

static json_t *reporter_json(const struct store_rows *rows, size_t from)
{
    int64_t upheld = store_row_integer(rows, 0, from + 5);
    int64_t dismissed = store_row_integer(rows, 0, from + 6);
    return json_pack(
        "{s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:o}", "id", store_row_text(rows, 0, from), "kind",
        store_row_text(rows, 0, from + 1), "label", store_row_text(rows, 0, from + 2), "trusted",
        store_row_integer(rows, 0, from + 3) != 0, "reports",
        (json_int_t)store_row_integer(rows, 0, from + 4), "upheld", (json_int_t)upheld, "dismissed",
        (json_int_t)dismissed, "share_upheld", share_json(upheld, dismissed));
}

static json_t *staff_head_json(const struct store_rows *rows, int64_t now_s)
{
    bool claimed = is_claimed(rows, 0, 14, now_s);
    return json_pack(
        "{s:s, s:s, s:s, s:o, s:s, s:o, s:I, s:s, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o, "
        "s:o}",
        "id", store_row_text(rows, 0, 0), "channel", store_row_text(rows, 0, 1), "class",
        store_row_text(rows, 0, 2), "xarf_type", row_text_json(rows, 0, 3), "state",
        store_row_text(rows, 0, 4), "first", row_text_json(rows, 0, 5), "seen",
        (json_int_t)store_row_integer(rows, 0, 6), "description", store_row_text(rows, 0, 7),
        "observed_at", row_time_json(rows, 0, 8), "received_at", row_time_json(rows, 0, 9),
        "acknowledged_at", row_time_json(rows, 0, 10), "decide_by", row_time_json(rows, 0, 11),
        "overdue",
        strcmp(store_row_text(rows, 0, 4), "open") == 0 && store_row_integer(rows, 0, 11) < now_s,
        "claimed_by", claimed ? row_text_json(rows, 0, 13) : json_null(), "claimed_until",
        claimed ? row_time_json(rows, 0, 14) : json_null(), "decided_at",
        row_time_json(rows, 0, 15), "acted_at", row_time_json(rows, 0, 16), "reporter",
        reporter_json(rows, 17));
}

int report_staff_json(struct store *store, const char *id, int64_t now_s, json_t **ret_json,
                      struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(
        store, &rows, ret_error,
        "SELECT r.id, r.channel, r.class, r.xarf_type, r.state, r.first, r.seen, r.description, "
        "r.observed_at, r.received_at, r.acknowledged_at, r.decide_by, r.seen_at, r.claimed_by, "
        "r.claimed_until, r.decided_at, r.acted_at, p.id, p.kind, p.label, p.trusted, p.reports, "
        "p.upheld, p.dismissed FROM reports r JOIN reporters p ON p.id = r.reporter "
        "WHERE r.id = $1",
        store_text(id));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT, "there is no such report");
    if (rc < 0)
        return rc;
    json_t *json = staff_head_json(rows, now_s);
    if (json == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a report");
    rc = staff_names_get(store, id, json, ret_error);
    if (rc == 0)
        rc = evidence_get(store, id, json, ret_error);
    if (rc == 0)
        rc = decisions_get(store, id, json, ret_error);
    if (rc == 0)
        rc = earlier_get(store, id, json, ret_error);
    if (rc < 0)
        json_decref(json);
    else
        *ret_json = json;
    return rc;
}

json_t *report_row_json(const struct store_rows *rows, size_t row, int64_t now_s)
{
    bool claimed = is_claimed(rows, row, 7, now_s);
    bool is_open = strcmp(store_row_text(rows, row, 2), "open") == 0;
    return json_pack(
        "{s:s, s:s, s:s, s:I, s:o, s:o, s:b, s:o, s:b, s:o, s:I, s:s, s:o}", "id",
        store_row_text(rows, row, 0), "class", store_row_text(rows, row, 1), "state",
        store_row_text(rows, row, 2), "seen", (json_int_t)store_row_integer(rows, row, 3),
        "received_at", row_time_json(rows, row, 4), "decide_by", row_time_json(rows, row, 5),
        "overdue", is_open && store_row_integer(rows, row, 5) < now_s, "claimed_by",
        claimed ? row_text_json(rows, row, 6) : json_null(), "trusted",
        store_row_integer(rows, row, 8) != 0, "name", row_text_json(rows, row, 9), "names",
        (json_int_t)store_row_integer(rows, row, 10), "reporter", store_row_text(rows, row, 11),
        "share_upheld",
        share_json(store_row_integer(rows, row, 12), store_row_integer(rows, row, 13)));
}
