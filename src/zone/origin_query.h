/* A question to an origin about one zone, and what is common to its answers: header, question,
 * RCODE, how long the zone is good for (EXPIRE, RFC 7314), signature. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/record_reader.h"
#include "zone/transfer_in.h"
#include "zone/tsig_client.h"

/* Header, question, a SOA without names, OPT and the largest TSIG: two names of 255 octets, a MAC
 * of 64, fixed fields. */
#define QUERY_SIZE_MAX 1024

struct origin_question {
    uint16_t type;
    uint32_t serial;   /* of IXFR: what we have (RFC 1995, 3) */
    bool without_edns; /* for a server of before RFC 6891, which cannot be asked for EXPIRE */
};

struct origin_query {
    uint8_t wire[QUERY_SIZE_MAX];
    size_t size;
    uint16_t id, type;
    bool has_edns;
    uint8_t rcode; /* of the last answer that was opened */
    const uint8_t *apex;
    const struct transfer_key *key;
    struct tsig_client *tsig; /* NULL: unsigned */
    char zone[1025];          /* as text */
    const char *origin;       /* as text */
};

/* The opened answer: the counts of its sections; `reader` stands at the answer section. */
struct origin_answer {
    struct record_reader *reader;
    uint16_t answer_count, authority_count, additional_count;
    bool is_truncated, is_authoritative;
    uint32_t expire_s; /* set by origin_answer_close(); EXPIRE_UNTOLD: the origin does not say */
};

/* Makes and signs the query with a fresh random identifier. `apex` and `origin` must outlive it. */
_must_check_ int origin_query_init(struct origin_query *ret_query,
                                   const struct transfer_source *source, const uint8_t *apex,
                                   const struct origin_question *question, const char *origin,
                                   struct error *ret_error);
void origin_query_clear(struct origin_query *query);

/* Whether the origin's RCODE may mean that it does not know EDNS (RFC 6891, 7): the same question
 * without it is worth a try. */
bool origin_query_wants_plain(const struct origin_query *query);

/* Whether octets look like the answer to this query at all; on UDP others are passed over. */
bool origin_query_is_answer(const struct origin_query *query, const uint8_t *wire, size_t size);

/* Checks everything in front of the answer section. Only messages of a transfer after the first
 * (`is_first` false) may come without the question (RFC 5936, 2.2.1). */
_must_check_ int origin_answer_open(struct origin_query *query, struct record_reader *reader,
                                    const uint8_t *wire, size_t size, bool is_first,
                                    struct origin_answer *ret_answer, struct error *ret_error);

/* With the answer section read: walks the others, takes EXPIRE from them and verifies the
 * signature. */
_must_check_ int origin_answer_close(struct origin_query *query, struct origin_answer *answer,
                                     struct error *ret_error);

/* Reads a SOA's rdata (uncompressed, whole). */
void soa_from_record(struct soa *ret_soa, const struct record *record);
