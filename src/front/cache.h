/* Answers of origins, kept as octets that are ready to send: the memory behind forwarded zones.
 *
 * An answer is kept as it stands behind its question, so that compression pointers into the
 * question stay right for whoever asks next; what changes with time are its TTLs, whose places are
 * kept with it. Its key is the question: name in any letter case, type, class IN, and the DO and CD
 * bits. Readers look without locks, in an RCU read-side section; writers share a lock per shard.
 *
 * Room is bounded in octets, all overhead included: one mapping of the configured size holds
 * everything. What has existed is worth more than what never did: answers that deny a name's
 * existence have a share of the room of their own and never push out others. Of the rest, what was
 * asked for once goes before what was asked for again.
 *
 * A name error is kept for its question alone, not for all types of its name as RFC 2308, 5 allows:
 * some origins say NXDOMAIN to AAAA for names that have an A (RFC 4074, 4.2), and a front must
 * answer as the origin would.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"

struct cache;

#define CACHE_OCTETS_MIN ((uint64_t)256 * 1024)

struct cache_options {
    uint64_t octets_max;      /* at least CACHE_OCTETS_MIN */
    unsigned denials_percent; /* of the room, for NXDOMAIN; 0: 20, at most 50 */
};

/* Returns 0, -EINVAL for options outside of their bounds, or -ENOMEM. */
_must_check_ int cache_create(const struct cache_options *options, struct cache **ret_cache);
void cache_free(struct cache *cache); /* no reader is left; waits for a grace period */
DEFINE_FREEP(struct cache, cache_free)

/* Has the next part of the memory, from `*at` (0 at first) on, brought in by the system before an
 * answer needs it: the first octet in a large page costs milliseconds, while the page is cleared.
 * Any thread. Returns false when all is there, or the system does not do it. */
bool cache_populate(struct cache *cache, uint64_t *at);

/* What an answer is to. */
struct cache_key {
    const struct name *name;
    uint16_t type;
    bool dnssec_ok, checking_disabled;
};

/* An answer to keep, or as kept. Octets behind the question, without OPT and TSIG. */
struct cached_answer {
    uint8_t rcode;
    bool authoritative;
    bool is_plain;       /* leads to no other name: no alias in the answer section, nothing in the
                            additional one */
    uint16_t counts[3];  /* records by section */
    const uint8_t *body; /* the sections as they stand in the message, behind the question */
    uint16_t body_size;
    const uint16_t *ttl_places; /* offsets in the body of each record's TTL */
    uint16_t ttl_count;
    const uint8_t *edns; /* EDNS options that belong to the answer (EDE, ...), wire form */
    uint16_t edns_size;
    int64_t stored_at;   /* Unix seconds */
    int64_t expires_at;  /* the answer is fresh before this (smallest TTL; SOA for denials) */
    int64_t stale_until; /* may be served with RFC 8767 before this */

    /* Set by cache_find() alone. */
    uint8_t wanted; /* times found since it was kept or last passed over, up to CACHE_WANTED_MAX */
    bool refresh_claimed;    /* somebody asks the origin for the next one already */
    _Atomic(uint8_t) *claim; /* see cache_claim_refresh() */
};

#define CACHE_WANTED_MAX 3

/* Keeps an answer in the place of the one to the same question; copies all of it. Any thread that
 * is no reader at the moment, or that is: it does not wait for readers. Without room the least
 * wanted go. Not kept is an answer that is too large for the cache, one that was never fresh (TTL 0
 * is for those who wait for it, RFC 1035, 3.2.1), and one that comes while all room is still being
 * read. */
void cache_put(struct cache *cache, const struct cache_key *key,
               const struct cached_answer *answer);

/* Finds what is kept, fresh or stale, and notes that it was wanted. Valid until the reader's next
 * quiescent state. */
bool cache_find(const struct cache *cache, const struct cache_key *key,
                struct cached_answer *ret_answer);

/* Whether an answer as found is so popular and near its end that the next one is worth asking for,
 * and nobody does so. */
bool cached_answer_is_due(const struct cached_answer *answer, int64_t now);

/* True for the first who calls it for an answer as found: it is theirs to ask the origin for the
 * next one before this expires. */
bool cache_claim_refresh(const struct cached_answer *answer);

/* Writes the answer behind the question of a message: body with TTLs less their age, or all
 * `stale_ttl_s` when the answer is stale. Returns the octets written, 0 when there is no room. */
size_t cached_answer_write(const struct cached_answer *answer, int64_t now, uint32_t stale_ttl_s,
                           uint8_t *at, size_t room);

/* Whether the name has ever, as far as is known, had records: some answer of it is kept that does
 * not deny it. */
bool cache_knows(const struct cache *cache, const struct name *name);

/* ---- For people ---- */

/* Drops all answers of one name, or of it and all below. Returns how many. */
uint64_t cache_purge(struct cache *cache, const struct name *name, bool with_subtree);

struct cache_counters {
    uint64_t answers, denials; /* kept now */
    uint64_t octets, octets_max;
    uint64_t hits, misses;
    uint64_t stored, evicted;
    uint64_t expired; /* went when it could not be served any more, not even as stale */
    uint64_t refused; /* not kept: too large, or without room until readers have moved on */
};
void cache_counters(const struct cache *cache, struct cache_counters *ret_counters);

/* ---- Across restarts ---- */

/* Writes all answers that are still fresh or usable as stale ones to a file, durable and in one
 * piece (temporary file, fsync, rename), with a checksum; reads them back, refusing what is damaged
 * or of another version with a clear error and before any answer is taken. TTLs go on by the wall
 * clock; an answer from the future, after the clock was set back, is left out. Puts and finds go on
 * beside both. */
_must_check_ int cache_save(struct cache *cache, const char *path, int64_t now,
                            uint64_t *ret_answers, struct error *ret_error);
_must_check_ int cache_load(struct cache *cache, const char *path, int64_t now,
                            uint64_t *ret_answers, struct error *ret_error);
