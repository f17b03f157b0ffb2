/* What the files of the accounts' part share: private to account*.c, session.c, api_token.c and
 * part_accounts.c. */
#pragma once

#include <stdatomic.h>

#include "desk/account.h"
#include "desk/json_in.h"
#include "desk/outbox.h"
#include "desk/password.h"
#include "desk/password_gate.h"
#include "desk/request.h"
#include "desk/router.h"
#include "desk/sealing.h"
#include "desk/throttle.h"
#include "desk/totp.h"

/* What came of a request to sign in. The first answer to a right password of an account with a
 * second factor asks for a code, and is no failure. */
enum sign_in_result {
    SIGN_IN_DONE,
    SIGN_IN_CODE_ASKED,
    SIGN_IN_WRONG_PASSWORD, /* or no such account */
    SIGN_IN_WRONG_CODE,
    SIGN_IN_LIMITED, /* too many guesses */
    SIGN_IN_RESULTS,
};

/* Of `struct desk`. */
struct accounts {
    struct password_gate *gate;
    struct throttle *throttle;
    struct sealing_key key;
    atomic_uint_fast64_t sign_ins[SIGN_IN_RESULTS];
};

/* ---- Bounds on trying (account_throttle.c) ---- */

/* A guess at a password or a code: taken before it is looked at, given back when it was right. */
enum guess { GUESS_SIGN_IN, GUESS_OWN_PASSWORD, GUESS_CODE };

/* `who` is the address that somebody wants to sign in with, or the account's id. Returns 0, or the
 * seconds to wait. */
unsigned guess_take(const struct request *request, enum guess guess, const char *who);
void guess_give(const struct request *request, enum guess guess, const char *who);

/* Mails that a stranger causes. False: the address has had enough for now, which nobody is told. */
bool mail_may_go(const struct request *request, const char *email);
/* 0, or the seconds that this client waits until it may cause another one. */
unsigned mail_ask(const struct request *request);

/* 429 with Retry-After. */
_must_check_ int reply_too_many(struct reply *reply, unsigned wait_s);

/* ---- Secrets of second factors (account_sealed.c) ---- */

#define TOTP_SEALED_SIZE (TOTP_SECRET_SIZE + 40)

/* As it is stored; the octets are the row's. */
struct totp_sealed {
    const uint8_t *octets; /* NULL: none */
    size_t size;
};

void totp_seal(const struct sealing_key *key, const char *account,
               const uint8_t secret[static TOTP_SECRET_SIZE],
               uint8_t ret_sealed[static TOTP_SEALED_SIZE]);

/* totp_step_find() with a sealed secret; one that this key does not open has no codes. */
bool totp_sealed_step_find(const struct sealing_key *key, const char *account,
                           const struct totp_sealed *sealed, const char *code, int64_t now_s,
                           int64_t last_step, int64_t *ret_step);

/* Seals those that were stored before there was a key. */
_must_check_ int totp_all_seal(struct store *store, const struct sealing_key *key,
                               struct error *ret_error);

/* ---- What is asked again before what cannot be undone (account_check.c) ---- */

/* One's own account as sign-in needs it; texts live as long as `rows`. */
struct account_secrets {
    struct store_rows *rows;
    const char *id, *email, *password_hash, *state, *language;
    struct totp_sealed totp_secret, totp_pending;
    int64_t totp_last; /* 0: none yet */
};

static inline bool account_has_totp(const struct account_secrets *secrets)
{
    return secrets->totp_secret.octets != NULL;
}
/* By address (confirmed and not closed) or by id; `id` NULL in the result: there is none. */
_must_check_ int account_secrets_by_email(struct store *store, const char *email,
                                          struct account_secrets *ret_secrets,
                                          struct error *ret_error);
_must_check_ int account_secrets_by_id(struct store *store, const char *account,
                                       struct account_secrets *ret_secrets,
                                       struct error *ret_error);
void account_secrets_clear(struct account_secrets *secrets);

/* Checks the password of who asks. 1: it is right; 0: `reply` says what is wrong. */
_must_check_ int own_password_check(struct request *request, const struct account_secrets *secrets,
                                    const char *password, struct reply *reply,
                                    struct error *ret_error);

/* Uses a code of the authenticator, or a recovery code; in a transaction, so that it counts once.
 * `*ret_is_right` false: it is none, or was used. */
_must_check_ int account_code_use(struct store *store, const struct sealing_key *key,
                                  const struct account_secrets *secrets, const char *code,
                                  int64_t now_ms, bool *ret_is_right, struct error *ret_error);

/* ---- Confirmations (account_confirm.c) ---- */

enum confirmation { CONFIRM_EMAIL, CONFIRM_PASSWORD, CONFIRM_CHANGE };

/* Adds one that lives `life_s`; `cause` (or NULL) makes it one: `ret_is_new` false, and no token,
 * when there is one of this cause. `email` is the new address of CONFIRM_CHANGE, else NULL. In a
 * transaction. */
_must_check_ int confirmation_put(struct store *store, const char *account,
                                  enum confirmation purpose, const char *email, const char *cause,
                                  int64_t now_s, int64_t life_s, bool *ret_is_new,
                                  char ret_token[static SECRET_TEXT_SIZE], struct error *ret_error);

/* Ends all that wait for an account: whenever its password or address changes. In a transaction. */
_must_check_ int confirmations_end(struct store *store, const char *account,
                                   struct error *ret_error);

/* Notes that an account is to have another address, once it is confirmed there. In a transaction.
 */
_must_check_ int account_email_ask(struct store *store, int64_t now_ms, const char *account,
                                   const char *email, struct error *ret_error);

/* The member "language": a tag of RFC 5646. */
_must_check_ int account_language_take(struct json_in *in, const char **ret_language,
                                       struct error *ret_error);

/* ---- Mails (account_mail.c) ---- */

enum account_mail {
    ACCOUNT_MAIL_CONFIRM,        /* value: the token */
    ACCOUNT_MAIL_EXISTS,         /* somebody asked for an account that there is */
    ACCOUNT_MAIL_RESET,          /* value: the token */
    ACCOUNT_MAIL_PASSWORD,       /* it was changed */
    ACCOUNT_MAIL_CONFIRM_CHANGE, /* value: the token */
    ACCOUNT_MAIL_EMAIL,          /* to the old address; value: the new one */
    ACCOUNT_MAIL_TOTP_ON,
    ACCOUNT_MAIL_TOTP_OFF,
    ACCOUNT_MAIL_RECOVERY_USED,
    ACCOUNT_MAIL_SUSPENDED, /* value: the reason */
    ACCOUNT_MAIL_REINSTATED,
    ACCOUNT_MAIL_CLOSED,
};

/* In a transaction. `value` is NULL where the mail has none. */
_must_check_ int account_mail_put(struct store *store, int64_t now_ms, enum account_mail mail,
                                  const char *email, const char *value, struct error *ret_error);

/* ---- Sessions (session.c) ---- */

/* Ends all of an account's. In a transaction. */
_must_check_ int sessions_end(struct store *store, const char *account, struct error *ret_error);
/* The header that takes the cookie away. */
_must_check_ int reply_cookie_clear(const struct request *request, struct reply *reply);

/* ---- Changes that a request makes ---- */

/* An audit row of a request about an account; `detail` is borrowed and may be NULL. */
_must_check_ int request_audit(const struct request *request, struct store *store,
                               const char *action, const char *object, const json_t *detail,
                               struct error *ret_error);

/* ---- Handlers ---- */

handler_fn session_create, session_list, session_delete, session_delete_all, session_delete_current;
handler_fn account_create, account_confirm, reset_create;
handler_fn account_get, account_patch, account_delete, account_export, account_password_put;
handler_fn totp_post, totp_delete;
handler_fn token_list, token_create, token_delete;
handler_fn staff_account_list, staff_account_get, staff_account_patch;

/* An account for its owner or for staff, from a row of ACCOUNT_COLUMNS. NULL: out of memory. */
#define ACCOUNT_COLUMNS                                                                      \
    "id, email, role, plan, state, state_reason, language, created_at, email_confirmed_at, " \
    "CASE WHEN totp_secret IS NULL THEN 0 ELSE 1 END"
json_t *account_json(const struct store_rows *rows, size_t row);

/* Of the outbox's kind that decides what mail an address gets. */
extern const struct outbox_kind account_outbox_kind;
