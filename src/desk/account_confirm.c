/* Addresses that are confirmed: sign-up, a first or a forgotten password, a change of address.
 *
 * Whether an address has an account must not show, neither in the answer nor in its time. So the
 * request only notes what was asked, in the outbox, and looks nothing up; what mail the address
 * gets is decided when the outbox comes to it. The password is chosen by whoever reads that mail:
 * one that was chosen before could be that of a stranger who signed up with the address of
 * another. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/audit.h"
#include "desk/desk.h"

#define EMAIL_LIFE_S    (24 * 3600)
#define PASSWORD_LIFE_S 3600

#define LANGUAGE_DEFAULT "en"

static const char *const purposes[] = {
    [CONFIRM_EMAIL] = "email",
    [CONFIRM_PASSWORD] = "password",
    [CONFIRM_CHANGE] = "change",
};

int confirmation_put(struct store *store, const char *account, enum confirmation purpose,
                     const char *email, const char *cause, int64_t now_s, int64_t life_s,
                     bool *ret_is_new, char ret_token[static SECRET_TEXT_SIZE],
                     struct error *ret_error)
{
    uint8_t hash[SECRET_HASH_SIZE];
    uint64_t changed = 0;

    assert(store_in_transaction(store));
    secret_make(ret_token);
    secret_hash("confirmation", ret_token, hash);
    int rc = store_change(store, &changed, ret_error,
                          "INSERT INTO confirmations (hash, account, purpose, email, cause, "
                          "created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) "
                          "ON CONFLICT (cause) DO NOTHING",
                          store_octets(hash, sizeof(hash)), store_text(account),
                          store_text(purposes[purpose]), store_text(email), store_text(cause),
                          store_integer(now_s), store_integer(now_s + life_s));
    if (rc == 0)
        *ret_is_new = changed == 1;
    return rc;
}

/* One that waits may have been asked for by whoever is being locked out: a change of address would
 * let him in again. */
int confirmations_end(struct store *store, const char *account, struct error *ret_error)
{
    return store_change(store, NULL, ret_error, "DELETE FROM confirmations WHERE account = $1",
                        store_text(account));
}

/* ---- What was asked for, into the outbox ---- */

struct asking {
    struct request *request;
    const char *what, *language;
    char email[EMAIL_SIZE_MAX + 1];
    bool may_go;
};

static int asking_put(struct store *store, int64_t now_ms, const char *what, const char *email,
                      const char *language, const char *account, struct error *ret_error)
{
    char id[ID_SIZE];
    json_t *payload = json_pack("{s:s, s:s, s:s, s:s*}", "what", what, "email", email, "language",
                                language, "account", account);
    if (payload == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what was asked");
    int rc =
        outbox_put(store, now_ms, account_outbox_kind.name, payload, now_ms / 1000, id, ret_error);
    json_decref(payload);
    return rc;
}

int account_email_ask(struct store *store, int64_t now_ms, const char *account, const char *email,
                      struct error *ret_error)
{
    return asking_put(store, now_ms, "change", email, LANGUAGE_DEFAULT, account, ret_error);
}

static int asking_do(struct store *store, void *context, struct error *ret_error)
{
    const struct asking *asking = context;
    if (!asking->may_go) /* the address has had its mails; the answer is the same */
        return 0;
    return asking_put(store, request_now_ms(asking->request), asking->what, asking->email,
                      asking->language, NULL, ret_error);
}

/* Letters, digits and hyphens: the form of a language's tag (RFC 5646). */
static bool is_language(const char *text)
{
    return strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-") ==
               strlen(text) &&
           text[0] != '-';
}

int account_language_take(struct json_in *in, const char **ret_language, struct error *ret_error)
{
    int rc = json_in_text(in, "language", 2, ACCOUNT_LANGUAGE_SIZE - 1, ret_language, ret_error);
    if (rc == 0 && !is_language(*ret_language))
        return json_in_fail(in, "language", ret_error, "is none: write a tag as \"en\"");
    return rc;
}

static int ask(struct request *request, const char *what, struct reply *reply,
               struct error *ret_error)
{
    struct asking asking = {.request = request, .what = what, .language = LANGUAGE_DEFAULT};
    const char *email = NULL;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "email", 1, EMAIL_SIZE_MAX, &email, ret_error);
    if (rc == 0 && strcmp(what, "sign-up") == 0 && json_in_has(&in, "language"))
        rc = account_language_take(&in, &asking.language, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0 && !email_normalize(email, asking.email))
        rc = json_in_fail(&in, "email", ret_error, "is no mail address: write name@example.org");
    if (rc < 0)
        return rc;
    const unsigned wait_s = mail_ask(request);
    if (wait_s > 0)
        return reply_too_many(reply, wait_s);
    asking.may_go = mail_may_go(request, asking.email);
    rc = request_transact(request, asking_do, &asking, ret_error);
    if (rc < 0)
        return rc;
    outbox_wake(request_desk(request));
    return reply_status(reply, 202);
}

int account_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    return ask(request, "sign-up", reply, ret_error);
}

int reset_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    return ask(request, "reset", reply, ret_error);
}

/* ---- Out of the outbox: what mail the address gets ---- */

struct deciding {
    const struct outbox_item *item;
    const char *what, *email, *language;
    const char *account; /* whose address is to change; else NULL */
    int64_t now_ms;
};

/* An account that is not confirmed has nothing and can do nothing. */
static int account_insert(struct store *store, const struct deciding *deciding,
                          char ret_id[static ID_SIZE], struct error *ret_error)
{
    id_make(ID_ACCOUNT, deciding->now_ms, ret_id);
    int rc = store_change(store, NULL, ret_error,
                          "INSERT INTO accounts (id, email, role, state, language, created_at, "
                          "updated_at) VALUES ($1, $2, 'customer', 'active', $3, $4, $5)",
                          store_text(ret_id), store_text(deciding->email),
                          store_text(deciding->language), store_integer(deciding->now_ms / 1000),
                          store_integer(deciding->now_ms / 1000));
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = deciding->now_ms,
                                               .action = "account.create",
                                               .object = ret_id},
                         ret_error);
    return rc;
}

static int token_mail(struct store *store, const struct deciding *deciding, const char *account,
                      enum confirmation purpose, struct error *ret_error)
{
    static const struct {
        enum account_mail mail;
        int64_t life_s;
    } kinds[] = {
        [CONFIRM_EMAIL] = {ACCOUNT_MAIL_CONFIRM, EMAIL_LIFE_S},
        [CONFIRM_PASSWORD] = {ACCOUNT_MAIL_RESET, PASSWORD_LIFE_S},
        [CONFIRM_CHANGE] = {ACCOUNT_MAIL_CONFIRM_CHANGE, EMAIL_LIFE_S},
    };
    char token[SECRET_TEXT_SIZE];
    bool is_new = false;

    int rc =
        confirmation_put(store, account, purpose,
                         purpose == CONFIRM_CHANGE ? deciding->email : NULL, deciding->item->id,
                         deciding->now_ms / 1000, kinds[purpose].life_s, &is_new, token, ret_error);
    if (rc == 0 && is_new) /* else the outbox delivers this a second time */
        rc = account_mail_put(store, deciding->now_ms, kinds[purpose].mail, deciding->email, token,
                              ret_error);
    sodium_memzero(token, sizeof(token));
    return rc;
}

static int decide(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct deciding *deciding = context;
    const bool is_sign_up = strcmp(deciding->what, "sign-up") == 0;
    char account[ID_SIZE];

    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, email_confirmed_at FROM accounts WHERE email = $1",
                         store_text(deciding->email));
    if (rc < 0)
        return rc;
    if (deciding->account != NULL)
        return store_rows_count(rows) > 0
                   ? account_mail_put(store, deciding->now_ms, ACCOUNT_MAIL_EXISTS, deciding->email,
                                      NULL, ret_error)
                   : token_mail(store, deciding, deciding->account, CONFIRM_CHANGE, ret_error);
    if (store_rows_count(rows) == 0) {
        if (!is_sign_up) /* no mails to addresses that never had to do with the desk */
            return 0;
        rc = account_insert(store, deciding, account, ret_error);
        return rc < 0 ? rc : token_mail(store, deciding, account, CONFIRM_EMAIL, ret_error);
    }
    if (store_row_is_null(rows, 0, 1))
        return token_mail(store, deciding, store_row_text(rows, 0, 0), CONFIRM_EMAIL, ret_error);
    if (is_sign_up)
        return account_mail_put(store, deciding->now_ms, ACCOUNT_MAIL_EXISTS, deciding->email, NULL,
                                ret_error);
    return token_mail(store, deciding, store_row_text(rows, 0, 0), CONFIRM_PASSWORD, ret_error);
}

static int deliver(struct desk *desk, struct store *store, const struct outbox_item *item,
                   struct error *ret_error)
{
    struct deciding deciding = {.item = item, .now_ms = clock_now_ms(desk->clock)};
    if (json_unpack((json_t *)item->payload, "{s:s, s:s, s:s, s?s}", "what", &deciding.what,
                    "email", &deciding.email, "language", &deciding.language, "account",
                    &deciding.account) != 0)
        return error_set(ret_error, -ECANCELED, "what was asked cannot be read");
    int rc = store_transact(store, decide, &deciding, ret_error);
    if (rc == 0)
        outbox_wake(desk); /* for the mail */
    return rc;
}

const struct outbox_kind account_outbox_kind = {
    .name = "account",
    .deliver = deliver,
    .retry_first_s = 5,
    .retry_max_s = 600,
};

/* ---- The token comes back ---- */

struct confirming {
    struct request *request;
    const char *token, *password; /* password NULL: none was sent */
    char hash[PASSWORD_HASH_SIZE];
    char account[ID_SIZE]; /* whose it is, once that is known; else "" */
    bool is_done, needs_password;
};

static int password_set(struct store *store, const struct confirming *confirming,
                        const char *account, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const int64_t now_s = request_now_s(confirming->request);
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT email, password_hash FROM accounts WHERE id = $1", store_text(account));
    if (rc < 0)
        return rc;
    const bool had_password = !store_row_is_null(rows, 0, 1);
    rc = store_change(
        store, NULL, ret_error,
        "UPDATE accounts SET password_hash = $1, updated_at = $2, email_confirmed_at = "
        "COALESCE(email_confirmed_at, $3) WHERE id = $4",
        store_text(confirming->hash), store_integer(now_s), store_integer(now_s),
        store_text(account));
    if (rc == 0)
        rc = sessions_end(store, account, ret_error);
    if (rc == 0)
        rc = confirmations_end(store, account, ret_error);
    if (rc == 0 && had_password)
        rc = account_mail_put(store, request_now_ms(confirming->request), ACCOUNT_MAIL_PASSWORD,
                              store_row_text(rows, 0, 0), NULL, ret_error);
    return rc;
}

/* The old address learns of it: it may be the one that is right. */
static int email_set(struct store *store, const struct confirming *confirming, const char *account,
                     const char *email, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, "SELECT email FROM accounts WHERE id = $1",
                         store_text(account));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET email = $1, updated_at = $2 WHERE id = $3",
                          store_text(email), store_integer(request_now_s(confirming->request)),
                          store_text(account));
    if (rc == 0)
        rc = confirmations_end(store, account, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, request_now_ms(confirming->request), ACCOUNT_MAIL_EMAIL,
                              store_row_text(rows, 0, 0), email, ret_error);
    return rc;
}

static int confirm_apply(struct store *store, struct confirming *confirming,
                         const struct store_rows *rows, struct error *ret_error)
{
    const char *account = store_row_text(rows, 0, 0), *purpose = store_row_text(rows, 0, 1);
    const bool is_change = strcmp(purpose, purposes[CONFIRM_CHANGE]) == 0;
    const bool is_reset = strcmp(purpose, purposes[CONFIRM_PASSWORD]) == 0;

    snprintf(confirming->account, sizeof(confirming->account), "%s", account);
    if (!is_change && confirming->password == NULL) {
        confirming->needs_password = true;
        return -EINVAL; /* nothing was done: the token is still good */
    }
    int rc = is_change
                 ? email_set(store, confirming, account, store_row_text(rows, 0, 2), ret_error)
                 : password_set(store, confirming, account, ret_error);
    if (rc < 0)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = request_now_ms(confirming->request),
                                             .client = request_client_text(confirming->request),
                                             .action = is_change  ? "account.change_email"
                                                       : is_reset ? "account.set_password"
                                                                  : "account.confirm",
                                             .object = account},
                       ret_error);
}

/* Whoever has the token got it at the account's address, or from whoever made the account: the
 * address is confirmed, too. What was signed in before with the old password is not any more. */
static int confirm_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct confirming *confirming = context;
    uint8_t hash[SECRET_HASH_SIZE];

    confirming->is_done = false;
    secret_hash("confirmation", confirming->token, hash);
    int rc = store_query(
        store, &rows, ret_error,
        "DELETE FROM confirmations WHERE hash = $1 AND expires_at > $2 AND account IN "
        "(SELECT id FROM accounts WHERE state <> 'closed') RETURNING account, purpose, email",
        store_octets(hash, sizeof(hash)), store_integer(request_now_s(confirming->request)));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    rc = confirm_apply(store, confirming, rows, ret_error);
    confirming->is_done = rc == 0;
    return rc;
}

/* Hashing costs much: not for whoever shows any text. */
static int token_look(struct request *request, const char *token, bool *ret_is_there,
                      struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t hash[SECRET_HASH_SIZE];

    secret_hash("confirmation", token, hash);
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT 1 FROM confirmations WHERE hash = $1 AND expires_at > $2",
                         store_octets(hash, sizeof(hash)), store_integer(request_now_s(request)));
    if (rc == 0)
        *ret_is_there = store_rows_count(rows) > 0;
    return rc;
}

static int confirm(struct confirming *confirming, struct error *ret_error)
{
    struct request *request = confirming->request;
    bool is_there = false;

    int rc = token_look(request, confirming->token, &is_there, ret_error);
    if (rc == 0 && is_there && confirming->password != NULL)
        rc = password_gate_hash(request_desk(request)->accounts->gate, request,
                                confirming->password, confirming->hash, ret_error);
    if (rc == 0 && is_there)
        rc = request_transact(request, confirm_do, confirming, ret_error);
    if (confirming->account[0] != '\0')
        account_settle(request_desk(request), confirming->account);
    return rc;
}

/* One for both paths: what the token is for stands with it. */
int account_confirm(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct confirming confirming = {.request = request};
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "token", 1, SECRET_TEXT_SIZE, &confirming.token, ret_error);
    if (rc == 0 && json_in_has(&in, "password"))
        rc = json_in_text(&in, "password", PASSWORD_SIZE_MIN, PASSWORD_SIZE_MAX,
                          &confirming.password, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc < 0)
        return rc;
    rc = confirm(&confirming, ret_error);
    if (confirming.needs_password)
        return json_in_fail(&in, "password", ret_error, "is missing: add it");
    if (rc < 0)
        return rc;
    if (!confirming.is_done)
        return reply_problem(reply, 403, "token", "ask for a new one", "/token",
                             "the token is not valid, was used, or is too old");
    outbox_wake(request_desk(request));
    return reply_status(reply, 204);
}
