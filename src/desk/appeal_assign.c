/* Whose an appeal is: never somebody's who had a part in what it is against. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "desk/appeal.h"
#include "desk/desk.h"
#include "desk/mail.h"

/* Rows that one run of the job takes of each kind. */
#define LOOK_MAX 200

/* What an appeal keeps of who wrote it when nobody proved it: nothing, a day later. */
#define LAPSED_KEEP_S (24 * 3600)

/* ---- Who may not ---- */

/* The block's author; who decided on the report, or on the account; who had any hand in the order;
 * who denied an earlier appeal for the name; and whoever appeals. */
int appeal_bar(struct store *store, const struct appeal *appeal, struct error *ret_error)
{
    assert(store_in_transaction(store));
    return store_change(
        store, NULL, ret_error,
        "INSERT INTO appeal_barred (appeal, account) SELECT $1, b.account FROM ("
        "SELECT by_account AS account FROM blocks WHERE name = $2 "
        "UNION SELECT by_account FROM decisions WHERE report = $3 "
        "UNION SELECT drafted_by FROM orders WHERE id = $4 "
        "UNION SELECT account FROM order_approvals WHERE order_id = $5 "
        "UNION SELECT account FROM order_events WHERE order_id = $6 "
        "UNION SELECT account FROM audit WHERE object = $7 AND action = 'account.suspend' "
        "UNION SELECT decided_by FROM appeals WHERE name = $8 AND name <> '' AND state = 'denied' "
        "UNION SELECT decided_by FROM appeals WHERE name = '' AND account = $9 AND state = "
        "'denied' "
        "UNION SELECT account FROM appeals WHERE id = $10) b "
        "WHERE b.account IS NOT NULL ON CONFLICT (appeal, account) DO NOTHING",
        store_text(appeal->id), store_text(appeal->against == APPEAL_BLOCK ? appeal->name : NULL),
        store_text(appeal->report[0] != '\0' ? appeal->report : NULL),
        store_text(appeal->order_id[0] != '\0' ? appeal->order_id : NULL),
        store_text(appeal->order_id[0] != '\0' ? appeal->order_id : NULL),
        store_text(appeal->order_id[0] != '\0' ? appeal->order_id : NULL),
        store_text(appeal->against == APPEAL_ACCOUNT ? appeal->account : NULL),
        store_text(appeal->name),
        store_text(appeal->against == APPEAL_ACCOUNT ? appeal->account : NULL),
        store_text(appeal->id));
}

int appeal_is_barred(struct store *store, const char *appeal, const char *account,
                     bool *ret_is_barred, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT 1 FROM appeal_barred WHERE appeal = $1 AND account = $2",
                         store_text(appeal), store_text(account));
    if (rc == 0)
        *ret_is_barred = store_rows_count(rows) > 0;
    return rc;
}

/* ---- Who does ---- */

static int staff_tell(const struct desk *desk, struct store *store, int64_t now_ms,
                      const struct appeal *appeal, enum mail_text text, const char *email,
                      struct error *ret_error)
{
    char url[64];
    snprintf(url, sizeof(url), "/v1/appeals/%s", appeal->id);
    return mail_notice_put(desk, store, now_ms,
                           &(struct mail_notice){.text = text,
                                                 .to = email,
                                                 .name = appeal->against == APPEAL_ACCOUNT
                                                             ? "an account"
                                                             : appeal->name,
                                                 .reference = appeal->id,
                                                 .deadline_s = appeal->decide_by_s,
                                                 .url = url},
                           ret_error);
}

int appeal_assign(const struct desk *desk, struct store *store, int64_t now_ms,
                  struct appeal *appeal, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    assert(store_in_transaction(store));
    /* What was decided on since, as an order that was amended, bars as well. */
    int rc = appeal_bar(store, appeal, ret_error);
    if (rc == 0)
        rc = store_query(store, &rows, ret_error,
                         "SELECT a.id, a.email FROM accounts a WHERE a.role IN ('analyst', "
                         "'approver', 'operator') AND a.state = 'active' AND "
                         "a.email_confirmed_at IS NOT NULL AND NOT EXISTS (SELECT 1 FROM "
                         "appeal_barred b WHERE b.appeal = $1 AND b.account = a.id) ORDER BY "
                         "CASE a.role WHEN 'analyst' THEN 0 WHEN 'approver' THEN 1 ELSE 2 END, "
                         "(SELECT COUNT(*) FROM appeals p WHERE p.assigned_to = a.id AND "
                         "p.state = 'open'), a.id LIMIT 1",
                         store_text(appeal->id));
    if (rc < 0)
        return rc;
    const char *account = store_rows_count(rows) > 0 ? store_row_text(rows, 0, 0) : NULL;
    rc = store_change(store, NULL, ret_error, "UPDATE appeals SET assigned_to = $1 WHERE id = $2",
                      store_text(account), store_text(appeal->id));
    snprintf(appeal->assigned_to, sizeof(appeal->assigned_to), "%s",
             account != NULL ? account : "");
    if (rc < 0 || account == NULL)
        return rc;
    return staff_tell(desk, store, now_ms, appeal, MAIL_APPEAL_ASSIGNED, store_row_text(rows, 0, 1),
                      ret_error);
}

/* ---- The job ---- */

struct look {
    struct desk *desk;
    int64_t now_s;
    const char *id;
};

/* Nobody proved it in time: what a stranger wrote goes, too. */
static int lapse_do(struct store *store, void *context, struct error *ret_error)
{
    const struct look *look = context;
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE appeals SET state = 'lapsed' WHERE state = 'unproven' AND "
                          "prove_by <= $1",
                          store_integer(look->now_s));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM appeals WHERE state = 'lapsed' AND prove_by <= $1",
                          store_integer(look->now_s - LAPSED_KEEP_S));
    return rc;
}

/* Again for somebody whose account was suspended, closed or got another role meanwhile. */
static int assign_do(struct store *store, void *context, struct error *ret_error)
{
    const struct look *look = context;
    struct appeal appeal;
    int rc = appeal_get(store, look->id, &appeal, ret_error);
    if (rc < 0 || strcmp(appeal.state, "open") != 0)
        return rc;
    return appeal_assign(look->desk, store, look->now_s * 1000, &appeal, ret_error);
}

/* Operators learn of it, and whoever has it. */
static int overdue_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct look *look = context;
    struct appeal appeal;

    int rc = appeal_get(store, look->id, &appeal, ret_error);
    if (rc == 0)
        rc = store_query(store, &rows, ret_error,
                         "SELECT email FROM accounts WHERE state = 'active' AND "
                         "email_confirmed_at IS NOT NULL AND (role = 'operator' OR id = $1)",
                         store_text(appeal.assigned_to));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = staff_tell(look->desk, store, look->now_s * 1000, &appeal, MAIL_APPEAL_OVERDUE,
                        store_row_text(rows, i, 0), ret_error);
    if (rc == 0)
        rc =
            store_change(store, NULL, ret_error,
                         "UPDATE appeals SET overdue_told = 1 WHERE id = $1", store_text(look->id));
    return rc;
}

/* Runs `work` for each id, in a transaction of its own. */
static int each_do(struct store *store, struct look *look, const struct store_rows *rows,
                   store_work_fn *work, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        look->id = store_row_text(rows, i, 0);
        rc = store_transact(store, work, look, ret_error);
    }
    return rc;
}

int appeals_look(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *lost = NULL;
    _cleanup_(store_rows_freep) struct store_rows *late = NULL;
    struct look look = {.desk = desk, .now_s = now_s};

    int rc = store_transact(store, lapse_do, &look, ret_error);
    if (rc == 0)
        rc = store_query(store, &lost, ret_error,
                         "SELECT id FROM appeals WHERE state = 'open' AND (assigned_to IS NULL OR "
                         "NOT EXISTS (SELECT 1 FROM accounts a WHERE a.id = assigned_to AND "
                         "a.state = 'active' AND a.role IN ('analyst', 'approver', 'operator'))) "
                         "ORDER BY decide_by LIMIT $1",
                         store_integer(LOOK_MAX));
    if (rc == 0)
        rc = each_do(store, &look, lost, assign_do, ret_error);
    if (rc == 0)
        rc = store_query(store, &late, ret_error,
                         "SELECT id FROM appeals WHERE state = 'open' AND overdue_told = 0 AND "
                         "decide_by <= $1 ORDER BY decide_by LIMIT $2",
                         store_integer(now_s), store_integer(LOOK_MAX));
    if (rc == 0)
        rc = each_do(store, &look, late, overdue_do, ret_error);
    return rc;
}
