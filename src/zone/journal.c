#include "zone/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/folder_sync.h"
#include "zone/journal_internal.h"

#define SIZE_DEFAULT ((uint64_t)1 << 30)
/* Calls that read at the same time; 64 octets each. */
#define READERS_MAX   1024
#define AGE_DEFAULT_S ((uint64_t)14 * 24 * 3600)

/* ---- The folder ---- */

static int folder_make(const char *path)
{
    if (mkdir(path, 0700) < 0)
        return errno == EEXIST ? 0 : -errno;
    return folder_sync_of(path); /* a name is durable when its folder is */
}

/* Two processes, or two of us in one, would give each other's pages free. LMDB's own lock is made
 * for sharing. */
static int folder_lock(struct journal *journal, struct error *ret_error)
{
    char path[PATH_MAX + 8], pid[24] = "";
    snprintf(path, sizeof(path), "%s/lock", journal->folder);
    journal->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (journal->lock_file < 0)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));
    if (flock(journal->lock_file, LOCK_EX | LOCK_NB) == 0) {
        int size = snprintf(pid, sizeof(pid), "%jd\n", (intmax_t)getpid());
        /* The lock holds without the number, as on a full disk. */
        if (ftruncate(journal->lock_file, 0) < 0 || write(journal->lock_file, pid, size) != size)
            return 0;
        return 0;
    }
    if (errno != EWOULDBLOCK)
        return error_set_at(ret_error, -errno, path, 0, "cannot be locked: %s", strerror(errno));
    ssize_t size = pread(journal->lock_file, pid, sizeof(pid) - 1, 0);
    pid[size > 0 ? strcspn(pid, "\n") : 0] = '\0';
    return error_set_at(ret_error, -EBUSY, journal->folder, 0,
                        "process %s has this journal open: stop it, or give this server another "
                        "state folder",
                        pid[0] == '\0' ? "(unknown)" : pid);
}

/* ---- Opening ---- */

static int environment_open(struct journal *journal, uint64_t size_max)
{
    int rc = mdb_env_create(&journal->env);
    if (rc == 0)
        rc = mdb_env_set_mapsize(journal->env, size_max);
    if (rc == 0)
        rc = mdb_env_set_maxreaders(journal->env, READERS_MAX);
    if (rc == 0) /* a reader is of a call, not of a thread: none stays behind */
        rc = mdb_env_open(journal->env, journal->folder, MDB_NOTLS, 0600);
    MDB_envinfo info;
    MDB_stat stat;
    if (rc == 0)
        rc = mdb_env_info(journal->env, &info);
    if (rc == 0)
        rc = mdb_env_stat(journal->env, &stat);
    if (rc != 0)
        return rc;
    journal->page_size = stat.ms_psize;
    journal->value_max = stat.ms_psize - 16; /* behind the header of a page */
    journal->pages_max = size_max / stat.ms_psize;
    journal->pages_reserve = journal->pages_max / 8 < 2048 ? journal->pages_max / 8 : 2048;

    MDB_txn *txn;
    rc = mdb_txn_begin(journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = mdb_dbi_open(txn, NULL, 0, &journal->records);
    mdb_txn_abort(txn);
    return rc;
}

/* A chain without its zone's record would be lost in silence, so they are all looked at. */
static int zones_check(struct journal *journal, MDB_txn *txn)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, journal->records, &cursor);
    if (rc != 0)
        return rc;
    uint8_t first = KEY_ZONE;
    MDB_val key = {1, &first}, value;
    struct zone_record zone;
    rc = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (rc == 0 && *(const uint8_t *)key.mv_data == KEY_ZONE) {
        rc = journal_record_check(&key, &value, &zone, sizeof(zone), NULL);
        if (rc == 0)
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int contents_check(struct journal *journal, struct error *ret_error)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return journal_error(journal, rc, ret_error);
    const struct journal_key key = {.size = 1, .octets = {KEY_HEAD}};
    struct head_record head;
    rc = journal_get(journal, txn, &key, &head, sizeof(head), NULL);
    if (rc == -ENOENT)
        rc = 0; /* new: the file was verified */
    if (rc == 0)
        rc = zones_check(journal, txn);
    mdb_txn_abort(txn);
    return rc == 0 ? 0 : journal_error(journal, rc, ret_error);
}

static int open_all(struct journal *journal, uint64_t size_max, struct error *ret_error)
{
    int rc = folder_make(journal->folder);
    if (rc < 0)
        return error_set_at(ret_error, rc, journal->folder, 0, "cannot be made: %s", strerror(-rc));
    rc = folder_lock(journal, ret_error);
    if (rc < 0)
        return rc;
    char path[PATH_MAX + 16];
    snprintf(path, sizeof(path), "%s/data.mdb", journal->folder);
    rc = journal_verify(path, ret_error);
    if (rc < 0)
        return rc;
    rc = environment_open(journal, size_max);
    if (rc != 0)
        return journal_error(journal, rc, ret_error);
    rc = folder_sync(journal->folder);
    if (rc < 0)
        return journal_error(journal, rc, ret_error);
    return contents_check(journal, ret_error);
}

int journal_open(const char *folder, const struct journal_limits *limits,
                 struct journal **ret_journal, struct error *ret_error)
{
    uint64_t size_max = limits->size_max != 0 ? limits->size_max : SIZE_DEFAULT;
    uint64_t age_max_s = limits->age_max_s != 0 ? limits->age_max_s : AGE_DEFAULT_S;
    if (size_max < JOURNAL_SIZE_MIN)
        return error_set_at(ret_error, -EINVAL, folder, 0,
                            "a journal of %" PRIu64 " octets is too small: give it at least 16 MiB",
                            size_max);
    if (strlen(folder) >= PATH_MAX)
        return error_set(ret_error, -ENAMETOOLONG, "too long a path: shorten server.state");
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        return error_set_at(ret_error, -ENOMEM, folder, 0, "out of memory");
    snprintf(journal->folder, sizeof(journal->folder), "%s", folder);
    journal->lock_file = -1;
    journal->age_max_us = age_max_s < INT64_MAX / 1000000 ? age_max_s * 1000000 : INT64_MAX;
    journal->is_garbage = true; /* of whoever had it open before */
    pthread_mutex_init(&journal->stage_lock, NULL);
    pthread_mutex_init(&journal->write_lock, NULL);
    int rc = open_all(journal, size_max & ~(uint64_t)0xffff, ret_error);
    if (rc < 0) {
        journal_close(journal);
        return rc;
    }
    *ret_journal = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    if (journal == NULL)
        return;
    if (journal->env != NULL)
        mdb_env_close(journal->env);
    if (journal->lock_file >= 0)
        close(journal->lock_file);
    pthread_mutex_destroy(&journal->write_lock);
    pthread_mutex_destroy(&journal->stage_lock);
    free(journal);
}

/* ---- Snapshots, zones that begin anew ---- */

/* Changes or, with `kept` NULL, deletes a zone's record. */
static int zone_change(struct journal *journal, struct journal_txn *txn, const uint8_t *apex,
                       const uint32_t *kept)
{
    struct journal_key key;
    struct zone_record zone;
    journal_key_zone(&key, apex);
    int rc = journal_get(journal, txn->txn, &key, &zone, sizeof(zone), NULL);
    if (rc != 0)
        return rc;
    if (kept != NULL) {
        uint64_t position = zone.last - (uint32_t)(zone.last - *kept);
        if (position <= zone.kept || position <= zone.first)
            return -ENOENT;
        zone.kept = position;
        return journal_put(journal, txn->txn, &key, &zone, sizeof(zone));
    }
    MDB_val name = {key.size, key.octets};
    rc = mdb_del(txn->txn, journal->records, &name, NULL);
    if (rc == 0)
        rc = journal_put_garbage(journal, txn->txn, KEY_COMMIT, zone.id);
    txn->head.zones--;
    txn->head.commits -= zone.commits;
    return rc;
}

static int zone_change_alone(struct journal *journal, const uint8_t *apex, const uint32_t *kept,
                             struct error *ret_error)
{
    struct journal_txn txn = {.txn = NULL};
    pthread_mutex_lock(&journal->write_lock);
    int rc = journal_txn_begin(journal, &txn, ret_error);
    if (rc == 0) {
        unsigned deleted;
        rc = zone_change(journal, &txn, apex, kept);
        journal->nothing_to_prune &= rc != 0;
        if (rc == 0)
            rc = journal_prune(journal, &txn, false, &deleted);
        if (rc == 0) {
            rc = journal_txn_commit(journal, &txn, ret_error);
        } else {
            journal_txn_abort(journal, &txn);
            rc = rc == -ENOENT ? 0 : journal_error(journal, rc, ret_error);
        }
    }
    pthread_mutex_unlock(&journal->write_lock);
    return rc;
}

int journal_kept(struct journal *journal, const uint8_t *apex, uint32_t serial,
                 struct error *ret_error)
{
    return zone_change_alone(journal, apex, &serial, ret_error);
}

int journal_forget(struct journal *journal, const uint8_t *apex, struct error *ret_error)
{
    return zone_change_alone(journal, apex, NULL, ret_error);
}

/* ---- Figures ---- */

int journal_stats(struct journal *journal, struct journal_stats *ret_stats)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return journal_error(journal, rc, NULL);
    const struct journal_key key = {.size = 1, .octets = {KEY_HEAD}};
    struct head_record head = {.zones = 0};
    rc = journal_get(journal, txn, &key, &head, sizeof(head), NULL);
    uint64_t pages = journal_pages_used(journal, txn);
    mdb_txn_abort(txn);
    if (rc != 0 && rc != -ENOENT)
        return journal_error(journal, rc, NULL);
    *ret_stats = (struct journal_stats){.commits = head.commits,
                                        .zones = head.zones,
                                        .octets = pages * journal->page_size,
                                        .size_max = journal->pages_max * journal->page_size};
    return 0;
}
