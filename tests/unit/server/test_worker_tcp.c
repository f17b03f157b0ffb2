/* TCP: framing however the octets arrive, back pressure, limits and deadlines. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "worker_fixture.h"

#define BIG_ANSWER_SIZE 60000

/* 60 KB on TCP for each request. */
static size_t answer_big(void *context, const uint8_t *request, size_t request_size,
                         const struct sockaddr *client, enum transport transport, int64_t now,
                         uint8_t *response, size_t response_max)
{
    size_t size =
        answer_echo(context, request, request_size, client, transport, now, response, response_max);
    if (transport != TRANSPORT_TCP || size == 0)
        return size;
    memset(response + size, 0x5a, BIG_ANSWER_SIZE - size);
    return BIG_ANSWER_SIZE;
}

/* The linker puts these before malloc() and realloc() (--wrap), so that memory can run out. */
static atomic_bool memory_short;
void *__real_malloc(size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    return memory_short ? NULL : __real_malloc(size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return memory_short ? NULL : __real_realloc(memory, size);
}

struct fixture {
    struct worker_address listen;
    struct worker_options options;
    struct worker_pool *pool;
};

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    fixture->listen = address_make("127.0.0.1", 0);
    fixture->options = options_make(&fixture->listen, 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    worker_pool_stop(fixture->pool, 0);
    test_free(fixture);
    return 0;
}

static int tcp_connect(const struct fixture *fixture)
{
    return client_connect(SOCK_STREAM, NULL, "127.0.0.1", pool_port(fixture->pool, 0));
}

static void test_request_arrives_octet_by_octet(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    const int on = 1;
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);

    uint8_t frame[42];
    size_t size = request_frame(frame, 40, 7);
    for (size_t i = 0; i < size; i++) {
        send_all(fd, frame + i, 1);
        sleep_ms(1);
    }
    assert_echo(fd, 40, 7);
    assert_tcp_answers(fd, 8);
    close(fd);
}

static void test_thousand_requests_in_flight(void **state)
{
    enum { COUNT = 1000 };
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);

    static uint8_t stream[COUNT * 42];
    for (uint16_t i = 0; i < COUNT; i++)
        request_frame(stream + i * 42, 40, i);
    send_all(fd, stream, sizeof(stream));
    for (uint16_t i = 0; i < COUNT; i++)
        assert_echo(fd, 40, i);
    WAIT_UNTIL(fixture->pool, counters,
               counters.tcp_requests == COUNT && counters.tcp_responses == COUNT);
    close(fd);
}

static void test_any_sizes_split_anywhere(void **state)
{
    enum { COUNT = 400 };
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);

    unsigned seed = (unsigned)time(NULL);
    print_message("seed %u\n", seed);
    srandom(seed);

    /* A window of requests stays small enough for the socket buffers, as nobody reads meanwhile. */
    static uint8_t stream[4 * 65537];
    for (uint16_t i = 0; i < COUNT; i += 4) {
        size_t sizes[4], end = 0;
        for (uint16_t k = 0; k < 4; k++) {
            long kind = random() % 10;
            sizes[k] = kind == 0 ? 65535 : 12 + (size_t)random() % (kind < 3 ? 9000 : 500);
            end += request_frame(stream + end, sizes[k], (uint16_t)(i + k));
        }
        for (size_t start = 0; start < end;) {
            size_t part = 1 + (size_t)random() % (random() % 2 == 0 ? 50 : 20000);
            part = part < end - start ? part : end - start;
            send_all(fd, stream + start, part);
            start += part;
        }
        for (uint16_t k = 0; k < 4; k++)
            assert_echo(fd, sizes[k], (uint16_t)(i + k));
    }
    close(fd);
}

static void test_ignored_request_keeps_the_connection(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    send_all(fd, "\0\1x", 3);
    assert_tcp_answers(fd, 1);
    close(fd);
}

static void test_empty_message_closes_after_the_answers_before_it(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    uint8_t stream[44] = {0};
    request_frame(stream, 40, 1);
    send_all(fd, stream, sizeof(stream));
    assert_echo(fd, 40, 1);
    assert_closed(fd);
    close(fd);
}

static void test_client_that_ends_first_gets_its_answers(void **state)
{
    enum { COUNT = 300 };
    struct fixture *fixture = *state;
    fixture->options.answer = answer_big;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    uint8_t frame[42];
    for (uint16_t i = 0; i < COUNT; i++)
        send_all(fd, frame, request_frame(frame, 40, i));
    assert_int_equal(shutdown(fd, SHUT_WR), 0);

    static uint8_t answer[65535];
    for (uint16_t i = 0; i < COUNT; i++) {
        assert_int_equal(receive_frame(fd, answer), BIG_ANSWER_SIZE);
        assert_int_equal(answer[0] << 8 | answer[1], i);
    }
    assert_closed(fd);
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_clients == 0);
    close(fd);
}

static void test_client_that_does_not_read_is_not_read_from(void **state)
{
    enum { COUNT = 600 };
    struct fixture *fixture = *state;
    fixture->options.answer = answer_big;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    uint8_t frame[42];
    for (uint16_t i = 0; i < COUNT; i++)
        send_all(fd, frame, request_frame(frame, 40, i));

    /* The kernel's buffers hold at most 4 + 6 MiB of the 36 MB. */
    uint64_t before, after = 0;
    do {
        before = after;
        sleep_ms(100);
        after = pool_counters(fixture->pool).tcp_requests;
    } while (after != before || after == 0);
    assert_true(after < COUNT / 2);

    /* Others are served meanwhile. */
    int udp = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(fixture->pool, 0));
    assert_udp_answers(udp, 9);
    close(udp);

    static uint8_t answer[65535];
    for (uint16_t i = 0; i < COUNT; i++) {
        assert_int_equal(receive_frame(fd, answer), BIG_ANSWER_SIZE);
        assert_int_equal(answer[0] << 8 | answer[1], i);
    }
    close(fd);
}

static void test_client_that_never_reads_is_closed(void **state)
{
    enum { COUNT = 600 };
    struct fixture *fixture = *state;
    fixture->options.answer = answer_big;
    fixture->options.tcp_idle_timeout_ms = 300;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    uint8_t frame[42];
    for (uint16_t i = 0; i < COUNT; i++)
        send_all(fd, frame, request_frame(frame, 40, i));
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_timeouts == 1 && counters.tcp_clients == 0);
    close(fd);
}

static void test_idle_client_is_closed(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.tcp_idle_timeout_ms = 200;
    fixture->pool = pool_start(&fixture->options);
    int silent = tcp_connect(fixture);
    int busy = tcp_connect(fixture);
    int64_t start_ms = monotonic_ms();
    for (uint16_t i = 0; monotonic_ms() - start_ms < 600; i++) {
        assert_tcp_answers(busy, i);
        sleep_ms(20);
    }
    struct pollfd ended = {.fd = silent, .events = POLLIN};
    assert_int_equal(poll(&ended, 1, 0), 1);
    assert_closed(silent);
    assert_closed(busy);
    assert_int_equal(pool_counters(fixture->pool).tcp_timeouts, 2);
    close(silent);
    close(busy);
}

static void test_octets_that_trickle_do_not_extend_the_time(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.tcp_idle_timeout_ms = 300;
    fixture->pool = pool_start(&fixture->options);
    int fd = tcp_connect(fixture);
    send_all(fd, "\1\0", 2);

    int64_t start_ms = monotonic_ms();
    while (pool_counters(fixture->pool).tcp_timeouts == 0) {
        (void)send(fd, "x", 1, MSG_NOSIGNAL);
        sleep_ms(20);
        assert_true(monotonic_ms() - start_ms < PATIENCE_MS / 2);
    }
    assert_true(monotonic_ms() - start_ms >= 250);
    close(fd);
}

static void test_address_over_its_limit_is_refused(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.tcp_clients_per_address_max = 2;
    fixture->pool = pool_start(&fixture->options);
    uint16_t port = pool_port(fixture->pool, 0);
    int first = tcp_connect(fixture), second = tcp_connect(fixture), third = tcp_connect(fixture);
    assert_closed(third);
    int neighbour = client_connect(SOCK_STREAM, "127.0.0.2", "127.0.0.1", port);
    assert_tcp_answers(first, 1);
    assert_tcp_answers(second, 2);
    assert_tcp_answers(neighbour, 3);
    assert_int_equal(pool_counters(fixture->pool).tcp_refused, 1);

    /* A closed one makes room. */
    close(first);
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_clients == 2);
    first = tcp_connect(fixture);
    assert_tcp_answers(first, 4);
    close(first);
    close(second);
    close(third);
    close(neighbour);
}

static void test_longest_idle_client_gives_way(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.tcp_clients_max = 3;
    fixture->pool = pool_start(&fixture->options);
    int fds[4];
    for (uint16_t i = 0; i < 3; i++) {
        fds[i] = tcp_connect(fixture);
        assert_tcp_answers(fds[i], i);
        sleep_ms(10);
    }
    assert_tcp_answers(fds[0], 3);
    fds[3] = tcp_connect(fixture);
    assert_tcp_answers(fds[3], 4);
    assert_closed(fds[1]);
    assert_tcp_answers(fds[0], 5);
    assert_tcp_answers(fds[2], 6);
    assert_int_equal(pool_counters(fixture->pool).tcp_displaced, 1);
    for (size_t i = 0; i < 4; i++)
        close(fds[i]);
}

static void test_connections_wait_while_descriptors_are_short(void **state)
{
    struct fixture *fixture = *state;
    fixture->pool = pool_start(&fixture->options);
    int idle = tcp_connect(fixture);
    assert_tcp_answers(idle, 1);
    int udp = client_connect(SOCK_DGRAM, NULL, "127.0.0.1", pool_port(fixture->pool, 0));

    /* Both sides are this process: the client's descriptor is there, the server's isn't. */
    struct worker_address to;
    worker_pool_address(fixture->pool, 0, &to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = connect(fd, (const struct sockaddr *)&to.address, to.size);
    assert_udp_answers(udp, 2);
    assert_closed(idle);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    assert_int_equal(rc, 0);
    assert_tcp_answers(fd, 3);
    close(fd);
    close(idle);
    close(udp);
}

static void test_clients_that_vanish_leave_nothing_behind(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.answer = answer_big;
    fixture->pool = pool_start(&fixture->options);
    const struct linger reset = {.l_onoff = 1};
    uint8_t frame[42];
    for (uint16_t i = 0; i < 200; i++) {
        int fd = tcp_connect(fixture);
        size_t size = request_frame(frame, 40, i);
        for (uint16_t k = 0; k < i % 50; k++)
            send_all(fd, frame, size);
        send_all(fd, frame, i % size + 1);
        if (i % 2 == 0)
            assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
        close(fd);
    }
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_clients == 0);
}

static void test_short_memory_costs_only_the_client_that_needs_it(void **state)
{
    enum { COUNT = 600 };
    struct fixture *fixture = *state;
    fixture->options.answer = answer_big;
    fixture->pool = pool_start(&fixture->options);
    static uint8_t stream[COUNT * 42], answer[65535];
    for (uint16_t i = 0; i < COUNT; i++)
        request_frame(stream + i * 42, 40, i);
    int started = tcp_connect(fixture), halved = tcp_connect(fixture);
    int stalled = tcp_connect(fixture), modest = tcp_connect(fixture);
    send_all(started, stream, 1);
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_clients == 4);
    sleep_ms(50);

    memory_short = true;
    send_all(started, stream + 1, 1);
    send_all(started, stream + 2, 1);
    assert_closed(started);
    send_all(halved, stream, 20);
    assert_closed(halved);
    send_all(stalled, stream, sizeof(stream));
    WAIT_UNTIL(fixture->pool, counters, counters.tcp_clients == 1);
    send_all(modest, stream, 42);
    assert_int_equal(receive_frame(modest, answer), BIG_ANSWER_SIZE);
    memory_short = false;

    send_all(modest, stream + 42, 20);
    sleep_ms(20);
    send_all(modest, stream + 62, 22);
    assert_int_equal(receive_frame(modest, answer), BIG_ANSWER_SIZE);
    close(started);
    close(halved);
    close(stalled);
    close(modest);
}

static void test_ipv6_clients_count_by_their_network(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen = address_make("::1", 0);
    fixture->options.tcp_clients_per_address_max = 1;
    fixture->pool = pool_start(&fixture->options);
    uint16_t port = pool_port(fixture->pool, 0);
    int first = client_connect(SOCK_STREAM, NULL, "::1", port);
    assert_tcp_answers(first, 1);
    int second = client_connect(SOCK_STREAM, NULL, "::1", port);
    assert_closed(second);
    close(first);
    close(second);
}

#define TCP_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TCP_TEST(test_request_arrives_octet_by_octet),
        TCP_TEST(test_thousand_requests_in_flight),
        TCP_TEST(test_any_sizes_split_anywhere),
        TCP_TEST(test_ignored_request_keeps_the_connection),
        TCP_TEST(test_empty_message_closes_after_the_answers_before_it),
        TCP_TEST(test_client_that_ends_first_gets_its_answers),
        TCP_TEST(test_client_that_does_not_read_is_not_read_from),
        TCP_TEST(test_client_that_never_reads_is_closed),
        TCP_TEST(test_idle_client_is_closed),
        TCP_TEST(test_octets_that_trickle_do_not_extend_the_time),
        TCP_TEST(test_address_over_its_limit_is_refused),
        TCP_TEST(test_longest_idle_client_gives_way),
        TCP_TEST(test_connections_wait_while_descriptors_are_short),
        TCP_TEST(test_clients_that_vanish_leave_nothing_behind),
        TCP_TEST(test_short_memory_costs_only_the_client_that_needs_it),
        TCP_TEST(test_ipv6_clients_count_by_their_network),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
