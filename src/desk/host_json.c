/* Hosts as JSON, and who may see which. */
#include "desk/host_json.h"

#include <arpa/inet.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>

#include "desk/hosts_internal.h"
#include "desk/row_json.h"

#define STAFF (ROLE_OPERATOR | ROLE_ANALYST | ROLE_APPROVER | ROLE_AUDITOR)
#define DAY_S 86400

/* Columns of a host, in the order in which host_json_of_row() takes them; $2 is the time now. */
#define HOST_COLUMNS                                                                          \
    "h.id, h.name, h.account, h.zone, h.state, h.wildcard, h.aaaa_suffix, h.created_at, "     \
    "h.updated_at, h.seen_at, a.plan, b.reason, b.since, b.until, b.report, b.order_id "      \
    "FROM hosts h JOIN accounts a ON a.id = h.account LEFT JOIN blocks b ON b.name = h.name " \
    "AND (b.until IS NULL OR b.until > $2) "

bool host_is_visible(const struct principal *who, const char *account)
{
    return (who->role & STAFF) != 0 || strcmp(who->account, account) == 0;
}

static json_t *block_json(const struct store_rows *rows, size_t row)
{
    if (store_row_is_null(rows, row, 11))
        return json_null();
    return json_pack("{s:s, s:o, s:o, s:s?, s:s?}", "reason", store_row_text(rows, row, 11),
                     "since", row_time_json(rows, row, 12), "until", row_time_json(rows, row, 13),
                     "report", store_row_text(rows, row, 14), "order",
                     store_row_text(rows, row, 15));
}

static json_t *expiry_json(const struct desk_config_hosts *config, const struct store_rows *rows,
                           size_t row)
{
    const struct desk_config_plan *plan = host_plan_find(config, store_row_text(rows, row, 10));
    char text[CLOCK_TEXT_SIZE];
    if (plan->expiry_days == 0)
        return json_null();
    return json_string(
        clock_text(store_row_integer(rows, row, 9) + (int64_t)plan->expiry_days * DAY_S, text));
}

static json_t *host_json_of_row(const struct desk_config_hosts *config,
                                const struct store_rows *rows, size_t row)
{
    bool is_blocked = !store_row_is_null(rows, row, 11);
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:s?, s:o, s:o, s:o, s:o, s:o}", "id",
                     store_row_text(rows, row, 0), "name", store_row_text(rows, row, 1), "account",
                     store_row_text(rows, row, 2), "zone", store_row_text(rows, row, 3), "state",
                     is_blocked ? "suspended" : store_row_text(rows, row, 4), "wildcard",
                     store_row_integer(rows, row, 5) != 0, "aaaa_suffix",
                     store_row_text(rows, row, 6), "created_at", row_time_json(rows, row, 7),
                     "updated_at", row_time_json(rows, row, 8), "seen_at",
                     row_time_json(rows, row, 9), "expires_at", expiry_json(config, rows, row),
                     "block", block_json(rows, row));
}

int hosts_json(struct store *store, const struct desk_config_hosts *config, const char *account,
               const char *after, int64_t now_s, unsigned limit, json_t **ret_items,
               char ret_next[static HOST_NAME_SIZE], struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *items = json_array();

    if (items == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a list of hosts");
    /* "" stands for all accounts. */
    int rc = store_query(store, &rows, ret_error,
                         "SELECT " HOST_COLUMNS "WHERE (h.account = $1 OR $3 = '') AND h.name > $4 "
                         "ORDER BY h.name LIMIT $5",
                         store_text(account), store_integer(now_s), store_text(account),
                         store_text(after), store_integer((int64_t)limit + 1));
    ret_next[0] = '\0';
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        if (i == limit) {
            snprintf(ret_next, HOST_NAME_SIZE, "%s", store_row_text(rows, i - 1, 1));
            break;
        }
        if (json_array_append_new(items, host_json_of_row(config, rows, i)) < 0)
            rc = error_set(ret_error, -ENOMEM, "out of memory for a list of hosts");
    }
    if (rc < 0)
        json_decref(items);
    else
        *ret_items = items;
    return rc;
}

/* ---- One in full ---- */

static int keys_json(struct store *store, const char *host, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *keys = json_array();
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, label, created_at FROM host_keys WHERE host = $1 ORDER BY id",
                         store_text(host));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        (void)json_array_append_new(
            keys, json_pack("{s:s, s:s, s:o}", "id", store_row_text(rows, i, 0), "label",
                            store_row_text(rows, i, 1), "created_at", row_time_json(rows, i, 2)));
    (void)json_object_set_new(json, "keys", keys);
    return rc;
}

static int txt_json(struct store *store, const char *host, json_t *json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    json_t *values = json_array();
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT value FROM host_txt WHERE host = $1 ORDER BY value", store_text(host));
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        (void)json_array_append_new(values, json_string(store_row_text(rows, i, 0)));
    (void)json_object_set_new(json, "txt", values);
    return rc;
}

struct asking {
    sem_t told;
    bool is_known;
    struct dns_addresses addresses;
};

static void on_told(void *context, const struct dns_outcome *outcome,
                    const struct dns_addresses *addresses)
{
    struct asking *asking = context;
    asking->is_known = outcome->result == DNS_DONE;
    if (asking->is_known)
        asking->addresses = *addresses;
    sem_post(&asking->told);
}

/* What the name server has now; null when it does not say. */
static json_t *addresses_json(struct hosts *hosts, const char *zone, const char *name)
{
    struct asking asking = {0};
    char a[INET_ADDRSTRLEN], aaaa[INET6_ADDRSTRLEN];
    struct error ignored;

    sem_init(&asking.told, 0, 0);
    if (dns_updater_ask(hosts->desk->dns_updater, zone, name, on_told, &asking, &ignored) == 0)
        while (sem_wait(&asking.told) < 0)
            ;
    sem_destroy(&asking.told);
    if (!asking.is_known)
        return json_null();
    const struct dns_addresses *got = &asking.addresses;
    inet_ntop(AF_INET, got->a, a, sizeof(a));
    inet_ntop(AF_INET6, got->aaaa, aaaa, sizeof(aaaa));
    return json_pack("{s:s?, s:s?}", "a", got->a_count > 0 ? a : NULL, "aaaa",
                     got->aaaa_count > 0 ? aaaa : NULL);
}

int host_json(struct hosts *hosts, struct store *store, const char *name, int64_t now_s,
              json_t **ret_json, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, "SELECT " HOST_COLUMNS "WHERE h.name = $1",
                         store_text(name), store_integer(now_s));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no host %s", name);
    json_t *json = host_json_of_row(&hosts->desk->config->hosts, rows, 0);
    if (json == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a host");
    rc = keys_json(store, store_row_text(rows, 0, 0), json, ret_error);
    if (rc == 0)
        rc = txt_json(store, store_row_text(rows, 0, 0), json, ret_error);
    if (rc < 0) {
        json_decref(json);
        return rc;
    }
    (void)json_object_set_new(json, "addresses",
                              addresses_json(hosts, store_row_text(rows, 0, 3), name));
    *ret_json = json;
    return 0;
}
