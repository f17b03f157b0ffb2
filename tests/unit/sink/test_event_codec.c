/* What is encoded comes back; what is no event is told so; what a later version adds is skipped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>

#include "event_sample.h"

static void assert_equal(const struct sink_event *one, const struct sink_event *other)
{
    assert_memory_equal(one, other, sizeof(*one));
}

static void test_every_event_comes_back_as_it_was(void **state)
{
    const unsigned seed = (unsigned)time(NULL);
    unsigned random = seed;
    (void)state;
    print_message("seed %u\n", seed);
    for (unsigned i = 0; i < 100000; i++) {
        struct sink_event event = sample_event(&random), back;
        uint8_t octets[SINK_EVENT_OCTETS_MAX];
        memset(&back, 0, sizeof(back));
        size_t size = sink_event_encode(&event, octets);
        assert_int_equal(sink_event_decode(octets, size, &back), size);
        assert_equal(&event, &back);
    }
}

static void test_the_longest_event_has_room(void **state)
{
    struct sink_event event, back;
    uint8_t octets[SINK_EVENT_OCTETS_MAX];
    (void)state;
    memset(&event, 0xff, sizeof(event));
    event.wellformed = event.consistent = event.fake = event.in_tls = event.ipv6 = true;
    event.has_victim = event.has_machine = event.has_agent = true;
    event.transport = SINK_UDP;
    event.ending = SINK_ENDING;
    event.kind = SINK_PROBE;
    event.name_source = SINK_NAME_ADDRESS;
    /* The texts have no end: the encoder must not look for one beyond them. */
    size_t size = sink_event_encode(&event, octets);
    assert_int_equal(sink_event_decode(octets, size, &back), size);
    assert_int_equal(strlen(back.name), SINK_NAME_SIZE - 1);
    assert_int_equal(strlen(back.country), 2);
    assert_int_equal(back.received, UINT64_MAX);
    assert_int_equal(back.at_us, -1);
}

/* The octets of the document's example. */
static void test_the_encoding_is_what_the_document_says(void **state)
{
    static const uint8_t expected[] = {
        0x3d,                                           /* size: 61 */
        0xa3, 0x08,                                     /* wellformed, consistent, IPv4, country */
        0x40, 0x22, 0x22, 0x46, 0x48, 0x47, 0x06, 0x00, /* at */
        0x00, 0x01, 0x02, 0x00,                         /* TCP, reset, check-in, no name */
        0xac, 0x02,                                     /* lasted: 300 ms */
        0x7f,                                           /* received: 127 */
        0xb4, 0x05,                                     /* epoch 692 */
        0x39, 0x30, 0x99, 0x04,                         /* ports 12345 and 1177 */
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11,
        0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, 0x11, /* client */
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22,
        0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, 0x22, /* network */
        0xc0, 0x00, 0x02, 0x42,                         /* local: 192.0.2.66 */
        'D',  'E',                                      /* country */
    };
    struct sink_event event = sample_example();
    uint8_t octets[SINK_EVENT_OCTETS_MAX];
    (void)state;
    size_t size = sink_event_encode(&event, octets);
    assert_int_equal(size, sizeof(expected));
    assert_memory_equal(octets, expected, sizeof(expected));
}

static void test_what_a_later_version_adds_is_skipped(void **state)
{
    struct sink_event event = sample_checkin(7), back;
    uint8_t octets[SINK_EVENT_OCTETS_MAX], later[SINK_EVENT_OCTETS_MAX];
    (void)state;
    memset(&back, 0, sizeof(back));
    size_t size = sink_event_encode(&event, octets);
    assert_true(octets[0] >= 0x80 && octets[1] == 1); /* the size takes two octets */
    assert_true(octets[4] < 0x80);                    /* and the flags three */
    memcpy(later, octets, 2);
    later[2] = octets[2];
    later[3] = octets[3];
    later[4] = octets[4] | 0x80;
    later[5] = 0x01; /* a bit above ours */
    memcpy(later + 6, octets + 5, size - 5);
    memcpy(later + 1 + size, "later", 5);
    later[0] = (uint8_t)(octets[0] + 6);
    assert_true(later[0] > octets[0]); /* it did not wrap */
    assert_int_equal(sink_event_decode(later, size + 6, &back), size + 6);
    assert_equal(&event, &back);
    later[2 + 4 + 8 + 2] = 200; /* a kind that is not known */
    assert_int_equal(sink_event_decode(later, size + 6, &back), size + 6);
    assert_int_equal(back.kind, SINK_UNKNOWN);
}

static void test_what_is_cut_or_out_of_range_is_no_event(void **state)
{
    struct sink_event event = sample_checkin(7), back;
    uint8_t octets[SINK_EVENT_OCTETS_MAX];
    (void)state;
    size_t size = sink_event_encode(&event, octets);
    for (size_t cut = 0; cut < size; cut++)
        assert_int_equal(sink_event_decode(octets, cut, &back), -EBADMSG);
    static const struct {
        size_t place;
        uint8_t octet;
    } bad[] = {
        {0, 0x80},           /* the size is less than what is there */
        {2 + 3 + 8, 2},      /* transport */
        {2 + 3 + 8 + 1, 8},  /* ending */
        {2 + 3 + 8 + 3, 99}, /* source of the name */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const uint8_t was = octets[bad[i].place];
        octets[bad[i].place] = bad[i].octet;
        assert_int_equal(sink_event_decode(octets, size, &back), -EBADMSG);
        octets[bad[i].place] = was;
    }
    assert_true(sink_event_decode(octets, size, &back) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_event_comes_back_as_it_was),
        cmocka_unit_test(test_the_longest_event_has_room),
        cmocka_unit_test(test_the_encoding_is_what_the_document_says),
        cmocka_unit_test(test_what_a_later_version_adds_is_skipped),
        cmocka_unit_test(test_what_is_cut_or_out_of_range_is_no_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
