/* The life of an order: draft, rehearsed, notified, approved, active, and its end. Each step is one
 * function in one transaction, and none can be skipped. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/outbox.h"
#include "desk/zone_publisher.h"
#include "order/rehearsal.h"

/* What one run of the job takes; more follow a second later. */
#define ENDED_AT_ONCE 100

static int refuse(const struct order_row *row, const char *remedy, struct error *ret_error)
{
    return error_set(ret_error, -EEXIST, "the order %s is %s: %s", row->name, row->state, remedy);
}

static int state_set(struct store *store, const struct change *change, const struct order_row *row,
                     const char *state, struct error *ret_error)
{
    return store_change(
        store, NULL, ret_error, "UPDATE orders SET state = $1, updated_at = $2 WHERE id = $3",
        store_text(state), store_integer(change->now_ms / 1000), store_text(row->id));
}

/* Notes an event with the row as the change left it. */
static int event_note(struct store *store, const struct change *change, const char *id,
                      const char *action, json_t *detail, struct error *ret_error)
{
    struct order_row row;
    int rc = order_row_get(store, id, &row, ret_error);
    if (rc == 0)
        return order_event(store, change, &row, action, detail, ret_error);
    json_decref(detail);
    return rc;
}

/* ---- Rehearsed ---- */

/* What each listed name is today. Dead ones are most of a list, and are said as a default. */
static int found_note(struct store *store, const struct change *change, const char *id,
                      const struct rehearsal *rehearsal, struct error *ret_error)
{
    const struct order_names *names = &rehearsal->order->names;
    char name[ORDER_NAME_TEXT_SIZE];

    int rc = store_change(store, NULL, ret_error,
                          "UPDATE order_names SET found = $1 WHERE order_id = $2 AND list = 'name'",
                          store_text(listed_state_word(LISTED_DEAD)), store_text(id));
    for (size_t i = 0; i < names->count && rc == 0; i++) {
        enum listed_state state = rehearsal->names[i].state;
        if (state == LISTED_DEAD || !order_name_write(order_names_at(names, i), name))
            continue;
        bool is_alive = state == LISTED_LIVE || state == LISTED_WILDCARDED;
        rc = store_change(store, NULL, ret_error,
                          "UPDATE order_names SET found = $1, seen_at = COALESCE($2, seen_at) "
                          "WHERE order_id = $3 AND list = 'name' AND name = $4",
                          store_text(listed_state_word(state)),
                          is_alive ? store_integer(change->now_ms / 1000) : store_null(),
                          store_text(id), store_text(name));
    }
    return rc;
}

int order_rehearsed(struct store *store, const struct change *change, const struct order_row *row,
                    const struct order_figures *figures, struct error *ret_error)
{
    assert(store_in_transaction(store));
    if (row->version != figures->version)
        return error_set(ret_error, -EEXIST,
                         "the document changed while it was rehearsed: rehearse it again");
    if (order_row_is(row, "approved") || row->ended_at_s != 0)
        return refuse(row, "nothing is to be rehearsed any more", ret_error);
    char *text = json_dumps(figures->json, JSON_COMPACT);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the figures");
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET rehearsal = $1, rehearsed_at = $2, exceeds_own = $3, "
                          "exceeds_desk = $4 WHERE id = $5",
                          store_text(text), store_integer(change->now_ms / 1000),
                          store_integer(figures->exceeds_own), store_integer(figures->exceeds_desk),
                          store_text(row->id));
    free(text);
    if (rc == 0 && order_row_is(row, "draft"))
        rc = state_set(store, change, row, "rehearsed", ret_error);
    if (rc == 0)
        rc = found_note(store, change, row->id, figures->rehearsal, ret_error);
    if (rc == 0)
        rc = event_note(store, change, row->id, "order.rehearsed",
                        json_pack("{s:I, s:b, s:b, s:O}", "version", (json_int_t)row->version,
                                  "exceeds_own_budget", figures->exceeds_own, "exceeds_desk_budget",
                                  figures->exceeds_desk, "listed",
                                  json_object_get(figures->json, "listed")),
                        ret_error);
    return rc;
}

/* ---- Notified ---- */

/* What the contacts are told: all but the names, which the notice's page lists once it may. */
static void notice_write(const struct order_row *row, char *ret_text, size_t size)
{
    char starts[CLOCK_TEXT_SIZE], ends[CLOCK_TEXT_SIZE];

    snprintf(ret_text, size,
             "By order of %s (%s), %" PRId64 " names and %" PRId64
             " subtrees get the answer \"%s\" from %s to %s.",
             row->authority, row->kind, row->name_count, row->subtree_count, row->action,
             clock_text(row->starts_s, starts), clock_text(row->ends_s, ends));
}

int order_notify(struct desk *desk, struct store *store, const struct change *change,
                 const struct order_row *row, int64_t due_s, struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    char due_text[CLOCK_TEXT_SIZE], detail[1024];
    size_t count = 0;

    assert(store_in_transaction(store));
    if (!order_row_is(row, "rehearsed"))
        return refuse(row,
                      order_row_is(row, "draft") ? "rehearse it first" : "notice was given already",
                      ret_error);
    if (due_s > now_s && (row->sealed_until_s == 0 || due_s > row->sealed_until_s))
        return error_set_at(ret_error, -EEXIST, "/delay_until", 0,
                            "only a sealed order delays notice, until it opens at the latest: "
                            "give notice now");
    due_s = due_s > now_s ? due_s : now_s;
    struct order_row noticed = *row;
    noticed.notice_due_s = due_s;
    notice_write(row, detail, sizeof(detail));
    int rc = order_contacts_tell(
        desk, store, change, &noticed,
        &(struct order_news){.contacts = MAIL_ORDER_NOTICE, .detail = detail}, &count, ret_error);
    if (rc == 0 && count == 0)
        rc = error_set(ret_error, -EEXIST,
                       "nobody would get the notice: give the order contacts, or configure "
                       "orders.contacts");
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET state = 'notified', notified_at = $1, "
                          "notice_due_at = $2, updated_at = $3 WHERE id = $4",
                          store_integer(now_s), store_integer(due_s), store_integer(now_s),
                          store_text(row->id));
    if (rc == 0)
        rc = event_note(store, change, row->id, "order.notified",
                        json_pack("{s:I, s:s}", "contacts", (json_int_t)count, "due",
                                  clock_text(due_s, due_text)),
                        ret_error);
    return rc;
}

/* ---- Approved ---- */

static int count_get(struct store *store, const char *sql, const struct store_value *values,
                     size_t count, int64_t *ret_count, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_statement(store, sql, values, count, &rows, NULL, ret_error);
    if (rc == 0)
        *ret_count = store_row_integer(rows, 0, 0);
    return rc;
}

/* Holds of any age: an overlap stays one after it was settled. */
static int holds_count(struct store *store, const struct order_row *row, int64_t *ret_count,
                       struct error *ret_error)
{
    return count_get(store, "SELECT COUNT(*) FROM order_holds WHERE order_id = $1",
                     STORE_VALUES(store_text(row->id)), ret_count, ret_error);
}

#define APPROVERS_NOW \
    "(SELECT id FROM accounts WHERE state = 'active' AND role IN ('approver', 'operator'))"

/* Until there are enough, only the approvals of those count who might give them now: whoever was
 * suspended or has another role takes no part any more. Later they are what was decided by. */
static int given_count(struct store *store, const struct order_row *row, int64_t *ret_count,
                       struct error *ret_error)
{
    bool is_settled =
        order_row_is(row, "approved") || row->activated_at_s != 0 || row->ended_at_s != 0;
    return count_get(
        store,
        "SELECT COUNT(*) FROM order_approvals WHERE order_id = $1 AND version = $2 "
        "AND ($3 = 1 OR account IN " APPROVERS_NOW ")",
        STORE_VALUES(store_text(row->id), store_integer(row->version), store_integer(is_settled)),
        ret_count, ret_error);
}

int order_approvals(struct store *store, const struct order_row *row, unsigned *ret_needed,
                    unsigned *ret_given, struct error *ret_error)
{
    int64_t holds = 0, given = 0;

    int rc = holds_count(store, row, &holds, ret_error);
    if (rc == 0)
        rc = given_count(store, row, &given, ret_error);
    if (rc < 0)
        return rc;
    *ret_needed = row->subtree_count > 0 || row->exceeds_desk || holds > 0 ? 2 : 1;
    *ret_given = (unsigned)given;
    return 0;
}

/* Whether somebody approved who wrote nothing of the document. */
static int has_outsider(struct store *store, const struct order_row *row, bool *ret_has,
                        struct error *ret_error)
{
    int64_t count = 0;
    int rc = count_get(
        store,
        "SELECT COUNT(*) FROM order_approvals WHERE order_id = $1 AND version = $2 "
        "AND account NOT IN (SELECT account FROM order_events WHERE order_id = $3 "
        "AND action IN ('order.drafted', 'order.edited') AND account IS NOT NULL)",
        STORE_VALUES(store_text(row->id), store_integer(row->version), store_text(row->id)), &count,
        ret_error);
    *ret_has = count > 0;
    return rc;
}

/* Those that do not count any more; that they were given stays among the order's events. */
static int approvals_drop(struct store *store, const struct order_row *row, struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "DELETE FROM order_approvals WHERE order_id = $1 AND version = $2 AND "
                        "account NOT IN " APPROVERS_NOW,
                        store_text(row->id), store_integer(row->version));
}

static int may_be_approved(const struct desk *desk, const struct order_row *row, int64_t now_s,
                           struct error *ret_error)
{
    if (!order_row_is(row, "notified"))
        return refuse(row,
                      order_row_is(row, "draft")       ? "rehearse it first"
                      : order_row_is(row, "rehearsed") ? "give notice first"
                                                       : "it cannot be approved any more",
                      ret_error);
    if (row->exceeds_own)
        return error_set(ret_error, -EEXIST,
                         "the order exceeds the budget that it sets itself: narrow its document");
    if (row->rehearsed_at_s + desk->config->orders.rehearsal_valid_s < now_s)
        return error_set(ret_error, -EEXIST, "the rehearsal is too old: rehearse it again");
    return 0;
}

int order_approve(struct desk *desk, struct store *store, const struct change *change,
                  const struct order_row *row, struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    unsigned needed = 0, given = 0;
    uint64_t changed = 0;
    bool has = false;

    assert(store_in_transaction(store) && change->who != NULL);
    int rc = may_be_approved(desk, row, now_s, ret_error);
    if (rc == 0)
        rc = approvals_drop(store, row, ret_error);
    if (rc == 0)
        rc = store_change(store, &changed, ret_error,
                          "INSERT INTO order_approvals (order_id, version, account, at) "
                          "VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                          store_text(row->id), store_integer(row->version),
                          store_text(change->who->account), store_integer(now_s));
    if (rc == 0 && changed == 0)
        rc = error_set(ret_error, -EEXIST,
                       "you have approved this order already: another person must");
    if (rc == 0)
        rc = order_approvals(store, row, &needed, &given, ret_error);
    if (rc == 0)
        rc = has_outsider(store, row, &has, ret_error);
    if (rc == 0 && !has && given >= needed)
        rc = error_set(ret_error, -EACCES,
                       "whoever wrote an order does not approve it alone: ask somebody else");
    if (rc < 0)
        return rc;
    bool is_enough = given >= needed;
    if (is_enough)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET state = 'approved', approved_at = $1, "
                          "updated_at = $2 WHERE id = $3",
                          store_integer(now_s), store_integer(now_s), store_text(row->id));
    if (rc == 0)
        rc = event_note(
            store, change, row->id, "order.approved",
            json_pack("{s:I, s:I}", "given", (json_int_t)given, "needed", (json_int_t)needed),
            ret_error);
    return rc;
}

/* ---- Held ---- */

int desk_order_hold(struct store *store, const struct change *change, const char *id,
                    const char *reference, int64_t until_s, struct error *ret_error)
{
    struct order_row row;
    char until[CLOCK_TEXT_SIZE];
    unsigned needed, given;

    assert(store_in_transaction(store));
    int rc = order_row_get(store, id, &row, ret_error);
    if (rc == 0 && (row.activated_at_s != 0 || row.ended_at_s != 0))
        rc = refuse(&row, "it cannot be held any more", ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO order_holds (order_id, reference, until_at) "
                          "VALUES ($1, $2, $3) ON CONFLICT (order_id, reference) "
                          "DO UPDATE SET until_at = excluded.until_at, ended_at = NULL",
                          store_text(row.id), store_text(reference), store_integer(until_s));
    /* What one person approved before the overlap was known needs a second one now. */
    if (rc == 0)
        rc = order_approvals(store, &row, &needed, &given, ret_error);
    if (rc == 0 && order_row_is(&row, "approved") && given < needed)
        rc = state_set(store, change, &row, "notified", ret_error);
    if (rc == 0)
        rc = event_note(
            store, change, row.id, "order.held",
            json_pack("{s:s, s:s}", "reference", reference, "until", clock_text(until_s, until)),
            ret_error);
    return rc;
}

int desk_order_hold_end(struct store *store, const struct change *change, const char *id,
                        const char *reference, struct error *ret_error)
{
    struct order_row row;
    uint64_t changed = 0;

    assert(store_in_transaction(store));
    int rc = order_row_get(store, id, &row, ret_error);
    if (rc == 0)
        rc = store_change(store, &changed, ret_error,
                          "UPDATE order_holds SET ended_at = $1 WHERE order_id = $2 AND "
                          "reference = $3 AND ended_at IS NULL",
                          store_integer(change->now_ms / 1000), store_text(row.id),
                          store_text(reference));
    if (rc == 0 && changed == 0)
        rc = error_set(ret_error, -ENOENT, "the order is not held for this");
    if (rc == 0)
        rc = event_note(store, change, row.id, "order.released",
                        json_pack("{s:s}", "reference", reference), ret_error);
    return rc;
}

/* ---- Active ---- */

static int may_be_active(struct store *store, const struct order_row *row, int64_t now_s,
                         struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char until[CLOCK_TEXT_SIZE];
    int64_t count = 0;

    if (!order_row_is(row, "approved"))
        return refuse(row,
                      row->activated_at_s != 0 || row->ended_at_s != 0
                          ? "it cannot be activated again"
                          : "it is to be rehearsed, notified and approved first",
                      ret_error);
    if (row->ends_s <= now_s)
        return error_set(ret_error, -EEXIST, "the order's time is over: draft a new one");
    int rc = count_get(store, "SELECT COUNT(*) FROM orders WHERE state = 'active'", NULL, 0, &count,
                       ret_error);
    if (rc == 0 && count >= ORDERS_ACTIVE_MAX)
        rc = error_set(ret_error, -EEXIST, "%d orders are in force: lift one first",
                       ORDERS_ACTIVE_MAX);
    if (rc < 0)
        return rc;
    rc = store_query(store, &rows, ret_error,
                     "SELECT reference, until_at FROM order_holds WHERE order_id = $1 AND "
                     "ended_at IS NULL AND until_at > $2 ORDER BY until_at DESC LIMIT 1",
                     store_text(row->id), store_integer(now_s));
    if (rc == 0 && store_rows_count(rows) > 0)
        rc =
            error_set(ret_error, -EEXIST,
                      "others have an interest in what the order lists (%s), which holds it until "
                      "%s: speak to them, or override it",
                      store_row_text(rows, 0, 0), clock_text(store_row_integer(rows, 0, 1), until));
    return rc;
}

int order_activate(const struct desk *desk, struct store *store, const struct change *change,
                   const struct order_row *row, struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;

    assert(store_in_transaction(store));
    int rc = may_be_active(store, row, now_s, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET state = 'active', activated_at = $1 WHERE id = $2",
                          store_integer(now_s), store_text(row->id));
    if (rc == 0)
        rc = order_serial_bump(store, row->id, now_s, ret_error);
    if (rc == 0)
        rc = event_note(store, change, row->id, "order.activated", NULL, ret_error);
    if (rc == 0)
        rc = order_customers_block(desk, store, change, row, ret_error);
    return rc;
}

/* ---- The end ---- */

static int order_end(const struct desk *desk, struct store *store, const struct change *change,
                     const struct order_row *row, const char *state, const char *reason,
                     struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    char action[32], outcome[32];

    snprintf(action, sizeof(action), "order.%s", state);
    snprintf(outcome, sizeof(outcome), "%s %s", strcmp(state, "expired") == 0 ? "has" : "is",
             state);
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE orders SET state = $1, ended_at = $2, end_reason = $3, "
                          "updated_at = $4 WHERE id = $5",
                          store_text(state), store_integer(now_s), store_text(reason),
                          store_integer(now_s), store_text(row->id));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE order_zones SET serial = CASE WHEN serial >= $1 THEN serial + 1 "
                          "ELSE $2 END WHERE zone = 'exemptions' AND EXISTS (SELECT 1 FROM "
                          "order_exemptions WHERE order_id = $3)",
                          store_integer(now_s), store_integer(now_s), store_text(row->id));
    if (rc == 0)
        rc = event_note(store, change, row->id, action,
                        reason != NULL ? json_pack("{s:s}", "reason", reason) : NULL, ret_error);
    if (rc == 0)
        rc = order_ended_tell(desk, store, change, row, outcome, reason, ret_error);
    return rc;
}

int desk_order_lift(const struct desk *desk, struct store *store, const struct change *change,
                    const char *id, const char *reason, struct error *ret_error)
{
    struct order_row row;

    assert(store_in_transaction(store));
    int rc = order_row_get(store, id, &row, ret_error);
    if (rc == 0 && row.ended_at_s != 0)
        rc = refuse(&row, "nothing is left to lift", ret_error);
    return rc < 0 ? rc
                  : order_end(desk, store, change, &row,
                              order_row_is(&row, "active") ? "lifted" : "withdrawn", reason,
                              ret_error);
}

struct ending {
    const struct desk *desk;
    struct change change;
    const char *id;
};

static int expire_do(struct store *store, void *context, struct error *ret_error)
{
    const struct ending *ending = context;
    struct order_row row;

    int rc = order_row_get(store, ending->id, &row, ret_error);
    if (rc < 0 || row.ended_at_s != 0 || row.ends_s > ending->change.now_ms / 1000)
        return rc; /* somebody was faster */
    return order_end(ending->desk, store, &ending->change, &row, "expired", NULL, ret_error);
}

static int open_do(struct store *store, void *context, struct error *ret_error)
{
    const struct ending *ending = context;

    int rc = store_change(store, NULL, ret_error, "UPDATE orders SET opened_at = $1 WHERE id = $2",
                          store_integer(ending->change.now_ms / 1000), store_text(ending->id));
    return rc < 0 ? rc
                  : event_note(store, &ending->change, ending->id, "order.opened", NULL, ret_error);
}

static int each_transact(struct desk *desk, struct store *store, const struct store_rows *rows,
                         store_work_fn *work, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < store_rows_count(rows) && rc == 0; i++) {
        struct ending ending = {.desk = desk,
                                .change = {.now_ms = clock_now_ms(desk->clock)},
                                .id = store_row_text(rows, i, 0)};
        rc = store_transact(store, work, &ending, ret_error);
    }
    return rc;
}

/* A sealed order that never was in force has nothing to open. */
int orders_expire(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *ended = NULL, *opened = NULL;

    int rc = store_query(store, &ended, ret_error,
                         "SELECT id FROM orders WHERE state = 'active' AND ends_at <= $1 LIMIT $2",
                         store_integer(now_s), store_integer(ENDED_AT_ONCE));
    if (rc == 0)
        rc = each_transact(desk, store, ended, expire_do, ret_error);
    if (rc == 0)
        rc = store_query(store, &opened, ret_error,
                         "SELECT id FROM orders WHERE sealed_until <= $1 AND opened_at IS NULL AND "
                         "activated_at IS NOT NULL LIMIT $2",
                         store_integer(now_s), store_integer(ENDED_AT_ONCE));
    if (rc == 0)
        rc = each_transact(desk, store, opened, open_do, ret_error);
    if (ended != NULL && store_rows_count(ended) > 0)
        desk_orders_settle(desk);
    return rc;
}

void desk_orders_settle(struct desk *desk)
{
    if (desk->orders != NULL && desk->orders->publisher != NULL)
        zone_publisher_wake(desk->orders->publisher);
    outbox_wake(desk);
}
