/* Accounts, as those who make them from outside of a request need them. */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/clock.h"
#include "desk/ids.h"
#include "desk/principal.h"
#include "desk/store.h"

#define EMAIL_SIZE_MAX 254 /* RFC 5321, 4.5.3.1.3 */

/* Writes the lower-case form; false for what is no address to send mail to. */
bool email_normalize(const char *text, char ret_email[static EMAIL_SIZE_MAX + 1]);

/* Makes an account of staff that is confirmed by whoever has `ret_token`, who then sets the
 * password (POST /v1/password-resets/confirmations). -EEXIST: the address has an account. */
_must_check_ int account_add_staff(struct store *store, const struct desk_clock *clock,
                                   const char *email, unsigned role, char ret_id[static ID_SIZE],
                                   char ret_token[static SECRET_TEXT_SIZE],
                                   struct error *ret_error);
