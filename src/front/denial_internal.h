/* What the files behind denial.h share. */
#pragma once

#include <pthread.h>

#include "front/denial.h"
#include "front/denial_index.h"
#include "front/denial_verify.h"
#include "zone/nsec_chain.h"

/* How the zone hashes (RFC 5155, 3.1.2 to 3.1.5). */
struct denial_hashing {
    struct rcu_head retired;
    struct nsec_chain chain; /* its parameters alone */
};

struct denial_zone {
    struct rcu_head retired;
    struct name apex;
    uint64_t origin;

    /* Read by workers. */
    struct denial_index nsec;       /* by name */
    struct denial_index nsec3;      /* by hash */
    struct denial_index wildcards;  /* by name and type */
    struct denial_entry *soa;       /* NULL: none */
    struct denial_hashing *hashing; /* of all in nsec3; NULL: there is none */

    /* Under the lock. */
    struct denial_keys keys;
    int64_t keys_until, keys_asked_at; /* Unix seconds */
};

struct denial_zones {
    struct rcu_head retired;
    size_t count;
    struct denial_zone *zones[];
};

#define DENIAL_LINE         64
#define DENIAL_READER_LINES 32

/* What readers count, a line for each thread; with more threads some share one, and a count may be
 * lost. */
struct denial_line {
    uint64_t nxdomain, nodata, wildcard;
} __attribute__((aligned(DENIAL_LINE)));

struct denial_store {
    struct denial_zones *zones; /* by RCU */
    uint64_t octets_max;
    pthread_mutex_t lock; /* of all below, and over changes of the zones */
    struct denial_entry *oldest, *newest;
    int64_t second; /* in which `verified_now` sets were verified */
    unsigned verified_now;
    struct denial_counters counters; /* but for those of answers; written under the lock */
    struct denial_line lines[DENIAL_READER_LINES];
};

/* The zone of that apex; NULL: its denials are not used. RCU reader, or under the lock. */
struct denial_zone *denial_zone_find(const struct denial_store *store, const struct name *apex);

/* All that follows: under the lock. */

/* An entry of what was verified; `end` may be empty. NULL: no memory. */
struct denial_entry *denial_entry_create(struct denial_zone *zone, struct denial_index *index,
                                         const struct denial_set *set, const struct denial_key *key,
                                         const struct denial_key *end);

/* Sets when it came and ends, and publishes it in the place of the one with its key; what was used
 * least goes when there is no room. */
void denial_entry_publish(struct denial_store *store, struct denial_entry *entry, uint32_t ttl_s,
                          int64_t now, int64_t until);

/* Publishes the zone's SOA; the room that it takes is not asked back. */
void denial_soa_publish(struct denial_store *store, struct denial_entry *entry, uint32_t ttl_s,
                        int64_t now, int64_t until);

/* Forgets all of a zone but its keys; returns how many entries went. */
uint64_t denial_zone_clear(struct denial_store *store, struct denial_zone *zone);

/* Forgets what is hashed in another way than from now on. */
void denial_zone_hash(struct denial_store *store, struct denial_zone *zone,
                      struct denial_hashing *hashing);

static inline void denial_count(uint64_t *counter, uint64_t more)
{
    __atomic_store_n(counter, *counter + more, __ATOMIC_RELAXED);
}

/* ---- A message (denial_message.c) ---- */

/* Records of one message; no denial has as many. */
#define DENIAL_ROWS_MAX 96

/* Octets of their data with all names expanded. */
#define DENIAL_ROW_OCTETS_MAX ((size_t)2 * MESSAGE_SIZE_MAX)

/* One record of the message, with its owner in lower case. */
struct denial_row {
    struct name owner;
    struct denial_rdata rdata;
    uint32_t ttl_s;
    uint16_t type;
    uint8_t section;
    bool is_taken; /* it is in a set that was looked at */
};

struct denial_reader {
    struct record_reader reader;
    unsigned row_count;
    struct denial_row rows[DENIAL_ROWS_MAX];
    size_t used;
    uint8_t octets[DENIAL_ROW_OCTETS_MAX];
    struct denial_set set;
};

/* Reads a whole message; false: it is malformed or has too many records. */
bool denial_reader_read(struct denial_reader *reader, const uint8_t *wire, size_t size);

/* Whether its authority section has NSEC or NSEC3. */
bool denial_reader_is_signed(const struct denial_reader *reader);

/* Gathers the set that a record is of, and its signatures, in reader->set; false: there are too
 * many, or it has been. */
bool denial_reader_gather(struct denial_reader *reader, const struct denial_row *first);
