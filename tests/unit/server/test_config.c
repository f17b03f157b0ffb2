/* The configuration: what it loads as, and that every mistake is named by line with its remedy. */
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

#include "server/config.h"

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* A folder with one zone file and one order file, which configurations refer to. */
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

    strcpy(folder.path, "/tmp/tamis-config-XXXXXX");
    if (mkdtemp(folder.path) == NULL)
        return -1;
    snprintf(folder.config, sizeof(folder.config), "%s/tamisd.yaml", folder.path);
    snprintf(path, sizeof(path), "%s/a.zone", folder.path);
    file_write(path, "");
    snprintf(path, sizeof(path), "%s/order.yaml", folder.path);
    file_write(path, "");
    *state = &folder;
    return 0;
}

static int folder_remove(void **state)
{
    static const char *const files[] = {"a.zone", "order.yaml", "tamisd.yaml"};
    const struct folder *folder = *state;
    char path[96];

    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        snprintf(path, sizeof(path), "%s/%s", folder->path, files[i]);
        unlink(path);
    }
    return rmdir(folder->path);
}

static struct config *load(const struct folder *folder, const char *text)
{
    struct config *config = NULL;
    struct error error = {0};

    file_write(folder->config, text);
    int rc = config_load(folder->config, &config, &error);
    if (rc < 0)
        error_print(stderr, "test_config", &error);
    assert_int_equal(rc, 0);
    return config;
}

#define LISTEN "server:\n  listen: [\"127.0.0.1@5300\"]\n"
#define KEYS                                                                        \
    "keys:\n"                                                                       \
    "  - { name: xfr, algorithm: hmac-sha256, secret: bm90LWEtcmVhbC1zZWNyZXQ= }\n" \
    "  - { name: Update.Example., algorithm: hmac-sha512, secret: c2Vjb25k }\n"

static void test_every_key_is_loaded(void **state)
{
    const struct folder *folder = *state;
    char expected[128];
    struct config *config = load(
        folder, "server:\n"
                "  listen: [\"127.0.0.1@5300\", \"::1@5301\", \"192.0.2.9\"]\n"
                "  workers: 3\n"
                "  state: data/state\n"
                "  control: /run/tamis/tamisd.sock\n"
                "  metrics: 127.0.0.1@9154\n"
                "  nsid: 0x6e73\n"
                "  version: \"\"\n"
                "  identity: front-1\n"
                "  udp-payload-max: 1400\n"
                "  tcp-clients: 50\n"
                "  tcp-clients-per-address: 7\n"
                "  cache: { size: 2G, persist: true, save-interval: 2h }\n"
                "  forward-threads: 3\n"
                "  tcp-idle-timeout: 500ms\n" KEYS "zones:\n"
                "  - { name: A.Example, primary: { file: a.zone } }\n"
                "  - name: b.example.\n"
                "    secondary: { from: [\"192.0.2.1\", \"2001:db8::1@5353\"], key: XFR,\n"
                "                 zonemd: require, transfer-time-max: 90, transfer-size-max: 3M }\n"
                "    allow-transfer: [192.0.2.0/24, update.example, \"2001:db8::/32 key xfr\"]\n"
                "    allow-update: [xfr]\n"
                "    allow-notify: [198.51.100.1]\n"
                "    notify: [203.0.113.5@54, \"2001:db8::5 key xfr\"]\n"
                "  - { name: c.example, forward: { to: [192.0.2.3], rate-max: 900,\n"
                "      unseen-rate-max: 30, stale-max: 12h, client-subnet: true,\n"
                "      aggressive-nsec: false } }\n"
                "  - { name: ., primary: { file: a.zone } }\n"
                "orders:\n"
                "  files: [order.yaml]\n"
                "  zones: []\n"
                "  catalog: \"\"\n"
                "  keyring:\n"
                "    - { name: judge, public: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8= }\n"
                "  signatures-min: 1\n");

    assert_string_equal(config->path, folder->config);
    assert_string_equal(config->directory, folder->path);
    assert_int_equal(config->listen_count, 3);
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)&config->listen[0].address;
    assert_int_equal(v4->sin_family, AF_INET);
    assert_int_equal(ntohs(v4->sin_port), 5300);
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&config->listen[1].address;
    assert_int_equal(v6->sin6_family, AF_INET6);
    assert_int_equal(ntohs(v6->sin6_port), 5301);
    assert_int_equal(config->listen[1].size, sizeof(*v6));
    v4 = (const struct sockaddr_in *)&config->listen[2].address;
    assert_int_equal(ntohs(v4->sin_port), 53);

    assert_int_equal(config->workers, 3);
    snprintf(expected, sizeof(expected), "%s/data/state", folder->path);
    assert_string_equal(config->state, expected);
    assert_string_equal(config->control, "/run/tamis/tamisd.sock");
    assert_true(config->has_metrics);
    assert_string_equal(config->metrics.text, "127.0.0.1@9154");
    assert_string_equal(config->nsid, "0x6e73");
    assert_string_equal(config->version, "");
    assert_string_equal(config->identity, "front-1");
    assert_int_equal(config->udp_payload_max, 1400);
    assert_int_equal(config->tcp_clients_max, 50);
    assert_int_equal(config->tcp_clients_per_address_max, 7);
    assert_int_equal(config->tcp_idle_timeout_ms, 500);
    assert_int_equal(config->cache_octets_max, (uint64_t)2 << 30);
    assert_true(config->cache_persists);
    assert_int_equal(config->cache_save_interval_s, 2 * 60 * 60);
    assert_int_equal(config->forward_threads, 3);

    assert_int_equal(config->key_count, 2);
    assert_string_equal(config->keys[0].name, "xfr");
    assert_string_equal(config->keys[0].algorithm, "hmac-sha256");
    assert_string_equal(config->keys[0].secret, "bm90LWEtcmVhbC1zZWNyZXQ=");
    assert_string_equal(config->keys[1].name, "Update.Example");

    assert_int_equal(config->zone_count, 4);
    const struct config_zone *zone = &config->zones[0];
    assert_int_equal(zone->kind, CONFIG_PRIMARY);
    assert_string_equal(zone->name, "A.Example");
    assert_memory_equal(zone->apex, "\1a\7example", 11);
    assert_int_equal(zone->line, 20);
    snprintf(expected, sizeof(expected), "%s/a.zone", folder->path);
    assert_string_equal(zone->file, expected);

    zone = &config->zones[1];
    assert_int_equal(zone->kind, CONFIG_SECONDARY);
    assert_int_equal(zone->line, 21);
    assert_int_equal(zone->from_count, 2);
    assert_int_equal(ntohs(((struct sockaddr_in *)&zone->from[0].address)->sin_port), 53);
    assert_int_equal(ntohs(((struct sockaddr_in6 *)&zone->from[1].address)->sin6_port), 5353);
    assert_ptr_equal(zone->key, &config->keys[0]);
    assert_int_equal(zone->allow_transfer_count, 3);
    assert_true(zone->allow_transfer[0].has_address);
    assert_int_equal(zone->allow_transfer[0].address.prefix_bits, 24);
    assert_null(zone->allow_transfer[0].key);
    assert_false(zone->allow_transfer[1].has_address);
    assert_ptr_equal(zone->allow_transfer[1].key, &config->keys[1]);
    assert_true(zone->allow_transfer[2].has_address);
    assert_ptr_equal(zone->allow_transfer[2].key, &config->keys[0]);
    assert_int_equal(zone->allow_update_count, 1);
    assert_int_equal(zone->notify_count, 2);
    v4 = (const struct sockaddr_in *)&zone->notify[0].address.address;
    assert_int_equal(ntohs(v4->sin_port), 54);
    assert_null(zone->notify[0].key);
    v6 = (const struct sockaddr_in6 *)&zone->notify[1].address.address;
    assert_int_equal(ntohs(v6->sin6_port), 53);
    assert_string_equal(zone->notify[1].key->name, "xfr");

    assert_int_equal(config->zones[2].kind, CONFIG_FORWARD);
    assert_int_equal(config->zones[2].from_count, 1);
    assert_int_equal(config->zones[2].rate_max, 900);
    assert_int_equal(config->zones[2].unseen_rate_max, 30);
    assert_int_equal(config->zones[2].stale_s, 12 * 3600);
    assert_true(config->zones[2].passes_client_subnet);
    assert_false(config->zones[2].uses_denials);
    assert_int_equal(config->zones[1].zonemd, ZONEMD_REQUIRE);
    assert_int_equal(config->zones[1].transfer_time_max_ms, 90000);
    assert_int_equal(config->zones[1].transfer_size_max, 3 << 20);
    assert_int_equal(config->zones[2].allow_notify_count, 0);
    assert_int_equal(config->zones[3].apex[0], 0);

    assert_int_equal(config->order_file_count, 1);
    snprintf(expected, sizeof(expected), "%s/order.yaml", folder->path);
    assert_string_equal(config->order_files[0], expected);
    assert_int_equal(config->signer_count, 1);
    assert_string_equal(config->signers[0].name, "judge");
    assert_int_equal(config->signers[0].public_key[31], 31);
    assert_int_equal(config->signatures_min, 1);
    config_free(config);
}

static void test_a_short_file_gets_the_documented_defaults(void **state)
{
    const struct folder *folder = *state;
    char expected[128];
    struct config *config = load(folder, LISTEN);

    assert_true(config->workers >= 1);
    snprintf(expected, sizeof(expected), "%s/state", folder->path);
    assert_string_equal(config->state, expected);
    snprintf(expected, sizeof(expected), "%s/tamisd.sock", folder->path);
    assert_string_equal(config->control, expected);
    assert_false(config->has_metrics);
    assert_null(config->nsid);
    assert_null(config->version);
    assert_null(config->identity);
    assert_int_equal(config->udp_payload_max, 1232);
    assert_int_equal(config->tcp_clients_max, 1000);
    assert_int_equal(config->tcp_clients_per_address_max, 100);
    assert_int_equal(config->tcp_idle_timeout_ms, 10000);
    assert_int_equal(config->zone_count, 0);
    assert_int_equal(config->signatures_min, 0);
    config_free(config);
}

/* A configuration that must be refused: the line and parts of the text that a person needs. */
struct mistake {
    const char *text;
    uint32_t line;
    const char *says;
};

static void mistakes_check(const struct folder *folder, const struct mistake *mistakes,
                           size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct config *config = NULL;
        struct error error = {0};

        file_write(folder->config, mistakes[i].text);
        int rc = config_load(folder->config, &config, &error);
        if (rc != -EINVAL || error.line != mistakes[i].line ||
            strstr(error.text, mistakes[i].says) == NULL) {
            error_print(stderr, "got", &error);
            fail_msg("case %zu expected line %u and \"%s\"", i, mistakes[i].line, mistakes[i].says);
        }
        assert_null(config);
        assert_string_equal(error.file, folder->config);
        assert_int_equal(error.code, rc);
    }
}

static void test_mistakes_in_the_schema_name_line_and_remedy(void **state)
{
    static const struct mistake mistakes[] = {
        {"sever:\n  workers: 1\n", 1, "did you mean 'server'"},
        {"server:\n  lisen: []\n", 2, "did you mean 'listen'"},
        {LISTEN "zones:\n  - { name: a.example, secundary: { from: [192.0.2.1] } }\n", 4,
         "did you mean 'secondary'"},
        {LISTEN "zones:\n  - { name: a.example, primary: { fil: a.zone } }\n", 4,
         "did you mean 'file'"},
        {LISTEN "  workers: two\n", 3, "expects a whole number"},
        {LISTEN "  workers: [2]\n", 3, "expects a single value"},
        {"server:\n  listen: 127.0.0.1@53\n", 2, "expects a list"},
        {LISTEN "zones:\n  a.example: {}\n", 4, "expects a list"},
        {LISTEN "zones:\n  - { primary: { file: a.zone } }\n", 4, "'name' is missing"},
        {LISTEN "keys:\n  - { name: k, secret: AAAA }\n", 4, "'algorithm' is missing"},
        {LISTEN "  listen: [\"::1@53\"]\n", 3, "twice"},
        {"server:\n\tlisten: []\n", 2, "not valid YAML"},
        {"", 0, "empty"},
    };
    mistakes_check(*state, mistakes, ARRAY_SIZE(mistakes));
}

static void test_mistakes_in_the_server_part_name_line_and_remedy(void **state)
{
    static const struct mistake mistakes[] = {
        {"server:\n  workers: 1\n", 2, "listens nowhere"},
        {"server:\n  workers: 1\n  listen: []\n", 3, "listens nowhere"},
        {"zones: []\n", 1, "listens nowhere"},
        {"server:\n  listen:\n    - \"127.0.0.1@5300\"\n    - \"127.0.0.1:5300\"\n", 4,
         "is not an address"},
        {"server:\n  listen: [\"127.0.0.1@0\"]\n", 2, "no valid port"},
        {"server:\n  listen: [\"127.0.0.1@70000\"]\n", 2, "no valid port"},
        {"server:\n  listen: [\"127.0.0.0/8\"]\n", 2, "is a prefix"},
        {"server:\n  listen: [\"::1@53\",\n    \"0:0::1@53\"]\n", 3, "there twice"},
        {LISTEN "  workers: 0\n", 3, "from 1 to 1024"},
        {LISTEN "  udp-payload-max: 100\n", 3, "from 512 to 4096"},
        {LISTEN "  tcp-clients: 0\n", 3, "from 1 to"},
        {LISTEN "  tcp-clients-per-address: 0\n", 3, "from 1 to"},
        {LISTEN "  tcp-idle-timeout: 0\n", 3, "seconds from 1"},
        {LISTEN "  tcp-idle-timeout: 5h\n", 3, "seconds from 1"},
        {LISTEN "  tcp-idle-timeout: -3s\n", 3, "seconds from 1"},
        {LISTEN "  tcp-idle-timeout: 99999999999999999999s\n", 3, "seconds from 1"},
        {LISTEN "  metrics: localhost\n", 3, "is not an address"},
        {LISTEN "  tls: { listen: [\"127.0.0.1\"] }\n", 3, "'certificate' is missing"},
        {LISTEN "  tls: { certificate: a.zone, key: a.zone }\n", 3, "TLS listens nowhere"},
        {LISTEN "  tls:\n    listen: [\"127.0.0.1@5300\"]\n    certificate: a.zone\n"
                "    key: a.zone\n",
         4, "serves DNS in the clear already"},
        {LISTEN "  tls:\n    listen: [\"127.0.0.1\", \"127.0.0.1@853\"]\n"
                "    certificate: a.zone\n    key: a.zone\n",
         4, "there twice"},
        {LISTEN "  tls:\n    listen: [\"127.0.0.1\"]\n    certificate: gone.pem\n"
                "    key: a.zone\n",
         5, "gone.pem cannot be read"},
        {LISTEN "  tls:\n    listen: [\"127.0.0.1\"]\n    certificate: a.zone\n"
                "    key: gone.key\n",
         6, "gone.key cannot be read"},
        {LISTEN "  nsid: 0x6g\n", 3, "hexadecimal"},
        {LISTEN "  nsid: \"\"\n", 3, "nsid is empty"},
        {LISTEN "  control: /tmp/"
                "0123456789012345678901234567890123456789012345678901234567890123456789"
                "0123456789012345678901234567890123456789\n",
         3, "a socket's path may have 107"},
    };
    mistakes_check(*state, mistakes, ARRAY_SIZE(mistakes));
}

static void test_mistakes_in_keys_name_line_and_remedy(void **state)
{
    static const struct mistake mistakes[] = {
        {LISTEN "keys:\n  - { name: k, algorithm: hmac-md5, secret: AAAA }\n", 4, "hmac-sha256"},
        {LISTEN "keys:\n  - { name: k, algorithm: hmac-sha265, secret: AAAA }\n", 4,
         "did you mean hmac-sha256"},
        {LISTEN "keys:\n  - name: k\n    algorithm: rot13\n    secret: AAAA\n", 5, "is not known"},
        {LISTEN "keys:\n  - name: k\n    algorithm: hmac-sha256\n    secret: \"?\"\n", 6,
         "not base64"},
        {LISTEN "keys:\n  - { name: k, algorithm: hmac-sha256, secret: \"\" }\n", 4, "not base64"},
        {LISTEN "keys:\n  - { name: a..b, algorithm: hmac-sha256, secret: AAAA }\n", 4,
         "not a domain name"},
        {LISTEN KEYS "  - { name: XFR., algorithm: hmac-sha256, secret: AAAA }\n", 6,
         "defined twice"},
    };
    mistakes_check(*state, mistakes, ARRAY_SIZE(mistakes));
}

static void test_mistakes_in_zones_name_line_and_remedy(void **state)
{
#define ZONES      LISTEN KEYS "zones:\n"
#define PIN        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define ORIGIN_TLS ZONES "  - name: a.example\n    secondary:\n      from: [192.0.2.1]\n      tls: "
#define FORWARDED  ZONES "  - name: a.example\n    forward:\n      to: [192.0.2.1]\n"
    static const struct mistake mistakes[] = {
        {ZONES "  - { name: a.example }\n", 7, "has no role"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    forward: { to: [192.0.2.1] }\n",
         7, "more than one role"},
        {ZONES "  - name: a.example\n    primary:\n      file: gone.zone\n", 9,
         "gone.zone cannot be read"},
        {ZONES "  - { name: a.example, primary: { file: . } }\n", 7, "is a folder"},
        {ZONES "  - { name: a.example, primary: { file: \"\" } }\n", 7, "has no name"},
        {ZONES "  - { name: a..example, primary: { file: a.zone } }\n", 7, "not a domain name"},
        {ZONES "  - { name: \"\", primary: { file: a.zone } }\n", 7, "not a domain name"},
        {ZONES "  - { name: b\xc3\xbc"
               "cher.example, primary: { file: a.zone } }\n",
         7, "A-label"},
        {ZONES "  - { name: a b.example, primary: { file: a.zone } }\n", 7, "blank"},
        {ZONES "  - { name: a.example, primary: { file: a.zone } }\n"
               "  - { name: b.example, primary: { file: a.zone } }\n"
               "  - { name: A.EXAMPLE., primary: { file: a.zone } }\n",
         9, "first on line 7"},
        {ZONES "  - { name: a.example, secondary: { from: [] } }\n", 7, "no origin"},
        {ZONES "  - { name: a.example, secondary: { key: xfr } }\n", 7, "no origin"},
        {ZONES "  - { name: a.example, forward: { to: [] } }\n", 7, "no server to ask"},
        {FORWARDED "      rate-max: 0\n", 10, "nothing would be asked"},
        {FORWARDED "      unseen-rate-max: 0\n", 10, "no name would ever become known"},
        {FORWARDED "      rate-max: 10\n      unseen-rate-max: 11\n", 11, "more than rate-max 10"},
        {FORWARDED "      stale-max: 8d\n", 10, "up to 7d"},
        {FORWARDED "      stale-max: long\n", 10, "stale-max is \"long\""},
        {FORWARDED "      client-subnets: true\n", 10, "did you mean 'client-subnet'"},
        {LISTEN "  zone-counters: 1000001\n", 3, "from 0 to 1000000"},
        {LISTEN "  error-reports:\n    agent: er..example\n", 4, "is no domain name"},
        {LISTEN "  error-reports: { agent: \".\" }\n", 3, "is no domain name"},
        {LISTEN "  error-reports: { agnt: er.example }\n", 3, "did you mean 'agent'"},
        {LISTEN "  error-reports: { agent: er.example }\n", 3, "add the zone"},
        {LISTEN
         "  error-reports: { agent: an-agent-whose-name-is-longer-than-reports.can-do.example "
         "}\n",
         3, "at most 47"},
        {LISTEN "  cache: { size: 64K }\n", 3, "from 1M to 1T"},
        {LISTEN "  cache: { size: 0M }\n", 3, "from 1M to 1T"},
        {LISTEN "  cache: { size: \"64\" }\n", 3, "as in 64M"},
        {LISTEN "  cache: { save-interval: 0s }\n", 3, "from 1s to 1d"},
        {LISTEN "  cache: { save-interval: 2d }\n", 3, "from 1s to 1d"},
        {LISTEN "  cache: { save-interval: 5 }\n", 3, "as in 15m"},
        {LISTEN "  forward-threads: 0\n", 3, "write 1 to 64"},
        {ZONES "  - name: a.example\n    secondary:\n      from: [192.0.2.1]\n"
               "      key: xfrr\n",
         10, "did you mean \"xfr\""},
        {LISTEN "zones:\n  - { name: a.example, secondary: { from: [192.0.2.1], key: x } }\n", 4,
         "add it under \"keys\""},
        {ZONES "  - { name: a.example, secondary: { from: [192.0.2] } }\n", 7, "is not an address"},
        {ORIGIN_TLS "{}\n", 10, "how to recognise the origin"},
        {ORIGIN_TLS "{ name: ns.example }\n", 10, "how to recognise the origin"},
        {ORIGIN_TLS "{ ca: a.zone }\n", 10, "would pass for the origin"},
        {ORIGIN_TLS "{ ca: a.zone, name: \"\" }\n", 10, "name is empty"},
        {ORIGIN_TLS "{ ca: gone.pem, name: ns.example }\n", 10, "gone.pem cannot be read"},
        {ORIGIN_TLS "{ pin: [AAAA] }\n", 10, "is not base64 of 32 octets"},
        {ORIGIN_TLS "{ pin: [" PIN "], key: a.zone }\n", 10, "go together"},
        {ORIGIN_TLS "{ pins: [" PIN "] }\n", 10, "did you mean 'pin'"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n    allow-transfer:\n"
               "      - 192.0.2.1\n      - 192.0.2.1/24\n",
         11, "names a host inside a prefix"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    allow-transfer: [192.0.2.0/33]\n",
         9, "no valid prefix length"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    allow-update: [192.0.2.1@53]\n",
         9, "has a port"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    update-policy:\n      - { key: xfr, names: [a.example, www.b.example] }\n",
         10, "www.b.example is not in zone a.example"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    update-policy:\n      - { key: xfr, types: [A] }\n",
         10, "grants no name"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    update-policy:\n      - { key: xf, self: true }\n",
         10, "did you mean \"xfr\""},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    update-policy:\n      - { key: \"*\", self: true, types: [AAA] }\n",
         10, "not a type of records"},
        {"server:\n  listen: [\"127.0.0.1@5300\"]\n  journal: { size: 5M }\n", 3, "from 16M to 1T"},
        {"server:\n  listen: [\"127.0.0.1@5300\"]\n  journal: { age: 14 }\n", 3,
         "as in 12h or 14d"},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    allow-update: [update.exmple]\n",
         9, "did you mean key \"Update.Example\""},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    allow-notify: [\"192.0.2.1 key xf\"]\n",
         9, "did you mean \"xfr\""},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    notify: [192.0.2.0/24]\n",
         9, "is a prefix"},
        {ZONES "  - name: a.example\n    secondary: { from: [192.0.2.1],\n      zonemd: on }\n", 9,
         "zonemd is \"on\": write verify, require or ignore"},
        {ZONES "  - name: a.example\n    secondary: { from: [192.0.2.1],\n"
               "      transfer-time-max: 25h }\n",
         9, "write a time from 1s to 24h"},
        {ZONES "  - name: a.example\n    secondary: { from: [192.0.2.1],\n"
               "      transfer-time-max: 5 minutes }\n",
         9, "transfer-time-max is \"5 minutes\""},
        {ZONES "  - name: a.example\n    secondary: { from: [192.0.2.1],\n"
               "      transfer-size-max: 0G }\n",
         9, "write octets, as in 64K"},
        {ZONES "  - name: a.example\n    secondary: { from: [192.0.2.1],\n"
               "      transfer-size-max: 20000000T }\n",
         9, "transfer-size-max is \"20000000T\""},
        {ZONES "  - name: a.example\n    primary: { file: a.zone }\n"
               "    notify: [\"192.0.2.1 key xf\"]\n",
         9, "did you mean \"xfr\""},
    };
    mistakes_check(*state, mistakes, ARRAY_SIZE(mistakes));
}

static void test_origins_over_tls_have_their_port_and_neighbours_share_what_is_the_same(
    void **state)
{
    struct config *config =
        load(*state, LISTEN
             "zones:\n"
             "  - { name: a.example, secondary: { from: [192.0.2.1], tls: { pin: [" PIN "] } } }\n"
             "  - { name: b.example, secondary: { from: [\"192.0.2.1@54\"], tls: { pin: [" PIN
             "] } } }\n"
             "  - { name: c.example, secondary: { from: [192.0.2.1],\n"
             "      tls: { pin: [" PIN "], name: ns.example } } }\n"
             "  - { name: d.example, secondary: { from: [192.0.2.1] } }\n");
    static const uint16_t ports[] = {853, 54, 853, 53};
    for (size_t i = 0; i < ARRAY_SIZE(ports); i++)
        assert_int_equal(ntohs(((struct sockaddr_in *)&config->zones[i].from[0].address)->sin_port),
                         ports[i]);
    assert_non_null(config->zones[0].tls);
    assert_ptr_equal(config->zones[0].tls, config->zones[1].tls);
    assert_non_null(config->zones[2].tls);
    assert_ptr_not_equal(config->zones[2].tls, config->zones[1].tls);
    assert_null(config->zones[3].tls);
    config_free(config);
}

static void test_mistakes_in_orders_name_line_and_remedy(void **state)
{
#define PUBLIC    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define FORWARD   "zones: [{ name: f.example, forward: { to: [192.0.2.1] } }]\n"
#define SECONDARY "zones: [{ name: s.example, secondary: { from: [192.0.2.1] } }]\n"
    static const struct mistake mistakes[] = {
        {LISTEN "orders:\n  files:\n    - order.yaml\n    - gone.yaml\n", 6,
         "gone.yaml cannot be read"},
        {LISTEN "orders:\n  zones: [rpz.example]\n", 4,
         "zone rpz.example is not under \"zones\": add it there"},
        {LISTEN "orders:\n  catalog: c..example\n", 4, "not a domain name"},
        {LISTEN "orders:\n  zones: [f.example]\n" FORWARD, 4, "is forwarded"},
        {LISTEN "orders:\n  zones: [s.example]\n  catalog: S.example.\n" SECONDARY, 5,
         "there twice"},
        {LISTEN "orders:\n  zones: [s.example, s.example]\n" SECONDARY, 4, "there twice"},
        {LISTEN "orders:\n  catalog: p.example\n"
                "zones: [{ name: p.example, primary: { file: order.yaml } }]\n",
         4, "not a secondary zone"},
        {LISTEN "orders:\n  publish: { catalog: c.example }\n", 4, "suffix"},
        {LISTEN "orders:\n  publish: { catalog: c.example, suffix: a..b }\n", 4,
         "\"a..b\" is not a domain name"},
        {LISTEN "orders:\n  publish: { catalog: s.example, suffix: o.example }\n" SECONDARY, 4,
         "zone s.example is configured already"},
        {LISTEN "orders:\n  publish:\n    catalog: c.example\n    suffix: o.example\n"
                "    allow-transfer: [nokey]\n",
         7, "neither an address nor a key"},
        {LISTEN "orders:\n  keyring:\n    - { name: a, public: AAAA }\n", 5,
         "not base64 of 32 octets"},
        {LISTEN "orders:\n  keyring:\n    - { name: \"\", public: " PUBLIC " }\n", 5,
         "has no name"},
        {LISTEN "orders:\n  keyring:\n    - { name: a, public: " PUBLIC " }\n"
                "    - { name: a, public: " PUBLIC " }\n",
         6, "there twice"},
        {LISTEN "orders:\n  keyring:\n    - { name: a, public: " PUBLIC " }\n"
                "    - { name: b, public: " PUBLIC " }\n",
         6, "the same key"},
        {LISTEN "orders:\n  signatures-min: 2\n", 4, "the keyring has 0"},
        {LISTEN "orders:\n  signatures-min: 99\n", 4, "from 0 to 16"},
    };
    mistakes_check(*state, mistakes, ARRAY_SIZE(mistakes));
}

static void test_the_example_of_the_documentation_loads(void **state)
{
    struct config *config = NULL;
    struct error error = {0};

    (void)state;
    int rc = config_load(EXAMPLE_PATH, &config, &error);
    if (rc < 0)
        error_print(stderr, "test_config", &error);
    assert_int_equal(rc, 0);
    assert_int_equal(config->zone_count, 2);
    config_free(config);
}

static void test_a_missing_configuration_is_named(void **state)
{
    struct config *config = NULL;
    struct error error = {0};

    (void)state;
    assert_int_equal(config_load("/nowhere/tamisd.yaml", &config, &error), -ENOENT);
    assert_string_equal(error.file, "/nowhere/tamisd.yaml");
    assert_null(config);
}

/* The bound of the case: configurations of this size load in a few seconds, so nothing is
 * quadratic. The time is not asserted; a quadratic step would take minutes here. */
static void test_a_hundred_thousand_zones_load(void **state)
{
    const struct folder *folder = *state;
    const size_t count = 100000;
    struct config *config = NULL;
    struct error error = {0};

    FILE *file = fopen(folder->config, "w");
    assert_non_null(file);
    fputs(LISTEN KEYS "zones:\n", file);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "  - { name: z%zu.example, secondary: { from: [192.0.2.1], key: xfr } }\n",
                i);
    assert_int_equal(fclose(file), 0);

    assert_int_equal(config_load(folder->config, &config, &error), 0);
    assert_int_equal(config->zone_count, count);
    assert_int_equal(config->zones[count - 1].line, count + 6);
    config_free(config);
}

static bool allows(const struct config_zone *zone, const char *client, const char *key)
{
    struct config_address address;

    assert_int_equal(config_address_parse(client, 4711, &address, NULL), 0);
    return config_access_allows(zone->allow_transfer, zone->allow_transfer_count,
                                (const struct sockaddr *)&address.address, key);
}

static void test_access_lists_match_addresses_prefixes_and_keys(void **state)
{
    struct config *config =
        load(*state, LISTEN KEYS "zones:\n"
                                 "  - name: a.example\n"
                                 "    primary: { file: a.zone }\n"
                                 "    allow-transfer: [192.0.2.128/25, \"2001:db8::/33\",\n"
                                 "      \"198.51.100.7 key xfr\", update.example]\n"
                                 "  - { name: b.example, primary: { file: a.zone } }\n");
    const struct config_zone *zone = &config->zones[0];

    assert_true(allows(zone, "192.0.2.128", NULL));
    assert_true(allows(zone, "192.0.2.255", "other"));
    assert_false(allows(zone, "192.0.2.127", NULL));
    assert_true(allows(zone, "2001:db8:7fff::1", NULL));
    assert_false(allows(zone, "2001:db8:8000::1", NULL));
    assert_true(allows(zone, "::ffff:192.0.2.200", NULL));
    assert_false(allows(zone, "::ffff:192.0.2.1", NULL));
    assert_false(allows(zone, "198.51.100.7", NULL));
    assert_false(allows(zone, "198.51.100.7", "other"));
    assert_true(allows(zone, "198.51.100.7", "XFR."));
    assert_false(allows(zone, "198.51.100.8", "xfr"));
    assert_true(allows(zone, "203.0.113.1", "update.example"));
    assert_false(allows(&config->zones[1], "192.0.2.128", "xfr"));
    config_free(config);
}

static void test_origins_may_notify_without_being_listed(void **state)
{
    struct config *config =
        load(*state, LISTEN KEYS "zones:\n"
                                 "  - name: a.example\n"
                                 "    secondary: { from: [192.0.2.1@5353], key: xfr }\n"
                                 "    allow-notify: [198.51.100.0/24]\n");
    const struct config_zone *zone = &config->zones[0];
    struct config_address address;

    assert_int_equal(zone->allow_notify_count, 2);
    assert_int_equal(config_address_parse("192.0.2.1@999", 0, &address, NULL), 0);
    assert_true(config_access_allows(zone->allow_notify, zone->allow_notify_count,
                                     (const struct sockaddr *)&address.address, NULL));
    assert_int_equal(config_address_parse("192.0.2.2", 0, &address, NULL), 0);
    assert_false(config_access_allows(zone->allow_notify, zone->allow_notify_count,
                                      (const struct sockaddr *)&address.address, "xfr"));
    config_free(config);
}

static void test_addresses_that_are_none_are_refused(void **state)
{
    static const char *const refused[] = {
        "",
        "localhost",
        "127.1",
        "192.0.2.1@",
        "192.0.2.1@+53",
        "192.0.2.1/",
        "192.0.2.1/x",
        "::1/129",
        "2001:db8::1/64",
        "fe80::1%",
        "[::1]:53",
        "@53",
        "192.0.2.1 ",
        "192.0.2.1@53@53",
        "1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234:1234",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        struct config_address address;
        struct error error = {0};
        if (config_address_parse(refused[i], 53, &address, &error) != -EINVAL)
            fail_msg("\"%s\" was accepted", refused[i]);
        assert_int_not_equal(error.text[0], '\0');
    }
}

static void test_link_local_addresses_keep_their_interface(void **state)
{
    struct config_address address;

    (void)state;
    assert_int_equal(config_address_parse("fe80::1%7@53", 0, &address, NULL), 0);
    assert_int_equal(((struct sockaddr_in6 *)&address.address)->sin6_scope_id, 7);
    assert_int_equal(address.prefix_bits, 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_loaded),
        cmocka_unit_test(test_a_short_file_gets_the_documented_defaults),
        cmocka_unit_test(test_mistakes_in_the_schema_name_line_and_remedy),
        cmocka_unit_test(test_mistakes_in_the_server_part_name_line_and_remedy),
        cmocka_unit_test(test_mistakes_in_keys_name_line_and_remedy),
        cmocka_unit_test(test_mistakes_in_zones_name_line_and_remedy),
        cmocka_unit_test(
            test_origins_over_tls_have_their_port_and_neighbours_share_what_is_the_same),
        cmocka_unit_test(test_mistakes_in_orders_name_line_and_remedy),
        cmocka_unit_test(test_the_example_of_the_documentation_loads),
        cmocka_unit_test(test_a_missing_configuration_is_named),
        cmocka_unit_test(test_a_hundred_thousand_zones_load),
        cmocka_unit_test(test_access_lists_match_addresses_prefixes_and_keys),
        cmocka_unit_test(test_origins_may_notify_without_being_listed),
        cmocka_unit_test(test_addresses_that_are_none_are_refused),
        cmocka_unit_test(test_link_local_addresses_keep_their_interface),
    };
    return cmocka_run_group_tests(tests, folder_create, folder_remove);
}
