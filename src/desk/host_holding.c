/* The hosts that an account has, for its export, suspension and end. */
#include <errno.h>

#include "desk/account_holding.h"
#include "desk/host_sync.h"
#include "desk/hosts.h"

static int hosts_export(struct store *store, const char *account, json_t **ret_json,
                        struct error *ret_error)
{
    static const char *const names[] = {"id",         "name",       "zone",
                                        "state",      "wildcard",   "aaaa_suffix",
                                        "created_at", "updated_at", "seen_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, name, zone, state, wildcard, aaaa_suffix, created_at, "
                         "updated_at, seen_at FROM hosts WHERE account = $1 ORDER BY name "
                         "LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc
                  : account_rows_json(rows, names, sizeof(names) / sizeof(names[0]), ret_json,
                                      ret_error);
}

/* The zone follows what the tables say of the account. */
static int hosts_suspend(struct store *store, const struct change *change, const char *account,
                         bool suspended, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    (void)suspended;
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT name FROM hosts WHERE account = $1 ORDER BY name", store_text(account));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = host_sync_put(store, change->now_ms, store_row_text(rows, i, 0), ret_error);
    return rc;
}

const struct account_holding account_holding_hosts = {
    .name = "hosts",
    .export = hosts_export,
    .suspend = hosts_suspend,
    .release = hosts_delete_of_account,
    .settle = hosts_forget_account,
};
