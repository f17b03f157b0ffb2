/* Signing in and out, and what is open. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/audit.h"
#include "desk/desk.h"

#define CODE_SIZE_MAX 32 /* of a recovery code with blanks */

/* More of the client's program than this tells nobody more. */
#define AGENT_SIZE_MAX 200

struct sign_in {
    struct request *request;
    const struct account_secrets *secrets;
    const char *code; /* NULL: none was sent */
    bool code_is_right;
    enum sign_in_result result;
    char cookie[SECRET_TEXT_SIZE], csrf[SECRET_TEXT_SIZE];
};

/* ---- Signing in ---- */

/* So that its owner recognizes it in the list. */
static int session_describe(struct store *store, const struct sign_in *sign_in,
                            struct error *ret_error)
{
    const char *sent = request_header(sign_in->request, "User-Agent");
    char agent[AGENT_SIZE_MAX + 1] = "";
    uint8_t hash[SECRET_HASH_SIZE];

    for (size_t i = 0; sent != NULL && sent[i] != '\0' && i < AGENT_SIZE_MAX; i++)
        agent[i] = sent[i] >= ' ' && sent[i] < 0x7f ? sent[i] : '?';
    secret_hash("session", sign_in->cookie, hash);
    return store_change(store, NULL, ret_error,
                        "UPDATE sessions SET client = $1, agent = $2 WHERE id_hash = $3",
                        store_text(request_client_text(sign_in->request)), store_text(agent),
                        store_octets(hash, sizeof(hash)));
}

/* A session is new at every sign-in, whatever cookie came: none can be planted beforehand. */
static int sign_in_do(struct store *store, void *context, struct error *ret_error)
{
    struct sign_in *sign_in = context;
    struct request *request = sign_in->request;
    int rc = 0;

    sign_in->code_is_right = !account_has_totp(sign_in->secrets);
    if (!sign_in->code_is_right)
        rc = account_code_use(store, &request_desk(request)->accounts->key, sign_in->secrets,
                              sign_in->code, request_now_ms(request), &sign_in->code_is_right,
                              ret_error);
    if (rc < 0 || !sign_in->code_is_right)
        return rc;
    rc = session_open(store, sign_in->secrets->id, request_now_s(request), sign_in->cookie,
                      sign_in->csrf, ret_error);
    if (rc == 0)
        rc = session_describe(store, sign_in, ret_error);
    if (rc == 0)
        rc = audit_write(store,
                         &(struct audit_entry){.now_ms = request_now_ms(request),
                                               .client = request_client_text(request),
                                               .action = "session.create",
                                               .object = sign_in->secrets->id},
                         ret_error);
    return rc;
}

static int sign_in_reply(const struct sign_in *sign_in, struct reply *reply)
{
    bool is_insecure = request_desk(sign_in->request)->config->http.insecure_cookies;
    char cookie[256];

    (void)snprintf(cookie, sizeof(cookie), "%s=%s; Path=/; HttpOnly; SameSite=Strict; Max-Age=%d%s",
                   is_insecure ? SESSION_COOKIE_INSECURE : SESSION_COOKIE, sign_in->cookie,
                   SESSION_LIFE_S, is_insecure ? "" : "; Secure");
    reply->is_secret = true;
    if (reply_header_add(reply, "Set-Cookie", cookie) < 0)
        return -ENOMEM;
    return reply_json(
        reply, 201,
        json_pack("{s:s, s:s}", "account", sign_in->secrets->id, "csrf_token", sign_in->csrf));
}

static int too_many(struct sign_in *sign_in, struct reply *reply, unsigned wait_s)
{
    sign_in->result = SIGN_IN_LIMITED;
    return reply_too_many(reply, wait_s);
}

/* Behind the password: who gets here knows it, so that the account may show that it is there. */
static int second_factor(struct sign_in *sign_in, struct reply *reply, struct error *ret_error)
{
    struct request *request = sign_in->request;
    const struct account_secrets *secrets = sign_in->secrets;
    const bool needs_code = account_has_totp(secrets);

    if (needs_code)
        sign_in->result = sign_in->code == NULL ? SIGN_IN_CODE_ASKED : SIGN_IN_WRONG_CODE;
    if (needs_code && sign_in->code == NULL)
        return reply_problem(reply, 401, "second-factor", "send it as \"code\"", "/code",
                             "a code of the authenticator is needed");
    const unsigned wait_s = needs_code ? guess_take(request, GUESS_CODE, secrets->id) : 0;
    if (wait_s > 0)
        return too_many(sign_in, reply, wait_s);
    int rc = request_transact(request, sign_in_do, sign_in, ret_error);
    if (needs_code && (rc < 0 || sign_in->code_is_right))
        guess_give(request, GUESS_CODE, secrets->id);
    if (rc < 0)
        return rc;
    if (!sign_in->code_is_right)
        return reply_problem(reply, 401, "second-factor", "wait for the next one", "/code",
                             "the code is not the authenticator's, or was used already");
    sign_in->result = SIGN_IN_DONE;
    return sign_in_reply(sign_in, reply);
}

/* The same work and the same answer whether or not there is such an account. */
static int sign_in_check(struct sign_in *sign_in, const char *email, const char *password,
                         struct reply *reply, struct error *ret_error)
{
    struct request *request = sign_in->request;
    struct account_secrets secrets = {0};
    bool matches = false;

    const unsigned wait_s = guess_take(request, GUESS_SIGN_IN, email);
    if (wait_s > 0)
        return too_many(sign_in, reply, wait_s);
    int rc = account_secrets_by_email(request_store(request), email, &secrets, ret_error);
    if (rc == 0)
        rc = password_gate_match(request_desk(request)->accounts->gate, request, password,
                                 secrets.password_hash, &matches, ret_error);
    if (rc < 0 || matches)
        guess_give(request, GUESS_SIGN_IN, email);
    sign_in->secrets = &secrets;
    if (rc == 0 && matches)
        rc = second_factor(sign_in, reply, ret_error);
    else if (rc == 0)
        rc = reply_problem(reply, 401, "sign-in", "look at both, or ask for a new password", NULL,
                           "address and password do not belong together");
    account_secrets_clear(&secrets);
    sign_in->secrets = NULL;
    return rc;
}

int session_create(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct sign_in sign_in = {.request = request, .result = SIGN_IN_WRONG_PASSWORD};
    const char *email, *password;
    char normal[EMAIL_SIZE_MAX + 1] = "";
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "email", 1, EMAIL_SIZE_MAX, &email, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, &password, ret_error);
    if (rc == 0 && json_in_has(&in, "code"))
        rc = json_in_text(&in, "code", 1, CODE_SIZE_MAX, &sign_in.code, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc < 0)
        return rc;
    if (!email_normalize(email, normal))
        normal[0] = '\0'; /* nobody's */
    rc = sign_in_check(&sign_in, normal, password, reply, ret_error);
    if (rc == 0)
        atomic_fetch_add(&request_desk(request)->accounts->sign_ins[sign_in.result], 1);
    return rc;
}

/* ---- What is open ---- */

static json_t *session_json(const struct store_rows *rows, size_t row, const char *current)
{
    char id[2 * SECRET_HASH_SIZE + 1], created[CLOCK_TEXT_SIZE], seen[CLOCK_TEXT_SIZE],
        expires[CLOCK_TEXT_SIZE];
    size_t size;
    const uint8_t *hash = store_row_octets(rows, row, 0, &size);

    if (size != SECRET_HASH_SIZE)
        return NULL;
    sodium_bin2hex(id, sizeof(id), hash, size);
    clock_text(store_row_integer(rows, row, 1), created);
    clock_text(store_row_integer(rows, row, 2), seen);
    clock_text(store_row_integer(rows, row, 3), expires);
    return json_pack("{s:s, s:b, s:s, s:s, s:s, s:s?, s:s?}", "id", id, "current",
                     strcmp(id, current) == 0, "created_at", created, "seen_at", seen, "expires_at",
                     expires, "client", store_row_text(rows, row, 4), "agent",
                     store_row_text(rows, row, 5));
}

/* One page: sessions end by themselves, and who has more than two hundred should end them all. */
#define SESSIONS_SHOWN_MAX 200

int session_list(struct request *request, struct reply *reply, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const struct principal *who = request_principal(request);
    int rc = store_query(request_store(request), &rows, ret_error,
                         "SELECT id_hash, created_at, seen_at, expires_at, client, agent "
                         "FROM sessions WHERE account = $1 AND expires_at > $2 AND seen_at > $3 "
                         "ORDER BY seen_at DESC, id_hash LIMIT $4",
                         store_text(who->account), store_integer(request_now_s(request)),
                         store_integer(request_now_s(request) - SESSION_IDLE_S),
                         store_integer(SESSIONS_SHOWN_MAX));
    if (rc < 0)
        return rc;
    json_t *items = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(items, session_json(rows, i, who->credential));
    return reply_list(reply, items, NULL);
}

/* ---- Ending ---- */

int sessions_end(struct store *store, const char *account, struct error *ret_error)
{
    return store_change(store, NULL, ret_error, "DELETE FROM sessions WHERE account = $1",
                        store_text(account));
}

int reply_cookie_clear(const struct request *request, struct reply *reply)
{
    bool is_insecure = request_desk(request)->config->http.insecure_cookies;
    return reply_header_add(reply, "Set-Cookie",
                            is_insecure ? SESSION_COOKIE_INSECURE "=; Path=/; Max-Age=0"
                                        : SESSION_COOKIE "=; Path=/; Max-Age=0; Secure");
}

struct ending {
    struct request *request;
    const char *id; /* in hex; NULL: all of the account's */
    bool is_found;
};

static int ending_do(struct store *store, void *context, struct error *ret_error)
{
    struct ending *ending = context;
    const struct principal *who = request_principal(ending->request);
    uint8_t hash[SECRET_HASH_SIZE];
    uint64_t changed = 0;
    size_t size = 0;
    int rc;

    if (ending->id == NULL) {
        rc = store_change(store, &changed, ret_error, "DELETE FROM sessions WHERE account = $1",
                          store_text(who->account));
    } else {
        bool is_id = sodium_hex2bin(hash, sizeof(hash), ending->id, strlen(ending->id), NULL, &size,
                                    NULL) == 0 &&
                     size == sizeof(hash);
        rc = !is_id ? 0
                    : store_change(store, &changed, ret_error,
                                   "DELETE FROM sessions WHERE id_hash = $1 AND account = $2",
                                   store_octets(hash, sizeof(hash)), store_text(who->account));
    }
    ending->is_found = changed > 0;
    if (rc < 0 || !ending->is_found)
        return rc;
    return audit_write(store,
                       &(struct audit_entry){.now_ms = request_now_ms(ending->request),
                                             .who = who,
                                             .client = request_client_text(ending->request),
                                             .action = ending->id == NULL ? "session.delete_all"
                                                                          : "session.delete",
                                             .object = who->account},
                       ret_error);
}

int session_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct ending ending = {.request = request, .id = request_param(request, "id")};
    int rc = request_transact(request, ending_do, &ending, ret_error);
    if (rc < 0)
        return rc;
    return ending.is_found ? reply_status(reply, 204)
                           : error_set(ret_error, -ENOENT, "there is no such session of yours");
}

int session_delete_all(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct ending ending = {.request = request};
    int rc = request_transact(request, ending_do, &ending, ret_error);
    if (rc == 0)
        rc = reply_cookie_clear(request, reply);
    return rc < 0 ? rc : reply_status(reply, 204);
}

int session_delete_current(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct ending ending = {.request = request, .id = request_principal(request)->credential};
    int rc = request_transact(request, ending_do, &ending, ret_error);
    if (rc == 0)
        rc = reply_cookie_clear(request, reply);
    return rc < 0 ? rc : reply_status(reply, 204);
}
