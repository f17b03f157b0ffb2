/* The keys of the people who sign orders: Ed25519, a secret file and a public entry of a keyring.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

#define SIGNER_NAME_MAX         63 /* octets: letters, digits, '-', '_', '.', '@' */
#define SIGNING_PUBLIC_SIZE     32 /* crypto_sign_PUBLICKEYBYTES */
#define SIGNING_SECRET_SIZE     64 /* crypto_sign_SECRETKEYBYTES: seed and public key */
#define BASE64_SIZE(octet_size) (((octet_size) + 2) / 3 * 4 + 1) /* with its NUL */

/* A signer's secret key. Holders call signing_key_clear(). */
struct signing_key {
    char name[SIGNER_NAME_MAX + 1];
    uint8_t secret[SIGNING_SECRET_SIZE];
};

/* Makes a key pair and writes NAME.key (mode 0600) and NAME.pub into `folder`; refuses to overwrite
 * either. NAME.pub is one entry of a keyring as YAML. */
_must_check_ int signing_key_generate(const char *folder, const char *name,
                                      struct error *ret_error);

/* Reads NAME.key; refuses one that others may read. */
_must_check_ int signing_key_load(const char *path, struct signing_key *ret_key,
                                  struct error *ret_error);
void signing_key_clear(struct signing_key *key);

/* Whether `name` may name a signer. */
bool signer_name_valid(const char *name);

/* Decodes padded base64 (RFC 4648, 4) of exactly `size` octets; false when `text` is anything else.
 */
_must_check_ bool base64_decode_exactly(const char *text, uint8_t *ret_octets, size_t size);
