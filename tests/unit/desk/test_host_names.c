/* Names of hosts: one form, and those that nobody may take. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "desk/host_names.h"

static char zone_name[] = "dyn.example", reserved_word[] = "intranet", brand[] = "paypal";
static struct desk_config_zone zones[] = {{.name = zone_name, .ttl_s = 60}};
static char *reserved[] = {reserved_word}, *brands[] = {brand};
static const struct desk_config_hosts config = {
    .zones = zones,
    .zone_count = 1,
    .reserved = reserved,
    .reserved_count = 1,
    .look_alikes = brands,
    .look_alike_count = 1,
};

/* The one form of a name, or "" when it is none. */
static const char *form_of(const char *text)
{
    static char name[HOST_NAME_SIZE];
    if (host_name_normalize(text, name, NULL) < 0)
        return "";
    return name;
}

static bool may_take(const char *label)
{
    char text[512], name[HOST_NAME_SIZE];
    const struct desk_config_zone *zone;
    snprintf(text, sizeof(text), "%s.dyn.example", label);
    return host_name_normalize(text, name, NULL) == 0 &&
           host_name_check(&config, name, &zone, NULL) == 0;
}

static void a_name_has_one_form(void **state)
{
    (void)state;
    assert_string_equal(form_of("Home.DYN.example."), "home.dyn.example");
    assert_string_equal(form_of("b\xc3\xbc"
                                "cher.dyn.example"),
                        "xn--bcher-kva.dyn.example");
    assert_string_equal(form_of("xn--bcher-kva.dyn.example"), "xn--bcher-kva.dyn.example");
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        ".",
        "a..b",
        "-a.dyn.example",
        "a-.dyn.example",
        "a_b.dyn.example",
        "ab--c.dyn.example",
        "a b",
        "*.dyn.example",
        "a/b",
        "xn--a.dyn.example",
        "\xff\xfe",
        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg.dyn.example",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_string_equal(form_of(wrong[i]), "");
}

static void a_host_is_one_label_below_a_zone(void **state)
{
    const struct desk_config_zone *zone;
    (void)state;
    assert_ptr_equal(host_zone_find(&config, "a.dyn.example"), &zones[0]);
    assert_null(host_zone_find(&config, "a.b.dyn.example"));
    assert_null(host_zone_find(&config, "dyn.example"));
    assert_null(host_zone_find(&config, "a.other.example"));
    assert_int_equal(host_name_check(&config, "dyn.example", &zone, NULL), -EINVAL);
}

static void ordinary_names_may_be_taken(void **state)
{
    static const char *const fine[] = {
        "home",
        "my-nas",
        "modern",
        "b\xc3\xbc"
        "cher",                                                         /* umlaut */
        "\xd0\xbc\xd0\xbe\xd1\x81\xd0\xba\xd0\xb2\xd0\xb0",             /* Cyrillic alone */
        "\xe6\x9d\xb1\xe4\xba\xac\xe3\x81\x93\xe3\x81\xa1\xe3\x82\x89", /* Han and Hiragana */
        "a",
        "wwwx",
        "paypalx",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
        assert_true(may_take(fine[i]));
}

static void reserved_names_and_what_looks_like_them_are_refused(void **state)
{
    static const char *const wrong[] = {
        "www",
        "admin",
        "intranet",
        "vvww",
        "rnail",
        "1ogin",
        "r00t",
        "\xc3\xa0"
        "dmin",                     /* grave */
        "\xd1\x80\xd0\xbe\xd1\x80", /* Cyrillic er, o, er: pop */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(may_take(wrong[i]));
}

static void names_of_others_are_not_imitated(void **state)
{
    static const char *const wrong[] = {
        "paypal",
        "paypal-login",
        "secure-paypa1",
        "pay-pal",
        "\xd1\x80\xd0\xb0\xd1\x83\xd1\x80\xd0\xb0\xd3\x8f", /* all Cyrillic, with palochka */
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(may_take(wrong[i]));
}

static void scripts_do_not_mix(void **state)
{
    (void)state;
    assert_false(may_take("h\xd0\xbeme"));      /* Latin with a Cyrillic o */
    assert_false(may_take("\xce\xb1\xd0\xb1")); /* Greek with Cyrillic */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_one_form),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(a_host_is_one_label_below_a_zone),
        cmocka_unit_test(ordinary_names_may_be_taken),
        cmocka_unit_test(reserved_names_and_what_looks_like_them_are_refused),
        cmocka_unit_test(names_of_others_are_not_imitated),
        cmocka_unit_test(scripts_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
