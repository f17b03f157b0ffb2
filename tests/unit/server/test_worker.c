/* The pool: binding, its errors, UDP, and the stop. */
#include <errno.h>
#include <netinet/udp.h>

#include "worker_fixture.h"

#include "base/rcu.h"

static void test_udp_answers_on_ipv4_and_ipv6(void **state)
{
    (void)state;
    struct worker_address listen[] = {address_make("127.0.0.1", 0), address_make("::1", 0)};
    struct worker_options options = options_make(listen, 2);
    struct worker_pool *pool = pool_start(&options);

    int ipv4 = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(pool, 0));
    int ipv6 = client_connect(SOCK_DGRAM, NULL, "::1", pool_port(pool, 1));
    assert_udp_answers(ipv4, 1);
    assert_udp_answers(ipv6, 2);

    close(ipv4);
    close(ipv6);
    worker_pool_stop(pool, 0);
}

static void test_every_request_of_a_burst_is_answered(void **state)
{
    (void)state;
    enum { COUNT = 250 };
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    options.worker_count = 2;
    struct worker_pool *pool = pool_start(&options);

    uint8_t requests[COUNT][40];
    struct iovec parts[COUNT];
    struct mmsghdr messages[COUNT] = {0};
    for (uint16_t i = 0; i < COUNT; i++) {
        request_make(requests[i], sizeof(requests[i]), i);
        parts[i] = (struct iovec){requests[i], sizeof(requests[i])};
        messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i], .msg_iovlen = 1};
    }
    int fd = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(pool, 0));
    assert_int_equal(sendmmsg(fd, messages, COUNT, 0), COUNT);

    /* One client's queries meet one worker, in order. */
    for (uint16_t i = 0; i < COUNT; i++) {
        uint8_t received[64];
        requests[i][2] |= 0x80;
        assert_int_equal(recv(fd, received, sizeof(received), 0), sizeof(requests[i]));
        assert_memory_equal(received, requests[i], sizeof(requests[i]));
    }
    WAIT_UNTIL(pool, counters, counters.udp_responses == COUNT);
    assert_int_equal(pool_counters(pool).udp_requests, COUNT);
    assert_int_equal(pool_counters(pool).udp_dropped, 0);

    close(fd);
    worker_pool_stop(pool, 0);
}

static void test_ignored_requests_leave_their_neighbours_alone(void **state)
{
    (void)state;
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    struct worker_pool *pool = pool_start(&options);

    int fd = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(pool, 0));
    uint8_t answer[40], oversize[5000];
    request_make(answer, sizeof(answer), 1);
    answer[2] |= 0x80;
    request_make(oversize, sizeof(oversize), 2);
    assert_int_equal(send(fd, answer, sizeof(answer), 0), sizeof(answer));
    assert_int_equal(send(fd, oversize, sizeof(oversize), 0), sizeof(oversize));
    assert_int_equal(send(fd, "", 0, 0), 0);
    assert_udp_answers(fd, 3);
    WAIT_UNTIL(pool, counters, counters.udp_requests == 4 && counters.udp_responses == 1);

    close(fd);
    worker_pool_stop(pool, 0);
}

static void test_request_from_port_zero_is_ignored(void **state)
{
    (void)state;
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    int fd = socket(AF_INET, SOCK_RAW, IPPROTO_UDP);
    if (fd < 0 && errno == EPERM)
        skip();
    assert_true(fd >= 0);
    struct worker_pool *pool = pool_start(&options);

    struct {
        struct udphdr header;
        uint8_t request[40];
    } datagram = {
        .header = {.uh_dport = htons(pool_port(pool, 0)), .uh_ulen = htons(sizeof(datagram))}};
    request_make(datagram.request, sizeof(datagram.request), 1);
    struct worker_address to = address_make("127.0.0.1", 0);
    assert_int_equal(
        sendto(fd, &datagram, sizeof(datagram), 0, (const struct sockaddr *)&to.address, to.size),
        sizeof(datagram));

    /* A drop by the system would mean that we tried to answer. */
    WAIT_UNTIL(pool, counters, counters.udp_batches == 1);
    struct worker_counters counters = pool_counters(pool);
    assert_int_equal(counters.udp_requests, 1);
    assert_int_equal(counters.udp_responses + counters.udp_dropped, 0);
    close(fd);
    worker_pool_stop(pool, 0);
}

static void test_wildcard_answers_from_the_address_that_was_asked(void **state)
{
    (void)state;
    struct worker_address listen[] = {address_make("0.0.0.0", 0), address_make("::", 0)};
    struct worker_options options = options_make(listen, 2);
    struct worker_pool *pool = pool_start(&options);

    /* A connected socket receives nothing from another address. */
    int second = client_connect(SOCK_DGRAM, NULL, "127.0.0.2", pool_port(pool, 0));
    int third = client_connect(SOCK_DGRAM, "127.0.0.1", "127.0.0.3", pool_port(pool, 0));
    int ipv6 = client_connect(SOCK_DGRAM, NULL, "::1", pool_port(pool, 1));
    int tcp = client_connect(SOCK_STREAM, NULL, "127.0.0.2", pool_port(pool, 0));
    assert_udp_answers(second, 1);
    assert_udp_answers(third, 2);
    assert_udp_answers(ipv6, 3);
    assert_tcp_answers(tcp, 4);

    close(second);
    close(third);
    close(ipv6);
    close(tcp);
    worker_pool_stop(pool, 0);
}

static void test_both_families_share_a_port(void **state)
{
    (void)state;
    struct worker_address listen[] = {address_make("0.0.0.0", 0), address_make("::", 0)};
    struct worker_options options = options_make(listen, 1);
    struct worker_pool *pool = pool_start(&options);
    uint16_t port = pool_port(pool, 0);
    worker_pool_stop(pool, 0);

    listen[0] = address_make("0.0.0.0", port);
    listen[1] = address_make("::", port);
    options.listen_count = 2;
    pool = pool_start(&options);
    int ipv4 = client_connect(SOCK_DGRAM, NULL, "127.0.0.2", port);
    int ipv6 = client_connect(SOCK_DGRAM, NULL, "::1", port);
    assert_udp_answers(ipv4, 1);
    assert_udp_answers(ipv6, 2);
    worker_pool_stop(pool, 0);

    /* And each one is served only where it is listed. */
    options.listen = &listen[1];
    options.listen_count = 1;
    pool = pool_start(&options);
    assert_udp_answers(ipv6, 3);
    uint8_t octet = 0;
    assert_int_equal(send(ipv4, &octet, 1, 0), 1);
    assert_int_equal(recv(ipv4, &octet, 1, 0), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(ipv4);
    close(ipv6);
    worker_pool_stop(pool, 0);
}

static void assert_start_fails(const struct worker_address *listen, size_t count, int code,
                               const char *text)
{
    struct worker_options options = options_make(listen, count);
    struct worker_pool *pool = NULL;
    struct error error = {0};
    assert_int_equal(worker_pool_start(&options, &pool, &error), code);
    assert_null(pool);
    assert_string_equal(error.text, text);
}

static void test_used_port_is_named_with_its_remedy(void **state)
{
    (void)state;
    static const char remedy[] = "stop the other server or choose another port in server.listen";
    struct worker_address any = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&any, 1);
    struct worker_pool *pool = pool_start(&options);
    struct worker_address used;
    worker_pool_address(pool, 0, &used);

    char text[256];
    snprintf(text, sizeof(text),
             "cannot listen on 127.0.0.1@%u over UDP: Address already in use; %s",
             address_port_of(&used), remedy);
    assert_start_fails(&used, 1, -EADDRINUSE, text);
    worker_pool_stop(pool, 0);

    /* TCP alone taken: whoever else listens there shares the port willingly. */
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int on = 1;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&used.address, used.size), 0);
    assert_int_equal(listen(fd, 1), 0);
    snprintf(text, sizeof(text),
             "cannot listen on 127.0.0.1@%u over TCP: Address already in use; %s",
             address_port_of(&used), remedy);
    assert_start_fails(&used, 1, -EADDRINUSE, text);
    close(fd);

    /* Nothing stayed bound. */
    options.listen = &used;
    pool = pool_start(&options);
    worker_pool_stop(pool, 0);
}

static void test_foreign_address_is_named_with_its_remedy(void **state)
{
    (void)state;
    struct worker_address listen[] = {address_make("127.0.0.1", 0),
                                      address_make("192.0.2.1", 5300)};
    assert_start_fails(listen, 2, -EADDRNOTAVAIL,
                       "cannot listen on 192.0.2.1@5300 over UDP: Cannot assign requested address; "
                       "give the address to an interface of this machine or correct server.listen");
}

static void test_limit_of_zero_clients_is_refused(void **state)
{
    (void)state;
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    options.tcp_clients_max = 0;
    struct worker_pool *pool = NULL;
    struct error error = {0};
    assert_int_equal(worker_pool_start(&options, &pool, &error), -EINVAL);
}

static void test_idle_workers_hold_up_no_grace_period(void **state)
{
    (void)state;
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    options.worker_count = WORKERS_MAX;
    struct worker_pool *pool = pool_start(&options);
    assert_int_equal(worker_pool_count(pool), WORKERS_MAX);

    /* Without going offline, a worker that nobody asks would hold this up for ever. */
    sleep_ms(20);
    int64_t start_ms = monotonic_ms();
    synchronize_rcu();
    assert_true(monotonic_ms() - start_ms < PATIENCE_MS);
    worker_pool_stop(pool, 0);
}

static void test_stop_answers_what_was_received(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    struct worker_pool *pool = pool_start(&options);

    int udp = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(pool, 0));
    int tcp = client_connect(SOCK_STREAM, NULL, "127.0.0.1", pool_port(pool, 0));
    for (uint16_t i = 0; i < COUNT; i++) {
        uint8_t frame[42];
        send_all(tcp, frame, request_frame(frame, 40, i));
        if (i < 100)
            assert_int_equal(send(udp, frame + 2, 40, 0), 40);
    }
    worker_pool_stop(pool, PATIENCE_MS);

    for (uint16_t i = 0; i < 100; i++) {
        uint8_t received[64];
        assert_int_equal(recv(udp, received, sizeof(received), MSG_DONTWAIT), 40);
    }
    for (uint16_t i = 0; i < COUNT; i++)
        assert_echo(tcp, 40, i);
    assert_closed(tcp);
    close(udp);
    close(tcp);
}

/* Takes its time, so that more arrives before the worker looks again. */
static size_t answer_slowly(void *context, const uint8_t *request, size_t request_size,
                            const struct sockaddr *client, enum transport transport, int64_t now,
                            uint8_t *response, size_t response_max)
{
    if (transport == TRANSPORT_UDP)
        sleep_ms(200);
    return answer_echo(context, request, request_size, client, transport, now, response,
                       response_max);
}

static void test_stop_answers_clients_that_were_not_accepted_yet(void **state)
{
    (void)state;
    enum { COUNT = 90 };
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    options.answer = answer_slowly;
    struct worker_pool *pool = pool_start(&options);

    int udp = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(pool, 0));
    int fds[COUNT];
    uint8_t frame[42];
    size_t size = request_frame(frame, 40, 5);
    assert_int_equal(send(udp, frame + 2, 40, 0), 40);
    sleep_ms(50);
    for (size_t i = 0; i < COUNT; i++) {
        fds[i] = client_connect(SOCK_STREAM, NULL, "127.0.0.1", pool_port(pool, 0));
        send_all(fds[i], frame, size);
    }
    worker_pool_stop(pool, PATIENCE_MS);

    for (size_t i = 0; i < COUNT; i++) {
        assert_echo(fds[i], 40, 5);
        assert_closed(fds[i]);
        close(fds[i]);
    }
    close(udp);
}

static void test_stop_waits_for_unfinished_clients_only_so_long(void **state)
{
    (void)state;
    struct worker_address listen = address_make("127.0.0.1", 0);
    struct worker_options options = options_make(&listen, 1);
    struct worker_pool *pool = pool_start(&options);

    int fd = client_connect(SOCK_STREAM, NULL, "127.0.0.1", pool_port(pool, 0));
    assert_tcp_answers(fd, 1);
    send_all(fd, "\0\50half", 6);

    int64_t start_ms = monotonic_ms();
    worker_pool_stop(pool, 100);
    assert_in_range(monotonic_ms() - start_ms, 95, PATIENCE_MS / 2);
    assert_closed(fd);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_udp_answers_on_ipv4_and_ipv6),
        cmocka_unit_test(test_every_request_of_a_burst_is_answered),
        cmocka_unit_test(test_ignored_requests_leave_their_neighbours_alone),
        cmocka_unit_test(test_request_from_port_zero_is_ignored),
        cmocka_unit_test(test_wildcard_answers_from_the_address_that_was_asked),
        cmocka_unit_test(test_both_families_share_a_port),
        cmocka_unit_test(test_used_port_is_named_with_its_remedy),
        cmocka_unit_test(test_foreign_address_is_named_with_its_remedy),
        cmocka_unit_test(test_limit_of_zero_clients_is_refused),
        cmocka_unit_test(test_idle_workers_hold_up_no_grace_period),
        cmocka_unit_test(test_stop_answers_what_was_received),
        cmocka_unit_test(test_stop_answers_clients_that_were_not_accepted_yet),
        cmocka_unit_test(test_stop_waits_for_unfinished_clients_only_so_long),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
