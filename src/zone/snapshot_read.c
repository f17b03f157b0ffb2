#include <errno.h>
#include <fcntl.h>
#include <libknot/descriptor.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "zone/arena.h"
#include "zone/snapshot_internal.h"
#include "zone/zone_data_internal.h"

/* Octets that are read and then summed while they are still in the processor's cache. */
#define READ_SIZE ((size_t)512 * 1024)

struct snapshot {
    int descriptor;
    char *path;
    struct snapshot_header header;
    struct snapshot_info info;
};

static struct snapshot_info header_info(const struct snapshot_header *header,
                                        const struct snapshot_check *check)
{
    return (struct snapshot_info){
        .source = {.kind = header->source_kind <= ZONE_SOURCE_TRANSFER
                               ? (enum zone_source_kind)header->source_kind
                               : ZONE_SOURCE_NONE,
                   .is_snapshot = true,
                   .serial = header->source_serial,
                   .file_size = header->source_size,
                   .inode = header->source_inode,
                   .device = header->source_device,
                   .mtime_ns = header->source_mtime_ns,
                   .ctime_ns = header->source_ctime_ns,
                   .checked_at = check->checked_at > header->checked_at ? check->checked_at
                                                                        : header->checked_at},
        .soa = {.serial = header->serial,
                .refresh_s = header->refresh_s,
                .retry_s = header->retry_s,
                .expire_s = header->expire_s,
                .minimum_s = header->minimum_s,
                .ttl_s = header->ttl_s},
        .name_count = header->name_count,
        .size = header->file_size,
    };
}

int snapshot_open(const char *path, const uint8_t *apex, struct snapshot **ret_snapshot,
                  struct error *ret_error)
{
    _cleanup_(snapshot_closep) struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    snapshot->path = strdup(path);
    /* Not waiting: whatever else has that name, a start must not hang on it. */
    snapshot->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (snapshot->descriptor < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be read: %s", strerror(errno));
    if (snapshot->path == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");

    int rc = snapshot_header_read(snapshot->descriptor, path, apex, &snapshot->header, ret_error);
    if (rc < 0)
        return rc;
    struct snapshot_check check;
    snapshot_check_read(snapshot->descriptor, &snapshot->header, &check);
    snapshot->info = header_info(&snapshot->header, &check);
    *ret_snapshot = TAKE(snapshot);
    return 0;
}

void snapshot_close(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    if (snapshot->descriptor >= 0)
        close(snapshot->descriptor);
    free(snapshot->path);
    free(snapshot);
}

const struct snapshot_info *snapshot_info(const struct snapshot *snapshot)
{
    return &snapshot->info;
}

/* ---- The octets ---- */

/* Where the reading stands. */
struct body {
    const struct snapshot *snapshot;
    off_t at;
    XXH3_state_t *sum;
};

static int body_read(struct body *body, void *ret_octets, uint64_t size)
{
    uint8_t *octets = ret_octets;
    while (size > 0) {
        ssize_t got = pread(body->snapshot->descriptor, octets,
                            size < READ_SIZE ? (size_t)size : READ_SIZE, body->at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        XXH3_64bits_update(body->sum, octets, (size_t)got);
        octets += got;
        body->at += got;
        size -= (uint64_t)got;
    }
    return 0;
}

/* What was read, before anything of it is looked at. */
struct raw {
    const uint8_t *entries, *nsec3;
    uint64_t *nsec;
};

static int read_sections(struct body *body, struct zone_data *data, struct raw *ret_raw)
{
    const struct snapshot_header *header = &body->snapshot->header;
    if (header->slot_count != data->table->capacity)
        return -EBADMSG;
    uint8_t *entries = arena_alloc_block(data->arena, header->entries_size + header->nsec3_size);
    uint64_t *nsec = calloc(header->nsec_count + 1, sizeof(*nsec));
    ret_raw->nsec = nsec;
    if (entries == NULL || nsec == NULL)
        return -ENOMEM;
    ret_raw->entries = entries;
    ret_raw->nsec3 = entries + header->entries_size;

    int rc = body_read(body, entries, header->entries_size + header->nsec3_size);
    if (rc == 0)
        rc = body_read(body, data->table->slots, header->slot_count * sizeof(uint64_t));
    if (rc == 0)
        rc = body_read(body, nsec, header->nsec_count * sizeof(uint64_t));
    if (rc == 0 && XXH3_64bits_digest(body->sum) != header->body_checksum)
        rc = -EBADMSG;
    return rc;
}

/* ---- From octets to a generation ---- */

struct walk {
    const uint8_t *entries;
    uint64_t at, size;
    size_t apex_size;
    struct snapshot_tally tally;
};

/* Entries follow each other as their slots do, so a place can only be the next one. */
static const struct name_entry *next_entry(void *context, uint64_t place)
{
    struct walk *walk = context;
    if (place != walk->at + SNAPSHOT_PLACE_BIAS)
        return NULL;
    const uint8_t *at = walk->entries + walk->at;
    uint64_t size = snapshot_entry_check(at, walk->size - walk->at, walk->apex_size, &walk->tally);
    walk->at += size;
    return size == 0 ? NULL : (const struct name_entry *)at;
}

static bool apex_check(const struct name_entry *apex)
{
    struct rrset rrset;
    return apex != NULL && name_entry_rrset(apex, KNOT_RRTYPE_SOA, &rrset) &&
           name_entry_rrset(apex, KNOT_RRTYPE_NS, &rrset);
}

static int link_entries(struct zone_data *data, const struct snapshot_header *header,
                        const struct raw *raw, struct snapshot_tally *ret_tally)
{
    struct walk walk = {
        .entries = raw->entries, .size = header->entries_size, .apex_size = data->apex.size};
    int rc = name_table_unpack(data->table, next_entry, &walk);
    if (rc < 0)
        return rc;
    if (walk.at != walk.size || walk.tally.entries != header->entry_count ||
        walk.tally.names != header->name_count || walk.tally.depth_max != header->depth_max ||
        !apex_check(walk.tally.apex))
        return -EBADMSG;

    data->apex_entry = walk.tally.apex;
    data->entry_count = walk.tally.entries;
    data->name_count = walk.tally.names;
    data->depth_max = walk.tally.depth_max;
    rc = zone_data_take_apex(data);
    if (rc < 0)
        return rc;
    *ret_tally = walk.tally;
    return data->soa.serial == header->serial && data->soa.expire_s == header->expire_s &&
                   (!walk.tally.has_cuts || snapshot_cuts_check(data))
               ? 0
               : -EBADMSG;
}

static int link_nsec3(struct zone_data *data, const struct snapshot_header *header,
                      const struct raw *raw, uint64_t *ret_records)
{
    const struct name_entry **entries = calloc(header->nsec3_count, sizeof(struct name_entry *));
    if (entries == NULL)
        return -ENOMEM;
    struct snapshot_tally tally = {0};
    uint64_t at = 0, count = 0;
    while (count < header->nsec3_count) {
        uint64_t size =
            snapshot_entry_check(raw->nsec3 + at, header->nsec3_size - at, data->apex.size, &tally);
        if (size == 0)
            break;
        entries[count++] = (const struct name_entry *)(raw->nsec3 + at);
        at += size;
    }
    int rc = -EBADMSG;
    if (count == header->nsec3_count && at == header->nsec3_size)
        rc = zone_data_link_chain(data, entries, count);
    free(entries);
    if (rc < 0)
        return rc;
    *ret_records = tally.records;
    return data->chain != NULL && data->chain->nsec3_count == count ? 0 : -EBADMSG;
}

static int link_nsec(struct zone_data *data, const struct snapshot_header *header,
                     const struct raw *raw)
{
    struct nsec_chain *chain = calloc(1, sizeof(*chain));
    if (chain == NULL)
        return -ENOMEM;
    data->chain = chain;
    chain->nsec = calloc(header->nsec_count + 1, sizeof(struct name_entry *));
    if (chain->nsec == NULL)
        return -ENOMEM;

    for (uint64_t i = 0; i < header->nsec_count; i++) {
        const struct name_entry *entry = name_table_at(data->table, raw->nsec[i]);
        struct rrset rrset;
        if (entry == NULL || !name_entry_rrset(entry, KNOT_RRTYPE_NSEC, &rrset))
            return -EBADMSG;
        const struct name_entry *before = i > 0 ? chain->nsec[i - 1] : NULL;
        if (before != NULL &&
            owner_compare(before->owner, before->owner_size, entry->owner, entry->owner_size) >= 0)
            return -EBADMSG;
        chain->nsec[chain->nsec_count++] = entry;
    }
    return 0;
}

static int link_chain(struct zone_data *data, const struct snapshot_header *header,
                      const struct raw *raw, uint64_t *ret_records)
{
    if (header->chain_kind == SNAPSHOT_CHAIN_NSEC3 && header->nsec3_count > 0 &&
        header->nsec_count == 0)
        return link_nsec3(data, header, raw, ret_records);
    if (header->nsec3_count != 0 || header->nsec3_size != 0)
        return -EBADMSG;
    if (header->chain_kind == SNAPSHOT_CHAIN_NSEC)
        return link_nsec(data, header, raw);
    return header->chain_kind == SNAPSHOT_CHAIN_NONE && header->nsec_count == 0 ? 0 : -EBADMSG;
}

static int read_data(const struct snapshot *snapshot, struct body *body, struct zone_data *data)
{
    const struct snapshot_header *header = &snapshot->header;
    struct raw raw = {0};
    int rc = read_sections(body, data, &raw);
    struct snapshot_tally tally = {0};
    if (rc == 0)
        rc = link_entries(data, header, &raw, &tally);
    uint64_t chain_records = 0;
    if (rc == 0)
        rc = link_chain(data, header, &raw, &chain_records);
    free(raw.nsec);
    if (rc < 0)
        return rc;
    data->record_count = tally.records + chain_records;
    if (data->record_count != header->record_count)
        return -EBADMSG;
    data->source = snapshot->info.source;
    zone_data_measure(data);
    return 0;
}

int snapshot_read(struct snapshot *snapshot, struct zone_data **ret_data, struct error *ret_error)
{
    const struct snapshot_header *header = &snapshot->header;
    struct name apex;
    if (name_parse(&apex, header->apex, header->apex_size) < 0)
        return error_set_at(ret_error, -EBADMSG, snapshot->path, 0, "damaged: no name of a zone");

    /* A sparse file may claim any size. */
    const uint64_t memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    _cleanup_(zone_data_freep) struct zone_data *data = NULL;
    struct body body = {.snapshot = snapshot, .at = SNAPSHOT_PAGE, .sum = XXH3_createState()};
    int rc = body.sum == NULL || header->file_size > memory ? -ENOMEM : 0;
    if (rc == 0) {
        /* The disk reads on while what it gave is looked at. */
        (void)posix_fadvise(snapshot->descriptor, 0, 0, POSIX_FADV_WILLNEED);
        XXH3_64bits_reset(body.sum);
        rc = zone_data_allocate(&apex, header->entry_count, &data);
    }
    if (rc == 0)
        rc = read_data(snapshot, &body, data);
    XXH3_freeState(body.sum);
    if (rc < 0)
        return error_set_at(ret_error, rc, snapshot->path, 0, "%s",
                            rc == -EBADMSG
                                ? "damaged: its content does not match its header or is no zone"
                                : strerror(-rc));
    *ret_data = TAKE(data);
    return 0;
}
