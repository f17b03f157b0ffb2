/* The receiving end of Frame Streams, in which dnstap events travel and are stored: data frames
 * between a START and a STOP control frame; over a socket READY and ACCEPT come before, and FINISH
 * after.
 *
 * The caller reads octets into the stream's own room and then has them taken. Nothing in them is
 * trusted; a stream holds one frame at most, whatever it says of its sizes. One thread at a time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The longest data frame: a dnstap event with a query and a response of 64 KiB each, and room for
 * what its producer adds. */
#define FRAME_SIZE_MAX ((size_t)256 * 1024)

/* What the frames of a dnstap stream hold. */
#define DNSTAP_CONTENT_TYPE "protobuf:dnstap.Dnstap"

struct frame_stream;

struct frame_user {
    void *context;
    /* Takes the octets of one data frame, valid during the call. A negative value ends it all. */
    int (*frame)(void *context, const uint8_t *octets, size_t size, struct error *ret_error);
    /* Sends a control frame back to the producer. NULL: it does not listen, as with a file. */
    int (*reply)(void *context, const uint8_t *octets, size_t size, struct error *ret_error);
};

/* For frames of a content type, a constant. NULL: no memory. */
struct frame_stream *frame_stream_create(const char *content_type);
void frame_stream_free(struct frame_stream *stream);
DEFINE_FREEP(struct frame_stream, frame_stream_free)

/* Where the next octets belong, at least one of them. */
uint8_t *frame_stream_room(struct frame_stream *stream, size_t *ret_size);

/* Takes `size` octets that were put into the room. Returns 0, what `user` returned, -EBADMSG for
 * octets that are no such stream, or -EPROTONOSUPPORT for one of another content. */
_must_check_ int frame_stream_take(struct frame_stream *stream, size_t size,
                                   const struct frame_user *user, struct error *ret_error);

/* Whether the producer said that nothing more comes; later octets are not looked at. */
bool frame_stream_finished(const struct frame_stream *stream);

/* Whether the octets so far end inside a frame. */
bool frame_stream_inside(const struct frame_stream *stream);
