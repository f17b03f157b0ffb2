/* Time-based one-time passwords (RFC 6238): HMAC-SHA-1, six digits, steps of 30 seconds, which is
 * what every authenticator knows. And the recovery codes for who has lost it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"

#define TOTP_SECRET_SIZE 20 /* RFC 4226, 4, R6: 160 bits */
#define TOTP_TEXT_SIZE   33 /* of the secret in base32 (RFC 4648, 6), and NUL */
#define TOTP_CODE_SIZE   7  /* six digits and NUL */

/* Beside the step of now one earlier and one later count (RFC 6238, 6): clocks differ. */
#define TOTP_STEP_S 30

void totp_secret_make(uint8_t ret_secret[static TOTP_SECRET_SIZE]);
void totp_secret_text(const uint8_t secret[static TOTP_SECRET_SIZE],
                      char ret_text[static TOTP_TEXT_SIZE]);

/* The code of a step. */
void totp_code(const uint8_t *secret, size_t secret_size, int64_t step,
               char ret_code[static TOTP_CODE_SIZE]);

/* The step that a code is of, and later than `last_step`: a code that was accepted once, or an
 * earlier one, is none (RFC 6238, 5.2). Takes as long for every code. False: it is of no such step.
 */
bool totp_step_find(const uint8_t *secret, size_t secret_size, const char *code, int64_t now_s,
                    int64_t last_step, int64_t *ret_step);

/* ---- Recovery codes ---- */

#define RECOVERY_CODES     10
#define RECOVERY_CODE_SIZE 20 /* "xxxx-xxxx-xxxx-xxxx" of Crockford's base32: 80 bits, and NUL */

/* Replaces the account's codes by new ones; in a transaction. */
_must_check_ int recovery_codes_make(struct store *store, const char *account,
                                     char ret_codes[static RECOVERY_CODES][RECOVERY_CODE_SIZE],
                                     struct error *ret_error);

/* Uses one up; in a transaction. Blanks, hyphens and the case of letters do not matter. */
_must_check_ int recovery_code_use(struct store *store, const char *account, const char *code,
                                   bool *ret_is_one, struct error *ret_error);
