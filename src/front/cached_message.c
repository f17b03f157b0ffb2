#include "front/cached_message.h"

#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/record_reader.h"
#include "dns/response.h"

/* What fits a message: a record has 11 octets at least. */
#define ROWS_MAX ((MESSAGE_SIZE_MAX - MESSAGE_HEADER_SIZE) / 11 + 1)

/* Aliases that are followed; more are a loop or a joke. */
#define CHAIN_MAX 16

/* Longer nothing is taken for fresh, whatever TTL it came with and goes on with: a mistake of the
 * origin's ends some time (RFC 8767, 4; RFC 2308, 5). */
#define FRESH_S_MAX        (7u * 24 * 60 * 60)
#define FRESH_DENIAL_S_MAX (3u * 60 * 60)

/* Options whose octets are part of the answer: what for which clients it is (RFC 7871), why it is
 * so (RFC 8914), and where the zone's owner wants to hear of errors (RFC 9567). All others are
 * between two servers. */
enum { OPTION_CLIENT_SUBNET = 8, OPTION_ERROR = 15, OPTION_REPORT_CHANNEL = 18 };

/* One record of the message, by where it is. */
struct row {
    uint64_t owner_hash;
    uint16_t at;
    uint16_t type;
    uint8_t section;
};

struct cached_message {
    struct record_reader reader;
    const struct message_question *question;

    size_t row_count;
    struct row rows[ROWS_MAX];

    size_t chain_count;
    struct name chain[CHAIN_MAX]; /* the question's name and where aliases lead within the zone */
    bool chain_leaves_zone;

    bool has_soa, has_referral, has_foreign_ns, has_opt, is_for_subnet, has_alias;
    uint8_t rcode_high; /* of OPT */
    uint32_t ttl_min_s;
    uint32_t denial_ttl_s; /* by the SOA: RFC 2308, 5 */

    uint16_t ttl_places[ROWS_MAX];
    uint16_t ttl_count;
    struct response response;
    size_t edns_size;
    uint8_t edns[MESSAGE_SIZE_MAX];
    uint8_t rdata[2 + sizeof(((struct record_reader *)0)->rdata)]; /* with its length in front */
    uint8_t wire[MESSAGE_SIZE_MAX];
};

struct cached_message *cached_message_create(void)
{
    return malloc(sizeof(struct cached_message));
}

void cached_message_free(struct cached_message *message)
{
    free(message);
}

const char *message_verdict_text(enum message_verdict verdict)
{
    static const char *const texts[] = {
        [MESSAGE_ANSWER] = "an answer",
        [MESSAGE_MALFORMED] = "a malformed message",
        [MESSAGE_NOT_OURS] = "an answer to another question",
        [MESSAGE_TRUNCATED] = "a truncated message",
        [MESSAGE_FAILURE] = "a failure",
        [MESSAGE_LAME] = "a denial without authority",
        [MESSAGE_UPWARD_REFERRAL] = "an upward referral",
        [MESSAGE_OFF_CHAIN] = "an answer about another name",
        [MESSAGE_TOO_LARGE] = "an answer that fits no message",
    };
    return texts[verdict];
}

/* ---- Names ---- */

/* Whether `name` is `ancestor` or below it. */
static bool name_is_within(const struct name *name, const struct name *ancestor)
{
    if (name->label_count < ancestor->label_count)
        return false;
    unsigned label = name->label_count - ancestor->label_count;
    return name->hashes[label] == ancestor->hashes[0] &&
           name->size - name->offsets[label] == ancestor->size &&
           memcmp(name->wire + name->offsets[label], ancestor->wire, ancestor->size) == 0;
}

static bool name_is(const struct name *one, const struct name *other)
{
    return one->hashes[0] == other->hashes[0] && one->size == other->size &&
           memcmp(one->wire, other->wire, one->size) == 0;
}

static bool is_spelled(const uint8_t *wire, size_t size, const struct name *name)
{
    return size == name->size && memcmp(wire, name->wire, size) == 0;
}

/* A record's owner: mostly the question's name or the zone's, which need not be read again. */
static const struct name *owner_of(const struct cached_message *message,
                                   const struct record *record, struct name *room)
{
    const struct message_question *question = message->question;
    if (is_spelled(record->owner, record->owner_size, question->key.name))
        return question->key.name;
    if (is_spelled(record->owner, record->owner_size, question->zone))
        return question->zone;
    (void)name_parse(room, record->owner, NAME_SIZE_MAX); /* the reader has checked it */
    return room;
}

/* ---- The message's frame ---- */

static enum message_verdict read_question(struct cached_message *message, const uint8_t *wire,
                                          size_t size)
{
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;

    if (size < MESSAGE_HEADER_SIZE || size > MESSAGE_SIZE_MAX)
        return MESSAGE_MALFORMED;
    if (!knot_wire_get_qr(wire) || knot_wire_get_opcode(wire) != KNOT_OPCODE_QUERY ||
        knot_wire_get_qdcount(wire) != 1)
        return MESSAGE_NOT_OURS;
    record_reader_init(&message->reader, wire, size);
    if (record_reader_question(&message->reader, owner, &type, &class) < 0)
        return MESSAGE_MALFORMED;
    const struct cache_key *key = &message->question->key;
    if (type != key->type || class != KNOT_CLASS_IN || !name_equal(owner, key->name->wire))
        return MESSAGE_NOT_OURS;
    return knot_wire_get_tc(wire) ? MESSAGE_TRUNCATED : MESSAGE_ANSWER;
}

/* Keeps the options that belong to the answer. False: OPT is malformed (RFC 6891, 6.1.2). */
static bool read_opt(struct cached_message *message, const struct record *record, uint32_t ttl)
{
    if (message->has_opt || record->owner_size != 1)
        return false;
    message->has_opt = true;
    message->rcode_high = (uint8_t)(ttl >> 24);

    const uint8_t *at = record->rdata, *end = at + record->rdata_size;
    while (at < end) {
        if (end - at < 4 || end - at - 4 < knot_wire_read_u16(at + 2))
            return false;
        const uint16_t code = knot_wire_read_u16(at), length = knot_wire_read_u16(at + 2);
        /* The third octet of the data is the scope: for how many others it is right, too. */
        if (code == OPTION_CLIENT_SUBNET && length >= 4 && at[4 + 3] > 0)
            message->is_for_subnet = true;
        if (code == OPTION_CLIENT_SUBNET || code == OPTION_ERROR || code == OPTION_REPORT_CHANNEL) {
            memcpy(message->edns + message->edns_size, at, 4u + length);
            message->edns_size += 4u + length;
        }
        at += 4 + length;
    }
    return true;
}

static bool is_meta(uint16_t type)
{
    return type == KNOT_RRTYPE_OPT || type == KNOT_RRTYPE_TSIG;
}

/* Reads one record and notes where it is. False: it is malformed or stands where it must not. */
static bool read_row(struct cached_message *message, enum section section)
{
    struct record_reader *reader = &message->reader;
    const size_t at = reader->at;
    struct record record;
    struct name owner;

    if (record_reader_next(reader, &record) < 0)
        return false;
    if (is_meta(record.type)) {
        if (section != SECTION_ADDITIONAL)
            return false;
        /* The reader takes the TTL for one; in OPT it is flags and more of the RCODE. */
        const uint8_t *ttl = reader->wire + reader->at - 6 - record.rdata_size;
        return record.type == KNOT_RRTYPE_TSIG ||
               read_opt(message, &record, knot_wire_read_u32(ttl));
    }
    if (record.class != KNOT_CLASS_IN)
        return false;
    message->rows[message->row_count++] = (struct row){
        .owner_hash = owner_of(message, &record, &owner)->hashes[0],
        .at = (uint16_t)at,
        .type = record.type,
        .section = (uint8_t)section,
    };
    return true;
}

static bool read_rows(struct cached_message *message, const uint8_t *wire, size_t size)
{
    const uint16_t counts[] = {knot_wire_get_ancount(wire), knot_wire_get_nscount(wire),
                               knot_wire_get_arcount(wire)};
    for (unsigned section = 0; section < 3; section++) {
        for (unsigned left = counts[section]; left > 0; left--) {
            if (!read_row(message, section))
                return false;
        }
    }
    return message->reader.at == size;
}

/* Reads a record again; it was well formed the first time. */
static bool row_read(struct cached_message *message, const struct row *row,
                     struct record *ret_record)
{
    message->reader.at = row->at;
    return record_reader_next(&message->reader, ret_record) == 0;
}

/* ---- The answer section's chain ---- */

/* Finds where an alias of `from` leads. */
static bool find_alias(struct cached_message *message, const struct name *from,
                       struct name *ret_target)
{
    for (size_t i = 0; i < message->row_count; i++) {
        const struct row *row = &message->rows[i];
        struct record record;
        struct name owner;
        if (row->section != SECTION_ANSWER || row->type != KNOT_RRTYPE_CNAME ||
            row->owner_hash != from->hashes[0] || !row_read(message, row, &record) ||
            !name_is(owner_of(message, &record, &owner), from))
            continue;
        return name_parse(ret_target, record.rdata, record.rdata_size) > 0;
    }
    return false;
}

static bool chain_has(const struct cached_message *message, const struct name *name)
{
    for (size_t i = 0; i < message->chain_count; i++) {
        if (name_is(&message->chain[i], name))
            return true;
    }
    return false;
}

/* Follows the aliases from the question on as long as they stay in the zone. A DNAME comes with the
 * CNAME that was made of it (RFC 6672, 3.1), so CNAMEs alone make the chain. */
static void follow_chain(struct cached_message *message)
{
    const struct message_question *question = message->question;
    message->chain[0] = *question->key.name;
    message->chain_count = 1;
    message->chain_leaves_zone = false;
    if (question->key.type == KNOT_RRTYPE_CNAME)
        return;

    while (message->chain_count < CHAIN_MAX) {
        struct name target;
        if (!find_alias(message, &message->chain[message->chain_count - 1], &target) ||
            chain_has(message, &target))
            return;
        if (!name_is_within(&target, question->zone)) {
            message->chain_leaves_zone = true;
            return;
        }
        message->chain[message->chain_count++] = target;
    }
}

/* Whether a DNAME at `owner`, or what it is signed with, redirects a name of the chain. */
static bool redirects_chain(const struct cached_message *message, const struct record *record,
                            const struct name *owner)
{
    bool is_dname = record->type == KNOT_RRTYPE_DNAME ||
                    (record->type == KNOT_RRTYPE_RRSIG &&
                     knot_wire_read_u16(record->rdata) == KNOT_RRTYPE_DNAME);
    for (size_t i = 0; is_dname && i < message->chain_count; i++) {
        if (name_is_within(&message->chain[i], owner))
            return true;
    }
    return false;
}

/* ---- What to keep ---- */

/* What comes with the DO bit alone, when it was not asked for by its type (RFC 4035, 3.1
 * and 3.1.4). */
static bool is_dnssec(const struct row *row)
{
    return row->type == KNOT_RRTYPE_RRSIG || row->type == KNOT_RRTYPE_NSEC ||
           row->type == KNOT_RRTYPE_NSEC3 ||
           (row->type == KNOT_RRTYPE_DS && row->section == SECTION_AUTHORITY);
}

static bool is_kept(const struct cached_message *message, const struct row *row,
                    const struct record *record, const struct name *owner)
{
    if (!name_is_within(owner, message->question->zone) ||
        (message->question->leaves_out_dnssec && is_dnssec(row)))
        return false;
    return row->section != SECTION_ANSWER || chain_has(message, owner) ||
           redirects_chain(message, record, owner);
}

/* Whether NS of `owner` in the authority section refers to a zone below ours that has the name. */
static void note_ns(struct cached_message *message, const struct name *owner)
{
    const struct name *zone = message->question->zone;
    const struct name *last = &message->chain[message->chain_count - 1];
    if (name_is_within(owner, zone) && !name_is(owner, zone) && name_is_within(last, owner))
        message->has_referral = true;
    else if (!name_is(owner, zone) || message->response.counts[SECTION_ANSWER] == 0)
        message->has_foreign_ns = true;
    /* Else some put the zone's own NS beside aliases, also where these end in a circle. */
}

static void note_soa(struct cached_message *message, const struct record *record)
{
    /* MINIMUM is the last of five numbers (RFC 1035, 3.3.13); RFC 2308, 5: the smaller of the two.
     */
    uint32_t minimum_s = knot_wire_read_u32(record->rdata + record->rdata_size - 4);
    message->denial_ttl_s = minimum_s < record->ttl_s ? minimum_s : record->ttl_s;
    message->has_soa = true;
}

static void note_authority(struct cached_message *message, const struct record *record,
                           const struct name *owner)
{
    if (record->type == KNOT_RRTYPE_NS)
        note_ns(message, owner);
    else if (record->type == KNOT_RRTYPE_SOA && record->rdata_size >= 20 &&
             name_is_within(owner, message->question->zone) &&
             name_is_within(&message->chain[message->chain_count - 1], owner))
        note_soa(message, record);
}

/* Writes a record and notes where its TTL is. */
static bool write_record(struct cached_message *message, const struct row *row,
                         const struct record *record)
{
    knot_wire_write_u16(message->rdata, record->rdata_size);
    memcpy(message->rdata + 2, record->rdata, record->rdata_size);
    const struct response_records records = {
        .type = record->type,
        .rr_count = 1,
        .ttl_s = record->ttl_s,
        .data = message->rdata,
    };
    const struct response_owner owner = {.wire = record->owner};
    struct response *response = &message->response;
    size_t at = response->size;
    if (!response_put(response, row->section, owner, &records))
        return false;

    while (response->wire[at] != 0 && response->wire[at] < 0xc0)
        at += (size_t)response->wire[at] + 1;
    at += response->wire[at] == 0 ? 1 : 2; /* the root's octet or a pointer */
    const size_t body_at = QUESTION_OFFSET + message->question->key.name->size + 4u;
    message->ttl_places[message->ttl_count++] = (uint16_t)(at + 4 - body_at);
    if (record->ttl_s < message->ttl_min_s)
        message->ttl_min_s = record->ttl_s;
    message->has_alias |= row->section == SECTION_ANSWER && record->type == KNOT_RRTYPE_CNAME;
    return true;
}

/* The message as a client's will begin: compression leads to names in there. */
static void write_begin(struct cached_message *message)
{
    const struct name *name = message->question->key.name;
    memcpy(message->wire + QUESTION_OFFSET, name->wire, name->size);
    response_init(&message->response, message->wire, QUESTION_OFFSET + name->size + 4u,
                  MESSAGE_SIZE_MAX, name);
}

static enum message_verdict write_rows(struct cached_message *message)
{
    write_begin(message);
    for (size_t i = 0; i < message->row_count; i++) {
        const struct row *row = &message->rows[i];
        struct record record;
        struct name room;
        if (!row_read(message, row, &record))
            return MESSAGE_MALFORMED;
        const struct name *owner = owner_of(message, &record, &room);
        if (row->section == SECTION_AUTHORITY)
            note_authority(message, &record, owner);
        if (is_kept(message, row, &record, owner) && !write_record(message, row, &record))
            return MESSAGE_TOO_LARGE;
    }
    return MESSAGE_ANSWER;
}

/* ---- The verdict ---- */

/* Whether the answer section has what was asked for, not only the way there. An alias by itself
 * answers ANY. */
static bool has_data(const struct cached_message *message)
{
    const uint16_t type = message->question->key.type;
    const struct name *last = &message->chain[message->chain_count - 1];
    if (type == KNOT_RRTYPE_ANY)
        return message->response.counts[SECTION_ANSWER] > 0;
    for (size_t i = 0; i < message->row_count; i++) {
        const struct row *row = &message->rows[i];
        if (row->section == SECTION_ANSWER && row->type == type &&
            row->owner_hash == last->hashes[0])
            return true;
    }
    return message->chain_leaves_zone;
}

/* Judges an answer that has no data at the end of its chain. NOERROR of it is NODATA, or a referral
 * to below; anything else would send the client up or in a circle, or tell it nothing. */
static enum message_verdict judge_without_data(const struct cached_message *message,
                                               const uint8_t *wire)
{
    if (knot_wire_get_rcode(wire) == KNOT_RCODE_NOERROR && !message->has_soa) {
        if (message->has_foreign_ns)
            return MESSAGE_UPWARD_REFERRAL;
        if (message->has_referral)
            return MESSAGE_ANSWER;
    }
    return knot_wire_get_aa(wire) ? MESSAGE_ANSWER : MESSAGE_LAME;
}

static enum message_verdict judge(const struct cached_message *message, const uint8_t *wire)
{
    if (knot_wire_get_ancount(wire) > 0 && message->response.counts[SECTION_ANSWER] == 0)
        return MESSAGE_OFF_CHAIN;
    return has_data(message) ? MESSAGE_ANSWER : judge_without_data(message, wire);
}

/* Whether an RCODE says something about the name: NOERROR, NXDOMAIN, or that a DNAME leads to a
 * name that is too long (RFC 6672, 2.2). */
static bool rcode_is_answer(const struct cached_message *message, uint8_t rcode)
{
    return message->rcode_high == 0 &&
           (rcode == KNOT_RCODE_NOERROR || rcode == KNOT_RCODE_NXDOMAIN ||
            rcode == KNOT_RCODE_YXDOMAIN);
}

/* How long it is fresh: the smallest TTL; what denies goes by the SOA and without one is not kept
 * (RFC 2308, 5). Nobody else gets what was made for one subnet (RFC 7871, 7.3.1). */
static uint32_t fresh_for(const struct cached_message *message, uint8_t rcode)
{
    bool is_denial = rcode != KNOT_RCODE_NOERROR || (!has_data(message) && !message->has_referral);
    if (message->is_for_subnet || message->ttl_count == 0 || (is_denial && !message->has_soa))
        return 0;
    uint32_t fresh_s = message->ttl_min_s;
    if (is_denial && message->denial_ttl_s < fresh_s)
        fresh_s = message->denial_ttl_s;
    const uint32_t max_s = is_denial ? FRESH_DENIAL_S_MAX : FRESH_S_MAX;
    return fresh_s < max_s ? fresh_s : max_s;
}

static void fill_answer(const struct cached_message *message, const uint8_t *wire,
                        struct cached_answer *ret_answer)
{
    const struct message_question *question = message->question;
    const size_t body_at = QUESTION_OFFSET + question->key.name->size + 4u;
    const uint16_t *counts = message->response.counts;
    const uint8_t rcode = knot_wire_get_rcode(wire);
    const uint32_t fresh_s = fresh_for(message, rcode);
    *ret_answer = (struct cached_answer){
        .rcode = rcode,
        .authoritative = knot_wire_get_aa(wire),
        .is_plain = !message->has_alias && counts[SECTION_ADDITIONAL] == 0,
        .counts = {counts[0], counts[1], counts[2]},
        .body = message->wire + body_at,
        .body_size = (uint16_t)(message->response.size - body_at),
        .ttl_places = message->ttl_places,
        .ttl_count = message->ttl_count,
        .edns = message->edns_size > 0 ? message->edns : NULL,
        .edns_size = (uint16_t)message->edns_size,
        .stored_at = question->now,
        .expires_at = question->now + fresh_s,
        .stale_until = question->now + fresh_s + (fresh_s > 0 ? question->stale_s : 0),
    };
}

/* Only the fields that say something: the arrays are large. */
static void message_begin(struct cached_message *message, const struct message_question *question)
{
    message->question = question;
    message->row_count = 0;
    message->has_soa = message->has_referral = message->has_foreign_ns = false;
    message->has_opt = message->is_for_subnet = message->has_alias = false;
    message->rcode_high = 0;
    message->ttl_min_s = UINT32_MAX;
    message->denial_ttl_s = 0;
    message->ttl_count = 0;
    message->edns_size = 0;
}

enum message_verdict cached_message_read(struct cached_message *message,
                                         const struct message_question *question,
                                         const uint8_t *wire, size_t size,
                                         struct cached_answer *ret_answer)
{
    message_begin(message, question);
    enum message_verdict verdict = read_question(message, wire, size);
    if (verdict != MESSAGE_ANSWER)
        return verdict;
    if (!read_rows(message, wire, size))
        return MESSAGE_MALFORMED;
    if (!rcode_is_answer(message, knot_wire_get_rcode(wire))) {
        *ret_answer = (struct cached_answer){.rcode = knot_wire_get_rcode(wire)};
        return MESSAGE_FAILURE;
    }
    follow_chain(message);
    verdict = write_rows(message);
    if (verdict == MESSAGE_ANSWER)
        verdict = judge(message, wire);
    if (verdict == MESSAGE_ANSWER)
        fill_answer(message, wire, ret_answer);
    return verdict;
}
