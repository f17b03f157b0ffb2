/* What is read out of captures and lists, and that nothing in them does harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "event_text.h"
#include "order/traffic.h"

/* ---- A capture in the making ---- */

static uint8_t capture[1 << 20];
static size_t capture_size;

static void append(const void *data, size_t size)
{
    assert_true(capture_size + size <= sizeof(capture));
    memcpy(capture + capture_size, data, size);
    capture_size += size;
}

static void begin(uint32_t link_type)
{
    const uint32_t head[] = {0xa1b2c3d4, 0x00040002, 0, 0, 65535, link_type};
    capture_size = 0;
    append(head, sizeof(head));
}

static void add_cut(const struct octets *frame, size_t captured)
{
    const uint32_t head[] = {1404100000, 0, (uint32_t)captured, (uint32_t)frame->size};
    append(head, sizeof(head));
    append(frame->at, captured);
}

static void add(const struct octets *frame)
{
    add_cut(frame, frame->size);
}

static struct octets frame_of(const struct octets *packet, unsigned ethertype)
{
    struct octets frame = {0};
    put_zeros(&frame, 12);
    put16(&frame, ethertype);
    put(&frame, packet->at, packet->size);
    return frame;
}

static void add_udp(const char *label, unsigned host)
{
    struct octets message = query_for(label), datagram = udp(&message, 53);
    struct octets packet = ipv4(&datagram, 17, host, 0), frame = frame_of(&packet, 0x0800);
    add(&frame);
}

static void add_tcp(uint32_t sequence, unsigned flags, const void *data, size_t size, unsigned host)
{
    struct octets segment = tcp(sequence, flags, data, size);
    struct octets packet = ipv4(&segment, 6, host, 0), frame = frame_of(&packet, 0x0800);
    add(&frame);
}

static struct octets framed(const char *label)
{
    struct octets message = query_for(label), stream = {0};
    put16(&stream, (unsigned)message.size);
    put(&stream, message.at, message.size);
    return stream;
}

/* ---- What was taken ---- */

struct taken {
    char labels[4096]; /* first labels, each followed by a blank */
    unsigned count, with_client, over_tcp, ipv6;
    unsigned stop_after;
    uint8_t last_host;
};

static int take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    struct taken *taken = context;
    size_t used = strlen(taken->labels);

    snprintf(taken->labels + used, sizeof(taken->labels) - used, "%.*s ", query->name->wire[0],
             (const char *)query->name->wire + 1);
    taken->count++;
    taken->over_tcp += query->over_tcp;
    if (query->client != NULL) {
        taken->with_client++;
        taken->ipv6 += query->client->family == 6;
        taken->last_host = query->client->octets[query->client->family == 6 ? 15 : 3];
    }
    return taken->count == taken->stop_after ? error_set(ret_error, -ECANCELED, "enough") : 0;
}

static struct taken read_octets(const void *data, size_t size, struct traffic_report *ret_report)
{
    struct taken taken = {0};
    struct error error = {0};
    char path[32];

    int file = make_file(data, size, path);
    assert_true(file >= 0);
    if (traffic_read(path, 53, take, &taken, ret_report, &error) < 0)
        fail_msg("%s", error.text);
    close(file);
    return taken;
}

static struct taken read_capture(struct traffic_report *ret_report)
{
    return read_octets(capture, capture_size, ret_report);
}

/* ---- Captures ---- */

static void test_requests_are_found_behind_every_known_link_layer(void **state)
{
    (void)state;
    static const uint32_t links[] = {LINK_ETHERNET, LINK_SLL, LINK_SLL2, LINK_RAW, LINK_NULL};
    struct octets message = query_for("www"), datagram = udp(&message, 53);
    struct octets packets[] = {ipv4(&datagram, 17, 9, 0), ipv6(&datagram, 17, 9)};
    const unsigned ethertypes[] = {0x0800, 0x86dd};

    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        begin(links[i]);
        for (size_t family = 0; family < 2; family++) {
            struct octets frame = {0};
            if (links[i] == LINK_ETHERNET) {
                put_zeros(&frame, 12);
                put16(&frame, 0x88a8); /* two tags */
                put16(&frame, 5);
                put16(&frame, 0x8100);
                put16(&frame, 6);
                put16(&frame, ethertypes[family]);
            } else if (links[i] == LINK_SLL) {
                put_zeros(&frame, 14);
                put16(&frame, ethertypes[family]);
            } else if (links[i] == LINK_SLL2) {
                put16(&frame, ethertypes[family]);
                put_zeros(&frame, 18);
            } else if (links[i] == LINK_NULL) {
                put_zeros(&frame, 4);
            }
            put(&frame, packets[family].at, packets[family].size);
            add(&frame);
        }
        struct traffic_report report;
        struct taken taken = read_capture(&report);
        assert_string_equal(taken.labels, "www www ");
        assert_int_equal(taken.with_client, 2);
        assert_int_equal(taken.ipv6, 1);
        assert_int_equal(taken.last_host, 9);
        assert_int_equal(report.form, TRAFFIC_CAPTURE);
        assert_int_equal(report.read, 2);
        assert_int_equal(report.queries, 2);
    }
}

static void test_only_requests_to_the_port_count(void **state)
{
    (void)state;
    struct octets message = query_for("www"), other = udp(&message, 5353);
    struct octets packet = ipv4(&other, 17, 1, 0), frame = frame_of(&packet, 0x0800);
    struct traffic_report report;

    begin(LINK_ETHERNET);
    add(&frame);
    message.at[2] = 0x84; /* an answer */
    struct octets answer = udp(&message, 53);
    packet = ipv4(&answer, 17, 1, 0);
    frame = frame_of(&packet, 0x0800);
    add(&frame);
    frame = frame_of(&packet, 0x0806); /* ARP */
    add(&frame);
    packet = ipv4(&answer, 1, 1, 0); /* ICMP */
    frame = frame_of(&packet, 0x0800);
    add(&frame);
    add_udp("good", 1);
    struct taken taken = read_capture(&report);
    assert_string_equal(taken.labels, "good ");
    assert_int_equal(report.malformed, 1);
    assert_int_equal(report.read, 5);
}

static void test_requests_for_other_things_are_told_apart(void **state)
{
    (void)state;
    struct traffic_report report;
    static const struct {
        size_t from_end;
        uint8_t value;
    } changes[] = {{3, 252}, {3, 251}, {3, 0}, {1, 3}};

    begin(LINK_ETHERNET);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct octets message = query_for("x"); /* AXFR, IXFR, type 0, class CH */
        message.at[message.size - changes[i].from_end] = changes[i].value;
        struct octets datagram = udp(&message, 53), packet = ipv4(&datagram, 17, 1, 0);
        struct octets frame = frame_of(&packet, 0x0800);
        add(&frame);
    }
    struct octets message = query_for("x");
    message.at[2] = 4 << 3; /* NOTIFY */
    struct octets datagram = udp(&message, 53), packet = ipv4(&datagram, 17, 1, 0);
    struct octets frame = frame_of(&packet, 0x0800);
    add(&frame);
    struct taken taken = read_capture(&report);
    assert_int_equal(taken.count, 0);
    assert_int_equal(report.others, 5);
}

static void test_fragments_are_left_out_and_counted(void **state)
{
    (void)state;
    struct octets message = query_for("www"), datagram = udp(&message, 53), extended = {0};
    struct traffic_report report;

    begin(LINK_RAW);
    struct octets first = ipv4(&datagram, 17, 1, 0x2000), later = ipv4(&datagram, 17, 1, 64);
    add(&first);
    add(&later);
    put8(&extended, 17);
    put8(&extended, 0);
    put16(&extended, 1); /* more to come */
    put32(&extended, 1);
    put(&extended, datagram.at, datagram.size);
    struct octets sixth = ipv6(&extended, 44, 1);
    add(&sixth);
    extended.at[3] = 0; /* an atomic fragment is whole */
    sixth = ipv6(&extended, 44, 1);
    add(&sixth);
    struct taken taken = read_capture(&report);
    assert_int_equal(taken.count, 1);
    assert_int_equal(report.fragments, 3);
}

static void test_sizes_that_lie_read_nothing_outside(void **state)
{
    (void)state;
    struct octets message = query_for("www"), datagram = udp(&message, 53);
    struct octets packet = ipv4(&datagram, 17, 1, 0), frame = frame_of(&packet, 0x0800);
    struct traffic_report report;

    begin(LINK_ETHERNET);
    for (size_t captured = 0; captured < frame.size; captured++)
        add_cut(&frame, captured);
    struct taken taken = read_capture(&report);
    assert_int_equal(taken.count, 0);
    assert_int_equal(report.truncated, frame.size - 15); /* shorter ones end in the link's header */

    begin(LINK_ETHERNET);
    static const struct {
        size_t at;
        uint8_t value;
    } lies[] = {
        {14, 0x4f},          /* a header of 60 octets in front of a query: its end is cut */
        {14, 0x44},          /* one of 16 */
        {14 + 2, 0xff},      /* a total of more than there is */
        {14 + 3, 19},        /* of less than the header */
        {14 + 20 + 4, 0xff}, /* the same for UDP */
        {14 + 20 + 5, 7},
    };
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        struct octets lying = frame;
        lying.at[lies[i].at] = lies[i].value;
        add(&lying);
    }
    taken = read_capture(&report);
    assert_int_equal(taken.count, 0);
    assert_in_range(report.truncated, 5, 6);
}

static void test_extension_headers_end(void **state)
{
    (void)state;
    struct octets message = query_for("www"), datagram = udp(&message, 53), payload = {0};
    struct traffic_report report;

    for (unsigned i = 0; i < 2; i++) {
        put8(&payload, i == 0 ? 60 : 17);
        put8(&payload, 0);
        put_zeros(&payload, 6);
    }
    put(&payload, datagram.at, datagram.size);
    begin(LINK_RAW);
    struct octets packet = ipv6(&payload, 0, 1);
    add(&packet);
    struct octets endless = {0};
    put_zeros(&endless, 800); /* hop-by-hop headers without end */
    packet = ipv6(&endless, 0, 1);
    add(&packet);
    endless.at[1] = 255; /* one that is longer than the packet */
    packet = ipv6(&endless, 0, 1);
    add(&packet);
    struct taken taken = read_capture(&report);
    assert_int_equal(taken.count, 1);
    assert_int_equal(report.truncated, 1);
}

static void test_names_that_loop_are_malformed(void **state)
{
    (void)state;
    struct octets message = {0};
    struct traffic_report report;

    put16(&message, 7);
    put16(&message, 0);
    put16(&message, 1);
    put_zeros(&message, 6);
    put16(&message, 0xc00c); /* points to itself */
    put16(&message, 1);
    put16(&message, 1);
    struct octets datagram = udp(&message, 53), packet = ipv4(&datagram, 17, 1, 0);
    begin(LINK_RAW);
    add(&packet);
    struct taken taken = read_capture(&report);
    assert_int_equal(taken.count, 0);
    assert_int_equal(report.malformed, 1);
}

static void test_a_capture_that_ends_inside_a_packet_counts_up_to_there(void **state)
{
    (void)state;
    struct traffic_report report;

    begin(LINK_ETHERNET);
    add_udp("one", 1);
    add_udp("two", 1);
    capture_size -= 5;
    struct taken taken = read_capture(&report);
    assert_string_equal(taken.labels, "one ");
    assert_true(report.cut_short);
}

/* ---- Streams ---- */

static void test_a_stream_is_put_together_from_pieces_of_any_size(void **state)
{
    (void)state;
    struct octets one = framed("one"), two = framed("two"), both = one;
    struct traffic_report report;

    put(&both, two.at, two.size);
    for (size_t piece = 1; piece <= both.size; piece++) {
        uint32_t sequence = UINT32_MAX - 3; /* passes zero on the way */
        begin(LINK_ETHERNET);
        add_tcp(sequence - 1, 2, "", 0, 1);
        for (size_t at = 0; at < both.size; at += piece) {
            size_t size = both.size - at < piece ? both.size - at : piece;
            add_tcp(sequence + (uint32_t)at, 0x18, both.at + at, size, 1);
            if (at % 3 == 0) /* sent again */
                add_tcp(sequence + (uint32_t)at, 0x18, both.at + at, size, 1);
        }
        struct taken taken = read_capture(&report);
        assert_string_equal(taken.labels, "one two ");
        assert_int_equal(taken.over_tcp, 2);
        assert_int_equal(report.gaps, 0);
        assert_int_equal(report.malformed, 0);
    }
}

static void test_streams_of_several_clients_do_not_mix(void **state)
{
    (void)state;
    struct octets one = framed("one"), two = framed("two");
    struct traffic_report report;

    begin(LINK_ETHERNET);
    add_tcp(1, 0x18, one.at, 5, 1);
    add_tcp(1, 0x18, two.at, 5, 2);
    add_tcp(6, 0x18, one.at + 5, one.size - 5, 1);
    add_tcp(6, 0x19, two.at + 5, two.size - 5, 2); /* and its end */
    add_tcp(900, 2, "", 0, 2);                     /* the port is used again */
    add_tcp(901, 0x18, two.at, two.size, 2);
    struct taken taken = read_capture(&report);
    assert_string_equal(taken.labels, "one two two ");
}

static void test_a_gap_is_counted_and_the_next_message_found(void **state)
{
    (void)state;
    struct octets one = framed("one"), two = framed("two");
    struct traffic_report report;

    begin(LINK_ETHERNET);
    add_tcp(1, 0x18, one.at, 5, 1);
    add_tcp(100, 0x18, two.at, two.size, 1);
    struct taken taken = read_capture(&report);
    assert_string_equal(taken.labels, "two ");
    assert_int_equal(report.gaps, 1);
}

static void test_more_streams_than_are_kept_do_no_harm(void **state)
{
    (void)state;
    struct octets one = framed("one");
    struct traffic_report report;

    begin(LINK_RAW);
    for (unsigned i = 0; i < 5000; i++) {
        struct octets segment = tcp(1, 0x18, one.at, i == 4999 ? one.size : 3);
        segment.at[0] = (uint8_t)(i >> 8); /* its port */
        segment.at[1] = (uint8_t)i;
        struct octets packet = ipv4(&segment, 6, 1, 0);
        add(&packet);
    }
    struct taken taken = read_capture(&report);
    assert_string_equal(taken.labels, "one ");
    assert_true(report.gaps > 0);
}

/* ---- dnstap ---- */

static void test_of_dnstap_events_the_queries_that_came_in_count(void **state)
{
    (void)state;
    static const struct {
        const char *label;
        unsigned type, protocol;
        size_t address_size;
    } events[] = {
        {"auth", EVENT_AUTH_QUERY, 1, 4},         {"client", EVENT_CLIENT_QUERY, 2, 16},
        {"nobody", EVENT_CLIENT_QUERY, 1, 0},     {"odd", EVENT_CLIENT_QUERY, 1, 7},
        {"answer", EVENT_AUTH_RESPONSE, 1, 4},    {"onward", EVENT_RESOLVER_QUERY, 1, 4},
        {"later", 60 /* a type to come */, 1, 4},
    };
    struct octets octets = {0}, garbage = {.at = {0xff, 0xff, 0xff}, .size = 3};
    struct octets no_message = {.at = {0x78, 1}, .size = 2};
    struct traffic_report report;

    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        struct octets query = query_for(events[i].label);
        struct octets event =
            event_of(events[i].type, &query, events[i].address_size, events[i].protocol);
        put_frame(&octets, &event);
    }
    put_frame(&octets, &garbage);
    put_frame(&octets, &no_message);
    put_control(&octets, CONTROL_STOP, NULL);
    struct taken taken = read_octets(octets.at, octets.size, &report);
    assert_string_equal(taken.labels, "auth client nobody odd ");
    assert_int_equal(taken.with_client, 2);
    assert_int_equal(taken.ipv6, 1);
    assert_int_equal(taken.over_tcp, 1);
    assert_int_equal(report.form, TRAFFIC_DNSTAP);
    assert_true(report.has_clients);
    assert_false(report.cut_short);
    assert_int_equal(report.read, 9);
    assert_int_equal(report.others, 4);
    assert_int_equal(report.malformed, 1);
}

static void test_a_dnstap_file_without_its_end_counts_up_to_there(void **state)
{
    (void)state;
    struct octets octets = {0}, query = query_for("one");
    struct octets event = event_of(EVENT_AUTH_QUERY, &query, 0, 1);
    struct traffic_report report;

    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put_frame(&octets, &event);
    struct taken taken = read_octets(octets.at, octets.size, &report);
    assert_string_equal(taken.labels, "one ");
    assert_false(report.cut_short); /* its server was killed: nothing is lost */
    assert_false(report.has_clients);
    put_frame(&octets, &event);
    taken = read_octets(octets.at, octets.size - 1, &report);
    assert_string_equal(taken.labels, "one ");
    assert_true(report.cut_short);
}

static void test_a_file_of_other_frames_is_refused_by_name(void **state)
{
    (void)state;
    struct octets octets = {0};
    struct traffic_report report;
    struct taken taken = {0};
    struct error error = {0};
    char path[32];

    put_control(&octets, CONTROL_START, "protobuf:other");
    int file = make_file(octets.at, octets.size, path);
    assert_int_equal(traffic_read(path, 53, take, &taken, &report, &error), -EPROTONOSUPPORT);
    assert_string_equal(error.file, path);
    assert_non_null(strstr(error.text, CONTENT_TYPE));
    close(file);
}

/* ---- Lists ---- */

static void test_a_list_has_one_query_a_line(void **state)
{
    (void)state;
    static const char text[] = "; dnsperf\n# hosts\n\none.example A\n  two.example.\tTYPE65280\r\n"
                               "three.example MX extra\nfour.example any";
    struct traffic_report report;

    struct taken taken = read_octets(text, strlen(text), &report);
    assert_string_equal(taken.labels, "one two three four ");
    assert_int_equal(taken.with_client, 0);
    assert_int_equal(report.form, TRAFFIC_LIST);
    assert_int_equal(report.malformed, 0);
    assert_int_equal(report.read, 7);
}

static void test_malformed_lines_are_counted_and_the_first_is_named(void **state)
{
    (void)state;
    char text[9000] = "one.example A\nno-type\nbad..example A\nx.example TYPEX\n";
    struct traffic_report report;

    size_t used = strlen(text);
    memset(text + used, 'x', 6000); /* no name is that long */
    snprintf(text + used + 6000, sizeof(text) - used - 6000, ".example A\ntwo.example A\n");
    struct taken taken = read_octets(text, strlen(text), &report);
    assert_string_equal(taken.labels, "one two ");
    assert_int_equal(report.malformed, 4);
    assert_int_equal(report.malformed_line, 2);
    assert_int_equal(report.read, 6);
}

/* ---- Errors ---- */

static void test_the_takers_error_stops_the_reading(void **state)
{
    (void)state;
    struct taken taken = {.stop_after = 2};
    struct traffic_report report;
    struct error error;
    char path[32];

    begin(LINK_ETHERNET);
    for (unsigned i = 0; i < 4; i++)
        add_udp("www", i);
    int file = make_file(capture, capture_size, path);
    assert_int_equal(traffic_read(path, 53, take, &taken, &report, &error), -ECANCELED);
    assert_int_equal(taken.count, 2);
    assert_string_equal(error.text, "enough");
    close(file);
}

static void test_what_cannot_be_read_is_an_error_with_its_cause(void **state)
{
    (void)state;
    struct traffic_report report;
    struct taken taken = {0};
    struct error error;
    char path[32];

    assert_int_equal(traffic_read("/nowhere/x", 53, take, &taken, &report, &error), -ENOENT);
    assert_string_equal(error.file, "/nowhere/x");
    begin(147);
    int file = make_file(capture, capture_size, path);
    assert_int_equal(traffic_read(path, 53, take, &taken, &report, &error), -EPROTONOSUPPORT);
    assert_non_null(strstr(error.text, "link type"));
    close(file);
    begin(LINK_ETHERNET);
    file = make_file(capture, 10, path);
    assert_int_equal(traffic_read(path, 53, take, &taken, &report, &error), -EBADMSG);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_are_found_behind_every_known_link_layer),
        cmocka_unit_test(test_only_requests_to_the_port_count),
        cmocka_unit_test(test_requests_for_other_things_are_told_apart),
        cmocka_unit_test(test_fragments_are_left_out_and_counted),
        cmocka_unit_test(test_sizes_that_lie_read_nothing_outside),
        cmocka_unit_test(test_extension_headers_end),
        cmocka_unit_test(test_names_that_loop_are_malformed),
        cmocka_unit_test(test_a_capture_that_ends_inside_a_packet_counts_up_to_there),
        cmocka_unit_test(test_a_stream_is_put_together_from_pieces_of_any_size),
        cmocka_unit_test(test_streams_of_several_clients_do_not_mix),
        cmocka_unit_test(test_a_gap_is_counted_and_the_next_message_found),
        cmocka_unit_test(test_more_streams_than_are_kept_do_no_harm),
        cmocka_unit_test(test_of_dnstap_events_the_queries_that_came_in_count),
        cmocka_unit_test(test_a_dnstap_file_without_its_end_counts_up_to_there),
        cmocka_unit_test(test_a_file_of_other_frames_is_refused_by_name),
        cmocka_unit_test(test_a_list_has_one_query_a_line),
        cmocka_unit_test(test_malformed_lines_are_counted_and_the_first_is_named),
        cmocka_unit_test(test_the_takers_error_stops_the_reading),
        cmocka_unit_test(test_what_cannot_be_read_is_an_error_with_its_cause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
