/* The files of the event log. A block is written at the end of what is durable and then synced;
 * what fails is cut off again and written anew, at the same place unless the segment's time is up.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/folder_sync.h"
#include "base/log.h"
#include "sink/event_log_internal.h"

#define FILE_MODE 0640 /* reports may be another user's of the group */

static int path_of(const struct event_log *log, const char *name, char ret_path[static PATH_MAX])
{
    return snprintf(ret_path, PATH_MAX, "%s/%s", log->folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int write_at(int file, const uint8_t *octets, size_t size, uint64_t place)
{
    while (size > 0) {
        ssize_t written = pwrite(file, octets, size, (off_t)place);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        octets += written;
        place += (uint64_t)written;
        size -= (size_t)written;
    }
    return 0;
}

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- Beginning a segment ---- */

static int write_header(const struct event_log *log, int file, const struct segment_header *header)
{
    uint8_t octets[SEGMENT_HEADER_SIZE];
    segment_header_write(header, octets);
    int rc = write_at(file, octets, sizeof(octets), 0);
    if (rc == 0 && fdatasync(file) < 0)
        rc = -errno;
    return rc < 0 ? rc : folder_sync(log->folder);
}

/* The folder may be gone since the start; it is made again, and is ours again. */
static int create_file(struct event_log *log, const char *path)
{
    const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
    struct error error = {0};
    int file = open(path, flags, FILE_MODE);
    if (file < 0 && errno == ENOENT) {
        int rc = event_log_take_folder(log, &error);
        if (rc < 0)
            return rc;
        file = open(path, flags, FILE_MODE);
    }
    return file < 0 ? -errno : file;
}

static int begin_segment(struct event_log *log)
{
    struct segment_header header = log->segment.header;
    char name[SEGMENT_NAME_SIZE], path[PATH_MAX];
    header.number = log->last_number + 1;
    header.begun_us = now_us();
    segment_name_write(&header, name);
    int rc = path_of(log, name, path);
    if (rc < 0)
        return rc;
    int file = create_file(log, path);
    if (file < 0)
        return file;
    rc = write_header(log, file, &header);
    if (rc < 0) {
        (void)unlink(path); /* or the number would be taken when it is tried again */
        close(file);
        return rc;
    }
    if (log->segment.file >= 0)
        close(log->segment.file);
    log->last_number = header.number;
    log->segment = (struct open_segment){
        .file = file,
        .end = SEGMENT_HEADER_SIZE,
        .begun_ns = event_log_now_ns(),
        .header = header,
    };
    event_log_retain(log);
    return 0;
}

static bool time_is_up(const struct event_log *log)
{
    return log->segment.end > SEGMENT_HEADER_SIZE &&
           event_log_now_ns() - log->segment.begun_ns >=
               log->segment_seconds * UINT64_C(1000000000);
}

int event_log_rotate(struct event_log *log)
{
    return log->segment.file >= 0 && time_is_up(log) ? begin_segment(log) : 0;
}

/* ---- Writing ---- */

static bool has_room(const struct event_log *log, uint64_t end, const struct waiting_block *block)
{
    return end == SEGMENT_HEADER_SIZE || end + block->size <= log->segment_octets_max;
}

static void let_go(struct event_log *log, unsigned block_count)
{
    for (; block_count > 0; block_count--) {
        struct waiting_block *block = log->waiting_first;
        log->waiting_first = block->next;
        log->waiting_octets -= block->size;
        atomic_fetch_add(&log->written, block->count);
        atomic_fetch_add(&log->blocks, 1);
        atomic_fetch_add(&log->octets, block->size);
        free(block);
    }
    if (log->waiting_first == NULL)
        log->waiting_end = &log->waiting_first;
}

/* Writes as many blocks as have room in the segment, and syncs them. */
static int write_segment(struct event_log *log)
{
    struct open_segment *segment = &log->segment;
    uint64_t end = segment->end;
    unsigned count = 0;
    int rc = 0;

    const struct waiting_block *block = log->waiting_first;
    for (; rc == 0 && block != NULL && has_room(log, end, block); block = block->next, count++) {
        rc = write_at(segment->file, block->octets, block->size, end);
        end += block->size;
    }
    if (rc == 0 && fdatasync(segment->file) < 0)
        rc = -errno;
    if (rc < 0) {
        /* Where even this fails, the next try writes the same octets over the same place. */
        (void)!ftruncate(segment->file, (off_t)segment->end);
        return rc;
    }
    segment->end = end;
    let_go(log, count);
    return 0;
}

/* What is written to a file that was deleted is nowhere. */
static bool is_deleted(const struct open_segment *segment)
{
    struct stat status;
    return fstat(segment->file, &status) == 0 && status.st_nlink == 0;
}

int event_log_commit(struct event_log *log)
{
    int rc = 0;
    while (rc == 0 && log->waiting_first != NULL) {
        const struct open_segment *segment = &log->segment;
        if (segment->file < 0 || is_deleted(segment) || time_is_up(log) ||
            !has_room(log, segment->end, log->waiting_first))
            rc = begin_segment(log);
        if (rc == 0)
            rc = write_segment(log);
    }
    return rc;
}

/* ---- Retention ---- */

static bool delete_segment(struct event_log *log, const struct segment_name *segment)
{
    char path[PATH_MAX];
    if (segment->number >= log->last_number || path_of(log, segment->name, path) < 0 ||
        unlink(path) < 0)
        return false;
    atomic_fetch_add(&log->segments_deleted, 1);
    return true;
}

/* A segment's events are older than the beginning of the next one. Returns how many segments of the
 * first ones are gone. */
static size_t delete_by_age(struct event_log *log, const struct segment_name *names, size_t count)
{
    const int64_t today_us = now_us();
    const int64_t oldest_s = today_us / 1000000 - (int64_t)log->keep_days * 86400;
    size_t i = 0;
    if (log->keep_days == 0 || !calendar_is_sure(log->calendar, today_us))
        return 0;
    while (i + 1 < count && names[i + 1].begun_s < oldest_s && delete_segment(log, &names[i]))
        i++;
    return i;
}

static uint64_t octets_of(const struct event_log *log, const struct segment_name *segment)
{
    char path[PATH_MAX];
    struct stat status;
    if (segment->number >= log->last_number || path_of(log, segment->name, path) < 0 ||
        stat(path, &status) < 0)
        return 0;
    return (uint64_t)status.st_size;
}

/* Once for each time that the folder is full: while it is, a segment is deleted for each new one,
 * and may leave a little room. */
static void tell_size(struct event_log *log, uint64_t octets, bool has_deleted)
{
    if (has_deleted && !log->is_full)
        log_event(LOG_WARNING,
                  "%s: has as much as it may, and loses its oldest events before their time: look "
                  "who sends so much, or raise events.mib",
                  log->folder);
    if (has_deleted)
        log->is_full = true;
    else if (octets < log->octets_max - log->octets_max / 8)
        log->is_full = false;
}

/* Whoever forges senders of datagrams chooses how much is written: it must not fill the disk. */
static void delete_by_size(struct event_log *log, const struct segment_name *names, size_t count)
{
    uint64_t octets = log->segment_octets_max; /* which the last one may grow to */
    bool has_deleted = false;
    if (log->octets_max == 0)
        return;
    for (size_t i = 0; i < count; i++)
        octets += octets_of(log, &names[i]);
    for (size_t i = 0; i < count && octets > log->octets_max; i++) {
        const uint64_t freed = octets_of(log, &names[i]);
        if (!delete_segment(log, &names[i]))
            break;
        octets -= freed;
        has_deleted = true;
    }
    tell_size(log, octets, has_deleted);
}

void event_log_retain(struct event_log *log)
{
    struct segment_name *names = NULL;
    size_t count = 0;
    if (segment_list(log->folder, &names, &count) < 0)
        return;
    const size_t gone = delete_by_age(log, names, count);
    delete_by_size(log, names + gone, count - gone);
    free(names);
}

/* ---- Recovery ---- */

/* Behind the last block that is whole. Damaged ones before it stay: what is behind them is good. */
static size_t whole_end(const uint8_t *octets, size_t size)
{
    size_t at = SEGMENT_HEADER_SIZE, end = SEGMENT_HEADER_SIZE;
    while (size - at >= BLOCK_HEADER_SIZE) {
        struct block_header header;
        const size_t room = size - at - BLOCK_HEADER_SIZE;
        if (block_header_read(octets + at, &header) == 0 && header.size <= room) {
            const uint8_t *payload = octets + at + BLOCK_HEADER_SIZE;
            at += BLOCK_HEADER_SIZE + header.size;
            if (block_is_intact(&header, payload))
                end = at;
            continue;
        }
        const size_t next = block_header_find(octets + at + 1, size - at - 1);
        if (next == SIZE_MAX)
            break;
        at += 1 + next;
    }
    return end;
}

static int cut_torn(int file, const char *path, size_t size, size_t end)
{
    if (ftruncate(file, (off_t)end) < 0 || fdatasync(file) < 0)
        return -errno;
    log_event(LOG_WARNING, "%s: %zu octets of a block that was not written whole are cut off", path,
              size - end);
    return 0;
}

/* Takes over the node's number, and cuts off what is torn. `ret_is_empty`: it has no block. */
static int recover_segment(struct event_log *log, int file, const char *path, bool *ret_is_empty)
{
    struct stat status;
    if (fstat(file, &status) < 0)
        return -errno;
    const size_t size = (size_t)status.st_size;
    *ret_is_empty = size <= SEGMENT_HEADER_SIZE;
    if (size < SEGMENT_HEADER_SIZE)
        return 0;
    uint8_t *octets = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (octets == MAP_FAILED)
        return -errno;
    struct segment_header header;
    int rc = segment_header_read(octets, &header);
    if (rc == 0)
        log->segment.header.node = header.node;
    const size_t end = rc == -EPROTONOSUPPORT ? size : whole_end(octets, size);
    munmap(octets, size);
    return end < size ? cut_torn(file, path, size, end) : 0;
}

static int recover_last(struct event_log *log, const struct segment_name *last, bool *ret_is_empty,
                        struct error *ret_error)
{
    char path[PATH_MAX];
    int rc = path_of(log, last->name, path);
    if (rc < 0)
        return error_set_at(ret_error, rc, log->folder, 0, "has too long a path");
    int file = open(path, O_RDWR | O_CLOEXEC);
    rc = file < 0 ? -errno : recover_segment(log, file, path, ret_is_empty);
    if (file >= 0)
        close(file);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be looked through: %s", strerror(-rc));
    log->last_number = last->number;
    return 0;
}

/* A segment without a block is left behind by a program that had nothing to write. */
static void remove_empty(const struct event_log *log, const struct segment_name *last)
{
    char path[PATH_MAX];
    if (log->last_number > last->number && path_of(log, last->name, path) == 0)
        (void)unlink(path);
}

int event_log_recover(struct event_log *log, struct error *ret_error)
{
    struct segment_name *names = NULL;
    size_t count = 0;
    bool is_empty = false;

    int rc = segment_list(log->folder, &names, &count);
    if (rc < 0)
        return error_set_at(ret_error, rc, log->folder, 0, "cannot be read: %s", strerror(-rc));
    randombytes_buf(&log->segment.header.node, sizeof(log->segment.header.node));
    if (count > 0)
        rc = recover_last(log, &names[count - 1], &is_empty, ret_error);
    if (rc == 0) {
        rc = begin_segment(log);
        if (rc == -ENOSPC || rc == -EDQUOT)
            rc = 0; /* the thread tries again, and tells */
        if (rc < 0)
            (void)error_set_at(ret_error, rc, log->folder, 0, "cannot be written to: %s",
                               strerror(-rc));
    }
    if (rc == 0 && is_empty)
        remove_empty(log, &names[count - 1]);
    free(names);
    return rc;
}
