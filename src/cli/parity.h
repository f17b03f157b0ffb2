/* Asks front and origin the same questions and judges each answer as `tamis prove` does: what a
 * sampled check, a shadow run and the watch over a canary have in common. */
#pragma once

#include "cli/prove_verdict.h"
#include "cli/question_set.h"

/* Findings kept with their text. */
#define PARITY_FINDINGS_MAX 100

struct parity_finding {
    uint8_t name[NAME_SIZE_MAX];
    uint16_t type;
    bool dnssec_ok;
    enum difference kind;
    char detail[sizeof(((struct comparison *)0)->detail)];
};

struct parity_counts {
    uint64_t questions, equal, blocked, different, not_comparable, settled;
    uint64_t since_different;                  /* questions since the last finding */
    uint64_t servfail, nxdomain;               /* answers of the front to unlisted questions */
    uint64_t origin_servfail, origin_nxdomain; /* of the origin to the same: the baseline */
    uint64_t by_kind[DIFFERENCES];
    uint64_t front_sent;        /* questions that the front got, repeated ones included */
    double front_ms, origin_ms; /* smoothed round trip; 0: none seen */
};

enum parity_next { PARITY_QUESTION, PARITY_NONE_YET, PARITY_END };

/* Where questions come from that nobody has gathered before. */
struct parity_source {
    void *context;
    /* Fills in name, name_size, type and dnssec_ok. Never waits. */
    enum parity_next (*next)(void *context, struct exchange_question *ret_question);
};

struct parity_options {
    struct exchange_options exchange;
    struct listing *listing; /* orders in force; may be empty */
    /* Told of each question once it is judged; may be NULL. */
    void (*judged)(void *context, const struct exchange_question *question,
                   const struct comparison *comparison);
    void *context;
    /* Questions behind those of the set, as clients ask them; may be NULL. */
    const struct parity_source *source;
    /* What a server left without an answer, tries and all, is not asked a second time. */
    bool silence_is_final;
    /* Asked ten times a second; true: stop. May be NULL. */
    bool (*stopped)(void);
    /* Told ten times a second how far it is; may be NULL. */
    void (*ticked)(void *ticked_context, const struct parity_counts *counts);
    void *ticked_context;
};

struct parity_result {
    struct parity_counts counts;
    struct parity_finding findings[PARITY_FINDINGS_MAX];
    size_t finding_count;
    bool stopped;
};

/* Asks the questions of `set` whose indices are given (NULL: all of them, `count` is then not
 * looked at), and then those of the source until it ends. What differs is asked once more after
 * half a second, and only what differs again is a finding. Returns 0, or a negative errno where the
 * machine itself fails. */
_must_check_ int parity_run(const struct parity_options *options, const struct question_set *set,
                            const size_t *indices, size_t count, struct parity_result *ret_result,
                            struct error *ret_error);

/* Draws `count` different indices below `total`, all of them when there are not more. The caller
 * frees. NULL: no memory. */
size_t *parity_sample(size_t total, size_t *count);
