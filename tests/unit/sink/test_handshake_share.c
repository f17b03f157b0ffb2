/* A flood of handshakes takes its part of the time and no more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <sodium.h>

#include "sink/handshake_share.h"

#define SECOND_US INT64_C(1000000)

/* Of one handshake. */
#define COST_US 200

static struct in6_addr address_make(const char *text)
{
    struct in6_addr address;
    assert_int_equal(inet_pton(AF_INET6, text, &address), 1);
    return address;
}

/* The time that clients get who begin a handshake each COST_US, in a minute. Their number counts in
 * the address's last four octets. */
static int64_t flood(struct handshake_share *share, struct in6_addr client, unsigned sources,
                     int64_t from_us)
{
    int64_t spent_us = 0;
    uint32_t number = 0;

    for (int64_t now_us = from_us; now_us < from_us + 60 * SECOND_US; now_us += COST_US, number++) {
        client.s6_addr32[3] = htonl(number % sources + 1);
        if (!handshake_share_has_room(share, &client, now_us))
            continue;
        handshake_share_spend(share, &client, now_us, COST_US);
        spent_us += COST_US;
    }
    return spent_us;
}

static void test_a_source_gets_a_small_part_and_others_theirs(void **state)
{
    _cleanup_(handshake_share_freep) struct handshake_share *share = handshake_share_create();
    const struct in6_addr other = address_make("2001:db8:1::1");
    (void)state;
    assert_non_null(share);
    const int64_t spent_us = flood(share, address_make("2001:db8::"), 1000000, SECOND_US);
    assert_true(spent_us > 60 * SECOND_US / 40 && spent_us < 60 * SECOND_US / 25);
    assert_true(handshake_share_has_room(share, &other, 61 * SECOND_US));
}

static void test_all_together_leave_half_of_the_time(void **state)
{
    _cleanup_(handshake_share_freep) struct handshake_share *share = handshake_share_create();
    (void)state;
    assert_non_null(share);
    const int64_t spent_us = flood(share, address_make("::ffff:0:0"), 5000, SECOND_US);
    assert_true(spent_us > 60 * SECOND_US / 3 && spent_us < 60 * SECOND_US * 52 / 100);
}

static void test_a_source_that_rested_has_its_part_again(void **state)
{
    _cleanup_(handshake_share_freep) struct handshake_share *share = handshake_share_create();
    const struct in6_addr client = address_make("2001:db8::1");
    (void)state;
    assert_non_null(share);
    (void)flood(share, client, 1, SECOND_US);
    assert_false(handshake_share_has_room(share, &client, 61 * SECOND_US));
    assert_true(handshake_share_has_room(share, &client, 70 * SECOND_US));
}

static void test_a_thread_that_was_stopped_is_not_the_clients_fault(void **state)
{
    _cleanup_(handshake_share_freep) struct handshake_share *share = handshake_share_create();
    const struct in6_addr client = address_make("2001:db8::1");
    (void)state;
    assert_non_null(share);
    handshake_share_spend(share, &client, SECOND_US, 3600 * SECOND_US);
    assert_true(handshake_share_has_room(share, &client, 3601 * SECOND_US));
    assert_true(handshake_share_has_room(share, &client, 2 * SECOND_US));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_source_gets_a_small_part_and_others_theirs),
        cmocka_unit_test(test_all_together_leave_half_of_the_time),
        cmocka_unit_test(test_a_source_that_rested_has_its_part_again),
        cmocka_unit_test(test_a_thread_that_was_stopped_is_not_the_clients_fault),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
