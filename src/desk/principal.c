#include "desk/principal.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* A session that is used is not written at every request, only so often. */
#define SEEN_EVERY_S 300

void secret_make(char ret_text[static SECRET_TEXT_SIZE])
{
    uint8_t octets[32];
    randombytes_buf(octets, sizeof(octets));
    sodium_bin2base64(ret_text, SECRET_TEXT_SIZE, octets, sizeof(octets),
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(octets, sizeof(octets));
}

void secret_hash(const char *purpose, const char *text, uint8_t ret_hash[static SECRET_HASH_SIZE])
{
    uint8_t personal[crypto_generichash_blake2b_PERSONALBYTES] = {0};
    size_t size = strlen(purpose);

    assert(size <= sizeof(personal));
    memcpy(personal, purpose, size);
    crypto_generichash_blake2b_salt_personal(ret_hash, SECRET_HASH_SIZE, (const uint8_t *)text,
                                             strlen(text), NULL, 0, NULL, personal);
}

int session_open(struct store *store, const char *account, int64_t now_s,
                 char ret_cookie[static SECRET_TEXT_SIZE], char ret_csrf[static SECRET_TEXT_SIZE],
                 struct error *ret_error)
{
    uint8_t cookie_hash[SECRET_HASH_SIZE], csrf_hash[SECRET_HASH_SIZE];

    assert(store_in_transaction(store));
    secret_make(ret_cookie);
    secret_make(ret_csrf);
    secret_hash("session", ret_cookie, cookie_hash);
    secret_hash("csrf", ret_csrf, csrf_hash);
    return store_change(store, NULL, ret_error,
                        "INSERT INTO sessions (id_hash, account, csrf_hash, created_at, seen_at, "
                        "expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
                        store_octets(cookie_hash, sizeof(cookie_hash)), store_text(account),
                        store_octets(csrf_hash, sizeof(csrf_hash)), store_integer(now_s),
                        store_integer(now_s), store_integer(now_s + SESSION_LIFE_S));
}

/* What a role opens beyond one's own is closed to the suspended: sessions and tokens outlive the
 * suspension, and may be why there is one. */
static void account_set(struct principal *principal, const char *account, const char *role,
                        const char *state)
{
    principal->is_suspended = strcmp(state, "active") != 0;
    snprintf(principal->account, sizeof(principal->account), "%s", account);
    principal->role = role_find(role);
    if (principal->is_suspended && principal->role != ROLE_REPORTER)
        principal->role = ROLE_CUSTOMER;
}

static int seen_note(struct store *store, const uint8_t *hash, int64_t now_s,
                     struct error *ret_error)
{
    return store_change(store, NULL, ret_error,
                        "UPDATE sessions SET seen_at = $1 WHERE id_hash = $2", store_integer(now_s),
                        store_octets(hash, SECRET_HASH_SIZE));
}

static int session_find(struct store *store, const char *cookie, int64_t now_s,
                        struct principal *principal, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t hash[SECRET_HASH_SIZE];
    size_t csrf_size;

    secret_hash("session", cookie, hash);
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT s.account, a.role, s.csrf_hash, s.seen_at, a.state FROM sessions s "
                    "JOIN accounts a ON a.id = s.account WHERE s.id_hash = $1 AND "
                    "s.expires_at > $2 AND s.seen_at > $3 AND a.state <> 'closed'",
                    store_octets(hash, sizeof(hash)), store_integer(now_s),
                    store_integer(now_s - SESSION_IDLE_S));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    const uint8_t *csrf = store_row_octets(rows, 0, 2, &csrf_size);
    if (csrf_size != sizeof(principal->csrf_hash))
        return error_set(ret_error, -EBADMSG, "a session has no hash of its CSRF token");

    principal->kind = PRINCIPAL_SESSION;
    principal->scopes = ~0u;
    account_set(principal, store_row_text(rows, 0, 0), store_row_text(rows, 0, 1),
                store_row_text(rows, 0, 4));
    memcpy(principal->csrf_hash, csrf, csrf_size);
    sodium_bin2hex(principal->credential, sizeof(principal->credential), hash, sizeof(hash));
    if (now_s - store_row_integer(rows, 0, 3) >= SEEN_EVERY_S)
        return seen_note(store, hash, now_s, ret_error);
    return 0;
}

static int token_find(struct store *store, const char *bearer, int64_t now_s,
                      struct principal *principal, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    uint8_t hash[SECRET_HASH_SIZE];

    secret_hash("token", bearer, hash);
    int rc = store_query(store, &rows, ret_error,
                         "SELECT t.id, t.account, a.role, t.scopes, t.last_used_at, a.state "
                         "FROM api_tokens t JOIN accounts a ON a.id = t.account "
                         "WHERE t.hash = $1 AND (t.expires_at IS NULL OR t.expires_at > $2) "
                         "AND a.state <> 'closed'",
                         store_octets(hash, sizeof(hash)), store_integer(now_s));
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) == 0 ||
        !scopes_parse(store_row_text(rows, 0, 3), &principal->scopes))
        return error_set(ret_error, -EACCES, "the token is not valid: make a new one");

    principal->kind = PRINCIPAL_TOKEN;
    account_set(principal, store_row_text(rows, 0, 1), store_row_text(rows, 0, 2),
                store_row_text(rows, 0, 5));
    snprintf(principal->credential, sizeof(principal->credential), "%s",
             store_row_text(rows, 0, 0));
    if (now_s - store_row_integer(rows, 0, 4) < SEEN_EVERY_S)
        return 0;
    return store_change(store, NULL, ret_error,
                        "UPDATE api_tokens SET last_used_at = $1 WHERE id = $2",
                        store_integer(now_s), store_text(principal->credential));
}

int principal_find(struct store *store, const char *cookie, const char *bearer, int64_t now_s,
                   struct principal *ret_principal, struct error *ret_error)
{
    struct principal found = {.kind = PRINCIPAL_PUBLIC, .role = ROLE_PUBLIC};
    int rc = 0;

    /* A token that is shown counts alone: whoever sends one means it. */
    if (bearer != NULL)
        rc = token_find(store, bearer, now_s, &found, ret_error);
    else if (cookie != NULL)
        rc = session_find(store, cookie, now_s, &found, ret_error);
    if (rc == 0)
        *ret_principal = found;
    return rc;
}

bool principal_csrf_matches(const struct principal *principal, const char *csrf)
{
    uint8_t hash[SECRET_HASH_SIZE];
    if (csrf == NULL)
        return false;
    secret_hash("csrf", csrf, hash);
    return sodium_memcmp(hash, principal->csrf_hash, sizeof(hash)) == 0;
}
