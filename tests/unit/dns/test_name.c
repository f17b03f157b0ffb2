/* Names: parsed, folded and hashed as libknot would, for random names and for hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <errno.h>
#include <libknot/libknot.h>

#include "dns/name.h"

#define NAMES 200000

/* A random name of any octets; mostly few labels, sometimes as many and as long as there may be. */
static size_t random_name(uint8_t *ret_wire)
{
    const bool is_long = rand() % 8 == 0, is_deep = rand() % 8 == 0;
    size_t size = 0;
    for (int labels = is_deep ? 127 : rand() % 6; labels > 0; labels--) {
        size_t length = 1 + (size_t)(rand() % (is_deep ? 1 : is_long ? 63 : 12));
        if (size + length + 2 > NAME_SIZE_MAX)
            break;
        ret_wire[size++] = (uint8_t)length;
        for (; length > 0; length--)
            ret_wire[size++] = (uint8_t)(rand() % 3 == 0 ? rand() : "aAbBzZ-@[`{"[rand() % 11]);
    }
    ret_wire[size++] = 0;
    return size;
}

static void swap_case(uint8_t *wire)
{
    for (; *wire != 0; wire += *wire + 1)
        for (size_t i = 1; i <= *wire; i++)
            if ((wire[i] | 0x20) >= 'a' && (wire[i] | 0x20) <= 'z' && rand() % 2 == 0)
                wire[i] ^= 0x20;
}

static void test_random_names_parse_and_fold_as_libknot_has_them(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        uint8_t wire[NAME_SIZE_MAX + 8], lower[NAME_SIZE_MAX];
        struct name name;
        size_t size = random_name(wire);
        assert_int_equal(name_parse(&name, wire, sizeof(wire)), size);
        assert_int_equal(name.size, size);
        assert_int_equal(name.label_count, knot_dname_labels(wire, NULL));
        assert_int_equal(name_wire_size(wire), knot_dname_size(wire));

        memcpy(lower, wire, size);
        knot_dname_to_lower(lower);
        assert_memory_equal(name.wire, lower, size);
        uint8_t folded[NAME_SIZE_MAX];
        name_fold(folded, wire, size);
        assert_memory_equal(folded, lower, size);

        size_t label = 0;
        for (const uint8_t *at = lower; *at != 0; at += *at + 1)
            assert_int_equal(name.offsets[label++], at - lower);
        assert_int_equal(name.offsets[label], size - 1);
    }
}

static void test_hashes_ignore_case_and_are_those_of_the_suffixes(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        uint8_t wire[NAME_SIZE_MAX + 8], other[NAME_SIZE_MAX + 8];
        struct name name;
        size_t size = random_name(wire);
        assert_true(name_parse(&name, wire, size) > 0);
        memcpy(other, wire, size);
        swap_case(other);
        assert_true(name_equal(wire, other));
        for (size_t label = 0; label <= name.label_count; label++)
            assert_true(name_hash(other + name.offsets[label]) == name.hashes[label]);
        if (name.label_count > 0)
            assert_true(name_hash_child(name.hashes[1], name.wire) == name.hashes[0]);
    }
}

static void test_equality_is_libknots(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        uint8_t one[NAME_SIZE_MAX], other[NAME_SIZE_MAX];
        size_t size = random_name(one);
        memcpy(other, one, size);
        if (size > 1 && rand() % 2 == 0)
            other[1] ^= (uint8_t)(1 << rand() % 8);
        if (rand() % 4 == 0)
            random_name(other);
        bool is_equal = name_equal(one, other);
        knot_dname_to_lower(one);
        knot_dname_to_lower(other);
        assert_int_equal(is_equal, knot_dname_is_equal(one, other));
    }
}

static int compare_hashes(const void *one, const void *other)
{
    const uint64_t *a = one, *b = other;
    return (*a > *b) - (*a < *b);
}

/* Of a million names, 2^-25 pairs would share a 64-bit hash by chance. */
static void test_a_million_similar_names_have_different_hashes(void **state)
{
    (void)state;
    enum { COUNT = 1000000 };
    uint64_t *hashes = calloc(COUNT, sizeof(*hashes));
    assert_non_null(hashes);
    for (unsigned i = 0; i < COUNT; i++) {
        char text[32];
        uint8_t wire[NAME_SIZE_MAX];
        snprintf(text, sizeof(text), "h%u.a.example.", i);
        assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
        hashes[i] = name_hash(wire);
    }
    qsort(hashes, COUNT, sizeof(*hashes), compare_hashes);
    for (unsigned i = 1; i < COUNT; i++)
        assert_true(hashes[i] != hashes[i - 1]);
    free(hashes);
}

static void test_the_key_changes_every_hash(void **state)
{
    (void)state;
    static const uint8_t wire[] = "\1a\7example";
    uint64_t before = name_hash(wire);
    name_hash_key_set(1, 1);
    uint64_t one = name_hash(wire);
    name_hash_key_set(2, 1);
    assert_true(before != one && one != name_hash(wire));
}

/* A copy at the end of an allocation, so that AddressSanitizer sees a read past it. */
static int parse_exactly(const void *octets, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    struct name name;
    assert_non_null(copy);
    memcpy(copy + 1, octets, size);
    int rc = name_parse(&name, copy + 1, size);
    free(copy);
    return rc;
}

static void test_names_cut_compressed_or_too_long_are_refused(void **state)
{
    (void)state;
    assert_int_equal(parse_exactly("", 0), -EBADMSG);
    assert_int_equal(parse_exactly("\3ab", 3), -EBADMSG);
    assert_int_equal(parse_exactly("\3abc", 4), -EBADMSG);
    assert_int_equal(parse_exactly("\1a\xc0\x0c", 4), -EBADMSG);
    assert_int_equal(parse_exactly("\x40"
                                   "a\0",
                                   3),
                     -EBADMSG);
    assert_int_equal(parse_exactly("\x80"
                                   "a\0",
                                   3),
                     -EBADMSG);
    assert_int_equal(parse_exactly("\0", 1), 1);

    uint8_t wire[300];
    size_t size = 0;
    for (int i = 0; i < 127; i++) {
        wire[size++] = 1;
        wire[size++] = 'x';
    }
    wire[size] = 0;
    assert_int_equal(parse_exactly(wire, size + 1), 255);
    wire[size++] = 1;
    wire[size++] = 'x';
    wire[size] = 0;
    assert_int_equal(parse_exactly(wire, size + 1), -EBADMSG);
}

static void test_random_octets_parse_as_libknot_judges_them(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        uint8_t octets[280];
        size_t size = (size_t)rand() % sizeof(octets);
        for (size_t k = 0; k < size; k++)
            octets[k] = (uint8_t)(rand() % 4 == 0 ? rand() : rand() % 8);
        /* libknot follows pointers where we refuse them. */
        bool has_pointer = false;
        for (size_t at = 0; at < size && octets[at] != 0; at += octets[at] + 1u)
            if (octets[at] >= 0xc0) {
                has_pointer = true;
                break;
            }
        int expected = knot_dname_wire_check(octets, octets + size, NULL);
        int rc = parse_exactly(octets, size);
        if (expected > 0 && !has_pointer)
            assert_int_equal(rc, expected);
        else
            assert_int_equal(rc, -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_names_parse_and_fold_as_libknot_has_them),
        cmocka_unit_test(test_hashes_ignore_case_and_are_those_of_the_suffixes),
        cmocka_unit_test(test_equality_is_libknots),
        cmocka_unit_test(test_a_million_similar_names_have_different_hashes),
        cmocka_unit_test(test_the_key_changes_every_hash),
        cmocka_unit_test(test_names_cut_compressed_or_too_long_are_refused),
        cmocka_unit_test(test_random_octets_parse_as_libknot_judges_them),
    };
    unsigned seed = getenv("SEED") != NULL ? (unsigned)atoi(getenv("SEED")) : (unsigned)time(NULL);
    print_message("SEED=%u\n", seed);
    srand(seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
