#include "zone/zonemd.h"

#include <endian.h>
#include <errno.h>
#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "dns/rdata.h"
#include "zone/nsec_chain.h"

#define TYPE_ZONEMD 63 /* RFC 8976, 5.1 */

/* Serial, scheme, hash algorithm, digest (RFC 8976, 2.2). */
#define FIXED_SIZE    6
#define SCHEME_SIMPLE 1
#define HASH_SHA384   1
#define HASH_SHA512   2

#define DIGEST_SIZE_MAX 64

/* Below it a second thread costs more than it sorts. */
#define PARALLEL_MIN 20000

/* ---- Names in canonical order ---- */

/* An entry and the first octets of a key that sorts as its owner does (RFC 4034, 6.1): most
 * comparisons need no more, and no look at the entry. */
struct ordered_entry {
    uint64_t keys[2]; /* the second one makes the sorting of long host names twice as fast */
    const struct name_entry *entry;
};

/* Labels from the right, each ended by a 0. An octet 0 or 1 in a label becomes two octets that
 * begin with 1, so that it stays above the end of a label and in its order. */
static struct ordered_entry order_entry(const struct name_entry *entry)
{
    struct ordered_entry ordered = {.entry = entry};
    uint8_t offsets[NAME_LABELS_MAX];
    size_t count = 0;
    for (size_t at = 0; at < entry->owner_size; at += (size_t)entry->owner[at] + 1)
        offsets[count++] = (uint8_t)at;

    uint8_t key[sizeof(ordered.keys)] = {0};
    size_t size = 0;
    while (count > 0 && size < sizeof(key)) {
        const uint8_t *label = entry->owner + offsets[--count];
        for (size_t i = 1; i <= label[0] && size < sizeof(key); i++) {
            if (label[i] <= 1)
                key[size++] = 1;
            if (size < sizeof(key))
                key[size++] = label[i] <= 1 ? (uint8_t)(label[i] + 1) : label[i];
        }
        size++; /* the 0 */
    }
    memcpy(ordered.keys, key, sizeof(key));
    for (size_t i = 0; i < 2; i++)
        ordered.keys[i] = be64toh(ordered.keys[i]);
    return ordered;
}

static int ordered_entry_compare(const void *one, const void *other)
{
    const struct ordered_entry *a = one, *b = other;
    for (size_t i = 0; i < 2; i++)
        if (a->keys[i] != b->keys[i])
            return a->keys[i] < b->keys[i] ? -1 : 1;
    return owner_compare(a->entry->owner, a->entry->owner_size, b->entry->owner,
                         b->entry->owner_size);
}

/* Entries in two runs, each in order. */
struct ordered_entries {
    struct ordered_entry *entries;
    size_t count, room;
    size_t half; /* where the second run begins */
};

static void add_entry(struct ordered_entries *ordered, const struct name_entry *entry)
{
    if (ordered->count < ordered->room && entry->rrset_count > 0)
        ordered->entries[ordered->count++] = order_entry(entry);
}

static int collect_entry(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    add_entry(context, entry);
    return 0;
}

static void *sort_second(void *argument)
{
    const struct ordered_entries *ordered = argument;
    qsort(ordered->entries + ordered->half, ordered->count - ordered->half,
          sizeof(*ordered->entries), ordered_entry_compare);
    return NULL;
}

static void sort_entries(struct ordered_entries *ordered)
{
    ordered->half = ordered->count / 2;
    pthread_t thread;
    const bool parallel =
        ordered->count >= PARALLEL_MIN && pthread_create(&thread, NULL, sort_second, ordered) == 0;
    qsort(ordered->entries, ordered->half, sizeof(*ordered->entries), ordered_entry_compare);
    if (parallel)
        pthread_join(thread, NULL);
    else
        (void)sort_second(ordered);
}

/* NSEC3 owners are no names of the table (zone/nsec_chain.h), but they are records of the zone. */
static int order_entries(const struct zone_data *data, struct ordered_entries *ret_ordered)
{
    const size_t nsec3_count = data->chain != NULL ? data->chain->nsec3_count : 0;
    struct ordered_entries ordered = {.room = data->name_count + nsec3_count + data->stray_count};
    ordered.entries = calloc(ordered.room + 1, sizeof(*ordered.entries));
    if (ordered.entries == NULL)
        return -ENOMEM;
    (void)name_table_each(data->table, collect_entry, &ordered);
    for (size_t i = 0; i < nsec3_count; i++)
        add_entry(&ordered, data->chain->nsec3[i].entry);
    for (size_t i = 0; i < data->stray_count; i++)
        add_entry(&ordered, data->strays[i]);
    sort_entries(&ordered);
    *ret_ordered = ordered;
    return 0;
}

/* ---- Hashing ---- */

/* The two hashes there are, of which one or both are wanted. */
struct digests {
    gnutls_hash_hd_t sha384, sha512;
};

static void digest_octets(const struct digests *digests, const void *octets, size_t size)
{
    if (digests->sha384 != NULL)
        gnutls_hash(digests->sha384, octets, size);
    if (digests->sha512 != NULL)
        gnutls_hash(digests->sha512, octets, size);
}

/* Names within rdata in lower case where RFC 4034, 6.2 (RFC 6840, 5.1) wants it. */
static size_t canonical_rdata(uint16_t type, const uint8_t *rdata, size_t size, uint8_t *ret_rdata)
{
    if (!knot_rrtype_should_be_lowercased(type)) {
        memcpy(ret_rdata, rdata, size);
        return size;
    }
    struct rdata_walk walk = rdata_walk(type, rdata, size);
    struct rdata_part part;
    size_t at = 0;
    while (rdata_next(&walk, &part)) {
        if (part.is_name)
            name_fold(ret_rdata + at, part.at, part.size);
        else
            memcpy(ret_rdata + at, part.at, part.size);
        at += part.size;
    }
    return at;
}

/* What the digest leaves out (RFC 8976, 3.3.1.1): the digests themselves and what signs them. */
static bool is_left_out(bool is_apex, uint16_t type, const uint8_t *rdata, size_t size)
{
    return is_apex && (type == TYPE_ZONEMD || (type == KNOT_RRTYPE_RRSIG && size >= 2 &&
                                               knot_wire_read_u16(rdata) == TYPE_ZONEMD));
}

/* Signatures of one owner are one set to us, but each has the TTL of what it covers (RFC 4034, 3).
 */
static uint32_t record_ttl_s(const struct name_entry *entry, const struct rrset *rrset,
                             const uint8_t *rdata, size_t size)
{
    struct rrset covered;
    if (rrset->type == KNOT_RRTYPE_RRSIG && size >= 2 &&
        name_entry_rrset(entry, knot_wire_read_u16(rdata), &covered))
        return covered.ttl;
    return rrset->ttl;
}

/* One record at a time: record sets of an entry are in order of type, and their records in
 * canonical order. */
static void digest_entry(const struct digests *digests, const struct zone_data *data,
                         const struct name_entry *entry, uint8_t *buffer)
{
    memcpy(buffer, entry->owner, entry->owner_size);
    memcpy(buffer + entry->owner_size, data->apex.wire, data->apex.size);
    uint8_t *fixed = buffer + entry->owner_size + data->apex.size;

    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned i = 0; i < entry->rrset_count; i++) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        knot_wire_write_u16(fixed, rrset.type);
        knot_wire_write_u16(fixed + 2, KNOT_CLASS_IN);
        const uint8_t *record = rrset.data;
        for (unsigned j = 0; j < rrset.rr_count; j++) {
            const size_t size = knot_wire_read_u16(record);
            if (!is_left_out(entry->owner_size == 0, rrset.type, record + 2, size)) {
                const size_t written = canonical_rdata(rrset.type, record + 2, size, fixed + 10);
                knot_wire_write_u32(fixed + 4, record_ttl_s(entry, &rrset, record + 2, size));
                knot_wire_write_u16(fixed + 8, (uint16_t)written);
                digest_octets(digests, buffer, (size_t)(fixed - buffer) + 10 + written);
            }
            record += 2 + size;
        }
    }
}

static void digest_all(const struct digests *digests, const struct zone_data *data,
                       const struct ordered_entries *ordered, uint8_t *buffer)
{
    size_t first = 0, second = ordered->half;
    while (first < ordered->half || second < ordered->count) {
        const bool is_first =
            second == ordered->count ||
            (first < ordered->half &&
             ordered_entry_compare(&ordered->entries[first], &ordered->entries[second]) <= 0);
        digest_entry(digests, data, ordered->entries[is_first ? first++ : second++].entry, buffer);
    }
}

static int digest_zone(const struct zone_data *data, struct digests *digests)
{
    struct ordered_entries ordered;
    if (order_entries(data, &ordered) < 0)
        return -ENOMEM;
    uint8_t *buffer = malloc(NAME_SIZE_MAX + 10 + UINT16_MAX);
    if (buffer != NULL)
        digest_all(digests, data, &ordered, buffer);
    free(ordered.entries);
    free(buffer);
    return buffer != NULL ? 0 : -ENOMEM;
}

/* ---- Checking ---- */

/* What one ZONEMD record is worth. */
enum record_worth { WORTH_NOTHING, WORTH_OTHER_SERIAL, WORTH_TRYING };

struct zonemd_record {
    const uint8_t *rdata;
    size_t size;
    enum record_worth worth;
};

static size_t digest_size(uint8_t hash)
{
    return hash == HASH_SHA384 ? 48 : hash == HASH_SHA512 ? 64 : 0;
}

/* Two records of one scheme and hash are both not to be used (RFC 8976, 2.2). */
static bool is_alone(const struct rrset *rrset, const uint8_t *rdata)
{
    unsigned count = 0;
    const uint8_t *at = rrset->data;
    for (unsigned i = 0; i < rrset->rr_count; i++) {
        const size_t size = knot_wire_read_u16(at);
        count += size >= FIXED_SIZE && at[2 + 4] == rdata[4] && at[2 + 5] == rdata[5];
        at += 2 + size;
    }
    return count == 1;
}

static enum record_worth record_worth(const struct rrset *rrset, const uint8_t *rdata, size_t size,
                                      uint32_t serial)
{
    if (size < FIXED_SIZE || rdata[4] != SCHEME_SIMPLE || digest_size(rdata[5]) == 0 ||
        size != FIXED_SIZE + digest_size(rdata[5]) || !is_alone(rrset, rdata))
        return WORTH_NOTHING;
    return knot_wire_read_u32(rdata) == serial ? WORTH_TRYING : WORTH_OTHER_SERIAL;
}

/* The usable records: at most one a hash. */
struct usable {
    const uint8_t *sha384, *sha512;
    bool other_serial;
};

static struct usable find_usable(const struct rrset *rrset, uint32_t serial)
{
    struct usable usable = {.sha384 = NULL};
    const uint8_t *at = rrset->data;
    for (unsigned i = 0; i < rrset->rr_count; i++) {
        const size_t size = knot_wire_read_u16(at);
        const uint8_t *rdata = at + 2;
        const enum record_worth worth = record_worth(rrset, rdata, size, serial);
        if (worth == WORTH_OTHER_SERIAL)
            usable.other_serial = true;
        else if (worth == WORTH_TRYING && rdata[5] == HASH_SHA384)
            usable.sha384 = rdata;
        else if (worth == WORTH_TRYING)
            usable.sha512 = rdata;
        at += 2 + size;
    }
    return usable;
}

/* Ends a hash, whether it was wanted or not, and compares it. */
static bool digest_equals(gnutls_hash_hd_t hash, const uint8_t *rdata)
{
    uint8_t digest[DIGEST_SIZE_MAX];
    if (hash == NULL)
        return false;
    gnutls_hash_deinit(hash, digest);
    return memcmp(digest, rdata + FIXED_SIZE, digest_size(rdata[5])) == 0;
}

/* One digest that matches is enough (RFC 8976, 4). */
static int compare_digests(const struct zone_data *data, const struct usable *usable,
                           bool *ret_matches)
{
    struct digests digests = {.sha384 = NULL};
    int rc = 0;
    if (usable->sha384 != NULL && gnutls_hash_init(&digests.sha384, GNUTLS_DIG_SHA384) < 0)
        rc = -ENOMEM;
    if (rc == 0 && usable->sha512 != NULL &&
        gnutls_hash_init(&digests.sha512, GNUTLS_DIG_SHA512) < 0)
        rc = -ENOMEM;
    if (rc == 0)
        rc = digest_zone(data, &digests);
    const bool matches_384 = digest_equals(digests.sha384, usable->sha384);
    const bool matches_512 = digest_equals(digests.sha512, usable->sha512);
    *ret_matches = rc == 0 && (matches_384 || matches_512);
    return rc;
}

bool zonemd_is_wanted(const struct zone_data *data, enum zonemd_policy policy)
{
    struct rrset rrset;
    return policy == ZONEMD_REQUIRE ||
           (policy == ZONEMD_VERIFY && name_entry_rrset(data->apex_entry, TYPE_ZONEMD, &rrset));
}

int zonemd_check(const struct zone_data *data, enum zonemd_policy policy,
                 enum zonemd_result *ret_result, struct error *ret_error)
{
    struct rrset rrset;
    if (policy == ZONEMD_IGNORE || !name_entry_rrset(data->apex_entry, TYPE_ZONEMD, &rrset)) {
        *ret_result = ZONEMD_NONE;
        return policy != ZONEMD_REQUIRE
                   ? 0
                   : error_set(ret_error, -EKEYREJECTED,
                               "it has no ZONEMD, which \"zonemd: require\" asks for");
    }

    const struct usable usable = find_usable(&rrset, data->soa.serial);
    if (usable.sha384 == NULL && usable.sha512 == NULL) {
        *ret_result = ZONEMD_NOT_OURS;
        if (usable.other_serial)
            return error_set(ret_error, -EKEYREJECTED,
                             "its ZONEMD is of another serial than %u: make it anew there",
                             data->soa.serial);
        return policy != ZONEMD_REQUIRE
                   ? 0
                   : error_set(ret_error, -EKEYREJECTED,
                               "its ZONEMD is of no scheme and hash that we know: use SIMPLE with "
                               "SHA-384 or SHA-512");
    }

    bool matches;
    const int rc = compare_digests(data, &usable, &matches);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory for its digest");
    if (!matches)
        return error_set(ret_error, -EKEYREJECTED,
                         "its records do not match its ZONEMD: it was changed on the way, or by a "
                         "server there that does not keep the digest up");
    *ret_result = ZONEMD_MATCHES;
    return 0;
}
