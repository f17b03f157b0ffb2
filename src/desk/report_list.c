/* Looking at reports: lists, the queue, one of them, its evidence, and who reports. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/json_in.h"
#include "desk/report_view.h"
#include "desk/reports_internal.h"

/* A trusted reporter's report is looked at as if it were due so much sooner. */
#define TRUSTED_LEAD_S 14400

#define STAFF (ROLE_ANALYST | ROLE_APPROVER | ROLE_AUDITOR | ROLE_OPERATOR)

/* Public routes let everybody in, so what staff see is asked for here. */
static bool is_staff(const struct request *request)
{
    const struct principal *who = request_principal(request);
    return (who->role & STAFF) != 0 && (who->scopes & SCOPE_REPORTS_READ) != 0;
}

static const char *filter(const struct request *request, const char *name)
{
    const char *value = request_query(request, name);
    return value != NULL ? value : "";
}

/* Rows as a page; there is a next one when there is a row more than asked for. */
static int page_reply(struct request *request, struct reply *reply, const struct store_rows *rows,
                      unsigned limit, const char *next)
{
    json_t *items = json_array();
    size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(items, report_row_json(rows, i, request_now_s(request)));
    return reply_list(reply, items, count > limit ? next : NULL);
}

/* ---- Lists ---- */

/* Newest first. Reporters see their own. */
int report_list_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    const char *cursor, *own = (who->role & STAFF) == 0 ? who->account : "";
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(
            request_store(request), &rows, ret_error,
            "SELECT " REPORT_LIST_COLUMNS " FROM reports r JOIN reporters p ON p.id = r.reporter "
            "WHERE ($1 = '' OR r.id < $1) AND ($2 = '' OR p.identity = $2) AND "
            "($3 = '' OR r.state = $3) AND ($4 = '' OR r.class = $4) AND "
            "($5 = '' OR r.reporter = $5) AND ($6 = '' OR r.id IN (SELECT n.report FROM "
            "report_names n WHERE n.name = $6 OR n.owner_name = $6)) AND ($7 = '' OR r.id IN "
            "(SELECT n.report FROM report_names n WHERE n.account = $7)) "
            "ORDER BY r.id DESC LIMIT $8",
            store_text(cursor), store_text(own), store_text(filter(request, "state")),
            store_text(filter(request, "class")), store_text(filter(request, "reporter")),
            store_text(filter(request, "name")), store_text(filter(request, "account")),
            store_integer(limit + 1));
    if (rc < 0)
        return rc;
    const char *next = store_rows_count(rows) > limit ? store_row_text(rows, limit - 1, 0) : NULL;
    return page_reply(request, reply, rows, limit, next);
}

/* Where a page of the queue begins: "due.id" of the last row before it. */
static int queue_cursor_read(const char *cursor, int64_t *ret_due, const char **ret_id,
                             struct error *ret_error)
{
    char *end;
    if (cursor[0] == '\0') {
        *ret_due = INT64_MIN;
        *ret_id = "";
        return 0;
    }
    *ret_due = strtoll(cursor, &end, 10);
    if (*end != '.' || !id_is_valid(ID_REPORT, end + 1))
        return error_set(ret_error, -EINVAL, "the cursor is none: take `next` of the page before");
    *ret_id = end + 1;
    return 0;
}

/* What waits for a decision, by when it is due. */
int report_queue_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor, *after = "", *mine = request_query(request, "mine");
    char next[64] = "";
    unsigned limit;
    int64_t due = 0;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = queue_cursor_read(cursor, &due, &after, ret_error);
    if (rc == 0)
        rc = store_query(
            request_store(request), &rows, ret_error,
            "SELECT " REPORT_LIST_COLUMNS ", r.decide_by - $1 * r.trusted FROM reports r "
            "JOIN reporters p ON p.id = r.reporter WHERE r.state = 'open' AND "
            "(r.decide_by - $1 * r.trusted > $2 OR (r.decide_by - $1 * r.trusted = $2 AND "
            "r.id > $3)) AND ($4 = '' OR (r.claimed_by = $4 AND r.claimed_until > $5)) AND "
            "($6 = '' OR r.class = $6) "
            "ORDER BY r.decide_by - $1 * r.trusted, r.id LIMIT $7",
            store_integer(TRUSTED_LEAD_S), store_integer(due), store_text(after),
            store_text(mine != NULL ? request_principal(request)->account : ""),
            store_integer(request_now_s(request)), store_text(filter(request, "class")),
            store_integer(limit + 1));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) > limit)
        snprintf(next, sizeof(next), "%lld.%s", (long long)store_row_integer(rows, limit - 1, 14),
                 store_row_text(rows, limit - 1, 0));
    return page_reply(request, reply, rows, limit, next);
}

/* ---- One report ---- */

/* Whether the one who asks may see it as its reporter: by the acknowledgement's token, or as the
 * account that sent it. */
static int reporter_check(struct request *request, const char *id, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    const char *token = request_query(request, "token");
    uint8_t hash[SECRET_HASH_SIZE];
    bool reads = (who->scopes & SCOPE_REPORTS_READ) != 0;

    secret_hash("report", token != NULL ? token : "", hash);
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT 1 FROM reports r JOIN reporters p ON p.id = r.reporter WHERE "
                         "r.id = $1 AND (r.capability = $2 OR p.identity = $3)",
                         store_text(id), store_octets(hash, sizeof(hash)),
                         store_text(reads && who->account[0] != '\0' ? who->account : NULL));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT,
                       "there is no such report, or its token is missing: ask with the address "
                       "that the acknowledgement has");
    return rc;
}

int report_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    const char *id = request_param(request, "id");
    json_t *json = NULL;
    int rc;

    if (is_staff(request)) {
        rc =
            report_staff_json(request_store(request), id, request_now_s(request), &json, ret_error);
    } else {
        rc = reporter_check(request, id, ret_error);
        if (rc == 0)
            rc = report_public_json(request_store(request), id, &json, ret_error);
    }
    return rc < 0 ? rc : reply_json(reply, 200, json);
}

/* Octets of strangers: whatever they are, no browser shows or runs them. */
int report_evidence_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    const char *hash = request_param(request, "hash");
    char name[128];
    uint64_t size;
    int fd;

    int rc = evidence_open(request_desk(request)->config->state, hash, &fd, &size, ret_error);
    if (rc < 0)
        return rc;
    snprintf(name, sizeof(name), "attachment; filename=\"%s.bin\"", hash);
    rc = reply_file(reply, 200, "application/octet-stream", fd, size);
    return rc < 0 ? rc : reply_header_add(reply, "Content-Disposition", name);
}

/* ---- Reporters ---- */

static json_t *reporter_json(const struct store_rows *rows, size_t row)
{
    int64_t upheld = store_row_integer(rows, row, 6), dismissed = store_row_integer(rows, row, 7);
    int64_t decided = upheld + dismissed;
    return json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I, s:I, s:o}", "id",
                     store_row_text(rows, row, 0), "kind", store_row_text(rows, row, 1), "identity",
                     store_row_text(rows, row, 2), "label", store_row_text(rows, row, 3), "trusted",
                     store_row_integer(rows, row, 4) != 0, "reports",
                     (json_int_t)store_row_integer(rows, row, 5), "upheld", (json_int_t)upheld,
                     "dismissed", (json_int_t)dismissed, "share_upheld",
                     decided > 0 ? json_real((double)upheld / (double)decided) : json_null());
}

int reporter_list_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id, kind, identity, label, trusted, reports, upheld, dismissed "
                         "FROM reporters WHERE id > $1 ORDER BY id LIMIT $2",
                         store_text(cursor), store_integer(limit + 1));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    size_t count = store_rows_count(rows);
    for (size_t i = 0; i < count && i < limit; i++)
        json_array_append_new(items, reporter_json(rows, i));
    return reply_list(reply, items, count > limit ? store_row_text(rows, limit - 1, 0) : NULL);
}

struct trust {
    struct request *request;
    const char *id; /* of a reporter, or of an account that need not have reported yet */
    bool is_trusted;
    json_t *json; /* out */
};

static int trust_set(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct trust *trust = context;
    struct request *request = trust->request;
    char id[ID_SIZE];

    id_make(ID_REPORTER, request_now_ms(request), id);
    int rc =
        store_change(store, NULL, ret_error,
                     "INSERT INTO reporters (id, kind, identity, label, created_at) "
                     "SELECT $1, 'account', id, email, $2 FROM accounts WHERE id = $3 "
                     "ON CONFLICT (identity) DO NOTHING",
                     store_text(id), store_integer(request_now_s(request)), store_text(trust->id));
    if (rc == 0)
        rc = store_query(store, &rows, ret_error,
                         "UPDATE reporters SET trusted = $1 WHERE (id = $2 OR identity = $3) AND "
                         "kind = 'account' RETURNING id, kind, identity, label, trusted, reports, "
                         "upheld, dismissed",
                         store_integer(trust->is_trusted), store_text(trust->id),
                         store_text(trust->id));
    if (rc == 0 && store_rows_count(rows) == 0)
        rc = error_set(ret_error, -ENOENT,
                       "there is no account that reports by this id: trust needs one, since the "
                       "sender of a mail can be anybody");
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = request_now_ms(request),
                                               .who = request_principal(request),
                                               .client = request_client_text(request),
                                               .action = trust->is_trusted ? "reporter.trust"
                                                                           : "reporter.distrust",
                                               .object = store_row_text(rows, 0, 0)},
                         ret_error);
    if (rc == 0) {
        json_decref(trust->json);
        trust->json = reporter_json(rows, 0);
    }
    return rc;
}

int reporter_patch(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct trust trust = {.request = request, .id = request_param(request, "id")};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_flag(&in, "trusted", &trust.is_trusted, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = request_transact(request, trust_set, &trust, ret_error);
    if (rc < 0) {
        json_decref(trust.json);
        return rc;
    }
    return reply_json(reply, 200, trust.json);
}
