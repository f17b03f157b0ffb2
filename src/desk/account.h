/* Accounts, for those who make them from outside of a request, and for parts whose decisions reach
 * an account. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/change.h"
#include "desk/clock.h"
#include "desk/ids.h"
#include "desk/principal.h"
#include "desk/store.h"

struct desk;
struct desk_config;

#define EMAIL_SIZE_MAX 254 /* RFC 5321, 4.5.3.1.3 */

/* Writes the lower-case form; false for what is no address to send mail to, or no UTF-8. */
bool email_normalize(const char *text, char ret_email[static EMAIL_SIZE_MAX + 1]);

/* Makes an account of staff that is confirmed by whoever has `ret_token`, who then sets the
 * password (POST /v1/password-resets/confirmations). -EEXIST: the address has an account. */
_must_check_ int account_add_staff(struct store *store, const struct desk_clock *clock,
                                   const char *email, unsigned role, char ret_id[static ID_SIZE],
                                   char ret_token[static SECRET_TEXT_SIZE],
                                   struct error *ret_error);

/* Seals secrets that were stored before there was a key for that (desk/sealing.h); nothing to do is
 * no error, and needs no key. The desk does the same when it starts. */
_must_check_ int account_secrets_seal(const struct desk_config *config, struct store *store,
                                      int64_t now_s, struct error *ret_error);

/* ---- For parts that decide about an account, or tell its owner ---- */

#define ACCOUNT_LANGUAGE_SIZE 36 /* RFC 5646, 4.4.1: 35 characters fit, and NUL */

/* Where to write to its owner. -ENOENT: there is none, or it is closed. */
struct account_contact {
    char email[EMAIL_SIZE_MAX + 1];
    char language[ACCOUNT_LANGUAGE_SIZE];
};
_must_check_ int account_contact_find(struct store *store, const char *account,
                                      struct account_contact *ret_contact, struct error *ret_error);

/* -EACCES with the reason when the account is suspended or closed: for what is changed by other
 * credentials than a session or a token, which the router sees to. */
_must_check_ int account_must_be_active(struct store *store, const char *account,
                                        struct error *ret_error);

/* Suspends: its hosts go off the net, its tokens and sessions can look but change nothing, except
 * by routes that say `for_suspended`. `reason` is shown to the owner and mailed. Suspended
 * twice is suspended once, with the later reason. In a transaction; account_settle() after it.
 * -ENOENT: no such account. */
_must_check_ int account_suspend(struct store *store, const struct change *change,
                                 const char *account, const char *reason, struct error *ret_error);

/* Takes the suspension back. In a transaction; account_settle() after it. */
_must_check_ int account_reinstate(struct store *store, const struct change *change,
                                   const char *account, struct error *ret_error);

/* Closes for ever: what it has is released (account_holding.h), what is known of its owner is
 * erased; the row stays, empty, so that decisions about it still name something. Blocks stay. The
 * ledger gets the hash of the id. In a transaction; account_settle() after it. */
_must_check_ int account_close(struct store *store, const struct change *change,
                               const char *account, struct error *ret_error);

/* After the transaction of one of the three above, whatever came of it: caches are dropped and the
 * outbox looks. Any thread. */
void account_settle(struct desk *desk, const char *account);
