/* What the schema can't say about the server, its keys and its orders: values in their ranges,
 * addresses, secrets, files that exist. */
#include "server/config_internal.h"

#include <errno.h>
#include <sched.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <libknot/dname.h>

#include "base/nearest.h"
#include "server/error_reports.h"

#define DNS_PORT     53
#define METRICS_PORT 9153 /* by custom of Prometheus exporters for DNS */

/* Threads beyond the cores of any machine only cost memory. */
#define WORKERS_MAX 1024

/* 1232 octets cross every IPv6 path unfragmented (RFC 9715, 3); 512 is what DNS began with. More
 * than 4096 the answer path has no room for on UDP (responder.h). */
#define UDP_PAYLOAD_DEFAULT 1232
#define UDP_PAYLOAD_MIN     512
#define UDP_PAYLOAD_MAX     4096

/* Per worker. The upper bound leaves room below the usual hard limit of descriptors. */
#define TCP_CLIENTS_DEFAULT             1000
#define TCP_CLIENTS_PER_ADDRESS_DEFAULT 100
#define TCP_CLIENTS_MAX                 100000

/* "On the order of seconds" (RFC 7766, 6.2.3). */
#define TCP_IDLE_DEFAULT_MS 10000
#define TCP_IDLE_MAX_S      3600

/* Both travel in one string of a TXT record; an NSID is kept as short. */
#define TEXT_OCTETS_MAX 255

#define SIGNATURES_MAX 16

/* Zones with counters, and so with lines among the metrics: more is for who asked for it. */
#define ZONE_COUNTERS_DEFAULT 10000
#define ZONE_COUNTERS_MAX     1000000

#define WARNINGS_MAX 20

struct config_place config_place(const char *format, ...)
{
    struct config_place place;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(place.path, sizeof(place.path), format, arguments);
    va_end(arguments);
    return place;
}

int config_fail(const struct config_source *source, struct config_place place,
                struct error *ret_error, const char *format, ...)
{
    char text[sizeof(ret_error->text)];
    va_list arguments;

    if (ret_error == NULL)
        return -EINVAL;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return error_set_at(ret_error, -EINVAL, source->yaml->path,
                        yaml_source_line(source->yaml, place.path), "%s", text);
}

int config_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory while loading the configuration");
}

char *config_path_resolve(const struct config *config, const char *path)
{
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return asprintf(&joined, "%s/%s", config->directory, path) < 0 ? NULL : joined;
}

int config_file_resolve(const struct config_source *source, const struct config *config,
                        struct config_place place, const char *what, const char *path,
                        char **ret_path, struct error *ret_error)
{
    struct stat status;

    if (path[0] == '\0')
        return config_fail(source, place, ret_error, "%s has no name: write its path", what);
    char *resolved = config_path_resolve(config, path);
    if (resolved == NULL)
        return config_out_of_memory(ret_error);

    int rc = 0;
    if (stat(resolved, &status) < 0 || access(resolved, R_OK) < 0)
        rc = config_fail(source, place, ret_error,
                         "%s %s cannot be read: %s; relative paths begin at the configuration file",
                         what, resolved, strerror(errno));
    else if (S_ISDIR(status.st_mode))
        rc =
            config_fail(source, place, ret_error, "%s %s is a folder: name a file", what, resolved);
    if (rc < 0) {
        free(resolved);
        return rc;
    }
    *ret_path = resolved;
    return 0;
}

/* Adds a warning about the file at `path`; more than WARNINGS_MAX would tell nobody anything. */
static int warn(struct config *config, const char *path, const char *text, struct error *ret_error)
{
    if (config->warning_count == WARNINGS_MAX)
        return 0;
    struct error *warnings =
        realloc(config->warnings, (config->warning_count + 1) * sizeof(*warnings));
    if (warnings == NULL)
        return config_out_of_memory(ret_error);
    config->warnings = warnings;
    error_set_at(&warnings[config->warning_count++], -EPERM, path, 0, "%s", text);
    return 0;
}

int config_private_key_resolve(const struct config_source *source, struct config *config,
                               struct config_place place, const char *path, char **ret_path,
                               struct error *ret_error)
{
    struct stat status;
    int rc =
        config_file_resolve(source, config, place, "the private key", path, ret_path, ret_error);
    if (rc < 0 || stat(*ret_path, &status) < 0 || (status.st_mode & S_IRWXO) == 0)
        return rc;
    return warn(config, *ret_path,
                "every user of this system may read or change the private key: chmod o= it, and "
                "replace the key if others may have seen it",
                ret_error);
}

int config_address_check(const struct config_source *source, struct config_place place,
                         const char *text, uint16_t port_default,
                         struct config_address *ret_address, struct error *ret_error)
{
    struct config_address address;
    struct error problem = {0};

    if (config_address_parse(text, port_default, &address, &problem) < 0)
        return config_fail(source, place, ret_error, "%s", problem.text);
    if (strchr(text, '/') != NULL)
        return config_fail(source, place, ret_error,
                           "\"%s\" is a prefix: a single address must stand here", text);
    *ret_address = address;
    return 0;
}

int config_addresses_check(const struct config_source *source, struct config_place place,
                           char *const *texts, size_t count, uint16_t port_default,
                           struct config_address **ret_list, size_t *ret_count,
                           struct error *ret_error)
{
    if (count == 0)
        return 0;
    struct config_address *list = calloc(count, sizeof(*list));
    if (list == NULL)
        return config_out_of_memory(ret_error);

    for (size_t i = 0; i < count; i++) {
        int rc = config_address_check(source, config_place("%s.%zu", place.path, i), texts[i],
                                      port_default, &list[i], ret_error);
        if (rc < 0) {
            free(list);
            return rc;
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

/* Cores that this process may run on. */
static unsigned workers_default(void)
{
    cpu_set_t cores;

    if (sched_getaffinity(0, sizeof(cores), &cores) < 0)
        return 1;
    return (unsigned)CPU_COUNT(&cores);
}

/* Takes an optional number over, or the default. */
static int number_check(const struct config_source *source, const char *key, const unsigned *value,
                        unsigned value_default, unsigned value_min, unsigned value_max,
                        unsigned *ret_value, struct error *ret_error)
{
    if (value != NULL && (*value < value_min || *value > value_max))
        return config_fail(source, config_place("server.%s", key), ret_error,
                           "%s is %u: write a number from %u to %u", key, *value, value_min,
                           value_max);
    *ret_value = value != NULL ? *value : value_default;
    return 0;
}

/* "10" and "10s" are seconds, "500ms" milliseconds. */
static int timeout_check(const struct config_source *source, const char *text, unsigned *ret_ms,
                         struct error *ret_error)
{
    static const char key[] = "tcp-idle-timeout";
    unsigned long ms = TCP_IDLE_DEFAULT_MS;

    if (text != NULL) {
        char *unit;
        errno = 0;
        ms = text[0] >= '0' && text[0] <= '9' ? strtoul(text, &unit, 10) : 0;
        if (ms > TCP_IDLE_MAX_S * 1000)
            ms = 0;
        else if (ms > 0 && (*unit == '\0' || strcmp(unit, "s") == 0))
            ms *= 1000;
        else if (ms > 0 && strcmp(unit, "ms") != 0)
            ms = 0;
        if (ms == 0 || ms > TCP_IDLE_MAX_S * 1000)
            return config_fail(source, config_place("server.%s", key), ret_error,
                               "%s is \"%s\": write seconds from 1 to %u, as in 10s, or "
                               "milliseconds, as in 500ms",
                               key, text, TCP_IDLE_MAX_S);
    }
    *ret_ms = (unsigned)ms;
    return 0;
}

static bool is_hex(const char *text)
{
    return text[strspn(text, "0123456789abcdefABCDEF")] == '\0' && strlen(text) % 2 == 0 &&
           text[0] != '\0';
}

static int nsid_check(const struct config_source *source, const char *nsid, struct error *ret_error)
{
    if (nsid == NULL)
        return 0;
    bool hex = strncmp(nsid, "0x", 2) == 0;
    if (hex && !is_hex(nsid + 2))
        return config_fail(source, config_place("server.nsid"), ret_error,
                           "nsid \"%s\" begins like hexadecimal but is not: write pairs of 0-9 "
                           "and a-f behind 0x",
                           nsid);
    if (nsid[0] == '\0')
        return config_fail(source, config_place("server.nsid"), ret_error,
                           "nsid is empty: write a text, or leave the key out for no NSID");
    return 0;
}

static int text_check(const struct config_source *source, const char *key, const char *text,
                      size_t octets_max, struct error *ret_error)
{
    if (text != NULL && strlen(text) > octets_max)
        return config_fail(source, config_place("server.%s", key), ret_error,
                           "%s has %zu octets: at most %zu fit", key, strlen(text), octets_max);
    return 0;
}

static int listen_check(const struct config_source *source, const struct raw_server *raw,
                        struct config *config, struct error *ret_error)
{
    if (raw->listen_count == 0)
        return config_fail(source, config_place("server.listen"), ret_error,
                           "the server listens nowhere: add listen: [\"127.0.0.1@5300\"]");
    int rc = config_addresses_check(source, config_place("server.listen"), raw->listen,
                                    raw->listen_count, DNS_PORT, &config->listen,
                                    &config->listen_count, ret_error);
    if (rc < 0)
        return rc;

    for (size_t i = 0; i < config->listen_count; i++)
        for (size_t j = 0; j < i; j++)
            if (memcmp(&config->listen[i].address, &config->listen[j].address,
                       sizeof(config->listen[i].address)) == 0)
                return config_fail(source, config_place("server.listen.%zu", i), ret_error,
                                   "listen address %s is there twice: remove one",
                                   config->listen[i].text);
    return 0;
}

static int socket_path_check(const struct config_source *source, struct config_place place,
                             const char *path, struct error *ret_error)
{
    size_t size_max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;

    if (strlen(path) > size_max)
        return config_fail(source, place, ret_error,
                           "the socket's path %s has %zu octets: a socket's path may have %zu; "
                           "choose a shorter one, for example below /run",
                           path, strlen(path), size_max);
    return 0;
}

static int limits_check(const struct config_source *source, const struct raw_server *raw,
                        struct config *config, struct error *ret_error)
{
    unsigned payload = 0;
    int rc = number_check(source, "workers", raw->workers, workers_default(), 1, WORKERS_MAX,
                          &config->workers, ret_error);
    if (rc == 0)
        rc = number_check(source, "udp-payload-max", raw->udp_payload_max, UDP_PAYLOAD_DEFAULT,
                          UDP_PAYLOAD_MIN, UDP_PAYLOAD_MAX, &payload, ret_error);
    if (rc < 0)
        return rc;
    config->udp_payload_max = (uint16_t)payload;

    rc = number_check(source, "tcp-clients", raw->tcp_clients, TCP_CLIENTS_DEFAULT, 1,
                      TCP_CLIENTS_MAX, &config->tcp_clients_max, ret_error);
    if (rc < 0)
        return rc;
    unsigned share = TCP_CLIENTS_PER_ADDRESS_DEFAULT < config->tcp_clients_max
                         ? TCP_CLIENTS_PER_ADDRESS_DEFAULT
                         : config->tcp_clients_max;
    rc = number_check(source, "tcp-clients-per-address", raw->tcp_clients_per_address, share, 1,
                      TCP_CLIENTS_MAX, &config->tcp_clients_per_address_max, ret_error);
    if (rc == 0)
        rc = number_check(source, "zone-counters", raw->zone_counters, ZONE_COUNTERS_DEFAULT, 0,
                          ZONE_COUNTERS_MAX, &config->zone_counters_max, ret_error);
    if (rc < 0)
        return rc;
    return timeout_check(source, raw->tcp_idle_timeout, &config->tcp_idle_timeout_ms, ret_error);
}

static int texts_check(const struct config_source *source, struct raw_server *raw,
                       struct config *config, struct error *ret_error)
{
    /* Hexadecimal takes two letters an octet and two in front. */
    bool hex = raw->nsid != NULL && strncmp(raw->nsid, "0x", 2) == 0;
    size_t nsid_max = hex ? 2 + 2 * TEXT_OCTETS_MAX : TEXT_OCTETS_MAX;
    int rc = nsid_check(source, raw->nsid, ret_error);
    if (rc == 0)
        rc = text_check(source, "nsid", raw->nsid, nsid_max, ret_error);
    if (rc == 0)
        rc = text_check(source, "version", raw->version, TEXT_OCTETS_MAX, ret_error);
    if (rc == 0)
        rc = text_check(source, "identity", raw->identity, TEXT_OCTETS_MAX, ret_error);
    if (rc < 0)
        return rc;

    config->nsid = TAKE(raw->nsid);
    config->version = TAKE(raw->version);
    config->identity = TAKE(raw->identity);
    return 0;
}

int config_check_server(struct config_source *source, struct config *config,
                        struct error *ret_error)
{
    struct raw_server none = {0};
    struct raw_server *raw = source->raw->server != NULL ? source->raw->server : &none;

    int rc = listen_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = config_check_tls(source, config, ret_error);
    if (rc == 0)
        rc = limits_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = texts_check(source, raw, config, ret_error);
    if (rc == 0 && raw->metrics != NULL) {
        rc = config_address_check(source, config_place("server.metrics"), raw->metrics,
                                  METRICS_PORT, &config->metrics, ret_error);
        config->has_metrics = rc == 0;
    }
    if (rc < 0)
        return rc;

    config->state = config_path_resolve(config, raw->state != NULL ? raw->state : "state");
    config->control =
        config_path_resolve(config, raw->control != NULL ? raw->control : "tamisd.sock");
    if (config->state == NULL || config->control == NULL)
        return config_out_of_memory(ret_error);
    return socket_path_check(source, config_place("server.control"), config->control, ret_error);
}

/* The configured zone with the longest apex at or above `name`; NULL: there is none. */
static const struct config_zone *zone_around(const struct config *config, const uint8_t *name)
{
    const struct config_zone *found = NULL;
    for (size_t i = 0; i < config->zone_count; i++) {
        const struct config_zone *zone = &config->zones[i];
        if (knot_dname_in_bailiwick(name, zone->apex) >= 0 &&
            (found == NULL ||
             knot_dname_labels(zone->apex, NULL) > knot_dname_labels(found->apex, NULL)))
            found = zone;
    }
    return found;
}

int config_check_error_reports(const struct config_source *source, struct config *config,
                               struct error *ret_error)
{
    const struct raw_server *raw = source->raw->server;
    const struct config_place place = config_place("server.error-reports.agent");
    uint8_t name[KNOT_DNAME_MAXLEN];
    if (raw == NULL || raw->error_reports == NULL)
        return 0;
    const char *agent = raw->error_reports->agent;
    if (agent[0] == '\0' || knot_dname_from_str(name, agent, sizeof(name)) == NULL || name[0] == 0)
        return config_fail(source, place, ret_error,
                           "agent \"%.80s\" is no domain name: write one in a zone of this server, "
                           "as in er.example",
                           agent);
    name_fold(name, name, knot_dname_size(name));
    if (knot_dname_size(name) > ERROR_AGENT_SIZE_MAX)
        return config_fail(
            source, place, ret_error,
            "agent %.80s has %zu octets, and reports need the room: choose a name of "
            "at most %d",
            agent, knot_dname_size(name) - 1, ERROR_AGENT_SIZE_MAX - 1);
    const struct config_zone *zone = zone_around(config, name);
    if (zone == NULL || zone->kind == CONFIG_FORWARD || zone->use != CONFIG_ORDINARY)
        return config_fail(source, place, ret_error,
                           "agent %.80s lies in no primary or secondary zone of this server: add "
                           "the zone, or choose a name in one",
                           agent);
    config->error_agent = knot_dname_copy(name, NULL);
    return config->error_agent == NULL ? config_out_of_memory(ret_error) : 0;
}

/* What RFC 8945, 6 knows and nobody advises against: HMAC-MD5 MUST NOT be used any more. */
static const char *const algorithms[] = {"hmac-sha1", "hmac-sha224", "hmac-sha256", "hmac-sha384",
                                         "hmac-sha512"};
#define ALGORITHM_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

static int algorithm_check(const struct config_source *source, size_t index, const char *algorithm,
                           struct error *ret_error)
{
    struct config_place place = config_place("keys.%zu.algorithm", index);

    for (size_t i = 0; i < ALGORITHM_COUNT; i++)
        if (strcmp(algorithm, algorithms[i]) == 0)
            return 0;
    if (strncasecmp(algorithm, "hmac-md5", strlen("hmac-md5")) == 0)
        return config_fail(source, place, ret_error,
                           "algorithm %s is broken and refused (RFC 8945, 6): use hmac-sha256 on "
                           "both sides",
                           algorithm);
    const char *nearest = nearest_word(algorithm, algorithms, ALGORITHM_COUNT);
    if (nearest != NULL)
        return config_fail(source, place, ret_error,
                           "algorithm \"%s\" is not known: did you mean %s?", algorithm, nearest);
    return config_fail(source, place, ret_error,
                       "algorithm \"%s\" is not known: use hmac-sha256, -sha384, -sha512, -sha224 "
                       "or -sha1",
                       algorithm);
}

/* Decodes base64 of at least one octet. Returns its octets, 0 when it is no base64 or too long. */
static size_t base64_decode(const char *text, uint8_t *ret_octets, size_t octets_max)
{
    size_t size;

    if (sodium_base642bin(ret_octets, octets_max, text, strlen(text), NULL, &size, NULL,
                          sodium_base64_VARIANT_ORIGINAL) != 0)
        return 0;
    return size;
}

static int key_check(const struct config_source *source, size_t index, struct raw_key *raw,
                     struct config_key *ret_key, struct error *ret_error)
{
    uint8_t secret[1024];
    uint8_t name[KNOT_DNAME_MAXLEN];

    size_t name_size = strlen(raw->name);
    if (name_size == 0 || knot_dname_from_str(name, raw->name, sizeof(name)) == NULL)
        return config_fail(source, config_place("keys.%zu.name", index), ret_error,
                           "key name \"%.80s\" is not a domain name: use letters, digits, '-' and "
                           "dots",
                           raw->name);
    int rc = algorithm_check(source, index, raw->algorithm, ret_error);
    if (rc < 0)
        return rc;
    size_t secret_size = base64_decode(raw->secret, secret, sizeof(secret));
    sodium_memzero(secret, sizeof(secret));
    /* The secret itself stays out of the message: messages end in logs. */
    if (secret_size == 0)
        return config_fail(source, config_place("keys.%zu.secret", index), ret_error,
                           "the secret of key %s is not base64 of 1 to %zu octets: make one with "
                           "\"openssl rand -base64 32\"",
                           raw->name, sizeof(secret));

    if (raw->name[name_size - 1] == '.')
        raw->name[name_size - 1] = '\0';
    ret_key->name = TAKE(raw->name);
    ret_key->algorithm = TAKE(raw->algorithm);
    ret_key->secret = TAKE(raw->secret);
    return 0;
}

static int key_compare(const void *one, const void *other)
{
    const struct config_key *const *a = one, *const *b = other;
    int order = strcasecmp((*a)->name, (*b)->name);
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

int config_keys_sort(const struct config *config, const struct config_key ***ret_keys,
                     struct error *ret_error)
{
    const struct config_key **keys =
        calloc(config->key_count + 1, sizeof(const struct config_key *));
    if (keys == NULL)
        return config_out_of_memory(ret_error);
    for (size_t i = 0; i < config->key_count; i++)
        keys[i] = &config->keys[i];
    qsort(keys, config->key_count, sizeof(const struct config_key *), key_compare);
    *ret_keys = keys;
    return 0;
}

static int keys_check_unique(const struct config_source *source, const struct config *config,
                             struct error *ret_error)
{
    const struct config_key **keys = NULL;
    int rc = config_keys_sort(config, &keys, ret_error);

    for (size_t i = 1; rc == 0 && i < config->key_count; i++)
        if (strcasecmp(keys[i - 1]->name, keys[i]->name) == 0)
            rc = config_fail(
                source, config_place("keys.%zu.name", (size_t)(keys[i] - config->keys)), ret_error,
                "key %s is defined twice: remove one or rename it", keys[i]->name);
    free(keys);
    return rc;
}

int config_check_keys(struct config_source *source, struct config *config, struct error *ret_error)
{
    struct raw_config *raw = source->raw;

    if (raw->keys_count == 0)
        return 0;
    config->keys = calloc(raw->keys_count, sizeof(*config->keys));
    if (config->keys == NULL)
        return config_out_of_memory(ret_error);
    config->key_count = raw->keys_count;
    for (size_t i = 0; i < config->key_count; i++) {
        int rc = key_check(source, i, &raw->keys[i], &config->keys[i], ret_error);
        if (rc < 0)
            return rc;
    }
    return keys_check_unique(source, config, ret_error);
}

static int signer_check(const struct config_source *source, size_t index, struct raw_signer *raw,
                        struct config *config, struct error *ret_error)
{
    struct config_signer *signer = &config->signers[index];

    if (raw->name[0] == '\0')
        return config_fail(source, config_place("orders.keyring.%zu.name", index), ret_error,
                           "the signer has no name: write the one that signatures carry");
    for (size_t i = 0; i < index; i++)
        if (strcmp(config->signers[i].name, raw->name) == 0)
            return config_fail(source, config_place("orders.keyring.%zu.name", index), ret_error,
                               "signer %s is there twice: remove one or rename it", raw->name);
    if (base64_decode(raw->public_key, signer->public_key, sizeof(signer->public_key)) !=
        sizeof(signer->public_key))
        return config_fail(source, config_place("orders.keyring.%zu.public", index), ret_error,
                           "the public key of %s is not base64 of %zu octets: copy the line that "
                           "\"tamis key generate\" printed",
                           raw->name, sizeof(signer->public_key));
    /* The same key under two names would let one person sign twice. */
    for (size_t i = 0; i < index; i++)
        if (memcmp(config->signers[i].public_key, signer->public_key, sizeof(signer->public_key)) ==
            0)
            return config_fail(source, config_place("orders.keyring.%zu.public", index), ret_error,
                               "signers %s and %s have the same key: each needs their own",
                               config->signers[i].name, raw->name);
    signer->name = TAKE(raw->name);
    return 0;
}

static int order_files_check(const struct config_source *source, const struct raw_orders *raw,
                             struct config *config, struct error *ret_error)
{
    if (raw->files_count == 0)
        return 0;
    config->order_files = calloc(raw->files_count, sizeof(char *));
    if (config->order_files == NULL)
        return config_out_of_memory(ret_error);
    config->order_file_count = raw->files_count;
    for (size_t i = 0; i < config->order_file_count; i++) {
        int rc = config_file_resolve(source, config, config_place("orders.files.%zu", i),
                                     "the order file", raw->files[i], &config->order_files[i],
                                     ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The configured zone of that name, which is to be used for orders. */
static int order_zone_find(const struct config_source *source, struct config_place place,
                           const char *name, struct config *config, struct config_zone **ret_zone,
                           struct error *ret_error)
{
    uint8_t apex[KNOT_DNAME_MAXLEN];

    if (name[0] == '\0' || knot_dname_from_str(apex, name, sizeof(apex)) == NULL)
        return config_fail(source, place, ret_error, "\"%.200s\" is not a domain name", name);
    knot_dname_to_lower(apex);
    struct config_zone *zone = NULL;
    for (size_t i = 0; i < config->zone_count && zone == NULL; i++)
        if (knot_dname_is_equal(config->zones[i].apex, apex))
            zone = &config->zones[i];
    if (zone == NULL)
        return config_fail(source, place, ret_error,
                           "zone %.200s is not under \"zones\": add it there as a secondary zone",
                           name);
    if (zone->kind == CONFIG_FORWARD)
        return config_fail(source, place, ret_error,
                           "zone %s is forwarded: orders come from zones that are held here; make "
                           "it secondary",
                           zone->name);
    if (zone->use != CONFIG_ORDINARY)
        return config_fail(source, place, ret_error,
                           "zone %s is there twice, under \"zones\" or \"catalog\": remove one",
                           zone->name);
    *ret_zone = zone;
    return 0;
}

static int order_zones_check(const struct config_source *source, const struct raw_orders *raw,
                             struct config *config, struct error *ret_error)
{
    struct config_zone *zone = NULL;

    for (unsigned i = 0; i < raw->zones_count; i++) {
        int rc = order_zone_find(source, config_place("orders.zones.%u", i), raw->zones[i], config,
                                 &zone, ret_error);
        if (rc < 0)
            return rc;
        zone->use = CONFIG_POLICY;
    }
    if (raw->catalog == NULL || raw->catalog[0] == '\0')
        return 0;
    struct config_place place = config_place("orders.catalog");
    int rc = order_zone_find(source, place, raw->catalog, config, &zone, ret_error);
    if (rc < 0)
        return rc;
    if (zone->kind != CONFIG_SECONDARY)
        return config_fail(source, place, ret_error,
                           "catalog %s is not a secondary zone: its members come from its origins",
                           zone->name);
    zone->use = CONFIG_CATALOG;
    config->order_catalog = zone;
    return 0;
}

static int dnstap_check(const struct config_source *source, const struct raw_orders *raw,
                        struct config *config, struct error *ret_error)
{
    if (raw->dnstap == NULL)
        return 0;
    config->dnstap = config_path_resolve(config, raw->dnstap);
    if (config->dnstap == NULL)
        return config_out_of_memory(ret_error);
    return socket_path_check(source, config_place("orders.dnstap"), config->dnstap, ret_error);
}

int config_check_orders(struct config_source *source, struct config *config,
                        struct error *ret_error)
{
    struct raw_orders *raw = source->raw->orders;

    if (raw == NULL)
        return 0;
    if (raw->signatures_min != NULL && *raw->signatures_min > SIGNATURES_MAX)
        return config_fail(source, config_place("orders.signatures-min"), ret_error,
                           "signatures-min is %u: write a number from 0 to %u",
                           *raw->signatures_min, SIGNATURES_MAX);
    config->signatures_min = raw->signatures_min != NULL ? *raw->signatures_min : 0;
    if (config->signatures_min > raw->keyring_count)
        return config_fail(source, config_place("orders.signatures-min"), ret_error,
                           "signatures-min is %u but the keyring has %u signers, so no order could "
                           "pass: add signers to the keyring",
                           config->signatures_min, raw->keyring_count);

    if (raw->keyring_count > 0) {
        config->signers = calloc(raw->keyring_count, sizeof(*config->signers));
        if (config->signers == NULL)
            return config_out_of_memory(ret_error);
        config->signer_count = raw->keyring_count;
        for (size_t i = 0; i < config->signer_count; i++) {
            int rc = signer_check(source, i, &raw->keyring[i], config, ret_error);
            if (rc < 0)
                return rc;
        }
    }
    int rc = order_files_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = dnstap_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = order_zones_check(source, raw, config, ret_error);
    return rc < 0 ? rc : config_check_publish(source, config, ret_error);
}
