/* What the schema can't say about the program, its orders, events and figures: values in their
 * ranges, files that exist, texts that a page may show. */
#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/nearest.h"
#include "sink/sink_config_internal.h"

#define METRICS_PORT 9154 /* beside the name server's 9153 */

/* Both stand on the page and in its header. */
#define OPERATOR_OCTETS_MAX 200
#define CONTACT_OCTETS_MAX  400

/* Resolvers keep an answer of the default TTL of 60 s for some minutes. */
#define WINDOW_DEFAULT_S 300
#define WINDOW_MAX_S     86400

#define FLUSH_DEFAULT_MS        1000
#define FLUSH_MAX_MS            60000
#define SEGMENT_DEFAULT_MIB     64
#define SEGMENT_MAX_MIB         4096
#define SEGMENT_DEFAULT_MINUTES 60
#define SEGMENT_MAX_MINUTES     (7 * 24 * 60)
#define KEEP_DEFAULT_DAYS       90
#define DAYS_MAX                3650

/* Little for a disk of today, and above two of the largest segments. */
#define EVENTS_DEFAULT_MIB 10240
#define EVENTS_MAX_MIB     (16 * 1024 * 1024)

#define EVIDENCE_DEFAULT_MIB 1024
#define EVIDENCE_MAX_MIB     (16 * 1024 * 1024)

#define ROTATE_DEFAULT_DAYS 30

/* Why these, says doc/sinkhole.md. */
#define PERSISTENCE_DEFAULT_HOURS 24
#define PERSISTENCE_MAX_HOURS     (31 * 24)
#define PERSISTENCE_MAX_SECONDS   3599 /* above, say it in hours */
#define CHECKINS_DEFAULT          3
#define NETWORKS_DEFAULT          8
#define IDS_PER_ADDRESS_DEFAULT   8
#define COUNT_MAX                 1000000
#define QUIET_DEFAULT_DAYS        7
#define CENSUS_MEMORY_DEFAULT_MIB 512
#define CENSUS_MEMORY_MAX_MIB     (1024 * 1024)

#define REPLICAS_MAX 5 /* of a JetStream stream */

int sink_config_check_arrivals(const struct sink_config_source *source, struct sink_config *config,
                               struct error *ret_error)
{
    const struct raw_sink_config *raw = source->raw;
    const struct raw_answers no_answers = {0};
    const struct raw_answers *answers = raw->answers != NULL ? raw->answers : &no_answers;
    const struct raw_networks no_networks = {0};
    const struct raw_networks *networks = raw->networks != NULL ? raw->networks : &no_networks;

    config->orders = calloc(raw->orders_count + 1, sizeof(*config->orders));
    if (config->orders == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = 0;
    for (; config->order_count < raw->orders_count && rc == 0; config->order_count++)
        rc = config_value_file(
            &source->values, config_value_place("orders.%zu", config->order_count), "the order",
            raw->orders[config->order_count], &config->orders[config->order_count], ret_error);
    if (rc == 0)
        rc = config_value_path(&source->values, config_value_place("answers.listen"),
                               "the socket of answers", answers->listen, &config->answers,
                               ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("answers.window"),
                                 answers->window, WINDOW_DEFAULT_S, 1, WINDOW_MAX_S,
                                 &config->window_s, ret_error);
    if (rc == 0)
        rc = config_value_file(&source->values, config_value_place("networks.asn"),
                               "the database of networks", networks->asn, &config->asn_path,
                               ret_error);
    if (rc == 0)
        rc = config_value_file(&source->values, config_value_place("networks.country"),
                               "the database of countries", networks->country,
                               &config->country_path, ret_error);
    return rc;
}

/* ---- The program ---- */

/* A text for people and for a header of HTTP (RFC 9110, section 5.5). */
static int line_check(const struct sink_config_source *source, const char *key, const char *text,
                      size_t octets_max, char **ret_text, struct error *ret_error)
{
    struct config_value_place place = config_value_place("%s", key);
    if (text[0] == '\0')
        return config_value_fail(&source->values, place, ret_error, "%s says nothing: write it",
                                 key);
    if (strlen(text) > octets_max)
        return config_value_fail(&source->values, place, ret_error,
                                 "%s is longer than %zu octets: shorten it", key, octets_max);
    for (const char *c = text; *c != '\0'; c++)
        if (iscntrl((unsigned char)*c))
            return config_value_fail(&source->values, place, ret_error,
                                     "%s holds a control character: write it on one line", key);
    return config_value_copy(text, ret_text, ret_error);
}

/* "scheme:something" without blanks (RFC 3986, section 3). */
static bool is_uri(const char *text)
{
    size_t scheme =
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.");
    return scheme > 0 && isalpha((unsigned char)text[0]) && text[scheme] == ':' &&
           text[scheme + 1] != '\0' && strpbrk(text, " \"<>\\^`{|}") == NULL;
}

static int contact_check(const struct sink_config_source *source, struct sink_config *config,
                         struct error *ret_error)
{
    const char *contact = source->raw->contact;
    if (!is_uri(contact))
        return config_value_fail(&source->values, config_value_place("contact"), ret_error,
                                 "\"%s\" is no URI: write https://sinkhole.example/ or "
                                 "mailto:abuse@sinkhole.example",
                                 contact);
    return line_check(source, "contact", contact, CONTACT_OCTETS_MAX, &config->contact, ret_error);
}

static int user_check(const struct sink_config_source *source, struct sink_config *config,
                      struct error *ret_error)
{
    const char *user = source->raw->user;
    if (user != NULL && getpwnam(user) == NULL)
        return config_value_fail(&source->values, config_value_place("user"), ret_error,
                                 "there is no user \"%s\" on this system: make one with useradd "
                                 "--system, or leave it out",
                                 user);
    return config_value_copy(user, &config->user, ret_error);
}

static int control_check(const struct sink_config_source *source, struct sink_config *config,
                         struct error *ret_error)
{
    const char *control = source->raw->control != NULL ? source->raw->control : "tamis-sink.sock";
    struct config_value_place place = config_value_place("control");
    int rc = config_value_path(&source->values, place, "the control socket", control,
                               &config->control, ret_error);
    if (rc == 0 && strlen(config->control) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
        return config_value_fail(&source->values, place, ret_error,
                                 "the path %s is too long for a socket: choose a shorter one",
                                 config->control);
    return rc;
}

/* The rules named, or those installed where there are any. */
static int rules_check(const struct sink_config_source *source, struct sink_config *config,
                       struct error *ret_error)
{
    struct config_value_place place = config_value_place("rules");
    struct stat status;

    if (source->raw->rules == NULL)
        return stat(SINK_RULES, &status) < 0
                   ? 0
                   : config_value_copy(SINK_RULES, &config->rules, ret_error);
    int rc = config_value_path(&source->values, place, "the folder of rules", source->raw->rules,
                               &config->rules, ret_error);
    if (rc == 0 && (stat(config->rules, &status) < 0 || !S_ISDIR(status.st_mode)))
        return config_value_fail(&source->values, place, ret_error,
                                 "%s is no folder of rules: name one, or leave it out for those "
                                 "that are installed",
                                 config->rules);
    return rc;
}

int sink_config_check_program(const struct sink_config_source *source, struct sink_config *config,
                              struct error *ret_error)
{
    const struct raw_sink_config *raw = source->raw;

    int rc =
        config_value_path(&source->values, config_value_place("state"), "the folder of state",
                          raw->state != NULL ? raw->state : "state", &config->state, ret_error);
    if (rc == 0)
        rc = control_check(source, config, ret_error);
    if (rc == 0 && raw->metrics != NULL)
        rc = config_value_address(&source->values, config_value_place("metrics"), raw->metrics,
                                  METRICS_PORT, &config->metrics, ret_error);
    if (rc == 0)
        rc = user_check(source, config, ret_error);
    if (rc == 0)
        rc = line_check(source, "operator", raw->operator_name, OPERATOR_OCTETS_MAX,
                        &config->operator_name, ret_error);
    if (rc == 0)
        rc = contact_check(source, config, ret_error);
    return rc == 0 ? rules_check(source, config, ret_error) : rc;
}

/* ---- Events and what they tell ---- */

static int addresses_check(const struct sink_config_source *source, const struct raw_privacy *raw,
                           struct sink_config *config, struct error *ret_error)
{
    static const char *const kinds[] = {"deterministic", "prefix"};
    const char *kind = raw->addresses != NULL ? raw->addresses : kinds[0];

    if (strcmp(kind, "deterministic") == 0) {
        config->addresses = PRIVACY_DETERMINISTIC;
        return 0;
    }
    if (strcmp(kind, "prefix") == 0) {
        config->addresses = PRIVACY_PREFIX;
        return 0;
    }
    const char *nearest = nearest_word(kind, kinds, sizeof(kinds) / sizeof(kinds[0]));
    return config_value_fail(&source->values, config_value_place("privacy.addresses"), ret_error,
                             "addresses can't be sealed as \"%s\": write %s%s", kind,
                             nearest != NULL ? nearest : "deterministic",
                             nearest != NULL ? "" : " or prefix");
}

static int event_folder_check(const struct sink_config_source *source, const char *folder,
                              struct sink_config *config, struct error *ret_error)
{
    if (folder != NULL)
        return config_value_path(&source->values, config_value_place("events.folder"),
                                 "the folder of events", folder, &config->events, ret_error);
    if (asprintf(&config->events, "%s/events", config->state) < 0) {
        config->events = NULL;
        return config_value_out_of_memory(ret_error);
    }
    return 0;
}

int sink_config_check_events(const struct sink_config_source *source, struct sink_config *config,
                             struct error *ret_error)
{
    const struct raw_events no_events = {0};
    const struct raw_events *events = source->raw->events ? source->raw->events : &no_events;
    const struct raw_evidence no_evidence = {0};
    const struct raw_evidence *evidence =
        source->raw->evidence ? source->raw->evidence : &no_evidence;
    const struct raw_privacy no_privacy = {0};
    const struct raw_privacy *privacy = source->raw->privacy ? source->raw->privacy : &no_privacy;
    unsigned segment_mib, segment_minutes, events_mib, evidence_mib;
    const struct sink_config_number numbers[] = {
        {"events.flush-ms", events->flush_ms, FLUSH_DEFAULT_MS, 10, FLUSH_MAX_MS,
         &config->flush_ms},
        {"events.segment-mib", events->segment_mib, SEGMENT_DEFAULT_MIB, 1, SEGMENT_MAX_MIB,
         &segment_mib},
        {"events.segment-minutes", events->segment_minutes, SEGMENT_DEFAULT_MINUTES, 1,
         SEGMENT_MAX_MINUTES, &segment_minutes},
        {"events.keep-days", events->keep_days, KEEP_DEFAULT_DAYS, 1, DAYS_MAX, &config->keep_days},
        {"events.mib", events->mib, EVENTS_DEFAULT_MIB, 2, EVENTS_MAX_MIB, &events_mib},
        {"evidence.mib", evidence->mib, EVIDENCE_DEFAULT_MIB, 1, EVIDENCE_MAX_MIB, &evidence_mib},
        {"evidence.keep-days", evidence->keep_days, KEEP_DEFAULT_DAYS, 1, DAYS_MAX,
         &config->evidence_keep_days},
        {"privacy.rotate-days", privacy->rotate_days, ROTATE_DEFAULT_DAYS, 1, DAYS_MAX,
         &config->rotate_days},
    };

    int rc = event_folder_check(source, events->folder, config, ret_error);
    if (rc == 0)
        rc = sink_config_numbers(source, numbers, sizeof(numbers) / sizeof(numbers[0]), ret_error);
    if (rc == 0)
        rc = addresses_check(source, privacy, config, ret_error);
    if (rc < 0)
        return rc;
    /* There is always one segment that is written and never deleted. */
    if (events_mib < 2 * segment_mib)
        return config_value_fail(&source->values, config_value_place("events.mib"), ret_error,
                                 "%u MiB of events have no room for two segments of %u MiB: raise "
                                 "mib, or lower segment-mib",
                                 events_mib, segment_mib);
    config->segment_octets_max = (size_t)segment_mib << 20;
    config->events_octets_max = (size_t)events_mib << 20;
    config->segment_seconds = segment_minutes * 60;
    config->evidence_octets_max = (size_t)evidence_mib << 20;
    return 0;
}

int sink_config_check_census(const struct sink_config_source *source, struct sink_config *config,
                             struct error *ret_error)
{
    const struct raw_census nothing = {0};
    const struct raw_census *raw = source->raw->census != NULL ? source->raw->census : &nothing;
    struct census_options *census = &config->census;
    unsigned hours, seconds, days, mib;
    const struct sink_config_number numbers[] = {
        {"census.persistence-hours", raw->persistence_hours, PERSISTENCE_DEFAULT_HOURS, 0,
         PERSISTENCE_MAX_HOURS, &hours},
        {"census.persistence-seconds", raw->persistence_seconds, 0, 0, PERSISTENCE_MAX_SECONDS,
         &seconds},
        {"census.checkins-min", raw->checkins_min, CHECKINS_DEFAULT, 1, COUNT_MAX,
         &census->checkins_min},
        {"census.networks-max", raw->networks_max, NETWORKS_DEFAULT, 1, COUNT_MAX,
         &census->networks_max},
        {"census.ids-per-address-max", raw->ids_per_address_max, IDS_PER_ADDRESS_DEFAULT, 1,
         COUNT_MAX, &census->ids_per_address_max},
        {"census.quiet-days", raw->quiet_days, QUIET_DEFAULT_DAYS, 1, DAYS_MAX, &days},
        {"census.memory-mib", raw->memory_mib, CENSUS_MEMORY_DEFAULT_MIB, 16, CENSUS_MEMORY_MAX_MIB,
         &mib},
    };
    int rc = sink_config_numbers(source, numbers, sizeof(numbers) / sizeof(numbers[0]), ret_error);
    if (rc < 0)
        return rc;
    if (raw->persistence_hours != NULL && raw->persistence_seconds != NULL)
        return config_value_fail(&source->values, config_value_place("census.persistence-seconds"),
                                 ret_error,
                                 "persistence-hours stands beside it: leave one of them out");
    census->persistence_s = raw->persistence_seconds != NULL ? seconds : hours * 3600;
    census->quiet_s = days * 24 * 3600;
    census->memory_max = (size_t)mib << 20;
    return 0;
}

/* ---- NATS ---- */

static int servers_check(const struct sink_config_source *source, const struct raw_nats *raw,
                         struct sink_config *config, struct error *ret_error)
{
    if (raw->servers_count == 0)
        return config_value_fail(&source->values, config_value_place("nats"), ret_error,
                                 "no server is named: write servers: "
                                 "[\"nats://127.0.0.1:4222\"]");
    config->nats_servers = calloc(raw->servers_count, sizeof(*config->nats_servers));
    if (config->nats_servers == NULL)
        return config_value_out_of_memory(ret_error);
    int rc = 0;
    for (size_t i = 0; i < raw->servers_count && rc == 0; i++) {
        const char *url = raw->servers[i];
        if (strncmp(url, "nats://", 7) != 0 && strncmp(url, "tls://", 6) != 0)
            return config_value_fail(
                &source->values, config_value_place("nats.servers.%zu", i), ret_error,
                "\"%s\" is no server of NATS: write nats://192.0.2.1:4222", url);
        rc = config_value_copy(url, &config->nats_servers[i], ret_error);
        config->nats_server_count = i + 1;
    }
    return rc;
}

int sink_config_check_nats(const struct sink_config_source *source, struct sink_config *config,
                           struct error *ret_error)
{
    const struct raw_nats *raw = source->raw->nats;
    if (raw == NULL)
        return 0;

    int rc = servers_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = config_value_copy(raw->stream != NULL ? raw->stream : "TAMIS_SINK",
                               &config->nats_stream, ret_error);
    if (rc == 0)
        rc = config_value_copy(raw->subject != NULL ? raw->subject : "tamis.sink.events",
                               &config->nats_subject, ret_error);
    if (rc == 0)
        rc = config_value_file(&source->values, config_value_place("nats.credentials"),
                               "the file of credentials", raw->credentials,
                               &config->nats_credentials, ret_error);
    if (rc == 0)
        rc =
            config_value_file(&source->values, config_value_place("nats.ca-file"),
                              "the file of the CA", raw->ca_file, &config->nats_ca_file, ret_error);
    if (rc == 0)
        rc =
            config_value_number(&source->values, config_value_place("nats.replicas"), raw->replicas,
                                1, 1, REPLICAS_MAX, &config->nats_replicas, ret_error);
    return rc;
}
