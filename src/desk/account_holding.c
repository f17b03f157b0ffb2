/* What an account has in each part, one a line; and the lists of the accounts' own part. */
#include "desk/account_holding.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/clock.h"

/* clang-format off */
const struct account_holding *const account_holdings[] = {
    &account_holding_self,
    &account_holding_sessions,
    &account_holding_tokens,
    &account_holding_audit,
    &account_holding_hosts,
    &account_holding_reports,
    &account_holding_measures,
    &account_holding_orders,
    &account_holding_mails,
    &account_holding_appeals,
};
/* clang-format on */

const size_t account_holding_count = sizeof(account_holdings) / sizeof(account_holdings[0]);

/* ---- Rows as JSON ---- */

static bool ends_with(const char *text, const char *end)
{
    const size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

static json_t *cell_json(const struct store_rows *rows, size_t row, size_t column, const char *name)
{
    char time[CLOCK_TEXT_SIZE];

    if (store_row_is_null(rows, row, column))
        return json_null();
    if (ends_with(name, "_at") || ends_with(name, "_until"))
        return json_string(clock_text(store_row_integer(rows, row, column), time));
    return json_string(store_row_text(rows, row, column));
}

int account_rows_json(const struct store_rows *rows, const char *const *names, size_t column_count,
                      json_t **ret_json, struct error *ret_error)
{
    json_t *list = json_array();
    bool is_whole = list != NULL;

    for (size_t i = 0; i < store_rows_count(rows) && is_whole; i++) {
        json_t *item = json_object();
        for (size_t j = 0; j < column_count && is_whole; j++)
            is_whole = json_object_set_new(item, names[j], cell_json(rows, i, j, names[j])) == 0;
        is_whole = json_array_append_new(list, item) == 0 && is_whole;
    }
    if (!is_whole) {
        json_decref(list);
        return error_set(ret_error, -ENOMEM, "out of memory for an export");
    }
    *ret_json = list;
    return 0;
}

#define ROWS_JSON(rows, names, ret_json, ret_error) \
    account_rows_json(rows, names, sizeof(names) / sizeof((names)[0]), ret_json, ret_error)

/* ---- The account itself ---- */

static int self_export(struct store *store, const char *account, json_t **ret_json,
                       struct error *ret_error)
{
    static const char *const names[] = {"id",         "email",        "role",
                                        "plan",       "state",        "state_reason",
                                        "language",   "created_at",   "email_confirmed_at",
                                        "updated_at", "second_factor"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *list = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, email, role, plan, state, state_reason, language, created_at, "
                         "email_confirmed_at, updated_at, "
                         "CASE WHEN totp_secret IS NULL THEN 'no' ELSE 'yes' END "
                         "FROM accounts WHERE id = $1",
                         store_text(account));
    if (rc == 0)
        rc = ROWS_JSON(rows, names, &list, ret_error);
    if (rc < 0)
        return rc;
    *ret_json = json_incref(json_array_get(list, 0));
    json_decref(list);
    return *ret_json != NULL ? 0 : error_set(ret_error, -ENOENT, "there is no such account");
}

/* Its row is erased by account_close() itself. */
static int self_release(struct store *store, const struct change *change, const char *account,
                        struct error *ret_error)
{
    (void)change;
    int rc = confirmations_end(store, account, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM recovery_codes WHERE account = $1",
                          store_text(account));
    return rc;
}

const struct account_holding account_holding_self = {
    .name = "account",
    .export = self_export,
    .release = self_release,
};

/* ---- Sessions ---- */

static int sessions_export(struct store *store, const char *account, json_t **ret_json,
                           struct error *ret_error)
{
    static const char *const names[] = {"created_at", "seen_at", "expires_at", "client", "agent"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT created_at, seen_at, expires_at, client, agent FROM sessions "
                         "WHERE account = $1 ORDER BY created_at LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc : ROWS_JSON(rows, names, ret_json, ret_error);
}

static int sessions_release(struct store *store, const struct change *change, const char *account,
                            struct error *ret_error)
{
    (void)change;
    return sessions_end(store, account, ret_error);
}

const struct account_holding account_holding_sessions = {
    .name = "sessions",
    .export = sessions_export,
    .release = sessions_release,
};

/* ---- API tokens ---- */

static int tokens_export(struct store *store, const char *account, json_t **ret_json,
                         struct error *ret_error)
{
    static const char *const names[] = {"id",         "label",        "scopes",
                                        "created_at", "last_used_at", "expires_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, label, scopes, created_at, last_used_at, expires_at "
                         "FROM api_tokens WHERE account = $1 ORDER BY id LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc : ROWS_JSON(rows, names, ret_json, ret_error);
}

static int tokens_release(struct store *store, const struct change *change, const char *account,
                          struct error *ret_error)
{
    (void)change;
    return store_change(store, NULL, ret_error, "DELETE FROM api_tokens WHERE account = $1",
                        store_text(account));
}

const struct account_holding account_holding_tokens = {
    .name = "tokens",
    .export = tokens_export,
    .release = tokens_release,
};

/* ---- The audit trail ---- */

/* What the account did, and what was done to it; not who of the staff did that. */
static int audit_export(struct store *store, const char *account, json_t **ret_json,
                        struct error *ret_error)
{
    static const char *const names[] = {"done_at", "role", "action", "object", "client"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT at / 1000, role, action, object, "
                         "CASE WHEN account = $1 OR account IS NULL THEN client ELSE NULL END "
                         "FROM audit WHERE account = $2 OR object = $3 ORDER BY id LIMIT $4",
                         store_text(account), store_text(account), store_text(account),
                         store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc : ROWS_JSON(rows, names, ret_json, ret_error);
}

/* That something was done stays, with an id that names nobody any more; from where does not. */
static int audit_release(struct store *store, const struct change *change, const char *account,
                         struct error *ret_error)
{
    (void)change;
    return store_change(store, NULL, ret_error,
                        "UPDATE audit SET client = NULL WHERE account = $1 OR "
                        "(object = $2 AND account IS NULL)",
                        store_text(account), store_text(account));
}

const struct account_holding account_holding_audit = {
    .name = "audit",
    .export = audit_export,
    .release = audit_release,
};
