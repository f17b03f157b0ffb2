/* The room of a shard: three logs of answers, who may stay in them, and when memory comes back. */
#include <assert.h>
#include <string.h>

#include "front/cache_internal.h"

/* Of a ring, kept free for what readers may still look at: one grace period at full speed. */
#define RESERVE_DIVISOR 8

/* Memory is given back in pieces of this part of a ring, so that grace periods stay rare. */
#define BATCH_DIVISOR 64

/* What one put moves to make room before it looks less closely at who may stay, and before it does
 * not look at all: so that no put takes longer than some 50 us. */
#define MOVED_OCTETS_MANY ((uint64_t)16 * 1024)
#define MOVED_OCTETS_MAX  ((uint64_t)64 * 1024)

/* ---- Places ---- */

static inline struct cache_entry *ring_at(const struct cache_ring *ring, uint64_t position)
{
    return (struct cache_entry *)(void *)(ring->octets + position % ring->size);
}

/* Octets that an entry of `size` takes at the head: it does not wrap, the end of the ring before it
 * is filled. */
static uint64_t ring_span(const struct cache_ring *ring, uint64_t size)
{
    uint64_t to_end = ring->size - ring->head % ring->size;
    return size <= to_end ? size : to_end + size;
}

bool cache_ring_has_room(const struct cache_ring *ring, uint64_t size)
{
    uint64_t usable = ring->size - ring->size / RESERVE_DIVISOR;
    return ring->head - ring->tail + ring_span(ring, size) <= usable;
}

/* Takes room at the head; NULL when it is not there yet. */
static struct cache_entry *ring_push(struct cache_ring *ring, uint64_t size)
{
    uint64_t span = ring_span(ring, size);
    if (ring->head - ring->reclaimed + span > ring->size)
        return NULL;
    if (span > size) {
        struct cache_entry *filler = ring_at(ring, ring->head);
        filler->size = (uint32_t)(span - size);
        filler->slot = SLOT_NONE;
    }
    ring->head += span;
    return ring_at(ring, ring->head - size);
}

enum ring_id cache_ring_of(const struct cache_shard *shard, const struct cache_entry *entry)
{
    const uint8_t *at = (const uint8_t *)entry;
    for (unsigned id = 0; id < RING_COUNT; id++) {
        const struct cache_ring *ring = &shard->rings[id];
        if (at >= ring->octets && at < ring->octets + ring->size)
            return id;
    }
    assert(false);
    return RING_SMALL;
}

/* ---- Slots ---- */

static bool entry_is_live(const struct cache *cache, const struct cache_entry *entry)
{
    if (entry->slot == SLOT_NONE)
        return false;
    uint64_t slot = __atomic_load_n(&cache->slots[entry->slot], __ATOMIC_RELAXED);
    return slot_entry(slot) == entry;
}

static void count_entry(struct cache_shard *shard, const struct cache_entry *entry, bool comes)
{
    struct cache_ring *ring = &shard->rings[cache_ring_of(shard, entry)];
    uint64_t *kept =
        answer_denies(entry->rcode, entry->counts[0]) ? &shard->denials : &shard->answers;
    ring->live += comes ? entry->size : -(uint64_t)entry->size;
    *kept += comes ? 1 : -UINT64_C(1);
}

void cache_entry_publish(struct cache_shard *shard, struct cache_entry *entry, uint64_t tag)
{
    uint64_t *place = &shard->cache->slots[entry->slot];
    const struct cache_entry *before = slot_entry(__atomic_load_n(place, __ATOMIC_RELAXED));
    if (before != NULL)
        count_entry(shard, before, false);
    count_entry(shard, entry, true);

    uint64_t slot = (uint64_t)(uintptr_t)entry | tag;
    assert(((uintptr_t)entry & ~SLOT_POINTER) == 0);
    if (answer_denies(entry->rcode, entry->counts[0]))
        slot |= SLOT_DENIES;
    /* Release: a reader that sees the slot sees the entry's octets. */
    __atomic_store_n(place, slot, __ATOMIC_RELEASE);
}

void cache_entry_unpublish(struct cache_shard *shard, const struct cache_entry *entry)
{
    count_entry(shard, entry, false);
    __atomic_store_n(&shard->cache->slots[entry->slot], 0, __ATOMIC_RELEASE);
}

/* ---- Ghosts ---- */

/* A place of its own for each question; a later one takes it over. */
static uint32_t *ghost_place(const struct cache_shard *shard, const struct cache_key *key,
                             uint32_t *ret_fingerprint)
{
    uint64_t hash = key->name->hashes[0] ^ ((uint64_t)key->type << 2 | cache_key_flags(key)) *
                                               UINT64_C(0x9e3779b97f4a7c15);
    *ret_fingerprint = (uint32_t)(hash >> 32) | 1; /* zero is an empty place */
    return &shard->ghosts[(uint32_t)hash % shard->cache->ghosts_per_shard];
}

bool cache_ghost_take(struct cache_shard *shard, const struct cache_key *key)
{
    uint32_t fingerprint;
    uint32_t *place = ghost_place(shard, key, &fingerprint);
    if (*place != fingerprint)
        return false;
    *place = 0;
    return true;
}

static void ghost_leave(struct cache_shard *shard, const struct cache_entry *entry)
{
    struct name name;
    (void)name_parse(&name, entry_name(entry), entry->name_size);
    const struct cache_key key = {
        .name = &name,
        .type = entry->type,
        .dnssec_ok = (entry->flags & ENTRY_DO) != 0,
        .checking_disabled = (entry->flags & ENTRY_CD) != 0,
    };
    uint32_t fingerprint;
    uint32_t *place = ghost_place(shard, &key, &fingerprint);
    *place = fingerprint;
}

/* ---- Who may stay ---- */

bool cache_ring_is_pressed(const struct cache_ring *ring)
{
    return ring->live > ring->size / 4 * 3;
}

/* Whether an entry that the tail has reached stays in its ring. */
static bool entry_stays(const struct cache_ring *ring, struct cache_entry *entry, int64_t now,
                        uint64_t moved_octets)
{
    const bool is_fresh = now < entry_expires_at(entry);
    if (moved_octets >= MOVED_OCTETS_MAX)
        return false;
    if (atomic_load_explicit(&entry->wanted, memory_order_relaxed) > 0)
        return true;
    if (!cache_ring_is_pressed(ring) && moved_octets < MOVED_OCTETS_MANY)
        return is_fresh || ring->live <= ring->size / 2;
    if (!is_fresh || entry->chances == 0)
        return false;
    entry->chances--;
    return true;
}

/* Copies an entry to where it lives on. What readers note in the old one from now on is lost, which
 * is not worth more. */
static void entry_move(struct cache_shard *shard, const struct cache_entry *entry,
                       struct cache_entry *to, uint8_t wanted, uint8_t chances)
{
    uint64_t tag = __atomic_load_n(&shard->cache->slots[entry->slot], __ATOMIC_RELAXED) & SLOT_TAG;
    to->size = entry->size;
    to->slot = entry->slot;
    atomic_store_explicit(&to->wanted, wanted, memory_order_relaxed);
    atomic_store_explicit(&to->refresh_claimed,
                          atomic_load_explicit(&entry->refresh_claimed, memory_order_relaxed),
                          memory_order_relaxed);
    memcpy((uint8_t *)to + ENTRY_COPY_FROM, (const uint8_t *)entry + ENTRY_COPY_FROM,
           entry->size - ENTRY_COPY_FROM);
    to->chances = chances;
    cache_entry_publish(shard, to, tag);
}

/* Whether an entry at the small ring's tail passes to the main one: when it was found here. */
static bool small_passes_on(struct cache_shard *shard, const struct cache_entry *entry)
{
    if (atomic_load_explicit(&entry->wanted, memory_order_relaxed) == 0) {
        ghost_leave(shard, entry);
        return false;
    }
    struct cache_entry *to = cache_ring_allocate(shard, RING_MAIN, entry->size);
    if (to != NULL)
        entry_move(shard, entry, to, 0, MAIN_CHANCES);
    return to != NULL;
}

/* Takes the entry at the tail away: moves it on or lets it go. Returns false when it should stay
 * and there is no room to move it to yet. */
static bool ring_advance(struct cache_shard *shard, enum ring_id id, uint64_t *moved_octets)
{
    struct cache_ring *ring = &shard->rings[id];
    struct cache_entry *entry = ring_at(ring, ring->tail);
    const uint64_t size = entry->size;

    if (!entry_is_live(shard->cache, entry)) {
        ring->tail += size;
        return true;
    }
    if (shard->now >= entry_stale_until(entry)) {
        shard->expired++;
        cache_entry_unpublish(shard, entry);
    } else if (id == RING_SMALL) {
        if (!small_passes_on(shard, entry)) {
            shard->evicted++;
            cache_entry_unpublish(shard, entry);
        }
    } else if (entry_stays(ring, entry, shard->now, *moved_octets)) {
        struct cache_entry *to = ring_push(ring, size);
        if (to == NULL)
            return false;
        uint8_t wanted = atomic_load_explicit(&entry->wanted, memory_order_relaxed);
        entry_move(shard, entry, to, wanted > 0 ? (uint8_t)(wanted - 1) : 0, entry->chances);
        *moved_octets += size;
    } else {
        shard->evicted++;
        cache_entry_unpublish(shard, entry);
    }
    ring->tail += size;
    return true;
}

/* ---- Giving back ---- */

static void reclaim_begin(struct cache_ring *ring);

/* Called by liburcu's own thread when nobody reads any more what went before. */
static void reclaim_end(struct rcu_head *head)
{
    struct cache_ring *ring = caa_container_of(head, struct cache_ring, rcu);
    rcu_callback_begins();
    pthread_mutex_lock(&ring->shard->lock);
    ring->reclaimed = ring->batch_end;
    ring->batch_waits = false;
    reclaim_begin(ring);
    pthread_mutex_unlock(&ring->shard->lock);
}

static void reclaim_begin(struct cache_ring *ring)
{
    if (ring->batch_waits || ring->tail - ring->reclaimed < ring->size / BATCH_DIVISOR)
        return;
    ring->batch_end = ring->tail;
    ring->batch_waits = true;
    call_rcu(&ring->rcu, reclaim_end);
}

struct cache_entry *cache_ring_allocate(struct cache_shard *shard, enum ring_id id, uint64_t size)
{
    struct cache_ring *ring = &shard->rings[id];
    uint64_t moved_octets = 0;
    while (!cache_ring_has_room(ring, size)) {
        if (!ring_advance(shard, id, &moved_octets))
            break;
    }
    reclaim_begin(ring);
    return cache_ring_has_room(ring, size) ? ring_push(ring, size) : NULL;
}
