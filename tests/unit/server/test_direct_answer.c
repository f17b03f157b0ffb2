/* Answers that are written straight behind the question are, octet for octet, those of the general
 * way: for random questions to zones of every kind, below orders of every action. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <libknot/libknot.h>

#include "base/rcu.h"
#include "order/overlay_set.h"
#include "server/responder_internal.h"
#include "zone/zone_file.h"

#define QUESTIONS   200000 /* to each set of orders */
#define NOW         1790000000
#define PAYLOAD_MAX 1232
#define BATCH_MAX   40
#define BUFFER_SIZE 4096
#define REQUEST_MAX 700
#define OWNERS_MAX  200

enum { SERVED = 11, ZONES = SERVED + 2 };

/* Zones beside those of the fuzzer's fixtures, which are alike but for the chain. */
static const char *const texts[] = {
    /* Hosts and nothing else, more addresses than fit, a TTL below the SOA's minimum. */
    "$ORIGIN flat.example.\n$TTL 30\n@ SOA ns1 hostmaster 1 2 3 4 900\n@ NS ns1\n@ A 192.0.2.1\n"
    "ns1 A 192.0.2.1\nhost A 192.0.2.2\nhost AAAA 2001:db8::2\nsix AAAA 2001:db8::6\n"
    "two A 192.0.2.3\ntwo A 192.0.2.4\ntext TXT \"a\" \"b\"\ntext A 192.0.2.5\nmail MX 1 host\n"
    "listed A 192.0.2.6\nmixed A 192.0.2.7\nmixed TXT x\nmixed MX 1 two\n",
    /* Below a wildcard at the apex. */
    "$ORIGIN star.example.\n@ 60 SOA ns1 hostmaster 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
    "* 60 A 192.0.2.9\na.b.c.d 60 A 192.0.2.8\n",
    /* Names of its servers outside of it, one below the other. */
    "$ORIGIN far.example.\n@ 60 SOA ns.provider.example. mail.ns.provider.example. 1 2 3 4 5\n"
    "@ 60 NS ns.provider.example.\nhost 60 A 192.0.2.1\nlisted 60 A 192.0.2.1\n"
    "a.b.c.d.e.f.g.h 60 A 192.0.2.2\n",
    /* The SOA's names lie below names that are asked for. */
    "$ORIGIN deep.flat.example.\n@ 60 SOA a.host.deep.flat.example. A.B.Host.deep.flat.example. 1 "
    "2 3 4 5\n"
    "@ 60 NS host\nhost 60 A 192.0.2.1\na.host 60 A 192.0.2.1\nb.host 60 TXT x\nother 60 A "
    "192.0.2.2\n",
    /* Elsewhere altogether; the apex itself is in its SOA. */
    "$ORIGIN own.test.\n@ 60 SOA @ own.invalid. 1 2 3 4 5\n@ 60 NS ns.invalid.\nhost 60 A "
    "192.0.2.1\n",
    /* Signatures without a chain that could prove anything. */
    "$ORIGIN half.example.\n@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\nns1 60 A 192.0.2.1\n"
    "@ 60 RRSIG SOA 13 2 60 20360101000000 20260101000000 15037 half.example. AAAA\n"
    "host 60 A 192.0.2.2\nhost 60 RRSIG A 13 3 60 20360101000000 20260101000000 15037 "
    "half.example. AAAA\n"
    "listed 60 A 192.0.2.2\n",
    /* A chain without signatures. */
    "$ORIGIN bare.example.\n@ 60 SOA ns1 h 1 2 3 4 5\n@ 60 NS ns1\n"
    "@ 60 NSEC ns1.bare.example. NS SOA NSEC\nns1 60 A 192.0.2.1\n"
    "ns1 60 NSEC bare.example. A NSEC\nlisted 60 A 192.0.2.1\n",
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

static const char *const fixtures[] = {"plain.example.", "signed.example.", "signed3.example."};
#define FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))
static_assert(TEXTS + FIXTURES + 1 == SERVED, "every zone has its place");

#define ORDER(id, starts, rest)                                             \
    "id: " id "\nkind: court\nauthority: x\nstarts: " starts                \
    "\nends: 2099-01-01T00:00:00Z\nnotice: https://desk.example/orders/" id \
    "-and-a-long-text\n" rest
static const char *const order_texts[] = {
    ORDER("sinkhole", "2020-01-01T00:00:00Z",
          "action: sinkhole\nsinkhole: { a: [192.0.2.66, 192.0.2.67], aaaa: [\"2001:db8::66\"], "
          "ttl: 7 }\n"
          "names: [bad.plain.example, gone.plain.example, x.wild.plain.example, "
          "below.cut.plain.example, host.signed.example, listed.flat.example, dead.flat.example, "
          "a.dead.flat.example, other.deep.flat.example, x.b.c.d.star.example, "
          "listed.half.example]\n"),
    ORDER("four", "2020-01-02T00:00:00Z",
          "action: sinkhole\nsinkhole: { a: [192.0.2.68], ttl: 86400 }\n"
          "names: [listed.far.example, host.own.test, dead.signed3.example, six.flat.example]\n"),
    ORDER(
        "gone", "2020-01-03T00:00:00Z",
        "action: nxdomain\nnames: [two.flat.example, mail.plain.example, a.host.deep.flat.example, "
        "dead.half.example, host.unloaded.example, dead.signed.example]\n"),
    ORDER("empty", "2020-01-04T00:00:00Z",
          "action: nodata\nnames: [text.flat.example, host.far.example, dead.far.example, "
          "host.new.plain.example, host.expired.example]\n"),
    ORDER("no", "2020-01-05T00:00:00Z",
          "action: refuse\nnames: [mail.flat.example, b.host.deep.flat.example, dead.own.test, "
          "www.plain.example]\n"),
    ORDER("look", "2020-01-06T00:00:00Z",
          "action: observe\nnames: [host.flat.example, two.flat.example, dead.plain.example, "
          "mixed.flat.example]\n"),
    /* Not in force yet: its names only carry marks. */
    ORDER("later", "2098-01-01T00:00:00Z",
          "action: nxdomain\nnames: [ns1.flat.example, none.flat.example, host.plain.example, "
          "none.b.star.example]\n"),
};
#define ORDERS (sizeof(order_texts) / sizeof(order_texts[0]))

static struct zone zones[ZONES];
static struct active_order *orders[ORDERS];
static struct responder_view view;
static struct responder *direct, *general;

static uint8_t owners[OWNERS_MAX][NAME_SIZE_MAX];
static size_t owner_count;

static const uint16_t types[] = {KNOT_RRTYPE_A,
                                 KNOT_RRTYPE_A,
                                 KNOT_RRTYPE_A,
                                 KNOT_RRTYPE_AAAA,
                                 KNOT_RRTYPE_TXT,
                                 KNOT_RRTYPE_MX,
                                 KNOT_RRTYPE_SOA,
                                 KNOT_RRTYPE_NS,
                                 KNOT_RRTYPE_DS,
                                 KNOT_RRTYPE_ANY,
                                 KNOT_RRTYPE_RRSIG,
                                 KNOT_RRTYPE_NSEC,
                                 KNOT_RRTYPE_CNAME,
                                 KNOT_RRTYPE_DNAME,
                                 65280,
                                 KNOT_RRTYPE_AXFR,
                                 0};

/* ---- The world ---- */

static void add_owner(const uint8_t *wire)
{
    assert_true(owner_count < OWNERS_MAX);
    memcpy(owners[owner_count++], wire, name_wire_size(wire));
}

static int visit_owner(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    (void)context, (void)entry;
    add_owner(owner);
    return 0;
}

static void name_zone(struct zone *zone, const char *text)
{
    uint8_t apex[NAME_SIZE_MAX];
    assert_non_null(knot_dname_from_str(apex, text, sizeof(apex)));
    assert_true(name_parse(&zone->name, apex, sizeof(apex)) > 0);
    add_owner(apex);
}

static void load_zone(struct zone *zone, const char *name, const char *path)
{
    struct error error = {0};
    name_zone(zone, name);
    if (zone_file_load(path, zone->name.wire, NULL, NULL, &zone->data, &error) < 0)
        fail_msg("%s", error.text);
    zone->status = ZONE_SERVING;
    assert_int_equal(zone_data_each(zone->data, visit_owner, NULL), 0);
}

static void load_text(struct zone *zone, const char *text)
{
    char path[] = "/tmp/test_direct_answer.XXXXXX", name[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(close(fd), 0);
    assert_int_equal(sscanf(text, "$ORIGIN %63s", name), 1);
    load_zone(zone, name, path);
    assert_int_equal(unlink(path), 0);
}

/* A zone of answers that just fit, or just don't. */
static void load_large(struct zone *zone)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    fputs("$ORIGIN large.example.\n$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\n", stream);
    for (int name = 0; name < 12; name++)
        for (int address = 0; address < 25 + name; address++)
            fprintf(stream, "host%d A 192.0.2.%d\n", name, address);
    assert_int_equal(fclose(stream), 0);
    load_text(zone, text);
    free(text);
}

/* Leaves a zone without data, but with what is asked for in it. */
static void leave_empty(struct zone *zone, const char *name, const char *host,
                        enum zone_status status)
{
    uint8_t wire[NAME_SIZE_MAX];
    name_zone(zone, name);
    assert_int_equal(zone_data_create_empty(zone->name.wire, &zone->data), 0);
    zone->status = status;
    assert_non_null(knot_dname_from_str(wire, host, sizeof(wire)));
    add_owner(wire);
}

static void load_order(size_t index)
{
    struct order *order;
    struct error error = {0};
    const struct order_policy unverified = {.unverified = true};
    if (order_load_text("t", order_texts[index], strlen(order_texts[index]), &unverified, &order,
                        &error) < 0)
        fail_msg("order %zu: %s", index, error.text);
    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *wire = order_names_at(&order->names, i);
        struct name name;
        assert_true(name_parse(&name, wire, NAME_SIZE_MAX) > 0);
        struct zone *zone = zone_set_find(view.zones, &name, 0);
        assert_non_null(zone);
        assert_int_equal(zone_data_mark(zone->data, wire), 0);
        add_owner(wire);
    }
    assert_int_equal(active_order_create(order, 1, &orders[index]), 0);
}

static int set_up(void **state)
{
    (void)state;
    static const uint8_t nsid[400] = "so long that little room is left beside it";
    static struct responder_options options = {
        .view = &view,
        .udp_payload_max = PAYLOAD_MAX,
        .tcp_idle_timeout_ms = 10000,
        .nsid = nsid,
        .nsid_size = sizeof(nsid),
    };
    struct zone *pointers[ZONES];
    struct error error;

    rcu_register_thread();
    for (size_t i = 0; i < TEXTS; i++)
        load_text(&zones[i], texts[i]);
    load_large(&zones[TEXTS + FIXTURES]);
    for (size_t i = 0; i < FIXTURES; i++) {
        char path[512];
        snprintf(path, sizeof(path), "%s/%szone", FIXTURES_PATH, fixtures[i]);
        load_zone(&zones[TEXTS + i], fixtures[i], path);
    }
    leave_empty(&zones[SERVED], "unloaded.example.", "host.unloaded.example.", ZONE_UNLOADED);
    leave_empty(&zones[SERVED + 1], "expired.example.", "host.expired.example.", ZONE_EXPIRED);
    for (size_t i = 0; i < ZONES; i++)
        pointers[i] = &zones[i];
    assert_int_equal(zone_set_create(pointers, ZONES, &view.zones), 0);
    for (size_t i = 0; i < ORDERS; i++)
        load_order(i);
    assert_int_equal(responder_create(&options, &direct, &error), 0);
    assert_int_equal(responder_create(&options, &general, &error), 0);
    general->is_never_direct = true;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    responder_free(direct);
    responder_free(general);
    for (size_t i = 0; i < ORDERS; i++)
        active_order_unref(orders[i]);
    zone_set_free(view.zones);
    for (size_t i = 0; i < ZONES; i++)
        zone_data_free(zones[i].data);
    rcu_unregister_thread();
    return 0;
}

/* ---- Questions ---- */

static unsigned below(unsigned bound)
{
    return (unsigned)rand() % bound;
}

/* A name that there is, one in front of it, or one beside it. */
static size_t make_name(uint8_t *at)
{
    static const char *const labels[] = {"\1a", "\4host", "\1*", "\4dead", "\3ns1", "\2zz", "\1b"};
    const uint8_t *owner = owners[below((unsigned)owner_count)];
    size_t size = 0;
    if (below(4) == 0 && owner[0] != 0)
        owner += owner[0] + 1;
    size_t owner_size = name_wire_size(owner);
    unsigned more = below(2) == 0 ? 0 : below(20) == 0 ? below(120) : below(4);
    for (; more > 0; more--) {
        const char *label = labels[below(sizeof(labels) / sizeof(labels[0]))];
        if (size + strlen(label) + owner_size > NAME_SIZE_MAX)
            break;
        memcpy(at + size, label, strlen(label));
        size += strlen(label);
    }
    memcpy(at + size, owner, owner_size);
    size += owner_size;
    bool is_mixed = below(2) == 0;
    for (uint8_t *label = at; *label != 0; label += *label + 1)
        for (size_t i = 1; is_mixed && i <= *label; i++)
            if ((label[i] | 0x20) >= 'a' && (label[i] | 0x20) <= 'z')
                label[i] ^= (uint8_t)(below(2) << 5);
    return size;
}

static size_t make_option(uint8_t *at)
{
    static const uint8_t options[][14] = {
        {0, 3, 0, 0},                          /* NSID */
        {0, 10, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, /* cookie */
        {0, 11, 0, 0},                         /* keepalive */
        {0, 12, 0, 4},                         /* padding */
        {0, 8, 0, 7, 0, 1, 24, 0, 192, 0, 2},  /* client subnet */
        {0xfd, 0xe9, 0, 2, 'x', 'y'},          /* unknown */
        {0, 3, 0, 9, 1},                       /* cut short, when it is the last */
    };
    const uint8_t *option = options[below(20) == 0 ? 6 : below(6)];
    size_t size = 4 + (size_t)option[3];
    if (option == options[6])
        size = 5;
    memcpy(at, option, size < sizeof(options[0]) ? size : sizeof(options[0]));
    return size;
}

static size_t make_edns(uint8_t *at)
{
    static const uint16_t payloads[] = {0, 511, 512, 513, 600, 1231, 1232, 4096, 65535};
    memset(at, 0, 11);
    at[2] = KNOT_RRTYPE_OPT;
    knot_wire_write_u16(at + 3, below(3) == 0 ? (uint16_t)(512 + below(64))
                                              : payloads[below(sizeof(payloads) / 2)]);
    at[6] = below(50) == 0;
    at[7] = (uint8_t)(below(2) << 7);
    size_t size = 11;
    for (unsigned count = below(4); count > 1; count--)
        size += make_option(at + size);
    knot_wire_write_u16(at + 9, (uint16_t)(size - 11));
    return size;
}

static size_t make_request(uint8_t *wire)
{
    memset(wire, 0, REQUEST_MAX);
    knot_wire_set_id(wire, (uint16_t)rand());
    wire[2] =
        (uint8_t)(below(2) | (below(60) == 0 ? below(16) << 3 : 0) | (below(60) == 0 ? 6 : 0));
    wire[3] = (uint8_t)(below(4) << 4);
    knot_wire_set_qdcount(wire, (uint16_t)(below(100) == 0 ? below(3) : 1));
    size_t size = 12 + make_name(wire + 12);
    knot_wire_write_u16(wire + size, types[below(sizeof(types) / sizeof(types[0]))]);
    knot_wire_write_u16(wire + size + 2, (uint16_t)(below(30) != 0  ? 1
                                                    : below(2) == 0 ? 255
                                                                    : below(5)));
    size += 4;
    if (below(2) == 0) {
        knot_wire_set_arcount(wire, 1);
        size += make_edns(wire + size);
    }
    if (below(50) == 0)
        wire[below((unsigned)size)] = (uint8_t)rand();
    if (below(100) == 0)
        size = below((unsigned)size + 1);
    if (below(100) == 0)
        size++;
    return size;
}

/* ---- Comparing ---- */

/* Answers that were written directly, by kind, so that none is missing. */
static struct {
    unsigned all, addresses, nodata, nxdomain, refused, with_edns;
} seen;

static uint64_t all_hits(void)
{
    uint64_t hits = 0;
    for (size_t i = 0; i < ORDERS; i++) {
        hits += active_order_hits(orders[i]);
        for (size_t n = 0; n < active_order_get(orders[i])->names.count; n++)
            hits += active_order_name_hits(orders[i], n) * (n + 2);
    }
    return hits;
}

static void note(const uint8_t *request, const struct responder_datagram *datagram)
{
    if (datagram->response != datagram->request)
        return;
    const uint8_t *wire = datagram->response;
    seen.all++;
    seen.addresses += knot_wire_get_ancount(wire) > 0;
    seen.nodata += knot_wire_get_rcode(wire) == 0 && knot_wire_get_ancount(wire) == 0;
    seen.nxdomain += knot_wire_get_rcode(wire) == KNOT_RCODE_NXDOMAIN;
    seen.refused += knot_wire_get_rcode(wire) == KNOT_RCODE_REFUSED;
    seen.with_edns += knot_wire_get_arcount(request) > 0;
}

static void compare(const uint8_t *request, size_t size, const uint8_t *expected,
                    size_t expected_size, const uint8_t *given, size_t given_size)
{
    if (expected_size == given_size &&
        (given_size == 0 || memcmp(expected, given, given_size) == 0))
        return;
    const uint8_t *const octets[] = {request, expected, given};
    const size_t sizes[] = {size, expected_size, given_size};
    for (size_t i = 0; i < 3; i++) {
        fprintf(stderr, "%s:", i == 0 ? "request" : i == 1 ? "generally" : "directly");
        for (size_t at = 0; at < sizes[i]; at++)
            fprintf(stderr, " %02x", octets[i][at]);
        fputc('\n', stderr);
    }
    fail_msg("the direct answer differs from the general one");
}

static void ask_batch(unsigned count)
{
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    static uint8_t originals[BATCH_MAX][REQUEST_MAX], requests[BATCH_MAX][BUFFER_SIZE],
        spares[BATCH_MAX][BUFFER_SIZE], expected[BATCH_MAX][BUFFER_SIZE], over_tcp[2][65535];
    struct responder_datagram datagrams[BATCH_MAX];
    size_t expected_sizes[BATCH_MAX], sizes[BATCH_MAX];
    const struct sockaddr *from = (const struct sockaddr *)&client;

    uint64_t hits_before = all_hits();
    for (unsigned i = 0; i < count; i++) {
        sizes[i] = make_request(originals[i]);
        memcpy(requests[i], originals[i], REQUEST_MAX);
        datagrams[i] = (struct responder_datagram){
            .request = requests[i], .request_size = sizes[i], .client = from, .spare = spares[i]};
        expected_sizes[i] = responder_answer(general, originals[i], sizes[i], from, TRANSPORT_UDP,
                                             NOW, expected[i], BUFFER_SIZE);
    }
    uint64_t hits_between = all_hits();
    responder_answer_batch(direct, datagrams, count, NOW, BUFFER_SIZE);
    assert_int_equal(all_hits() - hits_between, hits_between - hits_before);

    for (unsigned i = 0; i < count; i++) {
        compare(originals[i], sizes[i], expected[i], expected_sizes[i], datagrams[i].response,
                datagrams[i].response_size);
        if (datagrams[i].response_size > 0)
            note(originals[i], &datagrams[i]);
        struct responder *const ways[] = {general, direct};
        size_t tcp_sizes[2];
        for (size_t way = 0; way < 2; way++)
            tcp_sizes[way] = responder_answer(ways[way], originals[i], sizes[i], from,
                                              TRANSPORT_TCP, NOW, over_tcp[way], 65535);
        compare(originals[i], sizes[i], over_tcp[0], tcp_sizes[0], over_tcp[1], tcp_sizes[1]);
    }
}

static void ask_all(size_t order_count)
{
    struct overlay_set *set = NULL;
    if (order_count > 0)
        assert_int_equal(overlay_set_create(orders, order_count, &set), 0);
    view.orders = set;
    memset(&seen, 0, sizeof(seen));
    for (unsigned asked = 0; asked < QUESTIONS;) {
        unsigned count = 1 + below(BATCH_MAX);
        /* Data outlives the moment at which it expires. */
        zones[below(SERVED)].status = below(20) == 0 ? ZONE_EXPIRED : ZONE_SERVING;
        ask_batch(count);
        asked += count;
    }
    view.orders = NULL;
    overlay_set_free(set);

    struct responder_counters one, other;
    responder_counters(direct, &one);
    responder_counters(general, &other);
    assert_memory_equal(&one, &other, sizeof(one));
    assert_true(seen.all > QUESTIONS / 4);
    assert_true(seen.addresses > 1000 && seen.nodata > 1000 && seen.nxdomain > 1000);
    assert_true(seen.with_edns > 1000);
    assert_true((seen.refused > 100) == (order_count > 0));
}

static void test_direct_answers_are_the_general_ones_without_orders(void **state)
{
    (void)state;
    ask_all(0);
}

static void test_direct_answers_are_the_general_ones_below_orders(void **state)
{
    (void)state;
    ask_all(ORDERS);
}

int main(void)
{
    const char *text = getenv("SEED");
    const unsigned seed = text != NULL ? (unsigned)strtoul(text, NULL, 10) : (unsigned)time(NULL);
    printf("SEED=%u\n", seed);
    srand(seed);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_direct_answers_are_the_general_ones_without_orders),
        cmocka_unit_test(test_direct_answers_are_the_general_ones_below_orders),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
