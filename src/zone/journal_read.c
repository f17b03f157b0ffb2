#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <libknot/dname.h>

#include "zone/journal_internal.h"

/* Commits are copied in batches of about this many octets: whoever visits them may take long, and
 * a transaction that waits for that keeps every page from being used again. */
#define BATCH_SIZE ((size_t)256 * 1024)

/* A walk along a zone's chain. */
struct walk {
    struct journal *journal;
    const uint8_t *apex;
    struct zone_record zone;
    uint64_t position, end;
    bool has_begun;
    uint8_t *octets; /* records, each with its body */
    size_t size, room;
    const char **authors;
    size_t authors_room;
};

/* ---- Copying ---- */

static int walk_reserve(struct walk *walk, size_t size)
{
    if (walk->room - walk->size >= size)
        return 0;
    size_t room = walk->size + size > 2 * walk->room ? walk->size + size : 2 * walk->room;
    uint8_t *octets = realloc(walk->octets, room);
    if (octets == NULL)
        return -ENOMEM;
    walk->octets = octets;
    walk->room = room;
    return 0;
}

/* Copies the parts of a body to `ret_octets`. */
static int copy_parts(const struct walk *walk, MDB_txn *txn, const struct commit_record *record,
                      uint8_t *ret_octets, size_t size)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn, walk->journal->records, &cursor);
    if (rc != 0)
        return rc;
    struct journal_key first;
    journal_key_part(&first, record->blob, 0);
    MDB_val key = {first.size, first.octets}, value;
    enum MDB_cursor_op step = MDB_SET;
    while (rc == 0 && size > 0) {
        rc = mdb_cursor_get(cursor, &key, &value, step);
        step = MDB_NEXT;
        if (rc == MDB_NOTFOUND ||
            (rc == 0 && (key.mv_size != first.size || value.mv_size > size ||
                         memcmp(key.mv_data, first.octets, 1 + sizeof(record->blob)) != 0)))
            rc = -EBADMSG;
        if (rc != 0)
            break;
        memcpy(ret_octets, value.mv_data, value.mv_size);
        ret_octets += value.mv_size;
        size -= value.mv_size;
    }
    mdb_cursor_close(cursor);
    return rc;
}

static bool authors_are_whole(const uint8_t *authors, uint64_t size, unsigned count)
{
    if (size > 0 && authors[size - 1] != '\0')
        return false;
    for (uint64_t i = 0; i < size; i++)
        count -= authors[i] == '\0';
    return count == 0;
}

/* Copies the commit at the walk's position, whose end becomes the position. */
static int copy_commit(struct walk *walk, MDB_txn *txn)
{
    struct journal_key key;
    struct commit_record record;
    MDB_val body;
    journal_key_commit(&key, walk->zone.id, walk->position);
    int rc = journal_get(walk->journal, txn, &key, &record, sizeof(record), &body);
    if (rc != 0)
        return rc;
    const uint64_t size = record.authors_size + record.changes_size;
    /* What the file cannot hold was not written by us, whatever its checksum. */
    if (size > walk->journal->pages_max * walk->journal->page_size ||
        (uint32_t)walk->position != record.serial_from || record.serial_from == record.serial_to ||
        (record.blob == 0 && body.mv_size != size))
        return -EBADMSG;
    rc = walk_reserve(walk, sizeof(record) + size);
    if (rc < 0)
        return rc;
    uint8_t *at = walk->octets + walk->size;
    memcpy(at, &record, sizeof(record));
    at += sizeof(record);
    if (record.blob == 0)
        memcpy(at, body.mv_data, size);
    else
        rc = copy_parts(walk, txn, &record, at, size);
    if (rc == 0 && (journal_body_checksum(at, record.authors_size, at + record.authors_size,
                                          record.changes_size) != record.body_checksum ||
                    !authors_are_whole(at, record.authors_size, record.author_count)))
        rc = -EBADMSG;
    if (rc != 0)
        return rc;
    walk->size += sizeof(record) + size;
    walk->position += record.serial_to - record.serial_from;
    return 0;
}

/* ---- Walking ---- */

/* Finds the zone, and at the first time where to begin. */
static int walk_find(struct walk *walk, MDB_txn *txn, uint32_t serial_from)
{
    struct journal_key key;
    struct zone_record zone;
    journal_key_zone(&key, walk->apex);
    int rc = journal_get(walk->journal, txn, &key, &zone, sizeof(zone), NULL);
    if (walk->has_begun) /* pruned, or forgotten, between two batches */
        return rc == -ENOENT ||
                       (rc == 0 && (zone.id != walk->zone.id || zone.first > walk->position))
                   ? -ESTALE
                   : rc;
    if (rc != 0)
        return rc;
    walk->zone = zone;
    walk->end = zone.last;
    walk->position = zone.last - (uint32_t)(zone.last - serial_from);
    return walk->position < zone.first || walk->position == walk->end ? -ENOENT : 0;
}

/* A commit begins between the first and the last: only one that we know of can be missing. */
static int walk_batch(struct walk *walk, MDB_txn *txn, uint32_t serial_from)
{
    walk->size = 0;
    int rc = walk_find(walk, txn, serial_from);
    while (rc == 0 && walk->position < walk->end && walk->size < BATCH_SIZE) {
        rc = copy_commit(walk, txn);
        if (rc == -ENOENT && (walk->has_begun || walk->position == walk->zone.first))
            rc = -EBADMSG;
        walk->has_begun |= rc == 0;
    }
    return rc == 0 && walk->position > walk->end ? -EBADMSG : rc;
}

static int walk_fill(struct walk *walk, uint32_t serial_from)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(walk->journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    rc = walk_batch(walk, txn, serial_from);
    mdb_txn_abort(txn);
    return rc;
}

/* ---- Visiting ---- */

static int find_authors(struct walk *walk, const struct commit_record *record, const char *text)
{
    if (record->author_count > walk->authors_room) {
        const char **authors = realloc(walk->authors, record->author_count * sizeof(*authors));
        if (authors == NULL)
            return -ENOMEM;
        walk->authors = authors;
        walk->authors_room = record->author_count;
    }
    for (unsigned i = 0; i < record->author_count; i++) {
        walk->authors[i] = text;
        text += strlen(text) + 1;
    }
    return 0;
}

static int visit_batch(struct walk *walk, int (*visit)(void *context, const struct commit *commit),
                       void *context, int *ret_visited)
{
    for (size_t at = 0; at < walk->size;) {
        struct commit_record record;
        memcpy(&record, walk->octets + at, sizeof(record));
        const uint8_t *body = walk->octets + at + sizeof(record);
        int rc = find_authors(walk, &record, (const char *)body);
        if (rc < 0)
            return rc;
        const struct commit commit = {.apex = walk->apex,
                                      .serial_from = record.serial_from,
                                      .serial_to = record.serial_to,
                                      .at_us = record.at_us,
                                      .kind = record.kind,
                                      .authors = walk->authors,
                                      .author_count = record.author_count,
                                      .changes = body + record.authors_size,
                                      .changes_size = record.changes_size};
        *ret_visited = visit(context, &commit);
        if (*ret_visited != 0)
            return 0;
        at += sizeof(record) + record.authors_size + record.changes_size;
    }
    return 0;
}

static int read_error(const struct walk *walk, int code, uint32_t serial_from,
                      struct error *ret_error)
{
    const uint32_t serial = walk->has_begun ? (uint32_t)walk->position : serial_from;
    char zone[KNOT_DNAME_TXT_MAXLEN + 1];
    if (knot_dname_to_str(zone, walk->apex, sizeof(zone)) == NULL)
        snprintf(zone, sizeof(zone), "?");
    const char *folder = walk->journal->folder;
    if (code == -ENOENT)
        return error_set_at(ret_error, code, folder, 0,
                            "no change of zone %s begins at serial %" PRIu32, zone, serial);
    if (code == -ESTALE)
        return error_set_at(ret_error, code, folder, 0,
                            "changes of zone %s from serial %" PRIu32
                            " on were dropped while they were read: begin again",
                            zone, serial);
    if (code == -EBADMSG)
        return error_set_at(ret_error, code, folder, 0,
                            "the change of zone %s from serial %" PRIu32
                            " on is damaged: reload the zone from its source",
                            zone, serial);
    return journal_error(walk->journal, code, ret_error);
}

int journal_read(struct journal *journal, const uint8_t *apex, uint32_t serial_from,
                 int (*visit)(void *context, const struct commit *commit), void *context,
                 struct error *ret_error)
{
    struct walk walk = {.journal = journal, .apex = apex};
    int rc, visited = 0;
    do {
        rc = walk_fill(&walk, serial_from);
        int filled = rc; /* what was copied before a damaged one is good */
        if (filled == -EBADMSG || filled == 0)
            rc = visit_batch(&walk, visit, context, &visited);
        if (rc == 0 && visited == 0)
            rc = filled;
    } while (rc == 0 && visited == 0 && walk.position < walk.end);
    if (rc != 0)
        rc = read_error(&walk, rc, serial_from, ret_error);
    free(walk.octets);
    free(walk.authors);
    return rc != 0 ? rc : visited;
}

int journal_range(struct journal *journal, const uint8_t *apex, uint32_t *ret_first,
                  uint32_t *ret_last)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return journal_error(journal, rc, NULL);
    struct journal_key key;
    struct zone_record zone;
    journal_key_zone(&key, apex);
    rc = journal_get(journal, txn, &key, &zone, sizeof(zone), NULL);
    mdb_txn_abort(txn);
    if (rc != 0)
        return rc == -ENOENT ? rc : journal_error(journal, rc, NULL);
    *ret_first = (uint32_t)zone.first;
    *ret_last = (uint32_t)zone.last;
    return 0;
}
