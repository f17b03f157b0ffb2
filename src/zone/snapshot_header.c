/* The first page of a snapshot: what it is, for whom, and whether it is whole. */
#include <errno.h>
#include <inttypes.h>
#include <libknot/dname.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "zone/snapshot_internal.h"

/* A file's name has at most 255 octets; one of ours gets ".new" while it is written. */
#define FILE_NAME_MAX (255 - 4)

int snapshot_path(const char *folder, const uint8_t *apex, char *ret_path, size_t path_size)
{
    /* Lower case, and without the '/' of names like 0/25.2.0.192.in-addr.arpa (RFC 2317). */
    uint8_t wire[NAME_SIZE_MAX];
    size_t wire_size = name_wire_size(apex);
    name_fold(wire, apex, wire_size);
    char text[KNOT_DNAME_TXT_MAXLEN + 1], name[KNOT_DNAME_TXT_MAXLEN * 4 + 16];
    if (knot_dname_to_str(text, wire, sizeof(text)) == NULL)
        return -EINVAL;

    size_t size = 0, end = strlen(text);
    if (end > 1)
        end--; /* the root's dot, except for the root itself */
    for (size_t i = 0; i < end; i++)
        size += (size_t)snprintf(name + size, sizeof(name) - size, text[i] == '/' ? "\\047" : "%c",
                                 text[i]);
    (void)snprintf(name + size, sizeof(name) - size, ".snapshot");
    if (size + strlen(".snapshot") > FILE_NAME_MAX) {
        /* Two of one digest would replace each other's; each still says whose it is. */
        XXH128_hash_t digest = XXH3_128bits(wire, wire_size);
        (void)snprintf(name, sizeof(name), "long-%016" PRIx64 "%016" PRIx64 ".snapshot",
                       (uint64_t)digest.high64, (uint64_t)digest.low64);
    }
    int written = snprintf(ret_path, path_size, "%s/%s", folder, name);
    return written < 0 || (size_t)written >= path_size ? -ENAMETOOLONG : 0;
}

uint64_t snapshot_header_checksum(const struct snapshot_header *header)
{
    return XXH3_64bits(header, offsetof(struct snapshot_header, header_checksum));
}

uint64_t snapshot_check_checksum(const struct snapshot_header *header,
                                 const struct snapshot_check *check)
{
    return XXH3_64bits_withSeed(check, offsetof(struct snapshot_check, checksum),
                                header->header_checksum);
}

void snapshot_name_hash(uint64_t ret_hash[2])
{
    static const uint8_t short_name[] = "\5tamis\7example";
    static const uint8_t long_name[] =
        "\57the-hash-of-this-label-takes-more-than-one-word\1x\7example";
    ret_hash[0] = name_hash(short_name);
    ret_hash[1] = name_hash(long_name);
}

/* Whether the sections are what the file's size says, with no sum that wraps. */
static bool sizes_add_up(const struct snapshot_header *header)
{
    const uint64_t parts[] = {header->entries_size, header->nsec3_size,  header->slot_count,
                              header->nsec_count,   header->entry_count, header->nsec3_count};
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (parts[i] > SNAPSHOT_SIZE_MAX)
            return false;
    }
    return header->entries_size % 8 == 0 && header->nsec3_size % 8 == 0 &&
           header->entry_count <= header->entries_size / 8 &&
           header->nsec3_count <= header->nsec3_size / 8 &&
           header->file_size == SNAPSHOT_PAGE + header->entries_size + header->nsec3_size +
                                    (header->slot_count + header->nsec_count) * sizeof(uint64_t);
}

static int machine_check(const struct snapshot_header *header, const char *path,
                         struct error *ret_error)
{
    if (memcmp(header->magic, SNAPSHOT_MAGIC, sizeof(header->magic)) != 0)
        return error_set_at(ret_error, -EBADMSG, path, 0, "not a snapshot, or damaged");
    if (header->byte_order != SNAPSHOT_BYTE_ORDER)
        return error_set_at(ret_error, -ENOTSUP, path, 0,
                            "written on a machine of another byte order, or damaged");
    if (header->version != SNAPSHOT_VERSION)
        return error_set_at(ret_error, -ENOTSUP, path, 0,
                            "of version %u, while this program reads version %u", header->version,
                            SNAPSHOT_VERSION);
    if (header->pointer_size != sizeof(void *) || header->header_size != sizeof(*header))
        return error_set_at(ret_error, -ENOTSUP, path, 0,
                            "written on another kind of machine, or damaged");
    return 0;
}

static int content_check(const struct snapshot_header *header, const char *path,
                         const uint8_t *apex, uint64_t file_size, struct error *ret_error)
{
    if (header->header_checksum != snapshot_header_checksum(header))
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "damaged: the checksum of its header is wrong");
    if (header->file_size != file_size)
        return error_set_at(ret_error, -EBADMSG, path, 0, "damaged: %" PRIu64 " octets of %" PRIu64,
                            file_size, header->file_size);

    uint8_t folded[NAME_SIZE_MAX];
    size_t apex_size = name_wire_size(apex);
    name_fold(folded, apex, apex_size);
    if (header->apex_size != apex_size || memcmp(header->apex, folded, apex_size) != 0)
        return error_set_at(ret_error, -EBADMSG, path, 0, "of another zone");

    uint64_t name_hash[2];
    snapshot_name_hash(name_hash);
    if (memcmp(header->name_hash, name_hash, sizeof(name_hash)) != 0)
        return error_set_at(ret_error, -EKEYREJECTED, path, 0,
                            "written with another key or another function of the name hash");
    if (!sizes_add_up(header))
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "damaged: its parts are not as large as it is");
    return 0;
}

int snapshot_header_read(int descriptor, const char *path, const uint8_t *apex,
                         struct snapshot_header *ret_header, struct error *ret_error)
{
    struct stat status;
    if (fstat(descriptor, &status) < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be read: %s", strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set_at(ret_error, -EBADMSG, path, 0, "not a regular file");
    if (status.st_size < SNAPSHOT_PAGE)
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "damaged: %lld octets, less than its first page",
                            (long long)status.st_size);
    ssize_t got = pread(descriptor, ret_header, sizeof(*ret_header), 0);
    if (got != (ssize_t)sizeof(*ret_header))
        return error_set_at(ret_error, got < 0 ? -errno : -EBADMSG, path, 0, "cannot be read: %s",
                            got < 0 ? strerror(errno) : "cut short");
    int rc = machine_check(ret_header, path, ret_error);
    if (rc == 0)
        rc = content_check(ret_header, path, apex, (uint64_t)status.st_size, ret_error);
    return rc;
}

void snapshot_check_read(int descriptor, const struct snapshot_header *header,
                         struct snapshot_check *ret_check)
{
    *ret_check = (struct snapshot_check){0};
    for (unsigned i = 0; i < 2; i++) {
        struct snapshot_check check;
        ssize_t got = pread(descriptor, &check, sizeof(check), (off_t)snapshot_check_offset(i));
        if (got == (ssize_t)sizeof(check) &&
            check.checksum == snapshot_check_checksum(header, &check) &&
            check.sequence > ret_check->sequence)
            *ret_check = check;
    }
}
