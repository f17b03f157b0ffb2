/* The octets of one event, as doc/sink-events.md tells them:
 *
 *     size  varint, of what follows
 *     flags varint, one bit a yes or no, or whether an optional field is there
 *     fields, in one fixed order, the optional ones only where their bit is set
 *
 * A later version adds fields behind these and bits above these; who does not know them skips them
 * by the size. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "sink/event.h"

enum flag {
    FLAG_WELLFORMED = 1 << 0,
    FLAG_CONSISTENT = 1 << 1,
    FLAG_FAKE = 1 << 2,
    FLAG_IN_TLS = 1 << 3,
    FLAG_IPV6 = 1 << 4,
    FLAG_LOCAL_IPV4 = 1 << 5, /* `local` is mapped, and its last 4 octets are written */
    FLAG_VICTIM = 1 << 6,
    FLAG_MACHINE = 1 << 7,
    FLAG_AGENT = 1 << 8,
    FLAG_ASN = 1 << 9,
    FLAG_COUNTRY = 1 << 10,
    FLAG_FAMILY = 1 << 11,
    FLAG_RULE = 1 << 12,
    FLAG_VERSION = 1 << 13,
    FLAG_ORDER = 1 << 14,
    FLAG_NAME = 1 << 15,
    FLAG_JA4 = 1 << 16,
};

/* The texts, in the order of their bits. */
struct text_field {
    enum flag flag;
    size_t offset, size; /* size with its NUL */
};

#define TEXT(flag_, member)                                             \
    {                                                                   \
        .flag = (flag_), .offset = offsetof(struct sink_event, member), \
        .size = sizeof(((const struct sink_event *)0)->member)          \
    }

static const struct text_field texts[] = {
    TEXT(FLAG_FAMILY, family), TEXT(FLAG_RULE, rule), TEXT(FLAG_VERSION, version),
    TEXT(FLAG_ORDER, order),   TEXT(FLAG_NAME, name), TEXT(FLAG_JA4, ja4),
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

#define VARINT_SIZE_MAX 10
#define COUNTRY_SIZE    2
#define SIZE_ROOM       2 /* of the size in front: SINK_EVENT_OCTETS_MAX fits two octets */

/* All fields at their longest. */
#define BODY_SIZE_MAX                                                                             \
    (3 + 8 + 4 + 3 * VARINT_SIZE_MAX + 2 * 2 + 3 * SINK_ADDRESS_SIZE + 2 * SINK_ID_SIZE + 8 + 5 + \
     COUNTRY_SIZE + 2 * SINK_WORD_SIZE + 24 + 64 + SINK_NAME_SIZE + JA4_SIZE)
static_assert(SIZE_ROOM + BODY_SIZE_MAX <= SINK_EVENT_OCTETS_MAX, "the longest event has room");
static_assert(SINK_EVENT_OCTETS_MAX < 1 << 14, "two octets of a varint hold the size");
static_assert(SINK_NAME_SIZE - 1 <= UINT8_MAX, "one octet holds the length of a text");

static const uint8_t mapped_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* ---- Encoding ---- */

static uint8_t *put(uint8_t *at, const void *octets, size_t size)
{
    memcpy(at, octets, size);
    return at + size;
}

/* The lowest seven bits first; the high bit says that more follow. */
static uint8_t *put_varint(uint8_t *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (uint8_t)(value | 0x80);
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *put_little(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

static const char *text_of(const struct sink_event *event, const struct text_field *field)
{
    return (const char *)event + field->offset;
}

static uint32_t flags_of(const struct sink_event *event)
{
    uint32_t flags = 0;
    flags |= event->wellformed ? FLAG_WELLFORMED : 0;
    flags |= event->consistent ? FLAG_CONSISTENT : 0;
    flags |= event->fake ? FLAG_FAKE : 0;
    flags |= event->in_tls ? FLAG_IN_TLS : 0;
    flags |= event->ipv6 ? FLAG_IPV6 : 0;
    flags |= memcmp(event->local, mapped_prefix, sizeof(mapped_prefix)) == 0 ? FLAG_LOCAL_IPV4 : 0;
    flags |= event->has_victim ? FLAG_VICTIM : 0;
    flags |= event->has_machine ? FLAG_MACHINE : 0;
    flags |= event->has_agent ? FLAG_AGENT : 0;
    flags |= event->asn != 0 ? FLAG_ASN : 0;
    flags |= event->country[0] != '\0' ? FLAG_COUNTRY : 0;
    for (size_t i = 0; i < TEXT_COUNT; i++)
        flags |= text_of(event, &texts[i])[0] != '\0' ? texts[i].flag : 0;
    return flags;
}

static uint8_t *put_fixed(uint8_t *at, const struct sink_event *event, uint32_t flags)
{
    at = put_little(at, (uint64_t)event->at_us, 8);
    *at++ = event->transport;
    *at++ = event->ending;
    *at++ = event->kind;
    *at++ = event->name_source;
    at = put_varint(at, event->lasted_ms);
    at = put_varint(at, event->received);
    at = put_varint(at, event->epoch);
    at = put_little(at, event->client_port, 2);
    at = put_little(at, event->local_port, 2);
    at = put(at, event->client, SINK_ADDRESS_SIZE);
    at = put(at, event->network, SINK_ADDRESS_SIZE);
    if ((flags & FLAG_LOCAL_IPV4) != 0)
        return put(at, event->local + sizeof(mapped_prefix), 4);
    return put(at, event->local, SINK_ADDRESS_SIZE);
}

static uint8_t *put_optional(uint8_t *at, const struct sink_event *event, uint32_t flags)
{
    if ((flags & FLAG_VICTIM) != 0)
        at = put(at, event->victim, SINK_ID_SIZE);
    if ((flags & FLAG_MACHINE) != 0)
        at = put(at, event->machine, SINK_ID_SIZE);
    if ((flags & FLAG_AGENT) != 0)
        at = put(at, event->agent, sizeof(event->agent));
    if ((flags & FLAG_ASN) != 0)
        at = put_varint(at, event->asn);
    if ((flags & FLAG_COUNTRY) != 0)
        at = put(at, event->country, COUNTRY_SIZE);
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if ((flags & texts[i].flag) == 0)
            continue;
        const char *text = text_of(event, &texts[i]);
        size_t size = strnlen(text, texts[i].size - 1);
        *at++ = (uint8_t)size;
        at = put(at, text, size);
    }
    return at;
}

size_t sink_event_encode(const struct sink_event *event,
                         uint8_t ret_octets[static SINK_EVENT_OCTETS_MAX])
{
    const uint32_t flags = flags_of(event);
    uint8_t *body = ret_octets + SIZE_ROOM;
    uint8_t *at = put_varint(body, flags);
    at = put_fixed(at, event, flags);
    at = put_optional(at, event, flags);

    const size_t size = (size_t)(at - body);
    assert(size <= BODY_SIZE_MAX);
    uint8_t front[SIZE_ROOM];
    const size_t front_size = (size_t)(put_varint(front, size) - front);
    if (front_size < SIZE_ROOM)
        memmove(ret_octets + front_size, body, size);
    memcpy(ret_octets, front, front_size);
    return front_size + size;
}

/* ---- Decoding ---- */

struct cursor {
    const uint8_t *at, *end;
    bool is_bad; /* something was cut short or out of range; what is taken then is zero */
};

static void take(struct cursor *cursor, void *ret_octets, size_t size)
{
    if ((size_t)(cursor->end - cursor->at) < size) {
        cursor->is_bad = true;
        return;
    }
    memcpy(ret_octets, cursor->at, size);
    cursor->at += size;
}

static uint64_t take_little(struct cursor *cursor, size_t size)
{
    uint8_t octets[8] = {0};
    uint64_t value = 0;
    take(cursor, octets, size);
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)octets[i] << (8 * i);
    return value;
}

static uint64_t take_varint(struct cursor *cursor, uint64_t max)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 7 * VARINT_SIZE_MAX; shift += 7) {
        uint8_t octet = 0;
        take(cursor, &octet, 1);
        const uint64_t bits = octet & 0x7f;
        if (shift == 63 && bits > 1)
            break; /* beyond 64 bits */
        value |= bits << shift;
        if (octet < 0x80) {
            cursor->is_bad |= value > max;
            return value;
        }
    }
    cursor->is_bad = true;
    return 0;
}

static uint8_t take_number(struct cursor *cursor, uint8_t max)
{
    uint8_t number = 0;
    take(cursor, &number, 1);
    cursor->is_bad |= number > max;
    return number;
}

static void take_text(struct cursor *cursor, const struct text_field *field,
                      struct sink_event *event)
{
    char *text = (char *)event + field->offset;
    const uint8_t size = take_number(cursor, (uint8_t)(field->size - 1));
    if (cursor->is_bad)
        return;
    take(cursor, text, size);
    cursor->is_bad |= size == 0 || memchr(text, '\0', size) != NULL;
}

static void take_fixed(struct cursor *cursor, uint32_t flags, struct sink_event *event)
{
    event->at_us = (int64_t)take_little(cursor, 8);
    event->transport = take_number(cursor, SINK_UDP);
    event->ending = take_number(cursor, SINK_ENDING);
    event->kind = take_number(cursor, UINT8_MAX);
    if (event->kind >= SINK_KIND_COUNT)
        event->kind = SINK_UNKNOWN; /* kinds are what later versions will have more of */
    event->name_source = take_number(cursor, SINK_NAME_ADDRESS);
    event->lasted_ms = (uint32_t)take_varint(cursor, UINT32_MAX);
    event->received = take_varint(cursor, UINT64_MAX);
    event->epoch = (uint16_t)take_varint(cursor, UINT16_MAX);
    event->client_port = (uint16_t)take_little(cursor, 2);
    event->local_port = (uint16_t)take_little(cursor, 2);
    take(cursor, event->client, SINK_ADDRESS_SIZE);
    take(cursor, event->network, SINK_ADDRESS_SIZE);
    if ((flags & FLAG_LOCAL_IPV4) != 0) {
        memcpy(event->local, mapped_prefix, sizeof(mapped_prefix));
        take(cursor, event->local + sizeof(mapped_prefix), 4);
    } else {
        take(cursor, event->local, SINK_ADDRESS_SIZE);
    }
}

static void take_optional(struct cursor *cursor, uint32_t flags, struct sink_event *event)
{
    if ((flags & FLAG_VICTIM) != 0)
        take(cursor, event->victim, SINK_ID_SIZE);
    if ((flags & FLAG_MACHINE) != 0)
        take(cursor, event->machine, SINK_ID_SIZE);
    if ((flags & FLAG_AGENT) != 0)
        take(cursor, event->agent, sizeof(event->agent));
    if ((flags & FLAG_ASN) != 0)
        event->asn = (uint32_t)take_varint(cursor, UINT32_MAX);
    if ((flags & FLAG_COUNTRY) != 0) {
        take(cursor, event->country, COUNTRY_SIZE);
        cursor->is_bad |= strlen(event->country) != COUNTRY_SIZE;
    }
    for (size_t i = 0; i < TEXT_COUNT; i++)
        if ((flags & texts[i].flag) != 0)
            take_text(cursor, &texts[i], event);
}

int sink_event_decode(const uint8_t *octets, size_t size, struct sink_event *ret_event)
{
    struct cursor cursor = {.at = octets, .end = octets + size};
    const uint64_t body_size = take_varint(&cursor, SINK_EVENT_OCTETS_MAX - SIZE_ROOM);
    if (cursor.is_bad || body_size > (size_t)(cursor.end - cursor.at))
        return -EBADMSG;
    cursor.end = cursor.at + body_size;

    /* Bits of later versions may be above ours. */
    const uint32_t flags = (uint32_t)take_varint(&cursor, UINT64_MAX);
    struct sink_event event = {
        .wellformed = (flags & FLAG_WELLFORMED) != 0,
        .consistent = (flags & FLAG_CONSISTENT) != 0,
        .fake = (flags & FLAG_FAKE) != 0,
        .in_tls = (flags & FLAG_IN_TLS) != 0,
        .ipv6 = (flags & FLAG_IPV6) != 0,
        .has_victim = (flags & FLAG_VICTIM) != 0,
        .has_machine = (flags & FLAG_MACHINE) != 0,
        .has_agent = (flags & FLAG_AGENT) != 0,
    };
    take_fixed(&cursor, flags, &event);
    take_optional(&cursor, flags, &event);
    if (cursor.is_bad)
        return -EBADMSG;
    *ret_event = event;
    return (int)(cursor.end - octets);
}
