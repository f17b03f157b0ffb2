/* Who an update comes from: a host's key, an API token, or an account's address and password. Keys
 * are checked against the host's entry. Tokens and passwords are checked by the database and by
 * Argon2id, which an update must not pay for each time: what was found is kept for some minutes, by
 * a keyed hash, bounded. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/account.h"
#include "desk/ids.h"
#include "desk/password.h"
#include "desk/principal.h"
#include "desk/store.h"

#define HOST_KEY_PREFIX "tmh_" /* of a host key's text, so that leaked ones are found */
/* With NUL. */
#define HOST_KEY_SIZE (sizeof(HOST_KEY_PREFIX) - 1 + SECRET_TEXT_SIZE)

enum credential_kind { CREDENTIAL_NONE, CREDENTIAL_KEY, CREDENTIAL_TOKEN, CREDENTIAL_PASSWORD };

struct credential {
    enum credential_kind kind;
    uint8_t hash[SECRET_HASH_SIZE]; /* of a key: as it is stored; else: as it is kept in memory */
    char user[EMAIL_SIZE_MAX + 1];
    char secret[PASSWORD_SIZE_MAX + 1];
};

struct host_credentials;

_must_check_ int host_credentials_create(size_t entries_max,
                                         struct host_credentials **ret_credentials,
                                         struct error *ret_error);
void host_credentials_free(struct host_credentials *credentials);

/* Makes one of what a client sent; false: it can be none. `ret_credential` holds secrets: wipe it
 * by credential_wipe(). */
bool credential_make(const struct host_credentials *credentials, const char *user,
                     const char *secret, struct credential *ret_credential);
void credential_wipe(struct credential *credential);
/* Hash of a host key, as it is stored. */
void host_key_hash(const char *key, uint8_t ret_hash[static SECRET_HASH_SIZE]);

/* What is kept: 0 with the account, -EACCES it is wrong, -ENOENT nothing. Any thread. */
_must_check_ int host_credentials_find(struct host_credentials *credentials,
                                       const struct credential *credential, int64_t now_s,
                                       char ret_account[static ID_SIZE]);

/* Checks a token or password and keeps what was found. 0, -EACCES: wrong, -EDQUOT: this client has
 * been wrong too often, or the store's error. Takes as long as a password does: not in a thread
 * that serves HTTP. */
_must_check_ int host_credentials_check(struct host_credentials *credentials, struct store *store,
                                        const struct credential *credential,
                                        const struct sockaddr *client, int64_t now_s,
                                        char ret_account[static ID_SIZE], struct error *ret_error);

/* Drops what is kept of an account; any thread. */
void host_credentials_forget(struct host_credentials *credentials, const char *account);
