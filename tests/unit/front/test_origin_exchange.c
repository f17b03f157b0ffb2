/* The pool of origins octet by octet: the test is the server, and answers when it wants to. */
#include <stdarg.h>
#include <stddef.h>

#include <setjmp.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "front/origin_internal.h"

struct exchange {
    struct origin_pool *pool;
    struct origin_group *group;
    int fd; /* of the server */
    union origin_address client;
    socklen_t client_size;
    uint8_t query[512];
    size_t query_size;
    int done_count, code;
    uint8_t answer[512];
    size_t answer_size;
};

static void done(void *context, int code, const uint8_t *message, size_t size)
{
    struct exchange *exchange = context;
    exchange->done_count++;
    exchange->code = code;
    exchange->answer_size = size;
    if (message != NULL)
        memcpy(exchange->answer, message, size);
}

static struct exchange start(sa_family_t family)
{
    struct exchange exchange = {.fd = socket(family, SOCK_DGRAM, 0)};
    union origin_address address = {.any.sa_family = family};
    socklen_t size = sizeof(address);
    struct error error;
    if (family == AF_INET6)
        address.ipv6.sin6_addr = in6addr_loopback;
    else
        address.ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(exchange.fd, &address.any, sizeof(address.ipv6)), 0);
    assert_int_equal(getsockname(exchange.fd, &address.any, &size), 0);
    assert_int_equal(
        origin_pool_create(&(struct origin_options){.sockets = 4}, &exchange.pool, &error), 0);
    assert_int_equal(
        origin_group_add(exchange.pool, "a.example", &address.storage, 1, 0, &exchange.group), 0);
    return exchange;
}

static void stop(struct exchange *exchange)
{
    origin_pool_free(exchange->pool);
    close(exchange->fd);
}

static void ask(struct exchange *exchange, struct origin_question question)
{
    struct name name;
    assert_true(name_parse(&name, (const uint8_t *)"\3www\1a\7example", 15) > 0);
    question.name = &name;
    question.done = done;
    question.context = exchange;
    exchange->done_count = 0;
    assert_int_equal(origin_ask(exchange->group, &question), 0);
    origin_pool_run(exchange->pool);
}

static void receive(struct exchange *exchange)
{
    exchange->client_size = sizeof(exchange->client);
    const ssize_t size = recvfrom(exchange->fd, exchange->query, sizeof(exchange->query), 0,
                                  &exchange->client.any, &exchange->client_size);
    assert_true(size > 12);
    exchange->query_size = (size_t)size;
}

/* Returns the query as an empty answer with authority, with `id`. */
static void reply(struct exchange *exchange, uint16_t id)
{
    uint8_t wire[512];
    memcpy(wire, exchange->query, exchange->query_size);
    knot_wire_set_id(wire, id);
    knot_wire_set_qr(wire);
    knot_wire_set_aa(wire);
    /* The cookie, which this server does not know, is not for it to return. */
    wire[12 + 15 + 4 + 10] = 0;
    knot_wire_write_u16(wire + 12 + 15 + 4 + 9, 0);
    const size_t size = 12 + 15 + 4 + 11;
    assert_int_equal(
        sendto(exchange->fd, wire, size, 0, &exchange->client.any, exchange->client_size),
        (int)size);
}

static void run_until_readable(struct exchange *exchange)
{
    struct pollfd fd = {.fd = origin_pool_fd(exchange->pool), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 10000), 1);
    origin_pool_run(exchange->pool);
}

static uint16_t query_id(const struct exchange *exchange)
{
    return knot_wire_get_id(exchange->query);
}

static struct origin_server_state state_of(const struct exchange *exchange)
{
    struct origin_server_state server;
    assert_int_equal(origin_group_state(exchange->group, &server, 1), 1);
    return server;
}

static void test_question_goes_out_as_asked(void **state)
{
    (void)state;
    static const uint8_t subnet[] = {0, 1, 24, 0, 192, 0, 2};
    struct exchange exchange = start(AF_INET);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_MX,
                                            .dnssec_ok = true,
                                            .checking_disabled = true,
                                            .client_subnet = subnet,
                                            .client_subnet_size = sizeof(subnet)});
    receive(&exchange);
    const uint8_t *wire = exchange.query, *opt = wire + 12 + 15 + 4;
    assert_true(knot_wire_get_cd(wire) && !knot_wire_get_rd(wire) && !knot_wire_get_qr(wire));
    assert_int_equal(knot_wire_read_u16(wire + 12 + 15), KNOT_RRTYPE_MX);
    assert_int_equal(knot_wire_read_u16(opt + 3), 1232);
    assert_int_equal(opt[7], 0x80); /* DO */
    assert_int_equal(knot_wire_read_u16(opt + 11), 10);
    assert_int_equal(knot_wire_read_u16(opt + 13), 8);
    assert_int_equal(knot_wire_read_u16(opt + 23), 8);
    assert_memory_equal(opt + 27, subnet, sizeof(subnet));
    assert_int_equal(exchange.query_size, opt + 27 + sizeof(subnet) - wire);
    stop(&exchange);
    assert_int_equal(exchange.done_count, 1);
    assert_int_equal(exchange.code, -ECANCELED);
}

static void test_server_at_an_ipv6_address_is_asked(void **state)
{
    (void)state;
    struct exchange exchange = start(AF_INET6);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_A});
    receive(&exchange);
    reply(&exchange, query_id(&exchange));
    run_until_readable(&exchange);
    assert_int_equal(exchange.done_count, 1);
    assert_int_equal(exchange.code, 0);
    assert_int_equal(state_of(&exchange).mismatches, 0);
    stop(&exchange);
}

static void test_same_answer_twice_counts_once(void **state)
{
    (void)state;
    struct exchange exchange = start(AF_INET);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_A});
    receive(&exchange);
    reply(&exchange, query_id(&exchange));
    reply(&exchange, query_id(&exchange));
    run_until_readable(&exchange);
    assert_int_equal(exchange.done_count, 1);
    assert_int_equal(state_of(&exchange).mismatches, 1);
    stop(&exchange);
}

static void test_answer_after_its_question_was_given_up_is_late_and_no_guess(void **state)
{
    (void)state;
    struct exchange exchange = start(AF_INET);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_A});
    receive(&exchange);
    question_end(exchange.pool, exchange.group->questions, -ETIMEDOUT, NULL, 0);
    reply(&exchange, query_id(&exchange));
    run_until_readable(&exchange);
    assert_int_equal(exchange.done_count, 1);
    assert_int_equal(state_of(&exchange).late, 1);
    assert_int_equal(state_of(&exchange).mismatches, 0);
    stop(&exchange);
}

static void test_guessed_identifiers_lead_to_tcp(void **state)
{
    (void)state;
    struct exchange exchange = start(AF_INET);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_A});
    receive(&exchange);
    for (uint16_t i = 1; i <= 64; i++)
        reply(&exchange, query_id(&exchange) ^ i);
    while (state_of(&exchange).mismatches < 64)
        run_until_readable(&exchange);
    assert_int_equal(exchange.done_count, 0);
    /* The right answer is still one. */
    reply(&exchange, query_id(&exchange));
    run_until_readable(&exchange);
    assert_int_equal(exchange.done_count, 1);

    assert_int_equal(state_of(&exchange).over_tcp, 0);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_AAAA});
    assert_int_equal(state_of(&exchange).over_tcp, 1);
    stop(&exchange);
}

static void test_datagrams_of_strangers_are_counted(void **state)
{
    (void)state;
    struct exchange exchange = start(AF_INET), stranger = start(AF_INET);
    ask(&exchange, (struct origin_question){.type = KNOT_RRTYPE_A});
    receive(&exchange);
    const int own = exchange.fd;
    exchange.fd = stranger.fd;
    reply(&exchange, query_id(&exchange));
    exchange.fd = own;
    run_until_readable(&exchange);
    struct origin_counters counters;
    origin_counters(exchange.pool, &counters);
    assert_int_equal(counters.unexpected, 1);
    assert_int_equal(counters.waiting, 1);
    assert_int_equal(exchange.done_count, 0);
    stop(&exchange);
    stop(&stranger);
}

static void test_percentile_follows_the_samples(void **state)
{
    (void)state;
    struct server server = {.rtt_us = 0};
    for (unsigned i = 0; i < 20000; i++)
        server_measured(&server, i % 10 == 0 ? 50000 : 10000 + i % 7 * 100);
    assert_in_range(server.p95_us, 30000, 60000);
    for (unsigned i = 0; i < 20000; i++)
        server_measured(&server, i % 50 == 0 ? 50000 : 10000 + i % 7 * 100);
    assert_in_range(server.p95_us, 10000, 25000);
    /* One stall is forgotten soon. */
    for (unsigned i = 0; i < 100; i++)
        server_measured(&server, 400000);
    for (unsigned i = 0; i < 1500; i++)
        server_measured(&server, 10000);
    assert_in_range(server.p95_us, 10000, 25000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_question_goes_out_as_asked),
        cmocka_unit_test(test_server_at_an_ipv6_address_is_asked),
        cmocka_unit_test(test_same_answer_twice_counts_once),
        cmocka_unit_test(test_answer_after_its_question_was_given_up_is_late_and_no_guess),
        cmocka_unit_test(test_guessed_identifiers_lead_to_tcp),
        cmocka_unit_test(test_datagrams_of_strangers_are_counted),
        cmocka_unit_test(test_percentile_follows_the_samples),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
