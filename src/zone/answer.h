/* The authoritative answer: from a question to the records of a response (RFC 1034, 4.3.2, as
 * amended by RFC 2308, 4592, 6672, 4035, 5155 and 8482), with the verdicts of the orders in force.
 *
 * Called in an RCU read-side section; nothing here allocates, blocks or takes a lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/response.h"
#include "zone/overlay.h"
#include "zone/zone.h"

/* Aliases (CNAMEs, given or made from a DNAME) followed for one question, as at Knot; a resolver
 * goes on by itself from where the answer ends. NSD has no bound, BIND gives up after 12 with
 * SERVFAIL. */
#define CHAIN_MAX 5

/* Record sets whose names want addresses in the additional section. */
#define PENDING_MAX 16

/* Record sets remembered so that none is put twice. */
#define WRITTEN_MAX 64

struct answer_environment {
    const struct zone_set *zones;
    const struct overlay *overlay; /* NULL: no order */
    int64_t now;                   /* Unix seconds */
    unsigned worker;
    bool over_tcp;
    bool may_transfer; /* the client may also ask zones that are for transfer only */
};

/* A question for zone data, and the zone that it belongs to. */
struct question {
    const struct name *name;
    uint16_t type;
    bool dnssec;                  /* the DO bit */
    const struct zone *zone;      /* NULL: none of ours */
    const struct zone_data *data; /* the zone's generation that answers; NULL without a zone */
};

/* Finds zone and data of a question whose name and type are set. */
void question_find_zone(struct question *question, const struct zone_set *zones);

/* What the orders say about a question's name. The overlay counts when it is asked, so it is asked
 * once. */
struct judgement {
    bool is_known;                 /* the overlay was asked */
    const struct verdict *verdict; /* NULL: no order in force is about the name */
};

/* One step of a chain: the name looked for, and what a wildcard owes the proof. */
struct answer_hop {
    const struct name *name;
    const struct zone_data *data;
    const struct name_entry *wildcard; /* answered from "*.<encloser>"; NULL: not by a wildcard */
    size_t encloser_label;             /* label of `name` at which its closest encloser begins */
};

struct answer_pending {
    struct rrset rrset;
    const struct zone_data *data;
    bool is_referral;
    size_t cut_label, cut_hop; /* of a referral: where the delegation is */
};

/* One question's state and result. Large: one per worker, reused. */
struct answer {
    /* Set by the caller. */
    struct question question;
    struct judgement judgement;

    /* The result. */
    uint8_t rcode;
    bool authoritative;
    bool truncated;
    int ede_code; /* -1: none */
    const char *ede_text;
    uint16_t ede_text_size;
    bool refused_zone;                /* no zone of ours holds the name */
    bool verdict;                     /* an order decided */
    bool dropped;                     /* it says that there is no answer */
    const struct zone *transfer_only; /* the zone that refused because of this; else NULL */
    bool unavailable;                 /* the zone has no data that may be served */

    /* The work. */
    const struct answer_environment *environment;
    struct response *response;
    size_t hop_count;
    struct answer_hop hops[CHAIN_MAX + 1];
    struct name aliases[CHAIN_MAX]; /* the names of hops[1] and later */
    unsigned pending_count;
    struct answer_pending pending[PENDING_MAX];
    unsigned written_count;
    struct {
        const void *entry;
        uint64_t owner_hash;
        uint16_t type;
    } written[WRITTEN_MAX];
};

/* For zones whose answers are made elsewhere: what the orders say about the question's name,
 * counted with `worker` (or OVERLAY_UNCOUNTED). */
struct judgement answer_judge_question(const struct question *question,
                                       const struct answer_environment *environment,
                                       unsigned worker);

/* The same about another name, which such an answer leads to or brings along; NULL: no order is, or
 * it is not in the question's zone. */
const struct verdict *answer_judge(const struct question *question,
                                   const struct answer_environment *environment,
                                   const struct name *name, unsigned worker);

/* Puts what `verdict` says about `target`, where the aliases in `response` lead. The answer's
 * question is set; the result is as answer_question()'s. */
void answer_put_verdict(struct answer *answer, const struct answer_environment *environment,
                        const struct name *target, const struct verdict *verdict,
                        struct response *response);

/* Answers the question; records go to `response`. */
void answer_question(struct answer *answer, const struct answer_environment *environment,
                     struct response *response);
