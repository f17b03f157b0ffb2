#include "desk/throttle.h"

#include <assert.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* Keys that share a set; one of them is forgotten for a new one. */
#define WAYS 8

/* The generic cell rate algorithm: of a bucket only the time is kept at which it is full again. */
struct bucket {
    uint64_t key;    /* 0: none */
    int64_t full_ms; /* the past: full */
};

struct throttle {
    pthread_mutex_t lock;
    uint8_t secret[crypto_shorthash_KEYBYTES];
    size_t set_count; /* a power of two */
    struct bucket buckets[];
};

struct throttle *throttle_create(size_t entries)
{
    size_t set_count = 1;
    while (set_count * WAYS < entries)
        set_count *= 2;
    struct throttle *throttle =
        calloc(1, sizeof(*throttle) + set_count * WAYS * sizeof(struct bucket));
    if (throttle == NULL)
        return NULL;
    throttle->set_count = set_count;
    pthread_mutex_init(&throttle->lock, NULL);
    crypto_shorthash_keygen(throttle->secret);
    return throttle;
}

void throttle_free(struct throttle *throttle)
{
    if (throttle == NULL)
        return;
    pthread_mutex_destroy(&throttle->lock);
    free(throttle);
}

static uint64_t hash(const struct throttle *throttle, const void *octets, size_t size)
{
    uint64_t value;
    static_assert(sizeof(value) == crypto_shorthash_BYTES, "a key is one short hash");
    crypto_shorthash((uint8_t *)&value, octets, size, throttle->secret);
    return value;
}

uint64_t throttle_key(const struct throttle *throttle, const char *kind, const char *text)
{
    const uint64_t parts[2] = {hash(throttle, kind, strlen(kind)),
                               hash(throttle, text, strlen(text))};
    uint64_t key = hash(throttle, parts, sizeof(parts));
    return key != 0 ? key : 1;
}

static struct bucket *set_of(struct throttle *throttle, uint64_t key)
{
    return &throttle->buckets[(key & (throttle->set_count - 1)) * WAYS];
}

static struct bucket *bucket_find(struct throttle *throttle, uint64_t key)
{
    struct bucket *set = set_of(throttle, key);
    for (size_t i = 0; i < WAYS; i++)
        if (set[i].key == key)
            return &set[i];
    return NULL;
}

/* The one that is full the soonest has the least to remember. */
static struct bucket *bucket_replace(struct throttle *throttle, uint64_t key)
{
    struct bucket *set = set_of(throttle, key), *oldest = set;
    for (size_t i = 1; i < WAYS; i++)
        if (set[i].full_ms < oldest->full_ms)
            oldest = &set[i];
    *oldest = (struct bucket){.key = key};
    return oldest;
}

unsigned throttle_take(struct throttle *throttle, uint64_t key, struct throttle_rate rate,
                       int64_t now_ms)
{
    const int64_t period_ms = (int64_t)rate.period_s * 1000;
    unsigned wait_s = 0;

    assert(rate.burst > 0 && rate.period_s > 0);
    pthread_mutex_lock(&throttle->lock);
    struct bucket *bucket = bucket_find(throttle, key);
    const int64_t from_ms = bucket != NULL && bucket->full_ms > now_ms ? bucket->full_ms : now_ms;
    const int64_t beyond_ms = from_ms + period_ms - now_ms - rate.burst * period_ms;
    if (beyond_ms > 0) {
        wait_s = (unsigned)((beyond_ms + 999) / 1000);
    } else {
        if (bucket == NULL)
            bucket = bucket_replace(throttle, key);
        bucket->full_ms = from_ms + period_ms;
    }
    pthread_mutex_unlock(&throttle->lock);
    return wait_s;
}

void throttle_give(struct throttle *throttle, uint64_t key, struct throttle_rate rate)
{
    pthread_mutex_lock(&throttle->lock);
    struct bucket *bucket = bucket_find(throttle, key);
    if (bucket != NULL)
        bucket->full_ms -= (int64_t)rate.period_s * 1000;
    pthread_mutex_unlock(&throttle->lock);
}
