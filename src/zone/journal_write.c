#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "zone/journal_internal.h"

/* A zone's first position: high enough for what lies before it to have one as well. */
#define POSITION_FIRST ((uint64_t)1 << 32)

/* A commit on its way: its record, and its body in two pieces. */
struct pending {
    const struct commit *commit;
    struct commit_record record;
    char *authors; /* each ended by a NUL */
};

/* ---- Preparation ---- */

static uint64_t body_size(const struct commit_record *record)
{
    return record->authors_size + record->changes_size;
}

static bool fits_page(const struct journal *journal, const struct commit_record *record)
{
    return sizeof(*record) + body_size(record) <= journal->value_max;
}

/* RFC 1982, 3.2. */
static bool serial_advances(uint32_t from, uint32_t to)
{
    return to != from && to - from < (uint32_t)1 << 31;
}

static int pending_init(struct pending *pending, const struct commit *commit,
                        struct error *ret_error)
{
    if (!serial_advances(commit->serial_from, commit->serial_to))
        return error_set(ret_error, -EINVAL, "serial %" PRIu32 " does not follow %" PRIu32,
                         commit->serial_to, commit->serial_from);
    uint64_t size = 0;
    for (unsigned i = 0; i < commit->author_count; i++)
        size += strlen(commit->authors[i]) + 1;
    char *authors = malloc(size + 1);
    if (authors == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    char *at = authors;
    for (unsigned i = 0; i < commit->author_count; i++)
        at = stpcpy(at, commit->authors[i]) + 1;
    *pending = (struct pending){
        .commit = commit,
        .authors = authors,
        .record = {.serial_from = commit->serial_from,
                   .serial_to = commit->serial_to,
                   .at_us = commit->at_us,
                   .kind = (uint16_t)commit->kind,
                   .author_count = commit->author_count,
                   .authors_size = size,
                   .changes_size = commit->changes_size,
                   .body_checksum =
                       journal_body_checksum(authors, size, commit->changes, commit->changes_size)},
    };
    return 0;
}

static void pending_free(struct pending *pending, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(pending[i].authors);
    free(pending);
}

static int pending_create(const struct commit *commits, size_t count, struct pending **ret_pending,
                          struct error *ret_error)
{
    struct pending *pending = calloc(count, sizeof(*pending));
    if (pending == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        int rc = pending_init(&pending[i], &commits[i], ret_error);
        if (rc < 0) {
            pending_free(pending, count);
            return rc;
        }
    }
    *ret_pending = pending;
    return 0;
}

/* ---- Octets ---- */

/* Copies `size` octets of the body from `from` on. */
static void body_copy(const struct pending *pending, uint64_t from, uint8_t *ret_octets,
                      size_t size)
{
    const uint64_t authors_size = pending->record.authors_size;
    if (from < authors_size) {
        size_t part = size < authors_size - from ? size : (size_t)(authors_size - from);
        memcpy(ret_octets, pending->authors + from, part);
        ret_octets += part;
        from += part;
        size -= part;
    }
    if (size > 0)
        memcpy(ret_octets, pending->commit->changes + (from - authors_size), size);
}

/* Writes the parts of a body from octet *at on, `size_max` octets at most. */
static int put_parts(const struct journal *journal, MDB_txn *txn, const struct pending *pending,
                     uint64_t *at, uint64_t size_max)
{
    const uint64_t whole = body_size(&pending->record);
    const uint64_t end = whole - *at < size_max ? whole : *at + size_max;
    while (*at < end) {
        struct journal_key key;
        journal_key_part(&key, pending->record.blob, (uint32_t)(*at / journal->value_max));
        uint64_t left = whole - *at;
        MDB_val name = {key.size, key.octets};
        MDB_val value = {left < journal->value_max ? (size_t)left : journal->value_max, NULL};
        int rc = mdb_put(txn, journal->records, &name, &value, MDB_RESERVE);
        if (rc != 0)
            return rc;
        body_copy(pending, *at, value.mv_data, value.mv_size);
        *at += value.mv_size;
    }
    return 0;
}

static int put_record(const struct journal *journal, MDB_txn *txn, const struct journal_key *key,
                      struct pending *pending)
{
    const bool is_inline = pending->record.blob == 0;
    const size_t size = is_inline ? (size_t)body_size(&pending->record) : 0;
    journal_record_seal(key, &pending->record, sizeof(pending->record));
    MDB_val name = {key->size, (void *)key->octets};
    MDB_val value = {sizeof(pending->record) + size, NULL};
    int rc = mdb_put(txn, journal->records, &name, &value, MDB_RESERVE | MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST)
        return -EBADMSG; /* beyond the end of the chain, or of an id that was never given */
    if (rc != 0)
        return rc;
    memcpy(value.mv_data, &pending->record, sizeof(pending->record));
    body_copy(pending, 0, (uint8_t *)value.mv_data + sizeof(pending->record), size);
    return 0;
}

/* ---- One commit ---- */

static int stale(const struct journal *journal, const struct commit *commit, uint32_t last,
                 struct error *ret_error)
{
    return error_set_at(ret_error, -ESTALE, journal->folder, 0,
                        "a change of serial %" PRIu32 " does not follow serial %" PRIu32
                        ", the journal's last of the zone",
                        commit->serial_from, last);
}

static int put_commit(const struct journal *journal, struct journal_txn *txn,
                      struct pending *pending, struct error *ret_error)
{
    const struct commit *commit = pending->commit;
    struct journal_key zone_key, key;
    struct zone_record zone;
    journal_key_zone(&zone_key, commit->apex);
    int rc = journal_get(journal, txn->txn, &zone_key, &zone, sizeof(zone), NULL);
    if (rc == -ENOENT) {
        zone = (struct zone_record){.id = ++txn->head.id_last,
                                    .first = POSITION_FIRST + commit->serial_from,
                                    .last = POSITION_FIRST + commit->serial_from,
                                    .first_at_us = commit->at_us};
        txn->head.zones++;
    } else if (rc != 0) {
        return journal_error(journal, rc, ret_error);
    }
    if ((uint32_t)zone.last != commit->serial_from)
        return stale(journal, commit, (uint32_t)zone.last, ret_error);

    rc = 0;
    if (!fits_page(journal, &pending->record) && pending->record.blob == 0) {
        uint64_t at = 0;
        pending->record.blob = ++txn->head.id_last;
        rc = put_parts(journal, txn->txn, pending, &at, UINT64_MAX);
    }
    journal_key_commit(&key, zone.id, zone.last);
    if (rc == 0)
        rc = put_record(journal, txn->txn, &key, pending);
    zone.last += commit->serial_to - commit->serial_from;
    zone.commits++;
    txn->head.commits++;
    if (rc == 0)
        rc = journal_put(journal, txn->txn, &zone_key, &zone, sizeof(zone));
    return rc == 0 ? 0 : journal_error(journal, rc, ret_error);
}

/* ---- Room ---- */

/* What a commit's body of `size` octets takes at most: its parts, the leaves that name them, and
 * copies of the leaves of the commit and its zone. */
static uint64_t pages_needed(const struct journal *journal, uint64_t size)
{
    uint64_t parts = size / journal->value_max + 1;
    return 6 + parts + parts / 32;
}

static uint64_t pages_needed_all(const struct journal *journal, const struct pending *pending,
                                 size_t count)
{
    uint64_t pages = 64; /* the paths to what changes, and LMDB's free list */
    for (size_t i = 0; i < count; i++) {
        uint64_t size = pending[i].record.blob != 0 ? 0 : body_size(&pending[i].record);
        pages += pages_needed(journal, size);
    }
    return pages;
}

/* ---- Huge calls ---- */

/* One transaction's worth of a body, with a note that it is garbage until the commit refers to it:
 * what a crash leaves behind is deleted. */
static int stage_step(struct journal *journal, struct pending *pending, uint64_t *at,
                      struct error *ret_error)
{
    int rc = journal_make_room(journal, pages_needed(journal, STAGE_SIZE) + 64, ret_error);
    struct journal_txn txn = {.txn = NULL};
    if (rc == 0)
        rc = journal_txn_begin(journal, &txn, ret_error);
    if (rc < 0)
        return rc;
    if (*at == 0) {
        pending->record.blob = ++txn.head.id_last;
        if (journal->staged_from == 0)
            journal->staged_from = pending->record.blob;
        rc = journal_put_garbage(journal, txn.txn, KEY_PART, pending->record.blob);
    }
    if (rc == 0)
        rc = put_parts(journal, txn.txn, pending, at,
                       STAGE_SIZE / journal->value_max * journal->value_max);
    if (rc != 0) {
        journal_txn_abort(journal, &txn);
        return journal_error(journal, rc, ret_error);
    }
    return journal_txn_commit(journal, &txn, ret_error);
}

/* Others write between the steps. */
static int stage(struct journal *journal, struct pending *pending, size_t count,
                 struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t at = 0;
        while (!fits_page(journal, &pending[i].record) && at < body_size(&pending[i].record)) {
            pthread_mutex_lock(&journal->write_lock);
            int rc = stage_step(journal, &pending[i], &at, ret_error);
            pthread_mutex_unlock(&journal->write_lock);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int unstage(const struct journal *journal, struct journal_txn *txn,
                   const struct pending *pending, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (pending[i].record.blob == 0)
            continue;
        struct journal_key key;
        journal_key_garbage(&key, KEY_PART, pending[i].record.blob);
        MDB_val name = {key.size, key.octets};
        int rc = mdb_del(txn->txn, journal->records, &name, NULL);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- Writing ---- */

static int write_all(struct journal *journal, struct pending *pending, size_t count,
                     struct error *ret_error)
{
    int rc = journal_make_room(journal, pages_needed_all(journal, pending, count), ret_error);
    struct journal_txn txn = {.txn = NULL};
    if (rc == 0)
        rc = journal_txn_begin(journal, &txn, ret_error);
    if (rc < 0)
        return rc;
    unsigned deleted;
    rc = unstage(journal, &txn, pending, count);
    if (rc == 0)
        rc = journal_prune(journal, &txn, false, &deleted);
    if (rc != 0)
        rc = journal_error(journal, rc, ret_error);
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = put_commit(journal, &txn, &pending[i], ret_error);
    if (rc == 0)
        return journal_txn_commit(journal, &txn, ret_error);
    journal_txn_abort(journal, &txn);
    return rc;
}

/* Before a huge body is written for nothing. */
static int check_serials(struct journal *journal, const struct pending *pending, size_t count,
                         struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t first, last;
        int rc = journal_range(journal, pending[i].commit->apex, &first, &last);
        bool is_first = true;
        for (size_t j = 0; j < i && is_first; j++)
            is_first = !name_equal(pending[j].commit->apex, pending[i].commit->apex);
        if (rc == 0 && is_first && last != pending[i].commit->serial_from)
            return stale(journal, pending[i].commit, last, ret_error);
    }
    return 0;
}

static int write_huge(struct journal *journal, struct pending *pending, size_t count,
                      struct error *ret_error)
{
    int rc = check_serials(journal, pending, count, ret_error);
    if (rc < 0)
        return rc;
    pthread_mutex_lock(&journal->stage_lock);
    rc = stage(journal, pending, count, ret_error);
    pthread_mutex_lock(&journal->write_lock);
    if (rc == 0)
        rc = write_all(journal, pending, count, ret_error);
    journal->staged_from = 0;
    journal->is_garbage = true;
    pthread_mutex_unlock(&journal->write_lock);
    pthread_mutex_unlock(&journal->stage_lock);
    return rc;
}

int journal_write(struct journal *journal, const struct commit *commits, size_t count,
                  struct error *ret_error)
{
    if (count == 0)
        return 0;
    struct pending *pending = NULL;
    int rc = pending_create(commits, count, &pending, ret_error);
    if (rc < 0)
        return rc;
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += body_size(&pending[i].record);
    if (size > STAGE_SIZE) {
        rc = write_huge(journal, pending, count, ret_error);
    } else {
        pthread_mutex_lock(&journal->write_lock);
        rc = write_all(journal, pending, count, ret_error);
        pthread_mutex_unlock(&journal->write_lock);
    }
    pending_free(pending, count);
    return rc;
}
