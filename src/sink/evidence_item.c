#include "sink/evidence_item.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const char mark[4] = {'e', 'v', 'i', '1'};

#define SEALED_SIZE_MAX (crypto_box_SEALBYTES + EVIDENCE_PLAIN_MAX)

size_t evidence_item_room(size_t plain_size)
{
    return EVIDENCE_ITEM_HEADER_SIZE + crypto_box_SEALBYTES + plain_size;
}

static size_t content_size(const struct sink_flight *flight)
{
    return flight->size < EVIDENCE_CONTENT_MAX ? flight->size : EVIDENCE_CONTENT_MAX;
}

/* The client stays sealed in it, too: who opens the content does not learn the address, and who can
 * open the address does not see the content. */
static size_t write_text(const struct sink_flight *flight, const struct sink_event *event,
                         char ret_text[static EVIDENCE_TEXT_MAX])
{
    const time_t at = (time_t)(event->at_us / 1000000);
    struct tm parts;
    char time[32], client[2 * SINK_ADDRESS_SIZE + 1], victim[2 * SINK_ID_SIZE + 1] = "";
    (void)gmtime_r(&at, &parts);
    (void)strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%S", &parts);
    sodium_bin2hex(client, sizeof(client), event->client, sizeof(event->client));
    if (event->has_victim)
        sodium_bin2hex(victim, sizeof(victim), event->victim, sizeof(event->victim));
    int size =
        snprintf(ret_text, EVIDENCE_TEXT_MAX,
                 "tamis-evidence 1\norder: %s\nat: %s.%06dZ\ntransport: %s\nport: %u\n"
                 "epoch: %u\nclient: %s\nvictim: %s\nfamily: %s\nname: %s\noctets: %zu\n\n",
                 event->order, time, (int)(event->at_us % 1000000),
                 flight->transport == SINK_TCP ? "tcp" : "udp", event->local_port, event->epoch,
                 client, victim, event->family, event->name, content_size(flight));
    assert(size > 0 && size < EVIDENCE_TEXT_MAX);
    return (size_t)size;
}

static void put_length(uint8_t *at, size_t length)
{
    for (size_t i = 0; i < 4; i++)
        at[i] = (uint8_t)(length >> (8 * i));
}

size_t evidence_plain_room(const struct sink_flight *flight)
{
    return EVIDENCE_TEXT_MAX + content_size(flight);
}

size_t evidence_plain_write(const struct sink_flight *flight, const struct sink_event *event,
                            uint8_t *ret_plain)
{
    const size_t content = content_size(flight);
    const size_t text = write_text(flight, event, (char *)ret_plain);
    if (content > 0)
        memcpy(ret_plain + text, flight->octets, content);
    return text + content;
}

size_t evidence_item_seal(const uint8_t *plain, size_t size, const uint8_t seal_to[static 32],
                          uint8_t *ret_octets)
{
    memcpy(ret_octets, mark, sizeof(mark));
    put_length(ret_octets + sizeof(mark), crypto_box_SEALBYTES + size);
    if (crypto_box_seal(ret_octets + EVIDENCE_ITEM_HEADER_SIZE, plain, size, seal_to) != 0)
        return 0;
    return evidence_item_room(size);
}

bool evidence_item_header_read(const uint8_t octets[static EVIDENCE_ITEM_HEADER_SIZE],
                               size_t *ret_size)
{
    size_t size = 0;
    for (size_t i = 0; i < 4; i++)
        size |= (size_t)octets[sizeof(mark) + i] << (8 * i);
    *ret_size = size;
    return memcmp(octets, mark, sizeof(mark)) == 0 && size >= crypto_box_SEALBYTES &&
           size <= SEALED_SIZE_MAX;
}
