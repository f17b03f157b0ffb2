#include "dns/response.h"

#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "dns/rdata.h"

/* A pointer holds 14 bits (RFC 1035, 4.1.4). */
#define POINTER_OFFSET_MAX 0x3fff
#define POINTER_BITS       0xc000

/* Of the question's suffixes, so that a name of 127 labels leaves room for others. */
#define QUESTION_SUFFIXES_MAX (COMPRESSION_MAX / 2)

void response_init(struct response *response, uint8_t *wire, size_t question_end, size_t limit,
                   const struct name *question)
{
    response->wire = wire;
    response->size = question_end;
    response->limit = limit;
    memset(response->counts, 0, sizeof(response->counts));

    /* The suffixes next to the root are those that other names share. */
    unsigned labels = question->label_count;
    unsigned first = labels > QUESTION_SUFFIXES_MAX ? labels - QUESTION_SUFFIXES_MAX : 0;
    for (unsigned i = first; i < labels; i++) {
        response->names[i - first].hash = question->hashes[i];
        response->names[i - first].offset = (uint16_t)(QUESTION_OFFSET + question->offsets[i]);
    }
    response->name_count = labels - first;
}

void response_reserve(struct response *response, size_t size)
{
    size_t left = response->limit - response->size;
    response->limit -= size < left ? size : left;
}

struct response_mark response_mark(const struct response *response)
{
    struct response_mark mark = {.size = response->size, .name_count = response->name_count};
    memcpy(mark.counts, response->counts, sizeof(mark.counts));
    return mark;
}

void response_rewind(struct response *response, const struct response_mark *mark)
{
    response->size = mark->size;
    response->name_count = mark->name_count;
    memcpy(response->counts, mark->counts, sizeof(mark->counts));
}

/* Whether the name at `offset` of the message, which we wrote or checked, equals `suffix` (lower
 * case). */
static bool written_name_equals(const uint8_t *wire, size_t offset, const uint8_t *suffix)
{
    for (;;) {
        while (wire[offset] >= 0xc0)
            offset = knot_wire_read_u16(wire + offset) & POINTER_OFFSET_MAX;
        size_t size = (size_t)wire[offset] + 1;
        uint8_t folded[64];
        name_fold(folded, wire + offset, size);
        if (memcmp(folded, suffix, size) != 0)
            return false;
        if (size == 1)
            return true;
        offset += size;
        suffix += size;
    }
}

static uint16_t find_written(const struct response *response, uint64_t hash, const uint8_t *suffix)
{
    for (unsigned i = 0; i < response->name_count; i++) {
        if (response->names[i].hash == hash &&
            written_name_equals(response->wire, response->names[i].offset, suffix))
            return response->names[i].offset;
    }
    return 0;
}

static bool put_octets(struct response *response, const uint8_t *octets, size_t size)
{
    if (size > response->limit - response->size)
        return false;
    memcpy(response->wire + response->size, octets, size);
    response->size += size;
    return true;
}

static bool put_u16(struct response *response, uint16_t value)
{
    if (response->limit - response->size < 2)
        return false;
    knot_wire_write_u16(response->wire + response->size, value);
    response->size += 2;
    return true;
}

/* Writes a name, its longest known suffix as a pointer, and remembers its own suffixes. The octets
 * keep the letter case they have in `wire`. */
static bool put_name(struct response *response, const uint8_t *wire)
{
    struct name name;
    if (name_parse(&name, wire, NAME_SIZE_MAX) < 0)
        return false;

    uint16_t pointer = 0;
    size_t label = 0;
    for (; label < name.label_count; label++) {
        pointer = find_written(response, name.hashes[label], name.wire + name.offsets[label]);
        if (pointer != 0)
            break;
    }

    size_t start = response->size;
    if (!put_octets(response, wire, name.offsets[label]))
        return false;
    bool ended = pointer != 0 ? put_u16(response, POINTER_BITS | pointer)
                              : put_octets(response, (const uint8_t *)"", 1);
    if (!ended)
        return false;

    for (size_t i = 0; i < label && response->name_count < COMPRESSION_MAX; i++) {
        size_t offset = start + name.offsets[i];
        if (offset > POINTER_OFFSET_MAX)
            break;
        response->names[response->name_count].hash = name.hashes[i];
        response->names[response->name_count].offset = (uint16_t)offset;
        response->name_count++;
    }
    return true;
}

static bool put_owner(struct response *response, struct response_owner *owner)
{
    if (owner->pointer != 0)
        return put_u16(response, POINTER_BITS | owner->pointer);
    size_t start = response->size;
    if (owner->relative_size > 0) {
        if (!put_octets(response, owner->wire, owner->relative_size) ||
            !put_u16(response, POINTER_BITS | QUESTION_OFFSET))
            return false;
    } else if (!put_name(response, owner->wire)) {
        return false;
    }
    /* The records that follow point to the first one's owner, or where that points to itself: some
     * readers refuse a pointer to a pointer. The root's single octet is shorter. */
    if (response->wire[start] >= POINTER_BITS >> 8)
        owner->pointer = knot_wire_read_u16(response->wire + start) & POINTER_OFFSET_MAX;
    else if (owner->wire[0] != 0 && start <= POINTER_OFFSET_MAX)
        owner->pointer = (uint16_t)start;
    return true;
}

/* Record data with its names compressed where the type allows it (RFC 3597, 4). */
static bool put_rdata_with_names(struct response *response, uint16_t type, const uint8_t *rdata,
                                 size_t size)
{
    size_t length_at = response->size;
    if (!put_u16(response, 0))
        return false;
    struct rdata_walk walk = rdata_walk(type, rdata, size);
    struct rdata_part part;
    while (rdata_next(&walk, &part)) {
        bool fits = part.is_name && part.compressible ? put_name(response, part.at)
                                                      : put_octets(response, part.at, part.size);
        if (!fits)
            return false;
    }
    knot_wire_write_u16(response->wire + length_at, (uint16_t)(response->size - length_at - 2));
    return true;
}

/* Types whose names may be compressed; all are among RFC 1035's. */
static bool is_compressible(uint16_t type)
{
    return type != KNOT_RRTYPE_A && type < KNOT_RRTYPE_TXT;
}

static bool put_record(struct response *response, struct response_owner *owner, uint16_t type,
                       uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size)
{
    if (!put_owner(response, owner) || response->limit - response->size < 8)
        return false;
    uint8_t *at = response->wire + response->size;
    knot_wire_write_u16(at, type);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    knot_wire_write_u32(at + 4, ttl_s);
    response->size += 8;
    if (is_compressible(type))
        return put_rdata_with_names(response, type, rdata, rdata_size);
    return put_u16(response, rdata_size) && put_octets(response, rdata, rdata_size);
}

bool response_put(struct response *response, enum section section, struct response_owner owner,
                  const struct response_records *records)
{
    struct response_mark mark = response_mark(response);
    const uint8_t *at = records->data;
    for (unsigned left = records->rr_count; left > 0; left--) {
        uint16_t rdata_size = knot_wire_read_u16(at);
        if (!put_record(response, &owner, records->type, records->ttl_s, at + 2, rdata_size)) {
            response_rewind(response, &mark);
            return false;
        }
        at += 2 + (size_t)rdata_size;
    }
    response->counts[section] = (uint16_t)(response->counts[section] + records->rr_count);
    return true;
}

bool response_put_signatures(struct response *response, enum section section,
                             struct response_owner owner, const struct response_records *signatures,
                             uint16_t covered, uint32_t ttl_s)
{
    struct response_mark mark = response_mark(response);
    const uint8_t *at = signatures->data;
    for (unsigned left = signatures->rr_count; left > 0; left--) {
        uint16_t rdata_size = knot_wire_read_u16(at);
        const uint8_t *rdata = at + 2;
        at = rdata + rdata_size;
        if (knot_wire_read_u16(rdata) != covered)
            continue;
        if (!put_record(response, &owner, KNOT_RRTYPE_RRSIG, ttl_s, rdata, rdata_size)) {
            response_rewind(response, &mark);
            return false;
        }
        response->counts[section]++;
    }
    return true;
}
