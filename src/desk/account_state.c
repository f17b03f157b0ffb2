/* Accounts that are suspended, active again, or closed: by their owner, by staff, by a decision of
 * another part. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "desk/account_holding.h"
#include "desk/accounts_internal.h"
#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/ledger_queue.h"

int account_contact_find(struct store *store, const char *account,
                         struct account_contact *ret_contact, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT email, language FROM accounts WHERE id = $1 AND state <> 'closed'",
                         store_text(account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such account");
    (void)snprintf(ret_contact->email, sizeof(ret_contact->email), "%s",
                   store_row_text(rows, 0, 0));
    (void)snprintf(ret_contact->language, sizeof(ret_contact->language), "%s",
                   store_row_text(rows, 0, 1));
    return 0;
}

int account_must_be_active(struct store *store, const char *account, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT state, state_reason FROM accounts WHERE id = $1", store_text(account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0 || strcmp(store_row_text(rows, 0, 0), "closed") == 0)
        return error_set(ret_error, -EACCES, "the account is closed");
    if (strcmp(store_row_text(rows, 0, 0), "active") == 0)
        return 0;
    const char *reason = store_row_text(rows, 0, 1);
    return error_set(ret_error, -EACCES, "the account is suspended (%.200s): appeal",
                     reason != NULL ? reason : "no reason given");
}

/* ---- Changes of state ---- */

static int change_audit(struct store *store, const struct change *change, const char *action,
                        const char *account, const char *reason, struct error *ret_error)
{
    json_t *detail = reason != NULL ? json_pack("{s:s}", "reason", reason) : NULL;
    int rc = audit_write(store,
                         &(struct audit_entry){.now_ms = change->now_ms,
                                               .who = change->who,
                                               .client = change->client,
                                               .action = action,
                                               .object = account,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

static int holdings_suspend(struct store *store, const struct change *change, const char *account,
                            bool suspended, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < account_holding_count && rc == 0; i++)
        if (account_holdings[i]->suspend != NULL)
            rc = account_holdings[i]->suspend(store, change, account, suspended, ret_error);
    return rc;
}

static int state_set(struct store *store, const struct change *change, const char *account,
                     const char *state, const char *reason, struct error *ret_error)
{
    const int64_t now_s = change->now_ms / 1000;
    return store_change(store, NULL, ret_error,
                        "UPDATE accounts SET state = $1, state_reason = $2, state_since = $3, "
                        "updated_at = $4 WHERE id = $5",
                        store_text(state), store_text(reason), store_integer(now_s),
                        store_integer(now_s), store_text(account));
}

int account_suspend(struct store *store, const struct change *change, const char *account,
                    const char *reason, struct error *ret_error)
{
    struct account_contact contact;

    assert(store_in_transaction(store));
    int rc = account_contact_find(store, account, &contact, ret_error);
    if (rc == 0)
        rc = state_set(store, change, account, "suspended", reason, ret_error);
    if (rc == 0)
        rc = holdings_suspend(store, change, account, true, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, change->now_ms, ACCOUNT_MAIL_SUSPENDED, contact.email, reason,
                              ret_error);
    if (rc == 0)
        rc = change_audit(store, change, "account.suspend", account, reason, ret_error);
    return rc;
}

int account_reinstate(struct store *store, const struct change *change, const char *account,
                      struct error *ret_error)
{
    struct account_contact contact;

    assert(store_in_transaction(store));
    int rc = account_contact_find(store, account, &contact, ret_error);
    if (rc == 0)
        rc = state_set(store, change, account, "active", NULL, ret_error);
    if (rc == 0)
        rc = holdings_suspend(store, change, account, false, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, change->now_ms, ACCOUNT_MAIL_REINSTATED, contact.email, NULL,
                              ret_error);
    if (rc == 0)
        rc = change_audit(store, change, "account.reinstate", account, NULL, ret_error);
    return rc;
}

/* ---- Closing ---- */

/* The public learns that something was deleted, and nobody whose: the id is random and in no other
 * public place. */
static int deletion_publish(struct store *store, const struct change *change, const char *account,
                            struct error *ret_error)
{
    uint8_t hash[SECRET_HASH_SIZE];
    char text[2 * SECRET_HASH_SIZE + 1], id[ID_SIZE];

    secret_hash("account", account, hash);
    sodium_bin2hex(text, sizeof(text), hash, sizeof(hash));
    json_t *content = json_pack("{s:s, s:s}", "what", "account", "hash", text);
    if (content == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the ledger");
    int rc =
        ledger_queue_put(store, change->now_ms, "privacy.deleted", NULL, content, id, ret_error);
    json_decref(content);
    return rc;
}

/* What is left is an id to which decisions refer, and two times. */
static int row_erase(struct store *store, const struct change *change, const char *account,
                     struct error *ret_error)
{
    const int64_t now_s = change->now_ms / 1000;
    /* No address has this form, and none is there twice. */
    return store_change(store, NULL, ret_error,
                        "UPDATE accounts SET email = 'closed:' || id, password_hash = NULL, "
                        "totp_secret = NULL, totp_pending = NULL, totp_last = NULL, plan = NULL, "
                        "language = 'en', email_confirmed_at = NULL, state = 'closed', "
                        "state_reason = NULL, state_since = $1, updated_at = $2 WHERE id = $3",
                        store_integer(now_s), store_integer(now_s), store_text(account));
}

int account_close(struct store *store, const struct change *change, const char *account,
                  struct error *ret_error)
{
    const struct change closing = {.now_ms = change->now_ms,
                                   .who = change->who}; /* not from where */
    struct account_contact contact;

    assert(store_in_transaction(store));
    int rc = account_contact_find(store, account, &contact, ret_error);
    for (size_t i = 0; i < account_holding_count && rc == 0; i++)
        if (account_holdings[i]->release != NULL)
            rc = account_holdings[i]->release(store, change, account, ret_error);
    if (rc == 0)
        rc = row_erase(store, change, account, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, change->now_ms, ACCOUNT_MAIL_CLOSED, contact.email, NULL,
                              ret_error);
    if (rc == 0)
        rc = deletion_publish(store, change, account, ret_error);
    if (rc == 0)
        rc = change_audit(store, &closing, "account.close", account, NULL, ret_error);
    return rc;
}

void account_settle(struct desk *desk, const char *account)
{
    for (size_t i = 0; i < account_holding_count; i++)
        if (account_holdings[i]->settle != NULL)
            account_holdings[i]->settle(desk, account);
    outbox_wake(desk);
}
