#include <assert.h>
#include <errno.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "front/cache_internal.h"

#define DENIALS_PERCENT_DEFAULT 20
#define DENIALS_PERCENT_MAX     50

/* Of what is not for denials, the ring of new answers; S3-FIFO's figure. */
#define SMALL_DIVISOR 10

/* An eighth of the room is for slots: enough for answers of 100 octets, the least there are. */
#define OCTETS_PER_SLOT 64

/* More shards than threads are of no use, and each must have rings that hold large answers. */
#define SHARDS_MAX       16
#define SHARD_OCTETS_MIN ((uint64_t)4 * 1024 * 1024)

/* A message has at most 64 KiB; this holds it with its TTL places and options. */
#define ENTRY_OCTETS_MAX ((uint64_t)128 * 1024)

#define SLOTS_PER_GHOST 2

/* What is brought in at once, so that who does it can be stopped: a large page. */
#define POPULATE_STEP ((uint64_t)2 << 20)

/* ---- Making it ---- */

static uint64_t round_up(uint64_t size, uint64_t to)
{
    return (size + to - 1) / to * to;
}

static void ring_init(struct cache_shard *shard, enum ring_id id, uint8_t **at, uint64_t size)
{
    size = size / CACHE_LINE * CACHE_LINE;
    shard->rings[id] = (struct cache_ring){.octets = *at, .size = size, .shard = shard};
    *at += size;
}

static void shard_init(struct cache *cache, struct cache_shard *shard, uint32_t *ghosts,
                       uint8_t *room, uint64_t room_size, unsigned denials_percent)
{
    uint64_t denials_size = room_size * denials_percent / 100;
    uint64_t small_size = (room_size - denials_size) / SMALL_DIVISOR;
    pthread_mutex_init(&shard->lock, NULL);
    shard->cache = cache;
    shard->ghosts = ghosts;
    ring_init(shard, RING_DENIALS, &room, denials_size);
    ring_init(shard, RING_SMALL, &room, small_size);
    ring_init(shard, RING_MAIN, &room, room_size - denials_size - small_size);
}

/* Divides the mapping, whose octets are zero. */
static void cache_lay_out(struct cache *cache, uint64_t size, unsigned denials_percent)
{
    uint64_t shards = 1;
    while (shards < SHARDS_MAX && shards * 2 * SHARD_OCTETS_MIN <= size)
        shards *= 2;
    cache->size = size;
    cache->shard_count = shards;
    cache->buckets_per_shard = size / OCTETS_PER_SLOT / BUCKET_SLOTS / shards;
    cache->bucket_count = cache->buckets_per_shard * shards;
    cache->ghosts_per_shard = cache->buckets_per_shard * BUCKET_SLOTS / SLOTS_PER_GHOST;

    uint8_t *at = (uint8_t *)cache + round_up(sizeof(*cache), 2 * CACHE_LINE);
    cache->slots = (uint64_t *)(void *)at;
    at += cache->bucket_count * BUCKET_SLOTS * sizeof(uint64_t);
    cache->shards = (struct cache_shard *)(void *)at;
    at += shards * sizeof(*cache->shards);
    uint32_t *ghosts = (uint32_t *)(void *)at;
    at += round_up(shards * cache->ghosts_per_shard * sizeof(uint32_t), CACHE_LINE);

    uint64_t room_size = (size - (uint64_t)(at - (uint8_t *)cache)) / shards;
    for (uint64_t i = 0; i < shards; i++)
        shard_init(cache, &cache->shards[i], ghosts + i * cache->ghosts_per_shard,
                   at + i * (room_size / CACHE_LINE * CACHE_LINE), room_size, denials_percent);

    /* The smallest ring takes four of the largest. */
    cache->entry_max = ENTRY_OCTETS_MAX;
    for (unsigned id = 0; id < RING_COUNT; id++) {
        uint64_t quarter = cache->shards[0].rings[id].size / 4;
        if (quarter < cache->entry_max)
            cache->entry_max = quarter;
    }
}

int cache_create(const struct cache_options *options, struct cache **ret_cache)
{
    unsigned percent =
        options->denials_percent == 0 ? DENIALS_PERCENT_DEFAULT : options->denials_percent;
    /* Slots are numbered in 32 bits. */
    if (options->octets_max < CACHE_OCTETS_MIN || percent > DENIALS_PERCENT_MAX ||
        options->octets_max / OCTETS_PER_SLOT >= SLOT_NONE)
        return -EINVAL;
    uint64_t size = options->octets_max / 4096 * 4096;
    void *octets = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (octets == MAP_FAILED)
        return -ENOMEM;
    /* Answers are found all over it: with small pages nearly every one would cost a walk through
     * the page tables. Without large ones it works as well. */
    (void)madvise(octets, size, MADV_HUGEPAGE);

    struct cache *cache = octets;
    cache_lay_out(cache, size, percent);
    *ret_cache = cache;
    return 0;
}

bool cache_populate(struct cache *cache, uint64_t *at)
{
    const uint64_t left = cache->size - *at;
    const uint64_t size = left < POPULATE_STEP ? left : POPULATE_STEP;
    if (size == 0 || madvise((uint8_t *)cache + *at, size, MADV_POPULATE_WRITE) < 0)
        return false;
    *at += size;
    return true;
}

/* Whether a grace period is still to end in a ring. */
static bool cache_reclaims(struct cache *cache)
{
    bool reclaims = false;
    for (uint64_t i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (unsigned id = 0; id < RING_COUNT; id++)
            reclaims |= shard->rings[id].batch_waits;
        pthread_mutex_unlock(&shard->lock);
    }
    return reclaims;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    /* The end of a grace period may begin another one in its ring. */
    while (cache_reclaims(cache))
        rcu_barrier();
    for (uint64_t i = 0; i < cache->shard_count; i++)
        pthread_mutex_destroy(&cache->shards[i].lock);
    munmap(cache, cache->size);
}

/* ---- Finding ---- */

/* The slot of the answer to a question; NULL: none. */
static inline uint64_t *bucket_find(uint64_t *bucket, const struct cache_key *key,
                                    struct cache_entry **ret_entry)
{
    const uint64_t tag = cache_tag(key);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t slot = __atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE);
        if (((slot ^ tag) & SLOT_TAG) != 0 || slot == 0)
            continue;
        struct cache_entry *entry = slot_entry(slot);
        if (entry_is(entry, key)) {
            *ret_entry = entry;
            return &bucket[i];
        }
    }
    return NULL;
}

void cache_entry_view(const struct cache_entry *entry, struct cached_answer *ret_answer)
{
    const uint8_t *body = entry_name(entry) + entry->name_size;
    *ret_answer = (struct cached_answer){
        .rcode = entry->rcode,
        .authoritative = (entry->flags & ENTRY_AA) != 0,
        .is_plain = (entry->flags & ENTRY_PLAIN) != 0,
        .counts = {entry->counts[0], entry->counts[1], entry->counts[2]},
        .body = body,
        .body_size = entry->body_size,
        .ttl_places = (const uint16_t *)(const void *)entry->octets,
        .ttl_count = entry->ttl_count,
        .edns = entry->edns_size > 0 ? body + entry->body_size : NULL,
        .edns_size = entry->edns_size,
        .stored_at = entry->stored_at,
        .expires_at = entry_expires_at(entry),
        .stale_until = entry_stale_until(entry),
    };
}

/* The counters of this thread. */
static struct cache_reader_counters *reader_counters(const struct cache *cache)
{
    static _Atomic(unsigned) threads;
    static _Thread_local unsigned line; /* of the thread, plus one */
    if (line == 0)
        line = 1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % READER_LINES;
    /* What is counted is no part of what a reader may not change. */
    return &((struct cache *)(uintptr_t)cache)->readers[line - 1];
}

static inline void count(_Atomic(uint64_t) *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

void cache_count_hit(const struct cache *cache)
{
    count(&reader_counters(cache)->hits);
}

void cache_count_miss(const struct cache *cache)
{
    count(&reader_counters(cache)->misses);
}

bool cache_find(const struct cache *cache, const struct cache_key *key,
                struct cached_answer *ret_answer)
{
    struct cache_entry *entry;
    if (bucket_find(cache_find_bucket(cache, key->name), key, &entry) == NULL) {
        cache_count_miss(cache);
        return false;
    }
    cache_count_hit(cache);
    cache_entry_view(entry, ret_answer);
    ret_answer->wanted = entry_note_wanted(entry);
    ret_answer->refresh_claimed =
        atomic_load_explicit(&entry->refresh_claimed, memory_order_relaxed) != 0;
    ret_answer->claim = &entry->refresh_claimed;
    return true;
}

bool cached_answer_is_due(const struct cached_answer *answer, int64_t now)
{
    return answer->wanted >= CACHE_WANTED_MAX && !answer->refresh_claimed &&
           answer_is_near_end(answer->stored_at, answer->expires_at, now);
}

bool cache_claim_refresh(const struct cached_answer *answer)
{
    return atomic_exchange_explicit(answer->claim, 1, memory_order_relaxed) == 0;
}

bool cache_knows(const struct cache *cache, const struct name *name)
{
    const uint64_t *bucket = cache_find_bucket(cache, name);
    const uint64_t tag = cache_name_tag(name);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        uint64_t slot = __atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE);
        if (slot != 0 && ((slot ^ tag) & (SLOT_NAME_TAG | SLOT_DENIES)) == 0 &&
            entry_has_name(slot_entry(slot), name))
            return true;
    }
    return false;
}

/* ---- Writing out ---- */

size_t cached_answer_write(const struct cached_answer *answer, int64_t now, uint32_t stale_ttl_s,
                           uint8_t *at, size_t room)
{
    if (answer->body_size > room)
        return 0;
    memcpy(at, answer->body, answer->body_size);

    const bool is_stale = now >= answer->expires_at;
    const uint32_t age_s = ttl_age_s(answer->stored_at, now);
    for (unsigned i = 0; i < answer->ttl_count; i++) {
        uint8_t *place = at + answer->ttl_places[i];
        if (is_stale)
            knot_wire_write_u32(place, stale_ttl_s);
        else
            ttl_reduce(place, age_s);
    }
    return answer->body_size;
}

/* ---- Keeping ---- */

static uint64_t entry_size(const struct cache_key *key, const struct cached_answer *answer)
{
    return round_up(offsetof(struct cache_entry, octets) +
                        answer->ttl_count * sizeof(*answer->ttl_places) + key->name->size +
                        answer->body_size + answer->edns_size,
                    8);
}

static uint32_t seconds_between(int64_t from, int64_t to)
{
    int64_t seconds = to > from ? to - from : 0;
    return seconds < UINT32_MAX ? (uint32_t)seconds : UINT32_MAX;
}

static void entry_fill(struct cache_entry *entry, uint64_t size, const struct cache_key *key,
                       const struct cached_answer *answer)
{
    entry->size = (uint32_t)size;
    atomic_store_explicit(&entry->wanted, 0, memory_order_relaxed);
    atomic_store_explicit(&entry->refresh_claimed, 0, memory_order_relaxed);
    entry->chances = 0;
    entry->name_size = key->name->size;
    entry->type = key->type;
    entry->rcode = answer->rcode;
    entry->flags = (uint8_t)(cache_key_flags(key) | (answer->authoritative ? ENTRY_AA : 0) |
                             (answer->is_plain ? ENTRY_PLAIN : 0));
    entry->stored_at = answer->stored_at;
    entry->fresh_s = seconds_between(answer->stored_at, answer->expires_at);
    entry->stale_s = seconds_between(answer->stored_at, answer->stale_until);
    if (entry->stale_s < entry->fresh_s)
        entry->stale_s = entry->fresh_s;
    memcpy(entry->counts, answer->counts, sizeof(entry->counts));
    entry->body_size = answer->body_size;
    entry->ttl_count = answer->ttl_count;
    entry->edns_size = answer->edns_size;

    uint8_t *at = entry->octets;
    const struct {
        const void *octets;
        size_t size;
    } parts[] = {
        {answer->ttl_places, answer->ttl_count * sizeof(*answer->ttl_places)},
        {key->name->wire, key->name->size},
        {answer->body, answer->body_size},
        {answer->edns, answer->edns_size},
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i].size > 0)
            memcpy(at, parts[i].octets, parts[i].size);
        at += parts[i].size;
    }
    /* The rest of the last eight octets is written to files, too. */
    memset(at, 0, (size_t)((uint8_t *)entry + size - at));
}

/* What a full bucket loses: the smaller, the sooner. */
static unsigned entry_worth(const struct cache_entry *entry, int64_t now)
{
    return (entry_is_wanted(entry) ? 4u : 0u) +
           (answer_denies(entry->rcode, entry->counts[0]) ? 0u : 2u) +
           (now < entry_expires_at(entry) ? 1u : 0u);
}

/* The slot that a new answer gets: an empty one, or that of the least worthy, which goes. */
static uint64_t *bucket_make_place(struct cache_shard *shard, uint64_t *bucket)
{
    uint64_t *worst = NULL;
    unsigned worst_worth = 0;
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        const struct cache_entry *entry = slot_entry(__atomic_load_n(&bucket[i], __ATOMIC_RELAXED));
        if (entry == NULL)
            return &bucket[i];
        unsigned worth = entry_worth(entry, shard->now);
        if (worst == NULL || worth < worst_worth) {
            worst = &bucket[i];
            worst_worth = worth;
        }
    }
    shard->evicted++;
    return worst;
}

/* New answers are on probation, but for the wanted. While there is room to spare the main ring
 * takes what the small one cannot: better than to let anybody go. */
static enum ring_id choose_ring(const struct cache_shard *shard, const struct cached_answer *answer,
                                uint64_t size, bool wanted)
{
    if (answer_denies(answer->rcode, answer->counts[0]))
        return RING_DENIALS;
    if (wanted)
        return RING_MAIN;
    bool is_tight = !cache_ring_has_room(&shard->rings[RING_SMALL], size);
    return is_tight && !cache_ring_is_pressed(&shard->rings[RING_MAIN]) ? RING_MAIN : RING_SMALL;
}

static bool shard_put(struct cache_shard *shard, const struct cache_key *key,
                      const struct cached_answer *answer, bool wanted)
{
    struct cache *cache = shard->cache;
    uint64_t *bucket = cache_find_bucket(cache, key->name);
    struct cache_entry *before = NULL;
    (void)bucket_find(bucket, key, &before);
    /* Asked again: there is an answer to it, or one has just gone. */
    wanted = cache_ghost_take(shard, key) || before != NULL || wanted;

    const uint64_t size = entry_size(key, answer);
    enum ring_id ring = choose_ring(shard, answer, size, wanted);
    struct cache_entry *entry =
        size <= cache->entry_max ? cache_ring_allocate(shard, ring, size) : NULL;
    if (entry == NULL) {
        shard->refused++;
        return false;
    }
    /* Making room can have let the old answer go or moved it. */
    uint64_t *place = bucket_find(bucket, key, &before);
    if (place == NULL)
        place = bucket_make_place(shard, bucket);
    entry_fill(entry, size, key, answer);
    entry->slot = (uint32_t)(place - cache->slots);
    entry->chances = wanted && ring == RING_MAIN ? MAIN_CHANCES : 0;
    cache_entry_publish(shard, entry, cache_tag(key));
    shard->stored++;
    return true;
}

static struct cache_shard *shard_of(const struct cache *cache, const struct name *name)
{
    return &cache->shards[cache_bucket(cache, name) / cache->buckets_per_shard];
}

bool cache_put_at(struct cache *cache, const struct cache_key *key,
                  const struct cached_answer *answer, int64_t now, bool wanted)
{
    if (answer->expires_at <= answer->stored_at)
        return false;
    struct cache_shard *shard = shard_of(cache, key->name);
    pthread_mutex_lock(&shard->lock);
    shard->now = now;
    bool is_kept = shard_put(shard, key, answer, wanted);
    pthread_mutex_unlock(&shard->lock);
    return is_kept;
}

void cache_put(struct cache *cache, const struct cache_key *key, const struct cached_answer *answer)
{
    (void)cache_put_at(cache, key, answer, answer->stored_at, false);
}

/* ---- For people ---- */

static bool entry_is_at_or_below(const struct cache_entry *entry, const struct name *name)
{
    const uint8_t *wire = entry_name(entry);
    size_t at = 0;
    while (entry->name_size - at > name->size)
        at += (size_t)wire[at] + 1;
    return entry->name_size - at == name->size && memcmp(wire + at, name->wire, name->size) == 0;
}

static uint64_t purge_bucket(struct cache_shard *shard, uint64_t bucket, const struct name *name,
                             bool with_subtree)
{
    uint64_t purged = 0;
    uint64_t *slots = shard->cache->slots + bucket * BUCKET_SLOTS;
    pthread_mutex_lock(&shard->lock);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        const struct cache_entry *entry = slot_entry(__atomic_load_n(&slots[i], __ATOMIC_RELAXED));
        if (entry == NULL ||
            !(with_subtree ? entry_is_at_or_below(entry, name) : entry_has_name(entry, name)))
            continue;
        cache_entry_unpublish(shard, entry);
        purged++;
    }
    pthread_mutex_unlock(&shard->lock);
    return purged;
}

uint64_t cache_purge(struct cache *cache, const struct name *name, bool with_subtree)
{
    if (!with_subtree)
        return purge_bucket(shard_of(cache, name), cache_bucket(cache, name), name, false);
    uint64_t purged = 0;
    for (uint64_t bucket = 0; bucket < cache->bucket_count; bucket++)
        purged +=
            purge_bucket(&cache->shards[bucket / cache->buckets_per_shard], bucket, name, true);
    return purged;
}

void cache_counters(const struct cache *cache, struct cache_counters *ret_counters)
{
    struct cache_counters sum = {.octets = cache->size, .octets_max = cache->size};
    for (unsigned i = 0; i < READER_LINES; i++) {
        sum.hits += atomic_load_explicit(&cache->readers[i].hits, memory_order_relaxed);
        sum.misses += atomic_load_explicit(&cache->readers[i].misses, memory_order_relaxed);
    }
    for (uint64_t i = 0; i < cache->shard_count; i++) {
        struct cache_shard *shard = &cache->shards[i];
        pthread_mutex_lock(&shard->lock);
        for (unsigned id = 0; id < RING_COUNT; id++) {
            const struct cache_ring *ring = &shard->rings[id];
            sum.octets -= ring->size - (ring->head - ring->reclaimed);
        }
        sum.answers += shard->answers;
        sum.denials += shard->denials;
        sum.stored += shard->stored;
        sum.evicted += shard->evicted;
        sum.expired += shard->expired;
        sum.refused += shard->refused;
        pthread_mutex_unlock(&shard->lock);
    }
    *ret_counters = sum;
}
