/* Answers made of kept denials (RFC 8198, 5): the proofs of RFC 4035, 3.1.3 and RFC 5155, 7.2, as
 * the origin would put them together. */
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "front/denial_internal.h"

/* SHA-1 blocks for one question; what takes more is the origin's to answer (RFC 9276, 3.2). */
#define HASH_BLOCKS_MAX 256

/* What answers. */
struct proof {
    unsigned count;
    struct denial_entry *entries[3]; /* of the proof */
    struct denial_entry *wildcard;   /* the set that is the answer; NULL: a denial */
    bool denies_name;
};

/* A question, and when it is asked. */
struct inquest {
    const struct denial_zone *zone;
    const struct name *name;
    struct denial_key key;
    uint16_t type;
    int64_t now;
};

static void prove(struct proof *proof, struct denial_entry *entry)
{
    for (unsigned i = 0; i < proof->count; i++) {
        if (proof->entries[i] == entry)
            return;
    }
    proof->entries[proof->count++] = entry;
}

/* ---- What an entry says ---- */

static bool is_usable(const struct denial_entry *entry, int64_t now)
{
    return entry != NULL && now < entry->expires_at && now >= entry->stored_at;
}

/* The bitmap's form was checked before it was kept. */
static bool has_type(const struct denial_entry *entry, uint16_t type)
{
    const uint8_t *at = entry->bitmap, *end = at + entry->bitmap_size;
    for (; at < end; at += 2 + at[1]) {
        if (at[0] == type >> 8)
            return (type & 0xff) / 8 < at[1] &&
                   (at[2 + (type & 0xff) / 8] & (0x80 >> (type & 7))) != 0;
    }
    return false;
}

/* Names below are another zone's, or are made from a DNAME: nothing here is about them (RFC 6840,
 * 4.1; RFC 6672, 5.3.4.1). */
static bool is_cut(const struct denial_entry *entry)
{
    return (has_type(entry, KNOT_RRTYPE_NS) && !has_type(entry, KNOT_RRTYPE_SOA)) ||
           has_type(entry, KNOT_RRTYPE_DNAME);
}

/* Whether the type is missing at the owner, and the origin would say so. */
static bool lacks_type(const struct denial_entry *entry, uint16_t type)
{
    if (has_type(entry, type) || has_type(entry, KNOT_RRTYPE_CNAME))
        return false;
    return type == KNOT_RRTYPE_DS || !has_type(entry, KNOT_RRTYPE_NS) ||
           has_type(entry, KNOT_RRTYPE_SOA);
}

static bool covers(const struct denial_entry *entry, const uint8_t *key, size_t size)
{
    const bool is_after = denial_key_compare(key, size, entry->key, entry->key_size) > 0;
    const bool is_before = denial_key_compare(key, size, entry->end, entry->end_size) < 0;
    /* The last one leads to the first. */
    if (denial_key_compare(entry->end, entry->end_size, entry->key, entry->key_size) <= 0)
        return is_after || is_before;
    return is_after && is_before;
}

/* Whether the key is of an ancestor of the other's name, or of the name itself. */
static bool key_begins(const uint8_t *key, size_t size, const struct denial_key *other)
{
    return size <= other->size && memcmp(key, other->octets, size) == 0;
}

/* Whether names below the key's are where the span ends: then it is an empty non-terminal. */
static bool ends_below(const struct denial_entry *entry, const struct denial_key *key)
{
    return entry->end_size > key->size && memcmp(entry->end, key->octets, key->size) == 0;
}

/* The kept set of the wildcard that the question's type asks for; NULL: none is. */
static struct denial_entry *find_wildcard(const struct inquest *inquest,
                                          const struct denial_key *wildcard)
{
    struct denial_key key = *wildcard;
    key.octets[key.size++] = (uint8_t)(inquest->type >> 8);
    key.octets[key.size++] = (uint8_t)inquest->type;
    bool is_there;
    struct denial_entry *entry =
        denial_index_find(&inquest->zone->wildcards, key.octets, key.size, &is_there);
    return is_there && is_usable(entry, inquest->now) ? entry : NULL;
}

/* ---- NSEC ---- */

/* A span that the key is in and that is about it. */
static bool covers_name(const struct inquest *inquest, const struct denial_entry *entry,
                        const struct denial_key *key)
{
    return is_usable(entry, inquest->now) && covers(entry, key->octets, key->size) &&
           !(is_cut(entry) && key_begins(entry->key, entry->key_size, key));
}

static bool judge_wildcard(const struct inquest *inquest, struct denial_entry *covering,
                           struct proof *proof)
{
    const struct denial_key *key = &inquest->key;
    const size_t one = denial_key_common(key->octets, key->size, covering->key, covering->key_size);
    const size_t other =
        denial_key_common(key->octets, key->size, covering->end, covering->end_size);
    struct denial_key wildcard;
    denial_key_make_wildcard(&wildcard, key, one > other ? one : other);
    prove(proof, covering);
    proof->wildcard = find_wildcard(inquest, &wildcard);
    if (proof->wildcard != NULL)
        return true;

    bool is_there;
    struct denial_entry *entry =
        denial_index_find(&inquest->zone->nsec, wildcard.octets, wildcard.size, &is_there);
    if (is_there) {
        prove(proof, entry);
        return is_usable(entry, inquest->now) && !is_cut(entry) && lacks_type(entry, inquest->type);
    }
    /* Of an empty non-terminal wildcard servers say different things. */
    if (!covers_name(inquest, entry, &wildcard) || ends_below(entry, &wildcard))
        return false;
    prove(proof, entry);
    proof->denies_name = true;
    return true;
}

static bool judge_by_name(const struct inquest *inquest, struct proof *proof)
{
    const struct denial_key *key = &inquest->key;
    bool is_there;
    struct denial_entry *entry =
        denial_index_find(&inquest->zone->nsec, key->octets, key->size, &is_there);
    if (is_there) {
        prove(proof, entry);
        return is_usable(entry, inquest->now) && lacks_type(entry, inquest->type);
    }
    if (!covers_name(inquest, entry, key))
        return false;
    if (!ends_below(entry, key))
        return judge_wildcard(inquest, entry, proof);
    prove(proof, entry);
    return true;
}

/* ---- NSEC3 ---- */

/* The NSEC3 of the name at `wire`, or the one that covers it; NULL: neither is kept. */
static struct denial_entry *find_hashed(const struct inquest *inquest,
                                        const struct denial_hashing *hashing, const uint8_t *wire,
                                        size_t size, bool *ret_exact)
{
    uint8_t hash[NSEC3_HASH_SIZE];
    nsec3_hash(&hashing->chain, wire, size, hash);
    const struct denial_index *index = &inquest->zone->nsec3;
    struct denial_entry *entry = denial_index_find(index, hash, sizeof(hash), ret_exact);
    if (entry == NULL)
        entry = denial_index_last(index);
    if (!is_usable(entry, inquest->now))
        return NULL;
    return *ret_exact || covers(entry, hash, sizeof(hash)) ? entry : NULL;
}

static bool costs_too_much(const struct inquest *inquest, const struct denial_hashing *hashing)
{
    /* The name and what is above it to the apex, and the wildcard. */
    const unsigned names = inquest->name->label_count - inquest->zone->apex.label_count + 2u;
    /* A block has 64 octets, of which the end takes 9. */
    const unsigned blocks = (NSEC3_HASH_SIZE + hashing->chain.salt_size + 9u + 63) / 64;
    return names * blocks * (hashing->chain.iterations + 1u) > HASH_BLOCKS_MAX;
}

/* With the closest encloser at `label` of the name proved to exist, and the name below it not. */
static bool judge_hashed_wildcard(const struct inquest *inquest,
                                  const struct denial_hashing *hashing, unsigned label,
                                  struct denial_entry *encloser, struct denial_entry *closer,
                                  struct proof *proof)
{
    const struct name *name = inquest->name;
    uint8_t wire[NAME_SIZE_MAX + 2] = {1, '*'};
    const size_t size = name->size - name->offsets[label];
    memcpy(wire + 2, name->wire + name->offsets[label], size);
    struct name parsed;
    if (name_parse(&parsed, wire, size + 2) < 0)
        return false;
    struct denial_key wildcard;
    denial_key_make(&wildcard, &parsed);
    proof->wildcard = find_wildcard(inquest, &wildcard);
    if (proof->wildcard != NULL) {
        prove(proof, closer);
        return true;
    }

    bool is_there;
    struct denial_entry *entry = find_hashed(inquest, hashing, wire, size + 2, &is_there);
    if (entry == NULL)
        return false;
    prove(proof, encloser);
    prove(proof, closer);
    prove(proof, entry);
    proof->denies_name = !is_there;
    return !is_there || (!is_cut(entry) && lacks_type(entry, inquest->type));
}

static bool judge_by_hash(const struct inquest *inquest, struct proof *proof)
{
    const struct denial_hashing *hashing = rcu_dereference(inquest->zone->hashing);
    const struct name *name = inquest->name;
    if (hashing == NULL || costs_too_much(inquest, hashing))
        return false;
    const unsigned below = name->label_count - inquest->zone->apex.label_count;
    struct denial_entry *entry, *closer = NULL;
    bool is_there = false;
    unsigned label = 0;
    for (; label <= below; label++) {
        const uint8_t *wire = name->wire + name->offsets[label];
        entry = find_hashed(inquest, hashing, wire, name->size - name->offsets[label], &is_there);
        if (entry == NULL)
            return false; /* neither there nor not, or not known */
        if (is_there)
            break;
        closer = entry;
    }
    if (!is_there)
        return false;
    if (closer != NULL)
        return !is_cut(entry) &&
               judge_hashed_wildcard(inquest, hashing, label, entry, closer, proof);
    prove(proof, entry);
    return lacks_type(entry, inquest->type);
}

/* ---- Writing ---- */

/* Puts a set and, with DO, its signatures. */
static bool put_set(struct response *response, enum section section,
                    const struct denial_entry *entry, struct response_owner owner, int64_t now,
                    bool with_signatures)
{
    /* No record outlives its signature (RFC 4035, 5.3.3). */
    const uint32_t ttl_s = (uint32_t)(entry->expires_at - now);
    const struct response_records records = {
        .type = entry->type, .rr_count = entry->record_count, .ttl_s = ttl_s, .data = entry->data};
    const struct response_records signatures = {.type = KNOT_RRTYPE_RRSIG,
                                                .rr_count = entry->signature_count,
                                                .ttl_s = ttl_s,
                                                .data = entry->signatures};
    return response_put(response, section, owner, &records) &&
           (!with_signatures || response_put(response, section, owner, &signatures));
}

static bool write_answer(const struct inquest *inquest, const struct denial_entry *soa,
                         const struct proof *proof, bool dnssec_ok,
                         struct denial_answer *ret_answer)
{
    const struct name *name = inquest->name;
    const int64_t now = inquest->now;
    const size_t body_at = QUESTION_OFFSET + name->size + 4u;
    struct response response;
    memcpy(ret_answer->wire + QUESTION_OFFSET, name->wire, name->size);
    response_init(&response, ret_answer->wire, body_at, sizeof(ret_answer->wire), name);
    bool fits = true;
    if (proof->wildcard != NULL)
        fits = put_set(&response, SECTION_ANSWER, proof->wildcard,
                       (struct response_owner){.pointer = QUESTION_OFFSET}, now, dnssec_ok);
    else
        fits = put_set(&response, SECTION_AUTHORITY, soa,
                       (struct response_owner){.wire = soa->owner}, now, dnssec_ok);
    for (unsigned i = 0; fits && dnssec_ok && i < proof->count; i++)
        fits = put_set(&response, SECTION_AUTHORITY, proof->entries[i],
                       (struct response_owner){.wire = proof->entries[i]->owner}, now, true);
    if (!fits)
        return false;
    ret_answer->answer = (struct cached_answer){
        .rcode = proof->denies_name ? KNOT_RCODE_NXDOMAIN : KNOT_RCODE_NOERROR,
        .authoritative = true,
        .counts = {response.counts[0], response.counts[1], response.counts[2]},
        .body = ret_answer->wire + body_at,
        .body_size = (uint16_t)(response.size - body_at),
        .stored_at = now,
        .expires_at = now + 1, /* it is for this question alone */
        .stale_until = now + 1,
    };
    return true;
}

/* ---- The whole ---- */

static struct denial_line *reader_line(const struct denial_store *store)
{
    static _Atomic(unsigned) threads;
    static _Thread_local unsigned line; /* of the thread, plus one */
    if (line == 0)
        line =
            1 + atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % DENIAL_READER_LINES;
    /* What is counted is no part of what a reader may not change. */
    return &((struct denial_store *)(uintptr_t)store)->lines[line - 1];
}

static void note_use(const struct denial_store *store, const struct proof *proof)
{
    struct denial_line *line = reader_line(store);
    denial_count(proof->wildcard != NULL ? &line->wildcard
                 : proof->denies_name    ? &line->nxdomain
                                         : &line->nodata,
                 1);
    for (unsigned i = 0; i <= proof->count; i++) {
        struct denial_entry *entry = i < proof->count ? proof->entries[i] : proof->wildcard;
        if (entry != NULL && atomic_load_explicit(&entry->used, memory_order_relaxed) == 0)
            atomic_store_explicit(&entry->used, 1, memory_order_relaxed);
    }
}

/* Types of which a denial says whether they are there; ANY, meta-types, and those that are found
 * otherwise than by type are the origin's. */
static bool is_deniable(uint16_t type)
{
    return type != 0 && type != KNOT_RRTYPE_OPT && (type < 128 || type > 255) &&
           type != KNOT_RRTYPE_SIG && type != KNOT_RRTYPE_RRSIG && type != KNOT_RRTYPE_NSEC &&
           type != KNOT_RRTYPE_NSEC3;
}

bool denial_wants_dnssec(const struct denial_store *store, const struct name *apex, uint16_t type)
{
    return is_deniable(type) && denial_zone_find(store, apex) != NULL;
}

bool denial_store_answer(const struct denial_store *store, const struct name *apex,
                         const struct cache_key *key, int64_t now, struct denial_answer *ret_answer)
{
    if (!is_deniable(key->type) || key->name->label_count <= apex->label_count)
        return false;
    const struct denial_zone *zone = denial_zone_find(store, apex);
    const struct denial_entry *soa = zone != NULL ? rcu_dereference(zone->soa) : NULL;
    if (!is_usable(soa, now))
        return false;
    struct inquest inquest = {.zone = zone, .name = key->name, .type = key->type, .now = now};
    denial_key_make(&inquest.key, key->name);
    struct proof proof = {0}, hashed = {0};
    bool is_proved = judge_by_name(&inquest, &proof);
    if (!is_proved && judge_by_hash(&inquest, &hashed)) {
        proof = hashed;
        is_proved = true;
    }
    if (!is_proved || !write_answer(&inquest, soa, &proof, key->dnssec_ok, ret_answer))
        return false;
    note_use(store, &proof);
    return true;
}
