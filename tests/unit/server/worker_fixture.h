/* A pool on loopback and clients for it. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/worker.h"

/* What a test waits for at most before it fails; no test needs it when all is well. */
#define PATIENCE_MS 10000

/* The request with the QR bit set. Answers (QR set) and what is shorter than a header get nothing.
 */
static size_t answer_echo(void *context, const uint8_t *request, size_t request_size,
                          const struct sockaddr *client, enum transport transport, int64_t now,
                          uint8_t *response, size_t response_max)
{
    (void)context, (void)client, (void)transport;
    assert_true(now > 0);
    if (request_size < 12 || (request[2] & 0x80) != 0 || request_size > response_max)
        return 0;
    memcpy(response, request, request_size);
    response[2] |= 0x80;
    return request_size;
}

static inline struct worker_address address_make(const char *host, uint16_t port)
{
    struct worker_address made = {0};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&made.address;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&made.address;
    if (inet_pton(AF_INET, host, &ipv4->sin_addr) == 1) {
        ipv4->sin_family = AF_INET;
        made.size = sizeof(*ipv4);
    } else {
        assert_int_equal(inet_pton(AF_INET6, host, &ipv6->sin6_addr), 1);
        ipv6->sin6_family = AF_INET6;
        made.size = sizeof(*ipv6);
    }
    ipv4->sin_port = htons(port);
    return made;
}

static inline uint16_t address_port_of(const struct worker_address *address)
{
    return ntohs(((const struct sockaddr_in *)&address->address)->sin_port);
}

#define WORKERS_MAX 4

/* One worker and roomy limits, to be changed by the test. The arrays outlive the options. */
static inline struct worker_options options_make(const struct worker_address *listen, size_t count)
{
    static void *contexts[WORKERS_MAX];
    return (struct worker_options){
        .listen = listen,
        .listen_count = count,
        .worker_count = 1,
        .tcp_clients_max = 100,
        .tcp_clients_per_address_max = 100,
        .tcp_idle_timeout_ms = 10 * PATIENCE_MS, /* never, unless the test says when */
        .answer = answer_echo,
        .contexts = contexts,
    };
}

static inline struct worker_pool *pool_start(const struct worker_options *options)
{
    struct worker_pool *pool = NULL;
    struct error error = {0};
    int rc = worker_pool_start(options, &pool, &error);
    if (rc < 0)
        fail_msg("%s", error.text);
    return pool;
}

static inline uint16_t pool_port(const struct worker_pool *pool, size_t index)
{
    struct worker_address bound;
    worker_pool_address(pool, index, &bound);
    return address_port_of(&bound);
}

static inline struct worker_counters pool_counters(const struct worker_pool *pool)
{
    struct worker_counters sum = {0};
    for (unsigned i = 0; i < worker_pool_count(pool); i++) {
        struct worker_counters one;
        worker_pool_counters(pool, i, &one);
        for (size_t k = 0; k < sizeof(sum) / sizeof(uint64_t); k++)
            ((uint64_t *)&sum)[k] += ((const uint64_t *)&one)[k];
    }
    return sum;
}

static inline int64_t monotonic_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline void sleep_ms(unsigned ms)
{
    poll(NULL, 0, (int)ms);
}

/* A blocking socket whose every wait ends. `source` may be NULL. */
static inline int client_connect(int type, const char *source, const char *host, uint16_t port)
{
    struct worker_address to = address_make(host, port);
    int fd = socket(to.address.ss_family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)), 0);
    if (source != NULL) {
        struct worker_address from = address_make(source, 0);
        assert_int_equal(bind(fd, (const struct sockaddr *)&from.address, from.size), 0);
    }
    assert_int_equal(connect(fd, (const struct sockaddr *)&to.address, to.size), 0);
    return fd;
}

/* A request of `size` octets (at least 12) with an identity. */
static inline void request_make(uint8_t *octets, size_t size, uint16_t id)
{
    memset(octets, 0, size);
    octets[0] = (uint8_t)(id >> 8);
    octets[1] = (uint8_t)id;
    for (size_t i = 12; i < size; i++)
        octets[i] = (uint8_t)(i * 31 + id);
}

/* The same behind its length, for TCP. Returns the size with the length. */
static inline size_t request_frame(uint8_t *octets, size_t size, uint16_t id)
{
    octets[0] = (uint8_t)(size >> 8);
    octets[1] = (uint8_t)size;
    request_make(octets + 2, size, id);
    return size + 2;
}

static inline void send_all(int fd, const void *octets, size_t size)
{
    for (size_t sent = 0; sent < size;) {
        ssize_t rc = send(fd, (const uint8_t *)octets + sent, size - sent, MSG_NOSIGNAL);
        assert_true(rc > 0);
        sent += (size_t)rc;
    }
}

/* Receives one framed answer; returns its size, 0 when the server has closed. */
static inline size_t receive_frame(int fd, uint8_t *octets)
{
    uint8_t prefix[2];
    ssize_t rc = recv(fd, prefix, sizeof(prefix), MSG_WAITALL);
    if (rc <= 0)
        return 0;
    assert_int_equal(rc, sizeof(prefix));
    size_t size = (size_t)(prefix[0] << 8 | prefix[1]);
    assert_int_equal(recv(fd, octets, size, MSG_WAITALL), (ssize_t)size);
    return size;
}

/* The next answer is the echo of this request. */
static inline void assert_echo(int fd, size_t size, uint16_t id)
{
    static uint8_t expected[65535], received[65535];
    request_make(expected, size, id);
    expected[2] |= 0x80;
    assert_int_equal(receive_frame(fd, received), size);
    assert_memory_equal(received, expected, size);
}

static inline void assert_tcp_answers(int fd, uint16_t id)
{
    uint8_t frame[64];
    send_all(fd, frame, request_frame(frame, 40, id));
    assert_echo(fd, 40, id);
}

static inline void assert_udp_answers(int fd, uint16_t id)
{
    uint8_t request[40], received[512];
    request_make(request, sizeof(request), id);
    assert_int_equal(send(fd, request, sizeof(request), 0), sizeof(request));
    request[2] |= 0x80;
    assert_int_equal(recv(fd, received, sizeof(received), 0), sizeof(request));
    assert_memory_equal(received, request, sizeof(request));
}

static inline void assert_closed(int fd)
{
    uint8_t octet;
    ssize_t rc = recv(fd, &octet, 1, 0);
    assert_true(rc == 0 || (rc < 0 && errno == ECONNRESET));
}

/* Waits until `condition` on the counters holds. */
#define WAIT_UNTIL(pool, counters, condition)                                       \
    do {                                                                            \
        struct worker_counters counters = pool_counters(pool); /* NOLINT: a name */ \
        int64_t end_ms_ = monotonic_ms() + PATIENCE_MS;                             \
        while (!(condition) && monotonic_ms() < end_ms_) {                          \
            sleep_ms(2);                                                            \
            (counters) = pool_counters(pool);                                       \
        }                                                                           \
        assert_true(condition);                                                     \
    } while (0)
