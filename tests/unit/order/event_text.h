/* dnstap events and Frame Streams made by hand, for the tests of this folder. */
#pragma once

#include "capture_text.h"

#define CONTENT_TYPE "protobuf:dnstap.Dnstap"

enum { CONTROL_ACCEPT = 1, CONTROL_START, CONTROL_STOP, CONTROL_READY, CONTROL_FINISH };
enum {
    EVENT_AUTH_QUERY = 1,
    EVENT_AUTH_RESPONSE = 2,
    EVENT_RESOLVER_QUERY = 3,
    EVENT_CLIENT_QUERY = 5
};

/* A control frame; `content` may be NULL. */
static inline void put_control(struct octets *octets, unsigned type, const char *content)
{
    size_t content_size = content != NULL ? strlen(content) : 0;
    put32(octets, 0);
    put32(octets, (uint32_t)(4 + (content != NULL ? 8 + content_size : 0)));
    put32(octets, type);
    if (content == NULL)
        return;
    put32(octets, 1); /* the field of the content type */
    put32(octets, (uint32_t)content_size);
    put(octets, content, content_size);
}

static inline void put_frame(struct octets *octets, const struct octets *frame)
{
    put32(octets, (uint32_t)frame->size);
    put(octets, frame->at, frame->size);
}

/* A field of a protocol buffer: a number below 128, or octets fewer than that. */
static inline void put_number(struct octets *octets, unsigned field, unsigned value)
{
    put8(octets, field << 3);
    put8(octets, value);
}

static inline void put_field(struct octets *octets, unsigned field, const void *data, size_t size)
{
    put8(octets, field << 3 | 2);
    put8(octets, (unsigned)size);
    put(octets, data, size);
}

/* An event of a message type, from an address of so many octets, over UDP (1) or TCP (2). */
static inline struct octets event_of(unsigned type, const struct octets *query, size_t address_size,
                                     unsigned protocol)
{
    static const uint8_t address[16] = {192, 0, 2, 9};
    struct octets message = {0}, event = {0};
    put_number(&message, 1, type);
    put_number(&message, 3, protocol);
    if (address_size > 0)
        put_field(&message, 4, address, address_size);
    put_field(&message, 10, query->at, query->size);
    put_field(&event, 1, "server", 6); /* its identity: none of the fields that we know */
    put_field(&event, 14, message.at, message.size);
    put_number(&event, 15, 1);
    return event;
}
