/* What an account has in the reports: those that it sent, and what was decided about its hosts. */
#include "desk/account_holding.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- Reports that it sent ---- */

static int sent_export(struct store *store, const char *account, json_t **ret_json,
                       struct error *ret_error)
{
    static const char *const names[] = {"id",          "class",       "channel",   "name",
                                        "state",       "description", "answer_to", "client",
                                        "received_at", "decided_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(
        store, &rows, ret_error,
        "SELECT r.id, r.class, r.channel, (SELECT MIN(n.name) FROM report_names n WHERE n.report = "
        "r.id), r.state, r.description, r.answer_to, r.client, r.received_at, r.decided_at "
        "FROM reports r JOIN reporters p ON p.id = r.reporter WHERE p.identity = $1 "
        "ORDER BY r.id LIMIT $2",
        store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc : account_rows_json(rows, names, COUNT(names), ret_json, ret_error);
}

/* The reports stay, since others are decided by them; who sent them is forgotten. */
static int sent_release(struct store *store, const struct change *change, const char *account,
                        struct error *ret_error)
{
    (void)change;
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE reports SET answer_to = NULL, client = NULL WHERE reporter IN "
                          "(SELECT id FROM reporters WHERE identity = $1)",
                          store_text(account));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE reporters SET label = identity, trusted = 0 WHERE identity = $1",
                          store_text(account));
    return rc;
}

const struct account_holding account_holding_reports = {
    .name = "reports",
    .export = sent_export,
    .release = sent_release,
};

/* ---- Decisions about its hosts ---- */

/* Who reported is nothing that the customer learns. */
static int measures_export(struct store *store, const char *account, json_t **ret_json,
                           struct error *ret_error)
{
    static const char *const names[] = {"report", "name",     "action", "reason", "decided_at",
                                        "act_at", "acted_at", "state",  "entry",  "salt"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(
        store, &rows, ret_error,
        "SELECT d.report, n.owner_name, d.action, d.reason, d.at, d.act_at, d.acted_at, "
        "d.state, o.entry, o.salt FROM decisions d JOIN report_names n ON n.report = d.report "
        "LEFT JOIN block_openings o ON o.decision = d.id AND o.name = n.owner_name AND o.account = "
        "n.account WHERE n.account = $1 "
        "ORDER BY d.id, n.name LIMIT $2",
        store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc : account_rows_json(rows, names, COUNT(names), ret_json, ret_error);
}

/* The blocks and the public ledger stay; whose names they were, and that both tell of the same
 * name, is forgotten. */
static int measures_release(struct store *store, const struct change *change, const char *account,
                            struct error *ret_error)
{
    (void)change;
    int rc = store_change(store, NULL, ret_error, "DELETE FROM block_openings WHERE account = $1",
                          store_text(account));
    return rc < 0
               ? rc
               : store_change(store, NULL, ret_error, "DELETE FROM block_owners WHERE account = $1",
                              store_text(account));
}

const struct account_holding account_holding_measures = {
    .name = "measures",
    .export = measures_export,
    .release = measures_release,
};
