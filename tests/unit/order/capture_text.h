/* Captures and packets made by hand, for the tests of this folder. */
#pragma once

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define LINK_NULL     0
#define LINK_ETHERNET 1
#define LINK_RAW      101
#define LINK_SLL      113
#define LINK_SLL2     276

struct octets {
    uint8_t at[4096];
    size_t size;
};

static inline void put(struct octets *octets, const void *data, size_t size)
{
    memcpy(octets->at + octets->size, data, size);
    octets->size += size;
}

static inline void put_zeros(struct octets *octets, size_t count)
{
    memset(octets->at + octets->size, 0, count);
    octets->size += count;
}

static inline void put8(struct octets *octets, unsigned value)
{
    octets->at[octets->size++] = (uint8_t)value;
}

static inline void put16(struct octets *octets, unsigned value)
{
    put8(octets, value >> 8);
    put8(octets, value & 0xff);
}

static inline void put32(struct octets *octets, uint32_t value)
{
    put16(octets, value >> 16);
    put16(octets, value & 0xffff);
}

/* A file in memory: its path is written to `ret_path`. The descriptor is the caller's. */
static inline int make_file(const void *data, size_t size, char ret_path[32])
{
    int file = memfd_create("traffic", MFD_CLOEXEC);
    if (file < 0 || write(file, data, size) != (ssize_t)size)
        return -1;
    snprintf(ret_path, 32, "/proc/self/fd/%d", file);
    return file;
}

/* A query for name.example, of type A. */
static inline struct octets query_for(const char *label)
{
    struct octets message = {0};
    put16(&message, 7);
    put16(&message, 0);
    put16(&message, 1);
    put_zeros(&message, 6);
    put8(&message, (unsigned)strlen(label));
    put(&message, label, strlen(label));
    put(&message, "\7example", 9);
    put16(&message, 1);
    put16(&message, 1);
    return message;
}

static inline struct octets udp(const struct octets *message, unsigned port)
{
    struct octets packet = {0};
    put16(&packet, 40000);
    put16(&packet, port);
    put16(&packet, (unsigned)(8 + message->size));
    put16(&packet, 0);
    put(&packet, message->at, message->size);
    return packet;
}

static inline struct octets tcp(uint32_t sequence, unsigned flags, const void *data, size_t size)
{
    struct octets packet = {0};
    put16(&packet, 40000);
    put16(&packet, 53);
    put32(&packet, sequence);
    put32(&packet, 0);
    put8(&packet, 5 << 4);
    put8(&packet, flags);
    put_zeros(&packet, 6);
    put(&packet, data, size);
    return packet;
}

/* From 192.0.2.<host>. `fragment` is the field of flags and offset. */
static inline struct octets ipv4(const struct octets *payload, unsigned protocol, unsigned host,
                                 unsigned fragment)
{
    struct octets packet = {0};
    put8(&packet, 0x45);
    put8(&packet, 0);
    put16(&packet, (unsigned)(20 + payload->size));
    put16(&packet, 1);
    put16(&packet, fragment);
    put8(&packet, 64);
    put8(&packet, protocol);
    put16(&packet, 0);
    put(&packet, "\xc0\0\2", 3);
    put8(&packet, host);
    put(&packet, "\xc6\x33\x64\1", 4);
    put(&packet, payload->at, payload->size);
    return packet;
}

/* From 2001:db8::<host>. `next` is the first header of the payload. */
static inline struct octets ipv6(const struct octets *payload, unsigned next, unsigned host)
{
    struct octets packet = {0};
    put32(&packet, 6u << 28);
    put16(&packet, (unsigned)payload->size);
    put8(&packet, next);
    put8(&packet, 64);
    for (unsigned end = 0; end < 2; end++) {
        put(&packet, "\x20\1\x0d\xb8", 4);
        put_zeros(&packet, 11);
        put8(&packet, end == 0 ? host : 0x53);
    }
    put(&packet, payload->at, payload->size);
    return packet;
}
