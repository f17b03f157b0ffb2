/* Hostnames from lists: what becomes a name, and why the rest doesn't. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dns/name.h"
#include "order/name_text.h"

static void becomes(const char *text, const char *written)
{
    uint8_t wire[NAME_SIZE_MAX];
    char again[NAME_TEXT_MAX];
    struct name_fault fault;
    size_t size = 0;

    assert_int_equal(name_text_parse(text, strlen(text), wire, &size, &fault), 0);
    assert_int_equal(size, name_wire_size(wire));
    assert_int_equal(name_text_write(wire, again), strlen(written));
    assert_string_equal(again, written);
}

static void refused_octets(const char *text, size_t text_size, const char *reason)
{
    uint8_t wire[NAME_SIZE_MAX];
    struct name_fault fault = {0};
    size_t size;

    assert_int_equal(name_text_parse(text, text_size, wire, &size, &fault), -EINVAL);
    assert_non_null(strstr(fault.reason, reason));
}

static void refused(const char *text, const char *reason)
{
    refused_octets(text, strlen(text), reason);
}

static void test_plain_names_are_folded_and_lose_their_final_dot(void **state)
{
    (void)state;
    becomes("A.Example.", "a.example");
    becomes("single", "single");
    becomes("_dmarc._x.a-b.example", "_dmarc._x.a-b.example");
    becomes("xn--mnchen-3ya.example", "xn--mnchen-3ya.example");
    becomes("a.*.example", "a.*.example"); /* only a leading asterisk is a wildcard */
    becomes("a*.example", "a*.example");
}

static void test_escapes_are_those_of_master_files(void **state)
{
    (void)state;
    becomes("\\065\\.b\\/c.example", "a\\046b\\047c.example");
    becomes("\\000\\255.example", "\\000\\255.example");
    refused("\\256.example", "bad escape");
    refused("\\25.example", "bad escape");
    refused("a.example\\", "bad escape");
    refused("a\\ b.example", "bad escape");
}

static void test_u_labels_become_a_labels_by_idna2008(void **state)
{
    (void)state;
    becomes("M\xc3\xbcnchen.example", "xn--mnchen-3ya.example");
    becomes("_srv.m\xc3\xbcnchen.example.", "_srv.xn--mnchen-3ya.example");
    becomes("fa\xc3\x9f.example", "xn--fa-hia.example"); /* non-transitional: sharp s stays */
    becomes("a\xe3\x80\x82"
            "example",
            "a.example"); /* ideographic full stop (UTS 46) */
    refused("\xff\xfe.example", "internationalized");
    refused("\xe2\x80\xae.example", "internationalized"); /* right-to-left override */
    refused_octets("a\0\xc3\xbc.example", 12, "character that no hostname has");
}

static void test_what_is_no_hostname_is_refused_with_its_reason(void **state)
{
    (void)state;
    refused("", "is empty");
    refused(".", "root");
    refused("*.a.example", "wildcard");
    refused("\\*.a.example", "wildcard");
    refused("*", "wildcard");
    refused("a..example", "empty label");
    refused(".a.example", "empty label");
    refused("a.example..", "empty label");
    refused("..", "empty label");
    refused("192.0.2.1 a.example", "blank");
    refused("http://a.example/", "character that no hostname has");
    refused("a@b.example", "character that no hostname has");
    refused_octets("a\0b.example", 11, "character that no hostname has");
    refused("a\x7f.example", "character that no hostname has");
}

static void test_lengths_are_held_to_the_octet(void **state)
{
    char text[NAME_TEXT_MAX] = {0};

    (void)state;
    memset(text, 'a', 63);
    becomes(text, text);
    text[63] = 'a';
    refused(text, "label longer than 63");

    /* Three labels of 63 and one of 61 make 255 octets on the wire. */
    memset(text, 'a', 253);
    text[63] = text[127] = text[191] = '.';
    text[253] = '\0';
    becomes(text, text);
    text[253] = '.';
    text[254] = '\0';
    text[254] = '\0';
    uint8_t wire[NAME_SIZE_MAX];
    struct name_fault fault;
    size_t size;
    assert_int_equal(name_text_parse(text, 254, wire, &size, &fault), 0);
    assert_int_equal(size, 255);
    text[253] = 'a';
    refused(text, "longer than 255");
    /* A full name of labels of one octet, and one label more. */
    for (size_t i = 0; i < 300; i++)
        text[i] = i % 2 == 0 ? 'b' : '.';
    assert_int_equal(name_text_parse(text, 253, wire, &size, &fault), 0);
    assert_int_equal(size, 255);
    refused_octets(text, 255, "longer than 255");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_names_are_folded_and_lose_their_final_dot),
        cmocka_unit_test(test_escapes_are_those_of_master_files),
        cmocka_unit_test(test_u_labels_become_a_labels_by_idna2008),
        cmocka_unit_test(test_what_is_no_hostname_is_refused_with_its_reason),
        cmocka_unit_test(test_lengths_are_held_to_the_octet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
