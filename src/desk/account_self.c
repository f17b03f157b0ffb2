/* One's own account: look at it, change it, take its data, give it up. */
#include <errno.h>
#include <string.h>

#include "desk/account_holding.h"
#include "desk/accounts_internal.h"
#include "desk/audit.h"
#include "desk/desk.h"

#define CODE_SIZE_MAX 32

int request_audit(const struct request *request, struct store *store, const char *action,
                  const char *object, const json_t *detail, struct error *ret_error)
{
    return audit_write(store,
                       &(struct audit_entry){.now_ms = request_now_ms(request),
                                             .who = request_principal(request),
                                             .client = request_client_text(request),
                                             .action = action,
                                             .object = object,
                                             .detail = detail},
                       ret_error);
}

/* ---- Looking ---- */

json_t *account_json(const struct store_rows *rows, size_t row)
{
    char created[CLOCK_TEXT_SIZE], confirmed[CLOCK_TEXT_SIZE];
    const bool is_confirmed = !store_row_is_null(rows, row, 8);

    clock_text(store_row_integer(rows, row, 7), created);
    clock_text(store_row_integer(rows, row, 8), confirmed);
    return json_pack("{s:s, s:s, s:s, s:s?, s:s, s:s?, s:s, s:s, s:s?, s:b}", "id",
                     store_row_text(rows, row, 0), "email", store_row_text(rows, row, 1), "role",
                     store_row_text(rows, row, 2), "plan", store_row_text(rows, row, 3), "state",
                     store_row_text(rows, row, 4), "state_reason", store_row_text(rows, row, 5),
                     "language", store_row_text(rows, row, 6), "created_at", created,
                     "email_confirmed_at", is_confirmed ? confirmed : NULL, "second_factor",
                     store_row_integer(rows, row, 9) != 0);
}

int account_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT " ACCOUNT_COLUMNS " FROM accounts WHERE id = $1",
                         store_text(request_principal(request)->account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such account");
    return reply_json(reply, 200, account_json(rows, 0));
}

int account_export(struct request *request, struct reply *reply, struct error *ret_error)
{
    json_t *all = json_object();
    int rc = all != NULL ? 0 : error_set(ret_error, -ENOMEM, "out of memory for an export");

    for (size_t i = 0; i < account_holding_count && rc == 0; i++) {
        json_t *part = NULL;
        if (account_holdings[i]->export == NULL)
            continue;
        rc = account_holdings[i]->export(request_store(request),
                                         request_principal(request)->account, &part, ret_error);
        if (rc == 0 && json_object_set_new(all, account_holdings[i]->name, part) < 0)
            rc = error_set(ret_error, -ENOMEM, "out of memory for an export");
    }
    if (rc == 0)
        rc =
            reply_header_add(reply, "Content-Disposition", "attachment; filename=\"account.json\"");
    if (rc < 0) {
        json_decref(all);
        return rc;
    }
    return reply_json(reply, 200, all);
}

/* ---- Changing ---- */

struct patch {
    struct request *request;
    const char *language;           /* NULL: stays */
    char email[EMAIL_SIZE_MAX + 1]; /* "": stays */
};

static int patch_do(struct store *store, void *context, struct error *ret_error)
{
    const struct patch *patch = context;
    const struct principal *who = request_principal(patch->request);
    int rc = 0;

    if (patch->language != NULL)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET language = $1, updated_at = $2 WHERE id = $3",
                          store_text(patch->language), store_integer(request_now_s(patch->request)),
                          store_text(who->account));
    if (rc == 0 && patch->email[0] != '\0')
        rc = account_email_ask(store, request_now_ms(patch->request), who->account, patch->email,
                               ret_error);
    if (rc == 0)
        rc = request_audit(patch->request, store, "account.change", who->account, NULL, ret_error);
    return rc;
}

/* A new address counts from when it is confirmed there; whoever asks for one has to know the
 * password, since mails to the address are the way to a new one. */
static int patch_email(struct request *request, const char *password, struct reply *reply,
                       struct error *ret_error)
{
    struct account_secrets secrets;
    int rc = account_secrets_by_id(request_store(request), request_principal(request)->account,
                                   &secrets, ret_error);
    if (rc < 0)
        return rc;
    rc = own_password_check(request, &secrets, password, reply, ret_error);
    account_secrets_clear(&secrets);
    if (rc == 1) {
        const unsigned wait_s = mail_ask(request);
        return wait_s > 0 ? reply_too_many(reply, wait_s) : 1;
    }
    return rc;
}

static int patch_read(struct request *request, struct patch *patch, const char **ret_password,
                      struct error *ret_error)
{
    const char *email = NULL;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0 && json_in_has(&in, "language"))
        rc = account_language_take(&in, &patch->language, ret_error);
    if (rc == 0 && json_in_has(&in, "email"))
        rc = json_in_text(&in, "email", 1, EMAIL_SIZE_MAX, &email, ret_error);
    if (rc == 0 && email != NULL)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, ret_password, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0 && email != NULL && !email_normalize(email, patch->email))
        rc = json_in_fail(&in, "email", ret_error, "is no mail address: write name@example.org");
    return rc;
}

int account_patch(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct patch patch = {.request = request};
    const char *password = NULL;

    int rc = patch_read(request, &patch, &password, ret_error);
    if (rc < 0)
        return rc;
    if (patch.email[0] != '\0') {
        rc = patch_email(request, password, reply, ret_error);
        if (rc <= 0)
            return rc;
        if (!mail_may_go(request, patch.email))
            patch.email[0] = '\0';
    }
    rc = request_transact(request, patch_do, &patch, ret_error);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    return account_get(request, reply, ret_error);
}

/* ---- A new password ---- */

struct password_change {
    struct request *request;
    const struct account_secrets *secrets;
    char hash[PASSWORD_HASH_SIZE];
};

/* Only from the password that was checked: of two that change it at once one is refused. */
static int password_do(struct store *store, void *context, struct error *ret_error)
{
    const struct password_change *change = context;
    const struct account_secrets *secrets = change->secrets;
    uint64_t changed = 0;

    int rc = store_change(store, &changed, ret_error,
                          "UPDATE accounts SET password_hash = $1, updated_at = $2 "
                          "WHERE id = $3 AND password_hash = $4",
                          store_text(change->hash), store_integer(request_now_s(change->request)),
                          store_text(secrets->id), store_text(secrets->password_hash));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -EEXIST, "the password was changed meanwhile: sign in anew");
    if (rc == 0)
        rc = sessions_end(store, secrets->id, ret_error);
    if (rc == 0)
        rc = confirmations_end(store, secrets->id, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, request_now_ms(change->request), ACCOUNT_MAIL_PASSWORD,
                              secrets->email, NULL, ret_error);
    if (rc == 0)
        rc = request_audit(change->request, store, "account.set_password", secrets->id, NULL,
                           ret_error);
    return rc;
}

static int password_replace(struct request *request, const struct account_secrets *secrets,
                            const char *current, const char *password, struct reply *reply,
                            struct error *ret_error)
{
    struct password_change change = {.request = request, .secrets = secrets};

    int rc = own_password_check(request, secrets, current, reply, ret_error);
    if (rc <= 0)
        return rc;
    rc = password_gate_hash(request_desk(request)->accounts->gate, request, password, change.hash,
                            ret_error);
    if (rc == 0)
        rc = request_transact(request, password_do, &change, ret_error);
    account_settle(request_desk(request), secrets->id); /* the old one opens nothing any more */
    if (rc == 0)
        rc = reply_cookie_clear(request, reply);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    return reply_status(reply, 204);
}

int account_password_put(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct account_secrets secrets;
    const char *current, *password;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "current", 1, PASSWORD_SIZE_MAX, &current, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", PASSWORD_SIZE_MIN, PASSWORD_SIZE_MAX, &password,
                          ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = account_secrets_by_id(request_store(request), request_principal(request)->account,
                                   &secrets, ret_error);
    if (rc < 0)
        return rc;
    rc = password_replace(request, &secrets, current, password, reply, ret_error);
    account_secrets_clear(&secrets);
    return rc;
}

/* ---- Giving it up ---- */

struct closing {
    struct request *request;
    const struct account_secrets *secrets;
    const char *code;
    bool code_is_right, is_last_operator;
};

/* Without an operator nobody can make another. */
static int last_operator_look(struct store *store, const char *account, bool *ret_is_last,
                              struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id FROM accounts WHERE role = 'operator' AND state = 'active' AND "
                         "password_hash IS NOT NULL LIMIT 2");
    if (rc == 0)
        *ret_is_last =
            store_rows_count(rows) == 1 && strcmp(store_row_text(rows, 0, 0), account) == 0;
    return rc;
}

static int closing_do(struct store *store, void *context, struct error *ret_error)
{
    struct closing *closing = context;
    const struct account_secrets *secrets = closing->secrets;
    const struct change change = change_of_request(closing->request);

    int rc = last_operator_look(store, secrets->id, &closing->is_last_operator, ret_error);
    if (rc < 0 || closing->is_last_operator)
        return rc;
    closing->code_is_right = !account_has_totp(secrets);
    if (!closing->code_is_right && closing->code != NULL)
        rc = account_code_use(store, &request_desk(closing->request)->accounts->key, secrets,
                              closing->code, request_now_ms(closing->request),
                              &closing->code_is_right, ret_error);
    if (rc < 0 || !closing->code_is_right)
        return rc;
    return account_close(store, &change, secrets->id, ret_error);
}

static int close_own(struct closing *closing, struct reply *reply, struct error *ret_error)
{
    struct request *request = closing->request;
    const struct account_secrets *secrets = closing->secrets;

    const bool uses_code = account_has_totp(secrets) && closing->code != NULL;
    const unsigned wait_s = uses_code ? guess_take(request, GUESS_CODE, secrets->id) : 0;
    if (wait_s > 0)
        return reply_too_many(reply, wait_s);
    int rc = request_transact(request, closing_do, closing, ret_error);
    if (uses_code && (rc < 0 || closing->code_is_right))
        guess_give(request, GUESS_CODE, secrets->id);
    if (rc < 0)
        return rc;
    if (closing->is_last_operator)
        return reply_problem(reply, 409, "last-operator", "make somebody else one first", NULL,
                             "the desk has no other operator");
    if (!closing->code_is_right)
        return reply_problem(reply, 403, "second-factor", "send it as \"code\"", "/code",
                             "a code of the authenticator is needed");
    account_settle(request_desk(request), secrets->id);
    rc = reply_cookie_clear(request, reply);
    return rc < 0 ? rc : reply_status(reply, 204);
}

int account_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct closing closing = {.request = request};
    struct account_secrets secrets;
    const char *password;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, &password, ret_error);
    if (rc == 0 && json_in_has(&in, "code"))
        rc = json_in_text(&in, "code", 1, CODE_SIZE_MAX, &closing.code, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = account_secrets_by_id(request_store(request), request_principal(request)->account,
                                   &secrets, ret_error);
    if (rc < 0)
        return rc;
    closing.secrets = &secrets;
    rc = own_password_check(request, &secrets, password, reply, ret_error);
    if (rc == 1)
        rc = close_own(&closing, reply, ret_error);
    account_secrets_clear(&secrets);
    return rc;
}
