#include "desk/sealing.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/desk_config.h"
#include "desk/key_file.h"

#define NONCE_SIZE crypto_aead_xchacha20poly1305_ietf_NPUBBYTES

/* ---- The key ---- */

static int key_make(const char *path, struct error *ret_error)
{
    int rc = key_file_make(path, ret_error);
    if (rc == 0)
        log_event(LOG_INFO,
                  "the key that seals secrets in the database is made, %s: keep a copy, apart from "
                  "those of the database",
                  path);
    return rc;
}

static int key_read(const char *path, struct sealing_key *ret_key, struct error *ret_error)
{
    static const char id_info[] = "tamis secrets key";
    uint8_t hash[crypto_generichash_BYTES];

    int rc = key_file_read(path, "key of secrets", ret_key->octets, ret_error);
    if (rc < 0)
        return rc;
    crypto_generichash(hash, sizeof(hash), (const uint8_t *)id_info, sizeof(id_info) - 1,
                       ret_key->octets, sizeof(ret_key->octets));
    sodium_bin2hex(ret_key->id, sizeof(ret_key->id), hash, sizeof(ret_key->id) / 2);
    sodium_memzero(hash, sizeof(hash));
    return 0;
}

/* Whoever gets a new key for an old database would see nothing but wrong codes: both have to fit.
 */
static int key_check(struct store *store, const char *path, int64_t now_s,
                     const struct sealing_key *key, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;

    int rc = store_query(store, &rows, ret_error, "SELECT id FROM sealing_keys");
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return store_change(store, NULL, ret_error,
                            "INSERT INTO sealing_keys (id, since) VALUES ($1, $2)",
                            store_text(key->id), store_integer(now_s));
    if (strcmp(store_row_text(rows, 0, 0), key->id) != 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "is not the key that secrets in the database are sealed with: put that "
                            "one back (tamis-desk.conf(5), section secrets)");
    return 0;
}

static int is_sealed(struct store *store, bool *ret_is, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, "SELECT id FROM sealing_keys");
    if (rc == 0)
        *ret_is = store_rows_count(rows) > 0;
    return rc;
}

/* The first start makes the key. */
static int key_make_first(struct store *store, const char *path, struct error *ret_error)
{
    bool sealed = false;

    if (access(path, F_OK) == 0 || errno != ENOENT)
        return 0;
    int rc = is_sealed(store, &sealed, ret_error);
    if (rc == 0 && sealed)
        return error_set_at(ret_error, -ENOENT, path, 0,
                            "is missing, the key that secrets in the database are sealed with: put "
                            "your copy back (tamis-desk.conf(5), section secrets)");
    return rc < 0 ? rc : key_make(path, ret_error);
}

int sealing_key_load(const struct desk_config *config, struct store *store, int64_t now_s,
                     struct sealing_key *ret_key, struct error *ret_error)
{
    const char *configured = config->secrets.key_file;
    char path[PATH_MAX];
    struct sealing_key key;

    if (snprintf(path, sizeof(path), "%s%s", configured != NULL ? configured : config->state,
                 configured != NULL ? "" : "/secrets.key") >= (int)sizeof(path))
        return error_set_at(ret_error, -ENAMETOOLONG, config->state, 0, "is too long a path");
    int rc = configured == NULL ? key_make_first(store, path, ret_error) : 0;
    if (rc == 0)
        rc = key_read(path, &key, ret_error);
    if (rc == 0)
        rc = key_check(store, path, now_s, &key, ret_error);
    if (rc == 0)
        *ret_key = key;
    sodium_memzero(&key, sizeof(key));
    return rc;
}

/* ---- Sealing ---- */

void sealing_seal(const struct sealing_key *key, const char *owner, const uint8_t *plain,
                  size_t size, uint8_t *ret_sealed)
{
    randombytes_buf(ret_sealed, NONCE_SIZE);
    crypto_aead_xchacha20poly1305_ietf_encrypt(ret_sealed + NONCE_SIZE, NULL, plain, size,
                                               (const uint8_t *)owner, strlen(owner), NULL,
                                               ret_sealed, key->octets);
}

bool sealing_open(const struct sealing_key *key, const char *owner, const uint8_t *sealed,
                  size_t sealed_size, uint8_t *ret_plain, size_t size)
{
    return sealed_size == size + SEALED_MORE &&
           crypto_aead_xchacha20poly1305_ietf_decrypt(
               ret_plain, NULL, NULL, sealed + NONCE_SIZE, sealed_size - NONCE_SIZE,
               (const uint8_t *)owner, strlen(owner), sealed, key->octets) == 0;
}
