/* One owner of a policy zone: what it triggers on and what it asks for. Private to the order
 * module.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/name_table.h"
#include "zone/overlay.h"

enum policy_rule_kind {
    RULE_NOTHING,  /* only records that a zone needs for itself (DNSSEC) */
    RULE_ACTION,   /* `answer` says which */
    RULE_PASSTHRU, /* the name is let through */
    RULE_REFUSED,  /* not honoured, because of `reason` */
};

struct policy_rule {
    enum policy_rule_kind kind;
    bool is_wildcard;
    const uint8_t *name; /* what it triggers on, behind "*."; wire form */
    /* Action, ttl_s, and of local data the addresses in ascending order; nothing else is set. */
    struct verdict answer;
    const char *reason; /* static; of what is refused, be it the whole or a part */
};

/* `trigger` is the owner in front of the zone's apex as a whole name, lower case. */
void policy_rule_read(const uint8_t *trigger, const struct name_entry *entry,
                      struct policy_rule *ret_rule);

/* Puts the addresses in ascending order. */
void policy_answer_sort(struct verdict *answer);

/* Whether two answers differ in nothing but their TTL. */
bool policy_answer_equal(const struct verdict *one, const struct verdict *other);
