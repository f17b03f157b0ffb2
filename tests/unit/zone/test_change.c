/* Change lists: what is written is read back, and octets from outside are refused unless whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "zone/change.h"

#define OWNER      "\4host\3sub"
#define OWNER_SIZE 9

static const uint8_t addresses[] = {0, 4, 192, 0, 2, 1, 0, 4, 192, 0, 2, 2};
static const uint8_t mail[] = "\0\7\0\12\2mx\1a"; /* and the string's own zero: the root */

static struct rrset a_set(uint16_t count)
{
    return (struct rrset){.type = KNOT_RRTYPE_A,
                          .rr_count = count,
                          .ttl = count > 0 ? 3600 : 0,
                          .size = 6u * count,
                          .data = addresses};
}

static struct change change_of(uint16_t before, uint16_t after)
{
    return (struct change){.author = 300,
                           .owner = (const uint8_t *)OWNER,
                           .owner_size = OWNER_SIZE,
                           .before = a_set(before),
                           .after = a_set(after)};
}

static void assert_rrset(const struct rrset *rrset, uint16_t count)
{
    assert_int_equal(rrset->type, KNOT_RRTYPE_A);
    assert_int_equal(rrset->rr_count, count);
    assert_int_equal(rrset->size, 6 * count);
    if (count > 0) {
        assert_int_equal(rrset->ttl, 3600);
        assert_memory_equal(rrset->data, addresses, 6u * count);
    }
}

static void test_what_is_added_is_read_back_in_its_order(void **state)
{
    (void)state;
    static const uint16_t counts[] = {0, 1, 2, 0};
    struct change_list list = {0};
    for (size_t i = 0; i + 1 < 4; i++) {
        struct change change = change_of(counts[i], counts[i + 1]);
        assert_int_equal(change_list_add(&list, &change), 0);
    }
    assert_int_equal(list.count, 3);
    size_t checked;
    assert_true(change_list_check(list.octets, list.size, &checked));
    assert_int_equal(checked, 3);

    struct change change;
    size_t at = 0;
    for (size_t i = 0; i + 1 < 4; i++) {
        assert_true(change_list_next(list.octets, list.size, &at, &change));
        assert_int_equal(change.author, 300);
        assert_int_equal(change.owner_size, OWNER_SIZE);
        assert_memory_equal(change.owner, OWNER, OWNER_SIZE);
        assert_rrset(&change.before, counts[i]);
        assert_rrset(&change.after, counts[i + 1]);
    }
    assert_false(change_list_next(list.octets, list.size, &at, &change));
    change_list_clear(&list);
}

static void test_a_cut_list_goes_on_where_it_was_cut(void **state)
{
    (void)state;
    struct change_list list = {0};
    struct change change = change_of(0, 1);
    assert_int_equal(change_list_add(&list, &change), 0);
    const size_t size = list.size;
    for (unsigned i = 0; i < 100; i++) {
        change = change_of(1, 2);
        assert_int_equal(change_list_add(&list, &change), 0);
    }
    change_list_cut(&list, size, 1);
    change = change_of(1, 0);
    assert_int_equal(change_list_add(&list, &change), 0);

    size_t at = 0;
    assert_true(change_list_next(list.octets, list.size, &at, &change));
    assert_true(change_list_next(list.octets, list.size, &at, &change));
    assert_rrset(&change.after, 0);
    assert_false(change_list_next(list.octets, list.size, &at, &change));
    change_list_clear(&list);
}

static void test_an_address_change_is_small(void **state)
{
    (void)state;
    struct change_list list = {0};
    struct change change = change_of(1, 1);
    change.author = 1;
    assert_int_equal(change_list_add(&list, &change), 0);
    assert_int_equal(list.size, 1 + 1 + 1 + OWNER_SIZE + 2 * (1 + 2 + 1 + 6));
    change_list_clear(&list);
}

static void test_a_list_cut_short_anywhere_else_is_refused(void **state)
{
    (void)state;
    struct change_list list = {0};
    struct change change = change_of(2, 1);
    assert_int_equal(change_list_add(&list, &change), 0);
    const size_t border = list.size;
    change = change_of(1, 2);
    assert_int_equal(change_list_add(&list, &change), 0);
    for (size_t size = 0; size <= list.size; size++) {
        /* In memory of its own, so that a read beyond it is seen. */
        uint8_t *octets = malloc(size + 1);
        assert_non_null(octets);
        memcpy(octets + 1, list.octets, size);
        size_t count;
        assert_int_equal(change_list_check(octets + 1, size, &count),
                         size == 0 || size == border || size == list.size);
        free(octets);
    }
    change_list_clear(&list);
}

static bool is_accepted(const struct change *change)
{
    struct change_list list = {0};
    size_t count;
    assert_int_equal(change_list_add(&list, change), 0);
    bool accepted = change_list_check(list.octets, list.size, &count);
    change_list_clear(&list);
    return accepted;
}

static void test_owners_that_no_zone_has_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *owner;
        uint8_t size;
    } owners[] = {
        {"\4hos", 4}, {"\4Host", 5}, {"\4host\0", 6}, {"\100aaa", 4}, {"\300\14", 2}, {"\0", 1},
    };
    struct change change = change_of(0, 1);
    assert_true(is_accepted(&change));
    for (size_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
        change.owner = (const uint8_t *)owners[i].owner;
        change.owner_size = owners[i].size;
        assert_false(is_accepted(&change));
    }
    uint8_t longest[255];
    for (size_t at = 0; at < sizeof(longest); at++)
        longest[at] = at % 2 == 0 ? 1 : 'a';
    change.owner = longest;
    change.owner_size = 254;
    assert_true(is_accepted(&change));
    longest[252] = 2;
    change.owner_size = 255;
    assert_false(is_accepted(&change));
}

static void test_record_sets_that_no_zone_has_are_refused(void **state)
{
    (void)state;
    const struct change good = change_of(1, 1);
    struct change change = good;
    change.before.rr_count = change.after.rr_count = 0; /* changes nothing */
    assert_false(is_accepted(&change));
    change = good;
    change.after.rr_count = 2; /* more than there are */
    assert_false(is_accepted(&change));
    change = good;
    change.after.size = 12; /* octets behind the last */
    assert_false(is_accepted(&change));

    static const uint8_t disordered[] = {0, 4, 192, 0, 2, 2,   0, 4, 192,
                                         0, 2, 1,   0, 4, 192, 0, 2, 1};
    change = change_of(1, 2);
    assert_true(is_accepted(&change));
    change.after.data = disordered;
    assert_false(is_accepted(&change));
    change.after.data = disordered + 6; /* one record twice */
    assert_false(is_accepted(&change));

    static const uint16_t types[] = {0,
                                     KNOT_RRTYPE_OPT,
                                     KNOT_RRTYPE_ANY,
                                     KNOT_RRTYPE_AXFR,
                                     KNOT_RRTYPE_TSIG,
                                     KNOT_RRTYPE_AAAA,
                                     KNOT_RRTYPE_CNAME};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        change = good; /* a meta type, or four octets that are none of its data */
        change.before.type = change.after.type = types[i];
        assert_false(is_accepted(&change));
    }
}

static void test_types_with_names_have_their_data_checked(void **state)
{
    (void)state;
    struct change change = change_of(0, 1);
    change.before.type = KNOT_RRTYPE_MX;
    change.after = (struct rrset){
        .type = KNOT_RRTYPE_MX, .rr_count = 1, .ttl = 1, .size = 2 + 8, .data = mail};
    uint8_t data[sizeof(mail)];
    memcpy(data, mail, sizeof(mail));
    data[1] = 8;
    change.after.data = data;
    assert_true(is_accepted(&change));
    data[7] = 63; /* a label that goes beyond the data */
    assert_false(is_accepted(&change));

    static const uint8_t alias[] = "\0\3\1a\0\0\3\1b";
    change.before.type = KNOT_RRTYPE_CNAME;
    change.after = (struct rrset){
        .type = KNOT_RRTYPE_CNAME, .rr_count = 1, .ttl = 1, .size = 5, .data = alias};
    assert_true(is_accepted(&change));
    change.after.rr_count = 2; /* RFC 2181, 10.1 */
    change.after.size = 10;
    assert_false(is_accepted(&change));
}

static void test_a_soa_is_at_the_apex_alone(void **state)
{
    (void)state;
    uint8_t data[2 + 22] = {0, 22};
    struct change change = change_of(0, 1);
    change.before.type = KNOT_RRTYPE_SOA;
    change.after = (struct rrset){
        .type = KNOT_RRTYPE_SOA, .rr_count = 1, .ttl = 1, .size = sizeof(data), .data = data};
    assert_false(is_accepted(&change));
    change.owner_size = 0;
    assert_true(is_accepted(&change));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_added_is_read_back_in_its_order),
        cmocka_unit_test(test_a_cut_list_goes_on_where_it_was_cut),
        cmocka_unit_test(test_an_address_change_is_small),
        cmocka_unit_test(test_a_list_cut_short_anywhere_else_is_refused),
        cmocka_unit_test(test_owners_that_no_zone_has_are_refused),
        cmocka_unit_test(test_record_sets_that_no_zone_has_are_refused),
        cmocka_unit_test(test_types_with_names_have_their_data_checked),
        cmocka_unit_test(test_a_soa_is_at_the_apex_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
