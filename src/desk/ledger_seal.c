#include "desk/ledger_seal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "desk/clock.h"
#include "desk/ledger_kinds.h"
#include "desk/ledger_queue.h"

#define SALT_SIZE 32

/* Openings of one transaction of the job. */
#define OPEN_BATCH 50

/* ---- Sealing ---- */

static char *opening_make(const char *kind, const char *subject, const json_t *content)
{
    uint8_t salt[SALT_SIZE];
    char salt_text[2 * SALT_SIZE + 1];
    randombytes_buf(salt, sizeof(salt));
    sodium_bin2hex(salt_text, sizeof(salt_text), salt, sizeof(salt));
    json_t *opening = json_pack("{s:O, s:s, s:s?, s:s}", "data", (json_t *)content, "kind", kind,
                                "object", subject, "salt", salt_text);
    char *text = json_dumps(opening, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(opening);
    return text;
}

static json_t *sealed_content(const char *kind, const char *opening, int64_t opens_at_s)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char hash_text[2 * sizeof(hash) + 1], time[CLOCK_TEXT_SIZE];
    crypto_hash_sha256(hash, (const uint8_t *)opening, strlen(opening));
    sodium_bin2hex(hash_text, sizeof(hash_text), hash, sizeof(hash));
    return json_pack("{s:s, s:s, s:s*}", "commitment", hash_text, "of", kind, "opens_at",
                     opens_at_s > 0 ? clock_text(opens_at_s, time) : NULL);
}

static int sealed_insert(struct store *store, const char *id, const char *kind, const char *subject,
                         const char *opening, int64_t opens_at_s, struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "INSERT INTO ledger_sealed (id, kind, subject, opening, opens_at) "
                        "VALUES ($1, $2, $3, $4, $5)",
                        store_text(id), store_text(kind), store_text(subject), store_text(opening),
                        opens_at_s > 0 ? store_integer(opens_at_s) : store_null());
}

int ledger_seal_put(struct store *store, int64_t now_ms, const char *kind, const char *subject,
                    const json_t *content, int64_t opens_at_s, char ret_id[static ID_SIZE],
                    struct error *ret_error)
{
    assert(store_in_transaction(store));
    /* Now, while somebody can still mend it. */
    int rc = ledger_kind_check(kind, subject, content, ret_error);
    if (rc < 0)
        return rc;
    char id[ID_SIZE];
    char *opening = opening_make(kind, subject, content);
    json_t *sealed = opening != NULL ? sealed_content(kind, opening, opens_at_s) : NULL;
    if (sealed == NULL)
        rc = error_set(ret_error, -ENOMEM, "out of memory for a sealed entry of the ledger");
    if (rc == 0)
        rc = ledger_queue_put(store, now_ms, "sealed", NULL, sealed, id, ret_error);
    if (rc == 0)
        rc = sealed_insert(store, id, kind, subject, opening, opens_at_s, ret_error);
    json_decref(sealed);
    free(opening);
    if (rc == 0)
        memcpy(ret_id, id, sizeof(id));
    return rc;
}

/* ---- Opening ---- */

/* The content of the entry that opens `id`. */
static json_t *opened_content(const char *id, const char *opening)
{
    json_t *parsed = json_loads(opening, JSON_REJECT_DUPLICATES, NULL);
    return parsed != NULL ? json_pack("{s:s, s:o}", "sealed", id, "opening", parsed) : NULL;
}

int ledger_seal_open(struct store *store, int64_t now_ms, const char *id,
                     char ret_id[static ID_SIZE], struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert(store_in_transaction(store));
    int rc = store_query(store, &rows, ret_error,
                         "DELETE FROM ledger_sealed WHERE id = $1 RETURNING subject, opening",
                         store_text(id));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0)
        return error_set(ret_error, -ENOENT, "there is no sealed entry %s", id);
    json_t *content = opened_content(id, store_row_text(rows, 0, 1));
    if (content == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory to open an entry of the ledger");
    rc = ledger_queue_put(store, now_ms, "opened", store_row_text(rows, 0, 0), content, ret_id,
                          ret_error);
    json_decref(content);
    return rc;
}

struct due {
    int64_t now_s;
    size_t count;
};

static int open_due_do(struct store *store, void *context, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    struct due *due = context;
    char id[ID_SIZE];
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id FROM ledger_sealed WHERE opens_at <= $1 "
                         "ORDER BY opens_at, id LIMIT $2",
                         store_integer(due->now_s), store_integer(OPEN_BATCH));
    due->count = rc == 0 ? store_rows_count(rows) : 0;
    for (size_t i = 0; i < due->count && rc == 0; i++)
        rc = ledger_seal_open(store, due->now_s * 1000, store_row_text(rows, i, 0), id, ret_error);
    return rc;
}

int ledger_seal_open_due(struct desk *desk, struct store *store, int64_t now_s,
                         struct error *ret_error)
{
    struct due due = {.now_s = now_s};
    int rc;
    (void)desk;
    do {
        rc = store_transact(store, open_due_do, &due, ret_error);
    } while (rc == 0 && due.count == OPEN_BATCH);
    return rc;
}
