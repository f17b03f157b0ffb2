/* Writes events as tamis-sink would, without its sensor: sink_events_write EVENTS KEYS < LINES. A
 * line is a JSON object with at_us and client, and any of port, kind ("check-in" if none), family,
 * version, bot, name, order, asn, country, local, local_port, fake. */
#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/event_log.h"
#include "sink/privacy.h"

static const char *text_of(const json_t *line, const char *key, const char *otherwise)
{
    const char *text = json_string_value(json_object_get(line, key));
    return text != NULL ? text : otherwise;
}

static int64_t number_of(const json_t *line, const char *key, int64_t otherwise)
{
    const json_t *value = json_object_get(line, key);
    return json_is_integer(value) ? (int64_t)json_integer_value(value) : otherwise;
}

static struct in6_addr address_of(const char *text)
{
    struct in6_addr address;
    char mapped[64];
    (void)snprintf(mapped, sizeof(mapped), "%s%s", strchr(text, ':') == NULL ? "::ffff:" : "",
                   text);
    if (inet_pton(AF_INET6, mapped, &address) != 1) {
        fprintf(stderr, "no address: %s\n", text);
        exit(1);
    }
    return address;
}

static enum sink_kind kind_of(const char *text)
{
    for (size_t i = 0; i < SINK_KIND_COUNT; i++)
        if (strcmp(sink_kind_names[i], text) == 0)
            return (enum sink_kind)i;
    fprintf(stderr, "no kind: %s\n", text);
    exit(1);
}

static void event_make(const struct privacy *privacy, const json_t *line,
                       struct sink_event *ret_event)
{
    static struct sink_recognition recognition;
    const char *bot = text_of(line, "bot", "");
    struct sink_event event = {
        .at_us = number_of(line, "at_us", 0),
        .kind = (uint8_t)kind_of(text_of(line, "kind", "check-in")),
        .fake = json_is_true(json_object_get(line, "fake")),
        .wellformed = true,
        .consistent = true,
        .name_source = SINK_NAME_HOST,
        .asn = (uint32_t)number_of(line, "asn", 0),
        .client_port = (uint16_t)number_of(line, "port", 40000),
        .local_port = (uint16_t)number_of(line, "local_port", 5552),
    };
    struct sink_flight flight = {
        .at_us = event.at_us,
        .client = {address_of(text_of(line, "client", "")), event.client_port},
        .local = {address_of(text_of(line, "local", "203.0.113.66")), event.local_port},
    };
    recognition = (struct sink_recognition){
        .kind = (enum sink_kind)event.kind,
        .family = text_of(line, "family", "njrat"),
        .bot = {(const uint8_t *)bot, strlen(bot)},
        .wellformed = true,
        .consistent = true,
    };
    memcpy(event.local, &flight.local.address, sizeof(event.local));
    (void)snprintf(event.country, sizeof(event.country), "%s", text_of(line, "country", ""));
    (void)snprintf(event.family, sizeof(event.family), "%s", recognition.family);
    (void)snprintf(event.rule, sizeof(event.rule), "%s", recognition.family);
    (void)snprintf(event.version, sizeof(event.version), "%s", text_of(line, "version", ""));
    (void)snprintf(event.order, sizeof(event.order), "%s", text_of(line, "order", ""));
    (void)snprintf(event.name, sizeof(event.name), "%s", text_of(line, "name", ""));
    privacy_apply(privacy, &flight, &recognition, &event);
    *ret_event = event;
}

static void line_write(const struct privacy *privacy, struct event_log *log, const char *text)
{
    struct sink_event event;
    json_error_t wrong;
    json_t *line = json_loads(text, 0, &wrong);
    if (line == NULL) {
        fprintf(stderr, "%s: %s\n", wrong.text, text);
        exit(1);
    }
    event_make(privacy, line, &event);
    while (!event_log_put(log, 0, &event))
        ; /* the ring is full: its thread empties it */
    json_decref(line);
}

int main(int argc, char **argv)
{
    struct privacy *privacy = NULL;
    struct event_log *log = NULL;
    struct error error;
    char text[4096];

    if (argc != 3)
        return 2;
    const struct privacy_options keys = {
        .folder = argv[2], .addresses = PRIVACY_DETERMINISTIC, .rotate_days = 30, .keep_days = 90};
    const struct event_log_options events = {.folder = argv[1],
                                             .threads = 1,
                                             .flush_ms = 100,
                                             .segment_octets_max = (size_t)64 << 20,
                                             .segment_seconds = 3600,
                                             .waiting_octets_max = (size_t)64 << 20};
    if (privacy_open(&keys, &privacy, &error) < 0 || event_log_open(&events, &log, &error) < 0) {
        error_print(stderr, "sink_events_write", &error);
        return 1;
    }
    while (fgets(text, sizeof(text), stdin) != NULL)
        line_write(privacy, log, text);
    event_log_close(log);
    privacy_close(privacy);
    return 0;
}
