/* Sources: how many connections each has, and which connection gives way first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "sink/source_numbers.h"
#include "sink/source_table.h"

static struct in6_addr address(const char *text)
{
    struct in6_addr made;
    assert_int_equal(inet_pton(AF_INET6, text, &made), 1);
    return made;
}

static uint32_t take(struct source_numbers *numbers, const char *text)
{
    const struct in6_addr client = address(text);
    return source_numbers_take(numbers, &client);
}

static void test_addresses_of_a_64_are_one_source_those_of_ipv4_are_not(void **state)
{
    (void)state;
    _cleanup_(source_numbers_freep) struct source_numbers *numbers = source_numbers_create(10, 10);
    assert_non_null(numbers);
    const uint32_t one = take(numbers, "2001:db8:0:1::1");
    assert_int_not_equal(one, 0);
    assert_int_equal(take(numbers, "2001:db8:0:1:ffff::2"), one);
    assert_int_not_equal(take(numbers, "2001:db8:0:2::1"), one);
    const uint32_t four = take(numbers, "::ffff:192.0.2.1");
    assert_int_equal(take(numbers, "::ffff:192.0.2.1"), four);
    assert_int_not_equal(take(numbers, "::ffff:192.0.2.2"), four);
}

static void test_source_gets_no_more_than_it_may_have_until_it_gives(void **state)
{
    (void)state;
    _cleanup_(source_numbers_freep) struct source_numbers *numbers = source_numbers_create(10, 2);
    assert_non_null(numbers);
    const uint32_t one = take(numbers, "::ffff:192.0.2.1");
    assert_int_equal(take(numbers, "::ffff:192.0.2.1"), one);
    assert_int_equal(take(numbers, "::ffff:192.0.2.1"), 0);
    assert_int_not_equal(take(numbers, "::ffff:192.0.2.2"), 0);
    source_numbers_give(numbers, one);
    assert_int_equal(take(numbers, "::ffff:192.0.2.1"), one);
}

static void test_there_are_never_more_sources_than_may_be(void **state)
{
    (void)state;
    _cleanup_(source_numbers_freep) struct source_numbers *numbers = source_numbers_create(2, 2);
    assert_non_null(numbers);
    const uint32_t one = take(numbers, "::ffff:192.0.2.1");
    assert_int_not_equal(take(numbers, "::ffff:192.0.2.2"), 0);
    assert_int_equal(take(numbers, "::ffff:192.0.2.3"), 0);
    source_numbers_give(numbers, one);
    assert_int_equal(take(numbers, "::ffff:192.0.2.3"), one);
}

static void test_most_connections_then_longest_silence_give_way(void **state)
{
    (void)state;
    _cleanup_(source_table_freep) struct source_table *table = source_table_create(10, 10, 10);
    assert_non_null(table);
    assert_int_equal(source_table_candidate(table), 0);
    source_table_add(table, 1, 1);
    source_table_add(table, 2, 2);
    source_table_add(table, 3, 3);
    /* All have one: the oldest. */
    assert_int_equal(source_table_candidate(table), 1);
    source_table_add(table, 2, 4);
    source_table_add(table, 2, 5);
    assert_int_equal(source_table_count(table, 4), 3);
    assert_int_equal(source_table_candidate(table), 2);
    source_table_touch(table, 2);
    assert_int_equal(source_table_candidate(table), 4);
    source_table_remove(table, 4);
    assert_int_equal(source_table_candidate(table), 5);
    source_table_remove(table, 5);
    assert_int_equal(source_table_candidate(table), 1);
    source_table_remove(table, 1);
    /* The third came before the second was down to one again. */
    assert_int_equal(source_table_candidate(table), 3);
    source_table_remove(table, 3);
    source_table_remove(table, 2);
    assert_int_equal(source_table_candidate(table), 0);
}

#define PLACES  40
#define SOURCES 8

/* What the table should say, found by looking at everything. */
struct model {
    uint32_t source[PLACES + 1]; /* 0: free */
    unsigned heard[PLACES + 1];
    unsigned clock;
};

static unsigned model_count(const struct model *model, uint32_t source)
{
    unsigned count = 0;
    for (uint32_t place = 1; place <= PLACES; place++)
        count += model->source[place] == source;
    return count;
}

static void model_compare(const struct model *model, const struct source_table *table)
{
    const uint32_t candidate = source_table_candidate(table);
    if (candidate == 0) {
        assert_int_equal(model_count(model, 0), PLACES);
        return;
    }
    const uint32_t source = model->source[candidate];
    assert_int_not_equal(source, 0);
    assert_int_equal(source_table_source(table, candidate), source);
    assert_int_equal(source_table_count(table, candidate), model_count(model, source));
    for (uint32_t other = 1; other <= SOURCES; other++)
        assert_true(model_count(model, other) <= model_count(model, source));
    for (uint32_t place = 1; place <= PLACES; place++) {
        if (model->source[place] == source)
            assert_true(model->heard[candidate] <= model->heard[place]);
    }
}

static void test_any_order_of_things_leaves_the_right_candidate(void **state)
{
    (void)state;
    const unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);
    _cleanup_(source_table_freep) struct source_table *table =
        source_table_create(PLACES, SOURCES, PLACES);
    assert_non_null(table);
    struct model model = {0};
    for (unsigned i = 0; i < 20000; i++) {
        const uint32_t place = 1 + (uint32_t)(random() % PLACES);
        if (model.source[place] == 0) {
            model.source[place] = 1 + (uint32_t)(random() % SOURCES);
            model.heard[place] = ++model.clock;
            source_table_add(table, model.source[place], place);
        } else if (random() % 2 == 0) {
            model.heard[place] = ++model.clock;
            source_table_touch(table, place);
        } else {
            model.source[place] = 0;
            source_table_remove(table, place);
        }
        model_compare(&model, table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_of_a_64_are_one_source_those_of_ipv4_are_not),
        cmocka_unit_test(test_source_gets_no_more_than_it_may_have_until_it_gives),
        cmocka_unit_test(test_there_are_never_more_sources_than_may_be),
        cmocka_unit_test(test_most_connections_then_longest_silence_give_way),
        cmocka_unit_test(test_any_order_of_things_leaves_the_right_candidate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
