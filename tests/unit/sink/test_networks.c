/* Networks and countries from MMDB files of several vendors' forms. The files are made by
 * tests/testbed/mmdb.pl, whose path is the first argument. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sink/networks.h"

static const char *writer;
static char folder[] = "/tmp/tamis-networks-XXXXXX";

/* Makes FOLDER/NAME of the JSON text. */
static const char *file_make(const char *name, const char *json)
{
    static char path[128];
    char command[512];
    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    (void)snprintf(command, sizeof(command), "perl '%s' '%s'", writer, path);
    FILE *pipe = popen(command, "w"); /* NOLINT(cert-env33-c): a path of ours */
    assert_non_null(pipe);
    assert_true(fputs(json, pipe) >= 0);
    assert_int_equal(pclose(pipe), 0);
    return path;
}

static struct in6_addr address_of(const char *text)
{
    struct in6_addr address;
    char mapped[64];
    (void)snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') == NULL ? "::ffff:" : "",
                   text);
    assert_int_equal(inet_pton(AF_INET6, mapped, &address), 1);
    return address;
}

static struct network find(const struct networks *networks, const char *text)
{
    struct in6_addr address = address_of(text);
    struct network network;
    networks_find(networks, &address, &network);
    return network;
}

static void test_one_file_with_both_is_read_for_both(void **state)
{
    _cleanup_(networks_closep) struct networks *networks = NULL;
    struct error error;
    char name[64];
    (void)state;
    const char *path =
        file_make("both.mmdb", "{\"192.0.2.0/24\": {\"autonomous_system_number\": 64496,"
                               "\"autonomous_system_organization\": \"Example Net\","
                               "\"country\": {\"iso_code\": \"CH\"}},"
                               "\"2001:db8::/32\": {\"autonomous_system_number\": 4200000001,"
                               "\"registered_country\": {\"iso_code\": \"de\"}}}");
    assert_int_equal(networks_open(path, path, &networks, &error), 0);
    assert_int_equal(find(networks, "192.0.2.7").asn, 64496);
    assert_string_equal(find(networks, "192.0.2.7").country, "CH");
    assert_int_equal(find(networks, "2001:db8::1").asn, 4200000001);
    assert_string_equal(find(networks, "2001:db8::1").country, "DE");
    assert_int_equal(find(networks, "198.51.100.1").asn, 0);
    assert_string_equal(find(networks, "198.51.100.1").country, "");

    struct in6_addr address = address_of("192.0.2.7");
    networks_holder(networks, &address, name, sizeof(name));
    assert_string_equal(name, "Example Net");
    networks_holder(networks, &address, name, 8);
    assert_string_equal(name, "Example");
}

static void test_numbers_as_text_and_flat_countries_are_understood(void **state)
{
    _cleanup_(networks_closep) struct networks *networks = NULL;
    struct error error;
    char asn_path[128];
    (void)state;
    (void)snprintf(asn_path, sizeof(asn_path), "%s",
                   file_make("asn.mmdb",
                             "{\"192.0.2.0/25\": {\"asn\": \"AS64497\", \"as_name\": \"Ü\"},"
                             "\"192.0.2.128/25\": {\"asn\": \"64498\"},"
                             "\"198.51.100.0/25\": {\"asn\": \"AS4294967296\"},"
                             "\"198.51.100.128/25\": {\"asn\": \"none\"}}"));
    const char *country_path =
        file_make("country.mmdb", "{\"192.0.2.0/25\": {\"country_code\": \"FR\"},"
                                  "\"192.0.2.128/25\": {\"country\": \"IT\"},"
                                  "\"198.51.100.0/24\": {\"country\": \"Italy\"}}");
    assert_int_equal(networks_open(asn_path, country_path, &networks, &error), 0);
    assert_int_equal(find(networks, "192.0.2.1").asn, 64497);
    assert_string_equal(find(networks, "192.0.2.1").country, "FR");
    assert_int_equal(find(networks, "192.0.2.200").asn, 64498);
    assert_string_equal(find(networks, "192.0.2.200").country, "IT");
    assert_int_equal(find(networks, "198.51.100.1").asn, 0);
    assert_int_equal(find(networks, "198.51.100.200").asn, 0);
    assert_string_equal(find(networks, "198.51.100.1").country, "");

    /* A name is never cut within a character. */
    struct in6_addr address = address_of("192.0.2.1");
    char name[2];
    networks_holder(networks, &address, name, sizeof(name));
    assert_string_equal(name, "");
}

static void test_without_files_nothing_is_known(void **state)
{
    _cleanup_(networks_closep) struct networks *networks = NULL;
    struct error error;
    (void)state;
    assert_int_equal(networks_open(NULL, NULL, &networks, &error), 0);
    assert_int_equal(find(networks, "192.0.2.1").asn, 0);
    assert_string_equal(find(networks, "192.0.2.1").country, "");
}

static void test_missing_and_damaged_files_are_refused_by_name(void **state)
{
    struct networks *networks = NULL;
    struct error error;
    (void)state;
    assert_int_equal(networks_open("/nonexistent.mmdb", NULL, &networks, &error), -ENOENT);
    assert_string_equal(error.file, "/nonexistent.mmdb");

    const char *path = file_make("cut.mmdb", "{\"192.0.2.0/24\": {\"asn\": \"AS64497\"}}");
    assert_int_equal(truncate(path, 200), 0);
    assert_int_equal(networks_open(NULL, path, &networks, &error), -EBADMSG);
    assert_string_equal(error.file, path);
    assert_non_null(strstr(error.text, "damaged"));
    assert_null(networks);
}

/* Octets that are wrong where no open looks: what they say is not known, and nothing crashes. */
static void test_damage_within_a_file_is_survived(void **state)
{
    (void)state;
    for (long at = 0; at < 400; at += 3) {
        _cleanup_(networks_closep) struct networks *networks = NULL;
        struct error error;
        static char path[128];
        if (at == 0)
            (void)snprintf(path, sizeof(path), "%s",
                           file_make("bad.mmdb", "{\"192.0.2.0/24\": {\"asn\": \"AS64497\","
                                                 "\"country\": {\"iso_code\": \"CH\"}}}"));
        FILE *file = fopen(path, "r+e");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        int old = fgetc(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_true(fputc(old ^ 0xff, file) >= 0);
        assert_int_equal(fclose(file), 0);
        if (networks_open(path, path, &networks, &error) == 0) {
            (void)find(networks, "192.0.2.1");
            (void)find(networks, "2001:db8::1");
        }
        file = fopen(path, "r+e");
        assert_non_null(file);
        assert_int_equal(fseek(file, at, SEEK_SET), 0);
        assert_true(fputc(old, file) >= 0);
        assert_int_equal(fclose(file), 0);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_file_with_both_is_read_for_both),
        cmocka_unit_test(test_numbers_as_text_and_flat_countries_are_understood),
        cmocka_unit_test(test_without_files_nothing_is_known),
        cmocka_unit_test(test_missing_and_damaged_files_are_refused_by_name),
        cmocka_unit_test(test_damage_within_a_file_is_survived),
    };
    char command[64];
    if (argc != 2 || mkdtemp(folder) == NULL)
        return 2;
    writer = argv[1];
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)snprintf(command, sizeof(command), "rm -r '%s'", folder);
    return failed != 0 || system(command) != 0; /* NOLINT(cert-env33-c): a path of ours */
}
