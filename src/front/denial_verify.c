#include "front/denial_verify.h"

#include <libdnssec/error.h>
#include <libdnssec/key.h>
#include <libdnssec/sign.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "dns/rdata.h"
#include "dns/record_reader.h"

/* RFC 4034, 2.1.1 and RFC 5011, 7. */
enum { KEY_ZONE = 0x0100, KEY_REVOKED = 0x0080, KEY_PROTOCOL = 3 };

/* An RRSIG's fixed part (RFC 4034, 3.1); the signer's name and the signature follow. */
enum {
    RRSIG_ALGORITHM = 2,
    RRSIG_LABELS = 3,
    RRSIG_TTL = 4,
    RRSIG_EXPIRATION = 8,
    RRSIG_INCEPTION = 12,
    RRSIG_KEY_TAG = 16,
    RRSIG_SIGNER = 18,
};

/* ---- Keys ---- */

void denial_keys_clear(struct denial_keys *keys)
{
    for (unsigned i = 0; i < keys->count; i++)
        dnssec_key_free(keys->keys[i]);
    keys->count = 0;
}

static void read_key(struct denial_keys *keys, const struct denial_rdata *rdata)
{
    if (rdata->size < 5 || keys->count == DENIAL_KEYS_MAX)
        return;
    const uint16_t flags = knot_wire_read_u16(rdata->at);
    if ((flags & KEY_ZONE) == 0 || (flags & KEY_REVOKED) != 0 || rdata->at[2] != KEY_PROTOCOL ||
        !dnssec_algorithm_key_support(rdata->at[3]))
        return;
    dnssec_key_t *key;
    const dnssec_binary_t binary = {.data = (uint8_t *)(uintptr_t)rdata->at, .size = rdata->size};
    if (dnssec_key_new(&key) != DNSSEC_EOK)
        return;
    if (dnssec_key_set_rdata(key, &binary) == DNSSEC_EOK && dnssec_key_can_verify(key))
        keys->keys[keys->count++] = key;
    else
        dnssec_key_free(key);
}

void denial_keys_read(struct denial_keys *ret_keys, const struct denial_set *set)
{
    ret_keys->count = 0;
    for (unsigned i = 0; i < set->record_count; i++)
        read_key(ret_keys, &set->records[i]);
}

/* ---- What was signed ---- */

static bool add(dnssec_sign_ctx_t *context, const void *octets, size_t size)
{
    const dnssec_binary_t binary = {.data = (uint8_t *)(uintptr_t)octets, .size = size};
    return size == 0 || dnssec_sign_add(context, &binary) == DNSSEC_EOK;
}

/* Types whose names are signed in lower case: RFC 4034, 6.2, less NSEC and RRSIG (RFC 6840, 5.1).
 */
static bool has_canonical_names(uint16_t type)
{
    switch (type) {
    case KNOT_RRTYPE_NS:
    case KNOT_RRTYPE_CNAME:
    case KNOT_RRTYPE_SOA:
    case KNOT_RRTYPE_PTR:
    case KNOT_RRTYPE_MINFO:
    case KNOT_RRTYPE_MX:
    case KNOT_RRTYPE_RP:
    case KNOT_RRTYPE_AFSDB:
    case KNOT_RRTYPE_RT:
    case KNOT_RRTYPE_NAPTR:
    case KNOT_RRTYPE_KX:
    case KNOT_RRTYPE_SRV:
    case KNOT_RRTYPE_DNAME:
        return true;
    default:
        return false;
    }
}

static bool add_rdata(dnssec_sign_ctx_t *context, uint16_t type, const struct denial_rdata *rdata)
{
    uint8_t size[2];
    knot_wire_write_u16(size, rdata->size);
    if (!add(context, size, sizeof(size)))
        return false;
    if (!has_canonical_names(type))
        return add(context, rdata->at, rdata->size);

    struct rdata_walk walk = rdata_walk(type, rdata->at, rdata->size);
    struct rdata_part part;
    while (rdata_next(&walk, &part)) {
        const uint8_t *octets = part.at;
        uint8_t lower[NAME_SIZE_MAX];
        if (part.is_name) {
            name_fold(lower, part.at, part.size);
            octets = lower;
        }
        if (!add(context, octets, part.size))
            return false;
    }
    return !walk.malformed;
}

/* The records in canonical order (RFC 4034, 6.3), each behind its owner, type, class and TTL. */
static bool add_records(dnssec_sign_ctx_t *context, const struct denial_set *set,
                        const uint8_t *owner, size_t owner_size, const uint8_t *ttl)
{
    const struct denial_rdata *sorted[DENIAL_SET_RECORDS_MAX];
    for (unsigned i = 0; i < set->record_count; i++) {
        unsigned at = i;
        for (; at > 0 && rdata_compare(set->type, set->records[i].at, set->records[i].size,
                                       sorted[at - 1]->at, sorted[at - 1]->size) < 0;
             at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &set->records[i];
    }
    uint8_t head[8];
    knot_wire_write_u16(head, set->type);
    knot_wire_write_u16(head + 2, KNOT_CLASS_IN);
    memcpy(head + 4, ttl, 4);
    for (unsigned i = 0; i < set->record_count; i++) {
        if (!add(context, owner, owner_size) || !add(context, head, sizeof(head)) ||
            !add_rdata(context, set->type, sorted[i]))
            return false;
    }
    return true;
}

static bool is_signed_with(const dnssec_key_t *key, const struct denial_set *set,
                           const struct name *apex, const struct denial_rdata *signature)
{
    /* The owner that was signed is a wildcard when it has fewer labels (RFC 4035, 5.3.2). */
    uint8_t wildcard[NAME_SIZE_MAX + 2] = {1, '*'};
    const uint8_t *owner = set->owner->wire;
    size_t owner_size = set->owner->size;
    const unsigned labels = signature->at[RRSIG_LABELS];
    const bool is_asterisk = owner[0] == 1 && owner[1] == '*';
    if (labels + is_asterisk < set->owner->label_count) {
        const unsigned from = set->owner->offsets[set->owner->label_count - labels];
        owner_size = set->owner->size - from + 2u;
        memcpy(wildcard + 2, set->owner->wire + from, set->owner->size - from);
        owner = wildcard;
    }

    dnssec_sign_ctx_t *context;
    if (dnssec_sign_new(&context, key) != DNSSEC_EOK)
        return false;
    const size_t data_at = RRSIG_SIGNER + apex->size;
    const dnssec_binary_t octets = {.data = (uint8_t *)(uintptr_t)signature->at + data_at,
                                    .size = signature->size - data_at};
    const bool is_right = add(context, signature->at, RRSIG_SIGNER) &&
                          add(context, apex->wire, apex->size) &&
                          add_records(context, set, owner, owner_size, signature->at + RRSIG_TTL) &&
                          dnssec_sign_verify(context, false, &octets) == DNSSEC_EOK;
    dnssec_sign_free(context);
    return is_right;
}

/* ---- Signatures ---- */

/* Seconds from `now` to a time of 32 bits (RFC 4034, 3.1.5: RFC 1982's order). */
static int32_t seconds_until(const uint8_t *time, int64_t now)
{
    return (int32_t)(knot_wire_read_u32(time) - (uint32_t)now);
}

/* Whether a signature may be one of the set: the zone's, in its time, with as many labels as the
 * owner can have. */
static bool is_of_set(const struct denial_rdata *signature, const struct denial_set *set,
                      const struct name *apex, int64_t now)
{
    const uint8_t *at = signature->at;
    if (signature->size <= (size_t)RRSIG_SIGNER + apex->size ||
        knot_wire_read_u16(at) != set->type || !name_equal(at + RRSIG_SIGNER, apex->wire))
        return false;
    const bool is_asterisk = set->owner->wire[0] == 1 && set->owner->wire[1] == '*';
    return at[RRSIG_LABELS] >= apex->label_count &&
           at[RRSIG_LABELS] + is_asterisk <= set->owner->label_count &&
           seconds_until(at + RRSIG_EXPIRATION, now) > 0 &&
           seconds_until(at + RRSIG_INCEPTION, now) <= 0;
}

static void fill(const struct denial_set *set, int64_t now, struct denial_verified *ret_verified)
{
    *ret_verified = (struct denial_verified){.ttl_s = set->ttl_s, .until = INT64_MAX};
    for (unsigned i = 0; i < set->signature_count; i++) {
        const uint8_t *at = set->signatures[i].at;
        const uint32_t ttl_s = knot_wire_read_u32(at + RRSIG_TTL);
        const int64_t until = now + seconds_until(at + RRSIG_EXPIRATION, now);
        if (ttl_s < ret_verified->ttl_s)
            ret_verified->ttl_s = ttl_s;
        if (until < ret_verified->until)
            ret_verified->until = until;
        ret_verified->labels = at[RRSIG_LABELS];
    }
}

enum denial_verdict denial_verify(const struct denial_keys *keys, const struct name *apex,
                                  const struct denial_set *set, int64_t now,
                                  struct denial_verified *ret_verified)
{
    if (set->signature_count == 0)
        return DENIAL_BOGUS;
    for (unsigned i = 0; i < set->signature_count; i++) {
        if (!is_of_set(&set->signatures[i], set, apex, now) ||
            set->signatures[i].at[RRSIG_LABELS] != set->signatures[0].at[RRSIG_LABELS])
            return DENIAL_BOGUS;
    }
    unsigned trials = 0;
    for (unsigned i = 0; i < set->signature_count; i++) {
        const struct denial_rdata *signature = &set->signatures[i];
        for (unsigned k = 0; k < keys->count; k++) {
            const dnssec_key_t *key = keys->keys[k];
            if (dnssec_key_get_keytag(key) != knot_wire_read_u16(signature->at + RRSIG_KEY_TAG) ||
                dnssec_key_get_algorithm(key) != signature->at[RRSIG_ALGORITHM])
                continue;
            if (trials++ == DENIAL_TRIALS_MAX)
                return DENIAL_BOGUS;
            if (is_signed_with(key, set, apex, signature)) {
                fill(set, now, ret_verified);
                return DENIAL_VERIFIED;
            }
        }
    }
    return trials == 0 ? DENIAL_KEY_MISSING : DENIAL_BOGUS;
}
