/* The configuration file as libcyaml loads it, before its values are checked: private to
 * sink_config*.c. Optional values are pointers: NULL means that the file doesn't set them. */
#pragma once

#include "base/config_value.h"
#include "base/yaml_schema.h"
#include "sink/sink_config.h"

struct raw_tls {
    char *certificate, *key;
};

struct raw_sensor {
    char **listen, **transparent;
    unsigned listen_count, transparent_count;
    unsigned *threads, *octets_max, *seconds_max, *idle_seconds_max;
    unsigned *connections_max, *connections_per_source_max, *datagrams_per_source_max, *memory_mib;
    struct raw_tls *tls;
};

struct raw_answers {
    char *listen;
    unsigned *window;
};

struct raw_networks {
    char *asn, *country;
};

struct raw_events {
    char *folder;
    unsigned *flush_ms, *segment_mib, *segment_minutes, *keep_days, *mib;
};

struct raw_evidence {
    unsigned *mib, *keep_days;
};

struct raw_privacy {
    char *addresses;
    unsigned *rotate_days;
};

struct raw_census {
    unsigned *persistence_hours, *persistence_seconds, *checkins_min, *networks_max,
        *ids_per_address_max, *quiet_days, *memory_mib;
};

struct raw_nats {
    char **servers;
    unsigned servers_count;
    char *stream, *subject, *credentials, *ca_file;
    unsigned *replicas;
};

struct raw_sink_config {
    char *state, *control, *metrics, *user, *operator_name, *contact, *rules;
    char **orders;
    unsigned orders_count;
    struct raw_sensor *sensor;
    struct raw_answers *answers;
    struct raw_networks *networks;
    struct raw_events *events;
    struct raw_evidence *evidence;
    struct raw_privacy *privacy;
    struct raw_census *census;
    struct raw_nats *nats;
};

/* What a check of a section gets: where values stand, and what they are. */
struct sink_config_source {
    struct config_value_source values;
    const struct raw_sink_config *raw;
};

/* A number of the file, to be taken by sink_config_numbers(). */
struct sink_config_number {
    const char *place;
    const unsigned *raw;
    unsigned value_default, value_min, value_max;
    unsigned *ret_value;
};

_must_check_ int sink_config_numbers(const struct sink_config_source *source,
                                     const struct sink_config_number *numbers, size_t count,
                                     struct error *ret_error);

/* Each fills its part of `config`; on failure it leaves what sink_config_free() can free. */
_must_check_ int sink_config_check_program(const struct sink_config_source *source,
                                           struct sink_config *config, struct error *ret_error);
_must_check_ int sink_config_check_sensor(const struct sink_config_source *source,
                                          struct sink_config *config, struct error *ret_error);
_must_check_ int sink_config_check_arrivals(const struct sink_config_source *source,
                                            struct sink_config *config, struct error *ret_error);
/* After the program's, whose folder of state is the default's. */
_must_check_ int sink_config_check_events(const struct sink_config_source *source,
                                          struct sink_config *config, struct error *ret_error);
_must_check_ int sink_config_check_census(const struct sink_config_source *source,
                                          struct sink_config *config, struct error *ret_error);
_must_check_ int sink_config_check_nats(const struct sink_config_source *source,
                                        struct sink_config *config, struct error *ret_error);
