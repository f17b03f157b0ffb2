/* Host names in what reporters write: found in every disguise, and only ours in free text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/report_names.h"

static char dyn[] = "dyn.example", free_zone[] = "free.dyn.example";
static struct desk_config_zone zones[] = {{.name = dyn}, {.name = free_zone}};
static const struct desk_config_hosts hosts = {.zones = zones, .zone_count = 2};

static void addresses_give_their_host(void **state)
{
    static const struct {
        const char *text, *name;
    } good[] = {
        {"http://Bad.Dyn.Example/path?x=http://other.example/", "bad.dyn.example"},
        {"https://user:pass@bad.dyn.example:8443/#x", "bad.dyn.example"},
        {"http://good.example@bad.dyn.example/", "bad.dyn.example"},
        {"hxxps://bad[.]dyn[.]example/", "bad.dyn.example"},
        {"hxxp://bad(dot)dyn[dot]example", "bad.dyn.example"},
        {"bad.dyn.example.", "bad.dyn.example"},
        {"bad.dyn.example/login", "bad.dyn.example"},
        {"bad.dyn.example:443", "bad.dyn.example"},
        {"  <http://bad.dyn.example>", "bad.dyn.example"},
        {"http://b\xc3\xbc"
         "cher.dyn.example/",
         "xn--bcher-kva.dyn.example"},
        {"_dmarc.bad.dyn.example", "_dmarc.bad.dyn.example"},
        {"http://bad.dyn.example\\@good.example/", "bad.dyn.example"},
    };
    static const char *const wrong[] = {
        "",
        "http://",
        "localhost",
        "192.0.2.1",
        "http://192.0.2.1/",
        "http://[2001:db8::1]/",
        "a..b.example",
        ".example",
        "a b.example",
        "x.1",
        "http:///bad.dyn.example",
        "\xff\xfe.example",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.example",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct report_names names = {0};
        assert_true(report_names_add_url(&names, good[i].text));
        assert_int_equal(names.count, 1);
        assert_string_equal(names.list[0], good[i].name);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct report_names names = {0};
        assert_false(report_names_add_url(&names, wrong[i]));
        assert_int_equal(names.count, 0);
    }
}

static void a_name_is_taken_once_and_their_number_is_bounded(void **state)
{
    struct report_names names = {0};
    char name[32];

    (void)state;
    assert_true(report_names_add(&names, "A.example"));
    assert_true(report_names_add(&names, "a.example."));
    assert_int_equal(names.count, 1);
    for (unsigned i = 0; i < REPORT_NAMES_MAX + 5; i++) {
        snprintf(name, sizeof(name), "n%u.example", i);
        assert_true(report_names_add(&names, name));
    }
    assert_int_equal(names.count, REPORT_NAMES_MAX);
    assert_int_equal(names.left_out, 6);
}

static void a_text_gives_our_names_alone(void **state)
{
    static const char text[] = "See (http://x.bad.dyn.example/a), bad2[.]dyn[.]example; and not "
                               "bank.example, dyn.example, xdyn.example or dyn.example.net. "
                               "...y.dyn.example... \xff\xff z.dyn.example";
    struct report_names names = {0};

    (void)state;
    report_names_scan(&names, &hosts, text, sizeof(text) - 1);
    assert_int_equal(names.count, 3 + 1);
    assert_string_equal(names.list[0], "x.bad.dyn.example");
    assert_string_equal(names.list[1], "bad2.dyn.example");
    assert_string_equal(names.list[2], "y.dyn.example");
    assert_string_equal(names.list[3], "z.dyn.example");
}

static void the_owner_is_the_label_below_the_closest_zone(void **state)
{
    char owner[REPORT_NAME_SIZE];

    (void)state;
    assert_true(report_name_owner(&hosts, "a.b.c.dyn.example", owner));
    assert_string_equal(owner, "c.dyn.example");
    assert_true(report_name_owner(&hosts, "a.b.free.dyn.example", owner));
    assert_string_equal(owner, "b.free.dyn.example");
    assert_false(report_name_owner(&hosts, "dyn.example", owner));
    assert_false(report_name_owner(&hosts, "xdyn.example", owner));
    assert_false(report_name_owner(&hosts, "example", owner));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_give_their_host),
        cmocka_unit_test(a_name_is_taken_once_and_their_number_is_bounded),
        cmocka_unit_test(a_text_gives_our_names_alone),
        cmocka_unit_test(the_owner_is_the_label_below_the_closest_zone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
