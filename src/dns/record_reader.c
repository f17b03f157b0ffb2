#include "dns/record_reader.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A TTL with its highest bit set counts as zero (RFC 2181, 8). */
#define TTL_MAX INT32_MAX

#define POINTER_BITS 0xc0

struct record_reader *record_reader_create(void)
{
    return malloc(sizeof(struct record_reader));
}

void record_reader_free(struct record_reader *reader)
{
    free(reader);
}

void record_reader_init(struct record_reader *reader, const uint8_t *wire, size_t size)
{
    reader->wire = wire;
    reader->size = size;
    reader->at = MESSAGE_HEADER_SIZE;
}

/* Expands the name at `at` into `ret_name` (NAME_SIZE_MAX octets). The name itself, not what it
 * points at, must end by `end`. Returns its octets when expanded and the place behind it in
 * `ret_next`, or -EBADMSG.
 *
 * Each pointer must lead to in front of the run of labels that it ends, so runs only ever move
 * towards the header and a loop cannot be. */
static int name_expand(const struct record_reader *reader, size_t at, size_t end,
                       bool may_be_compressed, uint8_t *ret_name, size_t *ret_next)
{
    const uint8_t *wire = reader->wire;
    size_t size = 0, run = at, next = 0;

    for (;;) {
        if (at >= end)
            return -EBADMSG;
        const uint8_t length = wire[at];

        if (length < 64) {
            if (size + length + 1u > NAME_SIZE_MAX || length + 1u > end - at)
                return -EBADMSG;
            memcpy(ret_name + size, wire + at, length + 1u);
            size += length + 1u;
            at += length + 1u;
            if (length == 0)
                break;
            continue;
        }

        if ((length & POINTER_BITS) != POINTER_BITS || !may_be_compressed || end - at < 2)
            return -EBADMSG;
        const size_t target = (size_t)(length & ~POINTER_BITS) << 8 | wire[at + 1];
        if (target < MESSAGE_HEADER_SIZE || target >= run)
            return -EBADMSG;
        if (next == 0)
            next = at + 2;
        at = run = target;
        end = reader->size;
    }

    *ret_next = next != 0 ? next : at;
    return (int)size;
}

int record_reader_question(struct record_reader *reader, uint8_t *ret_name, uint16_t *ret_type,
                           uint16_t *ret_class)
{
    size_t at;
    if (name_expand(reader, reader->at, reader->size, true, ret_name, &at) < 0 ||
        reader->size - at < 4)
        return -EBADMSG;

    *ret_type = knot_wire_read_u16(reader->wire + at);
    *ret_class = knot_wire_read_u16(reader->wire + at + 2);
    reader->at = at + 4;
    return 0;
}

/* Octets of the NAPTR fields in front of its name: order, preference and three strings (RFC 3403,
 * 4.1). */
static int naptr_header_size(const uint8_t *rdata, size_t available)
{
    size_t size = 4;
    for (int string = 0; string < 3; string++) {
        if (size >= available)
            return -EBADMSG;
        size += 1u + rdata[size];
    }
    return size <= available ? (int)size : -EBADMSG;
}

/* Flags, iterations, salt and hash of an NSEC3 must be there: libknot's description of the type
 * leaves its rdata whole (RFC 5155, 3.2). */
static bool nsec3_is_whole(const uint8_t *rdata, size_t size)
{
    if (size < 6)
        return false;
    const size_t hash = 5u + rdata[4];
    return hash < size && rdata[hash] > 0 && hash + 1u + rdata[hash] <= size;
}

static bool nsec3param_is_whole(const uint8_t *rdata, size_t size)
{
    return size >= 5 && size == 5u + rdata[4];
}

/* Types whose names may be compressed, though nobody makes such records any more: RFC 3597, 4. */
static bool type_is_obsolete(uint16_t type)
{
    switch (type) {
    case KNOT_RRTYPE_MD:
    case KNOT_RRTYPE_MF:
    case KNOT_RRTYPE_MB:
    case KNOT_RRTYPE_MG:
    case KNOT_RRTYPE_MR:
    case KNOT_RRTYPE_PX:
    case KNOT_RRTYPE_NXT:
        return true;
    default:
        return false;
    }
}

/* Expands rdata block by block as libknot describes its type. Returns the expanded size or
 * -EBADMSG. */
static int rdata_expand(struct record_reader *reader, uint16_t type, size_t at, size_t end)
{
    const knot_rdata_descriptor_t *descriptor = type_is_obsolete(type)
                                                    ? knot_get_obsolete_rdata_descriptor(type)
                                                    : knot_get_rdata_descriptor(type);
    size_t size = 0;

    for (const int *block = descriptor->block_types; *block != KNOT_RDATA_WF_END; block++) {
        int take;
        switch (*block) {
        case KNOT_RDATA_WF_COMPRESSIBLE_DNAME:
        case KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME:
        case KNOT_RDATA_WF_FIXED_DNAME:
            take = name_expand(reader, at, end, *block != KNOT_RDATA_WF_FIXED_DNAME,
                               reader->rdata + size, &at);
            if (take < 0)
                return take;
            size += (size_t)take;
            continue;
        case KNOT_RDATA_WF_NAPTR_HEADER:
            take = naptr_header_size(reader->wire + at, end - at);
            break;
        case KNOT_RDATA_WF_REMAINDER:
            take = (int)(end - at);
            break;
        default:
            take = *block;
            break;
        }
        if (take < 0 || (size_t)take > end - at)
            return -EBADMSG;
        memcpy(reader->rdata + size, reader->wire + at, (size_t)take);
        size += (size_t)take;
        at += (size_t)take;
    }

    if (at != end || size > UINT16_MAX)
        return -EBADMSG;
    return (int)size;
}

/* Checks the rdata and points `record` at it. The types that make up nearly every zone are settled
 * without a copy. */
static int rdata_read(struct record_reader *reader, struct record *record, size_t at, size_t size)
{
    const uint8_t *rdata = reader->wire + at;
    bool whole;

    switch (record->type) {
    case KNOT_RRTYPE_A:
        whole = size == 4;
        break;
    case KNOT_RRTYPE_AAAA:
        whole = size == 16;
        break;
    case KNOT_RRTYPE_TXT:
        whole = size > 0;
        break;
    case KNOT_RRTYPE_NSEC3:
        whole = nsec3_is_whole(rdata, size);
        break;
    case KNOT_RRTYPE_NSEC3PARAM:
        whole = nsec3param_is_whole(rdata, size);
        break;
    default: {
        const int expanded = rdata_expand(reader, record->type, at, at + size);
        if (expanded < 0)
            return expanded;
        record->rdata = reader->rdata;
        record->rdata_size = (uint16_t)expanded;
        return 0;
    }
    }

    record->rdata = rdata;
    record->rdata_size = (uint16_t)size;
    return whole ? 0 : -EBADMSG;
}

int record_reader_next(struct record_reader *reader, struct record *ret_record)
{
    size_t at;
    const int owner_size = name_expand(reader, reader->at, reader->size, true, reader->owner, &at);
    if (owner_size < 0 || reader->size - at < 10)
        return -EBADMSG;

    const uint8_t *fixed = reader->wire + at;
    const uint32_t ttl_s = knot_wire_read_u32(fixed + 4);
    const size_t rdata_size = knot_wire_read_u16(fixed + 8);
    at += 10;
    if (rdata_size > reader->size - at)
        return -EBADMSG;

    struct record record = {
        .owner = reader->owner,
        .owner_size = (uint8_t)owner_size,
        .at = reader->at,
        .type = knot_wire_read_u16(fixed),
        .class = knot_wire_read_u16(fixed + 2),
        .ttl_s = ttl_s > TTL_MAX ? 0 : ttl_s,
        .rdata = fixed + 10,
    };
    /* The records of an UPDATE that ask for or delete sets say no data (RFC 2136, 2.4 and 2.5). */
    const bool is_about_sets = record.class == KNOT_CLASS_ANY || record.class == KNOT_CLASS_NONE;
    const int rc =
        rdata_size == 0 && is_about_sets ? 0 : rdata_read(reader, &record, at, rdata_size);
    if (rc < 0)
        return rc;

    reader->at = at + rdata_size;
    *ret_record = record;
    return 0;
}
