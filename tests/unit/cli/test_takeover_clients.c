/* When what a domain's clients get breaks a bound, and when it may be chance. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/takeover_clients.h"

static const struct plan_canary bounds = {
    .servfail_max = 0.01, .nxdomain_max = 0.05, .volume_min = 0.5};
static char broken[512];

static void judge(struct clients_past *past, uint64_t queries, uint64_t servfail, uint64_t nxdomain)
{
    const struct clients_interval interval = {.queries = queries,
                                              .unlisted = queries,
                                              .servfail = servfail,
                                              .nxdomain = nxdomain,
                                              .seconds = 10};
    clients_judge(past, &bounds, &interval, broken, sizeof(broken));
}

static struct clients_past past_of(unsigned intervals, uint64_t queries, uint64_t nxdomain)
{
    struct clients_past past = {0};
    broken[0] = '\0';
    for (unsigned i = 0; i < intervals; i++)
        judge(&past, queries, 0, nxdomain);
    assert_string_equal(broken, "");
    return past;
}

static void test_a_drop_of_the_volume_breaks(void **state)
{
    (void)state;
    struct clients_past past = past_of(3, 100, 0);
    judge(&past, 51, 0, 0);
    assert_string_equal(broken, "");
    past = past_of(3, 100, 0);
    judge(&past, 49, 0, 0);
    assert_non_null(strstr(broken, "volume-min"));
}

static void test_a_short_past_or_few_clients_break_nothing(void **state)
{
    (void)state;
    struct clients_past past = past_of(2, 100, 0);
    judge(&past, 0, 0, 0);
    assert_string_equal(broken, "");
    past = past_of(10, 8, 0); /* none of 8 happens */
    judge(&past, 0, 0, 0);
    assert_string_equal(broken, "");
    past = past_of(10, 10, 0);
    judge(&past, 0, 0, 0);
    assert_non_null(strstr(broken, "volume-min"));
}

static void test_a_volume_that_falls_over_hours_breaks_nothing(void **state)
{
    (void)state;
    struct clients_past past = past_of(20, 100000, 0);
    for (uint64_t queries = 100000; queries > 10000; queries -= queries / 100)
        judge(&past, queries, 0, 0);
    assert_string_equal(broken, "");
}

static void test_servfail_needs_no_past_but_more_than_chance(void **state)
{
    (void)state;
    struct clients_past past = {0};
    broken[0] = '\0';
    judge(&past, 100, 4, 0);
    assert_string_equal(broken, "");
    judge(&past, 1000, 10, 0);
    assert_string_equal(broken, "");
    judge(&past, 100, 5, 0);
    assert_non_null(strstr(broken, "servfail-max"));
}

static void test_nxdomain_is_compared_with_the_past(void **state)
{
    (void)state;
    struct clients_past past = past_of(5, 100, 30);
    judge(&past, 100, 0, 34);
    assert_string_equal(broken, "");
    judge(&past, 100, 0, 40);
    assert_non_null(strstr(broken, "nxdomain-max"));
}

static void test_intervals_are_taken_together_until_there_is_enough(void **state)
{
    (void)state;
    struct clients_past past = past_of(10, 10, 0);
    for (unsigned i = 0; i < 4; i++)
        judge(&past, 10, 0, 10);
    assert_string_equal(broken, "");
    judge(&past, 10, 0, 10);
    assert_non_null(strstr(broken, "nxdomain-max"));
}

static void test_the_watchs_own_questions_are_no_clients(void **state)
{
    (void)state;
    const struct front_counters before = {.queries = 100, .listed = 10},
                                after = {.queries = 200,
                                         .listed = 30,
                                         .servfail = 7,
                                         .nxdomain = 20,
                                         .error_reports = 3};
    const struct parity_counts own = {
        .front_sent = 50, .blocked = 10, .servfail = 2, .nxdomain = 20};
    struct clients_interval interval;
    assert_true(clients_between(&before, &after, 1, &own, &interval));
    assert_int_equal(interval.queries, 50);
    assert_int_equal(interval.unlisted, 40);
    assert_int_equal(interval.servfail, 5);
    assert_int_equal(interval.nxdomain, 0);
    assert_int_equal(interval.error_reports, 3);
    assert_false(clients_between(&after, &before, 1, &own, &interval));
}

static void test_error_reports_count_only_against_a_bound(void **state)
{
    (void)state;
    unsigned reports_max = 2;
    struct plan_canary bound = bounds;
    struct clients_interval interval = {.error_reports = 3, .seconds = 1};
    struct clients_past past = {0};
    broken[0] = '\0';
    clients_judge(&past, &bound, &interval, broken, sizeof(broken));
    assert_string_equal(broken, "");
    bound.error_reports_max = &reports_max;
    clients_judge(&past, &bound, &interval, broken, sizeof(broken));
    assert_non_null(strstr(broken, "error-reports-max"));
}

static void test_a_killed_watch_remembers_its_own_samples_alone(void **state)
{
    (void)state;
    const struct history_sample samples[] = {
        {.time = 10, .queries_s = 900, .clients = 9000},
        {.time = 20, .queries_s = -1},
        {.time = 30, .queries_s = 10, .clients = 100, .clients_nxdomain = 30},
        {.time = 40, .queries_s = 10, .clients = 100, .clients_nxdomain = 30},
        {.time = 50, .queries_s = 10, .clients = 100, .clients_nxdomain = 30},
    };
    struct clients_past past = {0};
    broken[0] = '\0';
    clients_remember(&past, samples, 5, 20);
    judge(&past, 90, 0, 27);
    assert_string_equal(broken, "");
    judge(&past, 40, 0, 12);
    assert_non_null(strstr(broken, "volume-min"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_drop_of_the_volume_breaks),
        cmocka_unit_test(test_a_short_past_or_few_clients_break_nothing),
        cmocka_unit_test(test_a_volume_that_falls_over_hours_breaks_nothing),
        cmocka_unit_test(test_servfail_needs_no_past_but_more_than_chance),
        cmocka_unit_test(test_nxdomain_is_compared_with_the_past),
        cmocka_unit_test(test_intervals_are_taken_together_until_there_is_enough),
        cmocka_unit_test(test_the_watchs_own_questions_are_no_clients),
        cmocka_unit_test(test_error_reports_count_only_against_a_bound),
        cmocka_unit_test(test_a_killed_watch_remembers_its_own_samples_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
