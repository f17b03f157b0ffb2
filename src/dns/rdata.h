/* Record data in wire form: where its names are, whether it is well formed, how it sorts.
 *
 * Which type has names where is libknot's knowledge (libknot/descriptor.h); types it does not know
 * are opaque (RFC 3597).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One stretch of rdata: a name, or octets without one. */
struct rdata_part {
    const uint8_t *at;
    size_t size;
    bool is_name;
    bool compressible; /* a sender may compress it: types of RFC 1035 only (RFC 3597, 4) */
};

/* Walks the parts of one record's data. Start with rdata_walk(), then rdata_next() until it returns
 * false; then `malformed` tells whether the data was not of its type's form. */
struct rdata_walk {
    const uint8_t *at, *end;
    const int *blocks; /* what is to come, libknot's encoding */
    bool malformed;
};

struct rdata_walk rdata_walk(uint16_t type, const uint8_t *rdata, size_t size);
bool rdata_next(struct rdata_walk *walk, struct rdata_part *ret_part);

/* Whether uncompressed rdata has the form of its type; always true for unknown types. */
bool rdata_is_valid(uint16_t type, const uint8_t *rdata, size_t size);

/* Whether the data of this type holds domain names. */
bool rdata_has_names(uint16_t type);

/* Canonical order (RFC 4034, 6.3) of two records' data of one type, names compared in lower case.
 */
int rdata_compare(uint16_t type, const uint8_t *one, size_t one_size, const uint8_t *other,
                  size_t other_size);
