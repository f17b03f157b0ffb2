#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "packets.h"
#include "sink/known_fakes.h"

static int load_text(const char *text, struct known_fakes **ret_fakes, struct error *ret_error)
{
    char path[] = "/tmp/known-fakes-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    int rc = known_fakes_load(path, ret_fakes, ret_error);
    unlink(path);
    return rc;
}

static const char *find(const struct known_fakes *fakes, const char *bot, const char *machine,
                        const char *user)
{
    struct sink_recognition recognition = {
        .kind = SINK_CHECKIN,
        .family = "njrat",
        .bot = {(const uint8_t *)bot, strlen(bot)},
        .machine = {(const uint8_t *)machine, strlen(machine)},
        .user = {(const uint8_t *)user, strlen(user)},
    };
    return known_fakes_find(fakes, &recognition);
}

static void test_rows_match_by_words_and_their_ends(void **state)
{
    (void)state;
    _cleanup_(known_fakes_freep) struct known_fakes *fakes = NULL;
    struct error error = {0};
    assert_int_equal(load_text("# comment\n\n"
                               "one njrat HacKed_1 PC1 * \"here\"\r\n"
                               "two njrat *_BEEF * Jean+Example \"there\"\n"
                               "three njrat SEMO_* * * \"and there\"",
                               &fakes, &error),
                     0);
    assert_int_equal(known_fakes_count(fakes), 3);
    assert_string_equal(find(fakes, "hacked_1", "pc1", "x"), "one");
    assert_null(find(fakes, "HacKed_11", "PC1", "x"));
    assert_null(find(fakes, "HacKed_1", "PC", "x"));
    assert_string_equal(find(fakes, "a_beef", "PC", "Jean Example"), "two");
    assert_null(find(fakes, "a_beef", "PC", "Jean"));
    assert_null(find(fakes, "beef", "PC", "Jean Example"));
    assert_string_equal(find(fakes, "SEMO_", "", ""), "three");
    assert_null(find(fakes, "SEMO", "", ""));
}

static void test_another_family_or_kind_does_not_match(void **state)
{
    (void)state;
    _cleanup_(known_fakes_freep) struct known_fakes *fakes = NULL;
    struct error error = {0};
    assert_int_equal(load_text("one hworm * PC1 * \"here\"\n", &fakes, &error), 0);
    assert_null(find(fakes, "x", "PC1", "y"));
    struct sink_recognition beacon = {.kind = SINK_BEACON, .family = "hworm"};
    assert_null(known_fakes_find(fakes, &beacon));
}

static void check_refused(const char *text, uint32_t line, const char *word)
{
    struct known_fakes *fakes = NULL;
    struct error error = {0};
    assert_int_equal(load_text(text, &fakes, &error), -EINVAL);
    assert_null(fakes);
    assert_int_equal(error.line, line);
    assert_non_null(strstr(error.text, word));
}

static void test_errors_name_the_line_and_what_is_missing(void **state)
{
    (void)state;
    check_refused("# one\nname njrat bot machine \"source\"\n", 2, "\"user\"");
    check_refused("name\n", 1, "\"family\"");
    check_refused("\n\nname njrat bot machine user\n", 3, "source");
    check_refused("name njrat bot machine user source\n", 1, "source");
    check_refused("name njrat * * * \"source\"\n", 1, "every check-in");
}

static void test_a_file_that_is_not_there_is_named(void **state)
{
    (void)state;
    struct known_fakes *fakes = NULL;
    struct error error = {0};
    assert_int_equal(known_fakes_load("/tmp/no-such-known-fakes", &fakes, &error), -ENOENT);
    char text[1024];
    assert_non_null(strstr(error_format(&error, text, sizeof(text)), "no-such-known-fakes"));
}

static void test_the_widely_logged_beacon_is_in_the_table_that_comes_along(void **state)
{
    (void)state;
    _cleanup_(known_fakes_freep) struct known_fakes *fakes = NULL;
    struct error error = {0};
    assert_int_equal(known_fakes_load(TESTS_FOLDER "/../rules/known-fakes.txt", &fakes, &error), 0);
    assert_true(known_fakes_count(fakes) >= 10);

    uint8_t flight[1024];
    FILE *file = fopen(TESTS_FOLDER "/sink-corpus/njrat/jnapier", "rb");
    assert_non_null(file);
    size_t size = fread(flight, 1, sizeof(flight), file);
    fclose(file);
    struct sink_recognition recognition;
    packet_recognise(flight, size, &recognition);
    assert_string_equal(known_fakes_find(fakes, &recognition), "jnapier");
    assert_null(find(fakes, "HacKed_1A2B3C4D", "OFFICE02", "anna"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_match_by_words_and_their_ends),
        cmocka_unit_test(test_another_family_or_kind_does_not_match),
        cmocka_unit_test(test_errors_name_the_line_and_what_is_missing),
        cmocka_unit_test(test_a_file_that_is_not_there_is_named),
        cmocka_unit_test(test_the_widely_logged_beacon_is_in_the_table_that_comes_along),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
