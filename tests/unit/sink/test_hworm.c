#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "packets.h"

static struct sink_recognition recognition;

static bool is_text(struct sink_text text, const char *expected)
{
    return text.size == strlen(expected) && memcmp(text.octets, expected, text.size) == 0;
}

static void recognise(const char *line, const char *agent)
{
    static char flight[1024];
    int size =
        snprintf(flight, sizeof(flight),
                 "%s HTTP/1.1\r\nUser-Agent: %s\r\nHost: Worm.example:81\r\n\r\n", line, agent);
    packet_recognise((const uint8_t *)flight, (size_t)size, &recognition);
}

#define AGENT "1A2B3C4D<|>OFFICE02<|>anna<|>Microsoft Windows 7 Ultimate <|>plus<|>nan-av<|>false"

static void test_a_check_in_tells_all_its_fields(void **state)
{
    (void)state;
    recognise("POST /is-ready", AGENT " - 20/9/2019");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_string_equal(recognition.family, "hworm");
    assert_string_equal(recognition.version, "plus");
    assert_true(recognition.wellformed && recognition.consistent);
    assert_true(is_text(recognition.bot, "1A2B3C4D"));
    assert_true(is_text(recognition.machine, "OFFICE02"));
    assert_true(is_text(recognition.user, "anna"));
    assert_true(is_text(recognition.system, "Microsoft Windows 7 Ultimate"));
    assert_true(is_text(recognition.installed, "20/9/2019"));
    assert_true(is_text(recognition.host, "Worm.example"));
}

static void test_wshrat_tells_its_country_and_a_year_of_three_digits(void **state)
{
    (void)state;
    recognise("POST /is-ready",
              "WSHRAT|0A87-85F9|OFFICE02|anna|Microsoft Windows 10 Pro|plus|non-av|"
              "true - 27/3/120/Tag|GB:Provider");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(recognition.consistent);
    assert_true(is_text(recognition.bot, "0A87-85F9"));
    assert_true(is_text(recognition.country, "GB"));
    assert_true(is_text(recognition.installed, "27/3/120"));
}

static void test_vjw0rm_and_kjw0rm_are_split_by_backslashes(void **state)
{
    (void)state;
    recognise("POST /Vre",
              "new_1A2B3C4D\\OFFICE02\\anna\\Microsoft Windows 10 Pro\\Avast\\\\YES\\FALSE\\");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(is_text(recognition.bot, "new_1A2B3C4D"));
    assert_true(recognition.consistent);
    recognise(
        "POST /ready",
        "KJw0rm_1A2B3C4D\\OFFICE02\\anna\\Win7 Pro SP1 x64\\49\\\\0.5X\\No\\Yes\\KJw0rm_1A2B3C4D");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(is_text(recognition.user, "anna"));
}

static void test_other_paths_are_beacons_that_tell_the_bot(void **state)
{
    (void)state;
    recognise("POST /is-enum-driver", AGENT);
    assert_int_equal(recognition.kind, SINK_BEACON);
    assert_true(is_text(recognition.bot, "1A2B3C4D"));
    recognise("POST /is-sending<|>C:\\a.exe", "Mozilla/4.0 (compatible; MSIE 8.0)");
    assert_int_equal(recognition.kind, SINK_BEACON);
    assert_int_equal(recognition.bot.size, 0);
}

static void test_where_wmi_fails_the_agent_is_known_but_not_consistent(void **state)
{
    (void)state;
    recognise("POST /is-ready",
              "<|>OFFICE02<|>anna<|>Microsoft Windows 10 Pro<|>plus<|>nan-av<|>false");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_false(recognition.consistent);
    recognise("POST /is-ready", "1A2B3C4D<|>OFFICE02<|>anna<|>plus<|>nan-av<|>false");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_false(recognition.consistent);
}

static void test_through_a_proxy_the_path_is_that_of_the_uri(void **state)
{
    (void)state;
    recognise("POST http://worm.example:81/is-ready", AGENT);
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(is_text(recognition.bot, "1A2B3C4D"));
    recognise("POST http://worm.example:81/is-enum-driver", AGENT);
    assert_int_equal(recognition.kind, SINK_BEACON);
    recognise("POST http://worm.example/is-sending<|>C:\\a.exe", "Mozilla/4.0 (compatible)");
    assert_int_equal(recognition.kind, SINK_BEACON);
    recognise("POST http://worm.example", "Mozilla/4.0 (compatible)");
    assert_int_equal(recognition.kind, SINK_HTTP_SCAN);
}

static void test_a_query_is_no_part_of_the_path(void **state)
{
    (void)state;
    recognise("POST /is-ready?", AGENT);
    assert_int_equal(recognition.kind, SINK_CHECKIN);
}

static void test_a_user_may_be_nameless_but_is_then_not_consistent(void **state)
{
    (void)state;
    recognise("POST /is-ready",
              "WSHRAT|1A2B3C4D|OFFICE02||Microsoft Windows 7 Pro|plus|nan-av|false - 20/9/2019");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_true(is_text(recognition.machine, "OFFICE02"));
    assert_int_equal(recognition.user.size, 0);
    assert_false(recognition.consistent);
}

static void test_one_that_was_cut_within_its_agent_is_a_beacon_of_the_bot(void **state)
{
    (void)state;
    static const char flight[] = "POST /is-ready HTTP/1.1\r\nUser-Agent: 1A2B3C4D<|>OFFICE02<|>an";
    const size_t separated = (size_t)(strchr(flight, '>') + 1 - flight);
    for (size_t size = separated; size < sizeof(flight); size++) {
        packet_recognise((const uint8_t *)flight, size, &recognition);
        assert_int_equal(recognition.kind, SINK_BEACON);
        assert_true(is_text(recognition.bot, "1A2B3C4D"));
        assert_false(recognition.wellformed);
    }
    packet_recognise((const uint8_t *)flight, separated - 1, &recognition);
    assert_int_equal(recognition.kind, SINK_HTTP);
    assert_int_equal(recognition.bot.size, 0);
}

static void test_houdini_greets_without_http(void **state)
{
    (void)state;
    static const char *const greetings[] = {"new_houdini\r\n",
                                            "NEW_HOUDINI|OFFICE02|ANNA|WIN_7\r\n"};
    static const char *const others[] = {"new_houdini", "new_houdini_scene\r\n", "new_houdinis\n"};
    for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++) {
        packet_recognise((const uint8_t *)greetings[i], strlen(greetings[i]), &recognition);
        assert_int_equal(recognition.kind, SINK_BEACON);
        assert_string_equal(recognition.family, "hworm");
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        packet_recognise((const uint8_t *)others[i], strlen(others[i]), &recognition);
        assert_false(packet_is_victim(&recognition));
    }
}

static void test_no_more_than_id_names_and_system_are_enough_with_its_own_separator(void **state)
{
    (void)state;
    recognise("POST /is-ready", "1A2B3C4D<|>OFFICE02<|>anna<|>Microsoft Windows 10 Pro");
    assert_int_equal(recognition.kind, SINK_CHECKIN);
    assert_string_equal(recognition.version, "");
    assert_false(recognition.wellformed);
}

static void test_requests_of_others_are_no_victims(void **state)
{
    (void)state;
    const char *const agents[] = {"Mozilla/5.0 (Windows NT 10.0; Win64; x64)",
                                  "curl/8.5.0",
                                  "kube-probe/1.29",
                                  "a<|>b<|>c",
                                  "<|>",
                                  "agent|1.0|me|Windows 10|x64|true"};
    const char *const lines[] = {"GET /", "GET /is-ready", "POST /is-ready", "GET /x?a=<|>&b=|'|'|",
                                 "POST /is-logs"};
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        for (size_t j = 0; j < sizeof(lines) / sizeof(lines[0]); j++) {
            recognise(lines[j], agents[i]);
            assert_false(packet_is_victim(&recognition));
        }
    }
}

static void test_an_agent_of_like_fields_is_none_without_the_path(void **state)
{
    (void)state;
    const char *const agents[] = {"ABCDEF12|build-host|ci|Windows 10|1.0",
                                  "sensor_1A2B\\host\\me\\Windows 10\\1.0\\x"};
    for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
        recognise("POST /telemetry", agents[i]);
        assert_int_equal(recognition.kind, SINK_HTTP);
        recognise("GET /is-ready", agents[i]);
        assert_int_equal(recognition.kind, SINK_HTTP);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_check_in_tells_all_its_fields),
        cmocka_unit_test(test_wshrat_tells_its_country_and_a_year_of_three_digits),
        cmocka_unit_test(test_vjw0rm_and_kjw0rm_are_split_by_backslashes),
        cmocka_unit_test(test_other_paths_are_beacons_that_tell_the_bot),
        cmocka_unit_test(test_where_wmi_fails_the_agent_is_known_but_not_consistent),
        cmocka_unit_test(test_through_a_proxy_the_path_is_that_of_the_uri),
        cmocka_unit_test(test_a_query_is_no_part_of_the_path),
        cmocka_unit_test(test_a_user_may_be_nameless_but_is_then_not_consistent),
        cmocka_unit_test(test_one_that_was_cut_within_its_agent_is_a_beacon_of_the_bot),
        cmocka_unit_test(test_houdini_greets_without_http),
        cmocka_unit_test(test_no_more_than_id_names_and_system_are_enough_with_its_own_separator),
        cmocka_unit_test(test_requests_of_others_are_no_victims),
        cmocka_unit_test(test_an_agent_of_like_fields_is_none_without_the_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
