#include "desk/block.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/block_opening.h"
#include "desk/host_sync.h"
#include "desk/outbox.h"

/* A name of 253 characters has no more labels (RFC 1035, 2.3.4). */
#define LABELS_MAX 127

static void text_copy(char *ret_text, size_t size, const char *text)
{
    snprintf(ret_text, size, "%s", text != NULL ? text : "");
}

/* The block of exactly this name. */
static int own_find(struct store *store, const char *name, int64_t now_s, struct block *ret_block,
                    struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT reason, report, order_id, since, until FROM blocks "
                         "WHERE name = $1 AND (until IS NULL OR until > $2)",
                         store_text(name), store_integer(now_s));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "%s is not blocked", name);
    text_copy(ret_block->name, sizeof(ret_block->name), name);
    text_copy(ret_block->reason, sizeof(ret_block->reason), store_row_text(rows, 0, 0));
    text_copy(ret_block->report, sizeof(ret_block->report), store_row_text(rows, 0, 1));
    text_copy(ret_block->order_id, sizeof(ret_block->order_id), store_row_text(rows, 0, 2));
    ret_block->since_s = store_row_integer(rows, 0, 3);
    ret_block->until_s = store_row_integer(rows, 0, 4);
    return 0;
}

int block_find(struct store *store, const char *name, int64_t now_s, struct block *ret_block,
               struct error *ret_error)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < LABELS_MAX && name != NULL && *name != '\0' && rc == -ENOENT; i++) {
        rc = own_find(store, name, now_s, ret_block, ret_error);
        const char *dot = strchr(name, '.');
        name = dot != NULL ? dot + 1 : NULL;
    }
    return rc;
}

static int block_audit(struct store *store, const struct change *change, const char *action,
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

/* Whose it is now, and whose it was when it was reported: both are concerned, also when the host is
 * gone. A host that comes later is of somebody whom its row tells. */
static int owners_note(struct store *store, const struct block_order *order,
                       struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "INSERT INTO block_owners (name, account) SELECT name, account FROM hosts "
                        "WHERE name = $1 UNION SELECT owner_name, account FROM report_names WHERE "
                        "report = $2 AND owner_name = $3 AND account IS NOT NULL "
                        "ON CONFLICT DO NOTHING",
                        store_text(order->name), store_text(order->report),
                        store_text(order->name));
}

int block_put(struct store *store, const struct change *change, const struct block_order *order,
              struct error *ret_error)
{
    const struct principal *who = change->who;
    bool has_account = who != NULL && who->account[0] != '\0';

    assert(store_in_transaction(store));
    if (strlen(order->name) >= BLOCK_NAME_SIZE || strlen(order->reason) >= BLOCK_REASON_SIZE)
        return error_set(ret_error, -EINVAL, "the block's name or reason is too long: shorten it");
    int rc = store_change(
        store, NULL, ret_error,
        "INSERT INTO blocks (name, reason, report, order_id, since, until, by_account) "
        "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO UPDATE SET "
        "reason = excluded.reason, report = excluded.report, order_id = excluded.order_id, "
        "until = excluded.until, by_account = excluded.by_account, since = CASE "
        "WHEN blocks.until <= excluded.since THEN excluded.since ELSE blocks.since END",
        store_text(order->name), store_text(order->reason), store_text(order->report),
        store_text(order->order_id), store_integer(change->now_ms / 1000),
        order->until_s != 0 ? store_integer(order->until_s) : store_null(),
        store_text(has_account ? who->account : NULL));
    if (rc == 0)
        rc = owners_note(store, order, ret_error);
    if (rc == 0)
        rc = block_audit(store, change, "block.put", order->name,
                         json_pack("{s:s, s:s?, s:s?}", "reason", order->reason, "report",
                                   order->report, "order", order->order_id),
                         ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, order->name, ret_error);
    return rc;
}

int block_lift(struct store *store, const struct change *change, const char *name,
               struct error *ret_error)
{
    uint64_t changed;

    assert(store_in_transaction(store));
    int rc = store_change(store, &changed, ret_error, "DELETE FROM blocks WHERE name = $1",
                          store_text(name));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -ENOENT, "%s is not blocked", name);
    if (rc == 0)
        rc = block_openings_forget(store, name, ret_error);
    if (rc == 0)
        rc = block_audit(store, change, "block.lift", name, NULL, ret_error);
    if (rc == 0)
        rc = host_sync_put(store, change->now_ms, name, ret_error);
    return rc;
}

void block_settle(struct desk *desk, const char *name)
{
    host_sync_settle(desk, name);
}
