#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "packets.h"

static struct sink_recognition recognition;

static bool is_text(struct sink_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.octets, expected, text.size) == 0;
}

static void recognise(const char *flight)
{
    packet_recognise((const uint8_t *)flight, strlen(flight), &recognition);
}

static void test_a_check_in_tells_all_its_fields(void **state)
{
    (void)state;
    recognise(
        "lv0njxq80worm_1A2B3C4D0njxq80EG0njxq80WIN_7 X64 SP10njxq800.3.3a0njxq80Y0njxq80Run\r\n");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_string_equal(recognition.family, "njw0rm");
    assert_string_equal(recognition.version, "0.3.3a");
    assert_true(recognition.wellformed && recognition.consistent);
    assert_true(is_text(recognition.bot, "worm_1A2B3C4D"));
    assert_true(is_text(recognition.country, "EG"));
    assert_true(is_text(recognition.system, "WIN_7 X64 SP1"));
    assert_true(is_text(recognition.window, "Run"));
    assert_int_equal(recognition.machine.size, 0);
}

static void test_later_versions_tell_host_and_user(void **state)
{
    (void)state;
    recognise(
        "lv0njxq80w_1A2B3C4D0njxq80OFFICE020njxq80anna0njxq80 0njxq80WIN_XP X86 SP30njxq800.4a"
        "0njxq80N0njxq80Run\r\n");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(recognition.consistent);
    assert_true(is_text(recognition.machine, "OFFICE02"));
    assert_true(is_text(recognition.user, "anna"));
}

static void test_with_njrats_separator_it_is_still_njw0rm(void **state)
{
    (void)state;
    recognise("lv|'|'|w_1A2B3C4D|'|'|EG|'|'|WIN_10 X64 SP0|'|'|0.5|'|'|N|'|'|Run\r\n");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_string_equal(recognition.family, "njw0rm");
}

static void test_one_that_ends_early_is_not_wellformed(void **state)
{
    (void)state;
    recognise("lv0njxq80worm_1A2B3C4D0njxq80EG0njxq80WIN_7 X6");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_false(recognition.wellformed || recognition.consistent);
    recognise("lv0njxq80worm_1A2");
    assert_int_equal(recognition.kind, SINK_BEACON);
    assert_false(recognition.wellformed);
}

static void test_a_windows_that_there_is_not_is_not_consistent(void **state)
{
    (void)state;
    recognise(
        "lv0njxq80w_1A2B3C4D0njxq80EG0njxq80WIN_12 X64 SP00njxq800.3.3a0njxq80Y0njxq80Run\r\n");
    assert_true(recognition.wellformed);
    assert_false(recognition.consistent);
}

static void test_the_passwords_of_old_versions_are_a_beacon(void **state)
{
    (void)state;
    recognise("pas0njxq80URL: ftp://files.example:210njxq80USR: anna0njxq80PWD: x0njxq80\r\n");
    assert_int_equal(recognition.kind, SINK_BEACON);
    assert_string_equal(recognition.family, "njw0rm");
}

static void test_other_words_that_begin_alike_are_nothing(void **state)
{
    (void)state;
    recognise("lvextend --size 10G /dev/vg/root\r\n");
    assert_false(packet_is_victim(&recognition));
    recognise("lv|a|b|c|d|e|f\r\n");
    assert_false(packet_is_victim(&recognition));
    recognise("ac|x\r\n");
    assert_false(packet_is_victim(&recognition));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_in_tells_all_its_fields),
        cmocka_unit_test(test_later_versions_tell_host_and_user),
        cmocka_unit_test(test_with_njrats_separator_it_is_still_njw0rm),
        cmocka_unit_test(test_one_that_ends_early_is_not_wellformed),
        cmocka_unit_test(test_a_windows_that_there_is_not_is_not_consistent),
        cmocka_unit_test(test_the_passwords_of_old_versions_are_a_beacon),
        cmocka_unit_test(test_other_words_that_begin_alike_are_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
