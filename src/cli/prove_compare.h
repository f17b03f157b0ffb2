/* Whether the front's answer is what the proof demands, and if not, in what it differs.
 *
 * Equal means: the same RCODE, header flags and question, and in each section the same set of
 * records. Apart from that stand the order of records, TTLs that were counted down, compression,
 * and everything of EDNS but extended errors.
 */
#pragma once

#include "cli/prove_answer.h"
#include "cli/prove_exchange.h"
#include "cli/prove_listing.h"

enum difference {
    DIFFERENCE_FRONT_SILENT,
    DIFFERENCE_FRONT_MALFORMED,
    DIFFERENCE_LISTED_NOT_BLOCKED, /* the order's effect is missing */
    DIFFERENCE_LISTED_WRONG,       /* blocked, and not as the order says */
    DIFFERENCE_LISTED_NO_REASON,   /* blocked without the order's extended error */
    DIFFERENCE_UNLISTED_BLOCKED,
    DIFFERENCE_RCODE,
    DIFFERENCE_FLAGS,
    DIFFERENCE_QUESTION,
    DIFFERENCE_MISSING, /* records that only the origin has */
    DIFFERENCE_EXTRA,   /* records that only the front has */
    DIFFERENCE_RDATA,   /* both have records of an owner and type, and not the same */
    DIFFERENCE_TTL,
    DIFFERENCE_EDE,
    DIFFERENCE_ORIGIN_SILENT,    /* from here on: nothing to compare with */
    DIFFERENCE_ORIGIN_MALFORMED, /* or nothing that makes sense */
    DIFFERENCES
};

/* "front-silent", as options, reports and documents have it. */
const char *difference_name(enum difference difference);
/* One line for a person. */
const char *difference_summary(enum difference difference);
/* Returns false if there is none of that name. */
bool difference_parse(const char *name, enum difference *ret_difference);

#define DIFFERENCE_BIT(difference) (1u << (difference))

enum ttl_rule {
    TTL_EXACT,
    TTL_DECREMENTED, /* the front's may be lower, as a cache counts it down */
    TTL_IGNORE,
};

struct compare_rules {
    enum ttl_rule ttl;
    const struct listing *listing; /* names of the orders in force; may be empty */
};

enum comparison_result {
    COMPARISON_EQUAL,          /* as the origin answers */
    COMPARISON_BLOCKED,        /* as the order demands */
    COMPARISON_BLOCKED_ALIAS,  /* an alias up to the listed name, and then as the order demands */
    COMPARISON_DIFFERENT,      /* a finding */
    COMPARISON_NOT_COMPARABLE, /* the origin gave nothing to compare with */
};

struct comparison {
    enum comparison_result result;
    enum difference kind;        /* the one that says most, where the result is a finding */
    uint32_t kinds;              /* all of them: DIFFERENCE_BIT() */
    unsigned addresses_left_out; /* additional records of listed names that the front left out */
    char detail[1024];           /* what a person needs to see; "" if there is nothing to say */
};

/* Compares two parsed answers to an unlisted question. `ret` is added to: it begins zeroed. */
void compare_answers(const struct compare_rules *rules, const struct answer *front,
                     const struct answer *origin, struct comparison *ret);

/* Notes a finding; the first text stays. Never called with a kind that does not apply. */
void comparison_note(struct comparison *comparison, enum difference kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Compares the parts of an answer that are the same for every kind of question: header flags under
 * `flags_mask`, and the question. */
void compare_header(const struct answer *front, const struct answer *origin, uint16_t flags_mask,
                    struct comparison *ret);

/* "NXDOMAIN", or "RCODE 4093" written into `text`. */
const char *compare_rcode_text(uint16_t rcode, char text[static 16]);

/* Compares two sets of records; `section` names them in texts. `excuse` tells which records of the
 * origin the front may leave out (may be NULL). */
typedef bool compare_excuse_fn(const struct compare_rules *rules, const knot_rrset_t *record);
void compare_records(const struct compare_rules *rules, const char *section,
                     const struct answer_records *front, const struct answer_records *origin,
                     compare_excuse_fn *excuse, struct comparison *ret);
