#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sink/word_index.h"

static struct word_index word_index;

/* Words that begin alike, that are within another, and whose first octets share a hash. */
static const char *const first_words[] = {"ab", "abc", "bca", "c-a", "() {", "\x01\x02z"};
static const char *const second_words[] = {"b/c", "bcb", "/a", "a/b/", "cccc", "aa"};

static uint8_t find(const char *text)
{
    return word_index_find(&word_index, text_word(text));
}

static int index_words(void **state)
{
    (void)state;
    word_index_add(&word_index, 3, second_words, sizeof(second_words) / sizeof(second_words[0]));
    word_index_add(&word_index, 1, first_words, sizeof(first_words) / sizeof(first_words[0]));
    return 0;
}

static void test_the_lowest_group_is_found_in_any_letter_case(void **state)
{
    (void)state;
    assert_int_equal(find("xx CcCc"), 3);
    assert_int_equal(find("CCCC then Ab"), 1);
    assert_int_equal(find("() {"), 1);
    assert_int_equal(find("ABX"), 1);
}

static void test_texts_with_no_word_have_no_group(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "a", "ba", "ac", "cc/", "a\xe2", "zzzzzz"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(find(texts[i]), WORD_INDEX_NO_GROUP);
}

static bool has_one(struct sink_text text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (text_has(text, words[i]))
            return true;
    }
    return false;
}

static void test_it_finds_what_a_search_for_each_word_finds(void **state)
{
    (void)state;
    static const char alphabet[] = "aAbBcC/-({ )\x01\x02\x03#";
    unsigned seed = 2014, found = 0;
    for (unsigned round = 0; round < 20000; round++) {
        uint8_t octets[12];
        for (size_t i = 0; i < sizeof(octets); i++)
            octets[i] = (uint8_t)alphabet[(size_t)rand_r(&seed) % (sizeof(alphabet) - 1)];
        struct sink_text text = text_part(octets, (size_t)rand_r(&seed) % (sizeof(octets) + 1));
        uint8_t expected = WORD_INDEX_NO_GROUP;
        if (has_one(text, second_words, sizeof(second_words) / sizeof(second_words[0])))
            expected = 3;
        if (has_one(text, first_words, sizeof(first_words) / sizeof(first_words[0])))
            expected = 1;
        assert_int_equal(word_index_find(&word_index, text), expected);
        found += expected != WORD_INDEX_NO_GROUP;
    }
    assert_true(found > 1000 && found < 19000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_lowest_group_is_found_in_any_letter_case),
        cmocka_unit_test(test_texts_with_no_word_have_no_group),
        cmocka_unit_test(test_it_finds_what_a_search_for_each_word_finds),
    };
    return cmocka_run_group_tests(tests, index_words, NULL);
}
