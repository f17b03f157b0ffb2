#include "zone/origin_query.h"

#include <errno.h>
#include <libknot/codes.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/lookup.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <string.h>
#include <sys/random.h>

/* What arrives everywhere without fragments (RFC 9715). */
#define EDNS_PAYLOAD 1232

#define OPTION_HEADER_SIZE 4 /* code and length (RFC 6891, 6.1.2) */
#define EXPIRE_SIZE        4 /* RFC 7314, 3 */

/* What we have, in the authority section: of the SOA only the serial counts (RFC 1995, 3), so the
 * names are the root's and the other numbers 0. */
static uint8_t *put_soa(uint8_t *at, const uint8_t *apex, size_t apex_size, uint32_t serial)
{
    memcpy(at, apex, apex_size);
    at += apex_size;
    knot_wire_write_u16(at, KNOT_RRTYPE_SOA);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    knot_wire_write_u32(at + 4, 0);
    knot_wire_write_u16(at + 8, 22);
    memset(at + 10, 0, 22);
    knot_wire_write_u32(at + 12, serial);
    return at + 32;
}

/* OPT that asks for EXPIRE (RFC 7314, 2). */
static uint8_t *put_opt(uint8_t *at)
{
    at[0] = 0;
    knot_wire_write_u16(at + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(at + 3, EDNS_PAYLOAD);
    knot_wire_write_u32(at + 5, 0);
    knot_wire_write_u16(at + 9, OPTION_HEADER_SIZE);
    knot_wire_write_u16(at + 11, KNOT_EDNS_OPTION_EXPIRE);
    knot_wire_write_u16(at + 13, 0);
    return at + 15;
}

int origin_query_init(struct origin_query *ret_query, const struct transfer_source *source,
                      const uint8_t *apex, const struct origin_question *question,
                      const char *origin, struct error *ret_error)
{
    *ret_query = (struct origin_query){.type = question->type,
                                       .has_edns = !question->without_edns,
                                       .apex = apex,
                                       .key = source->key,
                                       .origin = origin};
    struct origin_query *query = ret_query;

    /* A guessable identifier would let others answer for the origin. */
    if (getrandom(&query->id, sizeof(query->id), 0) != sizeof(query->id))
        return error_set(ret_error, -errno, "no random numbers: %s", strerror(errno));
    if (knot_dname_to_str(query->zone, apex, sizeof(query->zone)) == NULL)
        return error_set(ret_error, -EINVAL, "the zone's name is malformed");
    const size_t name_text_size = strlen(query->zone);
    if (name_text_size > 1)
        query->zone[name_text_size - 1] = '\0';

    const size_t apex_size = knot_dname_size(apex);
    knot_wire_set_id(query->wire, query->id);
    knot_wire_set_qdcount(query->wire, 1);
    memcpy(query->wire + MESSAGE_HEADER_SIZE, apex, apex_size);
    uint8_t *at = query->wire + MESSAGE_HEADER_SIZE + apex_size;
    knot_wire_write_u16(at, question->type);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    at += 4;
    if (question->type == KNOT_RRTYPE_IXFR) {
        at = put_soa(at, apex, apex_size, question->serial);
        knot_wire_set_nscount(query->wire, 1);
    }
    if (query->has_edns) {
        at = put_opt(at);
        knot_wire_set_arcount(query->wire, 1);
    }
    query->size = (size_t)(at - query->wire);

    if (source->key == NULL)
        return 0;
    int rc = tsig_client_create(source->key, &query->tsig, ret_error);
    if (rc == 0)
        rc = tsig_client_sign(query->tsig, query->wire, &query->size, sizeof(query->wire),
                              ret_error);
    if (rc < 0)
        origin_query_clear(query);
    return rc;
}

void origin_query_clear(struct origin_query *query)
{
    tsig_client_free(query->tsig);
    query->tsig = NULL;
}

bool origin_query_wants_plain(const struct origin_query *query)
{
    return query->has_edns &&
           (query->rcode == KNOT_RCODE_FORMERR || query->rcode == KNOT_RCODE_NOTIMPL);
}

bool origin_query_is_answer(const struct origin_query *query, const uint8_t *wire, size_t size)
{
    return size >= MESSAGE_HEADER_SIZE && knot_wire_get_id(wire) == query->id &&
           knot_wire_get_qr(wire) && knot_wire_get_opcode(wire) == KNOT_OPCODE_QUERY;
}

/* The TSIG that ends a message, if one does. The reader stands at the answer section. */
static bool find_tsig(struct record_reader *reader, const uint8_t *wire, struct record *ret_record)
{
    const uint32_t count = (uint32_t)knot_wire_get_ancount(wire) + knot_wire_get_nscount(wire) +
                           knot_wire_get_arcount(wire);
    bool found = false;
    for (uint32_t i = 0; i < count; i++) {
        if (record_reader_next(reader, ret_record) < 0)
            return false;
        found = ret_record->type == KNOT_RRTYPE_TSIG;
    }
    return found;
}

/* Says what an RCODE means for the person who set the transfer up. The signature isn't looked at:
 * a refusal needs none to be one. */
static _cold_ int answer_refused(const struct origin_query *query, struct record_reader *reader,
                                 const uint8_t *wire, struct error *ret_error)
{
    const uint8_t rcode = knot_wire_get_rcode(wire);
    const knot_lookup_t *known = knot_lookup_by_id(knot_rcode_names, rcode);
    const char *what = query->type == KNOT_RRTYPE_AXFR   ? "transfer"
                       : query->type == KNOT_RRTYPE_IXFR ? "incremental transfer"
                                                         : "SOA query";
    char number[16], reason[256] = "";
    struct record tsig;

    snprintf(number, sizeof(number), "RCODE %u", rcode);
    if (find_tsig(reader, wire, &tsig))
        tsig_error_explain(&tsig, query->key, reason, sizeof(reason));

    if (reason[0] == '\0' && (rcode == KNOT_RCODE_REFUSED || rcode == KNOT_RCODE_NOTAUTH))
        snprintf(reason, sizeof(reason),
                 query->key != NULL ? "allow the key %s there, and check that it serves the zone"
                                    : "allow this address there or configure a key, and check "
                                      "that it serves the zone",
                 query->key != NULL ? query->key->name : "");
    else if (reason[0] == '\0')
        snprintf(reason, sizeof(reason), "see the log there");

    const int code =
        rcode == KNOT_RCODE_REFUSED || rcode == KNOT_RCODE_NOTAUTH ? -EACCES : -EREMOTEIO;
    return error_set(ret_error, code, "%s refused the %s of %s (%s): %s", query->origin, what,
                     query->zone, known != NULL ? known->name : number, reason);
}

static int question_check(const struct origin_query *query, struct record_reader *reader,
                          bool is_first, uint16_t count, struct error *ret_error)
{
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type, class;

    if (count == 0 && !is_first)
        return 0;
    if (count != 1)
        return error_set(ret_error, -EBADMSG, "%s sent an answer with %u questions", query->origin,
                         count);
    if (record_reader_question(reader, name, &type, &class) < 0)
        return error_set(ret_error, -EBADMSG, "%s sent an answer with a malformed question",
                         query->origin);
    if (type != query->type || class != KNOT_CLASS_IN ||
        !knot_dname_is_case_equal(name, query->apex))
        return error_set(ret_error, -EBADMSG, "%s answered another question than was asked",
                         query->origin);
    return 0;
}

int origin_answer_open(struct origin_query *query, struct record_reader *reader,
                       const uint8_t *wire, size_t size, bool is_first,
                       struct origin_answer *ret_answer, struct error *ret_error)
{
    if (!origin_query_is_answer(query, wire, size))
        return error_set(ret_error, -EBADMSG, "%s sent what is no answer to our query",
                         query->origin);

    record_reader_init(reader, wire, size);
    const uint8_t rcode = knot_wire_get_rcode(wire);
    query->rcode = rcode;
    const uint16_t question_count = knot_wire_get_qdcount(wire);
    /* An error may come with nothing but its header. */
    if (rcode == KNOT_RCODE_NOERROR || question_count != 0) {
        const int rc = question_check(query, reader, is_first, question_count, ret_error);
        if (rc < 0)
            return rc;
    }
    if (rcode != KNOT_RCODE_NOERROR)
        return answer_refused(query, reader, wire, ret_error);

    *ret_answer = (struct origin_answer){
        .reader = reader,
        .answer_count = knot_wire_get_ancount(wire),
        .authority_count = knot_wire_get_nscount(wire),
        .additional_count = knot_wire_get_arcount(wire),
        .is_truncated = knot_wire_get_tc(wire),
        .is_authoritative = knot_wire_get_aa(wire),
        .expire_s = EXPIRE_UNTOLD,
    };
    return 0;
}

/* What the options of an OPT say of the zone's expiry. What is malformed says nothing. */
static uint32_t opt_expire_s(const struct record *opt)
{
    const uint8_t *at = opt->rdata, *end = opt->rdata + opt->rdata_size;
    while (end - at >= OPTION_HEADER_SIZE) {
        const uint16_t code = knot_wire_read_u16(at), size = knot_wire_read_u16(at + 2);
        at += OPTION_HEADER_SIZE;
        if (size > end - at)
            break;
        if (code == KNOT_EDNS_OPTION_EXPIRE && size == EXPIRE_SIZE)
            return knot_wire_read_u32(at);
        at += size;
    }
    return EXPIRE_UNTOLD;
}

int origin_answer_close(struct origin_query *query, struct origin_answer *answer,
                        struct error *ret_error)
{
    struct record_reader *reader = answer->reader;
    struct record record = {.type = 0};
    const uint32_t count = (uint32_t)answer->authority_count + answer->additional_count;

    for (uint32_t i = 0; i < count; i++) {
        /* A TSIG stands last and nowhere else (RFC 8945, 5.1). */
        if (record.type == KNOT_RRTYPE_TSIG || record_reader_next(reader, &record) < 0)
            return error_set(ret_error, -EBADMSG,
                             "%s sent a malformed record behind its answer section", query->origin);
        if (record.type == KNOT_RRTYPE_OPT && query->has_edns)
            answer->expire_s = opt_expire_s(&record);
    }
    if (reader->at != reader->size)
        return error_set(ret_error, -EBADMSG, "%s sent octets behind the end of its message",
                         query->origin);
    if (query->tsig == NULL)
        return 0;

    const bool is_signed = answer->additional_count > 0 && record.type == KNOT_RRTYPE_TSIG;
    struct error cause;
    const int rc = tsig_client_verify(query->tsig, reader->wire, reader->size,
                                      is_signed ? &record : NULL, &cause);
    return rc < 0 ? error_set(ret_error, rc, "%s cannot be trusted with %s: %s", query->origin,
                              query->zone, cause.text)
                  : 0;
}

void soa_from_record(struct soa *ret_soa, const struct record *record)
{
    const uint8_t *numbers = record->rdata + record->rdata_size - 20;
    *ret_soa = (struct soa){
        .serial = knot_wire_read_u32(numbers),
        .refresh_s = knot_wire_read_u32(numbers + 4),
        .retry_s = knot_wire_read_u32(numbers + 8),
        .expire_s = knot_wire_read_u32(numbers + 12),
        .minimum_s = knot_wire_read_u32(numbers + 16),
        .ttl_s = record->ttl_s,
    };
}
