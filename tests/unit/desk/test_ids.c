/* Ids sort by time; times are read and written as RFC 3339 says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/clock.h"
#include "desk/ids.h"

static void ids_sort_by_the_time_they_were_made(void **state)
{
    char before[ID_SIZE], after[ID_SIZE];

    (void)state;
    for (int64_t now_ms = 1; now_ms < INT64_C(1) << 47; now_ms *= 3) {
        id_make(ID_HOST, now_ms, before);
        id_make(ID_HOST, now_ms + 1, after);
        assert_true(strcmp(before, after) < 0);
        assert_true(id_is_valid(ID_HOST, before));
    }
    id_make(ID_HOST, 1, after);
    id_make(ID_HOST, 1, before);
    assert_string_not_equal(before, after);
}

static void what_is_no_id_is_refused(void **state)
{
    char id[ID_SIZE];

    (void)state;
    id_make(ID_HOST, 1, id);
    assert_false(id_is_valid(ID_ORDER, id));
    assert_false(id_is_valid(ID_HOST, ""));
    assert_false(id_is_valid(ID_HOST, "hst_0000000000000000000"));
    assert_false(id_is_valid(ID_HOST, "hst_0000000000000000000u"));
    assert_false(id_is_valid(ID_HOST, "hst_0000000000000000000A"));
    assert_false(id_is_valid(ID_HOST, "hst_../../../../etc/pass"));
}

static void times_are_read_as_they_are_written(void **state)
{
    static const struct {
        const char *text;
        int64_t time_s;
    } right[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-23T21:30:00Z", 1795469400},
        {"2026-11-23T22:30:00+01:00", 1795469400},
        {"2026-11-23t21:30:00.123456z", 1795469400},
        {"2024-02-29T00:00:00Z", 1709164800},
        {"2016-12-31T23:59:60Z", 1483228800},
    };
    static const char *const wrong[] = {
        "",
        "2026-11-23",
        "2026-11-23T21:30:00",
        "2026-02-30T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T21:30:00Z ",
        "2026-11-23T21:30:00.Z",
        "2026-11-23T21:30:00+0100",
    };
    char text[CLOCK_TEXT_SIZE];
    int64_t time_s;

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_true(clock_parse(right[i].text, &time_s));
        assert_int_equal(time_s, right[i].time_s);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(clock_parse(wrong[i], &time_s));
    assert_string_equal(clock_text(1795469400, text), "2026-11-23T21:30:00Z");
    assert_string_equal(clock_text(INT64_MAX, text), "9999-12-31T23:59:59Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_sort_by_the_time_they_were_made),
        cmocka_unit_test(what_is_no_id_is_refused),
        cmocka_unit_test(times_are_read_as_they_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
