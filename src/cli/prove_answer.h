/* An answer as what it says, apart from how it is put on the wire: names decompressed and folded,
 * each section a sorted set of records. Answers come from hosts that are not trusted; libknot
 * checks every bound. */
#pragma once

#include <libknot/libknot.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

#define ANSWER_EDE_MAX 8 /* extended errors kept; a server sends one, rarely two */

enum answer_section {
    ANSWER_SECTION_ANSWER,
    ANSWER_SECTION_AUTHORITY,
    ANSWER_SECTION_ADDITIONAL,
    ANSWER_SECTIONS
};

/* Records without OPT and TSIG; each holds one rdata, its owner in lower case. Sorted by owner,
 * type, class, rdata, TTL. */
struct answer_records {
    const knot_rrset_t **records;
    size_t count;
};

struct answer_ede {
    uint16_t code;
    uint16_t text_size;
    const uint8_t *text; /* as sent, into the message */
};

struct answer {
    uint16_t rcode;          /* with the extended octet (RFC 6891) */
    uint16_t flags;          /* of the header: opcode and all bits but the RCODE's */
    const uint8_t *question; /* name, type, class as sent; NULL if there is none */
    size_t question_size;
    struct answer_records sections[ANSWER_SECTIONS];
    struct answer_ede ede[ANSWER_EDE_MAX];
    size_t ede_count;
};

/* Memory of parsed answers, used over and over: answers live until it is reset. */
struct answer_arena;

_must_check_ int answer_arena_create(struct answer_arena **ret_arena);
void answer_arena_free(struct answer_arena *arena);
DEFINE_FREEP(struct answer_arena, answer_arena_free)
/* Memory until the next reset; NULL beyond the arena's bound. */
void *answer_arena_take(struct answer_arena *arena, size_t size);
void answer_arena_reset(struct answer_arena *arena);

/* Takes a message apart; it must stay as it is while the answer is used. Returns -EBADMSG for one
 * that is malformed, -ENOMEM without memory for it. */
_must_check_ int answer_parse(struct answer_arena *arena, uint8_t *message, size_t size,
                              struct answer *ret_answer);

/* Order of records in a section, the TTL apart. */
int answer_record_compare(const knot_rrset_t *one, const knot_rrset_t *other);

/* Writes "owner TTL TYPE rdata", cut to `size`. */
void answer_record_print(const knot_rrset_t *record, char *ret_text, size_t size);
