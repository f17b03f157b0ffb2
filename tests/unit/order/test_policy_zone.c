/* An order as a policy zone, record by record. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order/policy_zone.h"
#include "order_text.h"

/* The zone of an order with one more line of YAML per `lines`. The caller frees it. */
static char *compile(const char *text, const char *origin, struct policy_zone_summary *ret_summary)
{
    const struct policy_zone_options options = {.origin = origin, .serial = 7};
    struct order *order = NULL;
    struct error error = {0};
    char *zone = NULL;
    size_t size;

    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    FILE *stream = open_memstream(&zone, &size);
    assert_non_null(stream);
    assert_int_equal(policy_zone_write(order, &options, stream, ret_summary, &error), 0);
    fclose(stream);
    order_free(order);
    return zone;
}

static void test_a_sinkhole_becomes_local_data(void **state)
{
    struct policy_zone_summary summary;
    char *zone = compile("id: t-1\nkind: court\nauthority: 'A \"court\"'\n"
                         "starts: 2014-06-30T12:00:00Z\nends: 2014-07-14T12:00:00Z\n"
                         "action: sinkhole\nsinkhole: {a: [192.0.2.66], aaaa: [\"2001:db8::66\"]}\n"
                         "notice: https://n.example\n"
                         "names: [b.example, a.example, _u.example, free.example, s.example]\n"
                         "subtrees: [s.example]\nexempt: [free.example]\n",
                         NULL, &summary);

    (void)state;
    assert_string_equal(
        zone, "$ORIGIN t-1.rpz.invalid.\n"
              "$TTL 60\n"
              "@ SOA localhost. hostmaster.invalid. 7 300 60 86400 60\n"
              "@ NS localhost.\n"
              "_tamis TXT \"tamis-order=1\" \"id=t-1\" \"kind=court\" \"authority=A \\\"court\\\"\""
              " \"starts=2014-06-30T12:00:00Z\" \"ends=2014-07-14T12:00:00Z\""
              " \"action=sinkhole\" \"notice=https://n.example\" \"ttl=60\""
              " \"a=192.0.2.66\" \"aaaa=2001:db8::66\"\n"
              "_u.example CNAME *.\n"
              "a.example A 192.0.2.66\n"
              "a.example AAAA 2001:db8::66\n"
              "b.example A 192.0.2.66\n"
              "b.example AAAA 2001:db8::66\n"
              "0._tamis TXT \"names\" \"free.example\"\n"
              "1._tamis TXT \"names\" \"s.example\"\n"
              "s.example A 192.0.2.66\n"
              "s.example AAAA 2001:db8::66\n"
              "*.s.example A 192.0.2.66\n"
              "*.s.example AAAA 2001:db8::66\n"
              "free.example CNAME rpz-passthru.\n");
    assert_int_equal(summary.names, 4);
    assert_int_equal(summary.left_out, 0);
    assert_int_equal(summary.without_address, 1);
    free(zone);
}

static void test_each_action_has_its_record(void **state)
{
    static const char *const actions[][2] = {
        {"nxdomain", "a.example CNAME .\n"},
        {"nodata", "a.example CNAME *.\n"},
        {"refuse", "a.example CNAME rpz-drop.\n"},
        {"observe", "a.example CNAME rpz-passthru.\n"},
    };

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct policy_zone_summary summary;
        char text[512];
        snprintf(text, sizeof(text),
                 "id: t-1\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\n"
                 "ends: 2014-07-14T12:00:00Z\naction: %s\nnames: [a.example]\n",
                 actions[i][0]);
        char *zone = compile(text, "Policy.example.", &summary);
        assert_non_null(strstr(zone, "$ORIGIN policy.example.\n"));
        assert_non_null(strstr(zone, actions[i][1]));
        free(zone);
    }
}

static void test_names_without_a_place_are_left_out_and_counted(void **state)
{
    static const char text[] =
        ORDER_HEAD "names:\n"
                   "- a.example\n"
                   "- 24.0.2.0.192.rpz-ip\n"
                   "- a23456789012345678901234567890123456789012345678901234567890."
                   "a23456789012345678901234567890123456789012345678901234567890."
                   "a23456789012345678901234567890123456789012345678901234567890."
                   "a23456789012345678901234567890123456789012345678901234567890\n";
    struct policy_zone_summary summary;
    char *zone = compile(text, NULL, &summary);

    (void)state;
    assert_int_equal(summary.names, 1);
    assert_int_equal(summary.left_out, 2);
    assert_non_null(strstr(zone, "._tamis TXT \"names\" \"24.0.2.0.192.rpz-ip\"\n"));
    assert_null(strstr(zone, "\n24.0"));
    free(zone);
    zone = compile(text, "x.example", &summary); /* 244 and 11 octets fit exactly */
    assert_int_equal(summary.left_out, 1);
    free(zone);
}

static void test_a_bad_origin_is_refused(void **state)
{
    const struct policy_zone_options options = {.origin = "a..b"};
    struct policy_zone_summary summary;
    struct order *order = NULL;
    struct error error = {0};

    (void)state;
    assert_int_equal(order_from_text(ORDER_HEAD "names: [a.example]\n", NULL, &order, NULL), 0);
    assert_int_equal(policy_zone_write(order, &options, stdout, &summary, &error), -EINVAL);
    assert_string_equal(error.text, "the origin 'a..b' has an empty label");
    order_free(order);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sinkhole_becomes_local_data),
        cmocka_unit_test(test_each_action_has_its_record),
        cmocka_unit_test(test_names_without_a_place_are_left_out_and_counted),
        cmocka_unit_test(test_a_bad_origin_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
