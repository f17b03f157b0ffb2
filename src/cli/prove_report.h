/* The outcome of a proof, for a person and as JSON. */
#pragma once

#include "cli/prove_compare.h"
#include "cli/prove_serials.h"

struct report_example {
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type;
    bool dnssec_ok;
    bool listed;
    enum difference kind;
    uint32_t kinds;
    char detail[sizeof(((struct comparison *)0)->detail)];
};

struct report {
    /* What was asked, for the record. */
    const char *front, *origin, *names_path;
    const struct listing *listing;
    const char *types, *dnssec, *ttl;
    bool random_case;
    uint64_t random_case_seed;
    bool origin_may_be_silent;
    int64_t started; /* Unix seconds */
    double seconds;
    const char *stopped; /* why it ended early; NULL: it did not */

    struct survey survey;
    struct zone_serials serials;
    struct exchange_counts exchange;

    uint64_t names_listed, names_unlisted; /* asked about */
    uint64_t names_listed_wrong, names_unlisted_different;
    uint64_t questions, equal, blocked, blocked_alias, different, not_comparable;
    uint64_t settled; /* differed at first and not when asked again */
    uint64_t addresses_left_out;
    uint64_t by_kind[DIFFERENCES]; /* by the kind that says most */

    uint32_t kinds_shown; /* DIFFERENCE_BIT() of what becomes an example */
    size_t example_max, example_count;
    struct report_example *examples;
};

/* Every listed name is blocked as ordered, no other differs, and all were compared. */
bool report_proved(const struct report *report);

/* The table for a person. */
void report_print(const struct report *report, FILE *stream, bool colour);

/* Writes the JSON form. */
_must_check_ int report_write_json(const struct report *report, FILE *stream,
                                   struct error *ret_error);
/* The same into a file, which is there whole or not at all. */
_must_check_ int report_save_json(const struct report *report, const char *path,
                                  struct error *ret_error);

/* "1,234,567" into `text`; returns it. */
const char *report_number(uint64_t number, char text[static 32]);
