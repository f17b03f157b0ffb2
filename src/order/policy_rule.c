#include "order/policy_rule.h"

#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/policy_form.h"

static const struct {
    const char *label;
    const char *reason;
} other_triggers[] = {
    {"rpz-ip", "triggers on an address of the answer (rpz-ip), which is not honoured"},
    {"rpz-client-ip", "triggers on the client's address (rpz-client-ip), which is not honoured"},
    {"rpz-nsdname", "triggers on a name server's name (rpz-nsdname), which is not honoured"},
    {"rpz-nsip", "triggers on a name server's address (rpz-nsip), which is not honoured"},
};

static const char *other_trigger_reason(const uint8_t *trigger)
{
    const uint8_t *last = policy_last_label(trigger);

    for (size_t i = 0; i < sizeof(other_triggers) / sizeof(other_triggers[0]); i++)
        if (last[0] == strlen(other_triggers[i].label) &&
            memcmp(last + 1, other_triggers[i].label, last[0]) == 0)
            return other_triggers[i].reason;
    return "is a trigger of a kind that is not known";
}

static bool is_target(const uint8_t *target, const char *label)
{
    return target[0] == strlen(label) && memcmp(target + 1, label, target[0]) == 0 &&
           target[1 + target[0]] == 0;
}

/* What a CNAME asks for (draft, section 3). */
static void read_alias(const uint8_t *target, struct policy_rule *rule)
{
    uint8_t folded[NAME_SIZE_MAX];

    name_fold(folded, target, name_wire_size(target));
    rule->kind = RULE_ACTION;
    if (folded[0] == 0)
        rule->answer.action = VERDICT_NXDOMAIN;
    else if (is_target(folded, "*"))
        rule->answer.action = VERDICT_NODATA;
    else if (is_target(folded, "rpz-drop"))
        rule->answer.action = VERDICT_DROP;
    else if (is_target(folded, "rpz-tcp-only"))
        rule->answer.action = VERDICT_TCP_ONLY;
    else if (is_target(folded, "rpz-passthru") ||
             (!rule->is_wildcard && name_equal(folded, rule->name))) /* the old form of passthru */
        rule->kind = RULE_PASSTHRU;
    else {
        rule->kind = RULE_REFUSED;
        rule->reason = "leads to another name by CNAME, which is not honoured";
    }
}

static int compare_ipv4(const void *one, const void *other)
{
    return memcmp(one, other, 4);
}

static int compare_ipv6(const void *one, const void *other)
{
    return memcmp(one, other, 16);
}

void policy_answer_sort(struct verdict *answer)
{
    qsort(answer->a, answer->a_count, sizeof(answer->a[0]), compare_ipv4);
    qsort(answer->aaaa, answer->aaaa_count, sizeof(answer->aaaa[0]), compare_ipv6);
}

static void read_addresses(const struct rrset *rrset, struct policy_rule *rule)
{
    struct verdict *answer = &rule->answer;
    bool is_a = rrset->type == KNOT_RRTYPE_A;
    size_t size = is_a ? 4 : 16;
    const uint8_t *at = rrset->data;

    if (rrset->rr_count > VERDICT_ADDRESSES_MAX) {
        rule->kind = RULE_REFUSED;
        rule->reason = "has more addresses than an answer takes (8 of each family)";
        return;
    }
    for (uint16_t i = 0; i < rrset->rr_count; i++, at += 2 + size)
        memcpy(is_a ? answer->a[i] : answer->aaaa[i], at + 2, size);
    *(is_a ? &answer->a_count : &answer->aaaa_count) = (uint8_t)rrset->rr_count;
    policy_answer_sort(answer);
    if (answer->ttl_s > rrset->ttl)
        answer->ttl_s = rrset->ttl;
    if (rule->kind != RULE_REFUSED)
        rule->kind = RULE_ACTION;
    answer->action = VERDICT_SINKHOLE;
}

static void read_record_set(const struct rrset *rrset, struct policy_rule *rule)
{
    switch (rrset->type) {
    case KNOT_RRTYPE_CNAME:
        read_alias(rrset->data + 2, rule);
        break;
    case KNOT_RRTYPE_A:
    case KNOT_RRTYPE_AAAA:
        read_addresses(rrset, rule);
        break;
    case KNOT_RRTYPE_RRSIG:
    case KNOT_RRTYPE_NSEC:
    case KNOT_RRTYPE_NSEC3:
        break;
    default:
        if (rule->reason == NULL)
            rule->reason = "has local data other than addresses, which is left out";
        break;
    }
}

void policy_rule_read(const uint8_t *trigger, const struct name_entry *entry,
                      struct policy_rule *ret_rule)
{
    *ret_rule = (struct policy_rule){.name = trigger, .answer.ttl_s = UINT32_MAX};
    if (policy_is_other_trigger(trigger)) {
        ret_rule->kind = RULE_REFUSED;
        ret_rule->reason = other_trigger_reason(trigger);
        return;
    }
    if (trigger[0] == 1 && trigger[1] == '*') {
        ret_rule->is_wildcard = true;
        ret_rule->name = trigger + 2;
    }

    struct policy_rule rule = *ret_rule;
    const uint8_t *at = name_entry_rrsets(entry);
    for (uint16_t i = 0; i < entry->rrset_count; i++) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        read_record_set(&rrset, &rule);
    }
    if (rule.kind == RULE_NOTHING && rule.reason != NULL)
        rule.kind = RULE_REFUSED;
    *ret_rule = rule;
}

bool policy_answer_equal(const struct verdict *one, const struct verdict *other)
{
    return one->action == other->action && one->a_count == other->a_count &&
           one->aaaa_count == other->aaaa_count &&
           memcmp(one->a, other->a, one->a_count * sizeof(one->a[0])) == 0 &&
           memcmp(one->aaaa, other->aaaa, one->aaaa_count * sizeof(one->aaaa[0])) == 0;
}
