/* Suffixes behind a delegated prefix, and CSV. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/csv.h"
#include "desk/hosts_internal.h"

/* The address that an update to `address` gives a host with the suffix; "" when it is none. */
static const char *applied(const char *suffix_text, const char *address)
{
    static char text[INET6_ADDRSTRLEN];
    uint8_t suffix[16], octets[16], bits;

    if (!host_suffix_parse(suffix_text, suffix, &bits))
        return "";
    assert_int_equal(inet_pton(AF_INET6, address, octets), 1);
    host_suffix_apply(suffix, bits, octets);
    return inet_ntop(AF_INET6, octets, text, sizeof(text));
}

static void a_suffix_stands_behind_the_prefix_bit_by_bit(void **state)
{
    (void)state;
    assert_string_equal(applied("::1", "2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::1");
    assert_string_equal(applied("::a:b:c:d/64", "2001:db8::9"), "2001:db8::a:b:c:d");
    assert_string_equal(applied("::34:0:0:0:1/56", "2001:db8:0:1200::"), "2001:db8:0:1234::1");
    assert_string_equal(applied("::7:0:0:0:1/61", "2001:db8:0:fff8::"), "2001:db8:0:ffff::1");
}

static void what_is_no_suffix_is_refused(void **state)
{
    static const char *const wrong[] = {"",      "::",    "1.2.3.4",     "::1/65",      "::1/0",
                                        "::1/",  "::1/x", "2001:db8::1", "::1:0:0:0:1", "::1/64x",
                                        "::1/15"};
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_string_equal(applied(wrong[i], "2001:db8::"), "");
}

static void it_has_one_form(void **state)
{
    char text[HOST_SUFFIX_TEXT_SIZE];
    uint8_t suffix[16], bits;
    (void)state;
    assert_true(host_suffix_parse("::0001:0:0:2", suffix, &bits));
    host_suffix_text(suffix, bits, text);
    assert_string_equal(text, "::1:0:0:2/64");
}

static void records_come_apart_as_rfc_4180_says(void **state)
{
    char text[] = "\xef\xbb\xbf"
                  "a,b\r\n\"x,\"\"y\"\"\",\"two\nlines\"\n\nlast,";
    struct csv_record record;
    struct csv csv;

    (void)state;
    csv_open(&csv, text);
    assert_int_equal(csv_next(&csv, &record), 1);
    assert_int_equal(record.line, 1);
    assert_int_equal(record.count, 2);
    assert_string_equal(record.fields[0], "a");
    assert_string_equal(record.fields[1], "b");
    assert_int_equal(csv_next(&csv, &record), 1);
    assert_int_equal(record.line, 2);
    assert_string_equal(record.fields[0], "x,\"y\"");
    assert_string_equal(record.fields[1], "two\nlines");
    assert_int_equal(csv_next(&csv, &record), 1);
    assert_int_equal(record.line, 5);
    assert_int_equal(record.count, 2);
    assert_string_equal(record.fields[0], "last");
    assert_string_equal(record.fields[1], "");
    assert_int_equal(csv_next(&csv, &record), 0);
}

static void quotes_that_do_not_fit_are_refused(void **state)
{
    char texts[][16] = {"\"open", "\"a\"b,c", "a\"b"};
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct csv_record record;
        struct csv csv;
        csv_open(&csv, texts[i]);
        assert_int_equal(csv_next(&csv, &record), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suffix_stands_behind_the_prefix_bit_by_bit),
        cmocka_unit_test(what_is_no_suffix_is_refused),
        cmocka_unit_test(it_has_one_form),
        cmocka_unit_test(records_come_apart_as_rfc_4180_says),
        cmocka_unit_test(quotes_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
