/* What the schema can't say about dynamic updates: the journal's bounds, and which key may change
 * what. */
#include "server/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libknot/descriptor.h>
#include <libknot/dname.h>

/* The journal's own lower bound, and what a map of its file can be on any machine. */
#define JOURNAL_SIZE_MIN ((uint64_t)16 << 20)
#define JOURNAL_SIZE_MAX ((uint64_t)1 << 40)

#define DAY_S ((uint64_t)24 * 60 * 60)

/* ---- The journal ---- */

/* A number with one of the letters of `units` behind it, each worth factors[i]. 0: it is none. */
static uint64_t number_with_unit(const char *text, const char *units, const uint64_t *factors)
{
    char *end;
    errno = 0;
    const unsigned long long number =
        text[0] >= '0' && text[0] <= '9' ? strtoull(text, &end, 10) : 0;
    if (number == 0 || errno != 0 || end[0] == '\0' || end[1] != '\0')
        return 0;
    const char *unit = strchr(units, end[0]);
    uint64_t product;
    if (unit == NULL || __builtin_mul_overflow(number, factors[unit - units], &product))
        return 0;
    return product;
}

int config_check_journal(struct config_source *source, struct config *config,
                         struct error *ret_error)
{
    static const uint64_t octets[] = {(uint64_t)1 << 20, (uint64_t)1 << 30, (uint64_t)1 << 40};
    static const uint64_t seconds[] = {1, 60, 60 * 60, DAY_S, 7 * DAY_S};
    const struct raw_server *server = source->raw->server;
    const struct raw_journal *raw = server != NULL ? server->journal : NULL;
    if (raw == NULL)
        return 0;
    if (raw->size != NULL) {
        config->journal_size_max = number_with_unit(raw->size, "MGT", octets);
        if (config->journal_size_max < JOURNAL_SIZE_MIN ||
            config->journal_size_max > JOURNAL_SIZE_MAX)
            return config_fail(source, config_place("server.journal.size"), ret_error,
                               "size is \"%.40s\": write MiB, GiB or TiB from 16M to 1T, as in 1G",
                               raw->size);
    }
    if (raw->age != NULL) {
        config->journal_age_max_s = number_with_unit(raw->age, "smhdw", seconds);
        if (config->journal_age_max_s == 0 || config->journal_age_max_s > 3650 * DAY_S)
            return config_fail(source, config_place("server.journal.age"), ret_error,
                               "age is \"%.40s\": write seconds, minutes, hours, days or weeks up "
                               "to ten years, as in 12h or 14d",
                               raw->age);
    }
    return 0;
}

/* ---- Policies ---- */

static int names_check(const struct config_source *source, const struct config_zone *zone,
                       const char *place_format, size_t index, size_t rule, char *const *texts,
                       size_t count, uint8_t ***ret_names, size_t *ret_count,
                       struct error *ret_error)
{
    if (count == 0)
        return 0;
    uint8_t **names = calloc(count, sizeof(*names));
    if (names == NULL)
        return config_out_of_memory(ret_error);
    *ret_names = names; /* the rule's from here on */
    for (size_t i = 0; i < count; i++) {
        char text[128];
        snprintf(text, sizeof(text), "zones.%zu.update-policy.%zu.%s.%zu", index, rule,
                 place_format, i);
        names[i] = texts[i][0] != '\0' ? knot_dname_from_str_alloc(texts[i]) : NULL;
        if (names[i] == NULL)
            return config_fail(source, config_place("%s", text), ret_error,
                               "\"%.200s\" is not a domain name", texts[i]);
        *ret_count = i + 1;
        knot_dname_to_lower(names[i]);
        if (knot_dname_in_bailiwick(names[i], zone->apex) < 0)
            return config_fail(source, config_place("%s", text), ret_error,
                               "%.200s is not in zone %s: write whole names, as in host.%s",
                               texts[i], zone->name, zone->name);
    }
    return 0;
}

static int types_check(const struct config_source *source, size_t index, size_t rule,
                       const struct raw_update_rule *raw, struct config_update_rule *ret_rule,
                       struct error *ret_error)
{
    if (raw->types_count == 0)
        return 0;
    ret_rule->types = calloc(raw->types_count, sizeof(*ret_rule->types));
    if (ret_rule->types == NULL)
        return config_out_of_memory(ret_error);
    for (size_t i = 0; i < raw->types_count; i++) {
        uint16_t type;
        if (knot_rrtype_from_string(raw->types[i], &type) < 0 ||
            (knot_rrtype_is_metatype(type) && type != KNOT_RRTYPE_ANY))
            return config_fail(
                source, config_place("zones.%zu.update-policy.%zu.types.%zu", index, rule, i),
                ret_error, "\"%.40s\" is not a type of records: write A, AAAA, TXT or the like",
                raw->types[i]);
        ret_rule->types[ret_rule->type_count++] = type;
    }
    return 0;
}

static int rule_check(const struct config_source *source, const struct config *config,
                      const struct config_key **keys, size_t index, size_t at,
                      const struct raw_update_rule *raw, const struct config_zone *zone,
                      struct config_update_rule *ret_rule, struct error *ret_error)
{
    int rc = 0;
    if (strcmp(raw->key, "*") != 0)
        rc = config_key_resolve(source, config, keys,
                                config_place("zones.%zu.update-policy.%zu.key", index, at),
                                raw->key, &ret_rule->key, ret_error);
    if (rc == 0)
        rc = names_check(source, zone, "names", index, at, raw->names, raw->names_count,
                         &ret_rule->names, &ret_rule->name_count, ret_error);
    if (rc == 0)
        rc = names_check(source, zone, "subtree", index, at, raw->subtree, raw->subtree_count,
                         &ret_rule->subtrees, &ret_rule->subtree_count, ret_error);
    if (rc == 0)
        rc = types_check(source, index, at, raw, ret_rule, ret_error);
    if (rc < 0)
        return rc;
    ret_rule->self = raw->self != NULL && *raw->self;
    ret_rule->self_subtree = raw->self_subtree != NULL && *raw->self_subtree;
    if (ret_rule->name_count + ret_rule->subtree_count == 0 && !ret_rule->self &&
        !ret_rule->self_subtree)
        return config_fail(source, config_place("zones.%zu.update-policy.%zu", index, at),
                           ret_error,
                           "the rule of key %.80s grants no name: add names, subtree, self or "
                           "self-subtree; subtree: [\"%s\"] is the whole zone",
                           raw->key, zone->name);
    return 0;
}

/* Those of any key first, then by key, so that a key's are found by halving. */
static int rule_compare(const void *left, const void *right)
{
    const struct config_update_rule *one = left, *other = right;
    if (one->key == NULL || other->key == NULL)
        return (one->key != NULL) - (other->key != NULL);
    return strcasecmp(one->key->name, other->key->name);
}

int config_check_update_policy(const struct config_source *source, const struct config *config,
                               const struct config_key **keys, size_t index,
                               const struct raw_zone *raw, struct config_zone *zone,
                               struct error *ret_error)
{
    if (raw->update_policy_count == 0)
        return 0;
    zone->update_rules = calloc(raw->update_policy_count, sizeof(*zone->update_rules));
    if (zone->update_rules == NULL)
        return config_out_of_memory(ret_error);
    zone->update_rule_count = raw->update_policy_count;
    for (size_t i = 0; i < raw->update_policy_count; i++) {
        int rc = rule_check(source, config, keys, index, i, &raw->update_policy[i], zone,
                            &zone->update_rules[i], ret_error);
        if (rc < 0)
            return rc;
    }
    qsort(zone->update_rules, zone->update_rule_count, sizeof(*zone->update_rules), rule_compare);
    return 0;
}

static void names_free(uint8_t **names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

void config_update_rules_free(struct config_zone *zone)
{
    for (size_t i = 0; i < zone->update_rule_count; i++) {
        names_free(zone->update_rules[i].names, zone->update_rules[i].name_count);
        names_free(zone->update_rules[i].subtrees, zone->update_rules[i].subtree_count);
        free(zone->update_rules[i].types);
    }
    free(zone->update_rules);
}

bool config_zone_is_updated(const struct config_zone *zone)
{
    return zone->kind == CONFIG_PRIMARY &&
           (zone->allow_update_count > 0 || zone->update_rule_count > 0);
}
