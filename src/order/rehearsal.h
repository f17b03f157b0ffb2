/* A rehearsal: what an order would hit if it were activated, told before anything happens.
 *
 * The zones are read, the order is laid over them, and recorded traffic is answered by the code
 * that answers it in the server (zone/answer.h), so that the predicted numbers are those which
 * activation then gives. One thread; no terminal.
 */
#pragma once

#include "order/order.h"
#include "order/overlay_set.h"
#include "order/traffic.h"
#include "zone/zone.h"

/* What a listed name is today. */
enum listed_state {
    LISTED_LIVE,       /* has records */
    LISTED_WILDCARDED, /* has none, but a wildcard answers for it */
    LISTED_EMPTY,      /* exists only because of names below it */
    LISTED_DEAD,       /* no such name */
    LISTED_BELOW_CUT,  /* in a zone that is delegated to somebody else */
    LISTED_EXEMPT,     /* carved out by the order itself */
    LISTED_CUT,        /* a zone cut: refused at activation, as the next two */
    LISTED_APEX,
    LISTED_OUTSIDE, /* in none of the zones */
    LISTED_STATES,
};

/* Record types through which one name depends on another. */
enum reference_kind {
    REFERENCE_NS,
    REFERENCE_MX,
    REFERENCE_SRV,
    REFERENCE_SVCB,
    REFERENCE_HTTPS,
    REFERENCE_DNAME,
    REFERENCE_CNAME,
    REFERENCE_KINDS,
};

/* Unlisted names that depend on a listed one, kept as examples; the worst kinds come first. */
#define REFERENCE_EXAMPLES_MAX 20

/* Addresses told one by one: those that most unlisted names share. */
#define SHARED_EXAMPLES_MAX 10

struct rehearsed_name {
    enum listed_state state;
    uint64_t references; /* records of unlisted names that lead here */
    uint64_t below;      /* unlisted names below it, which stay as they are */
    uint64_t clients;    /* that asked for it */
};

struct rehearsed_subtree {
    bool outside;    /* of every zone */
    uint64_t names;  /* with records, at or below it */
    uint64_t cuts;   /* zone cuts among them */
    uint64_t apexes; /* whole zones */
    uint64_t references;
    uint64_t clients;
};

struct rehearsed_reference {
    enum reference_kind kind;
    uint8_t owner[NAME_SIZE_MAX], target[NAME_SIZE_MAX];
};

struct rehearsed_address {
    struct address address;
    uint64_t listed;   /* names of the order that have it */
    uint64_t unlisted; /* other names that have it */
};

struct rehearsed_traffic {
    struct traffic_report report;
    uint64_t outside; /* queries for names in none of the zones: no part of what follows */
    uint64_t queries, queries_touched;
    uint64_t hits; /* as the server counts; an observed name that is an alias of another is two */
    uint64_t clients, clients_touched;
    uint64_t clients_unlisted; /* that asked for something that the order does not touch */
};

struct rehearsal {
    struct active_order *active; /* holds the order; its counters are the predicted ones */
    const struct order *order;
    const struct zone_set *zones;

    uint64_t zone_names, zone_records;
    uint64_t states[LISTED_STATES]; /* listed names by state */
    uint64_t refused;               /* names and subtrees that activation refuses */
    struct rehearsed_name *names;   /* as in order->names */
    struct rehearsed_subtree *subtrees;

    uint64_t addresses;        /* different ones of listed names */
    uint64_t shared_addresses; /* of these that unlisted names have, too */
    uint64_t shared_names;     /* unlisted names that have one of them */
    struct rehearsed_address shared[SHARED_EXAMPLES_MAX];
    size_t shared_count;

    uint64_t references[REFERENCE_KINDS]; /* records of unlisted names that lead to listed ones */
    uint64_t reference_names;             /* owners of them */
    struct rehearsed_reference examples[REFERENCE_EXAMPLES_MAX];
    size_t example_count;

    uint64_t parents, below; /* listed names with unlisted ones below, and how many these are */

    bool has_traffic;
    struct rehearsed_traffic traffic;
};

/* Looks at the zones, marks the listed names in them and adds what activation refuses to the
 * order's findings. Takes the order over, also on failure; the zones must outlive the rehearsal.
 * Returns 0, -ENOMEM or -E2BIG. */
_must_check_ int rehearsal_create(const struct zone_set *zones, struct order *order,
                                  struct rehearsal **ret_rehearsal);
void rehearsal_free(struct rehearsal *rehearsal);
DEFINE_FREEP(struct rehearsal, rehearsal_free)

/* Answers recorded traffic under the order and counts what it touches. Clients are told apart in
 * memory and forgotten before the call returns. Once for a rehearsal. */
_must_check_ int rehearsal_replay(struct rehearsal *rehearsal, const char *path, uint16_t port,
                                  struct error *ret_error);

/* Listed names that are answered today. */
uint64_t rehearsal_live(const struct rehearsal *rehearsal);

/* Zone cuts that the order names or, by a subtree, takes along. */
uint64_t rehearsal_cuts(const struct rehearsal *rehearsal);

/* Names of the order that are blocked once it is active. */
uint64_t rehearsal_blocked(const struct rehearsal *rehearsal);

double rehearsal_share(uint64_t part, uint64_t whole); /* 0 of nothing */

/* A figure of the budget: its word in the order's file, what was found, what is allowed. */
struct budget_figure {
    const char *word;
    double value, bound;
    bool is_share;
    bool bounded, judged; /* a share cannot be judged without its traffic */
};

#define BUDGET_FIGURES 5

void rehearsal_judge(const struct rehearsal *rehearsal, const struct order_budget *budget,
                     struct budget_figure ret_figures[BUDGET_FIGURES]);

static inline bool budget_figure_exceeds(const struct budget_figure *figure)
{
    return figure->bounded && figure->judged && figure->value > figure->bound;
}

/* "live", "wildcard", ...: stable words for programs. */
const char *listed_state_word(enum listed_state state);
const char *reference_kind_word(enum reference_kind kind);
