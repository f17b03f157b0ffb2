#include "order/frame_stream.h"

#include <errno.h>
#include <fstrm.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH_SIZE  4
#define ESCAPE_SIZE  8 /* the length 0 and the control frame's own length */
#define CONTROL_ROOM (ESCAPE_SIZE + FSTRM_CONTROL_FRAME_LENGTH_MAX)

enum frame_state {
    FRAMES_NEW,   /* READY or START is next */
    FRAMES_READY, /* we accepted: START is next */
    FRAMES_DATA,
    FRAMES_FINISHED,
};

struct frame_stream {
    const char *content_type;
    struct fstrm_control *control;
    enum frame_state state;
    bool two_way;
    size_t held;
    uint8_t octets[LENGTH_SIZE + FRAME_SIZE_MAX];
};

struct frame_stream *frame_stream_create(const char *content_type)
{
    struct frame_stream *stream = malloc(sizeof(*stream));
    if (stream == NULL)
        return NULL;
    stream->content_type = content_type;
    stream->control = fstrm_control_init(); /* ends the process when there is no memory */
    stream->state = FRAMES_NEW;
    stream->two_way = false;
    stream->held = 0;
    return stream;
}

void frame_stream_free(struct frame_stream *stream)
{
    if (stream == NULL)
        return;
    fstrm_control_destroy(&stream->control);
    free(stream);
}

uint8_t *frame_stream_room(struct frame_stream *stream, size_t *ret_size)
{
    *ret_size = sizeof(stream->octets) - stream->held;
    return stream->octets + stream->held;
}

bool frame_stream_finished(const struct frame_stream *stream)
{
    return stream->state == FRAMES_FINISHED;
}

bool frame_stream_inside(const struct frame_stream *stream)
{
    return stream->held > 0;
}

/* ACCEPT names the content that we take, FINISH nothing. */
static int control_reply(struct frame_stream *stream, fstrm_control_type type,
                         const struct frame_user *user, struct error *ret_error)
{
    uint8_t octets[CONTROL_ROOM];
    size_t size = sizeof(octets);

    fstrm_control_reset(stream->control);
    if (fstrm_control_set_type(stream->control, type) != fstrm_res_success ||
        (type == FSTRM_CONTROL_ACCEPT && fstrm_control_add_field_content_type(
                                             stream->control, (const uint8_t *)stream->content_type,
                                             strlen(stream->content_type)) != fstrm_res_success) ||
        fstrm_control_encode(stream->control, octets, &size, FSTRM_CONTROL_FLAG_WITH_HEADER) !=
            fstrm_res_success)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return user->reply(user->context, octets, size, ret_error);
}

static bool content_matches(const struct frame_stream *stream)
{
    return fstrm_control_match_field_content_type(
               stream->control, (const uint8_t *)stream->content_type,
               strlen(stream->content_type)) == fstrm_res_success;
}

static int control_take(struct frame_stream *stream, const uint8_t *octets, size_t size,
                        const struct frame_user *user, struct error *ret_error)
{
    fstrm_control_type type;

    fstrm_control_reset(stream->control);
    if (fstrm_control_decode(stream->control, octets, size, 0) != fstrm_res_success ||
        fstrm_control_get_type(stream->control, &type) != fstrm_res_success)
        return error_set(ret_error, -EBADMSG, "a control frame cannot be read");
    if ((type == FSTRM_CONTROL_READY || type == FSTRM_CONTROL_START) && !content_matches(stream))
        return error_set(ret_error, -EPROTONOSUPPORT, "its frames are not %s",
                         stream->content_type);

    if (type == FSTRM_CONTROL_READY && stream->state == FRAMES_NEW && user->reply != NULL) {
        stream->state = FRAMES_READY;
        stream->two_way = true;
        return control_reply(stream, FSTRM_CONTROL_ACCEPT, user, ret_error);
    }
    if (type == FSTRM_CONTROL_START && stream->state < FRAMES_DATA) {
        stream->state = FRAMES_DATA;
        return 0;
    }
    if (type == FSTRM_CONTROL_STOP && stream->state == FRAMES_DATA) {
        stream->state = FRAMES_FINISHED;
        return stream->two_way ? control_reply(stream, FSTRM_CONTROL_FINISH, user, ret_error) : 0;
    }
    return error_set(ret_error, -EBADMSG, "a control frame of type %u is out of place",
                     (unsigned)type);
}

/* Takes the frame at the front of `octets`; returns its size, 0 when it is not whole yet, or a
 * negative value. */
static ssize_t frame_take(struct frame_stream *stream, const uint8_t *octets, size_t size,
                          const struct frame_user *user, struct error *ret_error)
{
    if (size < LENGTH_SIZE)
        return 0;
    size_t frame_size = knot_wire_read_u32(octets);
    if (frame_size > 0) {
        if (stream->state != FRAMES_DATA)
            return error_set(ret_error, -EBADMSG, "data comes before the stream has begun");
        if (frame_size > FRAME_SIZE_MAX)
            return error_set(ret_error, -EBADMSG, "a frame of %zu octets is longer than %zu",
                             frame_size, FRAME_SIZE_MAX);
        if (size - LENGTH_SIZE < frame_size)
            return 0;
        int rc = user->frame(user->context, octets + LENGTH_SIZE, frame_size, ret_error);
        return rc < 0 ? rc : (ssize_t)(LENGTH_SIZE + frame_size);
    }
    if (size < ESCAPE_SIZE)
        return 0;
    size_t control_size = knot_wire_read_u32(octets + LENGTH_SIZE);
    if (control_size > FSTRM_CONTROL_FRAME_LENGTH_MAX)
        return error_set(ret_error, -EBADMSG, "a control frame of %zu octets is longer than %d",
                         control_size, FSTRM_CONTROL_FRAME_LENGTH_MAX);
    if (size - ESCAPE_SIZE < control_size)
        return 0;
    int rc = control_take(stream, octets + ESCAPE_SIZE, control_size, user, ret_error);
    return rc < 0 ? rc : (ssize_t)(ESCAPE_SIZE + control_size);
}

int frame_stream_take(struct frame_stream *stream, size_t size, const struct frame_user *user,
                      struct error *ret_error)
{
    size_t at = 0;

    stream->held += size;
    while (stream->state != FRAMES_FINISHED) {
        ssize_t taken = frame_take(stream, stream->octets + at, stream->held - at, user, ret_error);
        if (taken < 0)
            return (int)taken;
        if (taken == 0)
            break;
        at += (size_t)taken;
    }
    if (stream->state == FRAMES_FINISHED)
        at = stream->held;
    stream->held -= at;
    memmove(stream->octets, stream->octets + at, stream->held);
    return 0;
}
