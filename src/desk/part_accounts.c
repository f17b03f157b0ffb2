/* The part of accounts: its routes, jobs, and what it keeps. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"
#include "desk/parts.h"
#include "desk/retention.h"

#define BODY_MAX 4096 /* an address, two passwords and their names */

/* Keys that are remembered; 16 octets each. */
#define THROTTLE_ENTRIES 65536

#define DAY_S (24 * 3600)

static int sessions_expire(struct desk *desk, struct store *store, int64_t now_s,
                           struct error *ret_error)
{
    (void)desk;
    int rc = store_change(store, NULL, ret_error,
                          "DELETE FROM sessions WHERE expires_at <= $1 OR seen_at <= $2",
                          store_integer(now_s), store_integer(now_s - SESSION_IDLE_S));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "DELETE FROM confirmations WHERE expires_at <= $1", store_integer(now_s));
    return rc;
}

static int key_take(struct desk *desk, struct error *ret_error)
{
    _cleanup_(store_closep) struct store *store = NULL;
    struct sealing_key *key = &desk->accounts->key;

    int rc = desk_store_open(desk, &store, ret_error);
    if (rc == 0)
        rc =
            sealing_key_load(desk->config, store, clock_now_ms(desk->clock) / 1000, key, ret_error);
    return rc < 0 ? rc : totp_all_seal(store, key, ret_error);
}

static void stop(struct desk *desk)
{
    password_gate_free(desk->accounts->gate);
    throttle_free(desk->accounts->throttle);
    sodium_memzero(&desk->accounts->key, sizeof(desk->accounts->key));
    free(desk->accounts);
    desk->accounts = NULL;
}

static int start(struct desk *desk, struct error *ret_error)
{
    struct accounts *accounts = calloc(1, sizeof(*accounts));
    if (accounts == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory while starting the accounts");
    desk->accounts = accounts;
    accounts->gate = password_gate_create(desk->config->http.workers);
    accounts->throttle = throttle_create(THROTTLE_ENTRIES);
    int rc = accounts->gate != NULL && accounts->throttle != NULL
                 ? key_take(desk, ret_error)
                 : error_set(ret_error, -ENOMEM, "out of memory while starting the accounts");
    if (rc < 0)
        stop(desk);
    return rc;
}

static void accounts_metrics(struct desk *desk, FILE *stream)
{
    static const char *const results[] = {
        [SIGN_IN_DONE] = "done",
        [SIGN_IN_CODE_ASKED] = "code-asked",
        [SIGN_IN_WRONG_PASSWORD] = "wrong-password",
        [SIGN_IN_WRONG_CODE] = "wrong-code",
        [SIGN_IN_LIMITED] = "limited",
    };
    fputs("# TYPE tamis_desk_sign_ins_total counter\n", stream);
    for (size_t i = 0; i < SIGN_IN_RESULTS; i++)
        fprintf(stream, "tamis_desk_sign_ins_total{result=\"%s\"} %" PRIu64 "\n", results[i],
                (uint64_t)atomic_load(&desk->accounts->sign_ins[i]));
}

#define READERS (ROLE_OPERATOR | ROLE_AUDITOR)

static const struct route routes[] = {
    {"POST", "/v1/accounts", ROLE_PUBLIC, 0, account_create, .body_max = BODY_MAX},
    {"POST", "/v1/accounts/confirmations", ROLE_PUBLIC, 0, account_confirm, .body_max = BODY_MAX},
    {"POST", "/v1/password-resets", ROLE_PUBLIC, 0, reset_create, .body_max = BODY_MAX},
    {"POST", "/v1/password-resets/confirmations", ROLE_PUBLIC, 0, account_confirm,
     .body_max = BODY_MAX},

    {"POST", "/v1/sessions", ROLE_PUBLIC, 0, session_create, .body_max = BODY_MAX},
    {"GET", "/v1/sessions", ROLE_ANY, 0, session_list},
    {"DELETE", "/v1/sessions", ROLE_ANY, 0, session_delete_all, .for_suspended = true},
    {"DELETE", "/v1/sessions/current", ROLE_ANY, 0, session_delete_current, .for_suspended = true},
    {"DELETE", "/v1/sessions/{id}", ROLE_ANY, 0, session_delete, .for_suspended = true},

    {"GET", "/v1/account", ROLE_ANY, SCOPE_ACCOUNT_READ, account_get},
    {"PATCH", "/v1/account", ROLE_ANY, 0, account_patch, .for_suspended = true,
     .body_max = BODY_MAX},
    {"DELETE", "/v1/account", ROLE_ANY, 0, account_delete, .for_suspended = true,
     .body_max = BODY_MAX},
    {"GET", "/v1/account/export", ROLE_ANY, SCOPE_ACCOUNT_READ, account_export},
    {"PUT", "/v1/account/password", ROLE_ANY, 0, account_password_put, .for_suspended = true,
     .body_max = BODY_MAX},
    {"POST", "/v1/account/totp", ROLE_ANY, 0, totp_post, .for_suspended = true,
     .body_max = BODY_MAX},
    {"DELETE", "/v1/account/totp", ROLE_ANY, 0, totp_delete, .for_suspended = true,
     .body_max = BODY_MAX},

    {"GET", "/v1/tokens", ROLE_ANY, 0, token_list},
    {"POST", "/v1/tokens", ROLE_ANY, 0, token_create, .body_max = BODY_MAX},
    {"DELETE", "/v1/tokens/{id}", ROLE_ANY, 0, token_delete, .for_suspended = true},

    {"GET", "/v1/accounts", READERS, SCOPE_ACCOUNTS_READ, staff_account_list},
    {"GET", "/v1/accounts/{id}", READERS | ROLE_ANALYST, SCOPE_ACCOUNTS_READ, staff_account_get},
    {"PATCH", "/v1/accounts/{id}", ROLE_OPERATOR, SCOPE_ACCOUNTS_WRITE, staff_account_patch,
     .body_max = BODY_MAX},
};

static const struct job jobs[] = {
    {"session.expire", 600, sessions_expire},
    {"retention", DAY_S / 4, retention_run},
};

const struct desk_part part_accounts = {
    .name = "accounts",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
    .outbox_kinds = &account_outbox_kind,
    .outbox_kind_count = 1,
    .start = start,
    .stop = stop,
    .metrics = accounts_metrics,
};
