/* Proofs that whoever appeals controls the name. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "desk/appeal.h"
#include "desk/desk.h"
#include "desk/txt_lookup.h"

int appeal_owns(struct store *store, const char *account, const char *name, bool *ret_owns,
                struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error, "SELECT 1 FROM hosts WHERE name = $1 AND account = $2",
                    store_text(name), store_text(account));
    if (rc == 0)
        *ret_owns = store_rows_count(rows) > 0;
    return rc;
}

int appeal_concerns(struct store *store, const char *account, const struct appeal *appeal,
                    bool *ret_does, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    bool does = false;

    int rc = appeal_owns(store, account, appeal->name, &does, ret_error);
    if (rc == 0 && !does) {
        rc = appeal->against == APPEAL_ORDER
                 ? store_query(store, &rows, ret_error,
                               "SELECT 1 FROM order_customers WHERE order_id = $1 AND name = $2 "
                               "AND account = $3",
                               store_text(appeal->order_id), store_text(appeal->name),
                               store_text(account))
                 : store_query(store, &rows, ret_error,
                               "SELECT 1 FROM block_owners WHERE name = $1 AND account = $2",
                               store_text(appeal->name), store_text(account));
        does = rc == 0 && store_rows_count(rows) > 0;
    }
    if (rc == 0)
        *ret_does = does;
    return rc;
}

size_t appeal_signed_text(const struct appeal *appeal, char ret_text[static APPEAL_SIGNED_SIZE])
{
    return (size_t)snprintf(ret_text, APPEAL_SIGNED_SIZE, "tamis appeal v1\n%s\n%s\n%s\n",
                            appeal->id, appeal->name, appeal->challenge);
}

static int txt_check(const struct desk *desk, const struct appeal *appeal, bool *ret_holds,
                     struct error *ret_error)
{
    char owner[BLOCK_NAME_SIZE + sizeof(APPEAL_TXT_LABEL) + 1];
    char value[sizeof(APPEAL_TXT_VALUE) + SECRET_TEXT_SIZE];

    if (desk->config->appeals.resolver == NULL)
        return error_set(ret_error, -EINVAL,
                         "this desk asks no resolver: prove it by a signature or a host's key");
    snprintf(owner, sizeof(owner), APPEAL_TXT_LABEL ".%s", appeal->name);
    snprintf(value, sizeof(value), APPEAL_TXT_VALUE "%s", appeal->challenge);
    return txt_lookup(desk->config->appeals.resolver, owner, value, ret_holds, ret_error);
}

/* When what the appeal is against began: a key that was made known later proves nothing. */
static int began_at(struct store *store, const struct appeal *appeal, int64_t *ret_time_s,
                    struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        appeal->against == APPEAL_ORDER
            ? store_query(store, &rows, ret_error, "SELECT activated_at FROM orders WHERE id = $1",
                          store_text(appeal->order_id))
            : store_query(store, &rows, ret_error, "SELECT since FROM blocks WHERE name = $1",
                          store_text(appeal->name));
    if (rc == 0)
        *ret_time_s = store_rows_count(rows) > 0 ? store_row_integer(rows, 0, 0) : 0;
    return rc;
}

static int signature_check(struct store *store, const struct appeal *appeal, const char *base64,
                           bool *ret_holds, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t signature[APPEAL_SIGNATURE_SIZE];
    char text[APPEAL_SIGNED_SIZE];
    size_t size;
    int64_t began_s;

    if (sodium_base642bin(signature, sizeof(signature), base64, strlen(base64), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        size != sizeof(signature))
        return error_set(ret_error, -EINVAL, "a signature is 64 octets in base64");
    int rc = began_at(store, appeal, &began_s, ret_error);
    if (rc == 0)
        rc = store_query(store, &rows, ret_error,
                         "SELECT public_key FROM appeal_keys WHERE name = $1 AND published_at < $2",
                         store_text(appeal->name), store_integer(began_s));
    if (rc < 0)
        return rc;
    size_t text_size = appeal_signed_text(appeal, text);
    *ret_holds = false;
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        const uint8_t *key = store_row_octets(rows, i, 0, &size);
        *ret_holds |=
            size == APPEAL_KEY_SIZE &&
            crypto_sign_verify_detached(signature, (const uint8_t *)text, text_size, key) == 0;
    }
    return 0;
}

static int host_key_check(struct store *store, const struct appeal *appeal, const char *key,
                          bool *ret_holds, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t hash[SECRET_HASH_SIZE];

    secret_hash("host-key", key, hash);
    int rc = store_query(store, &rows, ret_error,
                         "SELECT 1 FROM host_keys k JOIN hosts h ON h.id = k.host WHERE "
                         "h.name = $1 AND k.hash = $2",
                         store_text(appeal->name), store_octets(hash, sizeof(hash)));
    if (rc == 0)
        *ret_holds = store_rows_count(rows) > 0;
    return rc;
}

int appeal_proof_check(const struct desk *desk, struct store *store, const struct appeal *appeal,
                       const struct appeal_proof *proof, bool *ret_holds, struct error *ret_error)
{
    switch (proof->method) {
    case APPEAL_PROOF_TXT:
        return txt_check(desk, appeal, ret_holds, ret_error);
    case APPEAL_PROOF_SIGNATURE:
        return signature_check(store, appeal, proof->signature, ret_holds, ret_error);
    case APPEAL_PROOF_HOST_KEY:
        return host_key_check(store, appeal, proof->host_key, ret_holds, ret_error);
    }
    return error_set(ret_error, -EINVAL, "there is no such way to prove it");
}
