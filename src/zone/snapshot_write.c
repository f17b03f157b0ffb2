#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "base/folder_sync.h"
#include "zone/nsec_chain.h"
#include "zone/snapshot_internal.h"

/* Entries that are asked of the view at once. */
#define ENTRIES_MAX 1024

/* Octets that one system call writes. */
#define BUFFER_SIZE ((size_t)512 * 1024)

struct writer {
    int file;
    const _Atomic(bool) *cancel;
    uint64_t size;    /* written, with what is in the buffer */
    uint64_t records; /* in the entries written */
    size_t filled;
    XXH3_state_t *sum;
    uint8_t buffer[BUFFER_SIZE];
};

/* ---- Octets ---- */

static int write_all(int file, const uint8_t *octets, size_t size)
{
    while (size > 0) {
        ssize_t wrote = write(file, octets, size);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        octets += wrote;
        size -= (size_t)wrote;
    }
    return 0;
}

static bool is_cancelled(const struct writer *writer)
{
    return writer->cancel != NULL && atomic_load_explicit(writer->cancel, memory_order_relaxed);
}

static int writer_flush(struct writer *writer)
{
    if (is_cancelled(writer))
        return -ECANCELED;
    XXH3_64bits_update(writer->sum, writer->buffer, writer->filled);
    int rc = write_all(writer->file, writer->buffer, writer->filled);
    writer->filled = 0;
    return rc;
}

static int writer_put(struct writer *writer, const void *octets, size_t size)
{
    const uint8_t *from = octets;
    writer->size += size;
    while (size > 0) {
        size_t room = BUFFER_SIZE - writer->filled, part = size < room ? size : room;
        memcpy(writer->buffer + writer->filled, from, part);
        writer->filled += part;
        from += part;
        size -= part;
        if (writer->filled == BUFFER_SIZE) {
            int rc = writer_flush(writer);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int writer_put_entry(struct writer *writer, const struct name_entry *entry)
{
    static const uint8_t zeros[8];
    size_t size = snapshot_entry_size(entry, &writer->records);
    int rc = writer_put(writer, entry, size);
    return rc < 0 ? rc : writer_put(writer, zeros, snapshot_round(size) - size);
}

/* ---- Sections ---- */

static uint8_t depth_of(const struct name_entry *entry)
{
    uint8_t depth = 0;
    for (size_t at = 0; at < entry->owner_size; at += 1 + (size_t)entry->owner[at])
        depth++;
    return depth;
}

/* Makes a table of its own, without marks and as wide as a loaded one's, and finds how deep it is:
 * the generation's own bound may come from names that are gone. */
static int copy_table(const struct writer *writer, struct zone_view *view,
                      struct name_table *ret_table, uint8_t *ret_depth_max)
{
    *ret_depth_max = 0;
    int rc = name_table_init(ret_table, zone_view_state(view)->entry_count);
    if (rc < 0)
        return rc;
    const struct name_entry *entries[ENTRIES_MAX];
    size_t count;
    while ((count = zone_view_next(view, entries, NULL, ENTRIES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++) {
            const uint8_t depth = depth_of(entries[i]);
            if (depth > *ret_depth_max)
                *ret_depth_max = depth;
            name_table_insert(ret_table, zone_data_entry_hash(zone_view_data(view), entries[i]),
                              entries[i], false);
        }
        if (is_cancelled(writer)) {
            name_table_clear(ret_table);
            return -ECANCELED;
        }
    }
    return 0;
}

static int place_entry(void *context, const struct name_entry *entry, uint64_t *ret_place)
{
    struct writer *writer = context;
    *ret_place = writer->size - SNAPSHOT_PAGE + SNAPSHOT_PLACE_BIAS;
    return writer_put_entry(writer, entry);
}

static int write_nsec3(struct writer *writer, const struct nsec_chain *chain,
                       struct snapshot_header *header)
{
    const uint64_t before = writer->size;
    for (size_t i = 0; i < chain->nsec3_count; i++) {
        int rc = writer_put_entry(writer, chain->nsec3[i].entry);
        if (rc < 0)
            return rc;
    }
    header->nsec3_count = chain->nsec3_count;
    header->nsec3_size = writer->size - before;
    return 0;
}

/* The slot numbers of the chain, which must be found while the table still has pointers. */
static int find_nsec(const struct zone_data *data, const struct name_table *table,
                     uint64_t **ret_slots)
{
    const struct nsec_chain *chain = data->chain;
    uint64_t *slots = calloc(chain->nsec_count + 1, sizeof(*slots));
    if (slots == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < chain->nsec_count; i++)
        slots[i] =
            name_table_index(table, zone_data_entry_hash(data, chain->nsec[i]), chain->nsec[i]);
    *ret_slots = slots;
    return 0;
}

static int write_sections(struct writer *writer, const struct zone_data *data,
                          struct name_table *table, struct snapshot_header *header)
{
    const struct nsec_chain *chain = data->chain;
    uint64_t *nsec = NULL;
    int rc = 0;
    if (chain != NULL && chain->nsec3 == NULL)
        rc = find_nsec(data, table, &nsec);
    if (rc == 0)
        rc = name_table_pack(table, place_entry, writer);
    header->entries_size = writer->size - SNAPSHOT_PAGE;
    if (rc == 0 && chain != NULL && chain->nsec3 != NULL)
        rc = write_nsec3(writer, chain, header);
    header->slot_count = table->capacity;
    if (rc == 0)
        rc = writer_put(writer, table->slots, table->capacity * sizeof(uint64_t));
    if (nsec != NULL) {
        header->nsec_count = chain->nsec_count;
        if (rc == 0)
            rc = writer_put(writer, nsec, chain->nsec_count * sizeof(uint64_t));
    }
    free(nsec);
    header->record_count = writer->records;
    return rc == 0 ? writer_flush(writer) : rc;
}

static struct snapshot_header make_header(const struct zone_view *view, int64_t checked_at)
{
    const struct zone_data *data = zone_view_data(view);
    const struct zone_view_state *state = zone_view_state(view);
    const struct zone_source *source = &state->source;
    const struct soa *soa = zone_view_soa(view);
    struct snapshot_header header = {
        .magic = {'T', 'A', 'M', 'I', 'S', 'N', 'A', 'P'},
        .byte_order = SNAPSHOT_BYTE_ORDER,
        .version = SNAPSHOT_VERSION,
        .pointer_size = sizeof(void *),
        .header_size = sizeof(header),
        .source_kind = source->kind,
        .chain_kind = data->chain == NULL          ? SNAPSHOT_CHAIN_NONE
                      : data->chain->nsec3 == NULL ? SNAPSHOT_CHAIN_NSEC
                                                   : SNAPSHOT_CHAIN_NSEC3,
        .source_size = source->file_size,
        .source_inode = source->inode,
        .source_device = source->device,
        .source_mtime_ns = source->mtime_ns,
        .source_ctime_ns = source->ctime_ns,
        .checked_at = checked_at,
        .serial = soa->serial,
        .refresh_s = soa->refresh_s,
        .retry_s = soa->retry_s,
        .expire_s = soa->expire_s,
        .minimum_s = soa->minimum_s,
        .ttl_s = soa->ttl_s,
        .name_count = state->name_count,
        .entry_count = state->entry_count,
        .source_serial = source->serial,
        .apex_size = data->apex.size,
    };
    memcpy(header.apex, data->apex.wire, data->apex.size);
    snapshot_name_hash(header.name_hash);
    return header;
}

/* ---- The file ---- */

static int write_file(struct writer *writer, struct zone_view *view, int64_t checked_at)
{
    const struct zone_data *data = zone_view_data(view);
    struct snapshot_header header = make_header(view, checked_at);
    if (data->chain != NULL && data->chain->nsec3 != NULL && data->chain->nsec3_count == 0)
        return -EINVAL; /* a chain without a link: who signed it will have to do it again */

    /* The header comes last: until then the file is none. */
    static const uint8_t page[SNAPSHOT_PAGE];
    int rc = write_all(writer->file, page, sizeof(page));
    writer->size = SNAPSHOT_PAGE;
    if (rc < 0)
        return rc;

    struct name_table table;
    rc = copy_table(writer, view, &table, &header.depth_max);
    if (rc < 0)
        return rc;
    rc = write_sections(writer, data, &table, &header);
    name_table_clear(&table);
    if (rc < 0)
        return rc;

    header.file_size = writer->size;
    header.body_checksum = XXH3_64bits_digest(writer->sum);
    header.header_checksum = snapshot_header_checksum(&header);
    ssize_t wrote = pwrite(writer->file, &header, sizeof(header), 0);
    return wrote == (ssize_t)sizeof(header) ? 0 : wrote < 0 ? -errno : -EIO;
}

/* Makes the file durable and gives it its name. Closes it in any case. */
static int file_commit(int file, const char *temporary, const char *path)
{
    int rc = fsync(file) < 0 ? -errno : 0;
    if (close(file) < 0 && rc == 0)
        rc = -errno;
    if (rc == 0 && rename(temporary, path) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(temporary);
        return rc;
    }
    return folder_sync_of(path);
}

int snapshot_write(const char *path, struct zone_view *view, int64_t checked_at,
                   const _Atomic(bool) *cancel, uint64_t *ret_size, struct error *ret_error)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int)sizeof(temporary))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0,
                            "too long a path: shorten server.state");
    struct writer *writer = calloc(1, sizeof(*writer));
    XXH3_state_t *sum = XXH3_createState();
    int file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    int rc = file < 0 ? -errno : writer == NULL || sum == NULL ? -ENOMEM : 0;
    if (rc == 0) {
        writer->file = file;
        writer->cancel = cancel;
        writer->sum = sum;
        XXH3_64bits_reset(sum);
        rc = write_file(writer, view, checked_at);
    }
    if (rc == 0) {
        *ret_size = writer->size;
        rc = file_commit(file, temporary, path);
    } else if (file >= 0) {
        close(file);
        (void)unlink(temporary);
    }
    XXH3_freeState(sum);
    free(writer);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be written: %s", strerror(-rc));
    return 0;
}

int snapshot_set_checked(const char *path, const uint8_t *apex, uint32_t serial, int64_t checked_at,
                         struct error *ret_error)
{
    int file = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (file < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    struct snapshot_header header;
    int rc = snapshot_header_read(file, path, apex, &header, ret_error);
    if (rc == 0 && header.serial != serial)
        rc = error_set_at(ret_error, -ESTALE, path, 0, "of serial %" PRIu32 ", not %" PRIu32,
                          header.serial, serial);
    if (rc == 0) {
        struct snapshot_check check;
        snapshot_check_read(file, &header, &check);
        check.sequence++;
        check.checked_at = checked_at;
        check.checksum = snapshot_check_checksum(&header, &check);
        ssize_t wrote = pwrite(file, &check, sizeof(check),
                               (off_t)snapshot_check_offset((unsigned)(check.sequence % 2)));
        if (wrote != (ssize_t)sizeof(check))
            rc = error_set_at(ret_error, wrote < 0 ? -errno : -EIO, path, 0,
                              "cannot be written: %s", wrote < 0 ? strerror(errno) : "cut short");
    }
    close(file);
    return rc;
}
