/* Who asks: found from a session's cookie or from an API token, once a request. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/ids.h"
#include "desk/roles.h"
#include "desk/store.h"

enum principal_kind { PRINCIPAL_PUBLIC, PRINCIPAL_SESSION, PRINCIPAL_TOKEN };

struct principal {
    enum principal_kind kind;
    unsigned role;               /* exactly one of enum role; a customer's of suspended staff */
    unsigned scopes;             /* of a token; all for a session */
    char account[ID_SIZE];       /* "" for PRINCIPAL_PUBLIC */
    bool is_suspended;           /* may look at its own, and change what routes leave to it */
    char credential[2 * 32 + 1]; /* the session's hash in hex, or the token's id */
    uint8_t csrf_hash[32];       /* of a session */
};

/* ---- Secrets that a program makes: session cookies, tokens, confirmations, host keys ---- */

/* 32 octets of chance as base64url without padding, and NUL. */
#define SECRET_TEXT_SIZE 44
#define SECRET_HASH_SIZE 32

void secret_make(char ret_text[static SECRET_TEXT_SIZE]);

/* What is stored of one: BLAKE2b-256. A secret of 256 bits needs no salt and no slow hash, and its
 * hash can be looked up. `purpose` (up to 16 octets, such as "session") keeps one kind from being
 * taken for another. */
void secret_hash(const char *purpose, const char *text, uint8_t ret_hash[static SECRET_HASH_SIZE]);

/* ---- Sessions ---- */

#define SESSION_COOKIE "__Host-tamis"
#define SESSION_COOKIE_INSECURE \
    "tamis" /* http: insecure-cookies: yes, where __Host- may not be set */
#define SESSION_IDLE_S (12 * 3600)
#define SESSION_LIFE_S (7 * 24 * 3600)
#define TOKEN_PREFIX   "tms_" /* of an API token's text, so that leaked ones are found */

/* Opens a session: a fresh cookie and CSRF token whenever somebody signs in. In a transaction. */
_must_check_ int session_open(struct store *store, const char *account, int64_t now_s,
                              char ret_cookie[static SECRET_TEXT_SIZE],
                              char ret_csrf[static SECRET_TEXT_SIZE], struct error *ret_error);

/* Finds who it is. Either text may be NULL: no such credential. -EACCES: a token was shown and is
 * none (or its account may not sign in); a cookie that is none is nobody. */
_must_check_ int principal_find(struct store *store, const char *cookie, const char *bearer,
                                int64_t now_s, struct principal *ret_principal,
                                struct error *ret_error);

/* Compares in constant time. */
bool principal_csrf_matches(const struct principal *principal, const char *csrf);
