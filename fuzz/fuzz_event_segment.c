/* A segment of events with any octets in it: whatever is read from it is an event that encodes to
 * itself, every block lies behind the one before, and the reader comes to an end.
 *
 * The first octet of the input says what the rest is: the events of one block, its compressed form,
 * a file, or changes of a good file, four octets each: a place, and what happens there. Checksums
 * of blocks are made right, or nothing would get behind them, but for every other change. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "fuzz/fuzz.h"
#include "sink/event_log.h"
#include "sink/segment.h"

#define GOOD_BLOCKS      4
#define GOOD_EVENTS_EACH 3

/* Of an event that is encoded in full. */
#define GOOD_SIZE_MAX      \
    (SEGMENT_HEADER_SIZE + \
     GOOD_BLOCKS * (BLOCK_HEADER_SIZE + GOOD_EVENTS_EACH * SINK_EVENT_OCTETS_MAX))

static char folder[] = "/tmp/tamis-fuzz-XXXXXX", path[128];
static uint8_t good[GOOD_SIZE_MAX];
static size_t good_size;

static size_t put_header(uint8_t *to)
{
    const struct segment_header header = {.node = 1, .number = 1, .begun_us = 1};
    segment_header_write(&header, to);
    return SEGMENT_HEADER_SIZE;
}

/* Puts a block whose checksums are right. */
static size_t put_block(uint8_t *to, struct block_header header, const uint8_t *payload)
{
    header.checksum = XXH3_64bits(payload, header.size);
    block_header_write(&header, to);
    if (header.size > 0)
        memcpy(to + BLOCK_HEADER_SIZE, payload, header.size);
    return BLOCK_HEADER_SIZE + header.size;
}

static void make_good(void)
{
    good_size = put_header(good);
    for (unsigned i = 0; i < GOOD_BLOCKS; i++) {
        uint8_t raw[GOOD_EVENTS_EACH * SINK_EVENT_OCTETS_MAX];
        struct block_header header = {.count = GOOD_EVENTS_EACH};
        for (unsigned k = 0; k < GOOD_EVENTS_EACH; k++) {
            struct sink_event event;
            memset(&event, 0, sizeof(event));
            event.at_us = (int64_t)i * 10 + k;
            event.has_victim = event.has_agent = k % 2 != 0;
            strcpy(event.family, "family");
            strcpy(event.name, "a.example");
            event.asn = 64496;
            header.raw_size += (uint32_t)sink_event_encode(&event, raw + header.raw_size);
        }
        header.size = header.raw_size;
        good_size += put_block(good + good_size, header, raw);
    }
}

static void remove_folder(void)
{
    (void)rmdir(folder);
}

static void set_up(void)
{
    FUZZ_ASSERT(mkdtemp(folder) != NULL && atexit(remove_folder) == 0);
    snprintf(path, sizeof(path), "%s/000000000001-20260101T000000Z.events", folder);
    make_good();
}

/* ---- What the input makes ---- */

static size_t make_block(const uint8_t *input, size_t size, bool is_compressed, uint8_t *ret_file)
{
    struct block_header header = {.is_compressed = is_compressed, .count = 1, .raw_size = 100};
    if (size >= 4) {
        header.count = input[0];
        header.raw_size = (uint32_t)(input[1] | input[2] << 8 | (input[3] & 7) << 16);
        input += 4;
        size -= 4;
    }
    header.size = (uint32_t)(size < BLOCK_RAW_MAX ? size : BLOCK_RAW_MAX);
    if (!is_compressed || header.raw_size < header.size)
        header.raw_size = header.size;
    if (header.raw_size > BLOCK_RAW_MAX)
        header.raw_size = BLOCK_RAW_MAX;
    const size_t at = put_header(ret_file);
    return at + put_block(ret_file + at, header, input);
}

static void change(uint8_t *file, const uint8_t *record)
{
    const size_t place = (size_t)(record[0] | record[1] << 8) % good_size;
    switch (record[2] % 3) {
    case 0:
        file[place] = record[3];
        break;
    case 1:
        file[place] ^= (uint8_t)(1 << record[3] % 8);
        break;
    default: { /* octets from elsewhere */
        const size_t from = (size_t)record[3] * 7 % good_size;
        const size_t room = good_size - (place > from ? place : from);
        memmove(file + place, file + from, room < 60 ? room : 60);
    }
    }
}

/* Of blocks that are where they were. */
static void make_sums_right(uint8_t *file)
{
    for (size_t at = SEGMENT_HEADER_SIZE; good_size - at >= BLOCK_HEADER_SIZE;) {
        struct block_header header;
        FUZZ_ASSERT(block_header_read(good + at, &header) == 0);
        uint64_t sum = XXH3_64bits(file + at + BLOCK_HEADER_SIZE, header.size);
        memcpy(file + at + 40, &sum, sizeof(sum));
        sum = XXH3_64bits(file + at, BLOCK_HEADER_SIZE - 8);
        memcpy(file + at + BLOCK_HEADER_SIZE - 8, &sum, sizeof(sum));
        at += BLOCK_HEADER_SIZE + header.size;
    }
}

static size_t make_file(const uint8_t *input, size_t size, uint8_t *ret_file)
{
    const uint8_t mode = input[0];
    input++;
    size--;
    if (mode % 4 < 2)
        return make_block(input, size, mode % 4 == 1, ret_file);
    if (mode % 4 == 2) {
        memcpy(ret_file, input, size);
        return size;
    }
    memcpy(ret_file, good, good_size);
    for (; size >= 4; size -= 4, input += 4)
        change(ret_file, input);
    if (mode < 128)
        make_sums_right(ret_file);
    return good_size;
}

/* ---- What must hold ---- */

static void check_event(const struct sink_event *event)
{
    uint8_t octets[SINK_EVENT_OCTETS_MAX];
    struct sink_event back;
    memset(&back, 0, sizeof(back));
    const size_t size = sink_event_encode(event, octets);
    FUZZ_ASSERT(sink_event_decode(octets, size, &back) == (int)size);
    FUZZ_ASSERT(back.at_us == event->at_us && back.kind == event->kind &&
                strcmp(back.name, event->name) == 0 && strcmp(back.ja4, event->ja4) == 0 &&
                memcmp(back.local, event->local, sizeof(back.local)) == 0);
}

static unsigned check_events(void)
{
    unsigned count = 0;
    struct event_reader *reader;
    struct sink_event event;
    struct error error = {0};
    int rc;
    FUZZ_ASSERT(event_reader_open(folder, 0, 0, NULL, &reader, &error) == 0);
    for (; (rc = event_reader_next(reader, &event, &error)) == 1; count++)
        check_event(&event);
    FUZZ_ASSERT(rc == 0 || (rc == -EPROTONOSUPPORT && error.text[0] != '\0'));
    event_reader_close(reader);
    return count;
}

static void check_blocks(void)
{
    struct event_reader *reader;
    struct event_place place = {0};
    struct error error = {0};
    const uint8_t *octets;
    size_t size;
    FUZZ_ASSERT(event_reader_open(folder, 0, 0, NULL, &reader, &error) == 0);
    for (uint64_t last = 0; event_reader_block(reader, &octets, &size, &place, &error) == 1;
         last = place.octet) {
        FUZZ_ASSERT(place.segment == 1 && place.octet >= last + size);
        FUZZ_ASSERT(size >= BLOCK_HEADER_SIZE && size <= BLOCK_SIZE_MAX);
    }
    event_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    if (good_size == 0)
        set_up();
    if (size == 0)
        return 0;
    uint8_t *octets = malloc(GOOD_SIZE_MAX + BLOCK_SIZE_MAX + size);
    const size_t file_size = make_file(input, size, octets);
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_ASSERT(file >= 0 && write(file, octets, file_size) == (ssize_t)file_size);
    close(file);
    free(octets);
    const unsigned count = check_events();
    FUZZ_ASSERT(size > 1 || input[0] % 4 != 3 || count == GOOD_BLOCKS * GOOD_EVENTS_EACH);
    check_blocks();
    FUZZ_ASSERT(unlink(path) == 0);
    return 0;
}
