#include "front/origin_message.h"

#include <assert.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <libknot/wire.h>
#include <string.h>

#define OPTION_HEADER_SIZE     4
#define OPT_SIZE               11
#define SERVER_COOKIE_SIZE_MIN 8 /* RFC 7873, 4 */

static_assert(NAME_SIZE_MAX == KNOT_DNAME_MAXLEN, "libknot and dns/name.h agree");

/* ---- Asking ---- */

static uint8_t *put_u16(uint8_t *at, uint16_t value)
{
    knot_wire_write_u16(at, value);
    return at + 2;
}

static uint8_t *put_octets(uint8_t *at, const uint8_t *octets, size_t size)
{
    memcpy(at, octets, size);
    return at + size;
}

static uint8_t *put_options(uint8_t *at, const struct origin_query_form *form)
{
    if (form->client_cookie != NULL) {
        at = put_u16(at, KNOT_EDNS_OPTION_COOKIE);
        at = put_u16(at, (uint16_t)(CLIENT_COOKIE_SIZE + form->server_cookie_size));
        at = put_octets(at, form->client_cookie, CLIENT_COOKIE_SIZE);
        if (form->server_cookie_size > 0)
            at = put_octets(at, form->server_cookie, form->server_cookie_size);
    }
    if (form->client_subnet_size > 0) {
        at = put_u16(at, KNOT_EDNS_OPTION_CLIENT_SUBNET);
        at = put_u16(at, form->client_subnet_size);
        at = put_octets(at, form->client_subnet, form->client_subnet_size);
    }
    return at;
}

static uint8_t *put_opt(uint8_t *at, const struct origin_query_form *form)
{
    *at++ = 0; /* the root is its owner */
    at = put_u16(at, KNOT_RRTYPE_OPT);
    at = put_u16(at, form->udp_payload);
    at = put_u16(at, 0); /* RCODE's upper bits, version */
    at = put_u16(at, form->dnssec_ok ? 0x8000 : 0);
    uint8_t *options = put_options(at + 2, form);
    put_u16(at, (uint16_t)(options - at - 2));
    return options;
}

size_t origin_query_write(uint8_t *ret_wire, const struct origin_query_form *form)
{
    assert(form->server_cookie_size <= SERVER_COOKIE_SIZE_MAX);
    assert(form->client_subnet_size <= CLIENT_SUBNET_SIZE_MAX);

    memset(ret_wire, 0, MESSAGE_HEADER_SIZE);
    knot_wire_set_id(ret_wire, form->id);
    knot_wire_set_qdcount(ret_wire, 1);
    if (form->checking_disabled)
        knot_wire_set_cd(ret_wire);
    uint8_t *at = put_octets(ret_wire + MESSAGE_HEADER_SIZE, form->name, form->name_size);
    at = put_u16(at, form->type);
    at = put_u16(at, KNOT_CLASS_IN);
    if (form->has_edns) {
        knot_wire_set_arcount(ret_wire, 1);
        at = put_opt(at, form);
    }
    return (size_t)(at - ret_wire);
}

void origin_case_mix(uint8_t *ret_wire, const uint8_t *wire, size_t size, const uint8_t *bits)
{
    /* Octets of length are below 64, no letters. */
    for (size_t i = 0; i < size; i++) {
        const bool is_letter = wire[i] >= 'a' && wire[i] <= 'z';
        ret_wire[i] = (uint8_t)(wire[i] ^ (is_letter && (bits[i / 8] >> i % 8 & 1) ? 0x20 : 0));
    }
}

/* ---- Judging ---- */

/* What is learned on the way through the records. */
struct judging {
    const struct origin_expectation *expected;
    struct record_reader *reader;
    struct origin_reading *reading;
    uint8_t chain[NAME_SIZE_MAX];    /* the name whose records come next: follows CNAMEs */
    uint8_t previous[NAME_SIZE_MAX]; /* the owner before: signatures stand behind their set */
    bool has_alias;
    bool has_data;              /* of the type that was asked, at the chain's end */
    bool is_wrong;              /* about another name, type or class than the question's */
    bool has_soa;               /* of the zone, or of one below it that has the name */
    bool has_apex_ns;           /* in the authority section */
    bool has_referral;          /* NS below the apex, at or above the chain's end */
    bool has_foreign_authority; /* SOA or NS of another zone */
    bool has_cookie, is_cookie_right;
};

/* Whether `ancestor` is `name` or above it; both uncompressed, any letter case. */
static bool is_at_or_above(const uint8_t *ancestor, const uint8_t *name)
{
    const size_t size = name_wire_size(ancestor);
    for (size_t left = name_wire_size(name); left >= size; left -= *name + 1u, name += *name + 1) {
        if (left == size)
            return name_equal(ancestor, name);
        assert(*name != 0);
    }
    return false;
}

static void keep_name(uint8_t *ret_name, const uint8_t *name)
{
    memcpy(ret_name, name, name_wire_size(name));
}

/* A record of the answer section must be of the name asked, of one that an alias before it leads
 * to, or a DNAME above that. */
static void judge_answer(struct judging *judging, const struct record *record)
{
    /* Some servers, Knot among them, put the signatures of a whole chain behind its end. Whose they
     * are is looked at before they are kept (cached_message.h). */
    if (judging->previous[0] != 0 && record->type == KNOT_RRTYPE_RRSIG)
        return;
    const bool is_dname =
        record->type == KNOT_RRTYPE_DNAME && is_at_or_above(record->owner, judging->chain);
    const bool is_expected =
        is_dname || name_equal(record->owner, judging->chain) ||
        (judging->previous[0] != 0 && name_equal(record->owner, judging->previous));
    if (!is_expected) {
        judging->is_wrong = true;
        return;
    }

    const uint16_t asked = judging->expected->type;
    const bool is_at_end = name_equal(record->owner, judging->chain);
    const bool leads_on =
        is_at_end && record->type == KNOT_RRTYPE_CNAME && asked != KNOT_RRTYPE_CNAME;
    judging->has_data |=
        is_at_end &&
        (record->type == asked || (asked == KNOT_RRTYPE_ANY && record->type != KNOT_RRTYPE_CNAME));
    judging->has_alias |= is_dname;
    keep_name(judging->previous, record->owner);
    if (leads_on) {
        keep_name(judging->chain, record->rdata);
        judging->has_alias = true;
    }
}

/* Behind an alias that leaves the zone the section may be about whatever zone it leads to. */
static void judge_authority(struct judging *judging, const struct record *record)
{
    const uint8_t *apex = judging->expected->apex;
    const bool is_soa = record->type == KNOT_RRTYPE_SOA;
    if ((!is_soa && record->type != KNOT_RRTYPE_NS) || !is_at_or_above(apex, judging->chain))
        return;
    if (!is_at_or_above(apex, record->owner) || !is_at_or_above(record->owner, judging->chain))
        judging->has_foreign_authority = true;
    else if (is_soa)
        judging->has_soa = true;
    else if (name_equal(record->owner, apex))
        judging->has_apex_ns = true;
    else
        judging->has_referral = true;
}

static void judge_cookie(struct judging *judging, const uint8_t *data, size_t size)
{
    const uint8_t *sent = judging->expected->client_cookie;
    if (sent == NULL || judging->has_cookie)
        return;
    judging->has_cookie = true;
    judging->is_cookie_right = size >= CLIENT_COOKIE_SIZE + SERVER_COOKIE_SIZE_MIN &&
                               size <= CLIENT_COOKIE_SIZE + SERVER_COOKIE_SIZE_MAX &&
                               memcmp(data, sent, CLIENT_COOKIE_SIZE) == 0;
}

/* Only options that end within the OPT count. The cookie is noted as it stands in the message. */
static bool judge_opt(struct judging *judging, const struct record *record)
{
    struct origin_reading *reading = judging->reading;
    if (reading->has_edns)
        return false; /* RFC 6891, 6.1.1: one only */
    reading->has_edns = true;
    /* The record reader limits TTLs (RFC 2181, 8), which OPT's is not. */
    const uint8_t *fixed = judging->reader->wire + record->at + 1;
    reading->rcode = (uint16_t)(reading->rcode | (unsigned)fixed[4] << 4);

    const uint8_t *data = fixed + 10;
    for (size_t left = record->rdata_size; left > 0;) {
        if (left < OPTION_HEADER_SIZE)
            return false;
        const size_t size = knot_wire_read_u16(data + 2);
        if (size > left - OPTION_HEADER_SIZE)
            return false;
        if (knot_wire_read_u16(data) == KNOT_EDNS_OPTION_COOKIE) {
            judge_cookie(judging, data + OPTION_HEADER_SIZE, size);
            if (judging->is_cookie_right) {
                reading->server_cookie = data + OPTION_HEADER_SIZE + CLIENT_COOKIE_SIZE;
                reading->server_cookie_size = (uint8_t)(size - CLIENT_COOKIE_SIZE);
            }
        }
        data += OPTION_HEADER_SIZE + size;
        left -= OPTION_HEADER_SIZE + size;
    }
    return true;
}

/* Walks all sections; false: they cannot be read to the message's end. */
static bool judge_records(struct judging *judging)
{
    const uint8_t *wire = judging->reader->wire;
    const unsigned counts[3] = {knot_wire_get_ancount(wire), knot_wire_get_nscount(wire),
                                knot_wire_get_arcount(wire)};
    struct record record;

    for (unsigned section = 0; section < 3; section++) {
        for (unsigned i = 0; i < counts[section]; i++) {
            if (record_reader_next(judging->reader, &record) < 0)
                return false;
            if (record.type == KNOT_RRTYPE_OPT) {
                /* Its owner is the root as it stands, not a pointer to one. */
                if (section != 2 || wire[record.at] != 0 || !judge_opt(judging, &record))
                    return false;
            } else if (record.class != KNOT_CLASS_IN) {
                /* A signature of the message (TSIG) was not asked for, and is no data. */
                judging->is_wrong |= section != 2 || record.type != KNOT_RRTYPE_TSIG;
            } else if (section == 0) {
                judge_answer(judging, &record);
            } else if (section == 1) {
                judge_authority(judging, &record);
            }
        }
    }
    return judging->reader->at == judging->reader->size;
}

/* Whether header and question are those of the message that was sent. Before this is known nothing
 * else is looked at. */
static enum origin_verdict judge_question(const struct origin_expectation *expected,
                                          const uint8_t *wire, size_t size)
{
    const uint8_t *name = wire + MESSAGE_HEADER_SIZE;
    const size_t end = MESSAGE_HEADER_SIZE + expected->name_size;

    if (size < end + 4 || knot_wire_get_id(wire) != expected->id || !knot_wire_get_qr(wire) ||
        knot_wire_get_opcode(wire) != KNOT_OPCODE_QUERY || knot_wire_get_qdcount(wire) != 1 ||
        knot_wire_read_u16(wire + end) != expected->type ||
        knot_wire_read_u16(wire + end + 2) != KNOT_CLASS_IN)
        return ORIGIN_MISMATCH;
    if (memcmp(name, expected->name, expected->name_size) == 0)
        return ORIGIN_GOOD;

    uint8_t folded[2][NAME_SIZE_MAX];
    name_fold(folded[0], name, expected->name_size);
    name_fold(folded[1], expected->name, expected->name_size);
    if (memcmp(folded[0], folded[1], expected->name_size) != 0)
        return ORIGIN_MISMATCH;
    return expected->is_case_exact ? ORIGIN_CASE_LOST : ORIGIN_GOOD;
}

/* A server that does not know EDNS may send no more than a header (RFC 6891, 7); so does one that
 * cannot read the question. Its address, port and identifier are all there is to go by. */
static bool is_bare_refusal(const struct origin_expectation *expected, const uint8_t *wire,
                            size_t size)
{
    return size == MESSAGE_HEADER_SIZE && knot_wire_get_id(wire) == expected->id &&
           knot_wire_get_qr(wire) && knot_wire_get_qdcount(wire) == 0 && expected->has_edns &&
           !expected->needs_cookie && knot_wire_get_rcode(wire) == KNOT_RCODE_FORMERR;
}

/* Whether what it says cannot be so: another type than was asked for, data of a name that it
 * denies, or the zone denied that it answers for. */
static bool contradicts_itself(const struct judging *judging)
{
    const struct origin_expectation *expected = judging->expected;
    const uint8_t *wire = judging->reader->wire;
    /* The CNAME made of a DNAME may lead to a name that is denied. */
    if (judging->has_data && !(judging->has_alias && expected->type == KNOT_RRTYPE_CNAME))
        return judging->reading->rcode != KNOT_RCODE_NOERROR;
    if (judging->has_alias)
        return false;
    return knot_wire_get_ancount(wire) > 0 || judging->reading->rcode == KNOT_RCODE_YXDOMAIN ||
           (judging->reading->rcode == KNOT_RCODE_NXDOMAIN &&
            name_equal(expected->name, expected->apex));
}

/* Of a message that was read to its end. */
static enum origin_verdict judge_content(const struct judging *judging)
{
    const struct origin_expectation *expected = judging->expected;
    const struct origin_reading *reading = judging->reading;
    const uint8_t *wire = judging->reader->wire;

    if (judging->has_cookie && !judging->is_cookie_right)
        return ORIGIN_MISMATCH; /* RFC 7873, 5.3: discarded */
    if (reading->rcode == KNOT_RCODE_BADCOOKIE)
        return judging->is_cookie_right ? ORIGIN_BADCOOKIE : ORIGIN_FAILED;
    if ((reading->rcode == KNOT_RCODE_FORMERR || reading->rcode == KNOT_RCODE_NOTIMPL) &&
        expected->has_edns && !reading->has_edns)
        return ORIGIN_NO_EDNS;
    if (expected->needs_cookie && !judging->has_cookie)
        return ORIGIN_COOKIE_LOST;
    if (knot_wire_get_tc(wire))
        return ORIGIN_TRUNCATED;
    if (reading->rcode != KNOT_RCODE_NOERROR && reading->rcode != KNOT_RCODE_NXDOMAIN &&
        reading->rcode != KNOT_RCODE_YXDOMAIN)
        return ORIGIN_FAILED;

    const bool is_empty = reading->rcode == KNOT_RCODE_NOERROR && knot_wire_get_ancount(wire) == 0;
    const bool is_referral = is_empty && judging->has_referral;
    /* To the zone's own servers, of which it is one: the client would go in a circle. */
    const bool is_circle =
        is_empty && judging->has_apex_ns && !judging->has_soa && !judging->has_referral;
    if ((!knot_wire_get_aa(wire) && !is_referral) || is_circle)
        return ORIGIN_LAME;
    if (judging->is_wrong || judging->has_foreign_authority || contradicts_itself(judging))
        return ORIGIN_WRONG;
    return ORIGIN_GOOD;
}

enum origin_verdict origin_answer_judge(const struct origin_expectation *expected,
                                        struct record_reader *reader, const uint8_t *wire,
                                        size_t size, struct origin_reading *ret_reading)
{
    struct judging judging = {.expected = expected, .reader = reader, .reading = ret_reading};
    *ret_reading = (struct origin_reading){.verdict = ORIGIN_MISMATCH};
    if (size < MESSAGE_HEADER_SIZE || size > MESSAGE_SIZE_MAX)
        return ORIGIN_MISMATCH;
    ret_reading->rcode = knot_wire_get_rcode(wire);
    if (is_bare_refusal(expected, wire, size))
        return ret_reading->verdict = ORIGIN_NO_EDNS;

    ret_reading->verdict = judge_question(expected, wire, size);
    if (ret_reading->verdict != ORIGIN_GOOD)
        return ret_reading->verdict;

    record_reader_init(reader, wire, size);
    reader->at = MESSAGE_HEADER_SIZE + expected->name_size + 4u;
    keep_name(judging.chain, expected->name);
    if (judge_records(&judging))
        ret_reading->verdict = judge_content(&judging);
    else if (knot_wire_get_tc(wire))
        ret_reading->verdict = ORIGIN_TRUNCATED; /* cut in the middle of a record by some */
    else
        ret_reading->verdict = ORIGIN_MALFORMED;
    return ret_reading->verdict;
}
