/* The sections `zones`, `plans` and `hosts`: where hosts live, how many an account may have, and
 * which names and clients are refused. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"
#include "desk/host_names.h"

#define TTL_DEFAULT_S 60
#define TTL_MAX_S     86400

#define HOSTS_DEFAULT            5
#define HOSTS_MAX                10000000
#define UPDATES_PER_HOUR_DEFAULT 60
#define UPDATES_PER_HOUR_MAX     36000
#define EXPIRY_DEFAULT_DAYS      30
#define GRACE_DEFAULT_DAYS       30
#define DAYS_MAX                 3650

/* About 300 octets each. */
#define CACHE_DEFAULT   1000000
#define CACHE_MAX       100000000
#define LOADERS_DEFAULT 2
#define LOADERS_MAX     64

const cyaml_schema_field_t desk_hosts_fields[] = {
    OPTIONAL_TEXTS("reserved", struct raw_hosts, reserved),
    OPTIONAL_TEXTS("look-alikes", struct raw_hosts, look_alikes),
    OPTIONAL_FLAG("agent-required", struct raw_hosts, agent_required),
    OPTIONAL_TEXTS("agents-refused", struct raw_hosts, agents_refused),
    OPTIONAL_NUMBER("cache-max", struct raw_hosts, cache_max),
    OPTIONAL_NUMBER("loaders", struct raw_hosts, loaders),
    OPTIONAL_NUMBER("grace-days", struct raw_hosts, grace_days),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t zone_fields[] = {
    TEXT("name", struct raw_zone, name),
    OPTIONAL_NUMBER("ttl", struct raw_zone, ttl),
    OPTIONAL_FLAG("free", struct raw_zone, free),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t desk_zone_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_zone, zone_fields),
};

static const cyaml_schema_field_t plan_fields[] = {
    TEXT("name", struct raw_plan, name),
    OPTIONAL_FLAG("free", struct raw_plan, free),
    OPTIONAL_NUMBER("hosts-max", struct raw_plan, hosts_max),
    OPTIONAL_NUMBER("updates-per-hour", struct raw_plan, updates_per_hour),
    OPTIONAL_NUMBER("expiry-days", struct raw_plan, expiry_days),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t desk_plan_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_plan, plan_fields),
};

/* ---- Zones ---- */

static int zone_check(const struct desk_config_source *source, size_t index,
                      struct desk_config_hosts *hosts, struct error *ret_error)
{
    const struct raw_zone *raw = &source->raw->zones[index];
    struct desk_config_zone *zone = &hosts->zones[index];
    struct config_value_place place = config_value_place("zones.%zu.name", index);
    char name[HOST_NAME_SIZE];
    struct error why;

    if (host_name_normalize(raw->name, name, &why) < 0)
        return config_value_fail(&source->values, place, ret_error, "%s", why.text);
    for (size_t i = 0; i < index; i++)
        if (strcmp(hosts->zones[i].name, name) == 0)
            return config_value_fail(&source->values, place, ret_error,
                                     "the zone %s is there twice: remove one", name);
    int rc = config_value_copy(name, &zone->name, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("zones.%zu.ttl", index),
                                 raw->ttl, TTL_DEFAULT_S, 1, TTL_MAX_S, &zone->ttl_s, ret_error);
    zone->free = raw->free == NULL || *raw->free;
    return rc;
}

static int zones_check(const struct desk_config_source *source, struct desk_config_hosts *hosts,
                       struct error *ret_error)
{
    size_t count = source->raw->zones_count;
    if (count == 0)
        return 0;
    hosts->zones = calloc(count, sizeof(*hosts->zones));
    if (hosts->zones == NULL)
        return config_value_out_of_memory(ret_error);
    hosts->zone_count = count;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = zone_check(source, i, hosts, ret_error);
    return rc;
}

/* ---- Plans ---- */

static int plan_check(const struct desk_config_source *source, size_t index,
                      const struct raw_plan *raw, struct desk_config_plan *plan,
                      struct error *ret_error)
{
    plan->free = raw->free == NULL ? strcmp(raw->name, "free") == 0 : *raw->free;
    int rc = config_value_copy(raw->name, &plan->name, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("plans.%zu.hosts-max", index),
                                 raw->hosts_max, HOSTS_DEFAULT, 0, HOSTS_MAX, &plan->hosts_max,
                                 ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values,
                                 config_value_place("plans.%zu.updates-per-hour", index),
                                 raw->updates_per_hour, UPDATES_PER_HOUR_DEFAULT, 1,
                                 UPDATES_PER_HOUR_MAX, &plan->updates_per_hour, ret_error);
    if (rc == 0)
        rc = config_value_number(
            &source->values, config_value_place("plans.%zu.expiry-days", index), raw->expiry_days,
            plan->free ? EXPIRY_DEFAULT_DAYS : 0, 0, DAYS_MAX, &plan->expiry_days, ret_error);
    return rc;
}

static int plans_check(const struct desk_config_source *source, struct desk_config_hosts *hosts,
                       struct error *ret_error)
{
    static char free_name[] = "free";
    const struct raw_plan free_plan = {.name = free_name};
    size_t count = source->raw->plans_count;
    const struct raw_plan *raw = count > 0 ? source->raw->plans : &free_plan;

    hosts->plan_count = count > 0 ? count : 1;
    hosts->plans = calloc(hosts->plan_count, sizeof(*hosts->plans));
    if (hosts->plans == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = 0;
    for (size_t i = 0; i < hosts->plan_count && rc == 0; i++) {
        for (size_t j = 0; j < i; j++)
            if (strcmp(hosts->plans[j].name, raw[i].name) == 0)
                return config_value_fail(&source->values, config_value_place("plans.%zu.name", i),
                                         ret_error, "the plan %s is there twice: remove one",
                                         raw[i].name);
        rc = plan_check(source, i, &raw[i], &hosts->plans[i], ret_error);
    }
    return rc;
}

/* ---- The rest ---- */

static int texts_copy(char *const *texts, size_t count, char ***ret_texts, size_t *ret_count,
                      struct error *ret_error)
{
    if (count == 0)
        return 0;
    char **copies = calloc(count, sizeof(*copies));
    if (copies == NULL)
        return config_value_out_of_memory(ret_error);
    *ret_texts = copies;
    *ret_count = count;
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = config_value_copy(texts[i], &copies[i], ret_error);
    return rc;
}

static int lists_check(const struct raw_hosts *raw, struct desk_config_hosts *hosts,
                       struct error *ret_error)
{
    int rc = texts_copy(raw->reserved, raw->reserved_count, &hosts->reserved,
                        &hosts->reserved_count, ret_error);
    if (rc == 0)
        rc = texts_copy(raw->look_alikes, raw->look_alikes_count, &hosts->look_alikes,
                        &hosts->look_alike_count, ret_error);
    if (rc == 0)
        rc = texts_copy(raw->agents_refused, raw->agents_refused_count, &hosts->agents_refused,
                        &hosts->agent_refused_count, ret_error);
    return rc;
}

int desk_config_check_hosts(const struct desk_config_source *source, struct desk_config *config,
                            struct error *ret_error)
{
    const struct raw_hosts nothing = {0};
    const struct raw_hosts *raw = source->raw->hosts != NULL ? source->raw->hosts : &nothing;
    struct desk_config_hosts *hosts = &config->hosts;

    hosts->agent_required = raw->agent_required != NULL && *raw->agent_required;
    int rc = zones_check(source, hosts, ret_error);
    if (rc == 0)
        rc = plans_check(source, hosts, ret_error);
    if (rc == 0)
        rc = lists_check(raw, hosts, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("hosts.cache-max"),
                                 raw->cache_max, CACHE_DEFAULT, 1000, CACHE_MAX, &hosts->cache_max,
                                 ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("hosts.loaders"), raw->loaders,
                                 LOADERS_DEFAULT, 1, LOADERS_MAX, &hosts->loaders, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("hosts.grace-days"),
                                 raw->grace_days, GRACE_DEFAULT_DAYS, 0, DAYS_MAX,
                                 &hosts->grace_days, ret_error);
    return rc;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

void desk_config_clear_hosts(struct desk_config *config)
{
    struct desk_config_hosts *hosts = &config->hosts;
    for (size_t i = 0; i < hosts->zone_count; i++)
        free(hosts->zones[i].name);
    free(hosts->zones);
    for (size_t i = 0; hosts->plans != NULL && i < hosts->plan_count; i++)
        free(hosts->plans[i].name);
    free(hosts->plans);
    texts_free(hosts->reserved, hosts->reserved_count);
    texts_free(hosts->look_alikes, hosts->look_alike_count);
    texts_free(hosts->agents_refused, hosts->agent_refused_count);
}
