/* One file for each order and day, "<order>-<day>.sealed": items behind each other, each a mark,
 * its length and what crypto_box_seal() made (doc/sink-events.md). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "base/folder_sync.h"
#include "base/log.h"
#include "sink/evidence_internal.h"
#include "sink/evidence_item.h"

#define SUFFIX ".sealed"
#define DAY_S  86400

/* ---- Names ---- */

static int path_write(const struct evidence *evidence, const struct evidence_clause *clause,
                      int32_t day, char ret_path[static PATH_MAX])
{
    const time_t at = (time_t)day * DAY_S;
    struct tm parts;
    char text[16];
    (void)gmtime_r(&at, &parts);
    (void)strftime(text, sizeof(text), "%Y%m%d", &parts);
    int size = snprintf(ret_path, PATH_MAX, "%s/%s-%s" SUFFIX, evidence->folder, clause->id, text);
    return size < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* The day of a file, since 1970; false: it is none of ours. */
static bool name_read(const char *name, int32_t *ret_day)
{
    const size_t size = strlen(name), tail = strlen("-YYYYMMDD" SUFFIX);
    struct tm parts = {0};
    if (size <= tail || name[size - tail] != '-')
        return false;
    const char *behind = strptime(name + size - tail + 1, "%Y%m%d", &parts);
    if (behind == NULL || strcmp(behind, SUFFIX) != 0)
        return false;
    *ret_day = (int32_t)(timegm(&parts) / DAY_S);
    return true;
}

/* ---- Writing ---- */

/* Behind the last whole item: a program that was killed may have left half of one. Where something
 * else went wrong nothing is cut off: what is behind it is found by its mark. */
static int find_end(int file, uint64_t *ret_end)
{
    struct stat status;
    uint8_t octets[EVIDENCE_ITEM_HEADER_SIZE];
    uint64_t end = 0;
    if (fstat(file, &status) < 0)
        return -errno;
    while (pread(file, octets, sizeof(octets), (off_t)end) == (ssize_t)sizeof(octets)) {
        size_t size;
        if (!evidence_item_header_read(octets, &size)) {
            *ret_end = (uint64_t)status.st_size;
            return 0;
        }
        if (size > (uint64_t)status.st_size - end - sizeof(octets))
            break;
        end += sizeof(octets) + size;
    }
    *ret_end = end;
    return end < (uint64_t)status.st_size && ftruncate(file, (off_t)end) < 0 ? -errno : 0;
}

static int sync_file(struct evidence_file *kept)
{
    if (kept->is_dirty && fdatasync(kept->file) < 0)
        return -errno;
    kept->is_dirty = false;
    return 0;
}

static void close_file(struct evidence_file *kept)
{
    if (kept->file >= 0)
        close(kept->file);
    *kept = (struct evidence_file){.file = -1};
}

static int open_file(const struct evidence *evidence, struct evidence_clause *clause, int32_t day)
{
    struct evidence_file kept = {.day = day};
    char path[PATH_MAX];
    int rc = path_write(evidence, clause, day, path);
    if (rc == 0)
        rc = sync_file(&clause->kept);
    if (rc < 0)
        return rc;
    kept.file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (kept.file < 0)
        return -errno;
    rc = find_end(kept.file, &kept.end);
    if (rc == 0)
        rc = folder_sync(evidence->folder);
    if (rc < 0) {
        close(kept.file);
        return rc;
    }
    close_file(&clause->kept);
    clause->kept = kept;
    return 0;
}

static int write_all(int file, const uint8_t *octets, size_t size, uint64_t place)
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

static int write_item(struct evidence *evidence, struct evidence_file *kept, size_t size)
{
    int rc = write_all(kept->file, evidence->sealed, size, kept->end);
    if (rc < 0) {
        (void)!ftruncate(kept->file, (off_t)kept->end);
        return rc;
    }
    kept->end += size;
    kept->is_dirty = true;
    atomic_fetch_add(&evidence->octets, size);
    return 0;
}

int evidence_keep(struct evidence *evidence, const struct evidence_item *item)
{
    struct evidence_clause *clause = item->clause;
    const int32_t day = (int32_t)(item->at_us / 1000000 / DAY_S);
    int rc = 0;
    if (atomic_load(&evidence->octets) + evidence_item_room(item->size) > evidence->octets_max)
        return -EDQUOT;
    if (clause->kept.file < 0 || day > clause->kept.day)
        rc = open_file(evidence, clause, day);
    if (rc < 0)
        return rc;
    const size_t size =
        evidence_item_seal(item->plain, item->size, clause->seal_to, evidence->sealed);
    return size > 0 ? write_item(evidence, &clause->kept, size) : -EINVAL;
}

int evidence_sync(struct evidence *evidence)
{
    int rc = 0;
    for (size_t i = 0; i < evidence->clause_count; i++) {
        int synced = sync_file(&evidence->clauses[i].kept);
        rc = synced < 0 ? synced : rc;
    }
    return rc;
}

void evidence_close_files(struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->clause_count; i++)
        close_file(&evidence->clauses[i].kept);
}

/* ---- Retention ---- */

void evidence_sweep(struct evidence *evidence, int32_t today)
{
    uint64_t octets = 0;
    DIR *files = opendir(evidence->folder);
    if (files == NULL)
        return;
    for (const struct dirent *file; (file = readdir(files)) != NULL;) {
        struct stat status;
        int32_t day;
        if (!name_read(file->d_name, &day))
            continue;
        if (evidence->keep_days != 0 && day + (int64_t)evidence->keep_days < today) {
            if (unlinkat(dirfd(files), file->d_name, 0) < 0)
                log_event(LOG_ERR, "%s/%s: evidence that is too old cannot be deleted: %s",
                          evidence->folder, file->d_name, strerror(errno));
            continue;
        }
        if (fstatat(dirfd(files), file->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0)
            octets += (uint64_t)status.st_size;
    }
    closedir(files);
    atomic_store(&evidence->octets, octets);
    evidence_close_files(evidence); /* some may be gone */
}
