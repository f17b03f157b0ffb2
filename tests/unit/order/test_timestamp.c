/* Times of RFC 3339. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "order/timestamp.h"

static void means(const char *text, int64_t expected)
{
    int64_t time = -1;

    assert_int_equal(timestamp_parse(text, &time), 0);
    assert_int_equal(time, expected);
}

static void test_every_form_of_one_moment_is_the_same(void **state)
{
    (void)state;
    means("2014-06-30T12:00:00Z", 1404129600);
    means("2014-06-30t12:00:00z", 1404129600);
    means("2014-06-30 12:00:00.999Z", 1404129600);
    means("2014-06-30T14:00:00+02:00", 1404129600);
    means("2014-06-29T22:30:00-13:30", 1404129600);
    means("1970-01-01T00:00:00Z", 0);
    means("2016-12-31T23:59:60Z", 1483228800); /* a leap second */
    means("2000-02-29T00:00:00Z", 951782400);
}

static void test_what_is_no_moment_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "2014-06-30",
        "2014-06-30T12:00:00",
        "2014-06-30T12:00Z",
        "2014-06-31T12:00:00Z",
        "2015-02-29T12:00:00Z",
        "1900-02-29T12:00:00Z",
        "2014-13-01T12:00:00Z",
        "2014-06-30T24:00:00Z",
        "2014-06-30T12:60:00Z",
        "2014-06-30T12:00:61Z",
        "2014-06-30T12:00:00.Z",
        "2014-06-30T12:00:00Zx",
        "2014-06-30T12:00:00+0200",
        "14-06-30T12:00:00Z",
        "1970-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "30 June 2014",
    };
    int64_t time;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(timestamp_parse(texts[i], &time), -EINVAL);
}

static void test_times_are_written_in_utc(void **state)
{
    char text[TIMESTAMP_SIZE];

    (void)state;
    assert_string_equal(timestamp_write(1404129600, text), "2014-06-30T12:00:00Z");
    assert_string_equal(timestamp_write(253402300799, text), "9999-12-31T23:59:59Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_form_of_one_moment_is_the_same),
        cmocka_unit_test(test_what_is_no_moment_is_refused),
        cmocka_unit_test(test_times_are_written_in_utc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
