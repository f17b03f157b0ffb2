#include "desk/block_opening.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define SALT_SIZE 32

/* Salt and name in one: the salt's size is fixed, so there is one way to take them apart. */
static void commitment_make(const uint8_t salt[static SALT_SIZE], const char *name,
                            char ret_text[static 2 * crypto_hash_sha256_BYTES + 1])
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    crypto_hash_sha256_state state;

    crypto_hash_sha256_init(&state);
    crypto_hash_sha256_update(&state, salt, SALT_SIZE);
    crypto_hash_sha256_update(&state, (const uint8_t *)name, strlen(name));
    crypto_hash_sha256_final(&state, hash);
    sodium_bin2hex(ret_text, 2 * sizeof(hash) + 1, hash, sizeof(hash));
}

int block_opening_put(struct store *store, const char *decision, const char *report,
                      const char *name, json_t *commitments, struct error *ret_error)
{
    uint8_t salt[SALT_SIZE];
    char commitment[2 * crypto_hash_sha256_BYTES + 1], text[2 * SALT_SIZE + 1];

    assert(store_in_transaction(store));
    randombytes_buf(salt, sizeof(salt));
    commitment_make(salt, name, commitment);
    sodium_bin2hex(text, sizeof(text), salt, sizeof(salt));
    if (json_array_append_new(commitments, json_string(commitment)) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory for the ledger");
    return store_change(store, NULL, ret_error,
                        "INSERT INTO block_openings (decision, name, salt, account) VALUES ($1, "
                        "$2, $3, COALESCE((SELECT account FROM hosts WHERE name = $4), (SELECT "
                        "MIN(account) FROM report_names WHERE report = $5 AND owner_name = $6)))",
                        store_text(decision), store_text(name), store_text(text), store_text(name),
                        store_text(report), store_text(name));
}

int block_openings_place(struct store *store, const char *decision, const char *entry,
                         struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "UPDATE block_openings SET entry = $1 WHERE decision = $2",
                        store_text(entry), store_text(decision));
}

int block_openings_json(struct store *store, const char *name, json_t **ret_json,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT entry, salt FROM block_openings WHERE name = $1 ORDER BY entry",
                         store_text(name));
    if (rc < 0)
        return rc;
    json_t *list = json_array();
    for (size_t i = 0; i < store_rows_count(rows); i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "entry", store_row_text(rows, i, 0),
                                              "salt", store_row_text(rows, i, 1)));
    *ret_json = list;
    return 0;
}

int block_openings_forget(struct store *store, const char *name, struct error *ret_error)
{
    return store_change(store, NULL, ret_error, "DELETE FROM block_openings WHERE name = $1",
                        store_text(name));
}
