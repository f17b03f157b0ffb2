/* A source's datagrams a second, whoever else sends meanwhile. Times are simulated. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sink/datagram_share.h"

#define SECOND_US INT64_C(1000000)
#define NOW_US    (1000 * SECOND_US)

static int make(void **state)
{
    *state = datagram_share_create(100);
    return *state == NULL ? -1 : 0;
}

static int unmake(void **state)
{
    datagram_share_free(*state);
    return 0;
}

static struct in6_addr ipv4(uint32_t number)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    for (unsigned i = 0; i < 4; i++)
        address.s6_addr[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    return address;
}

static struct in6_addr ipv6(uint8_t network, uint8_t host)
{
    return (struct in6_addr){.s6_addr = {0x20, 0x01, 0x0d, 0xb8, [7] = network, [15] = host}};
}

static unsigned taken(struct datagram_share *share, struct in6_addr client, unsigned tries,
                      int64_t now_us)
{
    unsigned count = 0;
    for (unsigned i = 0; i < tries; i++)
        count += datagram_share_take(share, &client, now_us);
    return count;
}

static void test_a_source_has_its_share_and_earns_it_again(void **state)
{
    assert_int_equal(taken(*state, ipv4(0xc0000201), 300, NOW_US), 100);
    assert_int_equal(taken(*state, ipv4(0xc0000202), 300, NOW_US), 100);
    assert_int_equal(taken(*state, ipv4(0xc0000201), 300, NOW_US + SECOND_US / 2), 50);
    /* What isn't used is not saved up. */
    assert_int_equal(taken(*state, ipv4(0xc0000201), 300, NOW_US + 3600 * SECOND_US), 100);
}

static void test_what_was_refused_costs_nothing(void **state)
{
    assert_int_equal(taken(*state, ipv4(0xc0000201), 100000, NOW_US), 100);
    assert_int_equal(taken(*state, ipv4(0xc0000201), 1, NOW_US + SECOND_US / 100), 1);
}

static void test_a_network_of_ipv6_is_one_source(void **state)
{
    assert_int_equal(taken(*state, ipv6(1, 1), 60, NOW_US), 60);
    assert_int_equal(taken(*state, ipv6(1, 2), 60, NOW_US), 40);
    assert_int_equal(taken(*state, ipv6(2, 1), 60, NOW_US), 60);
}

static void test_forged_senders_take_nothing_from_others(void **state)
{
    unsigned lost = 0;
    for (uint32_t i = 0; i < 1000000; i++)
        lost += taken(*state, ipv4(i), 1, NOW_US) == 0;
    assert_int_equal(lost, 0);
    assert_int_equal(taken(*state, ipv4(0xc0000201), 100, NOW_US), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_source_has_its_share_and_earns_it_again, make,
                                        unmake),
        cmocka_unit_test_setup_teardown(test_what_was_refused_costs_nothing, make, unmake),
        cmocka_unit_test_setup_teardown(test_a_network_of_ipv6_is_one_source, make, unmake),
        cmocka_unit_test_setup_teardown(test_forged_senders_take_nothing_from_others, make, unmake),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
