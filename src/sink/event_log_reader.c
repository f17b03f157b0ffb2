/* Reads segments behind the writer, also one of another process. A segment has ended when there is
 * one with a higher number: the writer begins that after its last block. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sink/event_log.h"
#include "sink/segment.h"

struct event_reader {
    char *folder;
    int64_t from_us, to_us;
    int file; /* -1: none */
    struct event_place place;
    uint64_t node;
    bool has_ended; /* there is a later segment */
    uint64_t damaged;
    uint8_t block[BLOCK_SIZE_MAX];

    /* Of event_reader_next(). */
    uint8_t raw[BLOCK_RAW_MAX];
    size_t raw_size, raw_at;
    uint32_t left; /* events */
};

/* ---- Segments ---- */

/* The first segment from number on; false: there is none. */
static int find_segment(const struct event_reader *reader, uint64_t number,
                        struct segment_name *ret_name)
{
    struct segment_name *names = NULL;
    size_t count = 0;
    int found = segment_list(reader->folder, &names, &count);
    for (size_t i = 0; found == 0 && i < count; i++) {
        if (names[i].number >= number) {
            *ret_name = names[i];
            found = 1;
        }
    }
    free(names);
    return found;
}

static void leave_segment(struct event_reader *reader)
{
    struct stat status;
    if (fstat(reader->file, &status) == 0 && (uint64_t)status.st_size > reader->place.octet)
        reader->damaged++; /* a block that was cut short */
    close(reader->file);
    reader->file = -1;
    reader->has_ended = false;
    reader->place = (struct event_place){.segment = reader->place.segment + 1};
}

/* 1: it is open; 0: its header is not there yet. */
static int read_header(struct event_reader *reader)
{
    uint8_t octets[SEGMENT_HEADER_SIZE];
    struct segment_header header = {0};
    ssize_t size = pread(reader->file, octets, sizeof(octets), 0);
    if (size < 0)
        return -errno;
    if (size < SEGMENT_HEADER_SIZE)
        return 0;
    int rc = segment_header_read(octets, &header);
    if (rc == -EPROTONOSUPPORT)
        return rc;
    reader->damaged += rc < 0; /* its blocks may be good */
    reader->node = header.node;
    return 1;
}

/* Opens the segment where the reader stands, or the next one. 1, 0 (none), or negative. */
static int open_segment(struct event_reader *reader)
{
    struct segment_name name;
    char path[PATH_MAX];
    int found = find_segment(reader, reader->place.segment, &name);
    if (found <= 0)
        return found;
    if (name.number != reader->place.segment)
        reader->place = (struct event_place){.segment = name.number};
    if (snprintf(path, sizeof(path), "%s/%s", reader->folder, name.name) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    reader->file = open(path, O_RDONLY | O_CLOEXEC);
    if (reader->file < 0) {
        if (errno != ENOENT)
            return -errno;
        reader->place = (struct event_place){.segment = name.number + 1}; /* deleted just now */
        return open_segment(reader);
    }
    int rc = read_header(reader);
    if (rc == 1 && reader->place.octet < SEGMENT_HEADER_SIZE)
        reader->place.octet = SEGMENT_HEADER_SIZE;
    if (rc < 0 || (rc == 0 && find_segment(reader, name.number + 1, &name) != 1)) {
        close(reader->file);
        reader->file = -1;
        return rc;
    }
    return 1; /* one without a header that has ended is left at once */
}

/* ---- Blocks ---- */

/* 1: all of it; 0: the file ends before. */
static int read_at(const struct event_reader *reader, uint8_t *ret_octets, size_t size,
                   uint64_t place)
{
    for (size_t done = 0; done < size;) {
        ssize_t taken = pread(reader->file, ret_octets + done, size - done, (off_t)(place + done));
        if (taken < 0 && errno == EINTR)
            continue;
        if (taken <= 0)
            return taken < 0 ? -errno : 0;
        done += (size_t)taken;
    }
    return 1;
}

/* Goes to the next good header behind a bad one. 1, 0 (there is none yet), or negative. */
static int skip_damage(struct event_reader *reader)
{
    for (uint64_t from = reader->place.octet + 1;;) {
        ssize_t size = pread(reader->file, reader->block, sizeof(reader->block), (off_t)from);
        if (size < 0)
            return -errno;
        if (size < BLOCK_HEADER_SIZE)
            return 0;
        size_t found = block_header_find(reader->block, (size_t)size);
        if (found != SIZE_MAX) {
            reader->damaged++;
            reader->place.octet = from + found;
            return 1;
        }
        from += (uint64_t)size - BLOCK_HEADER_SIZE + 1;
    }
}

/* Reads the block where the reader stands, and goes behind it; damaged ones are skipped. 1, 0 (no
 * whole one is there), or negative. */
static int read_block(struct event_reader *reader, struct block_header *ret_header)
{
    for (;;) {
        int rc = read_at(reader, reader->block, BLOCK_HEADER_SIZE, reader->place.octet);
        if (rc <= 0)
            return rc;
        if (block_header_read(reader->block, ret_header) < 0) {
            rc = skip_damage(reader);
            if (rc <= 0)
                return rc;
            continue;
        }
        uint8_t *payload = reader->block + BLOCK_HEADER_SIZE;
        rc = read_at(reader, payload, ret_header->size, reader->place.octet + BLOCK_HEADER_SIZE);
        if (rc <= 0)
            return rc;
        reader->place.octet += BLOCK_HEADER_SIZE + ret_header->size;
        if (block_is_intact(ret_header, payload))
            return 1;
        reader->damaged++;
    }
}

static bool in_range(const struct event_reader *reader, int64_t first_us, int64_t last_us)
{
    return (reader->from_us == 0 || last_us >= reader->from_us) &&
           (reader->to_us == 0 || first_us < reader->to_us);
}

/* The next block of any segment that has events in the range. */
static int next_block(struct event_reader *reader, struct block_header *ret_header)
{
    for (;;) {
        int rc = reader->file < 0 ? open_segment(reader) : 1;
        if (rc <= 0)
            return rc;
        rc = read_block(reader, ret_header);
        if (rc < 0)
            return rc;
        if (rc == 1) {
            if (in_range(reader, ret_header->first_us, ret_header->last_us))
                return 1;
            continue;
        }
        if (reader->has_ended) {
            leave_segment(reader);
            continue;
        }
        struct segment_name later;
        rc = find_segment(reader, reader->place.segment + 1, &later);
        if (rc <= 0)
            return rc;
        reader->has_ended = true; /* what was written meanwhile is read first */
    }
}

static int tell(const struct event_reader *reader, int rc, struct error *ret_error)
{
    if (rc == -EPROTONOSUPPORT)
        return error_set_at(ret_error, rc, reader->folder, 0,
                            "segment %llu is of a later version; update Tamis",
                            (unsigned long long)reader->place.segment);
    return error_set_at(ret_error, rc, reader->folder, 0, "cannot be read: %s", strerror(-rc));
}

int event_reader_block(struct event_reader *reader, const uint8_t **ret_octets, size_t *ret_size,
                       struct event_place *ret_place, struct error *ret_error)
{
    struct block_header header;
    int rc = next_block(reader, &header);
    if (rc < 0)
        return tell(reader, rc, ret_error);
    if (rc == 0)
        return 0;
    *ret_octets = reader->block;
    *ret_size = BLOCK_HEADER_SIZE + header.size;
    *ret_place = reader->place;
    return 1;
}

/* ---- Events ---- */

static int unpack_next(struct event_reader *reader)
{
    struct block_header header;
    int rc = next_block(reader, &header);
    if (rc <= 0)
        return rc;
    int size = block_unpack(&header, reader->block + BLOCK_HEADER_SIZE, reader->raw);
    if (size < 0) {
        reader->damaged++;
        return 1;
    }
    reader->raw_size = (size_t)size;
    reader->raw_at = 0;
    reader->left = header.count;
    return 1;
}

int event_reader_next(struct event_reader *reader, struct sink_event *ret_event,
                      struct error *ret_error)
{
    for (;;) {
        while (reader->left > 0) {
            struct sink_event event;
            int size = sink_event_decode(reader->raw + reader->raw_at,
                                         reader->raw_size - reader->raw_at, &event);
            if (size < 0) {
                reader->damaged++;
                reader->left = 0;
                break;
            }
            reader->raw_at += (size_t)size;
            reader->left--;
            if (!in_range(reader, event.at_us, event.at_us))
                continue;
            *ret_event = event;
            return 1;
        }
        int rc = unpack_next(reader);
        if (rc < 0)
            return tell(reader, rc, ret_error);
        if (rc == 0)
            return 0;
    }
}

/* ---- Opening and closing ---- */

int event_reader_open(const char *folder, int64_t from_us, int64_t to_us,
                      const struct event_place *place, struct event_reader **ret_reader,
                      struct error *ret_error)
{
    struct stat status;
    if (stat(folder, &status) < 0 || !S_ISDIR(status.st_mode))
        return error_set_at(ret_error, -ENOENT, folder, 0, "is no folder of events");
    struct event_reader *reader = malloc(sizeof(*reader));
    if (reader == NULL)
        return error_set(ret_error, -ENOMEM, "no memory to read events");
    reader->folder = strdup(folder);
    if (reader->folder == NULL) {
        free(reader);
        return error_set(ret_error, -ENOMEM, "no memory to read events");
    }
    reader->from_us = from_us;
    reader->to_us = to_us;
    reader->file = -1;
    reader->place = place != NULL ? *place : (struct event_place){0};
    reader->node = reader->damaged = 0;
    reader->has_ended = false;
    reader->left = 0;
    *ret_reader = reader;
    return 0;
}

void event_reader_close(struct event_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->file >= 0)
        close(reader->file);
    free(reader->folder);
    free(reader);
}

uint64_t event_reader_damaged(const struct event_reader *reader)
{
    return reader->damaged;
}

uint64_t event_reader_node(const struct event_reader *reader)
{
    return reader->node;
}
