#include "sink/datagram_share.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>

#include "sink/source_numbers.h"

/* Room for 65,536 sources: 1 MiB. A row is one line of the cache. */
#define ROWS        16384
#define ROW_SOURCES 4

#define SECOND_NS INT64_C(1000000000)

struct source {
    uint64_t prefix;
    int64_t earned_ns; /* when what was taken is earned again */
};

struct row {
    _Alignas(64) struct source sources[ROW_SOURCES];
};

static_assert(sizeof(struct row) == 64, "a row is one line");

struct datagram_share {
    pthread_mutex_t lock;
    uint8_t key[crypto_shorthash_KEYBYTES];
    int64_t cost_ns; /* of a datagram */
    struct row *rows;
};

struct datagram_share *datagram_share_create(uint32_t per_second_max)
{
    _cleanup_(datagram_share_freep) struct datagram_share *share = calloc(1, sizeof(*share));
    assert(per_second_max > 0);
    if (share == NULL || sodium_init() < 0)
        return NULL;
    pthread_mutex_init(&share->lock, NULL);
    crypto_shorthash_keygen(share->key);
    share->cost_ns = SECOND_NS / per_second_max;
    share->rows = aligned_alloc(_Alignof(struct row), ROWS * sizeof(*share->rows));
    if (share->rows == NULL)
        return NULL;
    for (size_t i = 0; i < ROWS; i++)
        share->rows[i] = (struct row){0};
    return TAKE(share);
}

void datagram_share_free(struct datagram_share *share)
{
    if (share == NULL)
        return;
    free(share->rows);
    free(share);
}

static struct row *row_of(const struct datagram_share *share, uint64_t prefix)
{
    uint64_t hash;
    static_assert(sizeof(hash) == crypto_shorthash_BYTES, "SipHash's width");
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)&prefix, sizeof(prefix), share->key);
    return &share->rows[hash % ROWS];
}

/* That of the prefix, or one to be used for it. */
static struct source *source_of(struct row *row, uint64_t prefix)
{
    struct source *oldest = &row->sources[0];
    for (size_t i = 0; i < ROW_SOURCES; i++) {
        struct source *source = &row->sources[i];
        if (source->prefix == prefix)
            return source;
        if (source->earned_ns < oldest->earned_ns)
            oldest = source;
    }
    *oldest = (struct source){.prefix = prefix};
    return oldest;
}

bool datagram_share_take(struct datagram_share *share, const struct in6_addr *client,
                         int64_t now_us)
{
    const int64_t now_ns = now_us * 1000;
    const uint64_t prefix = source_prefix(client);
    struct row *row = row_of(share, prefix);

    pthread_mutex_lock(&share->lock);
    struct source *source = source_of(row, prefix);
    const int64_t from_ns = source->earned_ns > now_ns ? source->earned_ns : now_ns;
    const bool has_room = from_ns + share->cost_ns <= now_ns + SECOND_NS;
    if (has_room)
        source->earned_ns = from_ns + share->cost_ns;
    pthread_mutex_unlock(&share->lock);
    return has_room;
}
