/* Which listed name brought a client: by what it says itself, and by what name servers answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libknot/libknot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "order/dnstap.pb-c.h"
#include "order/frame_sender.h"
#include "order/frame_stream.h"
#include "sink/arrivals.h"

#define NOW_US INT64_C(1700000000000000)
#define SECOND INT64_C(1000000)

static const char court_order[] = "id: nv-2014-00987\nkind: court\nauthority: \"A court\"\n"
                                  "starts: 2014-06-30T12:00:00Z\nends: 2034-07-14T12:00:00Z\n"
                                  "action: sinkhole\nsinkhole: { a: [192.0.2.66, 192.0.2.67] }\n"
                                  "notice: https://desk.example/orders/nv-2014-00987\n"
                                  "names: [bad.dyn.example, worse.dyn.example]\n"
                                  "subtrees: [sub.example]\nexempt: [good.sub.example]\n";

static const char other_order[] =
    "id: one\nkind: provider\nauthority: \"A provider\"\n"
    "starts: 2014-06-30T12:00:00Z\nends: 2034-07-14T12:00:00Z\naction: sinkhole\n"
    "sinkhole: { a: [192.0.2.67, 192.0.2.68], aaaa: [\"2001:db8::66\"] }\n"
    "names: [only.dyn.example]\n";

struct fixture {
    char folder[64], order[96], other[96], socket[96];
    struct arrivals *arrivals;
    struct frame_sender *sender;
};

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    struct error error;

    snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/tamis-arrivals-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->order, sizeof(fixture->order), "%s/order.yaml", fixture->folder);
    snprintf(fixture->other, sizeof(fixture->other), "%s/other.yaml", fixture->folder);
    snprintf(fixture->socket, sizeof(fixture->socket), "%s/answers.sock", fixture->folder);
    write_file(fixture->order, court_order);
    write_file(fixture->other, other_order);
    char *orders[] = {fixture->order, fixture->other};
    const struct arrivals_options options = {
        .orders = orders, .order_count = 2, .answers = fixture->socket, .window_s = 60};
    if (arrivals_create(&options, &fixture->arrivals, &error) < 0 ||
        arrivals_start(fixture->arrivals, &error) < 0)
        fail_msg("%s: %s", error.file, error.text);
    fixture->sender = frame_sender_create(fixture->socket, DNSTAP_CONTENT_TYPE);
    assert_int_equal(frame_sender_connect(fixture->sender), 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    frame_sender_free(fixture->sender);
    arrivals_free(fixture->arrivals);
    unlink(fixture->order);
    unlink(fixture->other);
    unlink(fixture->socket);
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

static struct in6_addr address(const char *text)
{
    struct in6_addr result = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    const bool is_v6 = strchr(text, ':') != NULL;
    assert_int_equal(inet_pton(is_v6 ? AF_INET6 : AF_INET, text, result.s6_addr + (is_v6 ? 0 : 12)),
                     1);
    return result;
}

static knot_pkt_t *response_make(const char *name)
{
    knot_dname_t *owner = knot_dname_from_str_alloc(name);
    knot_pkt_t *packet = knot_pkt_new(NULL, 512, NULL);
    knot_rrset_t *records = knot_rrset_new(owner, KNOT_RRTYPE_A, KNOT_CLASS_IN, 60, NULL);
    assert_int_equal(knot_rrset_add_rdata(records, (const uint8_t *)"\xc0\x00\x02\x42", 4, NULL),
                     0);
    assert_int_equal(knot_pkt_put_question(packet, owner, KNOT_CLASS_IN, KNOT_RRTYPE_A), 0);
    assert_int_equal(knot_pkt_begin(packet, KNOT_ANSWER), 0);
    assert_int_equal(knot_pkt_put(packet, KNOT_COMPR_HINT_QNAME, records, 0), 0);
    knot_rrset_free(records, NULL);
    knot_dname_free(owner, NULL);
    return packet;
}

/* Has a name server tell that `name` was answered with 192.0.2.66. */
static void send_answer(struct fixture *fixture, const char *name, const char *resolver,
                        uint64_t at_s, uint32_t at_ns)
{
    uint8_t client[4], packed[1024];
    knot_pkt_t *packet = response_make(name);
    Dnstap__Message message = DNSTAP__MESSAGE__INIT;
    Dnstap__Dnstap event = DNSTAP__DNSTAP__INIT;

    assert_int_equal(inet_pton(AF_INET, resolver, client), 1);
    message.type = DNSTAP__MESSAGE__TYPE__AUTH_RESPONSE;
    message.has_query_address = message.has_response_message = true;
    message.has_response_time_sec = message.has_response_time_nsec = true;
    message.query_address = (ProtobufCBinaryData){4, client};
    message.response_message = (ProtobufCBinaryData){packet->size, packet->wire};
    message.response_time_sec = at_s;
    message.response_time_nsec = at_ns;
    event.type = DNSTAP__DNSTAP__TYPE__MESSAGE;
    event.message = &message;

    assert_int_equal(
        frame_sender_send(fixture->sender, packed, dnstap__dnstap__pack(&event, packed)), 0);
    knot_pkt_free(packet);
}

/* The same, and waits until it is known. */
static void answer(struct fixture *fixture, const char *name, const char *resolver, int64_t at_us,
                   bool is_listed)
{
    uint64_t taken, listed, before, listed_before;

    arrivals_figures(fixture->arrivals, &before, &listed_before);
    send_answer(fixture, name, resolver, (uint64_t)(at_us / 1000000),
                (uint32_t)(at_us % 1000000) * 1000);
    do {
        usleep(1000);
        arrivals_figures(fixture->arrivals, &taken, &listed);
    } while (taken == before || listed < listed_before + is_listed);
    assert_int_equal(listed, listed_before + is_listed);
}

struct client {
    const char *from, *to, *host, *sni;
};

static void assert_found(const struct fixture *fixture, struct client client,
                         enum sink_name_source source, const char *name, const char *order)
{
    struct client_hello hello = {0};
    struct sink_flight flight = {.at_us = NOW_US};
    struct sink_recognition recognition = {0};
    struct sink_event event = {0};

    flight.client.address = address(client.from);
    flight.local.address = address(client.to);
    if (client.sni != NULL) {
        snprintf(hello.server_name, sizeof(hello.server_name), "%s", client.sni);
        flight.hello = &hello;
    }
    if (client.host != NULL)
        recognition.host = (struct sink_text){(const uint8_t *)client.host, strlen(client.host)};
    arrivals_find(fixture->arrivals, &flight, &recognition, &event);
    assert_string_equal(event.name, name);
    assert_string_equal(event.order, order);
    assert_int_equal(event.name_source, source);
}

static void test_what_a_client_says_itself_is_certain(void **state)
{
    const struct fixture *fixture = *state;
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", "BAD.dyn.example.", NULL},
                 SINK_NAME_HOST, "bad.dyn.example", "nv-2014-00987");
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", NULL, "worse.dyn.example"},
                 SINK_NAME_SNI, "worse.dyn.example", "nv-2014-00987");
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", "a.b.sub.example", NULL},
                 SINK_NAME_HOST, "a.b.sub.example", "nv-2014-00987");
    /* Names that no order lists are nobody's to keep. */
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", "good.sub.example", NULL},
                 SINK_NAME_NONE, "", "nv-2014-00987");
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", "192.0.2.66", "x.example"},
                 SINK_NAME_NONE, "", "nv-2014-00987");
}

static void test_an_address_of_one_order_tells_it_and_of_one_name_that(void **state)
{
    const struct fixture *fixture = *state;
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.67", NULL, NULL}, SINK_NAME_NONE,
                 "", "");
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.68", NULL, NULL},
                 SINK_NAME_ADDRESS, "only.dyn.example", "one");
    assert_found(fixture, (struct client){"2001:db8:1::1", "2001:db8::66", NULL, NULL},
                 SINK_NAME_ADDRESS, "only.dyn.example", "one");
    assert_found(fixture, (struct client){"198.51.100.1", "203.0.113.1", NULL, NULL},
                 SINK_NAME_NONE, "", "");
}

static void test_an_answer_to_a_resolver_nearby_is_likely_what_brought_it(void **state)
{
    struct fixture *fixture = *state;
    answer(fixture, "bad.dyn.example.", "198.51.100.53", NOW_US - 5 * SECOND, true);
    answer(fixture, "WORSE.dyn.example.", "203.0.113.53", NOW_US - 4 * SECOND, true);
    answer(fixture, "innocent.dyn.example.", "198.51.100.53", NOW_US - 3 * SECOND, false);
    assert_found(fixture, (struct client){"198.51.100.200", "192.0.2.66", NULL, NULL},
                 SINK_NAME_ANSWER, "bad.dyn.example", "nv-2014-00987");
    assert_found(fixture, (struct client){"203.0.113.9", "192.0.2.66", NULL, NULL},
                 SINK_NAME_ANSWER, "worse.dyn.example", "nv-2014-00987");
    /* Two names are answered: from elsewhere it may be either. */
    assert_found(fixture, (struct client){"192.0.2.200", "192.0.2.66", NULL, NULL}, SINK_NAME_NONE,
                 "", "nv-2014-00987");
    /* The answer was another address. */
    assert_found(fixture, (struct client){"198.51.100.200", "192.0.2.67", NULL, NULL},
                 SINK_NAME_NONE, "", "");
}

static void test_the_only_name_of_the_window_is_possible(void **state)
{
    struct fixture *fixture = *state;
    answer(fixture, "worse.dyn.example.", "203.0.113.53", NOW_US - 90 * SECOND, true);
    answer(fixture, "bad.dyn.example.", "203.0.113.53", NOW_US - 30 * SECOND, true);
    answer(fixture, "bad.dyn.example.", "203.0.113.77", NOW_US - 10 * SECOND, true);
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", NULL, NULL},
                 SINK_NAME_WINDOW, "bad.dyn.example", "nv-2014-00987");
    answer(fixture, "worse.dyn.example.", "203.0.113.53", NOW_US - 5 * SECOND, true);
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", NULL, NULL}, SINK_NAME_NONE,
                 "", "nv-2014-00987");
}

static void test_an_old_answer_brought_nobody(void **state)
{
    struct fixture *fixture = *state;
    answer(fixture, "bad.dyn.example.", "198.51.100.53", NOW_US - 61 * SECOND, true);
    assert_found(fixture, (struct client){"198.51.100.1", "192.0.2.66", NULL, NULL}, SINK_NAME_NONE,
                 "", "nv-2014-00987");
}

static void test_name_servers_of_the_group_may_connect(void **state)
{
    const struct fixture *fixture = *state;
    struct stat status;
    assert_int_equal(stat(fixture->socket, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0660);
}

static void test_an_answer_of_no_possible_time_is_none(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before, taken, listed;
    arrivals_figures(fixture->arrivals, &before, &listed);
    send_answer(fixture, "bad.dyn.example.", "198.51.100.53", UINT64_MAX / 1000000, 0);
    answer(fixture, "no.example.", "198.51.100.53", NOW_US, false); /* behind it */
    arrivals_figures(fixture->arrivals, &taken, &listed);
    assert_int_equal(taken, before + 1);
    assert_int_equal(listed, 0);
}

static void test_the_page_names_the_order(void **state)
{
    const struct fixture *fixture = *state;
    struct sink_endpoint local = {.address = address("192.0.2.67")};
    struct dialogue_order order;

    arrivals_order(fixture->arrivals, "bad.dyn.example", &local, &order);
    assert_string_equal(order.id, "nv-2014-00987");
    assert_string_equal(order.notice, "https://desk.example/orders/nv-2014-00987");
    arrivals_order(fixture->arrivals, "", &local, &order);
    assert_null(order.id);
    local.address = address("192.0.2.68");
    arrivals_order(fixture->arrivals, "x.example", &local, &order);
    assert_string_equal(order.id, "one");
    assert_null(order.notice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_a_client_says_itself_is_certain),
        cmocka_unit_test(test_an_address_of_one_order_tells_it_and_of_one_name_that),
        cmocka_unit_test(test_name_servers_of_the_group_may_connect),
        cmocka_unit_test(test_an_answer_of_no_possible_time_is_none),
        cmocka_unit_test(test_the_page_names_the_order),
        cmocka_unit_test_setup_teardown(
            test_an_answer_to_a_resolver_nearby_is_likely_what_brought_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_only_name_of_the_window_is_possible, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_old_answer_brought_nobody, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
