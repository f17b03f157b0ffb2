#include "desk/totp.h"

#include <assert.h>
#include <ctype.h>
#include <nettle/hmac.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "desk/principal.h"

#define WINDOW_STEPS 1 /* before and after now */

#define RECOVERY_DIGITS 16

void totp_secret_make(uint8_t ret_secret[static TOTP_SECRET_SIZE])
{
    randombytes_buf(ret_secret, TOTP_SECRET_SIZE);
}

void totp_secret_text(const uint8_t secret[static TOTP_SECRET_SIZE],
                      char ret_text[static TOTP_TEXT_SIZE])
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    static_assert(TOTP_SECRET_SIZE % 5 == 0, "the secret's text needs no padding");
    char *at = ret_text;

    for (size_t i = 0; i < TOTP_SECRET_SIZE; i += 5) {
        uint64_t group = 0;
        for (size_t j = 0; j < 5; j++)
            group = group << 8 | secret[i + j];
        for (int shift = 35; shift >= 0; shift -= 5)
            *at++ = alphabet[group >> shift & 31];
    }
    *at = '\0';
}

void totp_code(const uint8_t *secret, size_t secret_size, int64_t step,
               char ret_code[static TOTP_CODE_SIZE])
{
    struct hmac_sha1_ctx hmac;
    uint8_t counter[8], digest[SHA1_DIGEST_SIZE];

    for (size_t i = 0; i < sizeof(counter); i++)
        counter[i] = (uint8_t)((uint64_t)step >> (56 - 8 * i));
    hmac_sha1_set_key(&hmac, secret_size, secret);
    hmac_sha1_update(&hmac, sizeof(counter), counter);
    hmac_sha1_digest(&hmac, sizeof(digest), digest);

    /* Dynamic truncation: RFC 4226, 5.3. */
    const size_t offset = digest[sizeof(digest) - 1] & 0xf;
    const uint32_t number = ((uint32_t)digest[offset] & 0x7f) << 24 |
                            (uint32_t)digest[offset + 1] << 16 | (uint32_t)digest[offset + 2] << 8 |
                            digest[offset + 3];
    (void)snprintf(ret_code, TOTP_CODE_SIZE, "%06u", number % 1000000);
    sodium_memzero(&hmac, sizeof(hmac));
    sodium_memzero(digest, sizeof(digest));
}

bool totp_step_find(const uint8_t *secret, size_t secret_size, const char *code, int64_t now_s,
                    int64_t last_step, int64_t *ret_step)
{
    const int64_t now = now_s / TOTP_STEP_S;
    char expected[TOTP_CODE_SIZE], given[TOTP_CODE_SIZE] = "";
    bool is_found = false;

    (void)snprintf(given, sizeof(given), "%s", code);
    const bool is_long = strlen(code) != sizeof(given) - 1;
    for (int64_t step = now - WINDOW_STEPS; step <= now + WINDOW_STEPS; step++) {
        totp_code(secret, secret_size, step, expected);
        const bool is_equal = sodium_memcmp(expected, given, sizeof(given)) == 0;
        if (is_equal && !is_long && step > last_step && !is_found) {
            *ret_step = step;
            is_found = true;
        }
    }
    return is_found;
}

/* ---- Recovery codes ---- */

static void recovery_make(char ret_code[static RECOVERY_CODE_SIZE])
{
    static const char alphabet[] = "0123456789abcdefghjkmnpqrstvwxyz";
    uint8_t octets[RECOVERY_DIGITS];
    char *at = ret_code;

    randombytes_buf(octets, sizeof(octets));
    for (size_t i = 0; i < RECOVERY_DIGITS; i++) {
        if (i > 0 && i % 4 == 0)
            *at++ = '-';
        *at++ = alphabet[octets[i] & 31];
    }
    *at = '\0';
    sodium_memzero(octets, sizeof(octets));
}

/* The hash is of the account, too: a code is no other account's. 80 bits of chance need no slow
 * one. */
static void recovery_hash(const char *account, const char *code,
                          uint8_t ret_hash[static SECRET_HASH_SIZE])
{
    char text[128];
    size_t size = (size_t)snprintf(text, sizeof(text), "%s ", account);

    for (; *code != '\0' && size + 1 < sizeof(text); code++)
        if (*code != '-' && *code != ' ')
            text[size++] = (char)tolower((unsigned char)*code);
    text[size] = '\0';
    secret_hash("recovery", text, ret_hash);
}

int recovery_codes_make(struct store *store, const char *account,
                        char ret_codes[static RECOVERY_CODES][RECOVERY_CODE_SIZE],
                        struct error *ret_error)
{
    uint8_t hash[SECRET_HASH_SIZE];

    assert(store_in_transaction(store));
    int rc = store_change(store, NULL, ret_error, "DELETE FROM recovery_codes WHERE account = $1",
                          store_text(account));
    for (size_t i = 0; i < RECOVERY_CODES && rc == 0; i++) {
        recovery_make(ret_codes[i]);
        recovery_hash(account, ret_codes[i], hash);
        rc = store_change(store, NULL, ret_error,
                          "INSERT INTO recovery_codes (account, hash) VALUES ($1, $2)",
                          store_text(account), store_octets(hash, sizeof(hash)));
    }
    return rc;
}

int recovery_code_use(struct store *store, const char *account, const char *code, bool *ret_is_one,
                      struct error *ret_error)
{
    uint8_t hash[SECRET_HASH_SIZE];
    uint64_t changed = 0;

    assert(store_in_transaction(store));
    recovery_hash(account, code, hash);
    int rc = store_change(store, &changed, ret_error,
                          "DELETE FROM recovery_codes WHERE account = $1 AND hash = $2",
                          store_text(account), store_octets(hash, sizeof(hash)));
    if (rc == 0)
        *ret_is_one = changed == 1;
    return rc;
}
