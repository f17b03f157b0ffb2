/* The word that was probably meant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/nearest.h"

static const char *const words[] = {"order check", "order compile", "zone check", "ctl"};

static const char *nearest(const char *word)
{
    return nearest_word(word, words, sizeof(words) / sizeof(words[0]));
}

static void test_slips_of_the_fingers_find_the_word(void **state)
{
    (void)state;
    assert_string_equal(nearest("order chekc"), "order check");
    assert_string_equal(nearest("oder compile"), "order compile");
    assert_string_equal(nearest("zonecheck"), "zone check");
    assert_string_equal(nearest("clt"), "ctl");
}

static void test_other_words_find_nothing(void **state)
{
    char huge[200];

    (void)state;
    assert_null(nearest("frobnicate"));
    assert_null(nearest(""));
    assert_null(nearest("xyz"));
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_null(nearest(huge));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slips_of_the_fingers_find_the_word),
        cmocka_unit_test(test_other_words_find_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
