/* A segment: one file of the event log, a header and blocks behind each other. doc/sink-events.md
 * tells the format to the octet; all integers are little endian.
 *
 * A block is whole in itself: its header has a checksum of its own, so that a reader finds the next
 * block behind a damaged one, and it says nothing of its place, so that it can be passed on as it
 * is. Private to the event log; the functions are pure but for segment_list(). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "sink/event.h"

#define SEGMENT_VERSION     1
#define SEGMENT_HEADER_SIZE 64
#define BLOCK_HEADER_SIZE   56

/* Octets of encoded events in a block. Larger ones compress hardly better, and a message of NATS,
 * which by default has 1 MiB, must hold a block that can't be compressed. */
#define BLOCK_RAW_MAX (512 * 1024)

#define BLOCK_SIZE_MAX (BLOCK_HEADER_SIZE + BLOCK_RAW_MAX)

struct segment_header {
    uint64_t node;   /* random, of the folder: with number and octet it names a block for ever */
    uint64_t number; /* from 1 */
    int64_t begun_us;
};

struct block_header {
    uint32_t size;     /* octets behind the header */
    uint32_t raw_size; /* of the events, decompressed; at most BLOCK_RAW_MAX */
    uint32_t count;    /* of the events */
    bool is_compressed;
    int64_t first_us, last_us; /* the least and the greatest time of its events */
    uint64_t checksum;         /* XXH3 of what is behind the header */
};

void segment_header_write(const struct segment_header *header,
                          uint8_t ret_octets[static SEGMENT_HEADER_SIZE]);
/* 0; -EBADMSG: damaged; -EPROTONOSUPPORT: of a later version. */
_must_check_ int segment_header_read(const uint8_t octets[static SEGMENT_HEADER_SIZE],
                                     struct segment_header *ret_header);

void block_header_write(const struct block_header *header,
                        uint8_t ret_octets[static BLOCK_HEADER_SIZE]);
/* 0 or -EBADMSG. */
_must_check_ int block_header_read(const uint8_t octets[static BLOCK_HEADER_SIZE],
                                   struct block_header *ret_header);

/* The place of the next header that is right, at or behind octets; SIZE_MAX: none. */
size_t block_header_find(const uint8_t *octets, size_t size);

/* Whether the octets behind a header are those that were written. */
bool block_is_intact(const struct block_header *header, const uint8_t *payload);

/* Unpacks what is behind an intact block's header into `ret_raw` of BLOCK_RAW_MAX octets. Returns
 * header->raw_size or -EBADMSG. */
_must_check_ int block_unpack(const struct block_header *header, const uint8_t *payload,
                              uint8_t *ret_raw);

/* ---- Names: "000000000042-20261124T004600Z.events": they sort by number and so by time ---- */

#define SEGMENT_NAME_SIZE 64

void segment_name_write(const struct segment_header *header,
                        char ret_name[static SEGMENT_NAME_SIZE]);

struct segment_name {
    uint64_t number;
    int64_t begun_s;
    char name[SEGMENT_NAME_SIZE];
};

/* The segments of a folder in ascending order; the caller frees them. Returns a negative errno. */
_must_check_ int segment_list(const char *folder, struct segment_name **ret_names,
                              size_t *ret_count);
