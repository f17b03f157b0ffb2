/* Hosts that free accounts do not use: their owners are told twice, then they expire and are not
 * served, and after a time of grace their names become free. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/host_jobs.h"
#include "desk/host_sync.h"
#include "desk/host_tables.h"
#include "desk/hosts_internal.h"
#include "desk/mail.h"

#define DAY_S 86400

/* Hosts that one transaction takes. */
#define BATCH 100

/* How long before the expiry its owner is told, first and again. */
static const int64_t notice_s[] = {7 * DAY_S, 1 * DAY_S};

#define NOTICES (sizeof(notice_s) / sizeof(notice_s[0]))

/* Of the hosts of a plan, those last seen before a time: what happens to one of them. */
struct aging {
    struct desk *desk;
    const struct desk_config_plan *plan;
    int64_t now_s, seen_before_s;
    unsigned notice; /* to be sent */
    char names[BATCH][HOST_NAME_SIZE];
    size_t count;
};

/* A plan that is named in no account's row is that of those who name none, or one that is gone. */
static bool is_of_plan(const struct aging *aging, const char *plan)
{
    return host_plan_find(&aging->desk->config->hosts, plan) == aging->plan;
}

static int64_t deadline_of(const struct aging *aging, int64_t seen_s)
{
    int64_t deadline_s = seen_s + (int64_t)aging->plan->expiry_days * DAY_S;
    int64_t earliest_s = aging->now_s + notice_s[NOTICES - 1];
    return deadline_s > earliest_s ? deadline_s : earliest_s;
}

static int notice_send(struct store *store, const struct aging *aging,
                       const struct store_rows *rows, size_t row, struct error *ret_error)
{
    const char *name = store_row_text(rows, row, 1);
    char url[HOST_NAME_SIZE + 16];
    snprintf(url, sizeof(url), "/v1/hosts/%s", name);
    const struct mail_notice notice = {
        .text = MAIL_HOST_EXPIRES,
        .to = store_row_text(rows, row, 3),
        .name = name,
        .reference = store_row_text(rows, row, 0),
        .url = url,
        .deadline_s = deadline_of(aging, store_row_integer(rows, row, 2)),
    };
    int rc = mail_notice_put(aging->desk, store, aging->now_s * 1000, &notice, ret_error);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE hosts SET notices = $1, noticed_at = $2 WHERE id = $3",
                          store_integer(aging->notice + 1), store_integer(aging->now_s),
                          store_text(store_row_text(rows, row, 0)));
    return rc;
}

#define AGING_COLUMNS                                                               \
    "SELECT h.id, h.name, h.seen_at, a.email, a.plan FROM hosts h JOIN accounts a " \
    "ON a.id = h.account "

static int notices_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct aging *aging = context;
    int rc = store_query(store, &rows, ret_error,
                         AGING_COLUMNS "WHERE h.state <> 'expired' AND h.seen_at <= $1 AND "
                                       "h.notices <= $2 ORDER BY h.seen_at LIMIT $3",
                         store_integer(aging->seen_before_s), store_integer(aging->notice),
                         store_integer(BATCH));
    aging->count = 0;
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++)
        if (is_of_plan(aging, store_row_text(rows, i, 4))) {
            aging->count++;
            rc = notice_send(store, aging, rows, i, ret_error);
        }
    return rc;
}

static int expire_one(struct store *store, const struct aging *aging, const struct store_rows *rows,
                      size_t row, struct error *ret_error)
{
    const char *name = store_row_text(rows, row, 1);
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE hosts SET state = 'expired', expired_at = $1, clean = 0 "
                          "WHERE id = $2",
                          store_integer(aging->now_s), store_text(store_row_text(rows, row, 0)));
    if (rc == 0)
        rc =
            audit_write(store,
                        &(struct audit_entry){
                            .now_ms = aging->now_s * 1000, .action = "host.expire", .object = name},
                        ret_error);
    if (rc == 0)
        rc = mail_notice_put(aging->desk, store, aging->now_s * 1000,
                             &(struct mail_notice){.text = MAIL_HOST_EXPIRED,
                                                   .to = store_row_text(rows, row, 3),
                                                   .name = name,
                                                   .reference = store_row_text(rows, row, 0)},
                             ret_error);
    if (rc == 0)
        rc = host_sync_put(store, aging->now_s * 1000, name, ret_error);
    return rc;
}

static int expire_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct aging *aging = context;
    int rc = store_query(store, &rows, ret_error,
                         AGING_COLUMNS "WHERE h.state <> 'expired' AND h.seen_at <= $1 AND "
                                       "h.notices = $2 AND h.noticed_at <= $3 "
                                       "ORDER BY h.seen_at LIMIT $4",
                         store_integer(aging->seen_before_s), store_integer((int64_t)NOTICES),
                         store_integer(aging->now_s - notice_s[NOTICES - 1]), store_integer(BATCH));
    aging->count = 0;
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        if (!is_of_plan(aging, store_row_text(rows, i, 4)))
            continue;
        snprintf(aging->names[aging->count++], HOST_NAME_SIZE, "%s", store_row_text(rows, i, 1));
        rc = expire_one(store, aging, rows, i, ret_error);
    }
    return rc;
}

/* A host that expired so long ago that its name may go to somebody else. */
static int release_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct aging *aging = context;
    const struct change change = {.now_ms = aging->now_s * 1000};
    int rc = store_query(store, &rows, ret_error,
                         "SELECT name FROM hosts WHERE state = 'expired' AND expired_at <= $1 "
                         "ORDER BY name LIMIT $2",
                         store_integer(aging->seen_before_s), store_integer(BATCH));
    aging->count = 0;
    for (size_t i = 0; rc == 0 && i < store_rows_count(rows); i++) {
        struct host_row row;
        rc = host_row_find(store, store_row_text(rows, i, 0), &row, ret_error);
        if (rc == 0)
            rc = host_remove(store, &change, &row, "host.release", ret_error);
        snprintf(aging->names[aging->count++], HOST_NAME_SIZE, "%s", store_row_text(rows, i, 0));
    }
    return rc;
}

/* Until a batch is not full any more. */
static int batches_run(struct aging *aging, struct store *store, store_work_fn *work,
                       bool has_names, struct error *ret_error)
{
    int rc;
    do {
        rc = store_transact(store, work, aging, ret_error);
        for (size_t i = 0; has_names && i < aging->count; i++)
            hosts_forget(aging->desk, aging->names[i]);
        if (aging->count > 0)
            outbox_wake(aging->desk);
    } while (rc == 0 && aging->count == BATCH);
    return rc;
}

static int plan_age(struct aging *aging, struct store *store, struct error *ret_error)
{
    int64_t life_s = (int64_t)aging->plan->expiry_days * DAY_S;
    int rc = 0;
    /* The last notice first: whoever gets it late, as after a long pause of the desk, gets only it,
     * and has the time that it names. */
    for (unsigned left = NOTICES; left > 0 && rc == 0; left--) {
        aging->notice = left - 1;
        aging->seen_before_s = aging->now_s - life_s + notice_s[aging->notice];
        rc = batches_run(aging, store, notices_do, false, ret_error);
    }
    aging->seen_before_s = aging->now_s - life_s;
    return rc < 0 ? rc : batches_run(aging, store, expire_do, true, ret_error);
}

int host_expire_job(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error)
{
    const struct desk_config_hosts *config = &desk->config->hosts;
    struct aging *aging = calloc(1, sizeof(*aging));
    if (aging == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for expiring hosts");
    aging->desk = desk;
    aging->now_s = now_s;
    /* What is in memory alone counts, too. */
    int rc = host_seen_job(desk, store, now_s, ret_error);
    for (size_t i = 0; i < config->plan_count && rc == 0; i++) {
        aging->plan = &config->plans[i];
        if (aging->plan->expiry_days > 0)
            rc = plan_age(aging, store, ret_error);
    }
    aging->seen_before_s = now_s - (int64_t)config->grace_days * DAY_S;
    if (rc == 0)
        rc = batches_run(aging, store, release_do, true, ret_error);
    free(aging);
    return rc;
}
