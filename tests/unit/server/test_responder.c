/* What a responder makes of requests: EDNS, its options and versions, truncation, extended errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libknot/libknot.h>

#include "base/rcu.h"
#include "server/responder.h"
#include "zone/zone_data.h"

#define NOW         1700000000
#define PAYLOAD_MAX 1232

/* Records of "many.a.example.": at 16 octets each about 1,600 in all. */
#define MANY 100

static const uint8_t APEX[] = "\1a\7example";
static const uint8_t OTHER[] = "\5other\7example";

struct fixture {
    struct zone zones[2]; /* a.example serves, other.example never loaded */
    struct responder_view view;
    struct responder_options options;
    struct responder *responder;
};

static struct fixture fixture;
static uint8_t response[RESPONSE_SIZE_MAX];

static void add(struct zone_builder *builder, const char *owner, uint16_t type, const void *rdata,
                size_t size)
{
    uint8_t wire[NAME_SIZE_MAX];
    struct error error;
    assert_non_null(knot_dname_from_str(wire, owner, sizeof(wire)));
    assert_int_equal(zone_builder_add(builder, wire, type, 300, rdata, (uint16_t)size, &error), 0);
}

static struct zone_data *make_data(void)
{
    static const uint8_t soa[] =
        "\3ns1\1a\7example\0\1h\0\0\0\0\7\0\0\1\0\0\0\1\0\0\0\1\0\0\0\0\x3c";
    static const uint8_t host[] = "\3ns1\1a\7example";
    struct zone_builder *builder;
    assert_int_equal(zone_builder_create(APEX, &builder), 0);
    add(builder, "a.example.", KNOT_RRTYPE_SOA, soa, sizeof(soa) - 1);
    add(builder, "a.example.", KNOT_RRTYPE_NS, host, sizeof(host));
    for (uint8_t i = 0; i < MANY; i++) {
        uint8_t address[4] = {192, 0, 2, i};
        add(builder, "many.a.example.", KNOT_RRTYPE_A, address, sizeof(address));
    }
    add(builder, "ns1.a.example.", KNOT_RRTYPE_A, (uint8_t[]){192, 0, 2, 1}, 4);
    add(builder, "big.a.example.", KNOT_RRTYPE_MX, "\0\1\4many\1a\7example", 18);

    struct zone_data *data;
    struct error error;
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    return data;
}

static bool nobody(void *context, const struct zone *zone, const struct sockaddr *client,
                   const char *key_name)
{
    (void)context;
    (void)zone;
    (void)client;
    (void)key_name;
    return false;
}

static int set_up(void **state)
{
    (void)state;
    static const uint8_t *const apexes[] = {APEX, OTHER};
    struct zone *zones[2];
    struct error error;
    rcu_register_thread();
    for (size_t i = 0; i < 2; i++) {
        zones[i] = &fixture.zones[i];
        zones[i]->role = ZONE_SECONDARY;
        assert_true(name_parse(&zones[i]->name, apexes[i], NAME_SIZE_MAX) > 0);
    }
    zones[0]->data = make_data();
    zones[0]->status = ZONE_SERVING;
    assert_int_equal(zone_data_create_empty(OTHER, &zones[1]->data), 0);
    assert_int_equal(zone_set_create(zones, 2, &fixture.view.zones), 0);
    fixture.options = (struct responder_options){
        .view = &fixture.view,
        .udp_payload_max = PAYLOAD_MAX,
        .tcp_idle_timeout_ms = 12300,
        .nsid = (const uint8_t *)"unit",
        .nsid_size = 4,
        .version = "tamis test",
        .notify_allowed = nobody,
    };
    return responder_create(&fixture.options, &fixture.responder, &error);
}

static int tear_down(void **state)
{
    (void)state;
    responder_free(fixture.responder);
    zone_set_free(fixture.view.zones);
    for (size_t i = 0; i < 2; i++)
        zone_data_free(fixture.zones[i].data);
    rcu_unregister_thread();
    return 0;
}

/* A query with, unless `payload` is 0, an OPT of these options. */
static size_t make_query(uint8_t *wire, const char *name, uint16_t type, uint16_t payload,
                         uint8_t version, const void *options, size_t options_size)
{
    memset(wire, 0, 12);
    knot_wire_set_id(wire, 0x1234);
    knot_wire_set_qdcount(wire, 1);
    assert_non_null(knot_dname_from_str(wire + 12, name, NAME_SIZE_MAX));
    size_t size = 12 + knot_dname_size(wire + 12);
    knot_wire_write_u16(wire + size, type);
    knot_wire_write_u16(wire + size + 2, KNOT_CLASS_IN);
    size += 4;
    if (payload == 0)
        return size;
    knot_wire_set_arcount(wire, 1);
    memset(wire + size, 0, 11);
    knot_wire_write_u16(wire + size + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(wire + size + 3, payload);
    wire[size + 6] = version;
    knot_wire_write_u16(wire + size + 9, (uint16_t)options_size);
    memcpy(wire + size + 11, options, options_size);
    return size + 11 + options_size;
}

/* Asks and parses; the caller frees the packet. */
static knot_pkt_t *ask_with(const char *name, uint16_t type, enum transport transport,
                            uint16_t payload, uint8_t version, const void *options,
                            size_t options_size)
{
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    uint8_t query[1000];
    size_t query_size = make_query(query, name, type, payload, version, options, options_size);
    size_t max = transport == TRANSPORT_UDP ? 4096 : sizeof(response);
    size_t size = responder_answer(fixture.responder, query, query_size,
                                   (const struct sockaddr *)&client, transport, NOW, response, max);
    assert_true(size >= 12 && size <= max);
    if (transport == TRANSPORT_UDP) {
        size_t limit = payload < 512 ? 512 : payload;
        assert_true(size <= (limit < PAYLOAD_MAX ? limit : PAYLOAD_MAX));
    }
    knot_pkt_t *packet = knot_pkt_new(response, (uint16_t)size, NULL);
    assert_int_equal(knot_pkt_parse(packet, 0), KNOT_EOK);
    assert_int_equal(knot_wire_get_id(response), 0x1234);
    assert_true(knot_wire_get_qr(response));
    assert_int_equal(packet->opt_rr != NULL, payload != 0);
    return packet;
}

static knot_pkt_t *ask(const char *name, uint16_t type, enum transport transport, uint16_t payload)
{
    return ask_with(name, type, transport, payload, 0, "", 0);
}

/* The data of an option of the response; NULL when it isn't there. */
static const uint8_t *option_of(const knot_pkt_t *packet, uint16_t code, size_t *ret_size)
{
    uint8_t *option =
        packet->opt_rr == NULL ? NULL : knot_edns_get_option(packet->opt_rr, code, NULL);
    if (option == NULL)
        return NULL;
    *ret_size = knot_edns_opt_get_length(option);
    return knot_edns_opt_get_data(option);
}

static void test_an_unknown_version_of_edns_gets_badvers_and_our_version(void **state)
{
    (void)state;
    for (unsigned version = 1; version < 256; version++) {
        knot_pkt_t *packet =
            ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232, (uint8_t)version, "", 0);
        assert_int_equal(knot_pkt_ext_rcode(packet), KNOT_RCODE_BADVERS);
        assert_int_equal(knot_edns_get_version(packet->opt_rr), 0);
        assert_int_equal(knot_edns_get_payload(packet->opt_rr), PAYLOAD_MAX);
        assert_int_equal(knot_pkt_section(packet, KNOT_ANSWER)->count, 0);
        knot_pkt_free(packet);
    }
}

static void test_nsid_comes_when_asked_for(void **state)
{
    (void)state;
    size_t size = 0;
    knot_pkt_t *packet =
        ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232, 0, "\0\3\0\0", 4);
    const uint8_t *nsid = option_of(packet, KNOT_EDNS_OPTION_NSID, &size);
    assert_non_null(nsid);
    assert_int_equal(size, 4);
    assert_memory_equal(nsid, "unit", 4);
    knot_pkt_free(packet);
    packet = ask("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232);
    assert_null(option_of(packet, KNOT_EDNS_OPTION_NSID, &size));
    knot_pkt_free(packet);
}

/* RFC 8467, 4.1: blocks of 468 octets; RFC 7830, 4: only when asked, only when encrypted. */
static void test_padded_queries_get_padded_answers_over_tls_only(void **state)
{
    (void)state;
    size_t size;
    /* NSID makes answers of other sizes; so does each name. */
    static const char padding[] = "\0\14\0\5\0\0\0\0\0\0\3\0\0";
    static const char *const names[] = {"ns1.a.example.", "a.example.", "none.a.example.",
                                        "many.a.example."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        for (size_t options_size = 9; options_size <= 13; options_size += 4) {
            knot_pkt_t *packet =
                ask_with(names[i], KNOT_RRTYPE_A, TRANSPORT_TLS_1_3, 512, 0, padding, options_size);
            assert_non_null(option_of(packet, KNOT_EDNS_OPTION_PADDING, &size));
            assert_int_equal(packet->size % 468, 0);
            knot_pkt_free(packet);
        }
        knot_pkt_t *packet = ask(names[i], KNOT_RRTYPE_A, TRANSPORT_TLS_1_3, 512);
        assert_null(option_of(packet, KNOT_EDNS_OPTION_PADDING, &size));
        knot_pkt_free(packet);
        packet = ask_with(names[i], KNOT_RRTYPE_A, TRANSPORT_TCP, 512, 0, padding, 9);
        assert_null(option_of(packet, KNOT_EDNS_OPTION_PADDING, &size));
        knot_pkt_free(packet);
    }
}

/* RFC 9103, 7.2 */
static void test_transfers_over_tls_1_2_are_refused(void **state)
{
    (void)state;
    static const uint16_t types[] = {KNOT_RRTYPE_AXFR, KNOT_RRTYPE_IXFR};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        knot_pkt_free(ask("a.example.", types[i], TRANSPORT_TLS_1_2, 0));
        assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_REFUSED);
        knot_pkt_free(ask("a.example.", types[i], TRANSPORT_TLS_1_3, 0));
        assert_int_not_equal(knot_wire_get_rcode(response), KNOT_RCODE_REFUSED);
    }
}

static void test_keepalive_is_told_over_tcp_and_tls_only(void **state)
{
    (void)state;
    size_t size = 0;
    static const char option[] = "\0\13\0\0";
    knot_pkt_t *packet =
        ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_TCP, 1232, 0, option, 4);
    const uint8_t *data = option_of(packet, KNOT_EDNS_OPTION_TCP_KEEPALIVE, &size);
    assert_non_null(data);
    assert_int_equal(size, 2);
    assert_int_equal(knot_wire_read_u16(data), 123);
    knot_pkt_free(packet);
    packet = ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_TLS_1_3, 1232, 0, option, 4);
    assert_non_null(option_of(packet, KNOT_EDNS_OPTION_TCP_KEEPALIVE, &size));
    knot_pkt_free(packet);
    packet = ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232, 0, option, 4);
    assert_null(option_of(packet, KNOT_EDNS_OPTION_TCP_KEEPALIVE, &size));
    knot_pkt_free(packet);
}

static void test_unknown_options_are_passed_over_and_cut_ones_refused(void **state)
{
    (void)state;
    knot_pkt_t *packet = ask_with("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232, 0,
                                  "\xfd\xe9\0\3abc\0\3\0\0", 11);
    size_t size;
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_NOERROR);
    assert_int_equal(knot_pkt_section(packet, KNOT_ANSWER)->count, 1);
    assert_non_null(option_of(packet, KNOT_EDNS_OPTION_NSID, &size));
    knot_pkt_free(packet);

    static const struct sockaddr_in client = {.sin_family = AF_INET};
    uint8_t query[100];
    size_t query_size = make_query(query, "ns1.a.example.", KNOT_RRTYPE_A, 1232, 0, "\0\3\0\7x", 5);
    assert_true(responder_answer(fixture.responder, query, query_size,
                                 (const struct sockaddr *)&client, TRANSPORT_UDP, NOW, response,
                                 4096) >= 12);
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_FORMERR);
}

/* For every size that a client may announce: all records of a set, or none and TC. */
static void test_truncation_is_at_the_border_of_a_record_set(void **state)
{
    (void)state;
    for (unsigned payload = 1; payload <= 4096; payload += 3) {
        knot_pkt_t *packet =
            ask("many.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, (uint16_t)payload);
        assert_true(knot_wire_get_tc(response));
        assert_int_equal(knot_pkt_section(packet, KNOT_ANSWER)->count, 0);
        knot_pkt_free(packet);

        /* What is only additional is left out whole, without TC (RFC 2181, 9). */
        packet = ask("big.a.example.", KNOT_RRTYPE_MX, TRANSPORT_UDP, (uint16_t)payload);
        assert_false(knot_wire_get_tc(response));
        assert_int_equal(knot_pkt_section(packet, KNOT_ANSWER)->count, 1);
        unsigned more = knot_pkt_section(packet, KNOT_ADDITIONAL)->count;
        assert_true(more < MANY);
        knot_pkt_free(packet);
    }
    knot_pkt_t *packet = ask("many.a.example.", KNOT_RRTYPE_A, TRANSPORT_TCP, 512);
    assert_false(knot_wire_get_tc(response));
    assert_int_equal(knot_wire_get_ancount(response), MANY);
    knot_pkt_free(packet);
}

static void test_without_edns_an_answer_has_512_octets_and_no_opt(void **state)
{
    (void)state;
    knot_pkt_t *packet = ask("many.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 0);
    assert_true(knot_wire_get_tc(response));
    assert_int_equal(knot_wire_get_arcount(response), 0);
    knot_pkt_free(packet);
}

static void test_a_zone_without_data_says_why_it_does_not_answer(void **state)
{
    (void)state;
    size_t size = 0;
    knot_pkt_t *packet = ask("x.other.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232);
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_SERVFAIL);
    const uint8_t *data = option_of(packet, KNOT_EDNS_OPTION_EDE, &size);
    assert_non_null(data);
    assert_int_equal(knot_wire_read_u16(data), KNOT_EDNS_EDE_NOT_READY);
    knot_pkt_free(packet);

    fixture.zones[1].status = ZONE_EXPIRED;
    packet = ask("x.other.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232);
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_SERVFAIL);
    data = option_of(packet, KNOT_EDNS_OPTION_EDE, &size);
    assert_non_null(data);
    assert_int_equal(knot_wire_read_u16(data), KNOT_EDNS_EDE_INV_DATA);
    knot_pkt_free(packet);
    fixture.zones[1].status = ZONE_UNLOADED;
}

static void test_what_is_not_ours_is_refused_without_records(void **state)
{
    (void)state;
    static const char *const names[] = {"b.example.", "example.", ".", "xa.example."};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        knot_pkt_t *packet = ask(names[i], KNOT_RRTYPE_NS, TRANSPORT_UDP, 0);
        assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_REFUSED);
        assert_int_equal(packet->rrset_count, 0);
        knot_pkt_free(packet);
    }
}

/* A response, and what is shorter than a header, is not answered: two servers would talk for ever.
 */
static void test_responses_and_scraps_get_no_answer(void **state)
{
    (void)state;
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    uint8_t query[100];
    size_t size = make_query(query, "ns1.a.example.", KNOT_RRTYPE_A, 0, 0, "", 0);
    struct responder_counters before, after;
    responder_counters(fixture.responder, &before);
    for (size_t cut = 0; cut < 12; cut++)
        assert_int_equal(responder_answer(fixture.responder, query, cut,
                                          (const struct sockaddr *)&client, TRANSPORT_UDP, NOW,
                                          response, 4096),
                         0);
    knot_wire_set_qr(query);
    assert_int_equal(responder_answer(fixture.responder, query, size,
                                      (const struct sockaddr *)&client, TRANSPORT_UDP, NOW,
                                      response, 4096),
                     0);
    responder_counters(fixture.responder, &after);
    assert_int_equal(after.ignored - before.ignored, 13);
}

/* ---- Orders that only policy zones make, and these zones themselves ---- */

/* Puts an order for ns1.a.example in force, with that action; NULL lifts it. */
static void set_order(const enum verdict_action *action)
{
    static const char text[] = "id: t-1\nkind: court\nauthority: x\n"
                               "starts: 2014-06-30T12:00:00Z\nends: 2034-07-14T12:00:00Z\n"
                               "action: nodata\nnames: [ns1.a.example]\n";
    static const struct order_policy unverified = {.unverified = true};
    struct order *order;
    struct active_order *active;
    struct error error;

    overlay_set_free(fixture.view.orders);
    fixture.view.orders = NULL;
    if (action == NULL)
        return;
    assert_int_equal(order_load_text("t", text, sizeof(text) - 1, &unverified, &order, &error), 0);
    order->action = order->verdict.action = *action;
    assert_int_equal(zone_data_mark(fixture.zones[0].data, order_names_at(&order->names, 0)), 0);
    assert_int_equal(active_order_create(order, 1, &active), 0);
    assert_int_equal(overlay_set_create(&active, 1, &fixture.view.orders), 0);
    active_order_unref(active);
}

static void test_a_dropped_name_gets_no_answer_and_others_do(void **state)
{
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    static const enum verdict_action action = VERDICT_DROP;
    uint8_t query[100];
    size_t size = make_query(query, "ns1.a.example.", KNOT_RRTYPE_A, 0, 0, "", 0);

    (void)state;
    set_order(&action);
    for (enum transport transport = TRANSPORT_UDP; transport <= TRANSPORT_TCP; transport++)
        assert_int_equal(responder_answer(fixture.responder, query, size,
                                          (const struct sockaddr *)&client, transport, NOW,
                                          response, 4096),
                         0);
    knot_pkt_free(ask("a.example.", KNOT_RRTYPE_SOA, TRANSPORT_UDP, 1232));
    assert_int_equal(knot_wire_get_ancount(response), 1);
    set_order(NULL);
}

static void test_a_tcp_only_name_is_truncated_over_udp_and_whole_over_tcp(void **state)
{
    static const enum verdict_action action = VERDICT_TCP_ONLY;
    size_t size;

    (void)state;
    set_order(&action);
    knot_pkt_t *packet = ask("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232);
    assert_true(knot_wire_get_tc(response));
    assert_int_equal(knot_wire_get_ancount(response), 0);
    assert_null(option_of(packet, KNOT_EDNS_OPTION_EDE, &size));
    knot_pkt_free(packet);
    knot_pkt_free(ask("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_TCP, 1232));
    assert_false(knot_wire_get_tc(response));
    assert_true(knot_wire_get_aa(response));
    assert_int_equal(knot_wire_get_ancount(response), 1);
    set_order(NULL);
}

static bool everybody(void *context, const struct zone *zone, const struct sockaddr *client,
                      const char *key_name)
{
    return !nobody(context, zone, client, key_name);
}

static void test_a_zone_for_transfer_answers_only_who_may_transfer_it(void **state)
{
    struct responder_options options = fixture.options;
    struct responder *usual = fixture.responder;
    struct error error;
    size_t size;

    (void)state;
    options.transfer_allowed = everybody;
    fixture.zones[0].transfer_only = true;
    knot_pkt_t *packet = ask("ns1.a.example.", KNOT_RRTYPE_A, TRANSPORT_UDP, 1232);
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_REFUSED);
    assert_int_equal(packet->rrset_count, 1); /* the OPT */
    const uint8_t *data = option_of(packet, KNOT_EDNS_OPTION_EDE, &size);
    assert_non_null(data);
    assert_int_equal(knot_wire_read_u16(data), KNOT_EDNS_EDE_PROHIBITED);
    knot_pkt_free(packet);

    assert_int_equal(responder_create(&options, &fixture.responder, &error), 0);
    knot_pkt_free(ask("a.example.", KNOT_RRTYPE_SOA, TRANSPORT_UDP, 1232));
    assert_int_equal(knot_wire_get_rcode(response), KNOT_RCODE_NOERROR);
    assert_int_equal(knot_wire_get_ancount(response), 1);
    responder_free(fixture.responder);
    fixture.responder = usual;
    fixture.zones[0].transfer_only = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_unknown_version_of_edns_gets_badvers_and_our_version),
        cmocka_unit_test(test_nsid_comes_when_asked_for),
        cmocka_unit_test(test_padded_queries_get_padded_answers_over_tls_only),
        cmocka_unit_test(test_transfers_over_tls_1_2_are_refused),
        cmocka_unit_test(test_keepalive_is_told_over_tcp_and_tls_only),
        cmocka_unit_test(test_unknown_options_are_passed_over_and_cut_ones_refused),
        cmocka_unit_test(test_truncation_is_at_the_border_of_a_record_set),
        cmocka_unit_test(test_without_edns_an_answer_has_512_octets_and_no_opt),
        cmocka_unit_test(test_a_zone_without_data_says_why_it_does_not_answer),
        cmocka_unit_test(test_what_is_not_ours_is_refused_without_records),
        cmocka_unit_test(test_responses_and_scraps_get_no_answer),
        cmocka_unit_test(test_a_dropped_name_gets_no_answer_and_others_do),
        cmocka_unit_test(test_a_tcp_only_name_is_truncated_over_udp_and_whole_over_tcp),
        cmocka_unit_test(test_a_zone_for_transfer_answers_only_who_may_transfer_it),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
