#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "front/failure_memory.h"
#include "front/timer_wheel.h"

static struct timer_wheel wheel;

static void test_each_timer_is_taken_once_and_when_it_is_due(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    static struct wheel_timer timers[COUNT];
    int64_t now_ms = 1000, wanted_ms[COUNT];
    const unsigned seed = 20140630;
    srand(seed);
    timer_wheel_init(&wheel, now_ms);
    for (unsigned i = 0; i < COUNT; i++) {
        /* Up to three times round. */
        wanted_ms[i] = now_ms + 1 + rand() % (3 * TIMER_WHEEL_SLOTS);
        wheel_timer_set(&wheel, &timers[i], wanted_ms[i]);
    }
    unsigned taken = 0;
    while (timer_wheel_next(&wheel) != INT64_MAX) {
        const int64_t next_ms = timer_wheel_next(&wheel);
        /* At times late, at times by more than the wheel is round. */
        now_ms = next_ms + (rand() % 10 == 0 ? rand() % (2 * TIMER_WHEEL_SLOTS) : rand() % 3);
        for (unsigned i = 0; i < COUNT; i++)
            assert_true(timers[i].previous == NULL || wanted_ms[i] >= next_ms);
        struct wheel_timer *timer;
        while ((timer = timer_wheel_take(&wheel, now_ms)) != NULL) {
            assert_true(wanted_ms[timer - timers] <= now_ms);
            assert_null(timer->previous);
            taken++;
        }
        for (unsigned i = 0; i < COUNT; i++)
            assert_true(timers[i].previous == NULL || wanted_ms[i] > now_ms);
    }
    assert_int_equal(taken, COUNT);
}

static void test_timer_can_be_moved_and_cleared(void **state)
{
    (void)state;
    struct wheel_timer one = {.next = NULL}, other = {.next = NULL};
    timer_wheel_init(&wheel, 0);
    wheel_timer_set(&wheel, &one, 10);
    wheel_timer_set(&wheel, &other, 10 + TIMER_WHEEL_SLOTS);
    wheel_timer_set(&wheel, &one, 20);
    assert_null(timer_wheel_take(&wheel, 19));
    wheel_timer_unset(&wheel, &other);
    assert_ptr_equal(timer_wheel_take(&wheel, 20), &one);
    assert_true(timer_wheel_next(&wheel) == INT64_MAX);
    /* One that is late is due next, so that whoever sets it while taking comes to an end. */
    wheel_timer_set(&wheel, &one, 5);
    assert_null(timer_wheel_take(&wheel, 20));
    assert_ptr_equal(timer_wheel_take(&wheel, 21), &one);
}

static void test_failure_lasts_longer_each_time_and_is_forgotten(void **state)
{
    (void)state;
    static struct failure_memory memory;
    const uint64_t key = 0x1234567;
    int64_t now_ms = 5000, lasts_ms = FAILURE_MS_MIN;
    for (unsigned i = 0; i < 8; i++) {
        assert_false(failure_is_known(&memory, key, now_ms));
        failure_note(&memory, key, now_ms);
        /* What fails together fails once. */
        failure_note(&memory, key, now_ms);
        assert_true(failure_is_known(&memory, key, now_ms + lasts_ms - 1));
        now_ms += lasts_ms;
        lasts_ms = lasts_ms * 2 < FAILURE_MS_MAX ? lasts_ms * 2 : FAILURE_MS_MAX;
    }
    assert_false(failure_is_known(&memory, key + FAILURE_MEMORY_SLOTS, now_ms - 1));
    failure_forget(&memory, key);
    failure_note(&memory, key, now_ms);
    assert_false(failure_is_known(&memory, key, now_ms + FAILURE_MS_MIN));
    /* After a long quiet it is the first of a row again. */
    now_ms += 10 * FAILURE_MS_MAX;
    failure_note(&memory, key, now_ms);
    assert_false(failure_is_known(&memory, key, now_ms + FAILURE_MS_MIN));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_timer_is_taken_once_and_when_it_is_due),
        cmocka_unit_test(test_timer_can_be_moved_and_cleared),
        cmocka_unit_test(test_failure_lasts_longer_each_time_and_is_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
