#include "server/update_policy.h"

#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <string.h>
#include <strings.h>

static bool covers_name(const struct config_update_rule *rule, const struct update_grant *grant,
                        const uint8_t *owner)
{
    if (rule->self && knot_dname_is_equal(owner, grant->key_owner))
        return true;
    if (rule->self_subtree && knot_dname_in_bailiwick(owner, grant->key_owner) >= 0)
        return true;
    for (size_t i = 0; i < rule->name_count; i++) {
        if (knot_dname_is_equal(owner, rule->names[i]))
            return true;
    }
    for (size_t i = 0; i < rule->subtree_count; i++) {
        if (knot_dname_in_bailiwick(owner, rule->subtrees[i]) >= 0)
            return true;
    }
    return false;
}

/* KNOT_RRTYPE_ANY asks whether anything at all of the name is granted. A rule without types leaves
 * out what delegates and numbers the zone: who is to change that is told so. */
static bool covers_type(const struct config_update_rule *rule, uint16_t type)
{
    if (type == KNOT_RRTYPE_ANY)
        return true;
    if (rule->type_count == 0)
        return type != KNOT_RRTYPE_SOA && type != KNOT_RRTYPE_NS;
    for (size_t i = 0; i < rule->type_count; i++) {
        if (rule->types[i] == type || rule->types[i] == KNOT_RRTYPE_ANY)
            return true;
    }
    return false;
}

static bool any_covers(const struct config_update_rule *rules, size_t count,
                       const struct update_grant *grant, const struct name *owner, uint16_t type)
{
    for (size_t i = 0; i < count; i++) {
        if (covers_type(&rules[i], type) && covers_name(&rules[i], grant, owner->wire))
            return true;
    }
    return false;
}

static bool policy_allows(void *context, const struct name *owner, uint16_t type)
{
    const struct update_grant *grant = context;
    return any_covers(grant->own, grant->own_count, grant, owner, type) ||
           any_covers(grant->any_key, grant->any_key_count, grant, owner, type);
}

/* Rules stand in order: those of any key, then by key. */
static void find_rules(const struct config_zone *zone, const char *key_name,
                       struct update_grant *grant)
{
    const struct config_update_rule *rules = zone->update_rules;
    size_t first = 0, end = zone->update_rule_count;
    while (first < end && rules[first].key == NULL)
        first++;
    grant->any_key = rules;
    grant->any_key_count = first;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (strcasecmp(rules[middle].key->name, key_name) < 0)
            first = middle + 1;
        else
            end = middle;
    }
    while (end < zone->update_rule_count && strcasecmp(rules[end].key->name, key_name) == 0)
        end++;
    grant->own = rules + first;
    grant->own_count = end - first;
}

bool update_policy_permits(const struct config_zone *zone, const struct sockaddr *client,
                           const char *key_name, struct update_grant *ret_grant,
                           struct update_permission *ret_permission)
{
    *ret_permission = (struct update_permission){0};
    if (config_access_allows(zone->allow_update, zone->allow_update_count, client, key_name))
        return true;
    if (key_name == NULL || zone->update_rule_count == 0)
        return false;
    find_rules(zone, key_name, ret_grant);
    if (ret_grant->own_count + ret_grant->any_key_count == 0 ||
        knot_dname_from_str(ret_grant->key_owner, key_name, sizeof(ret_grant->key_owner)) == NULL)
        return false;
    knot_dname_to_lower(ret_grant->key_owner);
    *ret_permission = (struct update_permission){.allows = policy_allows, .context = ret_grant};
    return true;
}
