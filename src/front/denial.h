/* Denials of signed origins, used for more than the question that they came for (RFC 8198).
 *
 * An NSEC or NSEC3 record says of a whole stretch of names that there are none. Kept with the
 * zone's SOA it answers for each of them, as the origin would, without asking it: NXDOMAIN, NODATA
 * and what a wildcard makes. So a flood of random names reaches a signed origin a few times.
 *
 * What is kept is verified with the zone's DNSKEYs, which come from the same origin and are signed
 * by themselves. There is no chain from an anchor: the origin is the zone's authority for us and
 * its answers are passed on as they are. The signatures say that a record is of the zone's chain,
 * whole and in its time, so that no stray one denies names that it is not about.
 *
 * Left out is what says no more than its own question: white lies (RFC 4470), compact denial (RFC
 * 9824), spans with opt-out (RFC 5155, 6), and hashes that cost too much (RFC 9276). Everything of
 * a zone goes when its SOA has a newer serial.
 *
 * Workers read without locks, in an RCU read-side section; who learns holds a lock. Room is bounded
 * in octets.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "dns/name.h"
#include "dns/record_reader.h"
#include "dns/response.h"
#include "front/cache.h"

struct denial_store;

#define DENIAL_OCTETS_MIN ((uint64_t)64 * 1024)

/* Returns 0, -EINVAL for less than DENIAL_OCTETS_MIN, or -ENOMEM. */
_must_check_ int denial_store_create(uint64_t octets_max, struct denial_store **ret_store);
void denial_store_free(struct denial_store *store); /* no reader is left */
DEFINE_FREEP(struct denial_store, denial_store_free)

/* A zone whose denials are used. What is known of it stays as long as `origin` does: a number that
 * stands for its servers. */
struct denial_zone_option {
    const struct name *apex;
    uint64_t origin;
};

/* Replaces the zones. Returns 0 or -ENOMEM, when nothing has changed. */
_must_check_ int denial_store_configure(struct denial_store *store,
                                        const struct denial_zone_option *zones, size_t count);

/* ---- Answers ---- */

/* More than NXDOMAIN with three NSEC3 and two signatures each takes; a larger one is the origin's.
 */
#define DENIAL_BODY_MAX 8192

/* Room for one answer. */
struct denial_answer {
    struct cached_answer answer;
    uint8_t wire[QUESTION_OFFSET + NAME_SIZE_MAX + 4 + DENIAL_BODY_MAX];
};

/* Answers a question about a name at or below `apex` from what is kept, as if the origin had just
 * done so; false: it does not say. The caller knows that nothing positive is kept of the name. The
 * answer points into *ret_answer. Any thread, as an RCU reader. */
bool denial_store_answer(const struct denial_store *store, const struct name *apex,
                         const struct cache_key *key, int64_t now,
                         struct denial_answer *ret_answer);

/* ---- Learning ---- */

/* Room to read one message after the other; one a thread. NULL: no memory. */
struct denial_reader;
struct denial_reader *denial_reader_create(void);
void denial_reader_free(struct denial_reader *reader);
DEFINE_FREEP(struct denial_reader, denial_reader_free)

/* Whether questions about names that were never seen are put with the DO bit, for what comes with
 * the answer: of a type whose answer is the same without what RFC 3225, 3 leaves out. */
bool denial_wants_dnssec(const struct denial_store *store, const struct name *apex, uint16_t type);

/* Keeps what an origin's answer to `key` says beyond it: with DO what it proves, and without it
 * that the zone is a newer one. The octets may be any, as long as cached_message_read() took them
 * for an answer; of servers that are the zone's no more nothing is kept. Any thread, as an RCU
 * reader; it may wait for another one.
 *
 * True: the zone's DNSKEYs are to be asked for, with DO, and their answer to be given to this
 * function; it is so once in a while only. */
bool denial_learn(struct denial_store *store, struct denial_reader *reader,
                  const struct denial_zone_option *zone, const struct cache_key *key, int64_t now,
                  const uint8_t *wire, size_t size);

/* ---- For people ---- */

/* Forgets the zones that the name, or with_subtree a name below it, is in: one record says
 * something about many names. Returns how many record sets went. */
uint64_t denial_store_purge(struct denial_store *store, const struct name *name, bool with_subtree);

struct denial_counters {
    uint64_t records; /* NSEC, NSEC3 and wildcards' sets kept now */
    uint64_t octets, octets_max;
    uint64_t nxdomain, nodata, wildcard; /* answers made */
    uint64_t verified, bogus;            /* signatures of record sets */
    uint64_t useless;                    /* records that say too little or cost too much */
    uint64_t over_bound;                 /* not verified: enough was in that second */
    uint64_t evicted;
};
void denial_store_counters(const struct denial_store *store, struct denial_counters *ret_counters);
