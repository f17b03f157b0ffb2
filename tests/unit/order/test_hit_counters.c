/* A counter for each name counts all hits, however many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order/hit_counters.h"

#define FEW  UINT64_C(10)
#define MANY UINT64_C(1000000) /* more than the heap is asked for */

static void check_counters(size_t count)
{
    struct hit_counters counters;

    assert_int_equal(hit_counters_init(&counters, count), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(hit_counters_read(&counters, i), 0);
    hit_counters_add(&counters, 0);
    hit_counters_add(&counters, count - 1);
    hit_counters_add(&counters, count - 1);
    assert_int_equal(hit_counters_read(&counters, 0), 1);
    assert_int_equal(hit_counters_read(&counters, 1), 0);
    assert_int_equal(hit_counters_read(&counters, count - 1), 2);
    hit_counters_clear(&counters);
}

static void test_each_name_has_a_counter(void **state)
{
    (void)state;
    check_counters(FEW);
    check_counters(MANY);
}

static void test_a_counter_carries_over(void **state)
{
    struct hit_counters counters;

    (void)state;
    assert_int_equal(hit_counters_init(&counters, FEW), 0);
    counters.low[3] = UINT32_MAX - 1;
    hit_counters_add(&counters, 3);
    assert_int_equal(hit_counters_read(&counters, 3), UINT32_MAX);
    hit_counters_add(&counters, 3);
    assert_int_equal(hit_counters_read(&counters, 3), (uint64_t)UINT32_MAX + 1);
    counters.low[3] = UINT32_MAX;
    hit_counters_add(&counters, 3);
    assert_int_equal(hit_counters_read(&counters, 3), 2 * ((uint64_t)UINT32_MAX + 1));
    assert_int_equal(hit_counters_read(&counters, 2), 0);
    assert_int_equal(hit_counters_read(&counters, 4), 0);
    hit_counters_clear(&counters);
}

static void test_no_names_need_no_counters(void **state)
{
    struct hit_counters counters;

    (void)state;
    assert_int_equal(hit_counters_init(&counters, 0), 0);
    assert_null((void *)counters.low);
    hit_counters_clear(&counters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_name_has_a_counter),
        cmocka_unit_test(test_a_counter_carries_over),
        cmocka_unit_test(test_no_names_need_no_counters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
