/* Buckets of tries: what they hold, how they fill again, and that a full table stays useful. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <sodium.h>

#include "desk/throttle.h"

#define NOW_MS INT64_C(1700000000000)

static const struct throttle_rate rate = {3, 10};

static void a_bucket_holds_its_burst_and_fills_by_one_each_period(void **state)
{
    _cleanup_(throttle_freep) struct throttle *throttle = throttle_create(64);
    const uint64_t key = throttle_key(throttle, "pair", "a");

    (void)state;
    for (unsigned i = 0; i < rate.burst; i++)
        assert_int_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
    assert_int_equal(throttle_take(throttle, key, rate, NOW_MS), 10);
    /* What was refused cost nothing. */
    assert_int_equal(throttle_take(throttle, key, rate, NOW_MS + 9500), 1);
    assert_int_equal(throttle_take(throttle, key, rate, NOW_MS + 10000), 0);
    assert_int_equal(throttle_take(throttle, key, rate, NOW_MS + 10000), 10);
    for (unsigned i = 0; i < rate.burst; i++)
        assert_int_equal(throttle_take(throttle, key, rate, NOW_MS + 100000), 0);
    assert_int_not_equal(throttle_take(throttle, key, rate, NOW_MS + 100000), 0);
}

static void what_is_given_back_costs_nothing(void **state)
{
    _cleanup_(throttle_freep) struct throttle *throttle = throttle_create(64);
    const uint64_t key = throttle_key(throttle, "pair", "a");

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
        throttle_give(throttle, key, rate);
    }
    /* And makes no bucket larger than it is. */
    for (unsigned i = 0; i < rate.burst; i++)
        assert_int_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
    assert_int_not_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
}

static void kinds_and_texts_do_not_mix(void **state)
{
    _cleanup_(throttle_freep) struct throttle *throttle = throttle_create(64);

    (void)state;
    assert_true(throttle_key(throttle, "ab", "c") != throttle_key(throttle, "a", "bc"));
    assert_true(throttle_key(throttle, "a", "b") != throttle_key(throttle, "b", "a"));
    assert_true(throttle_key(throttle, "a", "b") == throttle_key(throttle, "a", "b"));
}

/* Others who try once each must not wash out whoever has tried much. */
static void a_full_table_forgets_those_who_tried_least(void **state)
{
    _cleanup_(throttle_freep) struct throttle *throttle = throttle_create(256);
    const uint64_t key = throttle_key(throttle, "pair", "guesser");
    char text[32];

    (void)state;
    for (unsigned i = 0; i < rate.burst; i++)
        assert_int_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
    for (unsigned i = 0; i < 10000; i++) {
        (void)snprintf(text, sizeof(text), "other%u", i);
        (void)throttle_take(throttle, throttle_key(throttle, "pair", text), rate, NOW_MS);
    }
    assert_int_not_equal(throttle_take(throttle, key, rate, NOW_MS), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_holds_its_burst_and_fills_by_one_each_period),
        cmocka_unit_test(what_is_given_back_costs_nothing),
        cmocka_unit_test(kinds_and_texts_do_not_mix),
        cmocka_unit_test(a_full_table_forgets_those_who_tried_least),
    };
    if (sodium_init() < 0)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
