/* Deconfliction: the routes of partners and of those who talk with them. */
#include <inttypes.h>

#include "desk/desk.h"
#include "desk/interest_keys.h"
#include "desk/interest_pages.h"
#include "desk/parts.h"

#define BODY_MAX      65536
#define DAY_S         (24 * 3600)
#define EXPIRE_BATCH  100
#define COUNTS_KEPT_S (90 * DAY_S)

/* Who has to do with orders. The auditor only reads. */
#define STAFF (ROLE_ANALYST | ROLE_APPROVER | ROLE_OPERATOR)

static int start(struct desk *desk, struct error *ret_error)
{
    return interest_keys_load(desk->config, &desk->interest_keys, ret_error);
}

static void stop(struct desk *desk)
{
    interest_keys_free(desk->interest_keys);
    desk->interest_keys = NULL;
}

/* ---- Jobs ---- */

struct expiry {
    int64_t now_s;
    size_t count;
};

static int expire_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct expiry *expiry = context;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id FROM interests WHERE expires_at <= $1 AND withdrawn_at IS NULL "
                         "LIMIT $2",
                         store_integer(expiry->now_s), store_integer(EXPIRE_BATCH));
    expiry->count = rc == 0 ? store_rows_count(rows) : 0;
    for (size_t i = 0; i < expiry->count && rc == 0; i++)
        rc = interest_end(store, &(struct change){.now_ms = expiry->now_s * 1000},
                          store_row_text(rows, i, 0), ret_error);
    return rc;
}

static int interests_expire(struct desk *desk, struct store *store, int64_t now_s,
                            struct error *ret_error)
{
    struct expiry expiry = {.now_s = now_s};
    int rc;
    (void)desk;
    do {
        rc = store_transact(store, expire_do, &expiry, ret_error);
    } while (rc == 0 && expiry.count == EXPIRE_BATCH);
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM interest_evaluations WHERE day < $1",
                          store_integer((now_s - COUNTS_KEPT_S) / DAY_S));
    return rc;
}

static const struct route routes[] = {
    {"POST", "/v1/interests/evaluations", ROLE_PARTNER, SCOPE_INTERESTS, interest_evaluate,
     .body_max = BODY_MAX},
    {"POST", "/v1/interests", ROLE_PARTNER, SCOPE_INTERESTS, interest_place, .body_max = BODY_MAX},
    {"GET", "/v1/interests", ROLE_PARTNER | ROLE_OPERATOR | ROLE_AUDITOR, SCOPE_INTERESTS,
     interest_list},
    {"DELETE", "/v1/interests/{id}", ROLE_PARTNER, SCOPE_INTERESTS, interest_withdraw},
    {"GET", "/v1/overlaps", ROLE_PARTNER | STAFF | ROLE_AUDITOR, SCOPE_INTERESTS, overlap_list},
    {"GET", "/v1/overlaps/{id}", ROLE_PARTNER | STAFF | ROLE_AUDITOR, SCOPE_INTERESTS, overlap_get},
    {"POST", "/v1/overlaps/{id}/messages", ROLE_PARTNER | STAFF, SCOPE_INTERESTS, overlap_message,
     .body_max = BODY_MAX},
    {"POST", "/v1/overlaps/{id}/overrides", ROLE_PARTNER | ROLE_APPROVER, SCOPE_INTERESTS,
     overlap_override, .body_max = BODY_MAX},
};

static const struct job jobs[] = {
    {"interest.expire", 3600, interests_expire},
};

const struct desk_part part_interests = {
    .name = "interests",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .start = start,
    .stop = stop,
};
