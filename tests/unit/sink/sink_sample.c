/* Writes what the tests in Python read by the documented formats:
 *
 *     sink_sample events FOLDER COUNT SEED    random events; prints each as a line of JSON
 *     sink_sample example FOLDER              the event of doc/sink-events.md
 *     sink_sample evidence FOLDER ORDER       three flights as evidence of the order's file
 */
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "event_sample.h"
#include "order/order.h"
#include "sink/event_log.h"
#include "sink/evidence.h"

static struct event_log *open_log(const char *folder)
{
    const struct event_log_options options = {
        .folder = folder,
        .threads = 1,
        .flush_ms = 20,
        .segment_octets_max = 300000,
        .segment_seconds = 3600,
        .waiting_octets_max = 4 << 20,
    };
    struct event_log *log;
    struct error error = {0};
    if (event_log_open(&options, &log, &error) < 0) {
        error_print(stderr, "sink_sample", &error);
        exit(1);
    }
    return log;
}

static void print_hex(const char *key, const void *octets, size_t size)
{
    printf(", \"%s\": \"", key);
    for (size_t i = 0; i < size; i++)
        printf("%02x", ((const uint8_t *)octets)[i]);
    printf("\"");
}

static void print_event(const struct sink_event *event)
{
    printf("{\"at_us\": %" PRId64 ", \"lasted_ms\": %" PRIu32
           ", \"transport\": %u, \"ending\": %u, \"kind\": %u, \"name_source\": %u, "
           "\"wellformed\": %u, \"consistent\": %u, \"fake\": %u, \"in_tls\": %u, \"ipv6\": %u, "
           "\"epoch\": %u, \"client_port\": %u, \"local_port\": %u, \"asn\": %" PRIu32
           ", \"received\": %" PRIu64,
           event->at_us, event->lasted_ms, event->transport, event->ending, event->kind,
           event->name_source, event->wellformed, event->consistent, event->fake, event->in_tls,
           event->ipv6, event->epoch, event->client_port, event->local_port, event->asn,
           event->received);
    print_hex("client", event->client, sizeof(event->client));
    print_hex("network", event->network, sizeof(event->network));
    print_hex("local", event->local, sizeof(event->local));
    print_hex("victim", event->victim, event->has_victim ? sizeof(event->victim) : 0);
    print_hex("machine", event->machine, event->has_machine ? sizeof(event->machine) : 0);
    print_hex("agent", event->agent, event->has_agent ? sizeof(event->agent) : 0);
    print_hex("country", event->country, strlen(event->country));
    print_hex("family", event->family, strlen(event->family));
    print_hex("rule", event->rule, strlen(event->rule));
    print_hex("version", event->version, strlen(event->version));
    print_hex("order", event->order, strlen(event->order));
    print_hex("name", event->name, strlen(event->name));
    print_hex("ja4", event->ja4, strlen(event->ja4));
    printf("}\n");
}

static void put(struct event_log *log, const struct sink_event *event)
{
    while (!event_log_put(log, 0, event))
        usleep(1000);
}

static void write_events(const char *folder, unsigned count, unsigned seed)
{
    struct event_log *log = open_log(folder);
    for (unsigned i = 0; i < count; i++) {
        struct sink_event event = i % 4 == 0 ? sample_event(&seed) : sample_checkin(i + 1);
        print_event(&event);
        put(log, &event);
    }
    event_log_close(log);
}

static void write_example(const char *folder)
{
    struct event_log *log = open_log(folder);
    struct sink_event event = sample_example();
    print_event(&event);
    put(log, &event);
    event_log_close(log);
}

static int write_evidence(const char *folder, char *order_path)
{
    static const struct order_policy unverified = {.unverified = true};
    char *orders[] = {order_path};
    const struct evidence_options options = {
        .folder = folder, .orders = orders, .order_count = 1, .octets_max = 1 << 20};
    struct evidence *evidence;
    struct order *order;
    struct error error = {0};
    if (order_load(order_path, &unverified, &order, &error) < 0 ||
        evidence_open(&options, &evidence, &error) < 0) {
        error_print(stderr, "sink_sample", &error);
        return 1;
    }
    for (unsigned i = 0; i < 3; i++) {
        char content[32];
        struct sink_event event = sample_checkin(order->starts * 1000000 + i);
        snprintf(event.order, sizeof(event.order), "%s", order->id);
        const struct sink_flight flight = {
            .at_us = event.at_us,
            .octets = (const uint8_t *)content,
            .size = (size_t)snprintf(content, sizeof(content), "%u\r\ncontent", i),
        };
        evidence_take(evidence, &flight, &event);
    }
    evidence_close(evidence);
    order_free(order);
    return 0;
}

int main(int count, char **arguments)
{
    if (count == 5 && strcmp(arguments[1], "events") == 0)
        write_events(arguments[2], (unsigned)atoi(arguments[3]), (unsigned)atoi(arguments[4]));
    else if (count == 3 && strcmp(arguments[1], "example") == 0)
        write_example(arguments[2]);
    else if (count == 4 && strcmp(arguments[1], "evidence") == 0)
        return write_evidence(arguments[2], arguments[3]);
    else
        return 2;
    return 0;
}
