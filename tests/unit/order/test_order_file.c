/* What an order's file must say, and what it becomes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "order/name_text.h"
#include "order_text.h"

static void refuses(const char *text, uint32_t line, const char *cause)
{
    struct error error = {0};
    struct order *order = NULL;

    assert_int_equal(order_from_text(text, NULL, &order, &error), -EINVAL);
    assert_null(order);
    assert_string_equal(error.file, "t.yaml");
    if (strstr(error.text, cause) == NULL)
        fail_msg("'%s' does not say '%s'", error.text, cause);
    assert_int_equal(error.line, line);
}

static struct order *loads(const char *text)
{
    struct error error = {0};
    struct order *order = NULL;

    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%u: %s", error.line, error.text);
    return order;
}

static void assert_text(const struct order_names *names, size_t index, const char *expected)
{
    char text[NAME_TEXT_MAX];

    assert_true(index < names->count);
    name_text_write(order_names_at(names, index), text);
    assert_string_equal(text, expected);
}

static void test_every_key_is_understood(void **state)
{
    struct order *order = loads("id: nv-2014-00987\n"
                                "kind: court\n"
                                "authority: \"US District Court, D. Nevada, 2:14-cv-00987\"\n"
                                "starts: 2014-06-30T12:00:00Z\n"
                                "ends: 2014-07-14T14:00:00+02:00\n"
                                "action: sinkhole\n"
                                "sinkhole: { a: [192.0.2.66], aaaa: [\"2001:db8::66\"], ttl: 7 }\n"
                                "notice: https://desk.example/orders/nv-2014-00987\n"
                                "names: [B.example, a.example]\n"
                                "subtrees: [s.example]\n"
                                "exempt: [x.s.example]\n"
                                "signatures: []\n"
                                "budget: { live: 5, shared: 6, cuts: 0, query-share: 0.25 }\n"
                                "evidence: { content: true, seal-to: "
                                "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08= }\n");
    const struct verdict *verdict = &order->verdict;

    (void)state;
    assert_string_equal(order->id, "nv-2014-00987");
    assert_string_equal(order->path, "t.yaml");
    assert_int_equal(order->kind, ORDER_COURT);
    assert_int_equal(order->starts, 1404129600);
    assert_int_equal(order->ends, 1404129600 + 14 * 86400);
    assert_text(&order->names, 0, "a.example");
    assert_text(&order->names, 1, "b.example");
    assert_text(&order->subtrees, 0, "s.example");
    assert_text(&order->exempt, 0, "x.s.example");
    assert_int_equal(order->budget.live_max, 5);
    assert_int_equal(order->budget.shared_max, 6);
    assert_int_equal(order->budget.cuts_max, 0);
    assert_true(order->budget.query_share_max == 0.25);
    assert_true(order->budget.client_share_max == 1);
    assert_true(order->evidence.content);
    assert_memory_equal(order->evidence.seal_to, "\xde\x9e\xdb\x7d\x7b\x7d\xc1\xb4", 8);
    assert_int_equal(order->finding_total, 0);

    assert_int_equal(verdict->action, VERDICT_SINKHOLE);
    assert_int_equal(verdict->ede_code, 16);
    assert_int_equal(verdict->ttl_s, 7);
    assert_int_equal(verdict->a_count, 1);
    assert_memory_equal(verdict->a[0], "\xc0\x00\x02\x42", 4);
    assert_int_equal(verdict->aaaa_count, 1);
    assert_int_equal(verdict->aaaa[0][15], 0x66);
    static const char text[] = "nv-2014-00987 https://desk.example/orders/nv-2014-00987";
    assert_int_equal(verdict->text_size, sizeof(text) - 1);
    assert_memory_equal(verdict->text, text, sizeof(text) - 1);
    assert_int_equal(verdict->starts, order->starts);
    assert_int_equal(verdict->ends, order->ends);
    order_free(order);
}

static void test_an_order_without_an_end_is_refused_with_that_reason(void **state)
{
    (void)state;
    refuses("id: t\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\naction: nxdomain\n"
            "names: [a.example]\n",
            0, "an order without an end is refused");
    refuses("id: t\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\n"
            "ends: 2014-06-30T12:00:00Z\naction: nxdomain\nnames: [a.example]\n",
            5, "'ends' is not after 'starts'");
    refuses("id: t\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\n"
            "ends: never\naction: nxdomain\nnames: [a.example]\n",
            5, "'ends' is no time of RFC 3339");
}

static void test_bad_values_name_their_line(void **state)
{
    (void)state;
    refuses(ORDER_HEAD "naems: [a.example]\n", 7, "unknown key 'naems'; did you mean 'names'?");
    refuses(ORDER_HEAD, 0, "lists nothing");
    refuses(ORDER_HEAD "names: []\n", 0, "lists nothing");
    refuses(ORDER_HEAD "names: [a.example]\nnotice: ftp://a.example\n", 8, "https:// or http://");
    refuses(ORDER_HEAD "names: [a.example]\nnotice: https://\n", 8, "https:// or http://");
    refuses(ORDER_HEAD "names: [a.example]\nnotice: \"https://a b\"\n", 8, "without blanks");
    refuses(ORDER_HEAD "names: [a.example]\nnotice: https://\xc3\xbc.example\n", 8, "ASCII");
    refuses(ORDER_HEAD "names: [a.example]\n"
                       "notice: https://a.example/01234567890123456789012345678901234567890123"
                       "0123456789012345678901234567890123456789012345678901234567890123456789\n",
            8, "128 at most");
    refuses(ORDER_HEAD "names: [a.example]\nsinkhole:\n  a: [192.0.2.1,\n      192.0.2.300]\n", 10,
            "'192.0.2.300' is no IPv4 address");
    refuses(ORDER_HEAD "names: [a.example]\nsinkhole: {a: [192.0.2.1, 192.0.2.1]}\n", 8, "twice");
    refuses(ORDER_HEAD "names: [a.example]\nsinkhole: {ttl: 86401}\n", 8, "over 86400 seconds");
    refuses(ORDER_HEAD "names: [a.example]\nsinkhole: {a: [192.0.2.1, 192.0.2.2, 192.0.2.3, "
                       "192.0.2.4, 192.0.2.5, 192.0.2.6, 192.0.2.7, 192.0.2.8, 192.0.2.9]}\n",
            8, "has 9 addresses; 8 at most");
    refuses(ORDER_HEAD "names: [a.example]\nbudget: {query-share: 1.5}\n", 8, "from 0 to 1");
    refuses(ORDER_HEAD "names: [a.example]\nevidence: {content: true}\n", 8, "add 'seal-to'");
    refuses(ORDER_HEAD "names: [a.example]\nevidence: {content: true, seal-to: AAAA}\n", 8,
            "X25519 public key");
    refuses(ORDER_HEAD "names: [a.example]\nevidence:\n  content: true\n"
                       "  seal-to: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
            10, "X25519 public key");
    refuses(ORDER_HEAD "names: [a.example]\nsignatures: [{key: a, value: AAAA}]\n", 8,
            "not the base64 of 64 octets");
    refuses(ORDER_HEAD "names: [a.example]\nsignatures: [{key: \"a b\", value: AAAA}]\n", 8,
            "cannot name a signer");
    refuses("id: a_b\nkind: court\nauthority: x\nstarts: x\naction: nxdomain\n", 1,
            "letters, digits and '-' only");
    refuses("id: \"\"\nkind: court\nauthority: x\nstarts: x\naction: nxdomain\n", 1, "1 to 63");
    refuses("id: a\nkind: court\nauthority: \"x\\ny\"\nstarts: x\naction: nxdomain\n", 3,
            "one line");
    refuses("id: t\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\n"
            "ends: 2014-07-30T12:00:00Z\naction: sinkhole\nnames: [a.example]\n",
            6, "needs an address");
}

static void test_a_provider_s_order_has_ede_15_and_needs_no_notice(void **state)
{
    struct order *order = loads("id: p-1\nkind: provider\nauthority: x\n"
                                "starts: 2014-06-30T12:00:00Z\nends: 2014-07-30T12:00:00Z\n"
                                "action: refuse\nnames: [a.example]\n");

    (void)state;
    assert_int_equal(order->verdict.ede_code, 15);
    assert_int_equal(order->verdict.ttl_s, 60);
    assert_int_equal(order->verdict.text_size, 3);
    assert_memory_equal(order->verdict.text, "p-1", 3);
    assert_null(order->notice);
    order_free(order);
}

static void test_inline_entries_have_their_lines(void **state)
{
    struct order *order = loads(ORDER_HEAD "names:\n"
                                           "  - ok.example\n"
                                           "  - \"*.example\"\n"
                                           "  - OK.example\n"
                                           "exempt: [\"a..b\"]\n");

    (void)state;
    assert_int_equal(order->names.count, 1);
    assert_int_equal(order->finding_total, 3);
    assert_int_equal(order->findings[0].line, 9);
    assert_int_equal(order->findings[1].line, 10);
    assert_string_equal(order->findings[1].reason, "is a duplicate");
    assert_string_equal(order->findings[1].detail, "line 8 lists it first");
    assert_int_equal(order->findings[2].line, 11);
    assert_string_equal(order->findings[2].file, "t.yaml");
    order_free(order);
}

static void test_strict_refuses_on_the_first_finding(void **state)
{
    static const struct order_policy strict = {.strict = true};
    struct error error = {0};
    struct order *order = NULL;

    (void)state;
    assert_int_equal(order_from_text(ORDER_HEAD "names:\n- a.example\n- a..b\n- \"*\"\n", &strict,
                                     &order, &error),
                     -EINVAL);
    assert_int_equal(error.line, 9);
    assert_non_null(strstr(error.text, "a..b has an empty label (2 findings"));
    assert_int_equal(order_from_text(ORDER_HEAD "names: [a.example]\n", &strict, &order, &error),
                     0);
    order_free(order);
}

static void test_a_list_of_which_nothing_is_left_is_a_finding(void **state)
{
    struct order *order = loads(ORDER_HEAD "names: [\"*.example\"]\n");

    (void)state;
    assert_int_equal(order->names.count, 0);
    assert_int_equal(order->finding_total, 2);
    assert_string_equal(order->findings[0].reason, "no name is left to list");
    order_free(order);
}

static void test_a_names_file_is_found_beside_its_order(void **state)
{
    char folder[] = "/tmp/test_order_file.XXXXXX";
    char path[64], list[64];
    static const struct order_policy policy = {0};
    struct error error = {0};
    struct order *order = NULL;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/o.yaml", folder);
    snprintf(list, sizeof(list), "%s/l.txt", folder);
    FILE *stream = fopen(path, "w");
    assert_non_null(stream);
    fputs(ORDER_HEAD "names-file: l.txt\nnames: [a.example]\n", stream);
    fclose(stream);
    assert_int_equal(order_load(path, &policy, &order, &error), -ENOENT);
    assert_string_equal(error.file, list);

    stream = fopen(list, "w");
    assert_non_null(stream);
    fputs("b.example\na.example\n", stream);
    fclose(stream);
    assert_int_equal(order_load(path, &policy, &order, &error), 0);
    assert_int_equal(order->names.count, 2);
    const char *file;
    assert_int_equal(order_name_place(order, &order->names, 0, &file), 8);
    assert_string_equal(file, path);
    assert_int_equal(order_name_place(order, &order->names, 1, &file), 1);
    assert_string_equal(file, list);
    assert_int_equal(order->finding_total, 1);
    assert_string_equal(order->findings[0].file, list);
    assert_int_equal(order->findings[0].line, 2);
    assert_non_null(strstr(order->findings[0].detail, "line 8 of"));

    order_add_name_finding(order, &order->names, 1, "is outside every zone", NULL);
    assert_int_equal(order->finding_total, 2);
    assert_string_equal(order->findings[1].entry, "b.example");
    assert_int_equal(order->findings[1].line, 1);
    order_free(order);
    unlink(path);
    unlink(list);
    rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_key_is_understood),
        cmocka_unit_test(test_an_order_without_an_end_is_refused_with_that_reason),
        cmocka_unit_test(test_bad_values_name_their_line),
        cmocka_unit_test(test_a_provider_s_order_has_ede_15_and_needs_no_notice),
        cmocka_unit_test(test_inline_entries_have_their_lines),
        cmocka_unit_test(test_strict_refuses_on_the_first_finding),
        cmocka_unit_test(test_a_list_of_which_nothing_is_left_is_a_finding),
        cmocka_unit_test(test_a_names_file_is_found_beside_its_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
