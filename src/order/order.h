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
    uint32_t line;     /* in the order's file */
};

/* A refused entry of a list: malformed, duplicate, too long, wildcard, ... The rest of the list
 * stands. Its sentence is "<entry> <reason>: <detail>", for example "a.example is a duplicate: line
 * 12 lists it first". */
struct order_finding {
    const char *file;   /* the order's file or its names-file; belongs to the order */
    uint32_t line;      /* 1-based; 0 when none applies */
    char *entry;        /* as written, valid UTF-8, cut to 256 octets, control characters escaped */
    const char *reason; /* static text */
    char *detail;       /* or NULL */
};

/* Findings kept in full; more are counted only. A list of garbage must not fill the memory. */
#define ORDER_FINDINGS_MAX 10000

/* Set in a line number of a name that stands in the order's file itself, not in its names-file. */
#define ORDER_LINE_INLINE 0x80000000u

/* Names in wire form, lower case, sorted in canonical order (RFC 4034, 6.1), no duplicates. */
struct order_names {
    uint8_t *octets;   /* all names, one behind the other */
    uint32_t *offsets; /* of each name in octets[] */
    uint32_t *lines;   /* where each name was listed: order_name_place() */
    size_t count;
};

/* Upper bounds above which rehearsal refuses; UINT64_MAX: no bound. From the order's `budget` map.
 */
struct order_budget {
    uint64_t live_max;      /* listed names that are answered today */
    uint64_t shared_max;    /* unlisted names that share an address with a listed one */
    uint64_t cuts_max;      /* zone cuts and delegations below */
    double query_share_max; /* share of queries touched, 0 to 1 */
    double client_share_max;
};

/* Whether a sinkhole keeps what clients of listed names send, and sealed to whom. From the order's
 * `evidence` map; without one, nothing is kept. */
struct order_evidence {
    bool content;
    uint8_t seal_to[32]; /* X25519 public key; set when `content` is */
};

struct order {
    char *id, *authority;
    char *notice;     /* NULL: none */
    char *path;       /* of the order's file, as given */
    char *names_path; /* of the names-file, relative to the order's folder resolved; NULL: none */
    enum order_kind kind;
    int64_t starts, ends; /* Unix seconds */
    enum verdict_action action;
    struct verdict verdict; /* ready for the answer path */
    struct order_names names, subtrees, exempt;
    struct order_signature *signatures;
    size_t signature_count;
    struct order_budget budget;
    struct order_evidence evidence;
    struct order_finding *findings; /* sorted by file and line as loaded; later ones follow */
    size_t finding_count;           /* kept, at most ORDER_FINDINGS_MAX */
    uint64_t finding_total;         /* made */
};

struct order_keyring_entry {
    const char *name;
    const uint8_t *public_key; /* 32 octets */
};

struct order_policy {
    bool strict;     /* any finding refuses the order */
    bool unverified; /* signatures are not looked at: for tools that show or sign an order */
    bool listless;   /* the document has no lists: who loads it adds them, and then verifies */
    bool one_piece;  /* a names-file refuses the order: what others sent must not name our files */
    const struct order_keyring_entry *keyring;
    size_t keyring_count;
    unsigned signatures_min; /* valid signatures by different signers; subtrees need at least 2 */
};

/* Loads, validates and, as the policy demands, verifies. Structural errors (unknown key, missing
 * end, bad time, ends before it starts) refuse the order with -EINVAL; signatures that are too few
 * or do not match with -EKEYREJECTED; a file that changes while it is read with -EAGAIN. Bad list
 * entries become findings. */
_must_check_ int order_load(const char *path, const struct order_policy *policy,
                            struct order **ret_order, struct error *ret_error);

/* The same from a text in memory; `path` is what errors call it and what a names-file is relative
 * to. */
_must_check_ int order_load_text(const char *path, const void *text, size_t size,
                                 const struct order_policy *policy, struct order **ret_order,
                                 struct error *ret_error);
void order_free(struct order *order);
DEFINE_FREEP(struct order, order_free)

/* Valid signatures by different keys of the keyring. */
size_t order_signatures_valid(const struct order *order, const struct order_policy *policy);

/* Records what only a later reader knows, for example that a name is outside every zone. `file`
 * must live as long as the order, `reason` is static, `entry` (of `entry_size` octets, any content)
 * and `detail` (or NULL) are copied. Without memory the finding is counted and not kept. */
void order_add_finding(struct order *order, const char *file, uint32_t line, const char *entry,
                       size_t entry_size, const char *reason, const char *detail);

/* The same about a name of one of the order's lists, with its place and text. */
void order_add_name_finding(struct order *order, const struct order_names *names, size_t index,
                            const char *reason, const char *detail);

/* Moves the findings of `from` behind those of `order`, with the same bound. */
void order_take_findings(struct order *order, struct order *from);

/* The file and line where a name of one of the order's lists stands. */
uint32_t order_name_place(const struct order *order, const struct order_names *names, size_t index,
                          const char **ret_file);

/* Writes "<entry> <reason>: <detail>"; returns `ret_text`. */
const char *order_finding_format(const struct order_finding *finding, char *ret_text, size_t size);

/* The words of the file form. */
const char *order_kind_word(enum order_kind kind);
const char *order_action_word(enum verdict_action action);

/* Index of a name (lower-case wire form) by binary search, or SIZE_MAX. */
size_t order_names_find(const struct order_names *names, const uint8_t *wire);

/* Index of the first name that is not before `wire` (lower case) in canonical order. What is below
 * a name stands right behind it. */
size_t order_names_lower_bound(const struct order_names *names, const uint8_t *wire);

static inline const uint8_t *order_names_at(const struct order_names *names, size_t index)
{
    return names->octets + names->offsets[index];
}
