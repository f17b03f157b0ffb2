/* Frame Streams: what is handed out, what is answered, and what ends them. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "event_text.h"
#include "order/frame_stream.h"

struct seen {
    char frames[256]; /* each followed by a blank */
    struct octets replies;
    int stop_with;
};

static int frame(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    struct seen *seen = context;
    size_t used = strlen(seen->frames);
    (void)ret_error;
    snprintf(seen->frames + used, sizeof(seen->frames) - used, "%.*s ", (int)size,
             (const char *)octets);
    return seen->stop_with;
}

static int reply(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    struct seen *seen = context;
    (void)ret_error;
    put(&seen->replies, octets, size);
    return 0;
}

static const struct octets one = {.at = "one", .size = 3}, two = {.at = "two", .size = 3};

/* Gives the octets in pieces; returns the first result that is not 0. */
static int give(struct frame_stream *stream, const struct octets *octets, size_t piece,
                bool two_way, struct seen *seen, struct error *error)
{
    const struct frame_user user = {
        .context = seen, .frame = frame, .reply = two_way ? reply : NULL};
    int rc = 0;
    for (size_t at = 0; at < octets->size && rc == 0; at += piece) {
        size_t room, size = octets->size - at < piece ? octets->size - at : piece;
        uint8_t *place = frame_stream_room(stream, &room);
        assert_true(room >= size);
        memcpy(place, octets->at + at, size);
        rc = frame_stream_take(stream, size, &user, error);
    }
    return rc;
}

static int give_new(const struct octets *octets, bool two_way, struct seen *seen,
                    struct error *error)
{
    _cleanup_(frame_stream_freep) struct frame_stream *stream = frame_stream_create(CONTENT_TYPE);
    assert_non_null(stream);
    *seen = (struct seen){0};
    return give(stream, octets, octets->size, two_way, seen, error);
}

static void test_a_file_has_frames_between_start_and_stop_in_pieces_of_any_size(void **state)
{
    (void)state;
    struct octets octets = {0};
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put_frame(&octets, &one);
    put_frame(&octets, &two);
    put_control(&octets, CONTROL_STOP, NULL);
    put_frame(&octets, &one); /* behind its end */
    for (size_t piece = 1; piece <= octets.size; piece++) {
        _cleanup_(frame_stream_freep) struct frame_stream *stream =
            frame_stream_create(CONTENT_TYPE);
        struct seen seen = {0};
        struct error error = {0};
        assert_non_null(stream);
        assert_int_equal(give(stream, &octets, piece, false, &seen, &error), 0);
        assert_string_equal(seen.frames, "one two ");
        assert_true(frame_stream_finished(stream));
        assert_int_equal(seen.replies.size, 0);
    }
}

static void test_a_producer_that_asks_is_accepted_and_told_of_the_end(void **state)
{
    (void)state;
    struct octets octets = {0}, expected = {0};
    struct seen seen;
    struct error error = {0};
    put_control(&octets, CONTROL_READY, CONTENT_TYPE);
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put_frame(&octets, &one);
    put_control(&octets, CONTROL_STOP, NULL);
    put_control(&expected, CONTROL_ACCEPT, CONTENT_TYPE);
    put_control(&expected, CONTROL_FINISH, NULL);
    assert_int_equal(give_new(&octets, true, &seen, &error), 0);
    assert_string_equal(seen.frames, "one ");
    assert_int_equal(seen.replies.size, expected.size);
    assert_memory_equal(seen.replies.at, expected.at, expected.size);
}

static void test_a_stream_of_other_content_is_refused_by_name(void **state)
{
    (void)state;
    static const unsigned types[] = {CONTROL_READY, CONTROL_START};
    for (size_t i = 0; i < 2; i++) {
        struct octets octets = {0};
        struct seen seen;
        struct error error = {0};
        put_control(&octets, types[i], "protobuf:other");
        assert_int_equal(give_new(&octets, true, &seen, &error), -EPROTONOSUPPORT);
        assert_non_null(strstr(error.text, CONTENT_TYPE));
        assert_int_equal(seen.replies.size, 0);
    }
}

static void test_what_is_out_of_place_ends_the_stream(void **state)
{
    (void)state;
    /* Control frames one after the other; 0 is a data frame. */
    static const unsigned wrong[][3] = {
        {0},
        {CONTROL_STOP},
        {CONTROL_ACCEPT},
        {CONTROL_READY, CONTROL_READY},
        {CONTROL_READY, 0},
        {CONTROL_START, CONTROL_START},
        {CONTROL_START, CONTROL_READY},
        {77},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct octets octets = {0};
        struct seen seen;
        struct error error = {0};
        put_control(&octets, wrong[i][0], NULL);
        if (wrong[i][0] == 0 || wrong[i][1] == 0)
            put_frame(&octets, &one);
        else
            put_control(&octets, wrong[i][1], NULL);
        assert_int_equal(give_new(&octets, true, &seen, &error), -EBADMSG);
        assert_string_equal(seen.frames, "");
        assert_true(error.text[0] != '\0');
    }
}

static void test_sizes_above_the_bounds_end_the_stream_before_they_are_waited_for(void **state)
{
    (void)state;
    struct octets octets = {0};
    struct seen seen;
    struct error error = {0};
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put32(&octets, FRAME_SIZE_MAX + 1);
    assert_int_equal(give_new(&octets, false, &seen, &error), -EBADMSG);
    octets.size = 0;
    put32(&octets, 0);
    put32(&octets, 513); /* of a control frame */
    assert_int_equal(give_new(&octets, false, &seen, &error), -EBADMSG);
}

static void test_a_frame_of_the_longest_size_has_room(void **state)
{
    (void)state;
    _cleanup_(frame_stream_freep) struct frame_stream *stream = frame_stream_create(CONTENT_TYPE);
    struct octets octets = {0};
    struct seen seen = {0};
    struct error error = {0};
    size_t room, left = FRAME_SIZE_MAX;
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put32(&octets, FRAME_SIZE_MAX);
    assert_int_equal(give(stream, &octets, octets.size, false, &seen, &error), 0);
    while (left > 0) {
        uint8_t *place = frame_stream_room(stream, &room);
        assert_true(room > 0);
        room = room < left ? room : left;
        memset(place, 0, room);
        const struct frame_user user = {.context = &seen, .frame = frame};
        assert_int_equal(frame_stream_take(stream, room, &user, &error), 0);
        left -= room;
    }
    assert_string_equal(seen.frames, " ");
    assert_false(frame_stream_inside(stream));
}

static void test_the_takers_value_ends_the_stream(void **state)
{
    (void)state;
    _cleanup_(frame_stream_freep) struct frame_stream *stream = frame_stream_create(CONTENT_TYPE);
    struct octets octets = {0};
    struct seen seen = {.stop_with = -ECANCELED};
    struct error error = {0};
    put_control(&octets, CONTROL_START, CONTENT_TYPE);
    put_frame(&octets, &one);
    put_frame(&octets, &two);
    assert_int_equal(give(stream, &octets, octets.size, false, &seen, &error), -ECANCELED);
    assert_string_equal(seen.frames, "one ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_has_frames_between_start_and_stop_in_pieces_of_any_size),
        cmocka_unit_test(test_a_producer_that_asks_is_accepted_and_told_of_the_end),
        cmocka_unit_test(test_a_stream_of_other_content_is_refused_by_name),
        cmocka_unit_test(test_what_is_out_of_place_ends_the_stream),
        cmocka_unit_test(test_sizes_above_the_bounds_end_the_stream_before_they_are_waited_for),
        cmocka_unit_test(test_a_frame_of_the_longest_size_has_room),
        cmocka_unit_test(test_the_takers_value_ends_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
