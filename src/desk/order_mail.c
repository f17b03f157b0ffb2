/* Who is told of an order: the provider's contacts and the order's own, of its notice, of every
 * change and of its end; and customers whose hosts it blocks or lets go. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "desk/account_holding.h"
#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/mail.h"

/* Hosts that one mail lists: a customer with more has them all in the account's export. */
#define HOSTS_SHOWN_MAX 50

#define HOSTS_TEXT_SIZE (HOSTS_SHOWN_MAX * (ORDER_NAME_TEXT_SIZE + 8))

struct telling {
    const struct desk *desk;
    struct store *store;
    int64_t now_ms;
    const struct order_row *row;
    const struct order_news *news;
    char url[DESK_ORDER_NAME_SIZE + 16];
    size_t count;
};

static struct telling telling_begin(const struct desk *desk, struct store *store,
                                    const struct change *change, const struct order_row *row,
                                    const struct order_news *news)
{
    struct telling telling = {
        .desk = desk, .store = store, .now_ms = change->now_ms, .row = row, .news = news};
    snprintf(telling.url, sizeof(telling.url), "/orders/%s", row->name);
    return telling;
}

/* What came after a notice that waits does not overtake it. */
static int64_t due_of(const struct telling *telling)
{
    return telling->row->notice_due_s > telling->now_ms / 1000 ? telling->row->notice_due_s : 0;
}

/* ---- Contacts ---- */

static int contact_tell(struct telling *telling, const char *to, struct error *ret_error)
{
    const struct order_news *news = telling->news;
    telling->count++;
    return mail_notice_put(telling->desk, telling->store, telling->now_ms,
                           &(struct mail_notice){.text = news->contacts,
                                                 .to = to,
                                                 .reference = telling->row->name,
                                                 .outcome = news->outcome,
                                                 .detail = news->detail,
                                                 .url = telling->url,
                                                 .deadline_s = telling->row->starts_s,
                                                 .due_s = due_of(telling)},
                           ret_error);
}

int order_contacts_tell(const struct desk *desk, struct store *store, const struct change *change,
                        const struct order_row *row, const struct order_news *news,
                        size_t *ret_count, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct desk_config_orders *config = &desk->config->orders;
    struct telling telling = telling_begin(desk, store, change, row, news);
    const json_t *contact;
    size_t index;

    int rc = store_query(store, &rows, ret_error, "SELECT contacts FROM orders WHERE id = $1",
                         store_text(row->id));
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < config->contact_count && rc == 0; i++)
        rc = contact_tell(&telling, config->contacts[i], ret_error);
    json_t *contacts = json_loads(store_row_text(rows, 0, 0), 0, NULL);
    json_array_foreach(contacts, index, contact)
    {
        if (rc == 0)
            rc = contact_tell(&telling, json_string_value(contact), ret_error);
    }
    json_decref(contacts);
    if (rc == 0)
        *ret_count = telling.count;
    return rc;
}

/* ---- Customers ---- */

/* One mail for each account: `rows` from `first` to before `last` are its hosts. */
static int customer_tell(struct telling *telling, const struct store_rows *rows, size_t first,
                         size_t last, struct error *ret_error)
{
    char names[HOSTS_TEXT_SIZE], subject[ORDER_NAME_TEXT_SIZE];
    size_t used = 0, shown = 0;

    for (; first + shown < last && shown < HOSTS_SHOWN_MAX; shown++)
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s    %.253s",
                                 shown > 0 ? "\n" : "", store_row_text(rows, first + shown, 1));
    if (first + shown < last)
        snprintf(names + used, sizeof(names) - used, "\n    and %zu more", last - first - shown);
    if (last - first == 1)
        snprintf(subject, sizeof(subject), "%s", store_row_text(rows, first, 1));
    else
        snprintf(subject, sizeof(subject), "%zu of your hosts", last - first);
    return mail_notice_put(telling->desk, telling->store, telling->now_ms,
                           &(struct mail_notice){.text = telling->news->customers,
                                                 .to = store_row_text(rows, first, 0),
                                                 .name = subject,
                                                 .reference = telling->row->name,
                                                 .outcome = telling->news->outcome,
                                                 .detail = names,
                                                 .url = telling->url,
                                                 .deadline_s = telling->row->starts_s,
                                                 .until_s = telling->row->ends_s,
                                                 .due_s = due_of(telling)},
                           ret_error);
}

/* `rows`: address and host, those of one account together. */
static int customers_tell(struct telling *telling, const struct store_rows *rows,
                          struct error *ret_error)
{
    int rc = 0;
    for (size_t first = 0, last; first < store_rows_count(rows) && rc == 0; first = last) {
        const char *to = store_row_text(rows, first, 0);
        for (last = first + 1; last < store_rows_count(rows); last++)
            if (strcmp(store_row_text(rows, last, 0), to) != 0)
                break;
        rc = customer_tell(telling, rows, first, last, ret_error);
    }
    return rc;
}

/* What the order does not block, or no more: of order_customers, with the order as $1. */
#define IS_FREE                                                                              \
    "order_id = $1 AND (EXISTS (SELECT 1 FROM order_exemptions e WHERE "                     \
    "e.order_id = order_customers.order_id AND e.name = order_customers.name) OR EXISTS "    \
    "(SELECT 1 FROM order_names n WHERE n.order_id = order_customers.order_id AND n.list = " \
    "'exempt' AND n.name = order_customers.name) OR NOT EXISTS (SELECT 1 FROM order_names "  \
    "n WHERE n.order_id = order_customers.order_id AND n.list <> 'exempt' AND (n.name = "    \
    "order_customers.name OR (n.list = 'subtree' AND order_customers.name LIKE '%.' || "     \
    "n.name))))"

#define TOLD "SELECT a.email, name FROM order_customers JOIN accounts a ON a.id = account WHERE "

/* Tells whom `from` selects. */
static int selected_tell(struct telling *telling, const char *from, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(telling->store, &rows, ret_error, from, store_text(telling->row->id));
    return rc < 0 ? rc : customers_tell(telling, rows, ret_error);
}

/* A subtree is looked for in all hosts: it is rare, and two people have approved it. */
static int customers_note(struct store *store, const char *id, int64_t now_s,
                          struct error *ret_error)
{
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO order_customers (order_id, name, account, told_at) "
                          "SELECT n.order_id, h.name, h.account, $1 FROM order_names n JOIN hosts "
                          "h ON h.name = n.name WHERE n.order_id = $2 AND n.list = 'name' "
                          "ON CONFLICT DO NOTHING",
                          store_integer(now_s), store_text(id));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO order_customers (order_id, name, account, told_at) "
                          "SELECT n.order_id, h.name, h.account, $1 FROM order_names n JOIN hosts "
                          "h ON h.name = n.name OR h.name LIKE '%.' || n.name WHERE "
                          "n.order_id = $2 AND n.list = 'subtree' ON CONFLICT DO NOTHING",
                          store_integer(now_s), store_text(id));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM order_customers WHERE " IS_FREE,
                          store_text(id));
    return rc;
}

int order_customers_block(const struct desk *desk, struct store *store, const struct change *change,
                          const struct order_row *row, struct error *ret_error)
{
    static const struct order_news news = {.customers = MAIL_ORDER_BLOCKS};
    struct telling telling = telling_begin(desk, store, change, row, &news);

    if (strcmp(row->action, "observe") == 0)
        return 0;
    int rc = customers_note(store, row->id, change->now_ms / 1000, ret_error);
    return rc < 0 ? rc
                  : selected_tell(&telling, TOLD "order_id = $1 ORDER BY a.id, name", ret_error);
}

int order_amended_tell(const struct desk *desk, struct store *store, const struct change *change,
                       const struct order_row *row, const char *outcome, const char *reason,
                       struct error *ret_error)
{
    const struct order_news news = {.contacts = MAIL_ORDER_AMENDED,
                                    .customers = MAIL_ORDER_FREES,
                                    .outcome = outcome,
                                    .detail = reason};
    struct telling telling = telling_begin(desk, store, change, row, &news);
    size_t count;

    int rc = order_contacts_tell(desk, store, change, row, &news, &count, ret_error);
    if (rc == 0)
        rc = selected_tell(&telling, TOLD IS_FREE " ORDER BY a.id, name", ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM order_customers WHERE " IS_FREE,
                          store_text(row->id));
    return rc;
}

int order_ended_tell(const struct desk *desk, struct store *store, const struct change *change,
                     const struct order_row *row, const char *outcome, const char *reason,
                     struct error *ret_error)
{
    const struct order_news news = {.contacts = MAIL_ORDER_ENDED,
                                    .customers = MAIL_ORDER_FREES,
                                    .outcome = outcome,
                                    .detail = reason};
    struct telling telling = telling_begin(desk, store, change, row, &news);
    size_t count;

    if (row->notified_at_s == 0) /* nobody has heard of it */
        return 0;
    int rc = order_contacts_tell(desk, store, change, row, &news, &count, ret_error);
    if (rc == 0)
        rc = selected_tell(&telling, TOLD "order_id = $1 ORDER BY a.id, name", ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM order_customers WHERE order_id = $1",
                          store_text(row->id));
    return rc;
}

/* ---- What an account has of it ---- */

static int customers_export(struct store *store, const char *account, json_t **ret_json,
                            struct error *ret_error)
{
    static const char *const names[] = {"order", "name", "told_at"};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT o.name, c.name, c.told_at FROM order_customers c JOIN orders o ON "
                         "o.id = c.order_id WHERE c.account = $1 ORDER BY o.name, c.name LIMIT $2",
                         store_text(account), store_integer(ACCOUNT_EXPORT_ROWS_MAX));
    return rc < 0 ? rc
                  : account_rows_json(rows, names, sizeof(names) / sizeof(names[0]), ret_json,
                                      ret_error);
}

static int customers_forget(struct store *store, const struct change *change, const char *account,
                            struct error *ret_error)
{
    (void)change;
    return store_change(store, NULL, ret_error, "DELETE FROM order_customers WHERE account = $1",
                        store_text(account));
}

const struct account_holding account_holding_orders = {
    .name = "orders",
    .export = customers_export,
    .release = customers_forget,
};
