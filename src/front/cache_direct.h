/* Answers from the cache as nearly every question for a forwarded zone gets them: fresh, plain, and
 * copied once, to where they are sent from. They are the same octets that cache_find() and
 * cached_answer_write() lead to; whatever needs a closer look is left to those.
 *
 * Costs two cache misses, which the first two calls overlap with those of other questions. All
 * three belong to one RCU read-side section.
 */
#pragma once

#include "front/cache.h"

struct cache_entry;

/* Asks the memory for where an answer to `name` would be listed. */
void cache_direct_prefetch(const struct cache *cache, const struct name *name);

/* Returns what is likely the answer to a question, and asks the memory for it; NULL: none is kept.
 * Takes what the former has brought. */
const struct cache_entry *cache_direct_candidate(const struct cache *cache,
                                                 const struct cache_key *key);

struct cache_direct {
    size_t size; /* octets written */
    uint16_t answer_count, authority_count;
    uint8_t rcode;
    bool authoritative;
    const uint8_t *edns; /* as in struct cached_answer, and valid as long */
    uint16_t edns_size;
};

/* Writes the answer to `at`, where `room` octets may be used, and notes that it was wanted. False:
 * it is cache_find()'s to say what there is, and nothing was written or noted. So it is when the
 * candidate answers another question, has expired, leads to other names, is larger than `room`, or
 * is so popular and near its end that the next one should be asked for (cache_claim_refresh()). */
bool cache_direct_write(const struct cache *cache, const struct cache_entry *candidate,
                        const struct cache_key *key, int64_t now, uint8_t *at, size_t room,
                        struct cache_direct *ret_direct);
