/* The schema of the configuration file, and the way from a path to a checked configuration. */
#include "server/config.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/config_value.h"
#include "base/yaml_schema.h"
#include "server/config_internal.h"
#include "zone/origin_tls.h"

/* More addresses than any server has; a bound for sockets of every worker. */
#define LISTEN_MAX 256

/* Keys that origins may show: each one's present and next. */
#define PINS_MAX 64

static const cyaml_schema_field_t server_tls_fields[] = {
    OPTIONAL_LIST("listen", struct raw_server_tls, listen, &yaml_text_schema, LISTEN_MAX),
    TEXT("certificate", struct raw_server_tls, certificate),
    TEXT("key", struct raw_server_tls, key),
    OPTIONAL_TEXT("client-ca", struct raw_server_tls, client_ca),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t journal_fields[] = {
    OPTIONAL_TEXT("size", struct raw_journal, size),
    OPTIONAL_TEXT("age", struct raw_journal, age),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t cache_fields[] = {
    OPTIONAL_TEXT("size", struct raw_cache, size),
    OPTIONAL_FLAG("persist", struct raw_cache, persist),
    OPTIONAL_TEXT("save-interval", struct raw_cache, save_interval),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t error_reports_fields[] = {
    TEXT("agent", struct raw_error_reports, agent),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t server_fields[] = {
    OPTIONAL_MAP("tls", struct raw_server, tls, server_tls_fields),
    OPTIONAL_LIST("listen", struct raw_server, listen, &yaml_text_schema, LISTEN_MAX),
    OPTIONAL_NUMBER("workers", struct raw_server, workers),
    OPTIONAL_TEXT("state", struct raw_server, state),
    OPTIONAL_TEXT("control", struct raw_server, control),
    OPTIONAL_TEXT("metrics", struct raw_server, metrics),
    OPTIONAL_TEXT("nsid", struct raw_server, nsid),
    OPTIONAL_TEXT("version", struct raw_server, version),
    OPTIONAL_TEXT("identity", struct raw_server, identity),
    OPTIONAL_NUMBER("udp-payload-max", struct raw_server, udp_payload_max),
    OPTIONAL_NUMBER("tcp-clients", struct raw_server, tcp_clients),
    OPTIONAL_NUMBER("tcp-clients-per-address", struct raw_server, tcp_clients_per_address),
    OPTIONAL_TEXT("tcp-idle-timeout", struct raw_server, tcp_idle_timeout),
    OPTIONAL_MAP("journal", struct raw_server, journal, journal_fields),
    OPTIONAL_MAP("cache", struct raw_server, cache, cache_fields),
    OPTIONAL_NUMBER("forward-threads", struct raw_server, forward_threads),
    OPTIONAL_NUMBER("zone-counters", struct raw_server, zone_counters),
    OPTIONAL_MAP("error-reports", struct raw_server, error_reports, error_reports_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t key_fields[] = {
    TEXT("name", struct raw_key, name),
    TEXT("algorithm", struct raw_key, algorithm),
    TEXT("secret", struct raw_key, secret),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t primary_fields[] = {
    TEXT("file", struct raw_primary, file),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t origin_tls_fields[] = {
    OPTIONAL_TEXT("name", struct raw_origin_tls, name),
    OPTIONAL_TEXT("ca", struct raw_origin_tls, ca),
    OPTIONAL_LIST("pin", struct raw_origin_tls, pin, &yaml_text_schema, PINS_MAX),
    OPTIONAL_TEXT("certificate", struct raw_origin_tls, certificate),
    OPTIONAL_TEXT("key", struct raw_origin_tls, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t secondary_fields[] = {
    OPTIONAL_TEXTS("from", struct raw_secondary, from),
    OPTIONAL_TEXT("key", struct raw_secondary, key),
    OPTIONAL_MAP("tls", struct raw_secondary, tls, origin_tls_fields),
    OPTIONAL_TEXT("zonemd", struct raw_secondary, zonemd),
    OPTIONAL_TEXT("transfer-time-max", struct raw_secondary, transfer_time_max),
    OPTIONAL_TEXT("transfer-size-max", struct raw_secondary, transfer_size_max),
    OPTIONAL_FLAG("forward-updates", struct raw_secondary, forward_updates),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t forward_fields[] = {
    OPTIONAL_TEXTS("to", struct raw_forward, to),
    OPTIONAL_NUMBER("rate-max", struct raw_forward, rate_max),
    OPTIONAL_NUMBER("unseen-rate-max", struct raw_forward, unseen_rate_max),
    OPTIONAL_TEXT("stale-max", struct raw_forward, stale_max),
    OPTIONAL_FLAG("client-subnet", struct raw_forward, client_subnet),
    OPTIONAL_FLAG("aggressive-nsec", struct raw_forward, aggressive_nsec),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t update_rule_fields[] = {
    TEXT("key", struct raw_update_rule, key),
    OPTIONAL_TEXTS("names", struct raw_update_rule, names),
    OPTIONAL_TEXTS("subtree", struct raw_update_rule, subtree),
    OPTIONAL_TEXTS("types", struct raw_update_rule, types),
    OPTIONAL_FLAG("self", struct raw_update_rule, self),
    OPTIONAL_FLAG("self-subtree", struct raw_update_rule, self_subtree),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t update_rule_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_update_rule, update_rule_fields),
};

static const cyaml_schema_field_t zone_fields[] = {
    TEXT("name", struct raw_zone, name),
    OPTIONAL_MAP("primary", struct raw_zone, primary, primary_fields),
    OPTIONAL_MAP("secondary", struct raw_zone, secondary, secondary_fields),
    OPTIONAL_MAP("forward", struct raw_zone, forward, forward_fields),
    OPTIONAL_TEXTS("allow-transfer", struct raw_zone, allow_transfer),
    OPTIONAL_TEXTS("allow-update", struct raw_zone, allow_update),
    OPTIONAL_LIST("update-policy", struct raw_zone, update_policy, &update_rule_schema,
                  CYAML_UNLIMITED),
    OPTIONAL_TEXTS("allow-notify", struct raw_zone, allow_notify),
    OPTIONAL_TEXTS("notify", struct raw_zone, notify),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t signer_fields[] = {
    TEXT("name", struct raw_signer, name),
    TEXT("public", struct raw_signer, public_key),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t key_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_key, key_fields),
};
static const cyaml_schema_value_t zone_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_zone, zone_fields),
};
static const cyaml_schema_value_t signer_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_signer, signer_fields),
};

static const cyaml_schema_field_t publish_fields[] = {
    TEXT("catalog", struct raw_publish, catalog),
    TEXT("suffix", struct raw_publish, suffix),
    OPTIONAL_TEXTS("allow-transfer", struct raw_publish, allow_transfer),
    OPTIONAL_TEXTS("notify", struct raw_publish, notify),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t orders_fields[] = {
    OPTIONAL_TEXTS("files", struct raw_orders, files),
    OPTIONAL_TEXTS("zones", struct raw_orders, zones),
    OPTIONAL_TEXT("catalog", struct raw_orders, catalog),
    OPTIONAL_TEXT("dnstap", struct raw_orders, dnstap),
    OPTIONAL_MAP("publish", struct raw_orders, publish, publish_fields),
    OPTIONAL_LIST("keyring", struct raw_orders, keyring, &signer_schema, CYAML_UNLIMITED),
    OPTIONAL_NUMBER("signatures-min", struct raw_orders, signatures_min),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
    OPTIONAL_MAP("server", struct raw_config, server, server_fields),
    OPTIONAL_LIST("keys", struct raw_config, keys, &key_schema, CYAML_UNLIMITED),
    OPTIONAL_LIST("zones", struct raw_config, zones, &zone_schema, CYAML_UNLIMITED),
    OPTIONAL_MAP("orders", struct raw_config, orders, orders_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_config, config_fields),
};

static int config_check(struct config_source *source, struct config *config,
                        struct error *ret_error)
{
    int rc = config_check_server(source, config, ret_error);
    if (rc == 0)
        rc = config_check_journal(source, config, ret_error);
    if (rc == 0)
        rc = config_check_cache(source, config, ret_error);
    if (rc == 0)
        rc = config_check_keys(source, config, ret_error);
    if (rc == 0)
        rc = config_check_zones(source, config, ret_error);
    if (rc == 0)
        rc = config_check_error_reports(source, config, ret_error);
    if (rc == 0)
        rc = config_check_orders(source, config, ret_error);
    return rc;
}

int config_load(const char *path, struct config **ret_config, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *yaml = NULL;
    _cleanup_(config_freep) struct config *config = calloc(1, sizeof(*config));
    void *raw;

    if (config == NULL)
        return config_out_of_memory(ret_error);
    int rc = yaml_source_read(path, &yaml, ret_error);
    if (rc == 0)
        rc = config_value_paths(path, &config->path, &config->directory, ret_error);
    if (rc == 0)
        rc = yaml_source_load(yaml, &config_schema, &raw, NULL, ret_error);
    if (rc < 0)
        return rc;

    struct raw_config nothing = {0}; /* what a document of "{}" loads as is NULL */
    struct config_source source = {.yaml = yaml, .raw = raw != NULL ? raw : &nothing};
    rc = config_check(&source, config, ret_error);
    yaml_value_free(&config_schema, raw, 0);
    if (rc < 0)
        return rc;
    *ret_config = TAKE(config);
    return 0;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

static void keys_free(struct config *config)
{
    for (size_t i = 0; i < config->key_count; i++) {
        struct config_key *key = &config->keys[i];
        free(key->name);
        free(key->algorithm);
        if (key->secret != NULL)
            sodium_memzero(key->secret, strlen(key->secret));
        free(key->secret);
    }
    free(config->keys);
}

static void zones_free(struct config *config)
{
    for (size_t i = 0; i < config->zone_count; i++) {
        struct config_zone *zone = &config->zones[i];
        free(zone->name);
        free(zone->apex);
        free(zone->file);
        free(zone->from);
        if (zone->owns_tls)
            origin_tls_free(zone->tls);
        free(zone->allow_transfer);
        free(zone->allow_update);
        free(zone->allow_notify);
        config_update_rules_free(zone);
        free(zone->notify);
    }
    free(config->zones);
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    free(config->path);
    free(config->directory);
    free(config->listen);
    free(config->tls.listen);
    free(config->tls.certificate);
    free(config->tls.key);
    free(config->tls.client_ca);
    free(config->warnings);
    free(config->state);
    free(config->control);
    free(config->nsid);
    free(config->version);
    free(config->identity);
    free(config->error_agent);
    keys_free(config);
    zones_free(config);
    texts_free(config->order_files, config->order_file_count);
    free(config->dnstap);
    free(config->publish_catalog);
    free(config->publish_suffix);
    free(config->publish_allow_transfer);
    free(config->publish_notify);
    for (size_t i = 0; i < config->signer_count; i++)
        free(config->signers[i].name);
    free(config->signers);
    free(config);
}
