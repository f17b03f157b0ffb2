#include "desk/host_credentials.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "desk/throttle.h"

/* What is kept of one that is right: as long as nobody says that the account has changed. */
#define RIGHT_KEPT_S 600
#define WRONG_KEPT_S 60

/* Entries of a set: one that comes takes the place of the one that ends first. */
#define WAYS    4
#define STRIPES 64

/* Wrong passwords of a client: a router with an old one does no harm, a guesser gets nowhere. */
static const struct throttle_rate client_rate = {20, 10};
/* Wrong keys and tokens of a client. Nobody guesses one, so that this bounds only the work of
 * looking them up: as many at once as a network behind one address has after a restart. */
static const struct throttle_rate made_rate = {1000, 1};
/* Wrong passwords of an account, from wherever: wide, since its owner's router is kept out, too. */
static const struct throttle_rate account_rate = {100, 30};

#define GUESSES_MAX 65536

struct kept {
    uint8_t hash[SECRET_HASH_SIZE];
    char account[ID_SIZE]; /* "": it is wrong */
    int64_t until_s;
};

struct host_credentials {
    uint8_t key[crypto_generichash_KEYBYTES]; /* of the process: a dump of memory shows no hash to
                                                 guess passwords by without it */
    atomic_uint_fast64_t generation;          /* counts what was forgotten */
    pthread_mutex_t locks[STRIPES];
    struct kept *kept;
    size_t set_mask;
    struct throttle *guesses;
};

int host_credentials_create(size_t entries_max, struct host_credentials **ret_credentials,
                            struct error *ret_error)
{
    struct host_credentials *credentials = calloc(1, sizeof(*credentials));
    size_t sets = STRIPES;
    while (sets * WAYS < entries_max)
        sets *= 2;
    if (credentials != NULL) {
        credentials->kept = calloc(sets * WAYS, sizeof(*credentials->kept));
        credentials->guesses = throttle_create(GUESSES_MAX);
    }
    if (credentials == NULL || credentials->kept == NULL || credentials->guesses == NULL) {
        if (credentials != NULL) {
            throttle_free(credentials->guesses);
            free(credentials->kept);
        }
        free(credentials);
        return error_set(ret_error, -ENOMEM, "out of memory for sign-ins");
    }
    credentials->set_mask = sets - 1;
    randombytes_buf(credentials->key, sizeof(credentials->key));
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_init(&credentials->locks[i], NULL);
    *ret_credentials = credentials;
    return 0;
}

void host_credentials_free(struct host_credentials *credentials)
{
    if (credentials == NULL)
        return;
    for (size_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&credentials->locks[i]);
    throttle_free(credentials->guesses);
    sodium_memzero(credentials->key, sizeof(credentials->key));
    free(credentials->kept);
    free(credentials);
}

/* ---- Making ---- */

void host_key_hash(const char *key, uint8_t ret_hash[static SECRET_HASH_SIZE])
{
    secret_hash("host-key", key, ret_hash);
}

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static void memory_hash(const struct host_credentials *credentials, const char *user,
                        const char *secret, uint8_t ret_hash[static SECRET_HASH_SIZE])
{
    crypto_generichash_state state;
    crypto_generichash_init(&state, credentials->key, sizeof(credentials->key), SECRET_HASH_SIZE);
    crypto_generichash_update(&state, (const uint8_t *)user, strlen(user) + 1);
    crypto_generichash_update(&state, (const uint8_t *)secret, strlen(secret));
    crypto_generichash_final(&state, ret_hash, SECRET_HASH_SIZE);
}

bool credential_make(const struct host_credentials *credentials, const char *user,
                     const char *secret, struct credential *ret_credential)
{
    struct credential *made = ret_credential;

    made->kind = CREDENTIAL_NONE;
    made->user[0] = '\0';
    if (strlen(secret) > PASSWORD_SIZE_MAX || secret[0] == '\0')
        return false;
    memcpy(made->secret, secret, strlen(secret) + 1);
    if (has_prefix(secret, HOST_KEY_PREFIX)) {
        made->kind = CREDENTIAL_KEY;
        host_key_hash(secret, made->hash);
    } else if (has_prefix(secret, TOKEN_PREFIX)) {
        made->kind = CREDENTIAL_TOKEN;
        memory_hash(credentials, "", secret, made->hash);
    } else if (email_normalize(user, made->user)) {
        made->kind = CREDENTIAL_PASSWORD;
        memory_hash(credentials, made->user, secret, made->hash);
    }
    return made->kind != CREDENTIAL_NONE;
}

void credential_wipe(struct credential *credential)
{
    sodium_memzero(credential->secret, strlen(credential->secret));
    credential->kind = CREDENTIAL_NONE;
}

/* ---- What is kept ---- */

static struct kept *set_of(struct host_credentials *credentials, const uint8_t *hash,
                           pthread_mutex_t **ret_lock)
{
    size_t index;
    memcpy(&index, hash, sizeof(index));
    index &= credentials->set_mask;
    *ret_lock = &credentials->locks[index % STRIPES];
    return &credentials->kept[index * WAYS];
}

int host_credentials_find(struct host_credentials *credentials, const struct credential *credential,
                          int64_t now_s, char ret_account[static ID_SIZE])
{
    pthread_mutex_t *lock;
    struct kept *set = set_of(credentials, credential->hash, &lock);
    int rc = -ENOENT;

    pthread_mutex_lock(lock);
    for (size_t i = 0; i < WAYS && rc == -ENOENT; i++) {
        if (set[i].until_s <= now_s ||
            sodium_memcmp(set[i].hash, credential->hash, SECRET_HASH_SIZE) != 0)
            continue;
        rc = set[i].account[0] == '\0' ? -EACCES : 0;
        memcpy(ret_account, set[i].account, ID_SIZE);
    }
    pthread_mutex_unlock(lock);
    return rc;
}

static void keep(struct host_credentials *credentials, const struct credential *credential,
                 const char *account, int64_t until_s, uint64_t generation)
{
    pthread_mutex_t *lock;
    struct kept *set = set_of(credentials, credential->hash, &lock), *at = set;

    pthread_mutex_lock(lock);
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until_s < at->until_s)
            at = &set[i];
    /* What an account's change overtook is not kept. */
    if (atomic_load(&credentials->generation) == generation) {
        memcpy(at->hash, credential->hash, SECRET_HASH_SIZE);
        memcpy(at->account, account, ID_SIZE);
        at->until_s = until_s;
    }
    pthread_mutex_unlock(lock);
}

void host_credentials_forget(struct host_credentials *credentials, const char *account)
{
    atomic_fetch_add(&credentials->generation, 1);
    for (size_t i = 0; i <= credentials->set_mask; i++) {
        pthread_mutex_t *lock = &credentials->locks[i % STRIPES];
        struct kept *set = &credentials->kept[i * WAYS];
        pthread_mutex_lock(lock);
        for (size_t j = 0; j < WAYS; j++)
            if (set[j].until_s != 0 && strcmp(set[j].account, account) == 0)
                set[j].until_s = 0;
        pthread_mutex_unlock(lock);
    }
}

/* ---- Guessers ---- */

/* Whoever has one address of a /64 has all. */
static void client_write(const struct sockaddr *client, char ret_text[static INET6_ADDRSTRLEN])
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)client;
    struct in6_addr prefix;

    if (client->sa_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, ret_text, INET6_ADDRSTRLEN);
        return;
    }
    prefix = ((const struct sockaddr_in6 *)client)->sin6_addr;
    memset(prefix.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &prefix, ret_text, INET6_ADDRSTRLEN);
}

struct buckets {
    uint64_t client, account; /* of a password; else not there */
    struct throttle_rate client_rate;
    bool has_account;
};

static struct buckets buckets_of(const struct host_credentials *credentials,
                                 const struct credential *credential, const struct sockaddr *client)
{
    char text[INET6_ADDRSTRLEN];
    client_write(client, text);
    const bool is_password = credential->kind == CREDENTIAL_PASSWORD;
    return (struct buckets){
        .client = throttle_key(credentials->guesses, is_password ? "client" : "made", text),
        .client_rate = is_password ? client_rate : made_rate,
        .account = throttle_key(credentials->guesses, "account", credential->user),
        .has_account = is_password,
    };
}

bool host_guess_take(struct host_credentials *credentials, const struct credential *credential,
                     const struct sockaddr *client, int64_t now_ms)
{
    struct buckets buckets = buckets_of(credentials, credential, client);
    if (throttle_take(credentials->guesses, buckets.client, buckets.client_rate, now_ms) > 0)
        return false;
    if (!buckets.has_account ||
        throttle_take(credentials->guesses, buckets.account, account_rate, now_ms) == 0)
        return true;
    throttle_give(credentials->guesses, buckets.client, buckets.client_rate);
    return false;
}

void host_guess_give(struct host_credentials *credentials, const struct credential *credential,
                     const struct sockaddr *client)
{
    struct buckets buckets = buckets_of(credentials, credential, client);
    throttle_give(credentials->guesses, buckets.client, buckets.client_rate);
    if (buckets.has_account)
        throttle_give(credentials->guesses, buckets.account, account_rate);
}

/* ---- Checking ---- */

static int token_check(struct store *store, const struct credential *credential, int64_t now_s,
                       char ret_account[static ID_SIZE], struct error *ret_error)
{
    struct principal who;
    int rc = principal_find(store, NULL, credential->secret, now_s, &who, ret_error);
    if (rc < 0)
        return rc;
    if ((who.role & (ROLE_CUSTOMER | ROLE_OPERATOR)) == 0 || (who.scopes & SCOPE_HOSTS_WRITE) == 0)
        return error_set(ret_error, -EACCES, "the token may not update hosts");
    memcpy(ret_account, who.account, ID_SIZE);
    return 0;
}

/* An account with a second factor updates by keys and tokens: its password alone opens nothing. */
static int password_check(struct store *store, const struct credential *credential,
                          char ret_account[static ID_SIZE], struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT id, password_hash FROM accounts WHERE email = $1 AND "
                         "state <> 'closed' AND email_confirmed_at IS NOT NULL AND "
                         "totp_secret IS NULL",
                         store_text(credential->user));
    if (rc < 0)
        return rc;
    bool is_there = store_rows_count(rows) > 0;
    const char *hash = is_there ? store_row_text(rows, 0, 1) : NULL;
    if (!password_matches(credential->secret, hash) || !is_there)
        return error_set(ret_error, -EACCES, "address and password do not belong together");
    snprintf(ret_account, ID_SIZE, "%s", store_row_text(rows, 0, 0));
    return 0;
}

int host_credentials_check(struct host_credentials *credentials, struct store *store,
                           const struct credential *credential, int64_t now_s,
                           char ret_account[static ID_SIZE], struct error *ret_error)
{
    uint64_t generation = atomic_load(&credentials->generation);
    char account[ID_SIZE] = "";

    /* Another request may have brought it meanwhile. */
    int rc = host_credentials_find(credentials, credential, now_s, ret_account);
    if (rc != -ENOENT)
        return rc;
    rc = credential->kind == CREDENTIAL_TOKEN
             ? token_check(store, credential, now_s, account, ret_error)
             : password_check(store, credential, account, ret_error);
    if (rc == 0 || rc == -EACCES)
        keep(credentials, credential, account, now_s + (rc == 0 ? RIGHT_KEPT_S : WRONG_KEPT_S),
             generation);
    if (rc == 0)
        memcpy(ret_account, account, ID_SIZE);
    return rc;
}
