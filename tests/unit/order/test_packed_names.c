/* Names packed and indexed are the names that went in, no more and no fewer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order/name_index.h"
#include "order/name_list.h"
#include "order/packed_names.h"

/* A list as an order has it, packed and indexed. */
struct list {
    struct order_names names;
    struct packed_names packed;
    struct name_index *index; /* NULL: no names */
};

static void make_list(struct list *list, const char *text, size_t size)
{
    struct order order = {.path = "order.yaml", .names_path = "names.txt"};
    struct name_list *lines = NULL;

    *list = (struct list){0};
    assert_int_equal(name_list_create(&order, &lines), 0);
    assert_int_equal(name_list_add_lines(lines, text, size), 0);
    assert_int_equal(name_list_finish(lines, &list->names), 0);
    name_list_free(lines);
    for (size_t i = 0; i < order.finding_count; i++) {
        free(order.findings[i].entry);
        free(order.findings[i].detail);
    }
    free(order.findings);

    assert_int_equal(packed_names_create(&list->names, &list->packed), 0);
    assert_int_equal(list->packed.count, list->names.count);
    if (list->names.count == 0)
        return;
    uint64_t *hashes = calloc(list->names.count, sizeof(*hashes));
    assert_non_null(hashes);
    for (size_t i = 0; i < list->names.count; i++)
        hashes[i] = name_hash(order_names_at(&list->names, i));
    assert_int_equal(name_index_create(&list->packed, hashes, &list->index), 0);
    free(hashes);
}

static void clear_list(struct list *list)
{
    name_index_unref(list->index);
    packed_names_clear(&list->packed);
    order_names_clear(&list->names);
}

/* Looks for a name in one list of an index: its place in the list, or SIZE_MAX. A name that is
 * found twice fails the test. */
static size_t find(const struct name_index *index, uint32_t list, const uint8_t *wire)
{
    struct name_probe probe;
    struct name_place place;
    struct packed_key key = {0};
    struct name name;
    size_t found = SIZE_MAX;

    assert_true(name_parse(&name, wire, NAME_SIZE_MAX) > 0);
    packed_key_write(&name, 0, &key);
    name_probe_begin(&probe, index, name.hashes[0]);
    while (name_probe_next(&probe, &place)) {
        size_t here = place.list == list ? name_index_look(index, &place, &key) : SIZE_MAX;
        if (here == SIZE_MAX)
            continue;
        assert_int_equal(found, SIZE_MAX);
        found = here;
    }
    return found;
}

/* The walk, the bounds and the index agree with the list that was packed, and with `strangers`,
 * another one, about each of its names. */
static void check_list(const struct list *list, const struct list *strangers)
{
    struct packed_walk walk;
    const uint8_t *wire;

    packed_walk_begin(&walk, &list->packed, 0);
    for (size_t i = 0; i < list->names.count; i++) {
        const uint8_t *expected = order_names_at(&list->names, i);
        wire = packed_walk_next(&walk);
        assert_non_null(wire);
        assert_memory_equal(wire, expected, name_wire_size(expected));
        assert_int_equal(find(list->index, 0, expected), i);
        assert_int_equal(packed_names_lower_bound(&list->packed, expected), i);
    }
    assert_null(packed_walk_next(&walk));
    assert_null(packed_walk_next(&walk));

    for (size_t i = 0; i < strangers->names.count; i++) {
        wire = order_names_at(&strangers->names, i);
        assert_int_equal(packed_names_lower_bound(&list->packed, wire),
                         order_names_lower_bound(&list->names, wire));
        if (list->index != NULL)
            assert_int_equal(find(list->index, 0, wire), order_names_find(&list->names, wire));
    }
}

/* A walk that begins anywhere goes on from there. */
static void check_beginnings(const struct list *list)
{
    struct packed_walk walk;

    for (size_t i = 0; i <= list->names.count; i++) {
        packed_walk_begin(&walk, &list->packed, i);
        const uint8_t *wire = packed_walk_next(&walk);
        assert_int_equal(wire == NULL, i == list->names.count);
        if (wire != NULL)
            assert_memory_equal(wire, order_names_at(&list->names, i), name_wire_size(wire));
    }
}

/* Few octets, among them those that sort keys escape, in labels of many sizes: common prefixes and
 * suffixes, names within names, and lengths that look like letters. */
static char *random_lines(unsigned *seed, size_t lines, unsigned labels_max, size_t *ret_size)
{
    static const char *const octets[] = {"a", "b", "\\000", "\\001", "\\004", "-", "z", "\\255"};
    char *text = malloc(lines * 1024);
    size_t used = 0;

    assert_non_null(text);
    for (size_t i = 0; i < lines; i++) {
        unsigned labels = 1 + (unsigned)rand_r(seed) % labels_max;
        for (unsigned k = 0; k < labels; k++) {
            unsigned size = 1 + (unsigned)rand_r(seed) % (k == 0 ? 20 : 3);
            for (unsigned j = 0; j < size; j++)
                used = (size_t)(stpcpy(text + used, octets[(unsigned)rand_r(seed) % 8]) - text);
            text[used++] = k + 1 < labels ? '.' : '\n';
        }
    }
    *ret_size = used;
    return text;
}

static void make_random(struct list *list, unsigned *seed, size_t lines, unsigned labels_max)
{
    size_t size;
    char *text = random_lines(seed, lines, labels_max, &size);

    make_list(list, text, size);
    free(text);
}

static void test_random_names_are_all_found_and_no_others(void **state)
{
    unsigned seed = 20140630;
    struct list list, strangers;

    (void)state;
    print_message("seed %u\n", seed);
    make_random(&strangers, &seed, 3000, 4);
    /* Around the sizes of blocks and buckets, and many. */
    static const size_t sizes[] = {1, 2, 15, 16, 17, 31, 33, 100, 255, 3000, 20000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        make_random(&list, &seed, sizes[i], 1 + i % 4);
        check_list(&list, &strangers);
        check_beginnings(&list);
        clear_list(&list);
    }
    clear_list(&strangers);
}

static void test_no_names_are_no_names(void **state)
{
    unsigned seed = 1;
    struct list none, strangers;

    (void)state;
    make_list(&none, "", 0);
    make_random(&strangers, &seed, 100, 3);
    check_list(&none, &strangers);
    check_beginnings(&none);
    clear_list(&strangers);
    clear_list(&none);
}

/* Writes a label of `size` times `octet` and what ends it. */
static size_t write_label(char *text, int octet, size_t size, char end)
{
    memset(text, octet, size);
    text[size] = end;
    return size + 1;
}

/* Names of 255 octets that differ in their first octets, in their last ones, and in nothing but
 * where a label ends. */
static void test_the_longest_names_fit(void **state)
{
    static const size_t sizes[][4] = {{63, 63, 63, 61}, {61, 63, 63, 63}, {63, 61, 63, 63}};
    static char text[20000];
    struct list list;
    size_t used = 0;

    (void)state;
    for (int octet = 'a'; octet <= 'z'; octet++)
        for (size_t shape = 0; shape < 3; shape++)
            for (size_t i = 0; i < 4; i++)
                used += write_label(text + used, i == shape ? octet : 'm', sizes[shape][i],
                                    i < 3 ? '.' : '\n');
    make_list(&list, text, used);
    assert_int_equal(list.names.count, 3 * 26);
    assert_int_equal(name_wire_size(order_names_at(&list.names, 0)), NAME_SIZE_MAX);
    check_list(&list, &list);
    check_beginnings(&list);
    clear_list(&list);
}

static void test_a_name_beside_its_parents_and_children_is_itself(void **state)
{
    static const char text[] = "a\nb.a\nc.b.a\nd.c.b.a\nb\na.b\nab\na.ab\naab\n";
    static const char others[] = "c\na.a\nb.b.a\nc.c.b.a\nd.b.a\nba\nb.ab\naa\naaab\n";
    struct list list, strangers;

    (void)state;
    make_list(&list, text, sizeof(text) - 1);
    make_list(&strangers, others, sizeof(others) - 1);
    check_list(&list, &strangers);
    clear_list(&strangers);
    clear_list(&list);
}

#define LISTS 40

/* Each list's names are found in it alone, whichever list has them besides. */
static void check_merged(const struct name_index *merged, const struct list *lists,
                         const uint32_t *numbers)
{
    uint64_t names = 0;

    for (size_t i = 0; i < LISTS; i++) {
        if (numbers[i] == NAME_INDEX_DROPPED)
            continue;
        names += lists[i].names.count;
        for (size_t k = 0; k < LISTS; k++)
            for (size_t n = 0; n < lists[k].names.count; n++) {
                const uint8_t *wire = order_names_at(&lists[k].names, n);
                assert_int_equal(find(merged, numbers[i], wire),
                                 order_names_find(&lists[i].names, wire));
            }
    }
    assert_int_equal(name_index_name_count(merged), names);
}

static void test_merged_indexes_find_what_each_found(void **state)
{
    unsigned seed = 20140714;
    struct list lists[LISTS];
    uint32_t numbers[LISTS] = {0};
    struct name_index_part parts[LISTS];
    struct name_index *merged, *again;

    (void)state;
    print_message("seed %u\n", seed);
    for (size_t i = 0; i < LISTS; i++) {
        /* Labels of few octets: many names are on many lists. */
        make_random(&lists[i], &seed, i % 7 == 0 ? 600 : 1 + i, 1 + i % 2);
        parts[i] = (struct name_index_part){.index = lists[i].index, .lists = &numbers[i]};
    }
    assert_int_equal(name_index_merge(parts, LISTS, &merged), 0);
    assert_int_equal(name_index_list_count(merged), LISTS);
    check_merged(merged, lists, numbers);

    /* What was merged is merged again, with two thirds of its lists. */
    uint32_t kept[LISTS];
    for (uint32_t i = 0; i < LISTS; i++) {
        assert_int_equal(numbers[i], i);
        kept[i] = i % 3 == 1 ? NAME_INDEX_DROPPED : 0;
    }
    struct name_index_part part = {.index = merged, .lists = kept};
    assert_int_equal(name_index_merge(&part, 1, &again), 0);
    check_merged(again, lists, kept);
    name_index_unref(again);
    name_index_unref(merged);
    for (size_t i = 0; i < LISTS; i++)
        clear_list(&lists[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_names_are_all_found_and_no_others),
        cmocka_unit_test(test_no_names_are_no_names),
        cmocka_unit_test(test_the_longest_names_fit),
        cmocka_unit_test(test_a_name_beside_its_parents_and_children_is_itself),
        cmocka_unit_test(test_merged_indexes_find_what_each_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
