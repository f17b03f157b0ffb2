/* Events with everything, little or anything in them, for the tests of this folder. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/event.h"

static inline void sample_octets(unsigned *random, uint8_t *ret_octets, size_t size)
{
    for (size_t i = 0; i < size; i++)
        ret_octets[i] = (uint8_t)rand_r(random);
}

/* A text of up to size - 1 octets, which may be empty. */
static inline void sample_text(unsigned *random, char *ret_text, size_t size)
{
    size_t length = (size_t)rand_r(random) % size;
    for (size_t i = 0; i < length; i++)
        ret_text[i] = (char)(1 + rand_r(random) % 255);
    ret_text[length] = '\0';
}

static inline struct sink_event sample_event(unsigned *random)
{
    struct sink_event event;
    memset(&event, 0, sizeof(event));
    sample_octets(random, (uint8_t *)&event.at_us, sizeof(event.at_us));
    event.lasted_ms = (uint32_t)rand_r(random) >> rand_r(random) % 32;
    event.transport = (uint8_t)(rand_r(random) % 2);
    event.ending = (uint8_t)(rand_r(random) % 8);
    event.kind = (uint8_t)(rand_r(random) % SINK_KIND_COUNT);
    event.name_source = (uint8_t)(rand_r(random) % 6);
    event.wellformed = rand_r(random) % 2;
    event.consistent = rand_r(random) % 2;
    event.fake = rand_r(random) % 2;
    event.in_tls = rand_r(random) % 2;
    event.ipv6 = rand_r(random) % 2;
    event.epoch = (uint16_t)rand_r(random);
    sample_octets(random, event.client, sizeof(event.client));
    sample_octets(random, event.network, sizeof(event.network));
    sample_octets(random, event.local, sizeof(event.local));
    if (rand_r(random) % 2 != 0)
        memcpy(event.local, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    event.client_port = (uint16_t)rand_r(random);
    event.local_port = (uint16_t)rand_r(random);
    event.asn = rand_r(random) % 2 != 0 ? (uint32_t)rand_r(random) : 0;
    if (rand_r(random) % 2 != 0)
        memcpy(event.country, "DE", 3);
    event.has_victim = rand_r(random) % 2;
    event.has_machine = rand_r(random) % 2;
    event.has_agent = rand_r(random) % 2;
    if (event.has_victim)
        sample_octets(random, event.victim, sizeof(event.victim));
    if (event.has_machine)
        sample_octets(random, event.machine, sizeof(event.machine));
    if (event.has_agent)
        sample_octets(random, event.agent, sizeof(event.agent));
    sample_octets(random, (uint8_t *)&event.received, sizeof(event.received));
    event.received >>= rand_r(random) % 64;
    sample_text(random, event.family, sizeof(event.family));
    sample_text(random, event.rule, sizeof(event.rule));
    sample_text(random, event.version, sizeof(event.version));
    sample_text(random, event.order, sizeof(event.order));
    sample_text(random, event.name, sizeof(event.name));
    sample_text(random, event.ja4, sizeof(event.ja4));
    return event;
}

/* What a sensor sees most: a check-in over TCP, of one of many victims. `at_us` tells it apart. */
static inline struct sink_event sample_checkin(int64_t at_us)
{
    struct sink_event event;
    unsigned random = (unsigned)at_us;
    memset(&event, 0, sizeof(event));
    event.at_us = at_us;
    event.lasted_ms = 1200 + (uint32_t)rand_r(&random) % 5000;
    event.kind = SINK_CHECKIN;
    event.name_source = SINK_NAME_ANSWER;
    event.wellformed = event.consistent = true;
    event.epoch = 692;
    sample_octets(&random, event.client, sizeof(event.client));
    sample_octets(&random, event.network, sizeof(event.network));
    memcpy(event.local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x42", 16);
    event.client_port = (uint16_t)(1024 + rand_r(&random) % 60000);
    event.local_port = 1177;
    event.asn = 64496 + (uint32_t)rand_r(&random) % 16;
    memcpy(event.country, rand_r(&random) % 2 != 0 ? "DE" : "DZ", 3);
    event.has_victim = event.has_machine = true;
    sample_octets(&random, event.victim, sizeof(event.victim));
    sample_octets(&random, event.machine, sizeof(event.machine));
    event.received = 120 + (uint64_t)rand_r(&random) % 80;
    strcpy(event.family, "njrat");
    strcpy(event.rule, "njrat");
    strcpy(event.version, "0.7d");
    strcpy(event.order, "nv-2014-00987");
    snprintf(event.name, sizeof(event.name), "host-%u.ddns.example",
             (unsigned)rand_r(&random) % 2000);
    return event;
}

/* The event of the example in doc/sink-events.md. */
static inline struct sink_event sample_example(void)
{
    struct sink_event event;
    memset(&event, 0, sizeof(event));
    event.at_us = INT64_C(1767225600123456);
    event.wellformed = event.consistent = true;
    event.ending = SINK_RESET;
    event.kind = SINK_CHECKIN;
    event.lasted_ms = 300;
    event.received = 127;
    event.epoch = 692;
    event.client_port = 12345;
    event.local_port = 1177;
    memset(event.client, 0x11, sizeof(event.client));
    memset(event.network, 0x22, sizeof(event.network));
    memcpy(event.local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x42", 16);
    memcpy(event.country, "DE", 3);
    return event;
}
