/* The command line of `tamis prove`. */
#pragma once

#include "cli/command.h"
#include "cli/prove_compare.h"

#define PROVE_TYPES_MAX  16
#define PROVE_ORDERS_MAX 64

enum dnssec_mode { DNSSEC_NO, DNSSEC_YES, DNSSEC_BOTH };

struct prove_options {
    const char *front, *origin, *names, *keyring, *report; /* NULL: not given */
    const char *orders[PROVE_ORDERS_MAX];
    size_t order_count;
    struct exchange_options exchange;
    uint16_t types[PROVE_TYPES_MAX];
    size_t type_count;
    char types_text[PROVE_TYPES_MAX * 17];
    enum dnssec_mode dnssec;
    enum ttl_rule ttl;
    bool random_case;
    uint64_t random_case_seed;
    bool origin_may_be_silent, json;
    uint32_t kinds_shown; /* DIFFERENCE_BIT() */
    size_t example_max;
    bool continuous;
    unsigned continuous_s, interval_s; /* 0: until it is told to end */
    size_t sample;                     /* questions, of each interval */
    const char *history, *prometheus;  /* NULL: not given */
};

/* Returns 0, or the exit code of wrong use after it was printed. */
_must_check_ int prove_options_parse(const struct command *command, int argc, char **argv,
                                     struct prove_options *ret_options);

const char *dnssec_mode_name(enum dnssec_mode mode);
const char *ttl_rule_name(enum ttl_rule rule);
