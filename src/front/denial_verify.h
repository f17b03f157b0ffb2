/* Whether a record set is a zone's own: its signatures, checked with the zone's DNSKEYs (RFC 4034,
 * RFC 4035, 5.3). Stateless but for the keys; costs up to a few hundred microseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/name.h"

/* More records are in no set that is worth keeping; DNSKEY sets of two rollovers fit. */
#define DENIAL_SET_RECORDS_MAX    24
#define DENIAL_SET_SIGNATURES_MAX 6

/* Keys with one tag that are tried for one signature, and signatures that are tried at all: more is
 * an attack on our time (CVE-2023-50387). */
#define DENIAL_TRIALS_MAX 4

#define DENIAL_KEYS_MAX 12

struct denial_rdata {
    const uint8_t *at; /* uncompressed */
    uint16_t size;
};

/* A record set and the signatures that cover it. */
struct denial_set {
    const struct name *owner;
    uint16_t type;
    uint32_t ttl_s; /* of the record with the least */
    unsigned record_count, signature_count;
    struct denial_rdata records[DENIAL_SET_RECORDS_MAX];
    struct denial_rdata signatures[DENIAL_SET_SIGNATURES_MAX];
};

/* Keys of a zone; all zero is none. */
struct denial_keys {
    unsigned count;
    struct dnssec_key *keys[DENIAL_KEYS_MAX];
};
void denial_keys_clear(struct denial_keys *keys);

/* Takes the keys of a DNSKEY set, those that sign zone data (RFC 4034, 2.1.1) and are of an
 * algorithm that we have. */
void denial_keys_read(struct denial_keys *ret_keys, const struct denial_set *set);

/* What a signature says beside that the set is right. */
struct denial_verified {
    uint32_t ttl_s;  /* RRSIG's original TTL, if it is less than the set's */
    int64_t until;   /* Unix seconds: the signature's end */
    unsigned labels; /* of the owner that was signed; less than the owner's: of a wildcard */
};

enum denial_verdict {
    DENIAL_VERIFIED,
    DENIAL_BOGUS,       /* no signature is right, or one is out of its time */
    DENIAL_KEY_MISSING, /* no key has the tag of a signature */
};

enum denial_verdict denial_verify(const struct denial_keys *keys, const struct name *apex,
                                  const struct denial_set *set, int64_t now,
                                  struct denial_verified *ret_verified);
