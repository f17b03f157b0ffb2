/* dnstap: events of a name server, each a protocol buffer in a frame (https://dnstap.info). */
#include <errno.h>
#include <string.h>

#include "order/dnstap.pb-c.h"
#include "order/frame_stream.h"
#include "order/traffic_internal.h"

static bool is_stream(const Dnstap__Message *message)
{
    return message->has_socket_protocol &&
           (message->socket_protocol == DNSTAP__SOCKET_PROTOCOL__TCP ||
            message->socket_protocol == DNSTAP__SOCKET_PROTOCOL__DOT ||
            message->socket_protocol == DNSTAP__SOCKET_PROTOCOL__DOH ||
            message->socket_protocol == DNSTAP__SOCKET_PROTOCOL__DNSCRYPT_TCP ||
            message->socket_protocol == DNSTAP__SOCKET_PROTOCOL__DOQ);
}

/* Queries as they come to a server. What a resolver then asks others is the same query again. */
static int take_message(struct traffic *traffic, const Dnstap__Message *message)
{
    struct address client;
    bool has_client = message->has_query_address &&
                      (message->query_address.len == 4 || message->query_address.len == 16);

    if ((message->type != DNSTAP__MESSAGE__TYPE__AUTH_QUERY &&
         message->type != DNSTAP__MESSAGE__TYPE__CLIENT_QUERY) ||
        !message->has_query_message) {
        traffic->report->others++;
        return 0;
    }
    if (has_client)
        client = address_of(message->query_address.data, message->query_address.len);
    traffic->report->has_clients |= has_client;
    return traffic_message(traffic, message->query_message.data, message->query_message.len,
                           has_client ? &client : NULL, is_stream(message));
}

int traffic_take_event(struct traffic *traffic, const uint8_t *octets, size_t size)
{
    traffic->report->read++;
    Dnstap__Dnstap *event = dnstap__dnstap__unpack(NULL, size, octets);
    if (event == NULL) {
        traffic->report->malformed++;
        return 0;
    }
    int rc = 0;
    if (event->type == DNSTAP__DNSTAP__TYPE__MESSAGE && event->message != NULL)
        rc = take_message(traffic, event->message);
    else
        traffic->report->others++;
    dnstap__dnstap__free_unpacked(event, NULL);
    return rc;
}

static int frame_take(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    (void)ret_error; /* the traffic has the same one */
    return traffic_take_event(context, octets, size);
}

int traffic_read_dnstap(struct traffic *traffic, const char *path, FILE *stream)
{
    _cleanup_(frame_stream_freep) struct frame_stream *frames =
        frame_stream_create(DNSTAP_CONTENT_TYPE);
    const struct frame_user user = {.context = traffic, .frame = frame_take};
    int rc = frames != NULL ? 0 : error_set(traffic->error, -ENOMEM, "out of memory");

    while (rc == 0 && !frame_stream_finished(frames)) {
        size_t room;
        uint8_t *octets = frame_stream_room(frames, &room);
        size_t size = fread(octets, 1, room, stream);
        if (size == 0)
            break;
        struct error cause = {0};
        rc = frame_stream_take(frames, size, &user, &cause);
        if (rc < 0 && cause.code != 0)
            rc = error_set_at(traffic->error, rc, path, 0, "is no dnstap file that can be read: %s",
                              cause.text);
    }
    if (rc == 0 && ferror(stream))
        rc = error_set_at(traffic->error, -EIO, path, 0, "cannot be read to its end");
    /* A server that was killed leaves no STOP; only a frame that is not whole is a loss. */
    traffic->report->cut_short = rc == 0 && frame_stream_inside(frames);
    fclose(stream);
    return rc;
}
