/* What is read as a report of an error, and that what is kept of them has bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "server/error_reports.h"

static struct error_reports *reports;

static int set_up(void **state)
{
    (void)state;
    name_hash_key_set(1, 2);
    return error_reports_create((const uint8_t *)"\2er\7example", &reports);
}

static int tear_down(void **state)
{
    (void)state;
    error_reports_free(reports);
    return 0;
}

static bool parse(const char *text, struct error_report *ret_report)
{
    uint8_t wire[NAME_SIZE_MAX];
    struct name name;
    assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
    assert_true(name_parse(&name, wire, sizeof(wire)) > 0);
    const struct error_agent *agent = error_reports_agent(reports);
    assert_true(error_agent_name_is_within(&name, &agent->suffix));
    return error_report_parse(agent, &name, ret_report);
}

static void test_a_complete_report_says_name_type_and_error(void **state)
{
    (void)state;
    struct error_report report;
    assert_true(parse("_ER.28.WWW.a.test.22._er.er.example", &report));
    assert_int_equal(report.type, 28);
    assert_int_equal(report.error, 22);
    assert_memory_equal(report.name, "\3www\1a\4test", 12);
    assert_true(parse("_er.1-28.a.test.65535._er.er.example", &report));
    assert_int_equal(report.type, 1);
    assert_int_equal(report.error, 65535);
    assert_true(parse("_er.2.7._er.er.example", &report));
    assert_memory_equal(report.name, "", 1);
}

static void test_anything_else_is_no_report(void **state)
{
    (void)state;
    static const char *const names[] = {
        "_er.er.example",
        "7._er.er.example",
        "_er.7._er.er.example",
        "a.test.7._er.er.example",
        "_er.65536.a.7._er.er.example",
        "_er.1.a.65536._er.er.example",
        "_er.a.7._er.er.example",
        "_er.-1.a.7._er.er.example",
        "_er.1.a.1-2._er.er.example",
        "_er.1x.a.7._er.er.example",
        "_er.1.a.000000000000000000000000000000000000000099999999._er.er.example",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct error_report report;
        assert_false(parse(names[i], &report));
    }
}

static void test_the_longest_name_fits(void **state)
{
    (void)state;
    const struct error_agent *agent = error_reports_agent(reports);
    uint8_t wire[NAME_SIZE_MAX];
    size_t size = 0;
    struct name name;
    struct error_report report;
    memcpy(wire,
           "\3_er\1"
           "1",
           6);
    size = 6;
    while (size + 2 + 2 + agent->suffix.size + 2 <= NAME_SIZE_MAX) {
        memcpy(wire + size, "\1a", 2);
        size += 2;
    }
    memcpy(wire + size,
           "\1"
           "7",
           2);
    memcpy(wire + size + 2, agent->suffix.wire, agent->suffix.size);
    assert_true(name_parse(&name, wire, size + 2 + agent->suffix.size) > 0);
    assert_true(error_report_parse(agent, &name, &report));
    assert_int_equal(name_wire_size(report.name), size - 6 + 1);
}

static void test_more_zones_than_there_is_room_for_are_counted_together(void **state)
{
    (void)state;
    const struct error_report report = {.name = "\1a", .type = 1, .error = 40000};
    for (unsigned i = 0; i < 300; i++) {
        uint8_t wire[] = "\2xx\7example";
        struct name zone;
        wire[1] = (uint8_t)('a' + i % 26);
        wire[2] = (uint8_t)('a' + i / 26);
        assert_true(name_parse(&zone, wire, sizeof(wire)) > 0);
        error_reports_note(reports, &report, &zone, false, i);
        error_reports_note(reports, &report, &zone, true, i);
    }
    json_t *result = error_reports_json(reports);
    assert_int_equal(json_array_size(json_object_get(result, "zones")), 256);
    assert_int_equal(json_integer_value(json_object_get(result, "crowded")), 2 * (300 - 256));
    assert_int_equal(json_integer_value(json_object_get(result, "reports")), 600);
    assert_int_equal(json_array_size(json_object_get(result, "recent")), 64);
    const json_t *zone = json_array_get(json_object_get(result, "zones"), 255);
    assert_int_equal(json_integer_value(json_object_get(zone, "listed")), 1);
    json_decref(result);
}

static void test_the_root_and_a_long_name_are_no_agents(void **state)
{
    (void)state;
    struct error_reports *made;
    uint8_t longer[ERROR_AGENT_SIZE_MAX + 1] = {ERROR_AGENT_SIZE_MAX - 1};
    memset(longer + 1, 'a', ERROR_AGENT_SIZE_MAX - 1);
    assert_int_equal(error_reports_create((const uint8_t *)"", &made), -22);
    assert_int_equal(error_reports_create(longer, &made), -22);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_complete_report_says_name_type_and_error),
        cmocka_unit_test(test_anything_else_is_no_report),
        cmocka_unit_test(test_the_longest_name_fits),
        cmocka_unit_test(test_more_zones_than_there_is_room_for_are_counted_together),
        cmocka_unit_test(test_the_root_and_a_long_name_are_no_agents),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
