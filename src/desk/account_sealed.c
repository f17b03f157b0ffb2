/* Secrets of second factors, sealed in the database; and those from before they were, sealed once.
 */
#include <assert.h>
#include <stdio.h>

#include "desk/accounts_internal.h"
#include "desk/totp.h"

#define SEAL_BATCH 100

static_assert(TOTP_SEALED_SIZE == TOTP_SECRET_SIZE + SEALED_MORE, "a sealed secret fits");

/* What is sealed for one account opens for no other, and for no other purpose. */
#define OWNER_SIZE (ID_SIZE + 8)

static void owner_write(const char *account, char ret_owner[static OWNER_SIZE])
{
    (void)snprintf(ret_owner, OWNER_SIZE, "totp %s", account);
}

void totp_seal(const struct sealing_key *key, const char *account,
               const uint8_t secret[static TOTP_SECRET_SIZE],
               uint8_t ret_sealed[static TOTP_SEALED_SIZE])
{
    char owner[OWNER_SIZE];
    owner_write(account, owner);
    sealing_seal(key, owner, secret, TOTP_SECRET_SIZE, ret_sealed);
}

bool totp_sealed_step_find(const struct sealing_key *key, const char *account,
                           const struct totp_sealed *sealed, const char *code, int64_t now_s,
                           int64_t last_step, int64_t *ret_step)
{
    uint8_t secret[TOTP_SECRET_SIZE];
    char owner[OWNER_SIZE];

    owner_write(account, owner);
    bool is_right =
        sealing_open(key, owner, sealed->octets, sealed->size, secret, sizeof(secret)) &&
        totp_step_find(secret, sizeof(secret), code, now_s, last_step, ret_step);
    sodium_memzero(secret, sizeof(secret));
    return is_right;
}

/* ---- Those from before ---- */

struct sealing {
    const struct sealing_key *key;
    size_t count;
};

static int one_seal(struct store *store, const struct sealing_key *key,
                    const struct store_rows *rows, size_t row, struct error *ret_error)
{
    uint8_t sealed[TOTP_SEALED_SIZE];
    const char *account = store_row_text(rows, row, 0);
    size_t size = 0;
    const uint8_t *secret = store_row_octets(rows, row, 1, &size);
    int rc = 0;

    /* Meanwhile it may have been taken away. */
    if (secret != NULL && size == TOTP_SECRET_SIZE) {
        totp_seal(key, account, secret, sealed);
        rc = store_change(store, NULL, ret_error,
                          "UPDATE accounts SET totp_secret = $1 WHERE id = $2",
                          store_octets(sealed, sizeof(sealed)), store_text(account));
    }
    if (rc == 0)
        rc = store_change(store, NULL, ret_error, "DELETE FROM totp_unsealed WHERE account = $1",
                          store_text(account));
    return rc;
}

static int batch_seal(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct sealing *sealing = context;

    int rc = store_query(store, &rows, ret_error,
                         "SELECT u.account, a.totp_secret FROM totp_unsealed u JOIN accounts a ON "
                         "a.id = u.account ORDER BY u.account LIMIT $1",
                         store_integer(SEAL_BATCH));
    sealing->count = rc == 0 ? store_rows_count(rows) : 0;
    for (size_t i = 0; i < sealing->count && rc == 0; i++)
        rc = one_seal(store, sealing->key, rows, i, ret_error);
    return rc;
}

int totp_all_seal(struct store *store, const struct sealing_key *key, struct error *ret_error)
{
    struct sealing sealing = {.key = key};
    int rc;
    do
        rc = store_transact(store, batch_seal, &sealing, ret_error);
    while (rc == 0 && sealing.count == SEAL_BATCH);
    return rc;
}

int account_secrets_seal(const struct desk_config *config, struct store *store, int64_t now_s,
                         struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct sealing_key key;

    int rc = store_query(store, &rows, ret_error, "SELECT account FROM totp_unsealed LIMIT 1");
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    rc = sealing_key_load(config, store, now_s, &key, ret_error);
    if (rc == 0)
        rc = totp_all_seal(store, &key, ret_error);
    sodium_memzero(&key, sizeof(key));
    return rc;
}
