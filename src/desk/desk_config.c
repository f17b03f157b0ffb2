/* The schema of the configuration file, and the way from a path to a checked configuration. */
#include "desk/desk_config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"

/* More keys and servers than any provider has. */
#define KEYS_MAX    1000
#define SERVERS_MAX 256
#define ZONES_MAX   1000
#define PLANS_MAX   100

static const cyaml_schema_field_t config_fields[] = {
    OPTIONAL_MAP("http", struct raw_desk_config, http, desk_http_fields),
    OPTIONAL_MAP("database", struct raw_desk_config, database, desk_database_fields),
    OPTIONAL_MAP("mail", struct raw_desk_config, mail, desk_mail_fields),
    OPTIONAL_MAP("appeals", struct raw_desk_config, appeals, desk_appeals_fields),
    OPTIONAL_TEXT("state", struct raw_desk_config, state),
    OPTIONAL_LIST("keys", struct raw_desk_config, keys, &desk_key_schema, KEYS_MAX),
    OPTIONAL_LIST("servers", struct raw_desk_config, servers, &desk_server_schema, SERVERS_MAX),
    OPTIONAL_MAP("orders", struct raw_desk_config, orders, desk_orders_fields),
    OPTIONAL_MAP("hosts", struct raw_desk_config, hosts, desk_hosts_fields),
    OPTIONAL_MAP("reports", struct raw_desk_config, reports, desk_reports_fields),
    OPTIONAL_LIST("zones", struct raw_desk_config, zones, &desk_zone_schema, ZONES_MAX),
    OPTIONAL_LIST("plans", struct raw_desk_config, plans, &desk_plan_schema, PLANS_MAX),
    OPTIONAL_MAP("retention", struct raw_desk_config, retention, desk_retention_fields),
    OPTIONAL_MAP("interests", struct raw_desk_config, interests, desk_interests_fields),
    OPTIONAL_MAP("secrets", struct raw_desk_config, secrets, desk_secrets_fields),
    OPTIONAL_MAP("ledger", struct raw_desk_config, ledger, desk_ledger_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_desk_config, config_fields),
};

static int state_check(const struct desk_config_source *source, struct desk_config *config,
                       struct error *ret_error)
{
    const char *state = source->raw->state;
    return config_value_path(&source->values, config_value_place("state"), "the folder of state",
                             state != NULL ? state : "state", &config->state, ret_error);
}

static void state_clear(struct desk_config *config)
{
    free(config->state);
}

/* In the order of their checks: a section may look at those above it. */
static const struct section {
    int (*check)(const struct desk_config_source *source, struct desk_config *config,
                 struct error *ret_error);
    void (*clear)(struct desk_config *config);
} sections[] = {
    {state_check, state_clear},
    {desk_config_check_http, desk_config_clear_http},
    {desk_config_check_database, desk_config_clear_database},
    {desk_config_check_mail, desk_config_clear_mail},
    {desk_config_check_appeals, desk_config_clear_appeals},
    {desk_config_check_keys, desk_config_clear_keys},
    {desk_config_check_servers, desk_config_clear_servers},
    {desk_config_check_hosts, desk_config_clear_hosts},
    {desk_config_check_reports, desk_config_clear_reports},
    {desk_config_check_orders, desk_config_clear_orders},
    {desk_config_check_retention, desk_config_clear_retention},
    {desk_config_check_ledger, desk_config_clear_ledger},
    {desk_config_check_interests, desk_config_clear_interests},
    {desk_config_check_secrets, desk_config_clear_secrets},
};

#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

int desk_config_load(const char *path, struct desk_config **ret_config, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *yaml = NULL;
    _cleanup_(desk_config_freep) struct desk_config *config = calloc(1, sizeof(*config));
    void *raw;

    if (config == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = yaml_source_read(path, &yaml, ret_error);
    if (rc == 0)
        rc = config_value_paths(path, &config->path, &config->directory, ret_error);
    if (rc == 0)
        rc = yaml_source_load(yaml, &config_schema, &raw, NULL, ret_error);
    if (rc < 0)
        return rc;

    const struct raw_desk_config nothing = {0}; /* what a document of "{}" loads as is NULL */
    const struct desk_config_source source = {
        .values = {.yaml = yaml, .directory = config->directory},
        .raw = raw != NULL ? raw : &nothing,
    };
    for (size_t i = 0; i < SECTION_COUNT && rc == 0; i++)
        rc = sections[i].check(&source, config, ret_error);
    yaml_value_free(&config_schema, raw, 0);
    if (rc < 0)
        return rc;
    *ret_config = TAKE(config);
    return 0;
}

void desk_config_free(struct desk_config *config)
{
    if (config == NULL)
        return;
    for (size_t i = 0; i < SECTION_COUNT; i++)
        sections[i].clear(config);
    free(config->path);
    free(config->directory);
    free(config);
}
