#include "sink/segment.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <xxhash.h>
#include <zstd.h>

static const char segment_magic[8] = {'T', 'A', 'M', 'I', 'S', 'E', 'V', '\n'};
static const char block_magic[4] = {'e', 'v', 'b', '1'};

enum { SEGMENT_SUM = SEGMENT_HEADER_SIZE - 8, BLOCK_SUM = BLOCK_HEADER_SIZE - 8 };

#define BLOCK_COMPRESSED 1u

static void put_little(uint8_t *at, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_little(const uint8_t *at, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++)
        value |= (uint64_t)at[i] << (8 * i);
    return value;
}

/* ---- The segment's header ---- */

void segment_header_write(const struct segment_header *header,
                          uint8_t ret_octets[static SEGMENT_HEADER_SIZE])
{
    memset(ret_octets, 0, SEGMENT_HEADER_SIZE);
    memcpy(ret_octets, segment_magic, sizeof(segment_magic));
    put_little(ret_octets + 8, SEGMENT_VERSION, 2);
    put_little(ret_octets + 10, SEGMENT_HEADER_SIZE, 2);
    put_little(ret_octets + 16, header->node, 8);
    put_little(ret_octets + 24, header->number, 8);
    put_little(ret_octets + 32, (uint64_t)header->begun_us, 8);
    put_little(ret_octets + SEGMENT_SUM, XXH3_64bits(ret_octets, SEGMENT_SUM), 8);
}

int segment_header_read(const uint8_t octets[static SEGMENT_HEADER_SIZE],
                        struct segment_header *ret_header)
{
    if (memcmp(octets, segment_magic, sizeof(segment_magic)) != 0 ||
        get_little(octets + SEGMENT_SUM, 8) != XXH3_64bits(octets, SEGMENT_SUM))
        return -EBADMSG;
    if (get_little(octets + 8, 2) != SEGMENT_VERSION ||
        get_little(octets + 10, 2) != SEGMENT_HEADER_SIZE)
        return -EPROTONOSUPPORT;
    *ret_header = (struct segment_header){
        .node = get_little(octets + 16, 8),
        .number = get_little(octets + 24, 8),
        .begun_us = (int64_t)get_little(octets + 32, 8),
    };
    return 0;
}

/* ---- Blocks ---- */

void block_header_write(const struct block_header *header,
                        uint8_t ret_octets[static BLOCK_HEADER_SIZE])
{
    memset(ret_octets, 0, BLOCK_HEADER_SIZE);
    memcpy(ret_octets, block_magic, sizeof(block_magic));
    put_little(ret_octets + 4, header->is_compressed ? BLOCK_COMPRESSED : 0, 4);
    put_little(ret_octets + 8, header->size, 4);
    put_little(ret_octets + 12, header->raw_size, 4);
    put_little(ret_octets + 16, header->count, 4);
    put_little(ret_octets + 24, (uint64_t)header->first_us, 8);
    put_little(ret_octets + 32, (uint64_t)header->last_us, 8);
    put_little(ret_octets + 40, header->checksum, 8);
    put_little(ret_octets + BLOCK_SUM, XXH3_64bits(ret_octets, BLOCK_SUM), 8);
}

int block_header_read(const uint8_t octets[static BLOCK_HEADER_SIZE],
                      struct block_header *ret_header)
{
    if (memcmp(octets, block_magic, sizeof(block_magic)) != 0 ||
        get_little(octets + BLOCK_SUM, 8) != XXH3_64bits(octets, BLOCK_SUM))
        return -EBADMSG;
    const uint64_t flags = get_little(octets + 4, 4);
    const struct block_header header = {
        .size = (uint32_t)get_little(octets + 8, 4),
        .raw_size = (uint32_t)get_little(octets + 12, 4),
        .count = (uint32_t)get_little(octets + 16, 4),
        .is_compressed = flags == BLOCK_COMPRESSED,
        .first_us = (int64_t)get_little(octets + 24, 8),
        .last_us = (int64_t)get_little(octets + 32, 8),
        .checksum = get_little(octets + 40, 8),
    };
    /* What is no gain is not compressed: a block is never longer than its events. */
    if (flags > BLOCK_COMPRESSED || header.raw_size > BLOCK_RAW_MAX ||
        header.size > header.raw_size || (flags == 0 && header.size != header.raw_size))
        return -EBADMSG;
    *ret_header = header;
    return 0;
}

size_t block_header_find(const uint8_t *octets, size_t size)
{
    struct block_header header;
    for (size_t at = 0; size - at >= BLOCK_HEADER_SIZE; at++) {
        const uint8_t *found = memmem(octets + at, size - at, block_magic, sizeof(block_magic));
        if (found == NULL || (size_t)(octets + size - found) < BLOCK_HEADER_SIZE)
            break;
        if (block_header_read(found, &header) == 0)
            return (size_t)(found - octets);
        at = (size_t)(found - octets);
    }
    return SIZE_MAX;
}

bool block_is_intact(const struct block_header *header, const uint8_t *payload)
{
    return XXH3_64bits(payload, header->size) == header->checksum;
}

int block_unpack(const struct block_header *header, const uint8_t *payload, uint8_t *ret_raw)
{
    if (!header->is_compressed) {
        memcpy(ret_raw, payload, header->raw_size);
        return (int)header->raw_size;
    }
    const size_t size = ZSTD_decompress(ret_raw, header->raw_size, payload, header->size);
    return !ZSTD_isError(size) && size == header->raw_size ? (int)size : -EBADMSG;
}

/* ---- Names ---- */

void segment_name_write(const struct segment_header *header,
                        char ret_name[static SEGMENT_NAME_SIZE])
{
    const time_t begun = (time_t)(header->begun_us / 1000000);
    struct tm parts;
    char time[32];
    (void)gmtime_r(&begun, &parts);
    (void)strftime(time, sizeof(time), "%Y%m%dT%H%M%SZ", &parts);
    (void)snprintf(ret_name, SEGMENT_NAME_SIZE, "%012" PRIu64 "-%s.events", header->number, time);
}

static bool name_read(const char *text, struct segment_name *ret_name)
{
    struct tm parts = {0};
    struct segment_name name = {0};
    int size = snprintf(name.name, sizeof(name.name), "%s", text);
    if (size >= (int)sizeof(name.name) || text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    name.number = strtoull(text, &end, 10);
    if (errno != 0 || name.number == 0 || end - text < 12 || *end != '-')
        return false;
    const char *behind = strptime(end + 1, "%Y%m%dT%H%M%SZ", &parts);
    if (behind == NULL || strcmp(behind, ".events") != 0)
        return false;
    name.begun_s = timegm(&parts);
    *ret_name = name;
    return true;
}

static int compare_names(const void *one, const void *other)
{
    const struct segment_name *left = one, *right = other;
    return left->number < right->number ? -1 : left->number > right->number;
}

int segment_list(const char *folder, struct segment_name **ret_names, size_t *ret_count)
{
    struct segment_name *names = NULL, name;
    size_t count = 0, room = 0;
    DIR *files = opendir(folder);
    if (files == NULL)
        return -errno;
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        if (!name_read(file->d_name, &name))
            continue;
        if (count == room) {
            room = room * 2 + 16;
            struct segment_name *grown = reallocarray(names, room, sizeof(*names));
            if (grown == NULL) {
                free(names);
                closedir(files);
                return -ENOMEM;
            }
            names = grown;
        }
        names[count++] = name;
    }
    closedir(files);
    if (count > 1)
        qsort(names, count, sizeof(*names), compare_names);
    *ret_names = names;
    *ret_count = count;
    return 0;
}
