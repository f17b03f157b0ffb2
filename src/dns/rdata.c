#include "dns/rdata.h"

#include <libknot/descriptor.h>
#include <string.h>

#include "dns/name.h"

struct rdata_walk rdata_walk(uint16_t type, const uint8_t *rdata, size_t size)
{
    return (struct rdata_walk){
        .at = rdata,
        .end = rdata + size,
        .blocks = knot_get_rdata_descriptor(type)->block_types,
    };
}

/* Octets of a name that must end before `end`; 0 when it does not or is compressed. */
static size_t name_size_within(const uint8_t *at, const uint8_t *end)
{
    size_t size = 0;
    while (at + size < end && size < NAME_SIZE_MAX) {
        uint8_t length = at[size];
        if (length > 63)
            return 0;
        size += (size_t)length + 1;
        if (length == 0)
            return size <= NAME_SIZE_MAX ? size : 0;
    }
    return 0;
}

/* Order, preference and three character strings in front of a NAPTR's name (RFC 3403, 4.1). */
static size_t naptr_header_size(const uint8_t *at, const uint8_t *end)
{
    size_t size = 4;
    for (unsigned i = 0; i < 3; i++) {
        if (at + size >= end)
            return 0;
        size += (size_t)at[size] + 1;
    }
    return size <= (size_t)(end - at) ? size : 0;
}

bool rdata_next(struct rdata_walk *walk, struct rdata_part *ret_part)
{
    size_t left = (size_t)(walk->end - walk->at);
    int block = *walk->blocks;
    struct rdata_part part = {.at = walk->at};

    switch (block) {
    case KNOT_RDATA_WF_END:
        walk->malformed = left != 0;
        return false;
    case KNOT_RDATA_WF_COMPRESSIBLE_DNAME:
    case KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME:
    case KNOT_RDATA_WF_FIXED_DNAME:
        part.is_name = true;
        part.compressible = block == KNOT_RDATA_WF_COMPRESSIBLE_DNAME;
        part.size = name_size_within(walk->at, walk->end);
        break;
    case KNOT_RDATA_WF_NAPTR_HEADER:
        part.size = naptr_header_size(walk->at, walk->end);
        break;
    case KNOT_RDATA_WF_REMAINDER:
        if (left == 0) /* nothing is a remainder, too */
            return false;
        part.size = left;
        break;
    default:
        part.size = (size_t)block <= left ? (size_t)block : 0;
        break;
    }

    if (part.size == 0) {
        walk->malformed = true;
        return false;
    }
    walk->at += part.size;
    if (block != KNOT_RDATA_WF_REMAINDER)
        walk->blocks++;
    *ret_part = part;
    return true;
}

bool rdata_is_valid(uint16_t type, const uint8_t *rdata, size_t size)
{
    struct rdata_walk walk = rdata_walk(type, rdata, size);
    struct rdata_part part;
    while (rdata_next(&walk, &part)) {
    }
    return !walk.malformed;
}

bool rdata_has_names(uint16_t type)
{
    for (const int *block = knot_get_rdata_descriptor(type)->block_types;
         *block != KNOT_RDATA_WF_END; block++) {
        if (*block == KNOT_RDATA_WF_COMPRESSIBLE_DNAME ||
            *block == KNOT_RDATA_WF_DECOMPRESSIBLE_DNAME || *block == KNOT_RDATA_WF_FIXED_DNAME)
            return true;
        if (*block == KNOT_RDATA_WF_REMAINDER)
            return false;
    }
    return false;
}

static void rdata_fold(uint8_t *ret_rdata, uint16_t type, const uint8_t *rdata, size_t size)
{
    memcpy(ret_rdata, rdata, size);
    struct rdata_walk walk = rdata_walk(type, rdata, size);
    struct rdata_part part;
    while (rdata_next(&walk, &part)) {
        if (part.is_name)
            name_fold(ret_rdata + (part.at - rdata), part.at, part.size);
    }
}

static int octets_compare(const uint8_t *one, size_t one_size, const uint8_t *other,
                          size_t other_size)
{
    int order = memcmp(one, other, one_size < other_size ? one_size : other_size);
    if (order != 0)
        return order < 0 ? -1 : 1;
    return (one_size > other_size) - (one_size < other_size);
}

int rdata_compare(uint16_t type, const uint8_t *one, size_t one_size, const uint8_t *other,
                  size_t other_size)
{
    if (!rdata_has_names(type))
        return octets_compare(one, one_size, other, other_size);

    uint8_t one_folded[UINT16_MAX + 1], other_folded[UINT16_MAX + 1];
    rdata_fold(one_folded, type, one, one_size);
    rdata_fold(other_folded, type, other, other_size);
    return octets_compare(one_folded, one_size, other_folded, other_size);
}
