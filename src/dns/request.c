#include "dns/request.h"

#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/rrtype/opt.h>
#include <libknot/wire.h>

#define HEADER_SIZE KNOT_WIRE_HEADER_SIZE

/* Offset behind the name at `at`, which may end in a pointer; 0 when it is cut short or malformed.
 */
static size_t skip_name(const uint8_t *wire, size_t size, size_t at)
{
    size_t start = at;
    while (at < size && at - start < NAME_SIZE_MAX) {
        uint8_t length = wire[at];
        if (length == 0)
            return at + 1;
        if (length >= 0xc0)
            return at + 2 <= size ? at + 2 : 0;
        if (length > 63)
            return 0;
        at += (size_t)length + 1;
    }
    return 0;
}

static bool read_options(struct request *request, const uint8_t *at, size_t size)
{
    while (size > 0) {
        if (size < 4)
            return false;
        uint16_t code = knot_wire_read_u16(at);
        size_t length = knot_wire_read_u16(at + 2);
        if (length > size - 4)
            return false;
        request->wants_nsid |= code == KNOT_EDNS_OPTION_NSID;
        request->wants_keepalive |= code == KNOT_EDNS_OPTION_TCP_KEEPALIVE && length == 0;
        request->wants_padding |= code == KNOT_EDNS_OPTION_PADDING;
        request->wants_expire |= code == KNOT_EDNS_OPTION_EXPIRE;
        if (code == KNOT_EDNS_OPTION_CLIENT_SUBNET) {
            request->client_subnet = at + 4;
            request->client_subnet_size = (uint16_t)length;
        }
        at += 4 + length;
        size -= 4 + length;
    }
    return true;
}

struct record_head {
    uint16_t type, class;
    uint32_t ttl;
    const uint8_t *rdata;
    uint16_t rdata_size;
};

/* Reads the record at *at and moves behind it. */
static bool read_record(const uint8_t *wire, size_t size, size_t *at, struct record_head *ret_head)
{
    size_t head = skip_name(wire, size, *at);
    if (head == 0 || size - head < 10)
        return false;
    ret_head->type = knot_wire_read_u16(wire + head);
    ret_head->class = knot_wire_read_u16(wire + head + 2);
    ret_head->ttl = knot_wire_read_u32(wire + head + 4);
    ret_head->rdata_size = knot_wire_read_u16(wire + head + 8);
    ret_head->rdata = wire + head + 10;
    if (ret_head->rdata_size > size - head - 10)
        return false;
    *at = head + 10 + ret_head->rdata_size;
    return true;
}

static bool read_edns(struct request *request, const struct record_head *head)
{
    request->has_edns = true;
    request->edns_payload = head->class;
    request->edns_version = (uint8_t)(head->ttl >> 16);
    request->dnssec_ok = (head->ttl & KNOT_EDNS_DO_MASK) != 0;
    return read_options(request, head->rdata, head->rdata_size);
}

static bool has_no_record(const uint8_t *wire)
{
    return (knot_wire_get_ancount(wire) | knot_wire_get_nscount(wire) |
            knot_wire_get_arcount(wire)) == 0;
}

/* Of a SOA in the answer section, the hint of a NOTIFY, or in the authority section. */
static void read_serial(struct request *request, unsigned section, const struct record_head *head)
{
    const uint32_t serial = knot_wire_read_u32(head->rdata + head->rdata_size - 20);
    if (section == 0) {
        request->notify_serial = serial;
        return;
    }
    request->has_ixfr_soa = true;
    request->ixfr_serial = serial;
}

/* The records behind the question; OPT and TSIG stand in the additional section only, TSIG last. */
static bool read_records(struct request *request)
{
    const uint8_t *wire = request->wire;
    unsigned counts[3] = {knot_wire_get_ancount(wire), knot_wire_get_nscount(wire),
                          knot_wire_get_arcount(wire)};
    size_t at = request->question_end;

    for (unsigned section = 0; section < 3; section++) {
        for (unsigned left = counts[section]; left > 0; left--) {
            struct record_head head;
            size_t start = at;
            if (!read_record(wire, request->size, &at, &head))
                return false;
            if (head.type == KNOT_RRTYPE_OPT) {
                if (section != 2 || request->has_edns || !read_edns(request, &head))
                    return false;
            } else if (head.type == KNOT_RRTYPE_TSIG) {
                if (section != 2 || left != 1 || head.rdata_size == 0)
                    return false;
                request->has_tsig = true;
                request->tsig_offset = start;
            } else if (head.type == KNOT_RRTYPE_SOA && section < 2 && head.rdata_size >= 22) {
                read_serial(request, section, &head);
            }
        }
    }
    return at == request->size;
}

enum request_status request_parse(struct request *ret_request, struct name *ret_name,
                                  const uint8_t *wire, size_t size)
{
    if (size < HEADER_SIZE || knot_wire_get_qr(wire))
        return REQUEST_IGNORE;

    *ret_request = (struct request){
        .wire = wire,
        .size = size,
        .id = knot_wire_get_id(wire),
        .flags = knot_wire_read_u16(wire + 2),
        .opcode = knot_wire_get_opcode(wire),
        .question_end = HEADER_SIZE,
    };

    uint16_t questions = knot_wire_get_qdcount(wire);
    if (questions > 1)
        return REQUEST_IGNORE;
    if (questions == 1) {
        int name_size = name_parse(ret_name, wire + HEADER_SIZE, size - HEADER_SIZE);
        if (name_size < 0 || size - HEADER_SIZE - (size_t)name_size < 4)
            return REQUEST_IGNORE;
        size_t end = HEADER_SIZE + (size_t)name_size;
        ret_request->qtype = knot_wire_read_u16(wire + end);
        ret_request->qclass = knot_wire_read_u16(wire + end + 2);
        ret_request->question_end = end + 4;
        ret_request->has_question = true;
    }

    /* Nearly every question ends here or with an OPT alone. */
    if (has_no_record(wire) ? ret_request->question_end != size : !read_records(ret_request))
        return ret_request->has_question ? REQUEST_MALFORMED : REQUEST_IGNORE;
    return REQUEST_OK;
}

bool request_asks_data(const struct request *request)
{
    if (request->opcode != KNOT_OPCODE_QUERY || !request->has_question ||
        (request->has_edns && request->edns_version != 0) ||
        (request->qclass != KNOT_CLASS_IN && request->qclass != KNOT_CLASS_ANY))
        return false;
    return request->qtype != 0 && request->qtype != KNOT_RRTYPE_AXFR &&
           request->qtype != KNOT_RRTYPE_IXFR;
}
