#include "front/cache_direct.h"

#include "front/cache_internal.h"

void cache_direct_prefetch(const struct cache *cache, const struct name *name)
{
    const uint64_t *bucket = cache_find_bucket(cache, name);
    __builtin_prefetch(bucket);
    __builtin_prefetch(bucket + CACHE_LINE / sizeof(*bucket));
}

const struct cache_entry *cache_direct_candidate(const struct cache *cache,
                                                 const struct cache_key *key)
{
    const uint64_t *bucket = cache_find_bucket(cache, key->name);
    const uint64_t tag = cache_tag(key);
    for (unsigned i = 0; i < BUCKET_SLOTS; i++) {
        const uint64_t slot = __atomic_load_n(&bucket[i], __ATOMIC_ACQUIRE);
        if (((slot ^ tag) & SLOT_TAG) != 0 || slot == 0)
            continue;
        /* The header and the name; of most answers this is all. */
        const struct cache_entry *entry = slot_entry(slot);
        __builtin_prefetch(entry);
        __builtin_prefetch((const uint8_t *)entry + CACHE_LINE);
        return entry;
    }
    return NULL;
}

/* As cached_answer_is_due(), when it has been found this time, too. */
static inline bool is_due(const struct cache_entry *entry, int64_t now)
{
    return answer_is_near_end(entry->stored_at, entry_expires_at(entry), now) &&
           atomic_load_explicit(&entry->wanted, memory_order_relaxed) + 1 >= CACHE_WANTED_MAX &&
           atomic_load_explicit(&entry->refresh_claimed, memory_order_relaxed) == 0;
}

bool cache_direct_write(const struct cache *cache, const struct cache_entry *candidate,
                        const struct cache_key *key, int64_t now, uint8_t *at, size_t room,
                        struct cache_direct *ret_direct)
{
    /* What readers note is no part of what they may not change. */
    struct cache_entry *entry = (struct cache_entry *)(uintptr_t)candidate;
    if ((entry->flags & ENTRY_PLAIN) == 0 || entry->body_size > room || !entry_is(entry, key) ||
        now >= entry_expires_at(entry) || is_due(entry, now))
        return false;

    const uint8_t *body = entry_name(entry) + entry->name_size;
    const uint16_t *places = (const uint16_t *)(const void *)entry->octets;
    const uint32_t age_s = ttl_age_s(entry->stored_at, now);
    octets_copy(at, body, entry->body_size);
    for (unsigned i = 0; i < entry->ttl_count; i++)
        ttl_reduce(at + places[i], age_s);
    *ret_direct = (struct cache_direct){
        .size = entry->body_size,
        .answer_count = entry->counts[0],
        .authority_count = entry->counts[1],
        .rcode = entry->rcode,
        .authoritative = (entry->flags & ENTRY_AA) != 0,
        .edns = body + entry->body_size,
        .edns_size = entry->edns_size,
    };
    (void)entry_note_wanted(entry);
    cache_count_hit(cache);
    return true;
}
