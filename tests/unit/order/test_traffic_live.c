/* Live traffic: packets of an interface, and dnstap events over sockets. Runs in a network of its
 * own, so that nothing else is captured. */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "event_text.h"
#include "order/traffic_live.h"

struct taken {
    char labels[512]; /* first labels, each followed by a blank */
    unsigned count, ipv6, over_tcp;
};

static int take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    struct taken *taken = context;
    size_t used = strlen(taken->labels);
    (void)ret_error;
    snprintf(taken->labels + used, sizeof(taken->labels) - used, "%.*s ", query->name->wire[0],
             (const char *)query->name->wire + 1);
    taken->count++;
    taken->ipv6 += query->client != NULL && query->client->family == 6;
    taken->over_tcp += query->over_tcp;
    return 0;
}

/* Steps until `count` queries were taken. */
static void take_until(struct traffic_live *live, struct taken *taken, unsigned count)
{
    struct error error = {0};
    for (unsigned steps = 0; taken->count < count; steps++) {
        assert_true(steps < 600);
        if (traffic_live_step(live, 100, take, taken, &error) < 0)
            fail_msg("%s", error.text);
    }
}

/* ---- An interface ---- */

static int own_network(void **state)
{
    (void)state;
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return -1;
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int rc = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return rc;
}

static void send_frame(const struct octets *frame)
{
    struct sockaddr_ll address = {
        .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex("lo"), .sll_halen = 6};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        sendto(fd, frame->at, frame->size, 0, (const struct sockaddr *)&address, sizeof(address)),
        frame->size);
    close(fd);
}

/* A packet on the wire, behind so many VLAN tags. */
static void send_packet(const struct octets *packet, unsigned ethertype, unsigned tags)
{
    struct octets frame = {0};
    put_zeros(&frame, 12);
    for (unsigned i = 0; i < tags; i++) {
        put16(&frame, 0x8100);
        put16(&frame, 5 + i);
    }
    put16(&frame, ethertype);
    put(&frame, packet->at, packet->size);
    send_frame(&frame);
}

static void send_query(const char *label, unsigned port, unsigned host, unsigned fragment,
                       unsigned tags)
{
    struct octets message = query_for(label), datagram = udp(&message, port);
    struct octets packet = ipv4(&datagram, 17, host, fragment);
    send_packet(&packet, 0x0800, tags);
}

static struct traffic_live *open_lo(const struct address *own, size_t own_count)
{
    static struct traffic_live_options options;
    struct traffic_live *live = NULL;
    struct error error = {0};
    options = (struct traffic_live_options){
        .interface = "lo", .port = 53, .own = own, .own_count = own_count};
    if (traffic_live_open(&options, &live, &error) < 0)
        fail_msg("%s", error.text);
    return live;
}

static void test_requests_to_the_port_are_captured_behind_every_header(void **state)
{
    (void)state;
    _cleanup_(traffic_live_freep) struct traffic_live *live = open_lo(NULL, 0);
    struct taken taken = {0};
    struct octets message = query_for("six"), datagram = udp(&message, 53), extended = {0};

    send_query("four", 53, 1, 0, 0);
    send_query("other", 5353, 1, 0, 0);
    send_query("tagged", 53, 1, 0, 1);
    send_query("twice", 53, 1, 0, 2);
    send_query("part", 53, 1, 0x2000, 0);
    struct octets sixth = ipv6(&datagram, 17, 1);
    send_packet(&sixth, 0x86dd, 0);
    put8(&extended, 17); /* destination options in front */
    put8(&extended, 0);
    put_zeros(&extended, 6);
    put(&extended, datagram.at, datagram.size);
    sixth = ipv6(&extended, 60, 1);
    send_packet(&sixth, 0x86dd, 1);
    send_query("last", 53, 1, 0, 0);

    take_until(live, &taken, 6);
    assert_string_equal(taken.labels, "four tagged twice six six last ");
    assert_int_equal(taken.ipv6, 2);
    const struct traffic_report *report = traffic_live_report(live);
    assert_int_equal(report->form, TRAFFIC_CAPTURE);
    assert_int_equal(report->fragments, 1);
    assert_int_equal(report->queries, 6);
    assert_int_equal(report->read, 7); /* the kernel kept the other port's back */
    assert_int_equal(report->lost, 0);
}

static void test_streams_are_put_together(void **state)
{
    (void)state;
    _cleanup_(traffic_live_freep) struct traffic_live *live = open_lo(NULL, 0);
    struct taken taken = {0};
    struct octets message = query_for("stream"), framed = {0};
    put16(&framed, (unsigned)message.size);
    put(&framed, message.at, message.size);
    for (size_t at = 0; at < framed.size; at += 10) {
        size_t size = framed.size - at < 10 ? framed.size - at : 10;
        struct octets segment = tcp(100 + (uint32_t)at, 0x18, framed.at + at, size);
        struct octets packet = ipv4(&segment, 6, 1, 0);
        send_packet(&packet, 0x0800, 0);
    }
    take_until(live, &taken, 1);
    assert_string_equal(taken.labels, "stream ");
    assert_int_equal(taken.over_tcp, 1);
}

static void test_our_own_requests_are_passed_over(void **state)
{
    (void)state;
    static const struct address own = {.octets = {192, 0, 2, 7}, .family = 4};
    _cleanup_(traffic_live_freep) struct traffic_live *live = open_lo(&own, 1);
    struct taken taken = {0};
    send_query("own", 53, 7, 0, 0);
    send_query("client", 53, 8, 0, 0);
    take_until(live, &taken, 1);
    assert_string_equal(taken.labels, "client ");
    assert_int_equal(traffic_live_report(live)->own, 1);
}

static void test_an_interface_that_is_not_there_is_named(void **state)
{
    (void)state;
    const struct traffic_live_options options = {.interface = "none0", .port = 53};
    struct traffic_live *live = NULL;
    struct error error = {0};
    assert_int_equal(traffic_live_open(&options, &live, &error), -ENODEV);
    assert_non_null(strstr(error.text, "'none0'"));
}

/* ---- dnstap ---- */

/* A listener at a path of its own, and the place to connect to. */
struct tap {
    struct sockaddr_un place;
    struct traffic_live_options options;
    struct traffic_live *live;
};

static void tap_open(struct tap *tap)
{
    struct error error = {0};
    char folder[] = "/tmp/tamis-tap-XXXXXX";
    assert_non_null(mkdtemp(folder));
    tap->place = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(tap->place.sun_path, sizeof(tap->place.sun_path), "%s/tap", folder);
    tap->options = (struct traffic_live_options){.dnstap = (const struct sockaddr *)&tap->place,
                                                 .dnstap_size = sizeof(tap->place),
                                                 .dnstap_name = tap->place.sun_path};
    if (traffic_live_open(&tap->options, &tap->live, &error) < 0)
        fail_msg("%s", error.text);
}

static void tap_close(struct tap *tap)
{
    traffic_live_free(tap->live);
    unlink(tap->place.sun_path);
    *strrchr(tap->place.sun_path, '/') = '\0';
    rmdir(tap->place.sun_path);
}

static int tap_connect(const struct tap *tap)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&tap->place, sizeof(tap->place)), 0);
    return fd;
}

static void give(int fd, const struct octets *octets)
{
    assert_int_equal(send(fd, octets->at, octets->size, MSG_NOSIGNAL), octets->size);
}

/* All that a producer sends about one query. */
static struct octets stream_of(const char *label)
{
    struct octets octets = {0}, query = query_for(label);
    struct octets event = event_of(EVENT_CLIENT_QUERY, &query, 4, 1);
    put_control(&octets, CONTROL_READY, CONTENT_TYPE);
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put_frame(&octets, &event);
    return octets;
}

static void test_producers_side_by_side_are_read_and_answered(void **state)
{
    (void)state;
    struct tap tap;
    struct taken taken = {0};
    struct octets one = stream_of("one"), two = stream_of("two"), stop = {0}, answers = {0};
    struct error error = {0};

    tap_open(&tap);
    int first = tap_connect(&tap), second = tap_connect(&tap);
    give(first, &one);
    take_until(tap.live, &taken, 1);
    give(second, &two);
    take_until(tap.live, &taken, 2);
    assert_string_equal(taken.labels, "one two ");

    put_control(&stop, CONTROL_STOP, NULL);
    give(first, &stop);
    struct octets expected = {0};
    put_control(&expected, CONTROL_ACCEPT, CONTENT_TYPE);
    put_control(&expected, CONTROL_FINISH, NULL);
    while (answers.size < expected.size) {
        assert_int_equal(traffic_live_step(tap.live, 10, take, &taken, &error), 0);
        ssize_t size = recv(first, answers.at + answers.size, expected.size, MSG_DONTWAIT);
        answers.size += size > 0 ? (size_t)size : 0;
    }
    assert_memory_equal(answers.at, expected.at, expected.size);
    close(first);
    close(second);
    tap_close(&tap);
}

static void test_a_producer_that_sends_anything_else_is_cut_off_alone(void **state)
{
    (void)state;
    struct tap tap;
    struct taken taken = {0};
    struct octets good = stream_of("good"), more = {0};
    struct octets query = query_for("more"), event = event_of(EVENT_AUTH_QUERY, &query, 16, 2);
    struct error error = {0};
    char octet;

    tap_open(&tap);
    int producer = tap_connect(&tap), hostile = tap_connect(&tap);
    give(producer, &good);
    assert_int_equal(send(hostile, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    ssize_t size = -1;
    while (size < 0) { /* until it is closed */
        assert_int_equal(traffic_live_step(tap.live, 10, take, &taken, &error), 0);
        size = recv(hostile, &octet, 1, MSG_DONTWAIT);
        if (size < 0 && errno == ECONNRESET)
            size = 0;
    }
    assert_int_equal(size, 0);
    put_frame(&more, &event);
    give(producer, &more);
    take_until(tap.live, &taken, 2);
    assert_string_equal(taken.labels, "good more ");
    assert_int_equal(traffic_live_report(tap.live)->malformed, 1);
    close(hostile);
    close(producer);
    tap_close(&tap);
}

static void test_a_socket_that_a_dead_process_left_is_taken_over_and_a_live_one_is_not(void **state)
{
    (void)state;
    struct tap tap;
    struct traffic_live *second = NULL;
    struct error error = {0};

    tap_open(&tap);
    assert_int_equal(traffic_live_open(&tap.options, &second, &error), -EADDRINUSE);
    assert_non_null(strstr(error.text, tap.place.sun_path));
    traffic_live_free(tap.live); /* the path stays */
    tap.live = NULL;
    assert_int_equal(traffic_live_open(&tap.options, &tap.live, &error), 0);
    tap_close(&tap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_to_the_port_are_captured_behind_every_header),
        cmocka_unit_test(test_streams_are_put_together),
        cmocka_unit_test(test_our_own_requests_are_passed_over),
        cmocka_unit_test(test_an_interface_that_is_not_there_is_named),
        cmocka_unit_test(test_producers_side_by_side_are_read_and_answered),
        cmocka_unit_test(test_a_producer_that_sends_anything_else_is_cut_off_alone),
        cmocka_unit_test(
            test_a_socket_that_a_dead_process_left_is_taken_over_and_a_live_one_is_not),
    };
    return cmocka_run_group_tests(tests, own_network, NULL);
}
