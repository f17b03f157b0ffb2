/* Passwords and codes, as they are checked at a sign-in and again before what cannot be undone. */
#include <assert.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"

#define SECRETS_COLUMNS \
    "id, email, password_hash, state, language, totp_secret, totp_pending, totp_last"

static void secrets_fill(struct store_rows *rows, struct account_secrets *secrets)
{
    *secrets = (struct account_secrets){.rows = rows};
    if (store_rows_count(rows) == 0)
        return;
    secrets->id = store_row_text(rows, 0, 0);
    secrets->email = store_row_text(rows, 0, 1);
    secrets->password_hash = store_row_text(rows, 0, 2);
    secrets->state = store_row_text(rows, 0, 3);
    secrets->language = store_row_text(rows, 0, 4);
    secrets->totp_secret.octets = store_row_octets(rows, 0, 5, &secrets->totp_secret.size);
    secrets->totp_pending.octets = store_row_octets(rows, 0, 6, &secrets->totp_pending.size);
    secrets->totp_last = store_row_integer(rows, 0, 7);
}

int account_secrets_by_email(struct store *store, const char *email,
                             struct account_secrets *ret_secrets, struct error *ret_error)
{
    struct store_rows *rows;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT " SECRETS_COLUMNS " FROM accounts WHERE email = $1 AND "
                         "state <> 'closed' AND email_confirmed_at IS NOT NULL",
                         store_text(email));
    if (rc == 0)
        secrets_fill(rows, ret_secrets);
    return rc;
}

int account_secrets_by_id(struct store *store, const char *account,
                          struct account_secrets *ret_secrets, struct error *ret_error)
{
    struct store_rows *rows;
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT " SECRETS_COLUMNS " FROM accounts WHERE id = $1", store_text(account));
    if (rc == 0)
        secrets_fill(rows, ret_secrets);
    return rc;
}

void account_secrets_clear(struct account_secrets *secrets)
{
    store_rows_free(secrets->rows);
    *secrets = (struct account_secrets){0};
}

int own_password_check(struct request *request, const struct account_secrets *secrets,
                       const char *password, struct reply *reply, struct error *ret_error)
{
    bool matches = false;
    const unsigned wait_s = guess_take(request, GUESS_OWN_PASSWORD, secrets->id);
    if (wait_s > 0)
        return reply_too_many(reply, wait_s);

    int rc = password_gate_match(request_desk(request)->accounts->gate, request, password,
                                 secrets->password_hash, &matches, ret_error);
    if (rc < 0 || matches)
        guess_give(request, GUESS_OWN_PASSWORD, secrets->id);
    if (rc < 0)
        return rc;
    if (!matches)
        return reply_problem(reply, 403, "password", "look at it, or ask for a new one", NULL,
                             "the password is not that of the account");
    return 1;
}

/* A step is taken by the row's change, so that of two requests with one code one is refused. */
static int step_use(struct store *store, const struct account_secrets *secrets, int64_t step,
                    bool *ret_is_right, struct error *ret_error)
{
    uint64_t changed = 0;
    int rc = store_change(store, &changed, ret_error,
                          "UPDATE accounts SET totp_last = $1 WHERE id = $2 AND "
                          "(totp_last IS NULL OR totp_last < $3)",
                          store_integer(step), store_text(secrets->id), store_integer(step));
    if (rc == 0)
        *ret_is_right = changed == 1;
    return rc;
}

static int recovery_use(struct store *store, const struct account_secrets *secrets,
                        const char *code, int64_t now_ms, bool *ret_is_right,
                        struct error *ret_error)
{
    bool is_right = false;
    int rc = recovery_code_use(store, secrets->id, code, &is_right, ret_error);
    if (rc == 0 && is_right)
        rc = account_mail_put(store, now_ms, ACCOUNT_MAIL_RECOVERY_USED, secrets->email, NULL,
                              ret_error);
    if (rc == 0)
        *ret_is_right = is_right;
    return rc;
}

int account_code_use(struct store *store, const struct sealing_key *key,
                     const struct account_secrets *secrets, const char *code, int64_t now_ms,
                     bool *ret_is_right, struct error *ret_error)
{
    int64_t step;

    assert(store_in_transaction(store));
    *ret_is_right = false;
    if (!account_has_totp(secrets))
        return 0;
    if (totp_sealed_step_find(key, secrets->id, &secrets->totp_secret, code, now_ms / 1000,
                              secrets->totp_last, &step))
        return step_use(store, secrets, step, ret_is_right, ret_error);
    return recovery_use(store, secrets, code, now_ms, ret_is_right, ret_error);
}
