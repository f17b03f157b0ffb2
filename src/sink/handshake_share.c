#include "sink/handshake_share.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define ROWS 1024

/* One in so many microseconds may be spent: by all, and by one source, whose part is some 150
 * handshakes a second with the certificate that is made at the start. */
#define PART_OF_ALL    2
#define PART_OF_SOURCE 32

/* So many may be spent at once after a rest: in handshakes, some 3,000 and 400. */
#define REST_OF_ALL_US    INT64_C(1000000)
#define REST_OF_SOURCE_US INT64_C(2000000)

/* The dearest step of any handshake; where one took longer, the thread was stopped meanwhile. */
#define STEP_US_MAX 10000

struct handshake_share {
    uint8_t key[crypto_shorthash_KEYBYTES];
    /* When what was spent is earned again. */
    int64_t all_us;
    int64_t rows_us[ROWS];
};

struct handshake_share *handshake_share_create(void)
{
    struct handshake_share *share = calloc(1, sizeof(*share));
    if (share != NULL)
        crypto_shorthash_keygen(share->key);
    return share;
}

void handshake_share_free(struct handshake_share *share)
{
    free(share);
}

static size_t row_of(const struct handshake_share *share, const struct in6_addr *client)
{
    uint8_t source[16] = {0};
    uint64_t hash;

    memcpy(source, client, IN6_IS_ADDR_V4MAPPED(client) ? 16 : 8);
    crypto_shorthash((uint8_t *)&hash, source, sizeof(source), share->key);
    return hash % ROWS;
}

bool handshake_share_has_room(const struct handshake_share *share, const struct in6_addr *client,
                              int64_t now_us)
{
    return share->all_us - now_us < REST_OF_ALL_US &&
           share->rows_us[row_of(share, client)] - now_us < REST_OF_SOURCE_US;
}

static void spend(int64_t *earned_us, int64_t now_us, int64_t cost_us)
{
    *earned_us = (*earned_us > now_us ? *earned_us : now_us) + cost_us;
}

void handshake_share_spend(struct handshake_share *share, const struct in6_addr *client,
                           int64_t now_us, int64_t spent_us)
{
    if (spent_us > STEP_US_MAX)
        spent_us = STEP_US_MAX;
    spend(&share->all_us, now_us, spent_us * PART_OF_ALL);
    spend(&share->rows_us[row_of(share, client)], now_us, spent_us * PART_OF_SOURCE);
}
