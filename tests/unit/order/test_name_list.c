/* Lists: sorted as RFC 4034 says, one of each, with the lines of the others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order/name_key.h"
#include "order/name_list.h"
#include "order/name_text.h"

static void free_findings(struct order *order)
{
    for (size_t i = 0; i < order->finding_count; i++) {
        free(order->findings[i].entry);
        free(order->findings[i].detail);
    }
    free(order->findings);
}

/* Reads `text` as a names-file. */
static void read_list(struct order *order, const char *text, size_t size)
{
    struct name_list *list = NULL;

    order->path = "order.yaml";
    order->names_path = "names.txt";
    assert_int_equal(name_list_create(order, &list), 0);
    assert_int_equal(name_list_add_lines(list, text, size), 0);
    assert_int_equal(name_list_finish(list, &order->names), 0);
    name_list_free(list);
}

static void assert_name(const struct order *order, size_t index, const char *expected,
                        uint32_t line)
{
    char text[NAME_TEXT_MAX];
    const char *file;

    assert_true(index < order->names.count);
    name_text_write(order_names_at(&order->names, index), text);
    assert_string_equal(text, expected);
    assert_int_equal(order_name_place(order, &order->names, index, &file), line);
    assert_string_equal(file, "names.txt");
}

static void assert_finding(const struct order *order, size_t index, uint32_t line,
                           const char *sentence)
{
    char text[1024];

    assert_true(index < order->finding_count);
    assert_string_equal(order->findings[index].file, "names.txt");
    assert_int_equal(order->findings[index].line, line);
    order_finding_format(&order->findings[index], text, sizeof(text));
    assert_string_equal(text, sentence);
}

static void test_one_bad_line_is_named_and_the_rest_stands(void **state)
{
    static const char text[] = "\xef\xbb\xbfz.example\r\n"
                               "# comment\n"
                               "\n"
                               "  a.example.  # why\r\n"
                               "Z.Example\n"
                               "bad name\n"
                               "\0\x01\xff\xfe\n"
                               "b.a.example\n"
                               "z.example";
    struct order order = {0};

    (void)state;
    read_list(&order, text, sizeof(text) - 1);
    assert_int_equal(order.names.count, 3);
    assert_name(&order, 0, "a.example", 4);
    assert_name(&order, 1, "b.a.example", 8);
    assert_name(&order, 2, "z.example", 1);
    assert_int_equal(order.finding_total, 4);
    assert_finding(&order, 0, 6, "bad name has a blank inside; write one hostname a line");
    assert_finding(&order, 1, 7,
                   "\\000\\001\\255\\254 has a character that no hostname has; write it as \\DDD");
    assert_finding(&order, 2, 5, "z.example is a duplicate: line 1 lists it first");
    assert_finding(&order, 3, 9, "z.example is a duplicate: line 1 lists it first");
    order_names_clear(&order.names);
    free_findings(&order);
}

static void test_findings_are_bounded_and_all_counted(void **state)
{
    size_t lines = 400000; /* more than one thread reads alone */
    char *text = malloc(lines * 3 + 1);
    struct order order = {0};

    (void)state;
    assert_non_null(text);
    for (size_t i = 0; i < lines; i++)
        stpcpy(text + i * 3, "..\n");
    read_list(&order, text, lines * 3);
    assert_int_equal(order.names.count, 0);
    assert_int_equal(order.finding_total, lines);
    assert_int_equal(order.finding_count, ORDER_FINDINGS_MAX);
    for (size_t i = 0; i < ORDER_FINDINGS_MAX; i++)
        assert_int_equal(order.findings[i].line, i + 1);
    order_names_clear(&order.names);
    free_findings(&order);
    free(text);
}

/* A random name of few labels and few octets, so that prefixes, duplicates and the octets 0 and 1,
 * which the keys escape, are common. */
static size_t random_line(unsigned *seed, char *line)
{
    static const char *const octets[] = {"a", "b", "\\000", "\\001", "\\002",
                                         "-", "z", "\\255", "A"};
    size_t used = 0;
    unsigned labels = 1 + (unsigned)rand_r(seed) % 4;

    for (unsigned i = 0; i < labels; i++) {
        unsigned size = 1 + (unsigned)rand_r(seed) % (i == 0 ? 12 : 3);
        if (i > 0)
            line[used++] = '.';
        for (unsigned j = 0; j < size; j++) {
            const char *end = stpcpy(line + used, octets[(unsigned)rand_r(seed) % 9]);
            used = (size_t)(end - line);
        }
    }
    line[used++] = '\n';
    return used;
}

/* The labels of a name, from the right to the left; returns how many. */
static size_t labels_of(const uint8_t *wire, const uint8_t *ret_labels[128])
{
    const uint8_t *labels[128];
    size_t count = 0;

    for (; *wire != 0; wire += 1 + *wire)
        labels[count++] = wire;
    for (size_t i = 0; i < count; i++)
        ret_labels[i] = labels[count - 1 - i];
    return count;
}

/* RFC 4034, 6.1, as it is written: labels from the right, each a string of octets in which the
 * absence of one sorts before a zero. (libknot's comparison takes "b.a" for more than "b.a\\000".)
 */
static int compare_canonically(const uint8_t *one, const uint8_t *other)
{
    const uint8_t *left[128], *right[128];
    size_t left_count = labels_of(one, left), right_count = labels_of(other, right);

    for (size_t i = 0; i < left_count && i < right_count; i++) {
        uint8_t shorter = left[i][0] < right[i][0] ? left[i][0] : right[i][0];
        int order = memcmp(left[i] + 1, right[i] + 1, shorter);
        if (order != 0 || left[i][0] != right[i][0])
            return order != 0 ? order : left[i][0] - right[i][0];
    }
    return left_count < right_count ? -1 : left_count > right_count;
}

/* Each name has the line that lists it first. */
static void check_first_lines(const struct order_names *names, const char *text, size_t size)
{
    uint32_t *first = calloc(names->count, sizeof(*first));
    uint32_t line = 1;

    assert_non_null(first);
    for (const char *at = text; at < text + size; line++) {
        const char *end = memchr(at, '\n', (size_t)(text + size - at));
        uint8_t wire[NAME_SIZE_MAX];
        struct name_fault fault;
        size_t wire_size;
        if (name_text_parse(at, (size_t)(end - at), wire, &wire_size, &fault) == 0) {
            size_t index = order_names_find(names, wire);
            assert_true(index < names->count);
            if (first[index] == 0)
                first[index] = line;
        }
        at = end + 1;
    }
    assert_memory_equal(first, names->lines, names->count * sizeof(*first));
    free(first);
}

/* More names than one thread reads and sorts alone. */
static void test_random_lists_are_sorted_canonically(void **state)
{
    unsigned seed = 20140630;
    size_t lines = 150000, size = 0;
    char *text = malloc(lines * 256);
    struct order order = {0};

    (void)state;
    print_message("seed %u\n", seed);
    assert_non_null(text);
    for (size_t i = 0; i < lines; i++)
        size += random_line(&seed, text + size);
    read_list(&order, text, size);
    assert_int_equal(order.names.count + order.finding_total, lines);
    assert_true(order.finding_total > 100);
    for (size_t i = 0; i < order.names.count; i++) {
        const uint8_t *name = order_names_at(&order.names, i);
        if (i > 0)
            assert_true(compare_canonically(order_names_at(&order.names, i - 1), name) < 0);
        assert_int_equal(order_names_find(&order.names, name), i);
    }
    assert_int_equal(order_names_find(&order.names, (const uint8_t *)"\7missing"), SIZE_MAX);
    check_first_lines(&order.names, text, size);
    order_names_clear(&order.names);
    free_findings(&order);
    free(text);
}

static void test_keys_give_their_names_back(void **state)
{
    uint8_t wire[256] = {0}, key[NAME_KEY_MAX], again[256];

    (void)state;
    /* All octets are zero, which keys double: 254 octets of labels and the root. */
    wire[0] = wire[64] = wire[128] = 63;
    wire[192] = 61;
    size_t key_size = name_key_write(wire, key);
    assert_true(key_size <= NAME_KEY_MAX);
    assert_int_equal(name_key_read(key, again), 255);
    assert_memory_equal(wire, again, 255);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_bad_line_is_named_and_the_rest_stands),
        cmocka_unit_test(test_findings_are_bounded_and_all_counted),
        cmocka_unit_test(test_random_lists_are_sorted_canonically),
        cmocka_unit_test(test_keys_give_their_names_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
