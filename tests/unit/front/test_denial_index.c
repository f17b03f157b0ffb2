/* The order of names by their keys, and the list in that order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <libknot/dname.h>

#include "front/denial_index.h"
#include "zone/nsec_chain.h"

#define SEED  20140630
#define NAMES 400

static uint32_t state = SEED;

static unsigned draw(unsigned below)
{
    state = state * 1664525u + 1013904223u;
    return (state >> 8) % below;
}

/* Few octets, the lowest and highest among them, so that names share much. */
static void draw_name(uint8_t *wire)
{
    static const uint8_t octets[] = {0, 1, 2, '*', 'a', 'b', 255};
    size_t size = 0;
    for (unsigned labels = draw(5); labels > 0; labels--) {
        const unsigned length = 1 + draw(3);
        wire[size++] = (uint8_t)length;
        for (unsigned i = 0; i < length; i++)
            wire[size++] = octets[draw(sizeof(octets))];
    }
    wire[size] = 0;
}

static void key_of(const uint8_t *wire, struct denial_key *ret_key)
{
    struct name name;
    assert_true(name_parse(&name, wire, NAME_SIZE_MAX) > 0);
    denial_key_make(ret_key, &name);
}

static int sign_of(int order)
{
    return (order > 0) - (order < 0);
}

static void test_keys_compare_as_names_do_in_canonical_order(void **test)
{
    (void)test;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t one[64], other[64];
        struct denial_key one_key, other_key;
        draw_name(one);
        draw_name(other);
        key_of(one, &one_key);
        key_of(other, &other_key);
        assert_int_equal(
            sign_of(
                denial_key_compare(one_key.octets, one_key.size, other_key.octets, other_key.size)),
            owner_compare(one, knot_dname_size(one) - 1, other, knot_dname_size(other) - 1));
        /* The key of what they have in common begins both. */
        const size_t common =
            denial_key_common(one_key.octets, one_key.size, other_key.octets, other_key.size);
        size_t labels = 0;
        for (size_t i = 0; i < common; i++)
            labels += one_key.octets[i] == 0;
        assert_int_equal(labels, knot_dname_matched_labels(one, other));
    }
}

static void test_a_name_of_the_greatest_size_has_a_key(void **test)
{
    (void)test;
    uint8_t wire[NAME_SIZE_MAX];
    memset(wire, 1, sizeof(wire)); /* 127 labels of the octet 1, which takes two */
    wire[NAME_SIZE_MAX - 1] = 0;
    struct denial_key key, wildcard;
    key_of(wire, &key);
    assert_true(key.size <= DENIAL_KEY_MAX);
    denial_key_make_wildcard(&wildcard, &key, key.size - 3);
    assert_int_equal(wildcard.size, key.size - 1);
}

static struct denial_entry *make_entry(struct denial_index *index, const struct denial_key *key)
{
    const uint8_t height = denial_index_height(index);
    struct denial_entry *entry = calloc(1, sizeof(*entry) + height * sizeof(entry) + key->size + 1);
    assert_non_null(entry);
    entry->height = height;
    entry->key = memcpy(&entry->next[height], key->octets, key->size);
    entry->key_size = (uint16_t)key->size;
    return entry;
}

/* The last of those there that is not behind the key. */
static struct denial_entry *find_slowly(struct denial_entry *entries[],
                                        const struct denial_key *key)
{
    struct denial_entry *best = NULL;
    for (unsigned i = 0; i < NAMES; i++) {
        struct denial_entry *entry = entries[i];
        if (entry != NULL &&
            denial_key_compare(entry->key, entry->key_size, key->octets, key->size) <= 0 &&
            (best == NULL ||
             denial_key_compare(entry->key, entry->key_size, best->key, best->key_size) > 0))
            best = entry;
    }
    return best;
}

static void test_what_is_found_is_the_name_or_the_one_before(void **test)
{
    (void)test;
    static struct denial_entry *entries[NAMES];
    struct denial_index index = {0};
    size_t count = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t wire[64];
        struct denial_key key;
        draw_name(wire);
        key_of(wire, &key);
        bool is_there;
        struct denial_entry *slow = find_slowly(entries, &key);
        assert_ptr_equal(denial_index_find(&index, key.octets, key.size, &is_there), slow);
        assert_int_equal(is_there, slow != NULL && slow->key_size == key.size &&
                                       memcmp(slow->key, key.octets, key.size) == 0);
        const unsigned at = draw(NAMES);
        if (entries[at] != NULL) {
            denial_index_remove(&index, entries[at]);
            free(entries[at]);
            entries[at] = NULL;
            count--;
        } else if (!is_there) {
            entries[at] = make_entry(&index, &key);
            denial_index_put(&index, entries[at]);
            count++;
        }
        assert_int_equal(index.count, count);
        static const uint8_t beyond[] = {255, 255, 255, 255, 255};
        assert_ptr_equal(denial_index_last(&index),
                         denial_index_find(&index, beyond, sizeof(beyond), &is_there));
    }
    for (unsigned i = 0; i < NAMES; i++) {
        if (entries[i] != NULL)
            denial_index_remove(&index, entries[i]);
        free(entries[i]);
    }
    assert_null(index.first[0]);
}

int main(void)
{
    printf("seed %d\n", SEED);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_compare_as_names_do_in_canonical_order),
        cmocka_unit_test(test_a_name_of_the_greatest_size_has_a_key),
        cmocka_unit_test(test_what_is_found_is_the_name_or_the_one_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
