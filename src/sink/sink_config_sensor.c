/* The section `sensor`: where it listens, and how much of it. */
#include <stdlib.h>
#include <string.h>

#include "sink/sink_config_internal.h"

/* What marks an address as one for datagrams. */
#define UDP_PREFIX "udp:"

/* Threads beyond the cores of any machine only cost memory. */
#define THREADS_MAX 256

/* A check-in fits into 4096 octets, and so does a request with its header. */
#define OCTETS_DEFAULT 4096
#define OCTETS_MIN     64
#define OCTETS_MAX     65536

#define SECONDS_DEFAULT      60
#define IDLE_SECONDS_DEFAULT 30
#define SECONDS_MAX          3600

/* The upper bound is the kernel's for open files of a process. */
#define CONNECTIONS_DEFAULT            100000
#define CONNECTIONS_PER_SOURCE_DEFAULT 1000
#define CONNECTIONS_MAX                1073741816

/* A bot sends one in seconds to minutes; a NAT may have some hundreds of them. */
#define DATAGRAMS_PER_SOURCE_DEFAULT 100
#define DATAGRAMS_PER_SOURCE_MAX     1000000

#define MEMORY_DEFAULT_MIB 256
#define MEMORY_MAX_MIB     (1024 * 1024)

static int listen_take(const struct sink_config_source *source, const char *key, char *const *texts,
                       size_t count, bool transparent, struct sink_config *config,
                       struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        struct sensor_listen *listen = &config->listen[config->listen_count];
        bool is_udp = strncmp(texts[i], UDP_PREFIX, strlen(UDP_PREFIX)) == 0;
        int rc = config_value_address(&source->values, config_value_place("sensor.%s.%zu", key, i),
                                      texts[i] + (is_udp ? strlen(UDP_PREFIX) : 0), 0,
                                      &listen->address, ret_error);
        if (rc < 0)
            return rc;
        listen->transport = is_udp ? SINK_UDP : SINK_TCP;
        listen->transparent = transparent;
        config->listen_count++;
    }
    return 0;
}

static int listen_check(const struct sink_config_source *source, const struct raw_sensor *raw,
                        struct sink_config *config, struct error *ret_error)
{
    size_t count = (size_t)raw->listen_count + raw->transparent_count;
    if (count == 0)
        return config_value_fail(&source->values, config_value_place("sensor"), ret_error,
                                 "the sensor listens nowhere: write sensor: { listen: "
                                 "[\"192.0.2.66@80\", \"udp:192.0.2.66@53\"] }");
    config->listen = calloc(count, sizeof(*config->listen));
    if (config->listen == NULL)
        return config_value_out_of_memory(ret_error);
    int rc =
        listen_take(source, "listen", raw->listen, raw->listen_count, false, config, ret_error);
    if (rc == 0)
        rc = listen_take(source, "transparent", raw->transparent, raw->transparent_count, true,
                         config, ret_error);
    return rc;
}

static int tls_check(const struct sink_config_source *source, const struct raw_tls *raw,
                     struct sink_config *config, struct error *ret_error)
{
    if (raw == NULL)
        return 0;
    int rc =
        config_value_file(&source->values, config_value_place("sensor.tls.certificate"),
                          "the certificate", raw->certificate, &config->certificate, ret_error);
    if (rc == 0)
        rc = config_value_file(&source->values, config_value_place("sensor.tls.key"),
                               "the private key", raw->key, &config->key, ret_error);
    return rc;
}

static int numbers_check(const struct sink_config_source *source, const struct raw_sensor *raw,
                         struct sink_config *config, struct error *ret_error)
{
    unsigned memory_mib;
    const struct sink_config_number numbers[] = {
        {"sensor.threads", raw->threads, 1, 1, THREADS_MAX, &config->threads},
        {"sensor.octets-max", raw->octets_max, OCTETS_DEFAULT, OCTETS_MIN, OCTETS_MAX,
         &config->octets_max},
        {"sensor.seconds-max", raw->seconds_max, SECONDS_DEFAULT, 1, SECONDS_MAX,
         &config->seconds_max},
        {"sensor.idle-seconds-max", raw->idle_seconds_max, IDLE_SECONDS_DEFAULT, 1, SECONDS_MAX,
         &config->idle_seconds_max},
        {"sensor.connections-max", raw->connections_max, CONNECTIONS_DEFAULT, 1, CONNECTIONS_MAX,
         &config->connections_max},
        {"sensor.connections-per-source-max", raw->connections_per_source_max,
         CONNECTIONS_PER_SOURCE_DEFAULT, 1, CONNECTIONS_MAX, &config->connections_per_source_max},
        {"sensor.datagrams-per-source-max", raw->datagrams_per_source_max,
         DATAGRAMS_PER_SOURCE_DEFAULT, 1, DATAGRAMS_PER_SOURCE_MAX,
         &config->datagrams_per_source_max},
        {"sensor.memory-mib", raw->memory_mib, MEMORY_DEFAULT_MIB, 1, MEMORY_MAX_MIB, &memory_mib},
    };
    int rc = sink_config_numbers(source, numbers, sizeof(numbers) / sizeof(numbers[0]), ret_error);
    if (rc == 0)
        config->memory_max = (size_t)memory_mib << 20;
    return rc;
}

int sink_config_check_sensor(const struct sink_config_source *source, struct sink_config *config,
                             struct error *ret_error)
{
    const struct raw_sensor nothing = {0};
    const struct raw_sensor *raw = source->raw->sensor != NULL ? source->raw->sensor : &nothing;

    int rc = listen_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = tls_check(source, raw->tls, config, ret_error);
    if (rc == 0)
        rc = numbers_check(source, raw, config, ret_error);
    return rc;
}
