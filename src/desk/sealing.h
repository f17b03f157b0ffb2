/* Secrets that the desk must be able to read again, sealed before they reach the database: a copy
 * of the database, or a backup, is worth nothing without the key, which lies in a file.
 *
 * XChaCha20-Poly1305 with a random nonce: nonce, ciphertext, tag. What a secret belongs to is
 * authenticated with it, so that nobody who may write to the database moves one to another row. */
#pragma once

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"

struct desk_config;

#define SEALING_KEY_SIZE    crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define SEALING_KEY_ID_SIZE 17 /* 8 octets of its hash in hexadecimal, and NUL */

/* Octets that sealing adds. */
#define SEALED_MORE \
    (crypto_aead_xchacha20poly1305_ietf_NPUBBYTES + crypto_aead_xchacha20poly1305_ietf_ABYTES)

/* Read once at start, then only read. */
struct sealing_key {
    uint8_t octets[SEALING_KEY_SIZE];
    char id[SEALING_KEY_ID_SIZE];
};

/* Reads the key of the configuration; without one, state/secrets.key, which is made when nothing is
 * sealed yet. The database knows which key it is sealed with. -ENOENT: it is sealed, and the key is
 * missing; -EINVAL: with another key. The caller wipes the key. */
_must_check_ int sealing_key_load(const struct desk_config *config, struct store *store,
                                  int64_t now_s, struct sealing_key *ret_key,
                                  struct error *ret_error);

/* Seals `size` octets that belong to `owner`: `ret_sealed` has room for `size` and SEALED_MORE. */
void sealing_seal(const struct sealing_key *key, const char *owner, const uint8_t *plain,
                  size_t size, uint8_t *ret_sealed);

/* Opens exactly `size` octets. False: it is not what was sealed for `owner` by this key. */
bool sealing_open(const struct sealing_key *key, const char *owner, const uint8_t *sealed,
                  size_t sealed_size, uint8_t *ret_plain, size_t size);
