/* Shards of chained hash tables. Each shard keeps its entries in a ring, too, over which a hand
 * goes that evicts what was not used since it last came by (second chance). */
#include "desk/host_cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* More threads than this do not ask at once. */
#define SHARDS 64

/* Entries that the hand looks at before an insertion gives up. */
#define HAND_STEPS_MAX 64

struct entry {
    struct entry *next;           /* in the bucket */
    struct entry *before, *after; /* in the ring */
    struct host_waiter *waiters;  /* while it is loading */
    uint64_t hash;
    bool is_loading, is_stale, is_used;
    char *blocked;                     /* owned */
    uint8_t (*keys)[SECRET_HASH_SIZE]; /* owned */
    struct host_entry seen;
    char name[];
};

struct shard {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_mask, count, count_max;
    struct entry *hand;
    uint64_t serial, hits, misses, evicted;
} __attribute__((aligned(64)));

struct host_cache {
    uint8_t key[crypto_shorthash_KEYBYTES]; /* nobody can choose names that collide */
    struct shard shards[SHARDS];
};

/* ---- The table ---- */

static uint64_t name_hash_make(const struct host_cache *cache, const char *name)
{
    uint64_t hash;
    static_assert(sizeof(hash) == crypto_shorthash_BYTES, "a hash is 64 bits");
    crypto_shorthash((uint8_t *)&hash, (const uint8_t *)name, strlen(name), cache->key);
    return hash;
}

static struct shard *shard_of(struct host_cache *cache, uint64_t hash)
{
    return &cache->shards[hash >> 32 & (SHARDS - 1)];
}

static struct entry *entry_find(struct shard *shard, uint64_t hash, const char *name)
{
    struct entry *entry = shard->buckets[hash & shard->bucket_mask];
    while (entry != NULL && (entry->hash != hash || strcmp(entry->name, name) != 0))
        entry = entry->next;
    return entry;
}

static void entry_free(struct entry *entry)
{
    free(entry->blocked);
    free(entry->keys);
    free(entry);
}

static void entry_remove(struct shard *shard, struct entry *entry)
{
    struct entry **at = &shard->buckets[entry->hash & shard->bucket_mask];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    if (entry->after == entry) {
        shard->hand = NULL;
    } else {
        entry->before->after = entry->after;
        entry->after->before = entry->before;
        if (shard->hand == entry)
            shard->hand = entry->after;
    }
    shard->count--;
    entry_free(entry);
}

/* Whoever waits for it, or is on the way to the name server with it, will come back to it. */
static bool is_busy(const struct entry *entry)
{
    return entry->is_loading || entry->seen.in_flight > 0;
}

static bool room_make(struct shard *shard)
{
    for (size_t i = 0; i < HAND_STEPS_MAX && shard->count >= shard->count_max; i++) {
        struct entry *entry = shard->hand;
        shard->hand = entry->after;
        if (is_busy(entry))
            continue;
        if (entry->is_used) {
            entry->is_used = false;
            continue;
        }
        shard->evicted++;
        entry_remove(shard, entry);
    }
    return shard->count < shard->count_max;
}

static struct entry *entry_add(struct shard *shard, uint64_t hash, const char *name)
{
    size_t size = strlen(name) + 1;
    struct entry *entry = calloc(1, sizeof(*entry) + size);
    if (entry == NULL)
        return NULL;
    memcpy(entry->name, name, size);
    entry->seen.name = entry->name;
    entry->hash = hash;
    entry->is_loading = true;
    entry->seen.serial = ++shard->serial;
    struct entry **bucket = &shard->buckets[hash & shard->bucket_mask];
    entry->next = *bucket;
    *bucket = entry;
    if (shard->hand == NULL) {
        shard->hand = entry->before = entry->after = entry;
    } else { /* behind the hand: it comes by last */
        entry->after = shard->hand;
        entry->before = shard->hand->before;
        entry->before->after = entry;
        shard->hand->before = entry;
    }
    shard->count++;
    return entry;
}

/* ---- Looking ---- */

int host_cache_look(struct host_cache *cache, const char *name, host_look_fn *look, void *context)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);
    int rc = -ENOENT;

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    if (entry != NULL && !entry->is_loading) {
        entry->is_used = true;
        shard->hits++;
        look(&entry->seen, context);
        rc = 0;
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

static int wait_begin(struct shard *shard, uint64_t hash, const char *name,
                      struct host_waiter *waiter, uint64_t *ret_serial)
{
    if (!room_make(shard))
        return -EAGAIN;
    struct entry *entry = entry_add(shard, hash, name);
    if (entry == NULL)
        return -ENOMEM;
    shard->misses++;
    waiter->next = NULL;
    entry->waiters = waiter;
    *ret_serial = entry->seen.serial;
    return 2;
}

int host_cache_look_or_wait(struct host_cache *cache, const char *name, host_look_fn *look,
                            void *context, struct host_waiter *waiter, uint64_t *ret_serial)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);
    int rc = 0;

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    if (entry == NULL) {
        rc = wait_begin(shard, hash, name, waiter, ret_serial);
    } else if (entry->is_loading) {
        waiter->next = entry->waiters;
        entry->waiters = waiter;
        rc = 1;
    } else {
        entry->is_used = true;
        look(&entry->seen, context);
    }
    pthread_mutex_unlock(&shard->lock);
    return rc;
}

void host_cache_look_at(struct host_cache *cache, const char *name, uint64_t serial,
                        host_look_fn *look, void *context)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    if (entry != NULL && entry->seen.serial == serial)
        look(&entry->seen, context);
    pthread_mutex_unlock(&shard->lock);
}

/* ---- Loading ---- */

static bool entry_fill(struct entry *entry, const struct host_facts *facts,
                       const struct host_addresses *addresses)
{
    struct host_entry *seen = &entry->seen;

    if (facts->blocked[0] != '\0' && (entry->blocked = strdup(facts->blocked)) == NULL)
        return false;
    if (facts->key_count > 0) {
        entry->keys = malloc(facts->key_count * sizeof(entry->keys[0]));
        if (entry->keys == NULL)
            return false;
        memcpy(entry->keys, facts->keys, facts->key_count * sizeof(entry->keys[0]));
    }
    seen->life = facts->life;
    seen->is_clean = facts->is_clean;
    memcpy(seen->account, facts->account, sizeof(seen->account));
    seen->blocked = entry->blocked;
    seen->blocked_until_s = facts->blocked_until_s;
    seen->zone = facts->zone;
    seen->has_suffix = facts->has_suffix;
    memcpy(seen->suffix, facts->suffix, sizeof(seen->suffix));
    seen->suffix_bits = facts->suffix_bits;
    seen->key_count = facts->key_count;
    seen->keys = (const uint8_t(*)[SECRET_HASH_SIZE])entry->keys;
    seen->updates_per_hour = facts->updates_per_hour;
    seen->seen_s = seen->seen_stored_s = facts->seen_s;
    seen->knows_addresses = addresses != NULL;
    if (addresses != NULL)
        seen->addresses = *addresses;
    return true;
}

static void waiters_wake(struct host_waiter *waiter, int rc)
{
    while (waiter != NULL) {
        struct host_waiter *next = waiter->next;
        waiter->wake(waiter, rc);
        waiter = next;
    }
}

bool host_cache_fill(struct host_cache *cache, const char *name, uint64_t serial,
                     const struct host_facts *facts, const struct host_addresses *addresses)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);
    struct host_waiter *waiters = NULL;
    int rc = 0;

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    bool is_ours = entry != NULL && entry->seen.serial == serial && entry->is_loading;
    bool must_repeat = is_ours && entry->is_stale;
    if (must_repeat) {
        entry->is_stale = false;
    } else if (is_ours) {
        waiters = entry->waiters;
        entry->waiters = NULL;
        entry->is_loading = false;
        entry->is_used = true;
        if (!entry_fill(entry, facts, addresses)) {
            entry_remove(shard, entry);
            rc = -ENOMEM;
        }
    }
    pthread_mutex_unlock(&shard->lock);
    waiters_wake(waiters, rc);
    return must_repeat;
}

void host_cache_fail(struct host_cache *cache, const char *name, uint64_t serial, int rc)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);
    struct host_waiter *waiters = NULL;

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    if (entry != NULL && entry->seen.serial == serial && entry->is_loading) {
        waiters = entry->waiters;
        entry_remove(shard, entry);
    }
    pthread_mutex_unlock(&shard->lock);
    waiters_wake(waiters, rc);
}

/* ---- Forgetting ---- */

static void entry_forget(struct shard *shard, struct entry *entry)
{
    if (entry->is_loading)
        entry->is_stale = true; /* whoever loads it does so again */
    else
        entry_remove(shard, entry);
}

void host_cache_forget(struct host_cache *cache, const char *name)
{
    uint64_t hash = name_hash_make(cache, name);
    struct shard *shard = shard_of(cache, hash);

    pthread_mutex_lock(&shard->lock);
    struct entry *entry = entry_find(shard, hash, name);
    if (entry != NULL)
        entry_forget(shard, entry);
    pthread_mutex_unlock(&shard->lock);
}

static void forget_where(struct host_cache *cache,
                         bool (*matches)(const struct entry *entry, const char *text),
                         const char *text)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (size_t j = 0; j <= shard->bucket_mask; j++)
            for (struct entry *entry = shard->buckets[j], *next; entry != NULL; entry = next) {
                next = entry->next;
                if (matches(entry, text))
                    entry_forget(shard, entry);
            }
        pthread_mutex_unlock(&shard->lock);
    }
}

static bool is_at_or_below(const struct entry *entry, const char *name)
{
    size_t size = strlen(entry->name), above = strlen(name);
    return size >= above && strcmp(entry->name + size - above, name) == 0 &&
           (size == above || entry->name[size - above - 1] == '.');
}

/* Of what is being loaded nobody knows yet whose it is. */
static bool is_of_account(const struct entry *entry, const char *account)
{
    return entry->is_loading || strcmp(entry->seen.account, account) == 0;
}

void host_cache_forget_below(struct host_cache *cache, const char *name)
{
    forget_where(cache, is_at_or_below, name);
}

void host_cache_forget_account(struct host_cache *cache, const char *account)
{
    forget_where(cache, is_of_account, account);
}

void host_cache_each(struct host_cache *cache, host_look_fn *look, void *context)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (size_t j = 0; j <= shard->bucket_mask; j++)
            for (struct entry *entry = shard->buckets[j]; entry != NULL; entry = entry->next)
                if (!entry->is_loading)
                    look(&entry->seen, context);
        pthread_mutex_unlock(&shard->lock);
    }
}

/* ---- The whole ---- */

int host_cache_create(size_t entries_max, struct host_cache **ret_cache, struct error *ret_error)
{
    size_t count_max = entries_max / SHARDS + 1, buckets = 1;
    while (buckets < count_max)
        buckets *= 2;
    struct host_cache *cache = aligned_alloc(64, (sizeof(*cache) + 63) & ~(size_t)63);
    if (cache == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for what is known of hosts");
    memset(cache, 0, sizeof(*cache));
    crypto_shorthash_keygen(cache->key);
    bool has_memory = true;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_init(&shard->lock, NULL);
        shard->count_max = count_max;
        shard->bucket_mask = buckets - 1;
        shard->buckets = calloc(buckets, sizeof(struct entry *));
        has_memory = has_memory && shard->buckets != NULL;
    }
    if (!has_memory) {
        host_cache_free(cache);
        return error_set(ret_error, -ENOMEM, "out of memory for what is known of hosts");
    }
    *ret_cache = cache;
    return 0;
}

void host_cache_free(struct host_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        while (shard->hand != NULL)
            entry_remove(shard, shard->hand);
        free(shard->buckets);
        pthread_mutex_destroy(&shard->lock);
    }
    free(cache);
}

void host_cache_figures_get(struct host_cache *cache, struct host_cache_figures *ret_figures)
{
    struct host_cache_figures figures = {0};
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        figures.hits += shard->hits;
        figures.misses += shard->misses;
        figures.evicted += shard->evicted;
        figures.entries += shard->count;
        pthread_mutex_unlock(&shard->lock);
    }
    *ret_figures = figures;
}
