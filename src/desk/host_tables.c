#include "desk/host_tables.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/block.h"
#include "desk/host_sync.h"
#include "desk/hosts_internal.h"

static_assert(HOST_SUFFIX_SIZE == HOST_SUFFIX_TEXT_SIZE, "a row holds a suffix in its one form");

/* ---- Reading ---- */

int host_row_find(struct store *store, const char *name, struct host_row *ret_row,
                  struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, account, state, wildcard, aaaa_suffix, clean FROM hosts "
                         "WHERE name = $1",
                         store_text(name));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no host %s", name);
    const char *suffix = store_row_text(rows, 0, 4);
    struct host_row row = {.wildcard = store_row_integer(rows, 0, 3) != 0,
                           .is_clean = store_row_integer(rows, 0, 5) != 0};
    snprintf(row.id, sizeof(row.id), "%s", store_row_text(rows, 0, 0));
    snprintf(row.account, sizeof(row.account), "%s", store_row_text(rows, 0, 1));
    snprintf(row.state, sizeof(row.state), "%s", store_row_text(rows, 0, 2));
    snprintf(row.name, sizeof(row.name), "%s", name);
    snprintf(row.suffix, sizeof(row.suffix), "%s", suffix != NULL ? suffix : "");
    *ret_row = row;
    return 0;
}

int host_owner_find(struct store *store, const char *name, struct host_owner *ret_owner,
                    struct error *ret_error)
{
    struct host_row row;
    int rc = -ENOENT;

    while (rc == -ENOENT && name != NULL) {
        rc = host_row_find(store, name, &row, ret_error);
        if (rc == 0)
            break;
        name = strchr(name, '.');
        name = name != NULL ? name + 1 : NULL;
    }
    if (rc < 0)
        return rc;
    memcpy(ret_owner->id, row.id, sizeof(row.id));
    memcpy(ret_owner->account, row.account, sizeof(row.account));
    memcpy(ret_owner->name, row.name, sizeof(row.name));
    return 0;
}

int host_allowance_get(struct store *store, const struct desk_config_hosts *config,
                       const char *account, struct host_allowance *ret_allowance,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT a.state, a.plan, (SELECT COUNT(*) FROM hosts h WHERE "
                         "h.account = a.id) FROM accounts a WHERE a.id = $1",
                         store_text(account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no account %s", account);
    if (strcmp(store_row_text(rows, 0, 0), "active") != 0)
        return error_set(ret_error, -EACCES,
                         "the account is %s and gets no new hosts: ask for a review",
                         store_row_text(rows, 0, 0));
    const struct desk_config_plan *plan = host_plan_find(config, store_row_text(rows, 0, 1));
    ret_allowance->count = (uint64_t)store_row_integer(rows, 0, 2);
    ret_allowance->count_max = plan->hosts_max;
    ret_allowance->free = plan->free;
    return 0;
}

/* ---- Changing ---- */

static int audit(struct store *store, const struct change *change, const char *action,
                 const char *name, json_t *detail, struct error *ret_error)
{
    int rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = action,
                                               .object = name,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

static struct store_value suffix_value(const char *suffix)
{
    return store_text(suffix[0] != '\0' ? suffix : NULL);
}

int host_insert(struct store *store, const struct change *change, const struct host_new *new,
                char ret_id[static ID_SIZE], struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;
    struct block block;
    uint64_t changed;

    assert(store_in_transaction(store));
    int rc = block_find(store, new->name, now_s, &block, ret_error);
    if (rc == 0)
        return error_set(ret_error, -EACCES, "%s is blocked (%s): choose another name, or appeal",
                         new->name, block.reason);
    if (rc != -ENOENT)
        return rc;
    id_make(ID_HOST, change->now_ms, ret_id);
    rc =
        store_change(store, &changed, ret_error,
                     "INSERT INTO hosts (id, name, account, zone, state, wildcard, aaaa_suffix, "
                     "created_at, updated_at, seen_at, clean) "
                     "VALUES ($1, $2, $3, $4, 'active', $5, $6, $7, $8, $9, 0) "
                     "ON CONFLICT (name) DO NOTHING",
                     store_text(ret_id), store_text(new->name), store_text(new->account),
                     store_text(new->zone), store_integer(new->wildcard), suffix_value(new->suffix),
                     store_integer(now_s), store_integer(now_s), store_integer(now_s));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -EEXIST, "%s is taken: choose another name", new->name);
    if (rc == 0)
        rc = audit(store, change, "host.create", new->name,
                   json_pack("{s:s, s:s, s:b}", "id", ret_id, "account", new->account, "wildcard",
                             new->wildcard),
                   ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, new->name, ret_error);
    return rc;
}

int host_save(struct store *store, const struct change *change, const struct host_row *row,
              struct error *ret_error)
{
    int64_t now_s = change->now_ms / 1000;

    assert(store_in_transaction(store));
    /* Whoever changes a host uses it: it does not expire from before. */
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE hosts SET state = $1, wildcard = $2, aaaa_suffix = $3, "
                          "updated_at = $4, seen_at = $5, expired_at = NULL, notices = 0, "
                          "clean = $6 WHERE id = $7",
                          store_text(row->state), store_integer(row->wildcard),
                          suffix_value(row->suffix), store_integer(now_s), store_integer(now_s),
                          store_integer(row->is_clean), store_text(row->id));
    if (rc == 0)
        rc = audit(store, change, "host.change", row->name,
                   json_pack("{s:s, s:b, s:s}", "state", row->state, "wildcard", row->wildcard,
                             "aaaa_suffix", row->suffix),
                   ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, row->name, ret_error);
    return rc;
}

int host_remove(struct store *store, const struct change *change, const struct host_row *row,
                const char *action, struct error *ret_error)
{
    assert(store_in_transaction(store));
    int rc = store_change(store, NULL, ret_error, "DELETE FROM hosts WHERE id = $1",
                          store_text(row->id));
    if (rc == 0)
        rc = audit(store, change, action, row->name,
                   json_pack("{s:s, s:s}", "id", row->id, "account", row->account), ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, row->name, ret_error);
    return rc;
}

int hosts_delete_of_account(struct store *store, const struct change *change, const char *account,
                            struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct host_row row = {0};

    assert(store_in_transaction(store));
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, name FROM hosts WHERE account = $1 ORDER BY name",
                         store_text(account));
    snprintf(row.account, sizeof(row.account), "%s", account);
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        snprintf(row.id, sizeof(row.id), "%s", store_row_text(rows, i, 0));
        snprintf(row.name, sizeof(row.name), "%s", store_row_text(rows, i, 1));
        rc = host_remove(store, change, &row, "host.delete", ret_error);
    }
    return rc;
}

/* ---- Online and offline ---- */

struct life_work {
    const struct change *change;
    const char *name;
    bool is_offline;
};

static int life_work(struct store *store, void *context, struct error *ret_error)
{
    const struct life_work *work = context;
    struct host_row row;
    int rc = host_row_find(store, work->name, &row, ret_error);
    if (rc < 0)
        return rc;
    if (strcmp(row.state, "expired") == 0)
        return error_set(ret_error, -ENOENT, "%s has expired", row.name);
    snprintf(row.state, sizeof(row.state), "%s", work->is_offline ? "offline" : "active");
    row.is_clean = row.is_clean && !work->is_offline;
    return host_save(store, work->change, &row, ret_error);
}

int host_life_change(struct store *store, const struct change *change, const char *name,
                     bool is_offline, struct error *ret_error)
{
    struct life_work work = {.change = change, .name = name, .is_offline = is_offline};
    return store_transact(store, life_work, &work, ret_error);
}

/* ---- TXT ---- */

bool host_txt_is_valid(const char *value)
{
    size_t size = strlen(value);
    if (size == 0 || size > HOST_TXT_SIZE_MAX)
        return false;
    for (size_t i = 0; i < size; i++)
        if (value[i] < ' ' || value[i] > '~')
            return false;
    return true;
}

static int txt_add(struct store *store, const struct change *change, const struct host_row *row,
                   const char *const *values, size_t count, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO host_txt (host, value, created_at) VALUES ($1, $2, $3) "
                          "ON CONFLICT (host, value) DO NOTHING",
                          store_text(row->id), store_text(values[i]),
                          store_integer(change->now_ms / 1000));
    if (rc == 0)
        rc = store_query(store, &rows, ret_error, "SELECT COUNT(*) FROM host_txt WHERE host = $1",
                         store_text(row->id));
    if (rc == 0 && store_row_integer(rows, 0, 0) > HOST_TXT_MAX)
        return error_set(ret_error, -EINVAL, "a host has at most %d TXT values: remove some",
                         HOST_TXT_MAX);
    return rc;
}

int host_txt_write(struct store *store, const struct change *change, const struct host_row *row,
                   enum host_txt_way way, const char *const *values, size_t count,
                   struct error *ret_error)
{
    int rc = 0;

    assert(store_in_transaction(store));
    if (way == HOST_TXT_CLEAR || way == HOST_TXT_ONLY)
        rc = store_change(store, NULL, ret_error, "DELETE FROM host_txt WHERE host = $1",
                          store_text(row->id));
    for (size_t i = 0; way == HOST_TXT_REMOVE && i < count && rc == 0; i++)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM host_txt WHERE host = $1 AND value = $2",
                          store_text(row->id), store_text(values[i]));
    if (rc == 0 && (way == HOST_TXT_ADD || way == HOST_TXT_ONLY))
        rc = txt_add(store, change, row, values, count, ret_error);
    if (rc == 0)
        rc = audit(store, change, "host.txt", row->name, NULL, ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, row->name, ret_error);
    return rc;
}

struct txt_work {
    const struct change *change;
    const char *name, *value;
    enum host_txt_way way;
};

static int txt_work(struct store *store, void *context, struct error *ret_error)
{
    const struct txt_work *work = context;
    struct host_row row;
    int rc = host_row_find(store, work->name, &row, ret_error);
    if (rc < 0)
        return rc;
    return host_txt_write(store, work->change, &row, work->way, &work->value, 1, ret_error);
}

int host_txt_change(struct store *store, const struct change *change, const char *name,
                    enum host_txt_way way, const char *value, struct error *ret_error)
{
    struct txt_work work = {.change = change, .name = name, .value = value, .way = way};
    return store_transact(store, txt_work, &work, ret_error);
}
