/* Unsubscribing with one click (RFC 8058), and the addresses that get nothing, for staff. */
#include "desk/mail_routes.h"

#include <errno.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/change.h"
#include "desk/mail_internal.h"

/* A body of "List-Unsubscribe=One-Click", as a form or multipart. */
#define UNSUBSCRIBE_BODY_MAX 1024

static const char page_html[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Unsubscribe</title>"
    "<h1>Unsubscribe</h1><form method=\"post\"><p>No more mails on your reports. Notices that "
    "concern what is yours still come.</p><button name=\"List-Unsubscribe\" "
    "value=\"One-Click\">Unsubscribe</button></form></html>\n";

static const char done_html[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Unsubscribed</title>"
    "<h1>Unsubscribed</h1><p>No more mails on your reports are sent to you.</p></html>\n";

/* The page alone changes nothing: programs that look at links before their reader does unsubscribe
 * nobody. */
static int unsubscribe_show(struct request *request, struct reply *reply, struct error *ret_error)
{
    (void)request, (void)ret_error;
    return reply_constant(reply, 200, "text/html; charset=utf-8", page_html);
}

struct unsubscription {
    struct change change;
    const char *mail;
    bool is_known;
};

static int unsubscribe_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct unsubscription *unsubscription = context;
    int64_t now_s = unsubscription->change.now_ms / 1000;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT address, topic FROM mails WHERE id = $1 AND topic IS NOT NULL",
                         store_text(unsubscription->mail));
    unsubscription->is_known = rc == 0 && store_rows_count(rows) > 0;
    if (rc < 0 || !unsubscription->is_known)
        return rc;
    rc = mail_suppress(store, now_s,
                       &(struct mail_suppression){.address = store_row_text(rows, 0, 0),
                                                  .topic = store_row_text(rows, 0, 1),
                                                  .reason = "unsubscribed",
                                                  .mail = unsubscription->mail},
                       ret_error);
    if (rc < 0)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = unsubscription->change.now_ms,
                                             .client = unsubscription->change.client,
                                             .action = "mail.unsubscribe",
                                             .object = store_row_text(rows, 0, 0)},
                       ret_error);
}

static int unsubscribe(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct unsubscription unsubscription = {.change = change_of_request(request),
                                            .mail = request_param(request, "mail")};

    int rc = request_transact(request, unsubscribe_do, &unsubscription, ret_error);
    if (rc < 0)
        return rc;
    if (!unsubscription.is_known)
        return error_set(ret_error, -ENOENT, "there is no such mail");
    return reply_constant(reply, 200, "text/html; charset=utf-8", done_html);
}

/* ---- Suppressions ---- */

static json_t *suppression_json(const struct store_rows *rows, size_t row)
{
    char at[CLOCK_TEXT_SIZE];
    clock_text(store_row_integer(rows, row, 4), at);
    return json_pack("{s:s, s:s, s:s, s:s?, s:s}", "address", store_row_text(rows, row, 0), "topic",
                     store_row_text(rows, row, 1), "reason", store_row_text(rows, row, 2), "status",
                     store_row_text(rows, row, 3), "at", at);
}

/* The cursor is the last address of a page; its few topics stay together. */
static int suppression_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *cursor;
    unsigned limit;

    int rc = request_page(request, &limit, &cursor, ret_error);
    if (rc == 0)
        rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT address, topic, reason, status, at FROM suppressions WHERE "
                         "address IN (SELECT DISTINCT address FROM suppressions WHERE address > $1 "
                         "ORDER BY address LIMIT $2) ORDER BY address, topic",
                         store_text(cursor), store_integer(limit));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    const char *last = NULL;
    unsigned addresses = 0;
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        const char *address = store_row_text(rows, i, 0);
        addresses += last == NULL || strcmp(last, address) != 0;
        last = address;
        json_array_append_new(items, suppression_json(rows, i));
    }
    return reply_list(reply, items, addresses == limit ? last : NULL);
}

struct release {
    struct change change;
    const char *address;
    uint64_t count;
};

static int release_do(struct store *store, void *context, struct error *ret_error)
{
    struct release *release = context;
    int rc =
        store_change(store, &release->count, ret_error,
                     "DELETE FROM suppressions WHERE address = $1", store_text(release->address));
    if (rc < 0 || release->count == 0)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = release->change.now_ms,
                                             .who = release->change.who,
                                             .client = release->change.client,
                                             .action = "mail.release",
                                             .object = release->address},
                       ret_error);
}

static int suppression_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    char address[EMAIL_SIZE_MAX + 1];
    struct release release = {.change = change_of_request(request), .address = address};

    int rc = mail_address(request_param(request, "address"), address, ret_error);
    if (rc == 0)
        rc = request_transact(request, release_do, &release, ret_error);
    if (rc < 0)
        return rc;
    if (release.count == 0)
        return error_set(ret_error, -ENOENT, "the address is not suppressed");
    return reply_status(reply, 204);
}

const struct route mail_routes[MAIL_ROUTE_COUNT] = {
    {"GET", "/mail/{mail}/unsubscribe", ROLE_PUBLIC, 0, unsubscribe_show},
    {"POST", "/mail/{mail}/unsubscribe", ROLE_PUBLIC, 0, unsubscribe,
     .body_max = UNSUBSCRIBE_BODY_MAX, .body_type = "*"},
    {"GET", "/v1/suppressions", ROLE_OPERATOR | ROLE_AUDITOR, SCOPE_ACCOUNTS_WRITE,
     suppression_list},
    {"DELETE", "/v1/suppressions/{address}", ROLE_OPERATOR, SCOPE_ACCOUNTS_WRITE,
     suppression_delete},
};
