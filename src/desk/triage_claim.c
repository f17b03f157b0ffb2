#include <errno.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/triage.h"

/* Why nothing changed. */
static int refusal(struct store *store, const struct triage_claim *claim, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error, "SELECT state, claimed_by FROM reports WHERE id = $1",
                    store_text(claim->report));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such report");
    const char *by = store_row_text(rows, 0, 1);
    if (by != NULL && strcmp(by, claim->change.who->account) != 0)
        return error_set(ret_error, -EEXIST, "the report is claimed by %s: take another one", by);
    return error_set(ret_error, -EEXIST, "the report is %s: there is nothing to claim",
                     store_row_text(rows, 0, 0));
}

static int claim_audit(struct store *store, const struct triage_claim *claim, const char *action,
                       struct error *ret_error)
{
    return audit_write(store,
                       &(struct audit_entry){.now_ms = claim->change.now_ms,
                                             .who = claim->change.who,
                                             .client = claim->change.client,
                                             .action = action,
                                             .object = claim->report},
                       ret_error);
}

int triage_claim(struct store *store, void *context, struct error *ret_error)
{
    struct triage_claim *claim = context;
    const char *account = claim->change.who->account;
    int64_t now_s = claim->change.now_ms / 1000;
    uint64_t changed;

    claim->until_s = now_s + (int64_t)claim->desk->config->reports.claim_minutes * 60;
    int rc = store_change(store, &changed, ret_error,
                          "UPDATE reports SET claimed_by = $1, claimed_until = $2 WHERE id = $3 "
                          "AND state IN ('open', 'noticed') AND (claimed_by IS NULL OR "
                          "claimed_by = $4 OR claimed_until <= $5)",
                          store_text(account), store_integer(claim->until_s),
                          store_text(claim->report), store_text(account), store_integer(now_s));
    if (rc == 0 && changed == 0)
        rc = refusal(store, claim, ret_error);
    return rc < 0 ? rc : claim_audit(store, claim, "report.claim", ret_error);
}

int triage_release(struct store *store, void *context, struct error *ret_error)
{
    struct triage_claim *claim = context;
    uint64_t changed;

    int rc = store_change(store, &changed, ret_error,
                          "UPDATE reports SET claimed_by = NULL, claimed_until = NULL "
                          "WHERE id = $1 AND claimed_by = $2",
                          store_text(claim->report), store_text(claim->change.who->account));
    if (rc == 0 && changed == 0)
        rc = refusal(store, claim, ret_error);
    return rc < 0 ? rc : claim_audit(store, claim, "report.release", ret_error);
}
