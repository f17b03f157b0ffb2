/* Names carved out of orders in force, and the question whether a name is blocked. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/change.h"
#include "desk/desk_order_internal.h"

/* Labels of a name that is looked for in subtrees (RFC 1035, 2.3.4). */
#define LABELS_MAX 127

/* ---- Which orders list a name ---- */

/* Calls `visit` with the ids of active orders that have `name` in `list`. */
static int each_listing(struct store *store, const char *list, const char *name,
                        int (*visit)(void *context, const char *id, struct error *ret_error),
                        void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT orders.id FROM order_names JOIN orders ON "
                         "orders.id = order_names.order_id WHERE order_names.name = $1 AND "
                         "order_names.list = $2 AND orders.state = 'active' ORDER BY orders.id",
                         store_text(name), store_text(list));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        rc = visit(context, store_row_text(rows, i, 0), ret_error);
    return rc;
}

/* The same for names and subtrees that take a name in. */
static int each_blocking(struct store *store, const char *name,
                         int (*visit)(void *context, const char *id, struct error *ret_error),
                         void *context, struct error *ret_error)
{
    int rc = each_listing(store, "name", name, visit, context, ret_error);
    const char *above = name;
    for (size_t i = 0; i < LABELS_MAX && rc == 0 && above != NULL; i++) {
        rc = each_listing(store, "subtree", above, visit, context, ret_error);
        above = strchr(above, '.');
        above = above != NULL ? above + 1 : NULL;
    }
    return rc;
}

/* ---- Exemptions ---- */

struct exempting {
    const struct desk *desk; /* NULL: the caller tells */
    struct store *store;
    const struct change *change;
    const struct desk_order_exemption *exemption;
    size_t count;
};

static json_t *exemption_detail(const struct desk_order_exemption *exemption)
{
    return json_pack("{s:[s], s:s, s:s?}", "exempt", exemption->name, "reason", exemption->reason,
                     "reference", exemption->reference);
}

/* A name that is in both lists of an order is visited twice and exempted once. */
static int order_exempt(void *context, const char *id, struct error *ret_error)
{
    struct exempting *exempting = context;
    const struct desk_order_exemption *exemption = exempting->exemption;
    int64_t now_s = exempting->change->now_ms / 1000;
    struct order_row row;
    uint64_t changed = 0;

    if (exemption->order != NULL && strcmp(exemption->order, id) != 0)
        return 0;
    int rc =
        store_change(exempting->store, &changed, ret_error,
                     "INSERT INTO order_exemptions (order_id, name, reason, reference, at) "
                     "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (order_id, name) DO NOTHING",
                     store_text(id), store_text(exemption->name), store_text(exemption->reason),
                     store_text(exemption->reference), store_integer(now_s));
    if (rc < 0 || changed == 0)
        return rc;
    exempting->count++;
    rc = order_serial_bump(exempting->store, id, now_s, ret_error);
    if (rc == 0)
        rc = order_row_get(exempting->store, id, &row, ret_error);
    if (rc == 0)
        rc = order_event(exempting->store, exempting->change, &row, "order.amended",
                         exemption_detail(exemption), ret_error);
    if (rc == 0 && exempting->desk != NULL)
        rc = order_amended_tell(exempting->desk, exempting->store, exempting->change, &row,
                                "one name is exempt from it", exemption->reason, ret_error);
    return rc;
}

static int name_exempt(const struct desk *desk, struct store *store, const struct change *change,
                       const struct desk_order_exemption *exemption, size_t *ret_count,
                       struct error *ret_error)
{
    struct exempting exempting = {
        .desk = desk, .store = store, .change = change, .exemption = exemption};

    assert(store_in_transaction(store));
    int rc = each_blocking(store, exemption->name, order_exempt, &exempting, ret_error);
    if (rc == 0 && exempting.count > 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE order_zones SET serial = CASE WHEN serial >= $1 THEN serial + 1 "
                          "ELSE $2 END WHERE zone = 'exemptions'",
                          store_integer(change->now_ms / 1000),
                          store_integer(change->now_ms / 1000));
    if (rc == 0)
        *ret_count = exempting.count;
    return rc;
}

int desk_order_exempt(const struct desk *desk, struct store *store, const struct change *change,
                      const struct desk_order_exemption *exemption, size_t *ret_count,
                      struct error *ret_error)
{
    return name_exempt(desk, store, change, exemption, ret_count, ret_error);
}

int order_exempt_untold(struct store *store, const struct change *change,
                        const struct desk_order_exemption *exemption, size_t *ret_count,
                        struct error *ret_error)
{
    return name_exempt(NULL, store, change, exemption, ret_count, ret_error);
}

/* ---- Looking up ---- */

/* An exemption of any order in force that does not merely observe lets a name pass all of them. */
static int is_exempt(struct store *store, const char *name, int64_t now_s, bool *ret_is,
                     struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(
        store, &rows, ret_error,
        "SELECT 1 FROM order_exemptions JOIN orders ON orders.id = order_exemptions.order_id "
        "WHERE order_exemptions.name = $1 AND orders.state = 'active' AND ends_at > $2 "
        "UNION ALL SELECT 1 FROM order_names JOIN orders ON orders.id = order_names.order_id "
        "WHERE order_names.name = $3 AND list = 'exempt' AND orders.state = 'active' AND "
        "starts_at <= $4 AND ends_at > $5 AND action <> 'observe' LIMIT 1",
        store_text(name), store_integer(now_s), store_text(name), store_integer(now_s),
        store_integer(now_s));
    if (rc == 0)
        *ret_is = store_rows_count(rows) > 0;
    return rc;
}

struct finding {
    struct store *store;
    int64_t now_s;
    struct order_row best;
    bool has;
};

static int consider(void *context, const char *id, struct error *ret_error)
{
    struct finding *finding = context;
    struct order_row row;

    int rc = order_row_get(finding->store, id, &row, ret_error);
    if (rc < 0)
        return rc;
    bool is_in_force = row.starts_s <= finding->now_s && row.ends_s > finding->now_s &&
                       strcmp(row.action, "observe") != 0;
    bool is_first =
        !finding->has || row.starts_s < finding->best.starts_s ||
        (row.starts_s == finding->best.starts_s && strcmp(row.name, finding->best.name) < 0);
    if (is_in_force && is_first) {
        finding->best = row;
        finding->has = true;
    }
    return 0;
}

int desk_order_find(struct store *store, const char *name, int64_t now_s,
                    struct desk_order_block *ret_block, struct error *ret_error)
{
    struct finding finding = {.store = store, .now_s = now_s};
    bool exempt = false;

    int rc = is_exempt(store, name, now_s, &exempt, ret_error);
    if (rc == 0 && !exempt)
        rc = each_blocking(store, name, consider, &finding, ret_error);
    if (rc < 0)
        return rc;
    if (!finding.has)
        return error_set(ret_error, -ENOENT, "%s is blocked by no order", name);
    memcpy(ret_block->id, finding.best.id, sizeof(ret_block->id));
    memcpy(ret_block->name, finding.best.name, sizeof(ret_block->name));
    memcpy(ret_block->action, finding.best.action, sizeof(ret_block->action));
    return 0;
}
