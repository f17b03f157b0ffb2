/* The digest of a zone: an example of RFC 8976, and what the policies make of the rest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "zone/zone_file.h"
#include "zone/zonemd.h"

/* RFC 8976, A.1. */
#define SIMPLE_HEAD                                                                        \
    "example. 86400 IN SOA ns1.example. admin.example. 2018031900 1800 900 604800 86400\n" \
    "example. 86400 IN NS ns1.example.\n"                                                  \
    "example. 86400 IN NS ns2.example.\n"                                                  \
    "ns1.example. 3600 IN A 203.0.113.63\n"                                                \
    "ns2.example. 3600 IN AAAA 2001:db8::63\n"
#define SIMPLE_384                                                     \
    "example. 86400 IN ZONEMD 2018031900 1 1 "                         \
    "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9" \
    "a9713b3c9ae5cc27777f98b8e730044c\n"
#define OTHER_384                                                      \
    "example. 86400 IN ZONEMD 2018031900 1 1 "                         \
    "d68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9" \
    "a9713b3c9ae5cc27777f98b8e730044c\n"
#define OLD_384                                                        \
    "example. 86400 IN ZONEMD 2018031899 1 1 "                         \
    "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9" \
    "a9713b3c9ae5cc27777f98b8e730044c\n"
#define UNKNOWN_SCHEME "example. 86400 IN ZONEMD 2018031900 240 1 " UNKNOWN_DIGEST
#define UNKNOWN_HASH   "example. 86400 IN ZONEMD 2018031900 1 240 " UNKNOWN_DIGEST
#define UNKNOWN_DIGEST "e2d523f654b9422a96c5a8f44607bbee\n"

static struct zone_data *load(const char *text)
{
    char path[] = "/tmp/tamis-zonemd-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);

    struct zone_data *data;
    struct error error;
    if (zone_file_load(path, (const uint8_t *)"\7example", NULL, NULL, &data, &error) != 0)
        fail_msg("%s", error.text);
    unlink(path);
    return data;
}

static void assert_passes(const char *text, enum zonemd_policy policy, enum zonemd_result expected)
{
    struct zone_data *data = load(text);
    enum zonemd_result result;
    struct error error;
    if (zonemd_check(data, policy, &result, &error) != 0)
        fail_msg("%s", error.text);
    assert_int_equal(result, expected);
    zone_data_free(data);
}

static void assert_refused(const char *text, enum zonemd_policy policy, const char *why)
{
    struct zone_data *data = load(text);
    enum zonemd_result result;
    struct error error;
    assert_int_equal(zonemd_check(data, policy, &result, &error), -EKEYREJECTED);
    if (strstr(error.text, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.text, why);
    zone_data_free(data);
}

static void test_the_simple_example_matches(void **state)
{
    assert_passes(SIMPLE_HEAD SIMPLE_384, ZONEMD_VERIFY, ZONEMD_MATCHES);
    assert_passes(SIMPLE_HEAD SIMPLE_384, ZONEMD_REQUIRE, ZONEMD_MATCHES);
    (void)state;
}

static void test_any_change_shows(void **state)
{
    assert_refused(SIMPLE_HEAD SIMPLE_384 "ns1.example. 3600 IN A 203.0.113.64\n", ZONEMD_VERIFY,
                   "do not match");
    assert_refused(
        "example. 86400 IN SOA ns1.example. admin.example. 2018031900 1800 900 604800 86400\n"
        "example. 86400 IN NS ns1.example.\n"
        "example. 86400 IN NS ns2.example.\n"
        "ns1.example. 3601 IN A 203.0.113.63\n"
        "ns2.example. 3600 IN AAAA 2001:db8::63\n" SIMPLE_384,
        ZONEMD_VERIFY, "do not match");
    assert_refused(SIMPLE_HEAD OTHER_384, ZONEMD_VERIFY, "do not match");
    assert_passes(SIMPLE_HEAD OTHER_384, ZONEMD_IGNORE, ZONEMD_NONE);
    (void)state;
}

static void test_letter_case_of_owners_and_targets_does_not_count(void **state)
{
    assert_passes(
        "EXAMPLE. 86400 IN SOA Ns1.Example. admin.example. 2018031900 1800 900 604800 86400\n"
        "example. 86400 IN NS NS1.example.\n"
        "example. 86400 IN NS ns2.EXAMPLE.\n"
        "nS1.example. 3600 IN A 203.0.113.63\n"
        "ns2.example. 3600 IN AAAA 2001:db8::63\n" SIMPLE_384,
        ZONEMD_VERIFY, ZONEMD_MATCHES);
    (void)state;
}

static void test_a_digest_of_another_serial_is_no_digest_of_this_zone(void **state)
{
    assert_refused(SIMPLE_HEAD OLD_384, ZONEMD_VERIFY, "of another serial than 2018031900");
    assert_passes(SIMPLE_HEAD OLD_384, ZONEMD_IGNORE, ZONEMD_NONE);
    (void)state;
}

static void test_one_digest_that_matches_is_enough(void **state)
{
    assert_passes(SIMPLE_HEAD SIMPLE_384 UNKNOWN_SCHEME UNKNOWN_HASH, ZONEMD_REQUIRE,
                  ZONEMD_MATCHES);
    (void)state;
}

static void test_unknown_schemes_and_hashes_pass_unless_a_digest_is_required(void **state)
{
    static const char *const zones[] = {
        SIMPLE_HEAD UNKNOWN_SCHEME,
        SIMPLE_HEAD UNKNOWN_HASH,
        /* Two of one kind are both not to be used (RFC 8976, 2.2). */
        SIMPLE_HEAD SIMPLE_384 OTHER_384,
        /* Shorter than its hash. */
        SIMPLE_HEAD "example. 86400 IN ZONEMD 2018031900 1 1 c68090d90a7aed716bc459f9340e3d7c\n",
    };
    for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
        assert_passes(zones[i], ZONEMD_VERIFY, ZONEMD_NOT_OURS);
        assert_refused(zones[i], ZONEMD_REQUIRE, "no scheme and hash that we know");
    }
    (void)state;
}

static void test_a_zone_without_digest_passes_unless_one_is_required(void **state)
{
    assert_passes(SIMPLE_HEAD, ZONEMD_VERIFY, ZONEMD_NONE);
    assert_refused(SIMPLE_HEAD, ZONEMD_REQUIRE, "has no ZONEMD");
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_simple_example_matches),
        cmocka_unit_test(test_any_change_shows),
        cmocka_unit_test(test_letter_case_of_owners_and_targets_does_not_count),
        cmocka_unit_test(test_a_digest_of_another_serial_is_no_digest_of_this_zone),
        cmocka_unit_test(test_one_digest_that_matches_is_enough),
        cmocka_unit_test(test_unknown_schemes_and_hashes_pass_unless_a_digest_is_required),
        cmocka_unit_test(test_a_zone_without_digest_passes_unless_one_is_required),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
