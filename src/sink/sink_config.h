/* The configuration of tamis-sink: YAML, checked against a schema, with errors that name file, line
 * and remedy. Keys are those of tamis-sink.conf(5), given beside each member. */
#pragma once

#include "base/cleanup.h"
#include "base/config_address.h"
#include "base/error.h"
#include "sink/census.h"
#include "sink/privacy.h"
#include "sink/sensor.h"

struct sink_config {
    char *path, *directory;        /* of the file; what relative paths are relative to */
    char *state;                   /* state: folder; keys, evidence, places, the made certificate */
    char *control;                 /* control: UNIX socket, default tamis-sink.sock */
    struct config_address metrics; /* metrics: ADDRESS@PORT; size 0: none */
    char *user;                    /* user: whom to become after binding; NULL: stays who it is */

    /* sensor: */
    struct sensor_listen
        *listen;          /* listen: ["192.0.2.66@80", "udp:192.0.2.66@53"]: TCP unless "udp:" */
    size_t listen_count;  /* transparent: the same, for TPROXY */
    unsigned threads;     /* threads: 1 */
    unsigned octets_max;  /* octets-max: 4096 */
    unsigned seconds_max; /* seconds-max: 60 */
    unsigned idle_seconds_max;           /* idle-seconds-max: 30 */
    unsigned connections_max;            /* connections-max: 100000 */
    unsigned connections_per_source_max; /* connections-per-source-max: 1000 */
    unsigned datagrams_per_source_max;   /* datagrams-per-source-max: 100, a second */
    size_t memory_max;                   /* memory-mib: 256 */
    char *certificate, *key;             /* tls: { certificate, key } */

    char *operator_name, *contact; /* operator:, contact: required, a URI */
    char **orders;                 /* orders: paths of order files */
    size_t order_count;
    char *answers; /* answers: { listen: PATH, window: 300 } */
    unsigned window_s;
    char *rules;                   /* rules: folder; default the installed one */
    char *asn_path, *country_path; /* networks: { asn: FILE, country: FILE } */

    /* events: { folder, flush-ms, segment-mib, segment-minutes, keep-days, mib: 10240 } */
    char *events;
    unsigned flush_ms, segment_seconds, keep_days;
    size_t segment_octets_max, events_octets_max;
    size_t evidence_octets_max; /* evidence: { mib: 1024, keep-days } */
    unsigned evidence_keep_days;

    enum privacy_addresses
        addresses; /* privacy: { addresses: deterministic | prefix, rotate-days: 30 } */
    unsigned rotate_days;

    struct census_options
        census; /* census: { persistence-hours or -seconds, checkins-min, networks-max, ... } */

    /* nats: { servers: [...], stream, subject, credentials, ca-file, replicas } */
    char **nats_servers;
    size_t nats_server_count;
    char *nats_stream, *nats_subject, *nats_credentials, *nats_ca_file;
    unsigned nats_replicas;
};

_must_check_ int sink_config_load(const char *path, struct sink_config **ret_config,
                                  struct error *ret_error);
void sink_config_free(struct sink_config *config);
DEFINE_FREEP(struct sink_config, sink_config_free)
