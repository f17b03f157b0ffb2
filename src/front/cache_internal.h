/* How the cache lies in memory; shared by the files that make it.
 *
 *     struct cache     what never changes, and a line of counters per reading thread
 *     slots            8 octets an answer, 16 in a bucket of two neighbouring cache lines
 *     shards           a lock, three rings and the ghosts' place each
 *     ghosts           fingerprints of answers that went after one question
 *     rings            the answers
 *
 * A bucket is chosen by the name alone, so that all answers of a name share one. A slot never
 * moves, so an answer knows its slot, and one that its slot does not point back to is dead.
 *
 * Answers live in rings, which are logs: a new one is put at the head, room is made at the tail. So
 * answers of any size leave no gaps, and memory is given back in the order in which grace periods
 * end. Who may stay is decided when the tail comes by, as in S3-FIFO (Yang et al., SOSP 2023): the
 * small ring takes what is new, and only what was found there again, or comes back soon after it
 * went, passes to the main ring, where it stays as long as it is found once a turn. A scan runs
 * through the small ring and leaves the main one alone, where SIEVE, which has one queue, would let
 * it run through everything that is not asked for while it lasts. Being found costs a reader no
 * more than a bit; nothing is relinked.
 */
#pragma once

#include <libknot/wire.h>
#include <pthread.h>
#include <stddef.h>

#include "base/octets.h"
#include "base/rcu.h"
#include "front/cache.h"

#define CACHE_LINE 64

/* A slot: the answer's address in bits 3 to 47, whether it denies the name in bit 0, and as a tag 8
 * bits of the name's hash in bits 56 to 63 and 8 bits of the rest of the key in 48 to 55. */
#define SLOT_DENIES   ((uint64_t)1)
#define SLOT_POINTER  ((uint64_t)0x0000fffffffffff8)
#define SLOT_TAG      ((uint64_t)0xffff000000000000)
#define SLOT_NAME_TAG ((uint64_t)0xff00000000000000)

/* Two lines, which processors fetch together. With three of five slots taken one bucket in 60 is
 * full, and the least wanted of its 16 goes. */
#define BUCKET_SLOTS 16

/* Turns of the main ring that an answer which was found may stay unwanted while it is fresh; a
 * stale one has none, so that the stale go a turn earlier. */
#define MAIN_CHANCES 1

/* Of an entry that only fills the end of a ring. */
#define SLOT_NONE UINT32_MAX

enum cache_entry_flag {
    ENTRY_DO = 1 << 0,
    ENTRY_CD = 1 << 1,
    ENTRY_AA = 1 << 2,
    ENTRY_PLAIN = 1 << 3, /* cached_answer.is_plain */
};

/* One answer. All but wanted, refresh_claimed and chances stays as it is once a slot points here.
 */
struct cache_entry {
    uint32_t size; /* octets, this header included; a multiple of 8 */
    uint32_t slot;
    _Atomic(uint8_t) wanted;          /* set by readers, to CACHE_WANTED_MAX */
    _Atomic(uint8_t) refresh_claimed; /* set by readers */
    uint8_t chances;                  /* turns that it may stay unwanted; under the lock */
    uint8_t name_size;
    uint16_t type;
    uint8_t rcode, flags;
    int64_t stored_at;
    uint32_t fresh_s, stale_s; /* both from stored_at on */
    uint16_t counts[3], body_size, ttl_count, edns_size;
    uint8_t octets[]; /* TTL places, name, body, EDNS options */
};

/* Offset of the first octet that is copied as it is when an answer moves. */
#define ENTRY_COPY_FROM offsetof(struct cache_entry, chances)

enum ring_id { RING_SMALL, RING_MAIN, RING_DENIALS, RING_COUNT };

/* Positions only grow; the octet of position p is octets[p % size]. From tail to head are answers,
 * dead ones among them; from reclaimed to tail is what readers may still look at. */
struct cache_ring {
    uint8_t *octets;
    uint64_t size;
    uint64_t head, tail, reclaimed;
    uint64_t live;      /* octets of answers that a slot points to */
    uint64_t batch_end; /* the tail when the grace period began */
    bool batch_waits;
    struct rcu_head rcu;
    struct cache_shard *shard;
};

struct cache_shard {
    pthread_mutex_t lock; /* of all below, and of writing to the shard's slots */
    struct cache *cache;
    struct cache_ring rings[RING_COUNT];
    uint32_t *ghosts;
    int64_t now; /* of the last put */
    uint64_t answers, denials;
    uint64_t stored, evicted, expired, refused;
} __attribute__((aligned(CACHE_LINE)));

/* What readers count, a line for each thread so that none waits for another's. Two threads may
 * share one when there are more threads than lines; then a count may be lost. */
struct cache_reader_counters {
    _Atomic(uint64_t) hits, misses;
} __attribute__((aligned(CACHE_LINE)));

#define READER_LINES 64

struct cache {
    uint64_t *slots;
    uint64_t bucket_count;
    struct cache_shard *shards;
    uint64_t shard_count, buckets_per_shard;
    uint64_t ghosts_per_shard;
    uint64_t size;      /* of the mapping */
    uint64_t entry_max; /* octets of the largest answer that is kept */
    struct cache_reader_counters readers[READER_LINES];
};

/* ---- Keys and slots ---- */

static inline uint64_t cache_bucket(const struct cache *cache, const struct name *name)
{
    return (uint64_t)(((unsigned __int128)name->hashes[0] * cache->bucket_count) >> 64);
}

/* The lower half of the hash makes the tag, the upper half picks the bucket. */
static inline uint64_t cache_name_tag(const struct name *name)
{
    return name->hashes[0] << 56;
}

static inline uint8_t cache_key_flags(const struct cache_key *key)
{
    return (uint8_t)((key->dnssec_ok ? ENTRY_DO : 0) | (key->checking_disabled ? ENTRY_CD : 0));
}

static inline uint64_t cache_tag(const struct cache_key *key)
{
    uint64_t rest = (uint64_t)(key->type ^ key->type >> 8) ^ (uint64_t)cache_key_flags(key) << 6;
    return cache_name_tag(key->name) | (rest & 0xff) << 48;
}

static inline struct cache_entry *slot_entry(uint64_t slot)
{
    return (struct cache_entry *)(uintptr_t)(slot & SLOT_POINTER);
}

static inline const uint8_t *entry_name(const struct cache_entry *entry)
{
    return entry->octets + (size_t)entry->ttl_count * sizeof(uint16_t);
}

static inline int64_t entry_expires_at(const struct cache_entry *entry)
{
    return entry->stored_at + entry->fresh_s;
}

static inline int64_t entry_stale_until(const struct cache_entry *entry)
{
    return entry->stored_at + entry->stale_s;
}

/* Whether it was found here, or before it moved, of which the chance tells. Under the lock. */
static inline bool entry_is_wanted(const struct cache_entry *entry)
{
    return atomic_load_explicit(&entry->wanted, memory_order_relaxed) > 0 || entry->chances > 0;
}

/* ---- Finding ---- */

static inline bool entry_has_name(const struct cache_entry *entry, const struct name *name)
{
    return entry->name_size == name->size &&
           octets_equal(entry_name(entry), name->wire, name->size);
}

static inline bool entry_is(const struct cache_entry *entry, const struct cache_key *key)
{
    return entry->type == key->type &&
           (entry->flags & (ENTRY_DO | ENTRY_CD)) == cache_key_flags(key) &&
           entry_has_name(entry, key->name);
}

static inline uint64_t *cache_find_bucket(const struct cache *cache, const struct name *name)
{
    return cache->slots + cache_bucket(cache, name) * BUCKET_SLOTS;
}

/* Counts a hit, or a miss, of this thread. */
void cache_count_hit(const struct cache *cache);
void cache_count_miss(const struct cache *cache);

/* Notes that an answer was wanted; returns how often it was. Written only until it says enough:
 * from then on readers share the line in peace. Two who count at once may count one. */
static inline uint8_t entry_note_wanted(struct cache_entry *entry)
{
    uint8_t wanted = atomic_load_explicit(&entry->wanted, memory_order_relaxed);
    if (wanted < CACHE_WANTED_MAX)
        atomic_store_explicit(&entry->wanted, ++wanted, memory_order_relaxed);
    return wanted;
}

/* An answer that many ask for is asked for anew when a tenth of its time is left. */
#define REFRESH_SHARE 10

static inline bool answer_is_near_end(int64_t stored_at, int64_t expires_at, int64_t now)
{
    return (expires_at - now) * REFRESH_SHARE <= expires_at - stored_at;
}

/* ---- TTLs ---- */

/* How long ago an answer was stored. A clock that was set back makes nothing younger than it came.
 */
static inline uint32_t ttl_age_s(int64_t stored_at, int64_t now)
{
    return now > stored_at ? (uint32_t)(now - stored_at) : 0;
}

static inline void ttl_reduce(uint8_t *place, uint32_t age_s)
{
    const uint32_t ttl_s = knot_wire_read_u32(place);
    knot_wire_write_u32(place, ttl_s > age_s ? ttl_s - age_s : 0);
}

/* The entry as an answer; the fields of readers are not set. */
void cache_entry_view(const struct cache_entry *entry, struct cached_answer *ret_answer);

/* Whether the answer says that there is no such name. With records in its answer section it only
 * says so of where an alias leads to. */
static inline bool answer_denies(uint8_t rcode, uint16_t answer_count)
{
    return rcode != 0 && answer_count == 0;
}

/* ---- Rings (cache_ring.c); under the shard's lock ---- */

/* Makes room for `size` octets, letting go what is least wanted, and returns them; NULL when that
 * is not to be had before a grace period has passed. */
struct cache_entry *cache_ring_allocate(struct cache_shard *shard, enum ring_id id, uint64_t size);

/* Whether `size` octets fit without anybody going. */
bool cache_ring_has_room(const struct cache_ring *ring, uint64_t size);

/* Whether somebody has to go for who comes. Dead octets pass for room: what is live may take three
 * quarters before that. */
bool cache_ring_is_pressed(const struct cache_ring *ring);

/* The ring that an entry lies in. */
enum ring_id cache_ring_of(const struct cache_shard *shard, const struct cache_entry *entry);

/* Publishes an entry in its slot, in the place of what is there. */
void cache_entry_publish(struct cache_shard *shard, struct cache_entry *entry, uint64_t tag);

/* Empties the slot of a live entry. */
void cache_entry_unpublish(struct cache_shard *shard, const struct cache_entry *entry);

/* Whether a question went lately from the small ring without being asked again; forgets it. */
bool cache_ghost_take(struct cache_shard *shard, const struct cache_key *key);

/* ---- For cache_file.c ---- */

/* cache_put() at a time after the answer was stored. Returns whether it is kept. `wanted`: it had
 * been found before. */
bool cache_put_at(struct cache *cache, const struct cache_key *key,
                  const struct cached_answer *answer, int64_t now, bool wanted);
