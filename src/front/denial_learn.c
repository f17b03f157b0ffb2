/* What an origin's message says beyond its question: read, verified, kept. */
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "front/denial_internal.h"

/* Record sets verified in a second: with ECDSA a twentieth of a core, and enough to fill the room
 * of a cache of the default size within a minute. */
#define VERIFIED_MAX 500

/* And DNSKEY sets on top, without which nothing else can be verified. */
#define VERIFIED_KEYS_MAX 20

/* Seconds between two questions for a zone's keys, and how long they are used. */
#define KEYS_PAUSE_S 10
#define KEYS_TTL_S   3600

/* RFC 9276, 3.2: more is for nobody's good; other validators have settled for this. */
#define ITERATIONS_MAX 50

#define NSEC3_SHA1 1 /* RFC 5155, 11 */

/* What is being learned from. */
struct lesson {
    struct denial_store *store;
    struct denial_reader *reader;
    struct denial_zone *zone;
    const struct cache_key *key;
    int64_t now;
    uint32_t ttl_max_s; /* by the SOA (RFC 8198, 5.4; RFC 9077, 3) */
    bool lacks_key;
};

static bool name_is(const struct name *one, const struct name *other)
{
    return one->hashes[0] == other->hashes[0] && one->size == other->size &&
           memcmp(one->wire, other->wire, one->size) == 0;
}

/* ---- Verifying ---- */

static bool may_verify(struct lesson *lesson)
{
    struct denial_store *store = lesson->store;
    const bool is_keys = lesson->reader->set.type == KNOT_RRTYPE_DNSKEY;
    if (store->second != lesson->now) {
        store->second = lesson->now;
        store->verified_now = 0;
    }
    if (store->verified_now < VERIFIED_MAX + (is_keys ? VERIFIED_KEYS_MAX : 0)) {
        store->verified_now++;
        return true;
    }
    denial_count(&store->counters.over_bound, 1);
    return false;
}

static bool verify(struct lesson *lesson, const struct denial_keys *keys,
                   struct denial_verified *ret_verified)
{
    if (!may_verify(lesson))
        return false;
    const enum denial_verdict verdict =
        denial_verify(keys, &lesson->zone->apex, &lesson->reader->set, lesson->now, ret_verified);
    struct denial_counters *counters = &lesson->store->counters;
    if (verdict == DENIAL_KEY_MISSING)
        lesson->lacks_key = true;
    else
        denial_count(verdict == DENIAL_VERIFIED ? &counters->verified : &counters->bogus, 1);
    return verdict == DENIAL_VERIFIED;
}

static uint32_t least(uint32_t one, uint32_t other)
{
    return one < other ? one : other;
}

static bool records_are(const struct denial_rdata *records, unsigned count, const uint8_t *octets,
                        size_t size)
{
    size_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        if (size - at < 2u + records[i].size ||
            knot_wire_read_u16(octets + at) != records[i].size ||
            memcmp(octets + at + 2, records[i].at, records[i].size) != 0)
            return false;
        at += 2u + records[i].size;
    }
    return at == size;
}

/* Whether a kept entry is the gathered set, fresh for at least half as long as a new one would be:
 * what was verified needs not be again. */
static bool is_kept(const struct lesson *lesson, const struct denial_entry *entry, uint32_t ttl_s)
{
    const struct denial_set *set = &lesson->reader->set;
    return entry != NULL && entry->expires_at > lesson->now + ttl_s / 2 &&
           records_are(set->records, set->record_count, entry->data, entry->data_size) &&
           records_are(set->signatures, set->signature_count, entry->signatures,
                       entry->signatures_size);
}

/* ---- NSEC and NSEC3 ---- */

/* Windows in order, each of 1 to 32 octets (RFC 4034, 4.1.2). */
static bool is_bitmap(const uint8_t *at, size_t size)
{
    int window = -1;
    for (; size > 0; at += 2 + at[1]) {
        if (size < 2 || at[0] <= window || at[1] == 0 || at[1] > 32 || size < 2u + at[1])
            return false;
        window = at[0];
        size -= 2u + at[1];
    }
    return true;
}

static void count_useless(const struct lesson *lesson)
{
    denial_count(&lesson->store->counters.useless, 1);
}

/* Verifies and keeps the gathered set. `bitmap` is where it begins in the record's data. */
static void keep(struct lesson *lesson, struct denial_index *index, const struct denial_key *key,
                 const struct denial_key *end, size_t bitmap)
{
    const struct denial_set *set = &lesson->reader->set;
    const uint32_t ttl_s = least(set->ttl_s, lesson->ttl_max_s);
    bool is_there;
    struct denial_entry *entry = denial_index_find(index, key->octets, key->size, &is_there);
    struct denial_verified verified;
    if (is_there && is_kept(lesson, entry, ttl_s))
        return;
    const bool is_asterisk = set->owner->wire[0] == 1 && set->owner->wire[1] == '*';
    /* A denial that a wildcard made would be one that the zone has not. */
    if (!verify(lesson, &lesson->zone->keys, &verified) ||
        verified.labels + is_asterisk != set->owner->label_count)
        return;
    entry = denial_entry_create(lesson->zone, index, set, key, end);
    if (entry == NULL)
        return;
    entry->bitmap = entry->data + 2 + bitmap;
    entry->bitmap_size = (uint16_t)(set->records[0].size - bitmap);
    denial_entry_publish(lesson->store, entry, least(ttl_s, verified.ttl_s), lesson->now,
                         verified.until);
}

/* Whether a span was made for one question: it ends right behind its owner, or behind the name that
 * was asked for or one above it. What follows a name at once is that with an octet 0 as a label in
 * front or at its first label's end (RFC 4470, 3; RFC 9824, 3.1). */
static bool is_white_lie(const struct lesson *lesson, const struct denial_key *owner,
                         const struct denial_key *end)
{
    static const uint8_t tail[] = {1, 1, 0}; /* of the key */
    struct denial_key asked, before = *end;
    if (end->size < sizeof(tail) ||
        memcmp(end->octets + end->size - sizeof(tail), tail, sizeof(tail)) != 0)
        return false;
    before.size -= sizeof(tail);
    if (before.size > 0 && before.octets[before.size - 1] != 0)
        before.octets[before.size++] = 0;
    denial_key_make(&asked, lesson->key->name);
    return denial_key_compare(before.octets, before.size, owner->octets, owner->size) == 0 ||
           (before.size <= asked.size && memcmp(before.octets, asked.octets, before.size) == 0);
}

static void learn_nsec(struct lesson *lesson)
{
    const struct denial_set *set = &lesson->reader->set;
    const struct denial_rdata *rdata = &set->records[0];
    struct denial_key apex, key, end;
    struct name next;
    const int next_size = name_parse(&next, rdata->at, rdata->size);
    if (next_size < 0 || !is_bitmap(rdata->at + next_size, rdata->size - (size_t)next_size))
        return;
    denial_key_make(&apex, &lesson->zone->apex);
    denial_key_make(&key, set->owner);
    denial_key_make(&end, &next);
    /* Within the zone, and only the last one leads back: to the apex. */
    if (end.size < apex.size || memcmp(end.octets, apex.octets, apex.size) != 0 ||
        (denial_key_compare(end.octets, end.size, key.octets, key.size) <= 0 &&
         end.size != apex.size))
        return;
    if (is_white_lie(lesson, &key, &end))
        count_useless(lesson);
    else
        keep(lesson, &lesson->zone->nsec, &key, &end, (size_t)next_size);
}

static uint64_t load_u64(const uint8_t *at)
{
    return (uint64_t)knot_wire_read_u32(at) << 32 | knot_wire_read_u32(at + 4);
}

/* Whether two hashes are nearer to each other than those of 2^64 names would be. */
static bool is_narrow(const uint8_t *from, const uint8_t *to)
{
    return memcmp(from, to, NSEC3_HASH_SIZE) != 0 && load_u64(to) - load_u64(from) <= 1;
}

/* Has the zone's hashes made as this record's; false: no memory. */
static bool hash_as(struct lesson *lesson, unsigned iterations, const uint8_t *salt, uint8_t size)
{
    const struct denial_hashing *present = lesson->zone->hashing;
    if (present != NULL && present->chain.iterations == iterations &&
        present->chain.salt_size == size && memcmp(present->chain.salt, salt, size) == 0)
        return true;
    struct denial_hashing *hashing = calloc(1, sizeof(*hashing));
    if (hashing == NULL)
        return false;
    hashing->chain.iterations = (uint16_t)iterations;
    hashing->chain.salt_size = size;
    memcpy(hashing->chain.salt, salt, size);
    denial_zone_hash(lesson->store, lesson->zone, hashing);
    return true;
}

static void learn_nsec3(struct lesson *lesson)
{
    const struct denial_set *set = &lesson->reader->set;
    const struct denial_rdata *rdata = &set->records[0];
    const uint8_t *at = rdata->at;
    /* Algorithm, flags, iterations, salt, next hash, bitmap (RFC 5155, 3.2). */
    struct denial_key key = {.size = NSEC3_HASH_SIZE}, end = {.size = NSEC3_HASH_SIZE};
    /* Salt, next hash and bitmap begin where the ones before end. */
    const size_t salt_size = rdata->size > 5 ? at[4] : 0;
    const size_t bitmap = 5 + salt_size + 1 + NSEC3_HASH_SIZE;
    if (rdata->size < bitmap || at[0] != NSEC3_SHA1 || at[5 + salt_size] != NSEC3_HASH_SIZE ||
        set->owner->label_count != lesson->zone->apex.label_count + 1 ||
        !nsec3_label_decode(set->owner->wire, key.octets) ||
        !is_bitmap(at + bitmap, rdata->size - bitmap))
        return;
    memcpy(end.octets, at + 5 + salt_size + 1, NSEC3_HASH_SIZE);
    const unsigned iterations = knot_wire_read_u16(at + 2);
    /* A span with opt-out may have delegations in it (RFC 8198, 5.1); of other flags nothing is
     * known (RFC 5155, 8.2). */
    if (at[1] != 0 || iterations > ITERATIONS_MAX || is_narrow(key.octets, end.octets))
        count_useless(lesson);
    else if (hash_as(lesson, iterations, at + 5, (uint8_t)salt_size))
        keep(lesson, &lesson->zone->nsec3, &key, &end, bitmap);
}

static void learn_denials(struct lesson *lesson)
{
    struct denial_reader *reader = lesson->reader;
    for (unsigned i = 0; i < reader->row_count; i++) {
        const struct denial_row *row = &reader->rows[i];
        if (row->section != SECTION_AUTHORITY ||
            (row->type != KNOT_RRTYPE_NSEC && row->type != KNOT_RRTYPE_NSEC3) ||
            !denial_reader_gather(reader, row) || reader->set.record_count != 1)
            continue;
        if (row->type == KNOT_RRTYPE_NSEC)
            learn_nsec(lesson);
        else
            learn_nsec3(lesson);
    }
}

/* ---- SOA ---- */

/* The SOA of the zone; NULL: there is none. */
static const struct denial_row *find_soa(const struct lesson *lesson)
{
    const struct denial_reader *reader = lesson->reader;
    for (unsigned i = 0; i < reader->row_count; i++) {
        const struct denial_row *row = &reader->rows[i];
        if (row->section == SECTION_AUTHORITY && row->type == KNOT_RRTYPE_SOA &&
            row->rdata.size >= 20 && name_is(&row->owner, &lesson->zone->apex))
            return row;
    }
    return NULL;
}

/* From the end of the SOA's data: serial, refresh, retry, expire, minimum (RFC 1035, 3.3.13). */
static uint32_t soa_serial(const uint8_t *data, size_t size)
{
    return knot_wire_read_u32(data + size - 20);
}

/* Whether the message is of an older zone than what is kept, as of a server that lags behind. What
 * is older than the message goes. */
static bool is_outdated(struct lesson *lesson, uint32_t serial)
{
    const struct denial_entry *kept = lesson->zone->soa;
    if (kept == NULL)
        return false;
    const int32_t ahead = (int32_t)(serial - soa_serial(kept->data, kept->data_size));
    if (ahead < 0 && lesson->now < kept->expires_at)
        return true;
    if (ahead != 0)
        (void)denial_zone_clear(lesson->store, lesson->zone);
    return false;
}

/* Takes the message's SOA, or in its absence the one that is kept; false: nothing can be learned.
 */
static bool learn_soa(struct lesson *lesson, const struct denial_row *row)
{
    static const struct denial_key none;
    struct denial_zone *zone = lesson->zone;
    struct denial_set *set = &lesson->reader->set;
    if (row == NULL) {
        const struct denial_entry *kept = zone->soa;
        if (kept == NULL || lesson->now >= kept->expires_at)
            return false;
        lesson->ttl_max_s = knot_wire_read_u32(kept->data + kept->data_size - 4);
        return true;
    }
    if (!denial_reader_gather(lesson->reader, row) || set->record_count != 1)
        return false;
    const uint32_t minimum_s = knot_wire_read_u32(row->rdata.at + row->rdata.size - 4);
    lesson->ttl_max_s = least(set->ttl_s, minimum_s);
    if (is_kept(lesson, zone->soa, lesson->ttl_max_s))
        return true;
    struct denial_verified verified;
    if (!verify(lesson, &zone->keys, &verified) || verified.labels != zone->apex.label_count)
        return false;
    struct denial_entry *entry = denial_entry_create(zone, NULL, set, &none, &none);
    if (entry == NULL)
        return false;
    denial_soa_publish(lesson->store, entry, least(lesson->ttl_max_s, verified.ttl_s), lesson->now,
                       verified.until);
    return true;
}

/* ---- Wildcards ---- */

/* Whether the message is nothing but one set and the proof that a wildcard made it: what else a
 * server adds would be missing from an answer of ours. */
static bool is_lone_set(const struct lesson *lesson)
{
    const struct denial_reader *reader = lesson->reader;
    for (unsigned i = 0; i < reader->row_count; i++) {
        const struct denial_row *row = &reader->rows[i];
        const bool is_proof = row->type == KNOT_RRTYPE_NSEC || row->type == KNOT_RRTYPE_NSEC3 ||
                              row->type == KNOT_RRTYPE_RRSIG;
        if (row->section == SECTION_ANSWER
                ? (row->type != lesson->key->type && row->type != KNOT_RRTYPE_RRSIG) ||
                      !name_is(&row->owner, lesson->key->name)
                : row->section != SECTION_AUTHORITY || !is_proof)
            return false;
    }
    return reader->row_count > 0 && reader->rows[0].section == SECTION_ANSWER;
}

/* Octets of a key's first labels. */
static size_t key_labels_size(const struct denial_key *key, unsigned labels)
{
    size_t size = 0;
    for (; labels > 0; size++)
        labels -= key->octets[size] == 0;
    return size;
}

static void learn_wildcard(struct lesson *lesson)
{
    static const struct denial_key none;
    struct denial_reader *reader = lesson->reader;
    struct denial_set *set = &reader->set;
    struct denial_key name, key;
    if (!is_lone_set(lesson))
        return;
    const struct denial_row *row = &reader->rows[0];
    while (row->type != lesson->key->type) {
        if (++row == reader->rows + reader->row_count)
            return;
    }
    if (row->section != SECTION_ANSWER || !denial_reader_gather(reader, row) ||
        set->signature_count == 0 || set->signatures[0].size < 4)
        return;
    /* RFC 4035, 5.3.4: fewer labels were signed than the name has. */
    const unsigned labels = set->signatures[0].at[3];
    if (labels < lesson->zone->apex.label_count || labels >= set->owner->label_count)
        return;
    denial_key_make(&name, set->owner);
    denial_key_make_wildcard(&key, &name, key_labels_size(&name, labels));
    if (key.size == name.size && memcmp(key.octets, name.octets, key.size) == 0)
        return; /* the wildcard itself was asked for */
    key.octets[key.size++] = (uint8_t)(set->type >> 8);
    key.octets[key.size++] = (uint8_t)set->type;

    struct denial_index *index = &lesson->zone->wildcards;
    bool is_there;
    struct denial_entry *entry = denial_index_find(index, key.octets, key.size, &is_there);
    struct denial_verified verified;
    if ((is_there && is_kept(lesson, entry, set->ttl_s)) ||
        !verify(lesson, &lesson->zone->keys, &verified))
        return;
    entry = denial_entry_create(lesson->zone, index, set, &key, &none);
    if (entry != NULL)
        denial_entry_publish(lesson->store, entry, least(set->ttl_s, verified.ttl_s), lesson->now,
                             verified.until);
}

/* ---- Keys ---- */

/* Keys that sign themselves (RFC 4035, 5.2, without a DS). */
static void learn_keys(struct lesson *lesson)
{
    struct denial_reader *reader = lesson->reader;
    struct denial_zone *zone = lesson->zone;
    for (unsigned i = 0; i < reader->row_count; i++) {
        const struct denial_row *row = &reader->rows[i];
        struct denial_keys keys;
        struct denial_verified verified;
        if (row->section != SECTION_ANSWER || row->type != KNOT_RRTYPE_DNSKEY ||
            !name_is(&row->owner, &zone->apex) || !denial_reader_gather(reader, row))
            continue;
        denial_keys_read(&keys, &reader->set);
        if (!verify(lesson, &keys, &verified) || verified.labels != zone->apex.label_count) {
            denial_keys_clear(&keys);
            return;
        }
        denial_keys_clear(&zone->keys);
        zone->keys = keys;
        zone->keys_until =
            lesson->now + least(least(reader->set.ttl_s, verified.ttl_s), KEYS_TTL_S);
        if (verified.until < zone->keys_until)
            zone->keys_until = verified.until;
        return;
    }
}

static bool are_keys_due(struct lesson *lesson)
{
    struct denial_zone *zone = lesson->zone;
    if (lesson->now >= zone->keys_asked_at && lesson->now < zone->keys_asked_at + KEYS_PAUSE_S)
        return false;
    zone->keys_asked_at = lesson->now;
    return true;
}

/* ---- The whole ---- */

/* Returns whether the zone's keys are to be asked for. */
static bool learn(struct lesson *lesson)
{
    const struct denial_row *soa = find_soa(lesson);
    /* A new serial counts before it is verified: who makes one up has only made us forget. */
    if ((soa != NULL && is_outdated(lesson, soa_serial(soa->rdata.at, soa->rdata.size))) ||
        !denial_reader_is_signed(lesson->reader))
        return false;
    if (lesson->now >= lesson->zone->keys_until)
        return are_keys_due(lesson);
    if (learn_soa(lesson, soa)) {
        learn_denials(lesson);
        learn_wildcard(lesson);
    }
    return lesson->lacks_key && are_keys_due(lesson);
}

bool denial_learn(struct denial_store *store, struct denial_reader *reader,
                  const struct denial_zone_option *of, const struct cache_key *key, int64_t now,
                  const uint8_t *wire, size_t size)
{
    struct lesson lesson = {.store = store, .reader = reader, .key = key, .now = now};
    const struct denial_zone *zone = denial_zone_find(store, of->apex);
    if (zone == NULL || !denial_reader_read(reader, wire, size) || !knot_wire_get_aa(wire))
        return false;
    const bool has_keys = key->type == KNOT_RRTYPE_DNSKEY && name_is(key->name, of->apex);
    /* Of a zone that is not signed there is nothing to keep, nor to forget. */
    if (!has_keys && !denial_reader_is_signed(reader) && rcu_dereference(zone->soa) == NULL)
        return false;
    bool wants_keys = false;
    pthread_mutex_lock(&store->lock);
    /* The zones may have changed meanwhile. */
    lesson.zone = denial_zone_find(store, of->apex);
    if (lesson.zone != NULL && lesson.zone->origin == of->origin) {
        if (has_keys)
            learn_keys(&lesson);
        else
            wants_keys = learn(&lesson);
    }
    pthread_mutex_unlock(&store->lock);
    return wants_keys;
}
