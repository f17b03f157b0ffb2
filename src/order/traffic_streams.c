/* Requests over TCP: segments put together to messages (RFC 1035, 4.2.2).
 *
 * Only what is captured in order is followed. A segment that came before is passed over, one that
 * leaves a gap begins anew: most clients send one message a segment, so that the next segment
 * begins with a message again. Streams are kept in sets of a few; the one idle longest gives way.
 */
#include <errno.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "order/traffic_internal.h"

/* 1,024 streams with a begun message of 64 KiB each are the most that a capture can make us hold.
 */
#define SETS 256
#define WAYS 4

#define LENGTH_SIZE 2
#define BUFFER_SIZE (LENGTH_SIZE + 65535)

struct stream_key {
    struct address client;
    uint8_t server[16];
    uint16_t port;
};

struct stream {
    struct stream_key key;
    bool used;
    uint64_t used_at;  /* segments taken before its last one */
    uint32_t sequence; /* of the octet that comes next */
    uint8_t *buffer;   /* a begun message; NULL: never had one */
    size_t held;
};

struct traffic_streams {
    struct stream streams[SETS][WAYS];
    uint64_t segments;
};

struct traffic_streams *traffic_streams_create(void)
{
    return calloc(1, sizeof(struct traffic_streams));
}

static void stream_clear(struct stream *stream)
{
    free(stream->buffer);
    *stream = (struct stream){0};
}

void traffic_streams_free(struct traffic_streams *streams)
{
    if (streams == NULL)
        return;
    for (size_t set = 0; set < SETS; set++)
        for (size_t way = 0; way < WAYS; way++)
            stream_clear(&streams->streams[set][way]);
    free(streams);
}

static bool key_equal(const struct stream_key *one, const struct stream_key *other)
{
    return one->port == other->port && one->client.family == other->client.family &&
           memcmp(one->client.octets, other->client.octets, sizeof(one->client.octets)) == 0 &&
           memcmp(one->server, other->server, sizeof(one->server)) == 0;
}

/* Finds the segment's stream, or the place of a new one. */
static struct stream *find(struct traffic_streams *streams, const struct stream_key *key)
{
    uint8_t label[1 + 18] = {18, (uint8_t)(key->port >> 8), (uint8_t)key->port};
    memcpy(label + 3, key->client.octets, 16);
    struct stream *set = streams->streams[name_hash_child(0, label) % SETS];
    struct stream *oldest = &set[0];

    for (size_t way = 0; way < WAYS; way++) {
        if (set[way].used && key_equal(&set[way].key, key))
            return &set[way];
        if (!set[way].used || (oldest->used && set[way].used_at < oldest->used_at))
            oldest = &set[way];
    }
    return oldest;
}

/* Hands out the messages at the front of `octets`; returns how many octets they took, or a negative
 * value. */
static ssize_t take_messages(struct traffic *traffic, const struct address *client,
                             const uint8_t *octets, size_t size)
{
    size_t at = 0;

    while (size - at >= LENGTH_SIZE) {
        size_t message_size = knot_wire_read_u16(octets + at);
        if (size - at - LENGTH_SIZE < message_size)
            break;
        int rc = traffic_message(traffic, octets + at + LENGTH_SIZE, message_size, client, true);
        if (rc < 0)
            return rc;
        at += LENGTH_SIZE + message_size;
    }
    return (ssize_t)at;
}

/* Adds octets to the begun message, as many as fit; messages are taken out as they end. */
static int append(struct stream *stream, struct traffic *traffic, const uint8_t *octets,
                  size_t size)
{
    if (stream->buffer == NULL && (stream->buffer = malloc(BUFFER_SIZE)) == NULL)
        return error_set(traffic->error, -ENOMEM, "out of memory");
    while (size > 0) {
        size_t room = BUFFER_SIZE - stream->held;
        size_t part = size < room ? size : room;
        memcpy(stream->buffer + stream->held, octets, part);
        stream->held += part;
        octets += part;
        size -= part;
        ssize_t taken = take_messages(traffic, &stream->key.client, stream->buffer, stream->held);
        if (taken < 0)
            return (int)taken;
        stream->held -= (size_t)taken;
        memmove(stream->buffer, stream->buffer + taken, stream->held);
    }
    return 0;
}

/* Puts the segment behind what came before; returns how many of its octets came before already. */
static size_t place(struct stream *stream, struct traffic *traffic,
                    const struct traffic_segment *segment, uint32_t sequence)
{
    int32_t ahead = (int32_t)(sequence - stream->sequence);

    if (ahead > 0) {
        traffic->report->gaps++;
        stream->held = 0;
        stream->sequence = sequence;
        ahead = 0;
    }
    size_t known = (size_t) - (int64_t)ahead;
    return known < segment->size ? known : segment->size;
}

int traffic_streams_take(struct traffic_streams *streams, struct traffic *traffic,
                         const struct traffic_segment *segment)
{
    struct stream_key key = {.client = segment->client, .port = segment->client_port};
    uint32_t sequence = segment->sequence + (segment->begins ? 1 : 0);
    int rc = 0;

    memcpy(key.server, segment->server, sizeof(key.server));
    struct stream *stream = find(streams, &key);
    if (segment->begins || !stream->used || !key_equal(&stream->key, &key)) {
        if (stream->held > 0)
            traffic->report->gaps++;
        stream->key = key;
        stream->used = true;
        stream->held = 0;
        stream->sequence = sequence;
    }
    stream->used_at = streams->segments++;

    size_t known = place(stream, traffic, segment, sequence);
    if (known < segment->size) {
        stream->sequence += (uint32_t)(segment->size - known);
        rc = append(stream, traffic, segment->payload + known, segment->size - known);
    }
    if (rc >= 0 && segment->ends)
        stream_clear(stream);
    return rc;
}
