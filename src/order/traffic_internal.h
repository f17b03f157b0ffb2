/* Shared by the files that read traffic; no other includes it. */
#pragma once

#include <stdio.h>

#include "order/traffic.h"

/* A reading in progress. */
struct traffic {
    uint16_t port;
    traffic_fn *take;
    void *context;
    struct traffic_report *report;
    struct error *error;
    const struct address *own; /* clients whose requests are ours */
    size_t own_count;
    struct request request;
    struct name name;
};

/* Hands one message out when it is a request for zone data, else counts what it is. Returns what
 * the taker does. */
_must_check_ int traffic_message(struct traffic *traffic, const uint8_t *wire, size_t size,
                                 const struct address *client, bool over_tcp);

/* All take the stream over. */
_must_check_ int traffic_read_capture(struct traffic *traffic, const char *path, FILE *stream);
_must_check_ int traffic_read_dnstap(struct traffic *traffic, const char *path, FILE *stream);
_must_check_ int traffic_read_list(struct traffic *traffic, const char *path, FILE *stream);

/* Takes one dnstap event. Returns what the taker does. */
_must_check_ int traffic_take_event(struct traffic *traffic, const uint8_t *octets, size_t size);

/* ---- Packets ---- */

struct traffic_streams;

/* Whether packets of a link type are understood; `source` is where they come from. */
_must_check_ int traffic_link_check(struct traffic *traffic, const char *source, int link_type);

/* Takes one packet with its link's header. Returns what the taker does. */
_must_check_ int traffic_take_packet(struct traffic *traffic, struct traffic_streams *streams,
                                     int link_type, const uint8_t *octets, size_t size);

/* ---- Streams ---- */

/* One segment that a client sent. */
struct traffic_segment {
    struct address client;
    uint8_t server[16];
    uint16_t client_port;
    uint32_t sequence;
    bool begins, ends; /* SYN; FIN or RST */
    const uint8_t *payload;
    size_t size;
};

struct traffic_streams *traffic_streams_create(void);
void traffic_streams_free(struct traffic_streams *streams);
DEFINE_FREEP(struct traffic_streams, traffic_streams_free)

/* Hands out the messages that the segment completes. */
_must_check_ int traffic_streams_take(struct traffic_streams *streams, struct traffic *traffic,
                                      const struct traffic_segment *segment);
