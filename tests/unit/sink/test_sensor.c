/* The sensor with real sockets: what it hands on, whom it lets go, and what it bears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "plain_dialogue.h"
#include "sink/sensor.h"

#define PATIENCE_MS 20000
#define KEPT_MAX    256

/* The linker puts these before malloc() and calloc() (--wrap), so that memory can run out. */
static atomic_bool memory_short;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_malloc(size_t size)
{
    return memory_short ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return memory_short ? NULL : __real_calloc(count, size);
}

/* A flight with a copy of its octets. */
struct kept {
    struct sink_flight flight;
    uint8_t octets[256];
};

struct fixture {
    struct sensor_listen listen[2];
    struct dialogue_setting dialogue;
    struct sensor_options options;
    struct sensor *sensor;
    pthread_mutex_t lock;
    size_t kept_count;
    struct kept kept[KEPT_MAX];
};

static void keep(void *context, unsigned thread, const struct sink_flight *flight)
{
    struct fixture *fixture = context;
    (void)thread;
    pthread_mutex_lock(&fixture->lock);
    if (fixture->kept_count < KEPT_MAX) {
        struct kept *kept = &fixture->kept[fixture->kept_count++];
        kept->flight = *flight;
        if (flight->size > 0)
            memcpy(kept->octets, flight->octets,
                   flight->size < sizeof(kept->octets) ? flight->size : sizeof(kept->octets));
    }
    pthread_mutex_unlock(&fixture->lock);
}

static struct sensor_listen listen_make(const char *host, enum sink_transport transport)
{
    struct sensor_listen made = {.transport = transport};
    struct error error;
    if (config_address_parse(host, 1, &made.address, &error) < 0)
        fail_msg("%s", error.text);
    ((struct sockaddr_in *)&made.address.address)->sin_port = 0;
    return made;
}

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof(*fixture));
    pthread_mutex_init(&fixture->lock, NULL);
    fixture->listen[0] = listen_make("127.0.0.1", SINK_TCP);
    fixture->dialogue =
        (struct dialogue_setting){.octets_max = 4096, .page = "page", .page_size = 4};
    fixture->options = (struct sensor_options){
        .listen = fixture->listen,
        .listen_count = 1,
        .threads = 1,
        .octets_max = 4096,
        .seconds_max = 600,
        .idle_seconds_max = 600,
        .connections_max = 100,
        .connections_per_source_max = 100,
        .datagrams_per_source_max = 100,
        .memory_max = 1 << 24,
        .dialogue = &fixture->dialogue,
        .take = keep,
        .context = fixture,
    };
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    sensor_free(fixture->sensor);
    test_free(fixture);
    return 0;
}

static void start(struct fixture *fixture)
{
    struct error error = {0};
    if (sensor_create(&fixture->options, &fixture->sensor, &error) < 0 ||
        sensor_start(fixture->sensor, &error) < 0)
        fail_msg("%s", error.text);
}

static uint16_t port_of(const struct fixture *fixture, size_t index)
{
    struct sockaddr_storage bound;
    sensor_address(fixture->sensor, index, &bound);
    return ntohs(((const struct sockaddr_in *)&bound)->sin_port);
}

static struct sensor_figures figures_of(const struct fixture *fixture)
{
    struct sensor_figures figures;
    sensor_figures(fixture->sensor, &figures);
    return figures;
}

/* Waits until `condition` on the figures holds. */
#define WAIT_UNTIL(fixture, figures, condition)                                 \
    do {                                                                        \
        struct sensor_figures figures = figures_of(fixture); /* NOLINT: name */ \
        for (unsigned i_ = 0; i_ < PATIENCE_MS / 2 && !(condition); i_++) {     \
            poll(NULL, 0, 2);                                                   \
            (figures) = figures_of(fixture);                                    \
        }                                                                       \
        assert_true(condition);                                                 \
    } while (0)

/* The flight of that number, in the order of handing on. */
static const struct kept *flight_wait(struct fixture *fixture, size_t index)
{
    for (unsigned i = 0; i < PATIENCE_MS / 2; i++) {
        pthread_mutex_lock(&fixture->lock);
        const bool is_there = fixture->kept_count > index;
        pthread_mutex_unlock(&fixture->lock);
        if (is_there)
            return &fixture->kept[index];
        poll(NULL, 0, 2);
    }
    fail_msg("no flight %zu", index);
    return NULL;
}

static struct sockaddr_storage address_make(const char *host, uint16_t port, socklen_t *ret_size)
{
    struct sockaddr_storage made = {0};
    struct sockaddr_in *ipv4 = (struct sockaddr_in *)&made;
    struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&made;
    if (inet_pton(AF_INET6, host, &ipv6->sin6_addr) == 1) {
        made.ss_family = AF_INET6;
        *ret_size = sizeof(*ipv6);
    } else {
        assert_int_equal(inet_pton(AF_INET, host, &ipv4->sin_addr), 1);
        made.ss_family = AF_INET;
        *ret_size = sizeof(*ipv4);
    }
    ipv4->sin_port = htons(port);
    return made;
}

static int socket_make(int type, const char *source)
{
    socklen_t size;
    const struct sockaddr_storage from = address_make(source, 0, &size);
    int fd = socket(from.ss_family, type | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    const struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&from, size), 0);
    return fd;
}

static void connect_to(int fd, const char *host, uint16_t port)
{
    socklen_t size;
    const struct sockaddr_storage to = address_make(host, port, &size);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, size), 0);
}

/* Connects from `source`, and waits until the sensor has it. */
static int client_make(struct fixture *fixture, const char *source)
{
    const uint64_t before = figures_of(fixture).accepted;
    int fd = socket_make(SOCK_STREAM, source);
    connect_to(fd, "127.0.0.1", port_of(fixture, 0));
    WAIT_UNTIL(fixture, figures, figures.accepted > before);
    return fd;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void assert_ended(int fd)
{
    uint8_t octet;
    ssize_t rc = recv(fd, &octet, 1, 0);
    assert_true(rc == 0 || (rc < 0 && errno == ECONNRESET));
    close(fd);
}

static void assert_open(int fd)
{
    uint8_t octet;
    assert_int_equal(recv(fd, &octet, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void assert_address(const struct sink_endpoint *endpoint, const char *text)
{
    char found[INET6_ADDRSTRLEN];
    inet_ntop(AF_INET6, &endpoint->address, found, sizeof(found));
    assert_string_equal(found, text);
}

static void assert_octets(const struct kept *kept, const char *text)
{
    assert_int_equal(kept->flight.size, strlen(text));
    assert_memory_equal(kept->octets, text, strlen(text));
}

static void test_what_a_client_sends_is_handed_on_with_both_ends(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int fd = client_make(fixture, "127.0.0.9");
    struct sockaddr_in own;
    socklen_t size = sizeof(own);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &size), 0);
    say(fd, "first ");
    WAIT_UNTIL(fixture, figures, figures.octets == 6 && figures.memory > 0);
    say(fd, "second");
    close(fd);

    const struct kept *kept = flight_wait(fixture, 0);
    assert_octets(kept, "first second");
    assert_int_equal(kept->flight.ending, SINK_CLOSED);
    assert_int_equal(kept->flight.transport, SINK_TCP);
    assert_int_equal(kept->flight.received, 12);
    assert_address(&kept->flight.client, "::ffff:127.0.0.9");
    assert_int_equal(kept->flight.client.port, ntohs(own.sin_port));
    assert_address(&kept->flight.local, "::ffff:127.0.0.1");
    assert_int_equal(kept->flight.local.port, port_of(fixture, 0));
    /* The sensor's clock is that of the loop's last turn, which may be before the connection. */
    assert_true(llabs(kept->flight.at_us / 1000000 - now.tv_sec) < PATIENCE_MS / 1000);
    WAIT_UNTIL(fixture, figures, figures.open == 0 && figures.memory == 0);
    assert_int_equal(figures_of(fixture).ended[SINK_CLOSED], 1);
    assert_int_equal(figures_of(fixture).open_max, 1);
}

static void test_octets_and_end_that_came_before_accepting_are_read_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    assert_int_equal(sensor_create(&fixture->options, &fixture->sensor, &error), 0);
    int fd = socket_make(SOCK_STREAM, "127.0.0.1");
    connect_to(fd, "127.0.0.1", port_of(fixture, 0));
    say(fd, "early");
    close(fd);
    assert_int_equal(figures_of(fixture).accepted, 0);
    assert_int_equal(sensor_start(fixture->sensor, &error), 0);
    assert_octets(flight_wait(fixture, 0), "early");
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_CLOSED);
}

static void test_ipv6_and_an_empty_connection(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen[0] = listen_make("::1", SINK_TCP);
    start(fixture);
    int fd = socket_make(SOCK_STREAM, "::1");
    connect_to(fd, "::1", port_of(fixture, 0));
    close(fd);
    const struct kept *kept = flight_wait(fixture, 0);
    assert_int_equal(kept->flight.size, 0);
    assert_int_equal(kept->flight.ending, SINK_CLOSED);
    assert_address(&kept->flight.client, "::1");
    assert_address(&kept->flight.local, "::1");
}

static void test_listening_anywhere_still_tells_where_the_client_went(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen[0] = listen_make("0.0.0.0", SINK_TCP);
    fixture->listen[1] = listen_make("0.0.0.0", SINK_UDP);
    fixture->options.listen_count = 2;
    start(fixture);
    int fd = socket_make(SOCK_STREAM, "127.0.0.1");
    connect_to(fd, "127.0.0.5", port_of(fixture, 0));
    close(fd);
    assert_address(&flight_wait(fixture, 0)->flight.local, "::ffff:127.0.0.5");
    assert_int_equal(flight_wait(fixture, 0)->flight.local.port, port_of(fixture, 0));

    fd = socket_make(SOCK_DGRAM, "127.0.0.2");
    connect_to(fd, "127.0.0.6", port_of(fixture, 1));
    say(fd, "datagram");
    const struct kept *kept = flight_wait(fixture, 1);
    assert_octets(kept, "datagram");
    assert_int_equal(kept->flight.transport, SINK_UDP);
    assert_int_equal(kept->flight.ending, SINK_DATAGRAM);
    assert_address(&kept->flight.client, "::ffff:127.0.0.2");
    assert_address(&kept->flight.local, "::ffff:127.0.0.6");
    assert_int_equal(kept->flight.local.port, port_of(fixture, 1));
    assert_open(fd); /* nothing comes back */
    close(fd);
}

static void test_datagrams_of_ipv6_and_more_than_is_kept(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen[0] = listen_make("::", SINK_UDP);
    fixture->options.octets_max = 64;
    start(fixture);
    int fd = socket_make(SOCK_DGRAM, "::1");
    connect_to(fd, "::1", port_of(fixture, 0));
    char large[301];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    say(fd, large);
    say(fd, "small");
    const struct kept *kept = flight_wait(fixture, 0);
    assert_int_equal(kept->flight.size, 64);
    assert_int_equal(kept->flight.received, 300);
    assert_address(&kept->flight.local, "::1");
    assert_octets(flight_wait(fixture, 1), "small");
    assert_int_equal(figures_of(fixture).datagrams, 2);
    close(fd);
}

static void test_datagrams_beyond_a_sources_share_are_counted_and_not_handed_on(void **state)
{
    struct fixture *fixture = *state;
    fixture->listen[0] = listen_make("127.0.0.1", SINK_UDP);
    fixture->options.threads = 3;
    fixture->options.datagrams_per_source_max = 1;
    start(fixture);
    const uint16_t port = port_of(fixture, 0);
    int fds[20]; /* their ports spread them over the threads */
    for (size_t i = 0; i < 20; i++) {
        fds[i] = socket_make(SOCK_DGRAM, "127.0.0.2");
        connect_to(fds[i], "127.0.0.1", port);
        say(fds[i], "one of many");
    }
    WAIT_UNTIL(fixture, figures, figures.datagrams + figures.shed_per_source == 20);
    assert_true(figures_of(fixture).shed_per_source > 0);
    int other = socket_make(SOCK_DGRAM, "127.0.0.3");
    connect_to(other, "127.0.0.1", port);
    const size_t before = (size_t)figures_of(fixture).datagrams;
    (void)flight_wait(fixture, before - 1);
    say(other, "another source");
    assert_octets(flight_wait(fixture, before), "another source");
    assert_int_equal(fixture->kept_count, figures_of(fixture).datagrams);
    for (size_t i = 0; i < 20; i++)
        close(fds[i]);
    close(other);
}

static void test_no_more_octets_are_read_than_configured(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.octets_max = 64;
    start(fixture);
    int fd = client_make(fixture, "127.0.0.1");
    char large[101];
    memset(large, 'x', sizeof(large) - 1);
    large[sizeof(large) - 1] = '\0';
    say(fd, large);
    const struct kept *kept = flight_wait(fixture, 0);
    assert_int_equal(kept->flight.size, 64);
    assert_int_equal(kept->flight.received, 64);
    assert_int_equal(kept->flight.ending, SINK_FULL);
    assert_ended(fd);
}

static void test_silence_is_borne_for_less_time_than_talk(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.idle_seconds_max = 1;
    fixture->options.seconds_max = 2;
    start(fixture);
    int talks = client_make(fixture, "127.0.0.1");
    int silent = client_make(fixture, "127.0.0.1");
    say(talks, "x");
    assert_int_equal(flight_wait(fixture, 0)->flight.size, 0);
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_TIMED_OUT);
    assert_octets(flight_wait(fixture, 1), "x");
    assert_int_equal(flight_wait(fixture, 1)->flight.ending, SINK_TIMED_OUT);
    assert_true(flight_wait(fixture, 0)->flight.lasted_ms >= 1000);
    assert_true(flight_wait(fixture, 1)->flight.lasted_ms >= 2000);
    assert_ended(silent);
    assert_ended(talks);
}

static void test_reset_is_told_from_a_close(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = client_make(fixture, "127.0.0.1");
    say(fd, "x");
    WAIT_UNTIL(fixture, figures, figures.octets == 1);
    const struct linger reset = {.l_onoff = 1};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
    close(fd);
    assert_octets(flight_wait(fixture, 0), "x");
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_RESET);
}

#define PAGE_SIZE (8u << 20)

static void test_page_arrives_whole_however_slowly_it_is_read(void **state)
{
    struct fixture *fixture = *state;
    char *page = test_malloc(PAGE_SIZE);
    for (size_t i = 0; i < PAGE_SIZE; i++)
        page[i] = (char)(i * 7 + i / 251);
    fixture->dialogue.page = page;
    fixture->dialogue.page_size = PAGE_SIZE;
    start(fixture);
    int fd = client_make(fixture, "127.0.0.1");
    /* What comes behind the request is never asked for: still no reset destroys the page. */
    say(fd, "GET / HTTP/1.1\r\n\r\n");
    char *rest = test_malloc(40001);
    memset(rest, 'r', 40000);
    rest[40000] = '\0';
    say(fd, rest);

    char *read = test_malloc(PAGE_SIZE);
    assert_int_equal(recv(fd, read, PAGE_SIZE, MSG_WAITALL), PAGE_SIZE);
    assert_memory_equal(read, page, PAGE_SIZE);
    assert_int_equal(recv(fd, read, 1, 0), 0);
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_ANSWERED);
    assert_int_equal(figures_of(fixture).open, 1);
    close(fd);
    WAIT_UNTIL(fixture, figures, figures.open == 0 && figures.memory == 0);
    sensor_stop(fixture->sensor);
    assert_int_equal(fixture->kept_count, 1);
    test_free(read);
    test_free(rest);
    test_free(page);
}

static void test_reader_who_never_closes_is_not_waited_for(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = client_make(fixture, "127.0.0.1");
    say(fd, "GET / HTTP/1.1\r\n\r\n");
    char read[8];
    assert_int_equal(recv(fd, read, sizeof(read), MSG_WAITALL), 4);
    WAIT_UNTIL(fixture, figures, figures.open == 0);
    assert_int_equal(figures_of(fixture).ended[SINK_ANSWERED], 1);
    close(fd);
}

static void test_source_with_too_many_is_refused_others_are_not(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.connections_per_source_max = 2;
    start(fixture);
    int first = client_make(fixture, "127.0.0.2"), second = client_make(fixture, "127.0.0.2");
    assert_ended(client_make(fixture, "127.0.0.2"));
    int other = client_make(fixture, "127.0.0.3");
    WAIT_UNTIL(fixture, figures, figures.open == 3 && figures.shed_per_source == 1);
    assert_open(first);
    assert_open(second);
    assert_open(other);
    close(first);
    WAIT_UNTIL(fixture, figures, figures.open == 2);
    int third = client_make(fixture, "127.0.0.2");
    WAIT_UNTIL(fixture, figures, figures.open == 3);
    assert_open(third);
    assert_int_equal(fixture->kept_count, 1);
    close(second);
    close(other);
    close(third);
}

static void test_limit_of_a_source_holds_over_all_threads(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.threads = 3;
    fixture->options.connections_per_source_max = 7;
    start(fixture);
    int fds[30];
    for (size_t i = 0; i < 30; i++)
        fds[i] = client_make(fixture, "127.0.0.2");
    WAIT_UNTIL(fixture, figures, figures.open == 7 && figures.shed_per_source == 23);
    for (size_t i = 0; i < 30; i++)
        close(fds[i]);
    WAIT_UNTIL(fixture, figures, figures.open == 0);
}

static void test_full_sensor_lets_the_most_silent_of_the_largest_source_go(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.connections_max = 4;
    start(fixture);
    int small = client_make(fixture, "127.0.0.2");
    int talks = client_make(fixture, "127.0.0.3"), silent = client_make(fixture, "127.0.0.3"),
        young = client_make(fixture, "127.0.0.3");
    say(talks, "x");
    WAIT_UNTIL(fixture, figures, figures.octets == 1);

    int fresh = client_make(fixture, "127.0.0.4");
    assert_ended(silent);
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_SHED);
    assert_address(&flight_wait(fixture, 0)->flight.client, "::ffff:127.0.0.3");
    int next = client_make(fixture, "127.0.0.5");
    assert_ended(young);
    /* All have one now: the oldest goes. */
    int last = client_make(fixture, "127.0.0.6");
    assert_ended(small);
    assert_open(fresh);
    assert_open(next);
    assert_open(last);
    WAIT_UNTIL(fixture, figures, figures.open == 4);
    assert_int_equal(figures_of(fixture).open_max, 4);
    assert_int_equal(figures_of(fixture).shed_per_source, 3);
    close(talks);
    close(fresh);
    close(next);
    close(last);
}

static void test_dialogues_stay_within_their_memory(void **state)
{
    struct fixture *fixture = *state;
    fixture->dialogue.memory = 100000;
    fixture->options.memory_max = 350000; /* of three */
    start(fixture);
    int idle = client_make(fixture, "127.0.0.3"), idle_too = client_make(fixture, "127.0.0.3");
    int small = client_make(fixture, "127.0.0.2");
    say(small, "1");
    WAIT_UNTIL(fixture, figures, figures.octets == 1);
    int large[3];
    for (size_t i = 0; i < 3; i++) {
        large[i] = client_make(fixture, "127.0.0.4");
        say(large[i], "2");
        WAIT_UNTIL(fixture, figures, figures.octets == 2 + i);
    }
    assert_ended(large[0]);
    assert_int_equal(flight_wait(fixture, 0)->flight.ending, SINK_SHED);
    assert_octets(flight_wait(fixture, 0), "2");
    assert_true(figures_of(fixture).memory <= 350000);
    assert_open(small);
    assert_open(large[2]);
    assert_open(idle);
    close(small);
    close(large[1]);
    close(large[2]);
    close(idle);
    close(idle_too);
}

static void test_without_memory_for_a_dialogue_the_octets_are_handed_on(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    int fd = client_make(fixture, "127.0.0.1");
    memory_short = true;
    say(fd, "check-in");
    const struct kept *kept = flight_wait(fixture, 0);
    memory_short = false;
    assert_octets(kept, "check-in");
    assert_int_equal(kept->flight.ending, SINK_SHED);
    assert_ended(fd);
}

static void test_without_descriptors_it_waits_and_comes_back(void **state)
{
    enum { COUNT = 40 };
    struct fixture *fixture = *state;
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    start(fixture);
    int fds[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        fds[i] = socket_make(SOCK_STREAM, "127.0.0.1");
    const struct rlimit low = {.rlim_cur = 20, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    for (size_t i = 0; i < COUNT; i++)
        connect_to(fds[i], "127.0.0.1", port_of(fixture, 0));
    WAIT_UNTIL(fixture, figures, figures.accept_failures > 1 && figures.ended[SINK_SHED] > 0);
    /* Room for most of the limit was found, whatever the test's own process has open. */
    assert_true(figures_of(fixture).open_max > 5);
    assert_true(figures_of(fixture).open_max < 20);

    before.rlim_cur = before.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    WAIT_UNTIL(fixture, figures, figures.accepted == COUNT);
    for (size_t i = 0; i < COUNT; i++)
        close(fds[i]);
    WAIT_UNTIL(fixture, figures, figures.open == 0);
}

static void test_stopping_hands_on_what_is_open(void **state)
{
    struct fixture *fixture = *state;
    fixture->options.threads = 2;
    start(fixture);
    int fds[20];
    for (size_t i = 0; i < 20; i++)
        fds[i] = client_make(fixture, "127.0.0.1");
    say(fds[3], "x");
    WAIT_UNTIL(fixture, figures, figures.open == 20 && figures.octets == 1);
    sensor_stop(fixture->sensor);
    assert_int_equal(fixture->kept_count, 20);
    const struct sensor_figures figures = figures_of(fixture);
    assert_int_equal(figures.ended[SINK_ENDING], 20);
    assert_int_equal(figures.open, 0);
    assert_int_equal(figures.memory, 0);
    for (size_t i = 0; i < 20; i++)
        assert_ended(fds[i]);
    /* The port is free at once. */
    fixture->listen[0].address.address = (struct sockaddr_storage){0};
    sensor_address(fixture->sensor, 0, &fixture->listen[0].address.address);
    sensor_free(TAKE(fixture->sensor));
    start(fixture);
}

static void test_threads_hold_none_of_the_programs_descriptors(void **state)
{
    struct fixture *fixture = *state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    start(fixture);
    close(client_make(fixture, "127.0.0.1")); /* its thread runs */
    close(ends[1]);
    char octet;
    assert_int_equal(read(ends[0], &octet, 1), 0);
    close(ends[0]);
}

static void test_busy_port_and_missing_memory_are_told(void **state)
{
    struct fixture *fixture = *state;
    struct error error = {0};
    struct sensor *other = NULL;
    start(fixture);
    sensor_address(fixture->sensor, 0, &fixture->listen[0].address.address);
    assert_int_equal(sensor_create(&fixture->options, &other, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, "choose another port"));
    memory_short = true;
    int rc = sensor_create(&fixture->options, &other, &error);
    memory_short = false;
    assert_int_equal(rc, -ENOMEM);
    assert_null(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(test_what_a_client_sends_is_handed_on_with_both_ends),
        TEST(test_octets_and_end_that_came_before_accepting_are_read_at_once),
        TEST(test_ipv6_and_an_empty_connection),
        TEST(test_listening_anywhere_still_tells_where_the_client_went),
        TEST(test_datagrams_of_ipv6_and_more_than_is_kept),
        TEST(test_datagrams_beyond_a_sources_share_are_counted_and_not_handed_on),
        TEST(test_no_more_octets_are_read_than_configured),
        TEST(test_silence_is_borne_for_less_time_than_talk),
        TEST(test_reset_is_told_from_a_close),
        TEST(test_page_arrives_whole_however_slowly_it_is_read),
        TEST(test_reader_who_never_closes_is_not_waited_for),
        TEST(test_source_with_too_many_is_refused_others_are_not),
        TEST(test_limit_of_a_source_holds_over_all_threads),
        TEST(test_full_sensor_lets_the_most_silent_of_the_largest_source_go),
        TEST(test_dialogues_stay_within_their_memory),
        TEST(test_without_memory_for_a_dialogue_the_octets_are_handed_on),
        TEST(test_without_descriptors_it_waits_and_comes_back),
        TEST(test_stopping_hands_on_what_is_open),
        TEST(test_threads_hold_none_of_the_programs_descriptors),
        TEST(test_busy_port_and_missing_memory_are_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
