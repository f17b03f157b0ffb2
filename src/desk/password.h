/* Passwords, as Argon2id keeps them (RFC 9106). A check costs tens of milliseconds of a core and 64
 * MiB: it runs on a worker, never in the HTTP thread. */
#pragma once

#include <stdbool.h>

#include <sodium.h>

#include "base/cleanup.h"
#include "base/error.h"

#define PASSWORD_HASH_SIZE crypto_pwhash_STRBYTES
#define PASSWORD_SIZE_MIN  10
#define PASSWORD_SIZE_MAX  1000

/* -ENOMEM: the memory that it takes is not there. */
_must_check_ int password_hash(const char *password, char ret_hash[static PASSWORD_HASH_SIZE],
                               struct error *ret_error);

/* Whether it is the password. With `hash` NULL, as for an account that there is not, it takes as
 * long and is none: who asks cannot tell the one from the other by the time. */
bool password_matches(const char *password, const char *hash);
