/* Distinct hashes, counted in bounded memory. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sink/hyperloglog.h"

static struct memory_budget unbounded = {.max = SIZE_MAX};

/* The finalizer of SplitMix64: distinct numbers give distinct words whose halves look random. */
static uint32_t hash_of(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15) * (number + 1);
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return (uint32_t)(number ^ number >> 31);
}

static void add_range(struct hyperloglog *sketch, uint64_t from, uint64_t to)
{
    for (uint64_t number = from; number < to; number++)
        assert_int_equal(hyperloglog_add(sketch, hash_of(number), &unbounded), 0);
}

static void assert_near(uint64_t estimate, double truth, double share)
{
    assert_true((double)estimate > truth * (1 - share) && (double)estimate < truth * (1 + share));
}

static void test_a_few_are_counted_exactly_however_often_they_come(void **state)
{
    (void)state;
    struct hyperloglog sketch = {.precision = 10};
    for (unsigned round = 0; round < 3; round++) {
        for (uint64_t count = 1; count <= HYPERLOGLOG_EXACT_MAX; count++) {
            add_range(&sketch, 0, count);
            if (round == 0)
                assert_int_equal(hyperloglog_estimate(&sketch), count);
        }
    }
    assert_int_equal(hyperloglog_estimate(&sketch), HYPERLOGLOG_EXACT_MAX);
    assert_false(sketch.dense);
    hyperloglog_clear(&sketch, &unbounded);
    assert_int_equal(hyperloglog_estimate(&sketch), 0);
    assert_int_equal(unbounded.used, 0);
}

static void test_many_are_counted_within_four_standard_errors(void **state)
{
    (void)state;
    const struct {
        uint8_t precision;
        double error;
    } cases[] = {{10, 0.0325}, {14, 0.0082}};
    for (unsigned i = 0; i < 2; i++) {
        struct hyperloglog sketch = {.precision = cases[i].precision};
        uint64_t from = 0;
        for (uint64_t to = 100; to <= 1000000; to = to * 10 / 3) {
            add_range(&sketch, from, to);
            assert_near(hyperloglog_estimate(&sketch), (double)to, 4 * cases[i].error);
            from = to;
        }
        hyperloglog_clear(&sketch, &unbounded);
    }
    assert_int_equal(unbounded.used, 0);
}

static void test_merged_sketches_count_what_either_has_seen_once(void **state)
{
    (void)state;
    const uint64_t sizes[] = {30, 5000};
    for (unsigned i = 0; i < 4; i++) {
        struct hyperloglog one = {.precision = 12}, other = {.precision = 12};
        struct hyperloglog both = {.precision = 12};
        add_range(&one, 0, sizes[i % 2]);
        add_range(&other, sizes[i % 2] / 2, sizes[i % 2] / 2 + sizes[i / 2]);
        add_range(&both, 0, sizes[i % 2]);
        add_range(&both, sizes[i % 2] / 2, sizes[i % 2] / 2 + sizes[i / 2]);
        assert_int_equal(hyperloglog_merge(&one, &other, &unbounded), 0);
        assert_int_equal(hyperloglog_estimate(&one), hyperloglog_estimate(&both));
        hyperloglog_clear(&one, &unbounded);
        hyperloglog_clear(&other, &unbounded);
        hyperloglog_clear(&both, &unbounded);
    }
}

static void test_without_memory_it_keeps_what_it_has(void **state)
{
    (void)state;
    struct memory_budget budget = {.max = 600}; /* the hashes fit, 1,024 registers don't */
    struct hyperloglog sketch = {.precision = 10};
    int rc = 0;
    for (uint64_t number = 0; number < 1000 && rc == 0; number++)
        rc = hyperloglog_add(&sketch, hash_of(number), &budget);
    assert_int_equal(rc, -ENOMEM);
    assert_int_equal(hyperloglog_estimate(&sketch), HYPERLOGLOG_EXACT_MAX);
    assert_true(budget.used <= budget.max);
    hyperloglog_clear(&sketch, &budget);
    assert_int_equal(budget.used, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_few_are_counted_exactly_however_often_they_come),
        cmocka_unit_test(test_many_are_counted_within_four_standard_errors),
        cmocka_unit_test(test_merged_sketches_count_what_either_has_seen_once),
        cmocka_unit_test(test_without_memory_it_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
