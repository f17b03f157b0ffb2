/* An origin's message as records and sets of them, to be learned from. */
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "front/denial_internal.h"

struct denial_reader *denial_reader_create(void)
{
    return malloc(sizeof(struct denial_reader));
}

void denial_reader_free(struct denial_reader *reader)
{
    free(reader);
}

static bool name_is(const struct name *one, const struct name *other)
{
    return one->hashes[0] == other->hashes[0] && one->size == other->size &&
           memcmp(one->wire, other->wire, one->size) == 0;
}

static bool read_row(struct denial_reader *reader, unsigned section)
{
    struct record record;
    if (record_reader_next(&reader->reader, &record) < 0)
        return false;
    if (record.type == KNOT_RRTYPE_OPT || record.type == KNOT_RRTYPE_TSIG)
        return true;
    struct denial_row *row = &reader->rows[reader->row_count];
    if (reader->row_count == DENIAL_ROWS_MAX ||
        record.rdata_size > DENIAL_ROW_OCTETS_MAX - reader->used || record.class != KNOT_CLASS_IN ||
        name_parse(&row->owner, record.owner, NAME_SIZE_MAX) < 0)
        return false;
    uint8_t *octets = reader->octets + reader->used;
    memcpy(octets, record.rdata, record.rdata_size);
    reader->used += record.rdata_size;
    reader->row_count++;
    row->rdata = (struct denial_rdata){.at = octets, .size = record.rdata_size};
    row->ttl_s = record.ttl_s;
    row->type = record.type;
    row->section = (uint8_t)section;
    row->is_taken = false;
    return true;
}

bool denial_reader_read(struct denial_reader *reader, const uint8_t *wire, size_t size)
{
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    reader->row_count = 0;
    reader->used = 0;
    if (size < MESSAGE_HEADER_SIZE || knot_wire_get_qdcount(wire) != 1)
        return false;
    record_reader_init(&reader->reader, wire, size);
    if (record_reader_question(&reader->reader, owner, &type, &class) < 0)
        return false;
    const uint16_t counts[] = {knot_wire_get_ancount(wire), knot_wire_get_nscount(wire),
                               knot_wire_get_arcount(wire)};
    for (unsigned section = 0; section < 3; section++) {
        for (unsigned left = counts[section]; left > 0; left--) {
            if (!read_row(reader, section))
                return false;
        }
    }
    return true;
}

static bool add_to_set(struct denial_set *set, const struct denial_row *row)
{
    if (row->type == KNOT_RRTYPE_RRSIG) {
        if (set->signature_count == DENIAL_SET_SIGNATURES_MAX)
            return false;
        set->signatures[set->signature_count++] = row->rdata;
        return true;
    }
    if (set->record_count == DENIAL_SET_RECORDS_MAX)
        return false;
    set->records[set->record_count++] = row->rdata;
    if (row->ttl_s < set->ttl_s)
        set->ttl_s = row->ttl_s;
    return true;
}

bool denial_reader_gather(struct denial_reader *reader, const struct denial_row *first)
{
    struct denial_set *set = &reader->set;
    *set = (struct denial_set){.owner = &first->owner, .type = first->type, .ttl_s = UINT32_MAX};
    if (first->is_taken)
        return false;
    for (unsigned i = 0; i < reader->row_count; i++) {
        struct denial_row *row = &reader->rows[i];
        const bool is_signature = row->type == KNOT_RRTYPE_RRSIG && row->rdata.size > 2 &&
                                  knot_wire_read_u16(row->rdata.at) == first->type;
        if ((row->type != first->type && !is_signature) || row->section != first->section ||
            !name_is(&row->owner, &first->owner))
            continue;
        row->is_taken = true;
        if (!add_to_set(set, row))
            return false;
    }
    return true;
}

bool denial_reader_is_signed(const struct denial_reader *reader)
{
    for (unsigned i = 0; i < reader->row_count; i++) {
        if (reader->rows[i].section == SECTION_AUTHORITY &&
            (reader->rows[i].type == KNOT_RRTYPE_NSEC || reader->rows[i].type == KNOT_RRTYPE_NSEC3))
            return true;
    }
    return false;
}
