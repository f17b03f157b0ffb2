/* Signing in and out, and one's own account. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/account.h"
#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/json_in.h"
#include "desk/parts.h"
#include "desk/password.h"

#define SIGN_IN_BODY_MAX 4096

/* ---- Signing in ---- */

struct sign_in {
    struct request *request;
    char account[ID_SIZE];
    char cookie[SECRET_TEXT_SIZE], csrf[SECRET_TEXT_SIZE];
};

/* A session is new at every sign-in, whatever cookie came: none can be planted beforehand. */
static int sign_in_do(struct store *store, void *context, struct error *ret_error)
{
    struct sign_in *sign_in = context;
    struct request *request = sign_in->request;
    int rc = session_open(store, sign_in->account, request_now_s(request), sign_in->cookie,
                          sign_in->csrf, ret_error);
    if (rc < 0)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = request_now_ms(request),
                                             .client = request_client_text(request),
                                             .action = "session.create",
                                             .object = sign_in->account},
                       ret_error);
}

static int sign_in_reply(struct sign_in *sign_in, struct reply *reply)
{
    const struct desk *desk = request_desk(sign_in->request);
    bool is_insecure = desk->config->http.insecure_cookies;
    char cookie[256];

    snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s",
             is_insecure ? SESSION_COOKIE_INSECURE : SESSION_COOKIE, sign_in->cookie,
             SESSION_LIFE_S, is_insecure ? "" : "; Secure");
    reply->is_secret = true;
    if (reply_header_add(reply, "Set-Cookie", cookie) < 0)
        return -ENOMEM;
    return reply_json(
        reply, 201,
        json_pack("{s:s, s:s}", "account", sign_in->account, "csrf_token", sign_in->csrf));
}

/* Whether address and password are an account's; the same work and the same answer for none. */
static int account_check(struct store *store, const char *email, const char *password,
                         struct sign_in *sign_in, bool *ret_matches, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    char normal[EMAIL_SIZE_MAX + 1] = "";
    const char *hash = NULL;

    if (!email_normalize(email, normal))
        normal[0] = '\0';
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, password_hash FROM accounts WHERE email = $1 AND "
                         "state <> 'closed' AND email_confirmed_at IS NOT NULL",
                         store_text(normal));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) > 0) {
        hash = store_row_text(rows, 0, 1);
        snprintf(sign_in->account, sizeof(sign_in->account), "%s", store_row_text(rows, 0, 0));
    }
    *ret_matches = password_matches(password, hash);
    return 0;
}

static int session_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct sign_in sign_in = {.request = request};
    const char *email, *password;
    struct json_in in;
    bool matches = false;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "email", 1, EMAIL_SIZE_MAX, &email, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, &password, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = account_check(request_store(request), email, password, &sign_in, &matches, ret_error);
    if (rc < 0)
        return rc;
    if (!matches)
        return reply_problem(reply, 401, "sign-in", "look at both, or ask for a new password", NULL,
                             "address and password do not belong together");
    rc = request_transact(request, sign_in_do, &sign_in, ret_error);
    return rc < 0 ? rc : sign_in_reply(&sign_in, reply);
}

static int session_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    const struct principal *who = request_principal(request);
    uint8_t hash[SECRET_HASH_SIZE];
    size_t size;

    if (who->kind == PRINCIPAL_SESSION &&
        sodium_hex2bin(hash, sizeof(hash), who->credential, strlen(who->credential), NULL, &size,
                       NULL) == 0) {
        int rc = store_change(request_store(request), NULL, ret_error,
                              "DELETE FROM sessions WHERE id_hash = $1",
                              store_octets(hash, sizeof(hash)));
        if (rc < 0)
            return rc;
    }
    bool is_insecure = request_desk(request)->config->http.insecure_cookies;
    int rc = reply_header_add(reply, "Set-Cookie",
                              is_insecure ? SESSION_COOKIE_INSECURE "=; Path=/; Max-Age=0"
                                          : SESSION_COOKIE "=; Path=/; Max-Age=0; Secure");
    return rc < 0 ? rc : reply_status(reply, 204);
}

/* ---- A first or a forgotten password ---- */

struct reset {
    struct request *request;
    const char *token;
    char hash[PASSWORD_HASH_SIZE];
    bool is_done;
};

/* Whoever has the token got it at the account's address, or from whoever made the account: the
 * address is confirmed, too. What was signed in before with the old password is not any more. */
static int reset_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct reset *reset = context;
    struct request *request = reset->request;
    uint8_t hash[SECRET_HASH_SIZE];

    reset->is_done = false;
    secret_hash("confirmation", reset->token, hash);
    int rc = store_query(store, &rows, ret_error,
                         "DELETE FROM confirmations WHERE hash = $1 AND purpose = 'password' AND "
                         "expires_at > $2 RETURNING account",
                         store_octets(hash, sizeof(hash)), store_integer(request_now_s(request)));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    const char *account = store_row_text(rows, 0, 0);
    rc = store_change(
        store, NULL, ret_error,
        "UPDATE accounts SET password_hash = $1, updated_at = $2, email_confirmed_at = "
        "COALESCE(email_confirmed_at, $3) WHERE id = $4",
        store_text(reset->hash), store_integer(request_now_s(request)),
        store_integer(request_now_s(request)), store_text(account));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM sessions WHERE account = $1",
                          store_text(account));
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = request_now_ms(request),
                                               .client = request_client_text(request),
                                               .action = "account.set_password",
                                               .object = account},
                         ret_error);
    reset->is_done = rc == 0;
    return rc;
}

static int reset_confirm(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct reset reset = {.request = request};
    const char *password;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "token", 1, SECRET_TEXT_SIZE, &reset.token, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", PASSWORD_SIZE_MIN, PASSWORD_SIZE_MAX, &password,
                          ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = password_hash(password, reset.hash, ret_error);
    if (rc == 0)
        rc = request_transact(request, reset_do, &reset, ret_error);
    if (rc < 0)
        return rc;
    if (!reset.is_done)
        return reply_problem(reply, 403, "token", "ask for a new one", "/token",
                             "the token is not valid, was used, or is too old");
    return reply_status(reply, 204);
}

/* ---- One's own account ---- */

static int account_get(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    char created[CLOCK_TEXT_SIZE];

    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT email, role, state, language, created_at FROM accounts "
                         "WHERE id = $1",
                         store_text(who->account));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no such account");
    clock_text(store_row_integer(rows, 0, 4), created);
    return reply_json(reply, 200,
                      json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "id", who->account, "email",
                                store_row_text(rows, 0, 0), "role", store_row_text(rows, 0, 1),
                                "state", store_row_text(rows, 0, 2), "language",
                                store_row_text(rows, 0, 3), "created_at", created));
}

/* ---- Jobs ---- */

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

static const struct route routes[] = {
    {"POST", "/v1/sessions", ROLE_PUBLIC, 0, session_create, .body_max = SIGN_IN_BODY_MAX},
    {"DELETE", "/v1/sessions/current", ROLE_ANY, 0, session_delete},
    {"POST", "/v1/password-resets/confirmations", ROLE_PUBLIC, 0, reset_confirm,
     .body_max = SIGN_IN_BODY_MAX},
    {"GET", "/v1/account", ROLE_ANY, SCOPE_ACCOUNT_READ, account_get},
};

static const struct job jobs[] = {
    {"session.expire", 600, sessions_expire},
};

const struct desk_part part_accounts = {
    .name = "accounts",
    .routes = ROUTE_TABLE(routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
};
