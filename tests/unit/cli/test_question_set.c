/* Sets of questions, and the history of a running check. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libknot/libknot.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/parity_history.h"
#include "cli/question_set.h"

static void add(struct question_set *set, const char *text, uint16_t type)
{
    uint8_t name[NAME_SIZE_MAX];
    assert_non_null(knot_dname_from_str(name, text, sizeof(name)));
    assert_int_equal(question_set_add(set, name, type, false), 0);
}

static void test_a_question_is_kept_once_in_any_letter_case(void **state)
{
    (void)state;
    struct question_set set = {0};
    uint8_t name[NAME_SIZE_MAX];

    add(&set, "www.a.example", KNOT_RRTYPE_A);
    add(&set, "WWW.a.Example", KNOT_RRTYPE_A);
    add(&set, "www.a.example", KNOT_RRTYPE_AAAA);
    assert_int_equal(set.count, 2);
    knot_dname_from_str(name, "www.A.example", sizeof(name));
    assert_int_equal(question_set_find(&set, name, KNOT_RRTYPE_AAAA, false), 1);
    assert_int_equal(question_set_find(&set, name, KNOT_RRTYPE_AAAA, true), SIZE_MAX);
    question_set_clear(&set);
}

static void test_many_questions_are_all_found_and_the_digest_tells_sets_apart(void **state)
{
    (void)state;
    struct question_set set = {0}, other = {0};
    char text[64];
    for (unsigned i = 0; i < 5000; i++) {
        snprintf(text, sizeof(text), "n%u.a.example", i);
        add(&set, text, KNOT_RRTYPE_A);
        if (i != 17)
            add(&other, text, KNOT_RRTYPE_A);
    }
    assert_int_equal(set.count, 5000);
    for (unsigned i = 0; i < 5000; i++)
        assert_int_equal(question_set_find(&set, question_set_name(&set, i), KNOT_RRTYPE_A, false),
                         i);
    assert_true(question_set_digest(&set) != question_set_digest(&other));
    assert_true(question_set_digest(&set) == question_set_digest(&set));
    question_set_clear(&set);
    question_set_clear(&other);
}

static void test_a_sample_has_different_members(void **state)
{
    (void)state;
    size_t count = 100;
    size_t *drawn = parity_sample(1000, &count);
    assert_int_equal(count, 100);
    for (size_t i = 1; i < count; i++)
        assert_true(drawn[i - 1] < drawn[i] && drawn[i] < 1000);
    free(drawn);
    count = 10;
    drawn = parity_sample(3, &count);
    assert_int_equal(count, 3);
    free(drawn);
}

static void test_a_history_survives_a_half_line(void **state)
{
    (void)state;
    char path[] = "/tmp/tamis-history-XXXXXX";
    struct history_sample samples[2];
    struct error error = {0};
    size_t count;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"time\": 1, \"ques", 17), 17);
    close(fd);
    for (int64_t i = 1; i <= 3; i++)
        assert_int_equal(
            history_append(path, &(struct history_sample){.time = i, .questions = 7}, &error), 0);
    assert_int_equal(history_read(path, samples, 2, &count, &error), 0);
    assert_int_equal(count, 2);
    assert_int_equal(samples[0].time, 2);
    assert_int_equal(samples[1].time, 3);
    assert_int_equal(samples[1].questions, 7);
    unlink(path);
    assert_int_equal(history_read(path, samples, 2, &count, &error), 0);
    assert_int_equal(count, 0);
}

static void test_a_sparkline_scales_to_its_largest_value(void **state)
{
    (void)state;
    char text[SPARKLINE_SIZE];
    assert_string_equal(sparkline((double[]){0, 7, NAN, 14}, 4, text), "▁▅ █");
    assert_string_equal(sparkline((double[]){0, 0}, 2, text), "▁▁");
    double many[HISTORY_SHOWN + 5] = {0};
    sparkline(many, HISTORY_SHOWN + 5, text);
    assert_int_equal(strlen(text), 3 * HISTORY_SHOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_question_is_kept_once_in_any_letter_case),
        cmocka_unit_test(test_many_questions_are_all_found_and_the_digest_tells_sets_apart),
        cmocka_unit_test(test_a_sample_has_different_members),
        cmocka_unit_test(test_a_history_survives_a_half_line),
        cmocka_unit_test(test_a_sparkline_scales_to_its_largest_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
