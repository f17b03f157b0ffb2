/* What mails and appeals keep of an account, for its export and its end. */
#include "desk/account_holding.h"

static int mails_export(struct store *store, const char *account, json_t **ret_json,
                        struct error *ret_error)
{
    static const char *const names[] = {"subject", "state", "status", "created_at", "sent_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT m.subject, m.state, m.status, m.created_at, m.sent_at FROM mails "
                         "m JOIN accounts a ON a.email = m.address WHERE a.id = $1 ORDER BY m.id "
                         "LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc
                  : account_rows_json(rows, names, sizeof(names) / sizeof(names[0]), ret_json,
                                      ret_error);
}

/* What waits is for nobody any more; the last mail is put after this. */
static int mails_release(struct store *store, const struct change *change, const char *account,
                         struct error *ret_error)
{
    (void)change;
    int rc =
        store_change(store, NULL, ret_error,
                     "DELETE FROM outbox WHERE id IN (SELECT outbox FROM mails WHERE address = "
                     "(SELECT email FROM accounts WHERE id = $1))",
                     store_text(account));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM mails WHERE address = "
                          "(SELECT email FROM accounts WHERE id = $1)",
                          store_text(account));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM suppressions WHERE address = "
                          "(SELECT email FROM accounts WHERE id = $1)",
                          store_text(account));
    return rc;
}

const struct account_holding account_holding_mails = {
    .name = "mails",
    .export = mails_export,
    .release = mails_release,
};

static int appeals_export(struct store *store, const char *account, json_t **ret_json,
                          struct error *ret_error)
{
    static const char *const names[] = {"id",         "against",   "name",   "statement",
                                        "state",      "proof",     "reason", "explanation",
                                        "created_at", "decided_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, against, name, statement, state, proof, reason, explanation, "
                         "created_at, decided_at FROM appeals WHERE account = $1 ORDER BY id "
                         "LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc
                  : account_rows_json(rows, names, sizeof(names) / sizeof(names[0]), ret_json,
                                      ret_error);
}

/* That a name was appealed for and how it was decided stays; who said what does not. */
static int appeals_release(struct store *store, const struct change *change, const char *account,
                           struct error *ret_error)
{
    (void)change;
    return store_change(store, NULL, ret_error,
                        "UPDATE appeals SET statement = '', email = NULL, client = NULL, "
                        "explanation = NULL, state = CASE WHEN state IN ('unproven', 'open') THEN "
                        "'lapsed' ELSE state END WHERE account = $1",
                        store_text(account));
}

const struct account_holding account_holding_appeals = {
    .name = "appeals",
    .export = appeals_export,
    .release = appeals_release,
};
