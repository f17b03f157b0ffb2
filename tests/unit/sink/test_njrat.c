#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "packets.h"

#define ID "SGFjS2VkXzFBMkIzQzRE" /* HacKed_1A2B3C4D */

static struct sink_recognition recognition;

static bool is_text(struct sink_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.octets, expected, text.size) == 0;
}

/* The text within a frame whose length is right, and more by that. */
static void recognise_framed(const char *text, int more)
{
    static char flight[2048];
    int size = snprintf(flight, sizeof(flight), "%d%c%s", (int)strlen(text) + more, '\0', text);
    packet_recognise((const uint8_t *)flight, (size_t)size, &recognition);
}

static void recognise_fields(const char *host, const char *date, const char *country,
                             const char *system, const char *camera)
{
    char text[1024];
    snprintf(text, sizeof(text),
             "ll|'|'|" ID
             "|'|'|%s|'|'|anna|'|'|%s|'|'|%s|'|'|%s|'|'|%s|'|'|0.7d|'|'|..|'|'|UnVuAA==|'|'|",
             host, date, country, system, camera);
    recognise_framed(text, 0);
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(recognition.wellformed);
}

static void test_a_check_in_tells_all_its_fields(void **state)
{
    (void)state;
    recognise_fields("OFFICE02", "19-02-01", "FR", "Win 7 Professional SP1 x64", "No");
    assert_string_equal(recognition.family, "njrat");
    assert_string_equal(recognition.version, "0.7d");
    assert_true(recognition.consistent);
    assert_true(is_text(recognition.bot, "HacKed_1A2B3C4D"));
    assert_true(is_text(recognition.machine, "OFFICE02"));
    assert_true(is_text(recognition.user, "anna"));
    assert_true(is_text(recognition.installed, "19-02-01"));
    assert_true(is_text(recognition.country, "FR"));
    assert_true(is_text(recognition.system, "Win 7 Professional SP1 x64"));
    assert_true(is_text(recognition.window, "Run"));
}

static void test_fields_that_no_machine_sends_are_not_consistent(void **state)
{
    (void)state;
    recognise_fields("OFFICE02", "19-02-01", "", "Win 12 ProSP0 x86", "No");
    assert_false(recognition.consistent);
    recognise_fields("OFFICE02", "19-02-01", "", "Win 10 ProSP1 x64", "No");
    assert_false(recognition.consistent);
    recognise_fields("OFFICE02", "19-13-01", "", "Win 10 ProSP0 x64", "No");
    assert_false(recognition.consistent);
    recognise_fields("OFFICE02", "?\?-?\?-?\?", "", "Win 10 ProSP0 x64", "No");
    assert_false(recognition.consistent);
    recognise_fields("NAME-OF-MORE-THAN-15", "19-02-01", "", "Win 10 ProSP0 x64", "No");
    assert_false(recognition.consistent);
    recognise_fields("OFFICE02", "19-02-01", "4711", "Win 10 ProSP0 x64", "No");
    assert_false(recognition.consistent);
    recognise_fields("OFFICE02", "19-02-01", "", "Win 10 ProSP0 x64", "No");
    assert_true(recognition.consistent);
}

static void test_a_date_of_the_week_after_next_is_not_plausible_but_today_is(void **state)
{
    (void)state;
    for (int days = 0; days <= 14; days += 14) {
        time_t at = time(NULL) + days * 86400;
        struct tm day;
        char date[32];
        gmtime_r(&at, &day);
        strftime(date, sizeof(date), "%Y-%m-%d", &day);
        recognise_fields("OFFICE02", date, "", "Win 10 ProSP0 x64", "No");
        assert_int_equal(recognition.consistent, days == 0);
    }
}

static void test_dates_of_other_calendars_are_plausible(void **state)
{
    (void)state;
    const char *const dates[] = {"35-04-12", "1436-04-12", "58-11-02", "2558-11-02", "98-05-03"};
    for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
        recognise_fields("OFFICE02", dates[i], "", "Win 7 Ultimate SP1 x86", "Yes");
        assert_true(recognition.consistent);
    }
}

#define CHECKIN_BY(y)                                                                           \
    "ll" y ID y "OFFICE02" y "anna" y "19-02-01" y y "Win 7 Ultimate SP1 x86" y "No" y "0.7d" y \
    ".." y "UnVuAA==" y

static void test_the_separator_is_inferred_whatever_its_builder_chose(void **state)
{
    (void)state;
    const char *const texts[] = {
        CHECKIN_BY("|'|'|"), CHECKIN_BY("|test|"),   CHECKIN_BY("Y262SUCZ4UJJ"),
        CHECKIN_BY("|"),     CHECKIN_BY("boolLove"), CHECKIN_BY("\xd8\xb3\xd8\xb1"),
        CHECKIN_BY("::"),    CHECKIN_BY("AAAA"),
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        recognise_framed(texts[i], 0);
        assert_int_equal(recognition.kind, SINK_CHECKIN);
        assert_true(recognition.wellformed && recognition.consistent);
        assert_true(is_text(recognition.bot, "HacKed_1A2B3C4D"));
        assert_true(is_text(recognition.window, "Run"));
    }
}

static void test_a_length_that_does_not_hold_is_known_but_not_wellformed(void **state)
{
    (void)state;
    for (int more = -20; more <= 20; more += 5) {
        recognise_framed(CHECKIN_BY("|'|'|"), more);
        assert_int_equal(recognition.kind, SINK_CHECKIN);
        assert_int_equal(recognition.wellformed, more == 0);
    }
}

static void test_any_part_from_the_end_of_the_id_on_is_a_check_in_of_the_same_bot(void **state)
{
    (void)state;
    static char flight[512];
    int size = snprintf(flight, sizeof(flight), "%zu%c%s", strlen(CHECKIN_BY("|'|'|")), '\0',
                        CHECKIN_BY("|'|'|"));
    const char *after_id = "155?ll|'|'|" ID "|'|'|O";
    for (size_t part = strlen(after_id) + 8; part < (size_t)size; part++) {
        packet_recognise((const uint8_t *)flight, part, &recognition);
        assert_int_equal(recognition.kind, SINK_CHECKIN);
        assert_true(is_text(recognition.bot, "HacKed_1A2B3C4D"));
        assert_false(recognition.wellformed);
    }
}

static void test_a_check_in_counts_wherever_in_the_flight_it_is(void **state)
{
    (void)state;
    static const char flight[] = "0\0"
                                 "12\0act|'|'|AA=="
                                 "137\0" CHECKIN_BY("|'|'|");
    packet_recognise((const uint8_t *)flight, sizeof(flight) - 1, &recognition);
    assert_int_equal(recognition.kind, SINK_CHECKIN);
}

static void test_one_that_cannot_tell_its_date_or_windows_is_known_even_cut(void **state)
{
    (void)state;
    static const char flight[] = "lv|'|'|" ID "|'|'|OFFICE02|'|'|anna|'|'|unknown|'|'||'|'|SP0 x86"
                                 "|'|'|No";
    packet_recognise((const uint8_t *)flight, sizeof(flight) - 1, &recognition);
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(is_text(recognition.installed, "unknown"));
    assert_true(is_text(recognition.system, "SP0 x86"));
    assert_false(recognition.wellformed || recognition.consistent);
}

static void test_ordinary_words_are_no_messages(void **state)
{
    (void)state;
    const char *const texts[] = {"P",
                                 "Paul went to town",
                                 "inform all of you",
                                 "lv volume group",
                                 "ll -la",
                                 "act",
                                 "get /index.html [endof]",
                                 "ll|'|'|",
                                 "rn"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        packet_recognise((const uint8_t *)texts[i], strlen(texts[i]), &recognition);
        assert_false(packet_is_victim(&recognition));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_in_tells_all_its_fields),
        cmocka_unit_test(test_fields_that_no_machine_sends_are_not_consistent),
        cmocka_unit_test(test_a_date_of_the_week_after_next_is_not_plausible_but_today_is),
        cmocka_unit_test(test_dates_of_other_calendars_are_plausible),
        cmocka_unit_test(test_the_separator_is_inferred_whatever_its_builder_chose),
        cmocka_unit_test(test_a_length_that_does_not_hold_is_known_but_not_wellformed),
        cmocka_unit_test(test_any_part_from_the_end_of_the_id_on_is_a_check_in_of_the_same_bot),
        cmocka_unit_test(test_a_check_in_counts_wherever_in_the_flight_it_is),
        cmocka_unit_test(test_one_that_cannot_tell_its_date_or_windows_is_known_even_cut),
        cmocka_unit_test(test_ordinary_words_are_no_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
