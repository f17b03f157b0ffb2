/* Idempotency-Key: a change that a client asks for twice, since it saw no answer, is done once. The
 * key is claimed in the transaction of the change; the answer is kept right after. */
#include <errno.h>
#include <sodium.h>
#include <string.h>

#include "base/log.h"
#include "desk/http_internal.h"

#define KEY_SIZE_MAX 255

/* Answers longer than this are not kept. */
#define BODY_MAX 65536

static void hash_add(crypto_generichash_state *state, const char *text)
{
    crypto_generichash_update(state, (const uint8_t *)text, strlen(text) + 1);
}

/* The key is of who asks and what for. A stranger has only what was sent to be told by: another one
 * who guesses the key but not the request learns nothing. */
static void hashes_make(struct request *request)
{
    crypto_generichash_state state;
    bool is_public = request->principal.kind == PRINCIPAL_PUBLIC;
    uint8_t secret[crypto_generichash_KEYBYTES];

    /* Keyed with what only the client knows: a body may hold a password, which whoever reads the
     * database must not be able to guess at. */
    crypto_generichash(secret, sizeof(secret), (const uint8_t *)request->idempotency_key,
                       strlen(request->idempotency_key), NULL, 0);
    crypto_generichash(request->request_hash, sizeof(request->request_hash),
                       (const uint8_t *)(request->body != NULL ? request->body : ""),
                       request->body_size, secret, sizeof(secret));
    crypto_generichash_init(&state, NULL, 0, sizeof(request->key_hash));
    hash_add(&state, is_public ? "" : request->principal.account);
    hash_add(&state, request->method);
    hash_add(&state, request->path);
    hash_add(&state, request->idempotency_key);
    if (is_public)
        crypto_generichash_update(&state, request->request_hash, sizeof(request->request_hash));
    crypto_generichash_final(&state, request->key_hash, sizeof(request->key_hash));
}

static int repeat(struct request *request, const struct store_rows *rows)
{
    struct reply *reply = &request->reply;
    const char *type = store_row_text(rows, 0, 3), *location = store_row_text(rows, 0, 4);
    size_t size;
    const uint8_t *hash = store_row_octets(rows, 0, 0, &size);

    if (size != sizeof(request->request_hash) || memcmp(hash, request->request_hash, size) != 0)
        return reply_problem(reply, 422, "idempotency-key", "take a new key for a new request",
                             NULL, "the Idempotency-Key was used for another request");
    if (store_row_is_null(rows, 0, 1))
        return reply_problem(reply, 409, "already-done", "look at what there is", NULL,
                             "this was done already; its answer is not kept");
    if (reply_header_add(reply, "Idempotent-Replay", "true") < 0 ||
        (location != NULL && reply_header_add(reply, "Location", location) < 0))
        return -ENOMEM;
    if (type == NULL)
        return reply_status(reply, (unsigned)store_row_integer(rows, 0, 1));
    const char *body = store_row_text(rows, 0, 2);
    return reply_octets(reply, (unsigned)store_row_integer(rows, 0, 1), "application/json", body,
                        strlen(body));
}

int idempotency_begin(struct request *request, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const char *key = request_header(request, "Idempotency-Key");

    if (key == NULL || strcmp(request->method, "POST") != 0)
        return 0;
    if (key[0] == '\0' || strlen(key) > KEY_SIZE_MAX)
        return error_set(ret_error, -EINVAL,
                         "the Idempotency-Key is not possible: give 1 to %d octets", KEY_SIZE_MAX);
    request->idempotency_key = key;
    hashes_make(request);
    int rc = store_query(request->store, &rows, ret_error,
                         "SELECT request_hash, status, body, type, location FROM idempotency "
                         "WHERE key_hash = $1",
                         store_octets(request->key_hash, sizeof(request->key_hash)));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    rc = repeat(request, rows);
    return rc < 0 ? rc : 1;
}

int idempotency_claim(struct request *request, struct store *store, struct error *ret_error)
{
    uint64_t changed;
    if (request->idempotency_key == NULL)
        return 0;
    int rc = store_change(store, &changed, ret_error,
                          "INSERT INTO idempotency (key_hash, request_hash, created_at) "
                          "VALUES ($1, $2, $3) ON CONFLICT (key_hash) DO NOTHING",
                          store_octets(request->key_hash, sizeof(request->key_hash)),
                          store_octets(request->request_hash, sizeof(request->request_hash)),
                          store_integer(request_now_s(request)));
    if (rc == 0 && changed == 0)
        return error_set(
            ret_error, -EEXIST,
            "a request with this Idempotency-Key is being done: ask again for its answer");
    return rc;
}

static const char *location_of(const struct reply *reply)
{
    for (size_t i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, "Location") == 0)
            return reply->headers[i].value;
    return NULL;
}

void idempotency_keep(struct request *request)
{
    const struct reply *reply = &request->reply;
    struct error error;
    bool is_json = reply->type == NULL || strcmp(reply->type, "application/json") == 0;

    if (!request->is_claimed || reply->is_secret || !is_json || reply->fd >= 0 ||
        reply->size > BODY_MAX)
        return;
    int rc = store_change(request->store, NULL, &error,
                          "UPDATE idempotency SET status = $1, body = $2, type = $3, location = $4 "
                          "WHERE key_hash = $5",
                          store_integer(reply->status), store_text(reply->body),
                          store_text(reply->type), store_text(location_of(reply)),
                          store_octets(request->key_hash, sizeof(request->key_hash)));
    if (rc < 0) /* the change is done, and a repetition is told so */
        log_event(LOG_WARNING, "an answer could not be kept: %s", error.text);
}
