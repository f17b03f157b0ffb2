/* Any octets as a request, against zones of every kind: plain, signed with NSEC and with NSEC3, and
 * one without data, below an order. What comes back must be a well-formed response that keeps the
 * rules.
 *
 * The input's first octet chooses the transport, the rest is the request. FUZZ_FIXTURES is the
 * folder of the zone files and the order. */
#include <arpa/inet.h>
#include <libknot/libknot.h>
#include <string.h>

#include "base/rcu.h"
#include "fuzz/fuzz.h"
#include "order/overlay_set.h"
#include "server/responder.h"
#include "zone/zone_file.h"

#define UDP_PAYLOAD_MAX 1232
#define NOW             1790000000 /* a time between the order's start and end */

static const char *const zone_names[] = {"plain.example.", "signed.example.", "signed3.example.",
                                         "unloaded.example."};
#define ZONE_COUNT   (sizeof(zone_names) / sizeof(zone_names[0]))
#define LOADED_COUNT (ZONE_COUNT - 1)

static const struct sockaddr_in client = {.sin_family = AF_INET};
static struct zone zones[ZONE_COUNT];
static struct responder_view view;
static struct responder *responder;

static bool notify_allowed(void *context, const struct zone *zone, const struct sockaddr *from,
                           const char *key_name)
{
    (void)context, (void)zone, (void)from, (void)key_name;
    return true;
}

static void notified(void *context, struct zone *zone, uint32_t serial)
{
    (void)context, (void)zone, (void)serial;
}

static void load_zone(struct zone *zone, const char *text, bool with_data)
{
    uint8_t apex[NAME_SIZE_MAX];
    FUZZ_ASSERT(knot_dname_from_str(apex, text, sizeof(apex)) != NULL);
    FUZZ_ASSERT(name_parse(&zone->name, apex, sizeof(apex)) > 0);
    if (!with_data) {
        FUZZ_ASSERT(zone_data_create_empty(apex, &zone->data) == 0);
        atomic_store(&zone->status, ZONE_UNLOADED);
        return;
    }
    char path[512];
    snprintf(path, sizeof(path), "%s/%szone", FUZZ_FIXTURES, text);
    struct error error = {0};
    if (zone_file_load(path, apex, NULL, NULL, &zone->data, &error) != 0)
        error_print(stderr, "fuzz_packet", &error);
    FUZZ_ASSERT(zone->data != NULL);
    atomic_store(&zone->status, ZONE_SERVING);
}

static void mark_names(const struct order_names *names)
{
    for (size_t index = 0; index < names->count; index++) {
        struct name name;
        const uint8_t *owner = order_names_at(names, index);
        FUZZ_ASSERT(name_parse(&name, owner, NAME_SIZE_MAX) > 0);
        struct zone *zone = zone_set_find(view.zones, &name, 0);
        FUZZ_ASSERT(zone != NULL);
        FUZZ_ASSERT(zone_data_mark(zone->data, owner) == 0);
    }
}

static void set_up(void)
{
    struct zone *pointers[ZONE_COUNT];
    struct zone_set *set = NULL;
    struct overlay_set *orders = NULL;
    struct active_order *active = NULL;
    struct order *order = NULL;
    struct error error = {0};

    rcu_register_thread();
    name_hash_key_set(1, 2);
    for (size_t index = 0; index < ZONE_COUNT; index++) {
        load_zone(&zones[index], zone_names[index], index < LOADED_COUNT);
        pointers[index] = &zones[index];
    }
    FUZZ_ASSERT(zone_set_create(pointers, ZONE_COUNT, &set) == 0);
    view.zones = set;

    FUZZ_ASSERT(
        order_load(FUZZ_FIXTURES "/order.yaml", &(struct order_policy){0}, &order, &error) == 0);
    FUZZ_ASSERT(order->finding_count == 0);
    mark_names(&order->names);
    FUZZ_ASSERT(active_order_create(order, 1, &active) == 0);
    FUZZ_ASSERT(overlay_set_create(&active, 1, &orders) == 0);
    view.orders = orders;

    static const struct transfer_key key = {"key", "hmac-sha256", "bm90LWEtcmVhbC1zZWNyZXQ="};
    struct tsig_keyring *keyring;
    FUZZ_ASSERT(tsig_keyring_create(&key, 1, &keyring, &error) == 0);
    struct error_reports *reports;
    FUZZ_ASSERT(error_reports_create((const uint8_t *)"\2er\5plain\7example", &reports) == 0);
    const struct responder_options options = {
        .view = &view,
        .udp_payload_max = UDP_PAYLOAD_MAX,
        .tcp_idle_timeout_ms = 10000,
        .nsid = (const uint8_t *)"fuzz",
        .nsid_size = 4,
        .version = "tamis",
        .identity = "fuzz",
        .keyring = keyring,
        .error_reports = reports,
        .notify_allowed = notify_allowed,
        .notified = notified,
    };
    FUZZ_ASSERT(responder_create(&options, &responder, &error) == 0);
}

/* A question about one of our zones is never answered with NOERROR and nothing in it: that is what
 * failed in 2014. */
static void check_not_hollow(const knot_pkt_t *packet)
{
    const uint8_t *wire = packet->wire;
    if (knot_wire_get_rcode(wire) != KNOT_RCODE_NOERROR ||
        knot_wire_get_opcode(wire) != KNOT_OPCODE_QUERY || knot_wire_get_tc(wire) ||
        knot_pkt_ext_rcode(packet) != KNOT_RCODE_NOERROR)
        return;
    const knot_pktsection_t *answer = knot_pkt_section(packet, KNOT_ANSWER);
    const knot_pktsection_t *authority = knot_pkt_section(packet, KNOT_AUTHORITY);
    FUZZ_ASSERT(answer->count + authority->count > 0);
}

static void check_response(const uint8_t *request, size_t request_size, uint8_t *response,
                           size_t size, size_t limit)
{
    FUZZ_ASSERT(request_size >= KNOT_WIRE_HEADER_SIZE);
    FUZZ_ASSERT(size >= KNOT_WIRE_HEADER_SIZE && size <= limit);
    FUZZ_ASSERT(memcmp(request, response, 2) == 0);
    FUZZ_ASSERT(knot_wire_get_qr(response));
    FUZZ_ASSERT(!knot_wire_get_qr(request));

    knot_pkt_t *packet = knot_pkt_new(response, (uint16_t)size, NULL);
    FUZZ_ASSERT(packet != NULL);
    FUZZ_ASSERT(knot_pkt_parse(packet, 0) == KNOT_EOK);
    check_not_hollow(packet);
    knot_pkt_free(packet);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    static uint8_t response[RESPONSE_SIZE_MAX];

    if (responder == NULL)
        set_up();
    if (size == 0 || size > 1 + RESPONSE_SIZE_MAX)
        return 0;
    static const enum transport transports[] = {TRANSPORT_UDP, TRANSPORT_TCP, TRANSPORT_UDP,
                                                TRANSPORT_TLS_1_3};
    enum transport transport = transports[input[0] & 3];
    size_t limit = transport == TRANSPORT_UDP ? UDP_PAYLOAD_MAX : RESPONSE_SIZE_MAX;

    size_t response_size =
        responder_answer(responder, input + 1, size - 1, (const struct sockaddr *)&client,
                         transport, NOW, response, sizeof(response));
    if (response_size > 0)
        check_response(input + 1, size - 1, response, response_size, limit);
    rcu_quiescent_state();
    return 0;
}
