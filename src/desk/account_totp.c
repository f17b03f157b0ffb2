/* The second factor: set up in two steps, so that nobody locks himself out by a secret that his
 * authenticator did not take. */
#include <errno.h>
#include <string.h>

#include "desk/accounts_internal.h"
#include "desk/desk.h"

#define CODE_SIZE_MAX 32

struct totp_change {
    struct request *request;
    const struct account_secrets *secrets;
    const char *code;
    bool code_is_right;
    uint8_t secret[TOTP_SECRET_SIZE];
    char codes[RECOVERY_CODES][RECOVERY_CODE_SIZE];
};

static const struct sealing_key *key_of(const struct totp_change *change)
{
    return &request_desk(change->request)->accounts->key;
}

/* ---- First step: a secret ---- */

static int begin_do(struct store *store, void *context, struct error *ret_error)
{
    struct totp_change *change = context;
    uint8_t sealed[TOTP_SEALED_SIZE];

    totp_seal(key_of(change), change->secrets->id, change->secret, sealed);
    int rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET totp_pending = $1, updated_at = $2 WHERE id = $3",
                          store_octets(sealed, sizeof(sealed)),
                          store_integer(request_now_s(change->request)),
                          store_text(change->secrets->id));
    if (rc == 0)
        rc = request_audit(change->request, store, "account.totp_begin", change->secrets->id, NULL,
                           ret_error);
    return rc;
}

/* The form that authenticators read from a picture (Google's "Key Uri Format"); the label's address
 * is percent-encoded, since it may hold anything that an address may. */
static json_t *secret_json(const struct totp_change *change)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
    char text[TOTP_TEXT_SIZE], label[3 * EMAIL_SIZE_MAX + 1], uri[sizeof(label) + 128];
    size_t size = 0;

    for (const char *at = change->secrets->email; *at != '\0' && size + 4 <= sizeof(label); at++)
        size += (size_t)sprintf(label + size, strchr(plain, *at) != NULL ? "%c" : "%%%02X",
                                (unsigned char)*at);
    label[size] = '\0';
    totp_secret_text(change->secret, text);
    (void)snprintf(uri, sizeof(uri), "otpauth://totp/tamis:%s?secret=%s&issuer=tamis", label, text);
    json_t *json = json_pack("{s:s, s:s}", "secret", text, "uri", uri);
    sodium_memzero(text, sizeof(text));
    sodium_memzero(uri, sizeof(uri));
    return json;
}

static int totp_begin(struct totp_change *change, const char *password, struct reply *reply,
                      struct error *ret_error)
{
    int rc = own_password_check(change->request, change->secrets, password, reply, ret_error);
    if (rc <= 0)
        return rc;
    if (account_has_totp(change->secrets))
        return reply_problem(reply, 409, "second-factor", "remove it first", NULL,
                             "the account has a second factor already");
    totp_secret_make(change->secret);
    rc = request_transact(change->request, begin_do, change, ret_error);
    if (rc < 0)
        return rc;
    reply->is_secret = true;
    return reply_json(reply, 200, secret_json(change));
}

/* ---- Second step: a code of it ---- */

static int finish_do(struct store *store, void *context, struct error *ret_error)
{
    struct totp_change *change = context;
    const struct account_secrets *secrets = change->secrets;
    const int64_t now_s = request_now_s(change->request);
    uint64_t changed = 0;
    int64_t step = 0;

    change->code_is_right = totp_sealed_step_find(
        key_of(change), secrets->id, &secrets->totp_pending, change->code, now_s, 0, &step);
    if (!change->code_is_right)
        return 0;
    /* Of the secret that the code is of, and once. */
    int rc = store_change(store, &changed, ret_error,
                          "UPDATE accounts SET totp_secret = totp_pending, totp_pending = NULL, "
                          "totp_last = $1, updated_at = $2 WHERE id = $3 AND totp_pending = $4",
                          store_integer(step), store_integer(now_s), store_text(secrets->id),
                          store_octets(secrets->totp_pending.octets, secrets->totp_pending.size));
    if (rc == 0 && changed == 0)
        return error_set(ret_error, -EEXIST, "the secret was replaced meanwhile: begin anew");
    if (rc == 0)
        rc = recovery_codes_make(store, secrets->id, change->codes, ret_error);
    if (rc == 0)
        rc = account_mail_put(store, request_now_ms(change->request), ACCOUNT_MAIL_TOTP_ON,
                              secrets->email, NULL, ret_error);
    if (rc == 0)
        rc = request_audit(change->request, store, "account.totp_on", secrets->id, NULL, ret_error);
    return rc;
}

static int codes_reply(const struct totp_change *change, struct reply *reply)
{
    json_t *codes = json_array();
    for (size_t i = 0; i < RECOVERY_CODES; i++)
        json_array_append_new(codes, json_string(change->codes[i]));
    reply->is_secret = true;
    return reply_json(reply, 200, json_pack("{s:o}", "recovery_codes", codes));
}

static int code_problem(struct reply *reply)
{
    return reply_problem(reply, 403, "second-factor", "wait for the next one", "/code",
                         "the code is not the authenticator's, or was used already");
}

static int totp_finish(struct totp_change *change, struct reply *reply, struct error *ret_error)
{
    if (change->secrets->totp_pending.octets == NULL)
        return reply_problem(reply, 409, "second-factor", "send the password first", NULL,
                             "no second factor is being set up");
    const unsigned wait_s = guess_take(change->request, GUESS_CODE, change->secrets->id);
    if (wait_s > 0)
        return reply_too_many(reply, wait_s);
    int rc = request_transact(change->request, finish_do, change, ret_error);
    account_settle(request_desk(change->request), change->secrets->id);
    if (rc < 0 || change->code_is_right)
        guess_give(change->request, GUESS_CODE, change->secrets->id);
    if (rc < 0)
        return rc;
    if (!change->code_is_right)
        return code_problem(reply);
    outbox_wake(request_desk(change->request));
    return codes_reply(change, reply);
}

int totp_post(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct totp_change change = {.request = request};
    struct account_secrets secrets;
    const char *password = NULL;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0 && json_in_has(&in, "code"))
        rc = json_in_text(&in, "code", 1, CODE_SIZE_MAX, &change.code, ret_error);
    else if (rc == 0)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, &password, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = account_secrets_by_id(request_store(request), request_principal(request)->account,
                                   &secrets, ret_error);
    if (rc < 0)
        return rc;
    change.secrets = &secrets;
    rc = password != NULL ? totp_begin(&change, password, reply, ret_error)
                          : totp_finish(&change, reply, ret_error);
    account_secrets_clear(&secrets);
    sodium_memzero(&change, sizeof(change));
    return rc;
}

/* ---- Without it again ---- */

static int remove_do(struct store *store, void *context, struct error *ret_error)
{
    struct totp_change *change = context;
    const struct account_secrets *secrets = change->secrets;

    int rc = account_code_use(store, key_of(change), secrets, change->code,
                              request_now_ms(change->request), &change->code_is_right, ret_error);
    if (rc < 0 || !change->code_is_right)
        return rc;
    rc = store_change(store, NULL, ret_error,
                      "UPDATE accounts SET totp_secret = NULL, totp_pending = NULL, "
                      "totp_last = NULL, updated_at = $1 WHERE id = $2",
                      store_integer(request_now_s(change->request)), store_text(secrets->id));
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM recovery_codes WHERE account = $1",
                          store_text(secrets->id));
    if (rc == 0)
        rc = account_mail_put(store, request_now_ms(change->request), ACCOUNT_MAIL_TOTP_OFF,
                              secrets->email, NULL, ret_error);
    if (rc == 0)
        rc =
            request_audit(change->request, store, "account.totp_off", secrets->id, NULL, ret_error);
    return rc;
}

static int totp_remove(struct totp_change *change, const char *password, struct reply *reply,
                       struct error *ret_error)
{
    if (!account_has_totp(change->secrets))
        return reply_problem(reply, 409, "second-factor", NULL, NULL,
                             "the account has no second factor");
    int rc = own_password_check(change->request, change->secrets, password, reply, ret_error);
    if (rc <= 0)
        return rc;
    const unsigned wait_s = guess_take(change->request, GUESS_CODE, change->secrets->id);
    if (wait_s > 0)
        return reply_too_many(reply, wait_s);
    rc = request_transact(change->request, remove_do, change, ret_error);
    if (rc < 0 || change->code_is_right)
        guess_give(change->request, GUESS_CODE, change->secrets->id);
    if (rc < 0)
        return rc;
    if (!change->code_is_right)
        return code_problem(reply);
    outbox_wake(request_desk(change->request));
    return reply_status(reply, 204);
}

int totp_delete(struct request *request, struct reply *reply, struct error *ret_error)
{
    struct totp_change change = {.request = request};
    struct account_secrets secrets;
    const char *password;
    struct json_in in;

    int rc = request_json_in(request, &in, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "password", 1, PASSWORD_SIZE_MAX, &password, ret_error);
    if (rc == 0)
        rc = json_in_text(&in, "code", 1, CODE_SIZE_MAX, &change.code, ret_error);
    if (rc == 0)
        rc = json_in_end(&in, ret_error);
    if (rc == 0)
        rc = account_secrets_by_id(request_store(request), request_principal(request)->account,
                                   &secrets, ret_error);
    if (rc < 0)
        return rc;
    change.secrets = &secrets;
    rc = totp_remove(&change, password, reply, ret_error);
    account_secrets_clear(&secrets);
    return rc;
}
