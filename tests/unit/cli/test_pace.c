/* How the rate of questions follows the servers: up to the bound while all is well, down when
 * answers are lost or late, and back. Time is what the test says it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cli/pace.h"

#define RATE_MAX 1000
#define STEP_US  1000

struct play {
    struct pace pace;
    uint64_t now_us;
    unsigned lost_of_100; /* of a hundred questions */
    uint64_t round_trip_us;
};

static struct play play_begin(bool follows)
{
    struct play play = {.now_us = 1000000, .round_trip_us = 20000};
    pace_init(&play.pace, RATE_MAX, follows);
    return play;
}

/* Asks as much as it may for so long; returns how many questions went. */
static unsigned play_for(struct play *play, unsigned ms)
{
    unsigned asked = 0;
    for (uint64_t end_us = play->now_us + ms * 1000ULL; play->now_us < end_us;
         play->now_us += STEP_US)
        while (pace_take(&play->pace, play->now_us)) {
            if (asked++ % 100 < play->lost_of_100)
                pace_failed(&play->pace);
            else
                pace_answered(&play->pace, play->round_trip_us);
        }
    return asked;
}

static void test_a_rate_that_follows_nothing_is_kept(void **state)
{
    (void)state;
    struct play play = play_begin(false);
    play.lost_of_100 = 50;
    assert_in_range(play_for(&play, 10000), 9990, 10010);
    assert_int_equal(pace_rate(&play.pace), RATE_MAX);
    pace_clear(&play.pace);
}

static void test_without_a_bound_every_question_goes(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 0, true);
    for (unsigned i = 0; i < 100000; i++)
        assert_true(pace_take(&pace, 1));
    pace_clear(&pace);
}

static void test_it_begins_slowly_and_reaches_the_bound(void **state)
{
    (void)state;
    struct play play = play_begin(true);
    assert_in_range(play_for(&play, 400), 20, RATE_MAX / 8);
    play_for(&play, 3000);
    assert_int_equal(pace_rate(&play.pace), RATE_MAX);
    assert_in_range(play_for(&play, 1000), RATE_MAX * 98 / 100, RATE_MAX);
    pace_clear(&play.pace);
}

static void test_lost_answers_slow_it_down_and_it_comes_back(void **state)
{
    (void)state;
    struct play play = play_begin(true);
    play_for(&play, 4000);
    play.lost_of_100 = 10;
    play_for(&play, 2000);
    assert_in_range(pace_rate(&play.pace), 1, RATE_MAX / 2);
    play_for(&play, 60000);
    assert_in_range(pace_rate(&play.pace), RATE_MAX / 20, RATE_MAX / 5); /* no standstill */
    play.lost_of_100 = 0;
    play_for(&play, 2000);
    assert_in_range(pace_rate(&play.pace), RATE_MAX / 20 + 1, RATE_MAX / 2);
    play_for(&play, 25000);
    assert_int_equal(pace_rate(&play.pace), RATE_MAX);
    pace_clear(&play.pace);
}

static void test_a_single_loss_is_chance(void **state)
{
    (void)state;
    struct play play = play_begin(true);
    play_for(&play, 4000);
    play.lost_of_100 = 1;
    play_for(&play, 10000);
    assert_int_equal(pace_rate(&play.pace), RATE_MAX);
    pace_clear(&play.pace);
}

static void test_answers_that_come_later_than_before_slow_it_down(void **state)
{
    (void)state;
    struct play play = play_begin(true);
    play_for(&play, 4000);
    play.round_trip_us = 200000;
    play_for(&play, 2000);
    assert_in_range(pace_rate(&play.pace), 1, RATE_MAX / 2);
    /* A delay that stays is the path's. */
    play_for(&play, 60000);
    assert_int_equal(pace_rate(&play.pace), RATE_MAX);
    pace_clear(&play.pace);
}

static void test_what_is_put_back_can_be_taken(void **state)
{
    (void)state;
    struct pace pace;
    pace_init(&pace, 1, false);
    assert_false(pace_take(&pace, 1000000));
    assert_true(pace_take(&pace, 2000000));
    assert_false(pace_take(&pace, 2000000));
    pace_put_back(&pace);
    assert_true(pace_take(&pace, 2000000));
    pace_clear(&pace);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_rate_that_follows_nothing_is_kept),
        cmocka_unit_test(test_without_a_bound_every_question_goes),
        cmocka_unit_test(test_it_begins_slowly_and_reaches_the_bound),
        cmocka_unit_test(test_lost_answers_slow_it_down_and_it_comes_back),
        cmocka_unit_test(test_a_single_loss_is_chance),
        cmocka_unit_test(test_answers_that_come_later_than_before_slow_it_down),
        cmocka_unit_test(test_what_is_put_back_can_be_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
