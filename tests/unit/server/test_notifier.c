/* NOTIFY out, towards sockets that answer well, badly, late or not at all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "server/notifier.h"
#include "zone/origin_link.h"
#include "zone/tsig_server.h"

/* Long enough for a machine that is busy with something else. */
#define PATIENCE_MS 20000

#define TARGETS_MAX 3

static const uint8_t apex[] = "\1a\7example";
static const struct transfer_key key = {"xfr", "hmac-sha256", "bm90LWEtcmVhbC1zZWNyZXQ="};

struct fixture {
    struct zone zone;
    struct notify_target targets[TARGETS_MAX];
    struct sockaddr_in addresses[TARGETS_MAX];
    int fds[TARGETS_MAX];
    struct notify_zone notify_zone;
    _Atomic(uint32_t) serial;
    atomic_bool is_silent; /* there is no SOA */
    struct notifier *notifier;
    struct tsig_keyring *keyring;
};

static bool read_soa(void *context, const struct zone *zone, uint8_t *ret_rdata, uint16_t *ret_size,
                     uint32_t *ret_ttl_s)
{
    struct fixture *fixture = context;
    assert_ptr_equal(zone, &fixture->zone);
    memset(ret_rdata, 0, 22);
    knot_wire_write_u32(ret_rdata + 2, fixture->serial);
    *ret_size = 22;
    *ret_ttl_s = 60;
    return !fixture->is_silent;
}

static void on_log(void *context, int level, const char *text)
{
    (void)context;
    (void)level;
    assert_null(strchr(text, '\n'));
}

static int open_socket(struct sockaddr_in *ret_address)
{
    const int fd = socket(AF_INET, SOCK_DGRAM, 0);
    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(*ret_address);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret_address, &size), 0);
    return fd;
}

static void fixture_start(struct fixture *fixture, size_t targets, bool is_signed)
{
    struct error error = {0};
    memset(fixture, 0, sizeof(*fixture));
    assert_true(name_parse(&fixture->zone.name, apex, sizeof(apex)) > 0);
    strcpy(fixture->zone.text, "a.example");
    fixture->serial = 7;
    assert_int_equal(tsig_keyring_create(&key, 1, &fixture->keyring, &error), 0);
    for (size_t i = 0; i < targets; i++) {
        fixture->fds[i] = open_socket(&fixture->addresses[i]);
        fixture->targets[i] = (struct notify_target){
            .address = (const struct sockaddr *)&fixture->addresses[i],
            .size = sizeof(fixture->addresses[i]),
            .key = is_signed ? &key : NULL,
        };
    }
    fixture->notify_zone = (struct notify_zone){
        .zone = &fixture->zone, .targets = fixture->targets, .target_count = targets};
    const struct notifier_handlers handlers = {.soa = read_soa, .log = on_log, .context = fixture};
    assert_int_equal(
        notifier_start(&fixture->notify_zone, 1, &handlers, &fixture->notifier, &error), 0);
}

static void fixture_stop(struct fixture *fixture)
{
    notifier_stop(fixture->notifier);
    for (size_t i = 0; i < fixture->notify_zone.target_count; i++)
        close(fixture->fds[i]);
    tsig_keyring_free(fixture->keyring);
}

struct told {
    uint8_t wire[1500];
    size_t size;
    struct sockaddr_in from;
    struct tsig_server tsig;
};

static bool is_quiet(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    return poll(&wait, 1, 0) == 0;
}

/* Receives a NOTIFY, which has to be well made, and returns the serial that it tells. */
static uint32_t receive(struct fixture *fixture, size_t target, struct told *ret_told)
{
    static const uint8_t question[] = "\1a\7example\0\0\6\0\1";
    struct pollfd wait = {.fd = fixture->fds[target], .events = POLLIN};
    assert_int_equal(poll(&wait, 1, PATIENCE_MS), 1);
    socklen_t from_size = sizeof(ret_told->from);
    const ssize_t size = recvfrom(fixture->fds[target], ret_told->wire, sizeof(ret_told->wire), 0,
                                  (struct sockaddr *)&ret_told->from, &from_size);
    const size_t soa_end = 12 + 15 + 12 + 22;
    const uint8_t *wire = ret_told->wire;
    assert_true(size >= (ssize_t)soa_end);
    ret_told->size = (size_t)size;
    assert_int_equal(knot_wire_get_opcode(wire), KNOT_OPCODE_NOTIFY);
    assert_true(knot_wire_get_aa(wire) && !knot_wire_get_qr(wire));
    assert_int_equal(knot_wire_get_qdcount(wire), 1);
    assert_int_equal(knot_wire_get_ancount(wire), 1);
    assert_memory_equal(wire + 12, question, 15);
    if (fixture->targets[target].key != NULL)
        assert_int_equal(tsig_server_check(fixture->keyring, wire, ret_told->size, soa_end,
                                           time(NULL), &ret_told->tsig),
                         KNOT_RCODE_NOERROR);
    else
        assert_int_equal(ret_told->size, soa_end);
    return knot_wire_read_u32(wire + 12 + 15 + 12 + 2);
}

/* Answers by the socket `fd`, signed or not. */
static void answer(const struct told *told, int fd, unsigned rcode, bool is_signed)
{
    uint8_t wire[1500];
    size_t size = 12 + 15;
    memcpy(wire, told->wire, size);
    knot_wire_set_qr(wire);
    knot_wire_set_rcode(wire, (uint8_t)rcode);
    knot_wire_set_ancount(wire, 0);
    knot_wire_set_arcount(wire, 0);
    struct tsig_server tsig = told->tsig;
    if (is_signed)
        assert_int_equal(tsig_server_sign(&tsig, wire, &size, sizeof(wire), time(NULL)), 0);
    assert_int_equal(
        sendto(fd, wire, size, 0, (const struct sockaddr *)&told->from, sizeof(told->from)), size);
}

static void wait_for_answers(const struct fixture *fixture, uint64_t count)
{
    const int64_t end_ms = monotonic_ms() + PATIENCE_MS;
    struct notifier_counters counters;
    for (;;) {
        notifier_counters(fixture->notifier, &counters);
        if (counters.answered >= count)
            break;
        assert_true(monotonic_ms() < end_ms);
        usleep(1000);
    }
    assert_int_equal(counters.answered, count);
}

static void test_nobody_is_told_anything_before_there_is_news(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    fixture_start(&fixture, 1, false);
    assert_true(is_quiet(fixture.fds[0]));
    struct zone other = {0};
    notifier_tell(fixture.notifier, &other); /* not one that anybody asked for */
    notifier_tell(fixture.notifier, &fixture.zone);
    assert_int_equal(receive(&fixture, 0, &told), 7);
    fixture_stop(&fixture);
}

static void test_every_secondary_is_told_until_it_answers(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told[TARGETS_MAX];
    fixture_start(&fixture, TARGETS_MAX, false);
    notifier_tell(fixture.notifier, &fixture.zone);
    for (size_t i = 0; i < TARGETS_MAX; i++)
        assert_int_equal(receive(&fixture, i, &told[i]), 7);
    answer(&told[0], fixture.fds[0], 0, false);
    answer(&told[1], fixture.fds[1], KNOT_RCODE_NOTAUTH, false); /* it was heard, all the same */
    wait_for_answers(&fixture, 2);
    assert_int_equal(receive(&fixture, 2, &told[2]), 7); /* the first was lost */
    assert_true(is_quiet(fixture.fds[0]) && is_quiet(fixture.fds[1]));
    answer(&told[2], fixture.fds[2], 0, false);
    wait_for_answers(&fixture, 3);
    fixture_stop(&fixture);
}

static void test_an_answer_counts_only_from_whom_it_was_sent_to(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    struct sockaddr_in elsewhere;
    fixture_start(&fixture, 1, false);
    const int other = open_socket(&elsewhere);
    notifier_tell(fixture.notifier, &fixture.zone);
    receive(&fixture, 0, &told);
    answer(&told, other, 0, false);
    struct told forged = told;
    forged.wire[0] ^= 1; /* another ID */
    answer(&forged, fixture.fds[0], 0, false);
    receive(&fixture, 0, &told); /* again, as if nothing had come */
    answer(&told, fixture.fds[0], 0, false);
    wait_for_answers(&fixture, 1);
    close(other);
    fixture_stop(&fixture);
}

static void test_with_a_key_an_answer_counts_only_signed(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    fixture_start(&fixture, 1, true);
    notifier_tell(fixture.notifier, &fixture.zone);
    receive(&fixture, 0, &told);
    answer(&told, fixture.fds[0], 0, false);
    struct told forged = told;
    forged.tsig.mac[0] ^= 1;
    answer(&forged, fixture.fds[0], 0, true);
    receive(&fixture, 0, &told);
    answer(&told, fixture.fds[0], 0, true);
    wait_for_answers(&fixture, 1);
    fixture_stop(&fixture);
}

static void test_a_storm_of_changes_is_told_now_and_then_with_the_last_serial(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    fixture_start(&fixture, 1, false);
    const int64_t begun_ms = monotonic_ms();
    uint64_t messages = 0;
    uint32_t serial = 0;
    for (uint32_t i = 0; i < 1200; i++) {
        fixture.serial = 100 + i;
        notifier_tell(fixture.notifier, &fixture.zone);
        usleep(1000);
        if (is_quiet(fixture.fds[0]))
            continue;
        serial = receive(&fixture, 0, &told);
        answer(&told, fixture.fds[0], 0, false);
        messages++;
    }
    while (serial != 100 + 1199) {
        serial = receive(&fixture, 0, &told);
        answer(&told, fixture.fds[0], 0, false);
        messages++;
    }
    const int64_t took_ms = monotonic_ms() - begun_ms;
    assert_true(messages >= 2);
    assert_true((int64_t)messages <= took_ms / NOTIFY_PAUSE_MS + 2);
    fixture_stop(&fixture);
}

static void test_one_that_does_not_answer_holds_up_no_other(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    fixture_start(&fixture, 2, false);
    for (uint32_t serial = 10; serial < 20; serial++) {
        fixture.serial = serial;
        notifier_tell(fixture.notifier, &fixture.zone);
        assert_int_equal(receive(&fixture, 0, &told), serial);
        answer(&told, fixture.fds[0], 0, false);
    }
    wait_for_answers(&fixture, 10);
    while (receive(&fixture, 1, &told) < 19) /* once a second, with the serial of the moment */
        ;
    answer(&told, fixture.fds[1], 0, false);
    wait_for_answers(&fixture, 11);
    fixture_stop(&fixture);
}

static void test_a_zone_without_data_is_not_told_of(void **state)
{
    (void)state;
    struct fixture fixture;
    struct told told;
    fixture_start(&fixture, 1, false);
    fixture.is_silent = true;
    notifier_tell(fixture.notifier, &fixture.zone);
    usleep((NOTIFY_PAUSE_MS + 100) * 1000); /* the round that says nothing has to be over */
    assert_true(is_quiet(fixture.fds[0]));
    fixture.is_silent = false;
    fixture.serial = 8;
    notifier_tell(fixture.notifier, &fixture.zone);
    assert_int_equal(receive(&fixture, 0, &told), 8);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_is_told_anything_before_there_is_news),
        cmocka_unit_test(test_every_secondary_is_told_until_it_answers),
        cmocka_unit_test(test_an_answer_counts_only_from_whom_it_was_sent_to),
        cmocka_unit_test(test_with_a_key_an_answer_counts_only_signed),
        cmocka_unit_test(test_a_storm_of_changes_is_told_now_and_then_with_the_last_serial),
        cmocka_unit_test(test_one_that_does_not_answer_holds_up_no_other),
        cmocka_unit_test(test_a_zone_without_data_is_not_told_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
