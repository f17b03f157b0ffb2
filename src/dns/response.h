/* Writing a response: record sets with name compression, whole or not at all.
 *
 * The caller has put the header and the question at the front of the buffer; owners are then mostly
 * pointers into the question, known ahead. Everything else is compressed by hash against the names
 * written so far. Nothing allocates.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/name.h"

enum section { SECTION_ANSWER, SECTION_AUTHORITY, SECTION_ADDITIONAL };

#define QUESTION_OFFSET 12 /* of the question's name, behind the header */

/* Names that later ones can point to. Answers name a handful; when the table is full the rest is
 * written with less compression, which is right, too. */
#define COMPRESSION_MAX 96

struct response {
    uint8_t *wire;
    size_t size;        /* octets written */
    size_t limit;       /* octets that records may take; what OPT and TSIG need is reserved */
    uint16_t counts[3]; /* records by section */
    unsigned name_count;
    struct {
        uint64_t hash;
        uint16_t offset;
    } names[COMPRESSION_MAX];
};

/* A record's owner: `pointer` is its place in the message when that is known; else `wire` is the
 * name, or with `relative_size` only that many octets of labels, which the question's name follows:
 * then nothing has to be looked for. */
struct response_owner {
    const uint8_t *wire; /* uncompressed */
    uint16_t pointer;    /* 0: not known */
    uint8_t relative_size;
};

/* Starts behind the question. `question` is the parsed name that stands at QUESTION_OFFSET. */
void response_init(struct response *response, uint8_t *wire, size_t question_end, size_t limit,
                   const struct name *question);

/* Keeps `size` octets back from records; all there are when it is more. */
void response_reserve(struct response *response, size_t size);

/* A set of records to write. `data` is rr_count times { rdlength in network order, uncompressed
 * rdata }. */
struct response_records {
    uint16_t type;
    uint16_t rr_count;
    uint32_t ttl_s;
    const uint8_t *data;
};

/* Writes the records, or nothing and returns false when they don't fit. */
bool response_put(struct response *response, enum section section, struct response_owner owner,
                  const struct response_records *records);

/* Writes those RRSIGs of `signatures` that cover `covered`, with that set's TTL (RFC 4034, 3). */
bool response_put_signatures(struct response *response, enum section section,
                             struct response_owner owner, const struct response_records *signatures,
                             uint16_t covered, uint32_t ttl_s);

/* A point to go back to when what follows does not fit. */
struct response_mark {
    size_t size;
    uint16_t counts[3];
    unsigned name_count;
};
struct response_mark response_mark(const struct response *response);
void response_rewind(struct response *response, const struct response_mark *mark);
