/* The schema of the configuration file, and the way from a path to a checked configuration. */
#include "sink/sink_config.h"

#include <errno.h>
#include <stdlib.h>

#include "sink/sink_config_internal.h"

/* More addresses than any sinkhole has; a bound for sockets of every thread. */
#define LISTEN_MAX 256

/* Operations that one sinkhole serves at a time. */
#define ORDERS_MAX 1000

/* A cluster names a few of its servers; the others it tells. */
#define NATS_SERVERS_MAX 64

static const cyaml_schema_field_t tls_fields[] = {
    TEXT("certificate", struct raw_tls, certificate),
    TEXT("key", struct raw_tls, key),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t sensor_fields[] = {
    OPTIONAL_LIST("listen", struct raw_sensor, listen, &yaml_text_schema, LISTEN_MAX),
    OPTIONAL_LIST("transparent", struct raw_sensor, transparent, &yaml_text_schema, LISTEN_MAX),
    OPTIONAL_NUMBER("threads", struct raw_sensor, threads),
    OPTIONAL_NUMBER("octets-max", struct raw_sensor, octets_max),
    OPTIONAL_NUMBER("seconds-max", struct raw_sensor, seconds_max),
    OPTIONAL_NUMBER("idle-seconds-max", struct raw_sensor, idle_seconds_max),
    OPTIONAL_NUMBER("connections-max", struct raw_sensor, connections_max),
    OPTIONAL_NUMBER("connections-per-source-max", struct raw_sensor, connections_per_source_max),
    OPTIONAL_NUMBER("datagrams-per-source-max", struct raw_sensor, datagrams_per_source_max),
    OPTIONAL_NUMBER("memory-mib", struct raw_sensor, memory_mib),
    OPTIONAL_MAP("tls", struct raw_sensor, tls, tls_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t answers_fields[] = {
    TEXT("listen", struct raw_answers, listen),
    OPTIONAL_NUMBER("window", struct raw_answers, window),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t networks_fields[] = {
    OPTIONAL_TEXT("asn", struct raw_networks, asn),
    OPTIONAL_TEXT("country", struct raw_networks, country),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t events_fields[] = {
    OPTIONAL_TEXT("folder", struct raw_events, folder),
    OPTIONAL_NUMBER("flush-ms", struct raw_events, flush_ms),
    OPTIONAL_NUMBER("segment-mib", struct raw_events, segment_mib),
    OPTIONAL_NUMBER("segment-minutes", struct raw_events, segment_minutes),
    OPTIONAL_NUMBER("keep-days", struct raw_events, keep_days),
    OPTIONAL_NUMBER("mib", struct raw_events, mib),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t evidence_fields[] = {
    OPTIONAL_NUMBER("mib", struct raw_evidence, mib),
    OPTIONAL_NUMBER("keep-days", struct raw_evidence, keep_days),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t privacy_fields[] = {
    OPTIONAL_TEXT("addresses", struct raw_privacy, addresses),
    OPTIONAL_NUMBER("rotate-days", struct raw_privacy, rotate_days),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t census_fields[] = {
    OPTIONAL_NUMBER("persistence-hours", struct raw_census, persistence_hours),
    OPTIONAL_NUMBER("persistence-seconds", struct raw_census, persistence_seconds),
    OPTIONAL_NUMBER("checkins-min", struct raw_census, checkins_min),
    OPTIONAL_NUMBER("networks-max", struct raw_census, networks_max),
    OPTIONAL_NUMBER("ids-per-address-max", struct raw_census, ids_per_address_max),
    OPTIONAL_NUMBER("quiet-days", struct raw_census, quiet_days),
    OPTIONAL_NUMBER("memory-mib", struct raw_census, memory_mib),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t nats_fields[] = {
    OPTIONAL_LIST("servers", struct raw_nats, servers, &yaml_text_schema, NATS_SERVERS_MAX),
    OPTIONAL_TEXT("stream", struct raw_nats, stream),
    OPTIONAL_TEXT("subject", struct raw_nats, subject),
    OPTIONAL_TEXT("credentials", struct raw_nats, credentials),
    OPTIONAL_TEXT("ca-file", struct raw_nats, ca_file),
    OPTIONAL_NUMBER("replicas", struct raw_nats, replicas),
    CYAML_FIELD_END,
};

static const cyaml_schema_field_t config_fields[] = {
    OPTIONAL_TEXT("state", struct raw_sink_config, state),
    OPTIONAL_TEXT("control", struct raw_sink_config, control),
    OPTIONAL_TEXT("metrics", struct raw_sink_config, metrics),
    OPTIONAL_TEXT("user", struct raw_sink_config, user),
    TEXT("operator", struct raw_sink_config, operator_name),
    TEXT("contact", struct raw_sink_config, contact),
    OPTIONAL_MAP("sensor", struct raw_sink_config, sensor, sensor_fields),
    OPTIONAL_LIST("orders", struct raw_sink_config, orders, &yaml_text_schema, ORDERS_MAX),
    OPTIONAL_MAP("answers", struct raw_sink_config, answers, answers_fields),
    OPTIONAL_TEXT("rules", struct raw_sink_config, rules),
    OPTIONAL_MAP("networks", struct raw_sink_config, networks, networks_fields),
    OPTIONAL_MAP("events", struct raw_sink_config, events, events_fields),
    OPTIONAL_MAP("evidence", struct raw_sink_config, evidence, evidence_fields),
    OPTIONAL_MAP("privacy", struct raw_sink_config, privacy, privacy_fields),
    OPTIONAL_MAP("census", struct raw_sink_config, census, census_fields),
    OPTIONAL_MAP("nats", struct raw_sink_config, nats, nats_fields),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t config_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_sink_config, config_fields),
};

/* In their order: a section may look at those above it. */
static int (*const checks[])(const struct sink_config_source *source, struct sink_config *config,
                             struct error *ret_error) = {
    sink_config_check_program, sink_config_check_sensor, sink_config_check_arrivals,
    sink_config_check_events,  sink_config_check_census, sink_config_check_nats,
};

int sink_config_load(const char *path, struct sink_config **ret_config, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *yaml = NULL;
    _cleanup_(sink_config_freep) struct sink_config *config = calloc(1, sizeof(*config));
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

    const struct sink_config_source source = {
        .values = {.yaml = yaml, .directory = config->directory}, .raw = raw};
    for (size_t i = 0; i < sizeof(checks) / sizeof(checks[0]) && rc == 0; i++)
        rc = checks[i](&source, config, ret_error);
    yaml_value_free(&config_schema, raw, 0);
    if (rc < 0)
        return rc;
    *ret_config = TAKE(config);
    return 0;
}

int sink_config_numbers(const struct sink_config_source *source,
                        const struct sink_config_number *numbers, size_t count,
                        struct error *ret_error)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++)
        rc = config_value_number(&source->values, config_value_place("%s", numbers[i].place),
                                 numbers[i].raw, numbers[i].value_default, numbers[i].value_min,
                                 numbers[i].value_max, numbers[i].ret_value, ret_error);
    return rc;
}

static void texts_free(char **texts, size_t count)
{
    for (size_t i = 0; texts != NULL && i < count; i++)
        free(texts[i]);
    free(texts);
}

void sink_config_free(struct sink_config *config)
{
    if (config == NULL)
        return;
    free(config->path);
    free(config->directory);
    free(config->state);
    free(config->control);
    free(config->user);
    free(config->listen);
    free(config->certificate);
    free(config->key);
    free(config->operator_name);
    free(config->contact);
    texts_free(config->orders, config->order_count);
    free(config->answers);
    free(config->rules);
    free(config->asn_path);
    free(config->country_path);
    free(config->events);
    texts_free(config->nats_servers, config->nats_server_count);
    free(config->nats_stream);
    free(config->nats_subject);
    free(config->nats_credentials);
    free(config->nats_ca_file);
    free(config);
}
