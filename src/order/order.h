/* An order: a signed, scoped, time-limited document about names. File form and rules:
 * tamis-order(5). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/overlay.h"

enum order_kind { ORDER_COURT, ORDER_PROVIDER, ORDER_REGISTRY };

struct order_signature {
    char *key;         /* signer's name in the keyring */
    uint8_t value[64]; /* Ed25519 over the canonical form */
};

/* A refused entry of a list: malformed, duplicate, too long, wildcard, ... The rest of the list
 * stands. */
struct order_finding {
    char *file;         /* the order's file or its names-file */
    uint32_t line;      /* 1-based */
    char *entry;        /* as written, cut to 256 octets, control characters escaped */
    const char *reason; /* static text, for example "duplicate of line 12" needs `detail` */
    char *detail;       /* or NULL */
};

/* Names in wire form, lower case, sorted in canonical order (RFC 4034, 6.1), no duplicates. */
struct order_names {
    uint8_t *octets;   /* all names, one behind the other */
    uint32_t *offsets; /* of each name in octets[] */
    size_t count;
};

/* Upper bounds above which rehearsal refuses; UINT64_MAX: no bound. From the order's `budget` map.
 */
struct order_budget {
    uint64_t live_max;      /* listed names that exist */
    uint64_t shared_max;    /* unlisted names that share an address with a listed one */
    uint64_t cuts_max;      /* zone cuts and delegations below */
    double query_share_max; /* share of queries touched, 0 to 1 */
    double client_share_max;
};

struct order {
    char *id, *authority, *notice, *path;
    enum order_kind kind;
    int64_t starts, ends; /* Unix seconds */
    enum verdict_action action;
    struct verdict verdict; /* ready for the answer path */
    struct order_names names, subtrees, exempt;
    struct order_signature *signatures;
    size_t signature_count;
    struct order_budget budget;
    struct order_finding *findings;
    size_t finding_count;
};

struct order_keyring_entry {
    const char *name;
    const uint8_t *public_key; /* 32 octets */
};

struct order_policy {
    bool strict; /* any finding refuses the order */
    const struct order_keyring_entry *keyring;
    size_t keyring_count;
    unsigned signatures_min; /* valid signatures by different signers; subtrees need at least 2 */
};

/* Loads, validates and, as the policy demands, verifies. Structural errors (unknown key, missing
 * end, bad time, ends before it starts, too few signatures) refuse the order; bad list entries
 * become findings. A file that changes while it is read is refused (-EAGAIN). */
_must_check_ int order_load(const char *path, const struct order_policy *policy,
                            struct order **ret_order, struct error *ret_error);
void order_free(struct order *order);
DEFINE_FREEP(struct order, order_free)

/* Valid signatures by different keys of the keyring. */
size_t order_signatures_valid(const struct order *order, const struct order_policy *policy);

static inline const uint8_t *order_names_at(const struct order_names *names, size_t index)
{
    return names->octets + names->offsets[index];
}
