/* Any octets as a Frame Streams producer sends them, in pieces, and any octets as the events in a
 * dnstap file: each query that comes out must be a question, and memory stays bounded. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz/fuzz.h"
#include "order/frame_stream.h"
#include "order/traffic.h"

#define CONTENT_TYPE "protobuf:dnstap.Dnstap"

/* A START control frame of that content. */
static const uint8_t start[] = "\0\0\0\0\0\0\0\x22\0\0\0\2\0\0\0\1\0\0\0\x16" CONTENT_TYPE;

struct seen {
    size_t octets;
    unsigned replies;
};

static int frame(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    struct seen *seen = context;

    (void)octets;
    (void)ret_error;
    FUZZ_ASSERT(size > 0 && size <= FRAME_SIZE_MAX);
    seen->octets += size;
    return 0;
}

static int reply(void *context, const uint8_t *octets, size_t size, struct error *ret_error)
{
    struct seen *seen = context;

    (void)ret_error;
    /* An escape in front, and no more than ACCEPT and FINISH. */
    FUZZ_ASSERT(size >= 12 && memcmp(octets, "\0\0\0\0", 4) == 0);
    FUZZ_ASSERT(++seen->replies <= 2);
    return 0;
}

static void read_stream(const uint8_t *input, size_t size, size_t piece)
{
    _cleanup_(frame_stream_freep) struct frame_stream *stream = frame_stream_create(CONTENT_TYPE);
    struct seen seen = {0};
    const struct frame_user user = {.context = &seen, .frame = frame, .reply = reply};
    struct error error = {0};

    FUZZ_ASSERT(stream != NULL);
    for (size_t at = 0; at < size && !frame_stream_finished(stream);) {
        size_t room, part = size - at < piece ? size - at : piece;
        uint8_t *octets = frame_stream_room(stream, &room);
        FUZZ_ASSERT(room > 0);
        part = part < room ? part : room;
        memcpy(octets, input + at, part);
        at += part;
        if (frame_stream_take(stream, part, &user, &error) < 0) {
            FUZZ_ASSERT(error.text[0] != '\0');
            return;
        }
    }
    FUZZ_ASSERT(seen.octets <= size);
}

static int take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    uint64_t *count = context;

    (void)ret_error;
    (*count)++;
    FUZZ_ASSERT(request_asks_data(query->request));
    FUZZ_ASSERT(query->request->question_end <= query->request->size);
    FUZZ_ASSERT(name_wire_size(query->name->wire) == query->name->size);
    FUZZ_ASSERT(query->client == NULL || query->client->family == 4 || query->client->family == 6);
    return 0;
}

static void put(int file, const void *data, size_t size)
{
    FUZZ_ASSERT(write(file, data, size) == (ssize_t)size);
}

/* The whole input is one event, so that the fuzzer finds events, not sizes of frames. */
static void read_event(const uint8_t *input, size_t size)
{
    const uint8_t head[] = {(uint8_t)(size >> 24), (uint8_t)(size >> 16), (uint8_t)(size >> 8),
                            (uint8_t)size};
    struct traffic_report report;
    struct error error = {0};
    uint64_t count = 0;
    char path[32];

    int file = memfd_create("dnstap", MFD_CLOEXEC);
    FUZZ_ASSERT(file >= 0);
    put(file, start, sizeof(start) - 1);
    put(file, head, sizeof(head));
    put(file, input, size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    FUZZ_ASSERT(traffic_read(path, 53, take, &count, &report, &error) == 0);
    FUZZ_ASSERT(report.form == TRAFFIC_DNSTAP && report.read == 1 && report.queries == count);
    FUZZ_ASSERT(report.queries + report.others + report.malformed == 1);
    close(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (size < 2)
        return 0;
    read_stream(input + 1, size - 1, (size_t)input[0] + 1);
    if (size - 1 <= FRAME_SIZE_MAX)
        read_event(input + 1, size - 1);
    return 0;
}
