/* Orders that are compared with interests: on each way towards being in force, and never for names
 * that were compared already. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk.h"
#include "desk/desk_order.h"
#include "desk/interest.h"
#include "desk/mail.h"
#include "desk/outbox.h"

/* What is to be compared. */
struct comparing {
    struct desk *desk;
    const struct change *change;
    const char *order;
    char newest[ID_SIZE]; /* of all interests, before any was looked at */
    int64_t version;
    bool is_due;
    struct interest_check *check;
    bool has_found;
};

/* An order that is or was in force is amended by blocking less; nothing new is touched then. */
static int comparing_begin(struct comparing *comparing, struct store *store,
                           struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT o.version, (SELECT MAX(id) FROM interests), c.version, c.newest "
                         "FROM orders o LEFT JOIN interest_checks c ON c.order_id = o.id "
                         "WHERE o.id = $1 AND o.activated_at IS NULL AND o.ended_at IS NULL",
                         store_text(comparing->order));
    if (rc < 0 || store_rows_count(rows) == 0 || store_row_is_null(rows, 0, 1))
        return rc;
    const char *newest = store_row_text(rows, 0, 1), *compared = store_row_text(rows, 0, 3);
    (void)snprintf(comparing->newest, sizeof(comparing->newest), "%s", newest);
    comparing->version = store_row_integer(rows, 0, 0);
    comparing->is_due = compared == NULL || strcmp(compared, newest) != 0 ||
                        store_row_integer(rows, 0, 2) != comparing->version;
    return 0;
}

static int names_compare(struct comparing *comparing, struct store *store, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT list, name FROM order_names WHERE order_id = $1 AND "
                         "list IN ('name', 'subtree')",
                         store_text(comparing->order));
    if (rc < 0)
        return rc;
    const size_t count = store_rows_count(rows);
    struct interest_name *names = calloc(count + 1, sizeof(*names));
    if (names == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the names of an order");
    for (size_t i = 0; i < count; i++)
        names[i] = (struct interest_name){
            .name = store_row_text(rows, i, 1),
            .is_subtree = strcmp(store_row_text(rows, i, 0), "subtree") == 0,
        };
    rc = interest_check_make(comparing->desk, store, names, count, &comparing->check, ret_error);
    if (rc == 0)
        rc = interest_check_own(comparing->check, ret_error);
    free(names);
    return rc;
}

static int partner_tell(struct store *store, const struct comparing *comparing, const char *overlap,
                        const char *email, int64_t held_until_s, struct error *ret_error)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "/v1/overlaps/%s", overlap);
    return mail_notice_put(comparing->desk, store, comparing->change->now_ms,
                           &(struct mail_notice){.text = MAIL_OVERLAP,
                                                 .to = email,
                                                 .reference = overlap,
                                                 .url = url,
                                                 .deadline_s = held_until_s},
                           ret_error);
}

/* Holds the order for each overlap that it is not held for yet, and tells its partner. */
static int overlaps_hold(struct store *store, struct comparing *comparing, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT v.id, v.held_until, a.email FROM interest_overlaps v "
                         "JOIN accounts a ON a.id = v.account LEFT JOIN order_holds h ON "
                         "h.order_id = v.order_id AND h.reference = v.id "
                         "WHERE v.order_id = $1 AND v.ended_at IS NULL AND h.reference IS NULL",
                         store_text(comparing->order));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        const char *overlap = store_row_text(rows, i, 0);
        const int64_t until_s = store_row_integer(rows, i, 1);
        comparing->has_found = true;
        rc = desk_order_hold(store, comparing->change, comparing->order, overlap, until_s,
                             ret_error);
        if (rc == 0)
            rc = partner_tell(store, comparing, overlap, store_row_text(rows, i, 2), until_s,
                              ret_error);
    }
    return rc;
}

static int compared_do(struct store *store, void *context, struct error *ret_error)
{
    struct comparing *comparing = context;
    const struct change *change = comparing->change;
    struct interest_hold hold;
    const struct interest_occasion occasion = {
        .order = comparing->order,
        .who = change->who,
        .client = change->client,
        .now_ms = change->now_ms,
        .hold_s = comparing->desk->config->orders.hold_s,
    };
    int rc = interest_overlaps(store, comparing->check, &occasion, &hold, ret_error);
    if (rc == 0)
        rc = overlaps_hold(store, comparing, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO interest_checks (order_id, version, newest) "
                          "VALUES ($1, $2, $3) ON CONFLICT (order_id) DO UPDATE SET "
                          "version = excluded.version, newest = excluded.newest",
                          store_text(comparing->order), store_integer(comparing->version),
                          store_text(comparing->newest));
    return rc;
}

int interest_order_check(struct desk *desk, struct store *store, const struct change *change,
                         const char *order, struct error *ret_error)
{
    struct comparing comparing = {.desk = desk, .change = change, .order = order};
    int rc = comparing_begin(&comparing, store, ret_error);
    if (rc < 0 || !comparing.is_due)
        return rc;
    rc = names_compare(&comparing, store, ret_error);
    if (rc == 0)
        rc = store_transact(store, compared_do, &comparing, ret_error);
    interest_check_free(comparing.check);
    if (rc == 0 && comparing.has_found)
        outbox_wake(desk);
    return rc;
}

int interest_hold_end(struct store *store, const struct change *change, const char *order,
                      const char *overlap, struct error *ret_error)
{
    struct error error;
    int rc = desk_order_hold_end(store, change, order, overlap, &error);
    if (rc == -ENOENT) /* it ended, or was let go, in another way */
        return 0;
    if (rc < 0 && ret_error != NULL)
        *ret_error = error;
    return rc;
}
