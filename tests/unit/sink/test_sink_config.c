/* The sinkhole's configuration: what it loads as, and that every mistake is named by line with its
 * remedy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/sink_config.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* A folder with one file that configurations refer to as whatever they need. */
struct folder {
    char path[64];
    char config[96];
};

static void file_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static int folder_create(void **state)
{
    static struct folder folder;
    char path[96];

    strcpy(folder.path, "/tmp/tamis-sink-config-XXXXXX");
    if (mkdtemp(folder.path) == NULL)
        return -1;
    snprintf(folder.config, sizeof(folder.config), "%s/tamis-sink.yaml", folder.path);
    snprintf(path, sizeof(path), "%s/file", folder.path);
    file_write(path, "");
    *state = &folder;
    return 0;
}

static int folder_remove(void **state)
{
    const struct folder *folder = *state;
    char path[96];

    snprintf(path, sizeof(path), "%s/file", folder->path);
    unlink(path);
    unlink(folder->config);
    return rmdir(folder->path);
}

static struct sink_config *load(const struct folder *folder, const char *text)
{
    struct sink_config *config = NULL;
    struct error error = {0};

    file_write(folder->config, text);
    int rc = sink_config_load(folder->config, &config, &error);
    if (rc < 0)
        error_print(stderr, "test_sink_config", &error);
    assert_int_equal(rc, 0);
    return config;
}

static void assert_path(const struct folder *folder, const char *path, const char *name)
{
    char expected[128];
    snprintf(expected, sizeof(expected), "%s/%s", folder->path, name);
    assert_string_equal(path, expected);
}

#define WHO    "operator: Example CERT\ncontact: https://sinkhole.example/\n"
#define LISTEN "sensor:\n  listen: [\"127.0.0.1@8080\"]\n"

static void test_every_key_of_the_program_and_the_sensor_is_loaded(void **state)
{
    const struct folder *folder = *state;
    struct sink_config *config =
        load(folder, WHO "state: data\n"
                         "control: /run/tamis-sink/c.sock\n"
                         "metrics: 127.0.0.1@9999\n"
                         "user: root\n"
                         "rules: .\n"
                         "sensor:\n"
                         "  listen: [\"192.0.2.66@80\", \"udp:2001:db8::66@53\"]\n"
                         "  transparent: [\"0.0.0.0@4000\", \"udp:::@4001\"]\n"
                         "  threads: 2\n"
                         "  octets-max: 512\n"
                         "  seconds-max: 7\n"
                         "  idle-seconds-max: 3\n"
                         "  connections-max: 5000\n"
                         "  connections-per-source-max: 50\n"
                         "  datagrams-per-source-max: 60\n"
                         "  memory-mib: 8\n"
                         "  tls: { certificate: file, key: file }\n");

    assert_string_equal(config->path, folder->config);
    assert_string_equal(config->directory, folder->path);
    assert_path(folder, config->state, "data");
    assert_path(folder, config->events, "data/events");
    assert_path(folder, config->rules, ".");
    assert_string_equal(config->control, "/run/tamis-sink/c.sock");
    assert_string_equal(config->metrics.text, "127.0.0.1@9999");
    assert_string_equal(config->user, "root");
    assert_string_equal(config->operator_name, "Example CERT");
    assert_string_equal(config->contact, "https://sinkhole.example/");

    static const struct {
        enum sink_transport transport;
        bool transparent;
        int family;
        uint16_t port;
    } expected[] = {{SINK_TCP, false, AF_INET, 80},
                    {SINK_UDP, false, AF_INET6, 53},
                    {SINK_TCP, true, AF_INET, 4000},
                    {SINK_UDP, true, AF_INET6, 4001}};
    assert_int_equal(config->listen_count, ARRAY_SIZE(expected));
    for (size_t i = 0; i < ARRAY_SIZE(expected); i++) {
        const struct sensor_listen *listen = &config->listen[i];
        const struct sockaddr_storage *address = &listen->address.address;
        assert_int_equal(listen->transport, expected[i].transport);
        assert_int_equal(listen->transparent, expected[i].transparent);
        assert_int_equal(address->ss_family, expected[i].family);
        /* The port stands in the same place of both families. */
        assert_int_equal(ntohs(((const struct sockaddr_in *)address)->sin_port), expected[i].port);
    }
    assert_int_equal(config->threads, 2);
    assert_int_equal(config->octets_max, 512);
    assert_int_equal(config->seconds_max, 7);
    assert_int_equal(config->idle_seconds_max, 3);
    assert_int_equal(config->connections_max, 5000);
    assert_int_equal(config->connections_per_source_max, 50);
    assert_int_equal(config->datagrams_per_source_max, 60);
    assert_int_equal(config->memory_max, 8 << 20);
    assert_path(folder, config->certificate, "file");
    assert_path(folder, config->key, "file");
    sink_config_free(config);
}

static void test_every_key_about_events_is_loaded(void **state)
{
    const struct folder *folder = *state;
    struct sink_config *config = load(
        folder, WHO LISTEN
        "orders: [file, file]\n"
        "answers: { listen: answers.sock, window: 60 }\n"
        "networks: { asn: file, country: file }\n"
        "events: { folder: kept, flush-ms: 50, segment-mib: 2, segment-minutes: 3, keep-days: 4,\n"
        "          mib: 6 }\n"
        "evidence: { mib: 5, keep-days: 6 }\n"
        "privacy: { addresses: prefix, rotate-days: 7 }\n"
        "census: { persistence-hours: 8, checkins-min: 9, networks-max: 10,\n"
        "          ids-per-address-max: 11, quiet-days: 12, memory-mib: 16 }\n"
        "nats: { servers: [\"nats://127.0.0.1:4222\", \"tls://n.example:4222\"], stream: S,\n"
        "        subject: a.b, credentials: file, ca-file: file, replicas: 3 }\n");

    assert_int_equal(config->order_count, 2);
    assert_path(folder, config->orders[1], "file");
    assert_path(folder, config->answers, "answers.sock");
    assert_int_equal(config->window_s, 60);
    assert_path(folder, config->asn_path, "file");
    assert_path(folder, config->country_path, "file");
    assert_path(folder, config->events, "kept");
    assert_int_equal(config->flush_ms, 50);
    assert_int_equal(config->segment_octets_max, 2 << 20);
    assert_int_equal(config->segment_seconds, 180);
    assert_int_equal(config->keep_days, 4);
    assert_int_equal(config->events_octets_max, 6 << 20);
    assert_int_equal(config->evidence_octets_max, 5 << 20);
    assert_int_equal(config->evidence_keep_days, 6);
    assert_int_equal(config->addresses, PRIVACY_PREFIX);
    assert_int_equal(config->rotate_days, 7);
    assert_int_equal(config->census.persistence_s, 8 * 3600);
    assert_int_equal(config->census.checkins_min, 9);
    assert_int_equal(config->census.networks_max, 10);
    assert_int_equal(config->census.ids_per_address_max, 11);
    assert_int_equal(config->census.quiet_s, 12 * 24 * 3600);
    assert_int_equal(config->census.memory_max, 16 << 20);
    assert_int_equal(config->nats_server_count, 2);
    assert_string_equal(config->nats_servers[1], "tls://n.example:4222");
    assert_string_equal(config->nats_stream, "S");
    assert_string_equal(config->nats_subject, "a.b");
    assert_path(folder, config->nats_credentials, "file");
    assert_path(folder, config->nats_ca_file, "file");
    assert_int_equal(config->nats_replicas, 3);
    sink_config_free(config);
}

static void test_what_is_left_out_has_its_default(void **state)
{
    const struct folder *folder = *state;
    struct sink_config *config = load(folder, WHO LISTEN);

    assert_path(folder, config->state, "state");
    assert_path(folder, config->events, "state/events");
    assert_path(folder, config->control, "tamis-sink.sock");
    assert_int_equal(config->metrics.size, 0);
    assert_null(config->user);
    assert_int_equal(config->threads, 1);
    assert_int_equal(config->octets_max, 4096);
    assert_int_equal(config->connections_max, 100000);
    assert_int_equal(config->datagrams_per_source_max, 100);
    assert_null(config->certificate);
    assert_int_equal(config->order_count, 0);
    assert_null(config->answers);
    assert_int_equal(config->flush_ms, 1000);
    assert_int_equal(config->keep_days, 90);
    assert_int_equal(config->events_octets_max, (size_t)10240 << 20);
    assert_int_equal(config->addresses, PRIVACY_DETERMINISTIC);
    assert_int_equal(config->census.persistence_s, 24 * 3600);
    assert_int_equal(config->nats_server_count, 0);
    sink_config_free(config);
}

static void test_trials_persist_for_seconds(void **state)
{
    struct sink_config *config = load(*state, WHO LISTEN "census: { persistence-seconds: 5 }\n");

    assert_int_equal(config->census.persistence_s, 5);
    sink_config_free(config);
}

static void test_mistakes_name_line_and_remedy(void **state)
{
    const struct folder *folder = *state;
    static const struct {
        const char *text;
        uint32_t line;
        const char *says;
    } mistakes[] = {
        {WHO "sensr: {}\n", 3, "did you mean 'sensor'"},
        {WHO "sensor:\n  lisen: []\n", 4, "did you mean 'listen'"},
        {"operator: A\n" LISTEN, 1, "'contact' is missing"},
        {"contact: https://a.example/\n" LISTEN, 1, "'operator' is missing"},
        {"operator: \"\"\ncontact: https://a.example/\n" LISTEN, 1, "says nothing"},
        {"operator: \"a\\r\\nSet-Cookie: b\"\ncontact: https://a.example/\n" LISTEN, 1,
         "control character"},
        {"operator: A\ncontact: nobody\n" LISTEN, 2, "no URI: write https://"},
        {"operator: A\ncontact: \"https://a.example/<b>\"\n" LISTEN, 2, "no URI"},
        {WHO, 1, "listens nowhere: write sensor"},
        {WHO "sensor:\n  listen: []\n", 4, "listens nowhere"},
        {WHO "sensor:\n  listen:\n    - \"127.0.0.1@80\"\n    - \"127.0.0.1:80\"\n", 6,
         "is not an address"},
        {WHO "sensor:\n  listen: [\"127.0.0.1\"]\n", 4, "lacks its port: write 127.0.0.1@80"},
        {WHO "sensor:\n  transparent: [\"udp:192.0.2.0/24\"]\n", 4, "is a prefix"},
        {WHO LISTEN "  octets-max: 63\n", 5, "give 64 to 65536"},
        {WHO LISTEN "  threads: two\n", 5, "expects a whole number"},
        {WHO LISTEN "  tls: { certificate: file }\n", 5, "'key' is missing"},
        {WHO LISTEN "  tls: { certificate: none.pem, key: file }\n", 5, "cannot be read"},
        {WHO LISTEN "user: nobody-of-this-name\n", 5, "useradd"},
        {WHO LISTEN "orders:\n  - file\n  - gone.yaml\n", 7, "the order"},
        {WHO LISTEN "answers: { window: 5 }\n", 5, "'listen' is missing"},
        {WHO LISTEN "rules: file\n", 5, "no folder of rules"},
        {WHO LISTEN "networks:\n  country: gone.mmdb\n", 6, "the database of countries"},
        {WHO LISTEN "events: { keep-days: 0 }\n", 5, "give 1 to"},
        {WHO LISTEN "events: { segment-mib: 8, mib: 15 }\n", 5, "no room for two segments"},
        {WHO LISTEN "privacy: { addresses: prefx }\n", 5, "write prefix"},
        {WHO LISTEN "privacy: { addresses: open }\n", 5, "deterministic or prefix"},
        {WHO LISTEN "census: { persistence-seconds: 3600 }\n", 5, "give 0 to 3599"},
        {WHO LISTEN "census:\n  persistence-hours: 1\n  persistence-seconds: 5\n", 7,
         "leave one of them out"},
        {WHO LISTEN "nats: { stream: S }\n", 5, "no server is named"},
        {WHO LISTEN "nats:\n  servers: [\"127.0.0.1:4222\"]\n", 6, "write nats://"},
        {WHO LISTEN "metrics: 127.0.0.1@x\n", 5, "no valid port"},
        {WHO LISTEN "state: \"\"\n", 5, "the folder of state has no name"},
    };

    for (size_t i = 0; i < ARRAY_SIZE(mistakes); i++) {
        struct sink_config *config = NULL;
        struct error error = {0};

        file_write(folder->config, mistakes[i].text);
        int rc = sink_config_load(folder->config, &config, &error);
        if (rc != -EINVAL || error.line != mistakes[i].line ||
            strstr(error.text, mistakes[i].says) == NULL) {
            error_print(stderr, "got", &error);
            fail_msg("case %zu expected line %u and \"%s\"", i, mistakes[i].line, mistakes[i].says);
        }
        assert_null(config);
        assert_string_equal(error.file, folder->config);
    }
}

static void test_a_path_too_long_for_a_socket_is_refused(void **state)
{
    const struct folder *folder = *state;
    struct sink_config *config = NULL;
    struct error error = {0};
    char text[512];

    snprintf(text, sizeof(text), WHO LISTEN "control: %0120d\n", 0);
    file_write(folder->config, text);
    assert_int_equal(sink_config_load(folder->config, &config, &error), -EINVAL);
    assert_int_equal(error.line, 5);
    assert_non_null(strstr(error.text, "too long for a socket"));
}

static void test_the_example_loads(void **state)
{
    struct sink_config *config = NULL;
    struct error error = {0};

    (void)state;
    int rc = sink_config_load(EXAMPLE_PATH, &config, &error);
    if (rc < 0)
        error_print(stderr, "test_sink_config", &error);
    assert_int_equal(rc, 0);
    assert_int_equal(config->listen_count, 3);
    sink_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_of_the_program_and_the_sensor_is_loaded),
        cmocka_unit_test(test_every_key_about_events_is_loaded),
        cmocka_unit_test(test_what_is_left_out_has_its_default),
        cmocka_unit_test(test_trials_persist_for_seconds),
        cmocka_unit_test(test_mistakes_name_line_and_remedy),
        cmocka_unit_test(test_a_path_too_long_for_a_socket_is_refused),
        cmocka_unit_test(test_the_example_loads),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
