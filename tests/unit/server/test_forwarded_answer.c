/* Answers of forwarded zones that are copied straight from the cache are, octet for octet, those of
 * the general way, and leave the same traces: for random answers, questions and times, below orders
 * that list names, targets of aliases and addresses beside answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>
#include <libknot/libknot.h>

#include "base/rcu.h"
#include "front/cached_message.h"
#include "order/overlay_set.h"
#include "server/config.h"
#include "server/responder_internal.h"

#define QUESTIONS    100000
#define NOW          INT64_C(1790000000)
#define PAYLOAD_MAX  1232
#define BATCH_MAX    40
#define BUFFER_SIZE  4096
#define CACHE_OCTETS (1 << 20)
#define NAMES        40 /* "n0" and on */

/* After so many batches answers are kept anew, and time begins again. */
#define BATCHES_A_ROUND 60

static const char order_text[] =
    "id: t\nkind: court\nauthority: x\nstarts: 2020-01-01T00:00:00Z\nends: 2099-01-01T00:00:00Z\n"
    "action: sinkhole\nsinkhole: { a: [192.0.2.66] }\nnames: [n1.f.example, n7.f.example, "
    "n9.f.example, n3.s.example]\n";

/* Two of all: one is asked directly, the other generally. */
struct side {
    struct cache *cache;
    struct responder_view view;
    struct responder *responder;
    uint64_t asked, trace; /* of the origin */
};
static struct side direct, general;
static struct zone zones[2];
static struct config_zone subnet_config = {.passes_client_subnet = true};
static struct cached_message *message;

static unsigned below(unsigned bound)
{
    return (unsigned)rand() % bound;
}

/* ---- The origin's answers ---- */

static uint8_t wire[UINT16_MAX];
static size_t wire_size;

static void put_u16(uint16_t value)
{
    knot_wire_write_u16(wire + wire_size, value);
    wire_size += 2;
}

static size_t make_name(uint8_t *at, unsigned number, const struct zone *zone)
{
    at[0] = (uint8_t)snprintf((char *)at + 1, 8, "n%u", number);
    memcpy(at + 1 + at[0], zone->name.wire, zone->name.size);
    return 1u + at[0] + zone->name.size;
}

static void put_record(unsigned section, const uint8_t *owner, uint16_t type, const void *rdata,
                       size_t size)
{
    knot_wire_write_u16(wire + 6 + 2 * section,
                        (uint16_t)(knot_wire_read_u16(wire + 6 + 2 * section) + 1));
    const size_t owner_size = name_wire_size(owner);
    memcpy(wire + wire_size, owner, owner_size);
    wire_size += owner_size;
    put_u16(type);
    put_u16(KNOT_CLASS_IN);
    put_u16(0);
    put_u16((uint16_t)(20 + below(100)));
    put_u16((uint16_t)size);
    memcpy(wire + wire_size, rdata, size);
    wire_size += size;
}

static void put_addresses(unsigned section, const uint8_t *owner, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        put_record(section, owner, KNOT_RRTYPE_A, (uint8_t[]){192, 0, 2, (uint8_t)i}, 4);
}

static void put_soa(const struct zone *zone)
{
    uint8_t rdata[2 + 20] = {0};
    rdata[sizeof(rdata) - 1] = 50; /* MINIMUM */
    put_record(1, zone->name.wire, KNOT_RRTYPE_SOA, rdata, sizeof(rdata));
}

static void put_mail(const uint8_t *owner, const struct zone *zone)
{
    uint8_t rdata[2 + NAME_SIZE_MAX] = {0, 5};
    const size_t size = make_name(rdata + 2, below(NAMES), zone);
    put_record(0, owner, KNOT_RRTYPE_MX, rdata, 2 + size);
    if (below(2) == 0)
        put_addresses(2, rdata + 2, 1 + below(3));
}

static void put_alias(const uint8_t *owner, uint16_t type, const struct zone *zone)
{
    uint8_t target[NAME_SIZE_MAX];
    const size_t size = make_name(target, below(NAMES), zone);
    put_record(0, owner, KNOT_RRTYPE_CNAME, target, size);
    if (type == KNOT_RRTYPE_A)
        put_addresses(0, target, 1);
    else
        put_soa(zone);
}

static void put_referral(const uint8_t *owner, const struct zone *zone)
{
    uint8_t server[NAME_SIZE_MAX];
    const size_t size = make_name(server, below(NAMES), zone);
    put_record(1, owner, KNOT_RRTYPE_NS, server, size);
    put_addresses(2, server, 1);
}

static void put_anything(const uint8_t *owner, uint16_t type, const struct zone *zone)
{
    switch (below(8)) {
    case 0:
        knot_wire_set_rcode(wire, KNOT_RCODE_NXDOMAIN);
        put_soa(zone);
        return;
    case 1:
        put_soa(zone);
        return;
    case 2:
        put_alias(owner, type, zone);
        return;
    case 3:
        knot_wire_clear_aa(wire);
        put_referral(owner, zone);
        return;
    default:
        if (type == KNOT_RRTYPE_MX)
            put_mail(owner, zone);
        else if (type == KNOT_RRTYPE_TXT)
            put_record(0, owner, type, "\3abc", 4);
        else
            put_addresses(0, owner, below(8) == 0 ? 20 + below(80) : 1 + below(3));
    }
}

static const uint16_t types[] = {KNOT_RRTYPE_A, KNOT_RRTYPE_A, KNOT_RRTYPE_A, KNOT_RRTYPE_TXT,
                                 KNOT_RRTYPE_MX};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* Both caches keep the same answer to one question. */
static void keep_answer(unsigned number, uint16_t type, const struct zone *zone, bool dnssec_ok)
{
    static const uint8_t error[] = {0, 15, 0, 4, 0, 9, 'h', 'm'};
    uint8_t owner[NAME_SIZE_MAX];
    struct name name;
    const size_t owner_size = make_name(owner, number, zone);
    assert_true(name_parse(&name, owner, owner_size) > 0);
    memset(wire, 0, KNOT_WIRE_HEADER_SIZE);
    knot_wire_write_u16(wire + 2, 0x8400); /* QR, AA */
    knot_wire_set_qdcount(wire, 1);
    memcpy(wire + KNOT_WIRE_HEADER_SIZE, owner, owner_size);
    wire_size = KNOT_WIRE_HEADER_SIZE + owner_size;
    put_u16(type);
    put_u16(KNOT_CLASS_IN);
    put_anything(owner, type, zone);
    put_record(2, (const uint8_t *)"", KNOT_RRTYPE_OPT, error, below(4) == 0 ? sizeof(error) : 0);

    const struct message_question question = {
        .key = {.name = &name, .type = type, .dnssec_ok = dnssec_ok},
        .zone = &zone->name,
        .now = NOW,
        .stale_s = 100,
    };
    struct cached_answer answer;
    if (cached_message_read(message, &question, wire, wire_size, &answer) != MESSAGE_ANSWER)
        return;
    cache_put(direct.cache, &question.key, &answer);
    cache_put(general.cache, &question.key, &answer);
}

static void keep_answers(void)
{
    for (unsigned number = 0; number < NAMES; number++)
        for (size_t type = 0; type < TYPES; type++)
            for (size_t zone = 0; zone < 2; zone++)
                if (below(4) != 0)
                    keep_answer(number, types[type], &zones[zone], below(2) == 0);
}

/* ---- The world ---- */

static int forward(void *context, const struct zone *zone, const struct cache_key *key,
                   const struct request *request, bool subnet, const struct sockaddr *client,
                   enum transport transport)
{
    struct side *side = context;
    (void)zone, (void)request, (void)transport;
    const uint64_t what = key->name->hashes[0] ^ (uint64_t)key->type << 5 ^
                          (uint64_t)key->dnssec_ok << 4 ^ (uint64_t)key->checking_disabled << 3 ^
                          (uint64_t)subnet << 2 ^ (uint64_t)(client == NULL) << 1;
    side->asked++;
    side->trace = (side->trace ^ what) * UINT64_C(0x9e3779b97f4a7c15);
    return RESPONDER_SILENT;
}

static void make_zone(struct zone *zone, const char *text)
{
    uint8_t apex[NAME_SIZE_MAX];
    assert_non_null(knot_dname_from_str(apex, text, sizeof(apex)));
    assert_true(name_parse(&zone->name, apex, sizeof(apex)) > 0);
    assert_int_equal(zone_data_create_empty(apex, &zone->data), 0);
    zone->role = ZONE_FORWARD;
}

static struct overlay_set *make_orders(struct active_order **ret_active)
{
    const struct order_policy unverified = {.unverified = true};
    struct order *order;
    struct overlay_set *set;
    struct error error;
    if (order_load_text("t", order_text, sizeof(order_text) - 1, &unverified, &order, &error) < 0)
        fail_msg("%s", error.text);
    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *name = order_names_at(&order->names, i);
        const size_t zone = memcmp(name + name[0] + 1, zones[0].name.wire, 2) == 0 ? 0 : 1;
        assert_int_equal(zone_data_mark(zones[zone].data, name), 0);
    }
    assert_int_equal(active_order_create(order, 1, ret_active), 0);
    assert_int_equal(overlay_set_create(ret_active, 1, &set), 0);
    return set;
}

static void make_side(struct side *side, struct zone_set *set)
{
    static const uint8_t nsid[] = "us";
    static struct responder_options options[2];
    struct responder_options *own = &options[side == &general];
    const struct cache_options cache = {.octets_max = CACHE_OCTETS};
    struct error error;
    assert_int_equal(cache_create(&cache, &side->cache), 0);
    side->view = (struct responder_view){.zones = set, .cache = side->cache};
    *own = (struct responder_options){.view = &side->view,
                                      .udp_payload_max = PAYLOAD_MAX,
                                      .nsid = nsid,
                                      .nsid_size = sizeof(nsid),
                                      .forward = forward,
                                      .context = side};
    assert_int_equal(responder_create(own, &side->responder, &error), 0);
    side->responder->is_never_direct = side == &general;
}

static struct zone_set *zone_set;
static struct overlay_set *orders;
static struct active_order *active;

static int set_up(void **state)
{
    (void)state;
    rcu_register_thread();
    make_zone(&zones[0], "f.example.");
    make_zone(&zones[1], "s.example."); /* whose origin sees the client's subnet */
    zones[1].config = &subnet_config;
    struct zone *const pointers[] = {&zones[0], &zones[1]};
    assert_int_equal(zone_set_create(pointers, 2, &zone_set), 0);
    message = cached_message_create();
    assert_non_null(message);
    make_side(&direct, zone_set);
    make_side(&general, zone_set);
    orders = make_orders(&active);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    responder_free(direct.responder);
    responder_free(general.responder);
    overlay_set_free(orders);
    active_order_unref(active);
    zone_set_free(zone_set);
    for (size_t i = 0; i < 2; i++)
        zone_data_free(zones[i].data);
    cached_message_free(message);
    rcu_quiescent_state();
    cache_free(direct.cache);
    cache_free(general.cache);
    rcu_unregister_thread();
    return 0;
}

/* ---- Questions ---- */

static size_t make_edns(uint8_t *at)
{
    static const uint16_t payloads[] = {0, 512, 530, 700, 1232, 4096};
    static const uint8_t nsid[] = {0, 3, 0, 0}, subnet[] = {0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2};
    memset(at, 0, 11);
    at[2] = KNOT_RRTYPE_OPT;
    knot_wire_write_u16(at + 3, payloads[below(6)]);
    at[7] = (uint8_t)(below(2) << 7);
    size_t size = 11;
    if (below(4) == 0) {
        memcpy(at + size, nsid, sizeof(nsid));
        size += sizeof(nsid);
    }
    if (below(4) == 0) {
        memcpy(at + size, subnet, sizeof(subnet));
        size += sizeof(subnet);
    }
    knot_wire_write_u16(at + 9, (uint16_t)(size - 11));
    return size;
}

static size_t make_request(uint8_t *request)
{
    memset(request, 0, KNOT_WIRE_HEADER_SIZE);
    knot_wire_set_id(request, (uint16_t)rand());
    request[2] = (uint8_t)below(2);
    request[3] = (uint8_t)(below(10) == 0 ? 0x10 : 0); /* CD */
    knot_wire_set_qdcount(request, 1);
    uint8_t *at = request + KNOT_WIRE_HEADER_SIZE;
    const struct zone *zone = &zones[below(2)];
    /* The few first ones are popular; none is beyond what is ever kept. */
    unsigned number = below(2) == 0 ? below(10) : below(NAMES + 2);
    at += make_name(at, number, zone);
    for (uint8_t *octet = request + KNOT_WIRE_HEADER_SIZE; octet < at && below(3) == 0; octet++)
        if (*octet == 'n')
            *octet = 'N';
    knot_wire_write_u16(at, below(20) == 0 ? KNOT_RRTYPE_ANY : types[below(TYPES)]);
    knot_wire_write_u16(at + 2, KNOT_CLASS_IN);
    at += 4;
    if (below(2) == 0) {
        knot_wire_set_arcount(request, 1);
        at += make_edns(at);
    }
    return (size_t)(at - request);
}

/* ---- Comparing ---- */

static struct {
    unsigned direct, addresses, denials, options, truncated;
} seen;

static void note(const struct responder_datagram *datagram)
{
    const uint8_t *response = datagram->response;
    seen.truncated += (response[2] & 2) != 0;
    if (response != datagram->request)
        return;
    seen.direct++;
    seen.addresses += knot_wire_get_ancount(response) > 0;
    seen.denials += knot_wire_get_rcode(response) == KNOT_RCODE_NXDOMAIN;
    seen.options += datagram->response_size > 8 &&
                    memcmp(response + datagram->response_size - 8, "\0\17\0\4\0\11hm", 8) == 0;
}

static void ask_batch(unsigned count, int64_t now)
{
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    static uint8_t originals[BATCH_MAX][BUFFER_SIZE], requests[BATCH_MAX][BUFFER_SIZE],
        spares[BATCH_MAX][BUFFER_SIZE], expected[BATCH_MAX][BUFFER_SIZE];
    const struct sockaddr *from = (const struct sockaddr *)&client;
    struct responder_datagram datagrams[BATCH_MAX];
    size_t expected_sizes[BATCH_MAX];
    for (unsigned i = 0; i < count; i++) {
        const size_t size = make_request(originals[i]);
        memcpy(requests[i], originals[i], size);
        datagrams[i] = (struct responder_datagram){
            .request = requests[i], .request_size = size, .client = from, .spare = spares[i]};
        expected_sizes[i] = responder_answer(general.responder, originals[i], size, from,
                                             TRANSPORT_UDP, now, expected[i], BUFFER_SIZE);
    }
    responder_answer_batch(direct.responder, datagrams, count, now, BUFFER_SIZE);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(datagrams[i].response_size, expected_sizes[i]);
        if (expected_sizes[i] == 0)
            continue;
        assert_memory_equal(datagrams[i].response, expected[i], expected_sizes[i]);
        note(&datagrams[i]);
    }
    assert_int_equal(direct.asked, general.asked);
    assert_int_equal(direct.trace, general.trace);
}

static void ask_all(struct overlay_set *set)
{
    struct responder_counters one, other;
    struct cache_counters one_cache, other_cache;
    memset(&seen, 0, sizeof(seen));
    direct.view.orders = general.view.orders = set;
    unsigned batches = 0;
    for (unsigned asked = 0; asked < QUESTIONS; batches++) {
        const unsigned count = 1 + below(BATCH_MAX);
        if (batches % BATCHES_A_ROUND == 0)
            keep_answers();
        /* From fresh to expired, and once in a while before it was kept. */
        ask_batch(count, NOW - 5 + (int64_t)(batches % BATCHES_A_ROUND) * 2);
        rcu_quiescent_state();
        asked += count;
    }
    responder_counters(direct.responder, &one);
    responder_counters(general.responder, &other);
    assert_memory_equal(&one, &other, sizeof(one));
    cache_counters(direct.cache, &one_cache);
    cache_counters(general.cache, &other_cache);
    assert_int_equal(one_cache.hits, other_cache.hits);
    assert_int_equal(one_cache.misses, other_cache.misses);
    assert_true(one_cache.hits > QUESTIONS / 4);
    assert_true(seen.direct > QUESTIONS / 8 && seen.addresses > 1000 && seen.denials > 1000);
    assert_true(seen.options > 100 && seen.truncated > 100);
    assert_int_equal(one.verdicts > 100, set != NULL);
}

static void test_direct_answers_are_the_general_ones_without_orders(void **state)
{
    (void)state;
    ask_all(NULL);
}

static void test_direct_answers_are_the_general_ones_below_an_order(void **state)
{
    (void)state;
    ask_all(orders);
}

int main(void)
{
    const char *text = getenv("SEED");
    const unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 10) : (unsigned)time(NULL);
    printf("SEED=%u\n", seed);
    srand(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_answers_are_the_general_ones_without_orders),
        cmocka_unit_test(test_direct_answers_are_the_general_ones_below_an_order),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
