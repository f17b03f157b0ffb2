/* Deleting in small steps, each a part of a write that happens anyway, so that no write waits for a
 * big deletion and none needs much room for it. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "zone/journal_internal.h"

/* How often zones are looked through for commits that are too old. */
#define AGE_CHECK_US ((int64_t)60 * 1000000)

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* The first record at or after `key` whose key has the first `prefix` octets of it, in place. */
static int seek(MDB_cursor *cursor, const struct journal_key *key, size_t prefix, MDB_val *ret_key,
                MDB_val *ret_value)
{
    *ret_key = (MDB_val){key->size, (void *)key->octets};
    int rc = mdb_cursor_get(cursor, ret_key, ret_value, MDB_SET_RANGE);
    if (rc == 0 &&
        (ret_key->mv_size < prefix || memcmp(ret_key->mv_data, key->octets, prefix) != 0))
        return MDB_NOTFOUND;
    return rc;
}

/* ---- Garbage ---- */

int journal_put_garbage(struct journal *journal, MDB_txn *txn, enum journal_key_kind kind,
                        uint64_t id)
{
    struct journal_key key;
    journal_key_garbage(&key, kind, id);
    uint8_t nothing = 0;
    MDB_val name = {key.size, key.octets}, value = {sizeof(nothing), &nothing};
    journal->is_garbage = true;
    return mdb_put(txn, journal->records, &name, &value, 0);
}

/* Deletes the commit's record; its body, if elsewhere, becomes garbage. */
static int delete_commit(struct journal *journal, MDB_txn *txn, MDB_cursor *cursor,
                         const MDB_val *key, const MDB_val *value)
{
    struct commit_record record;
    MDB_val body;
    int rc = 0;
    bool is_whole = journal_record_check(key, value, &record, sizeof(record), &body) == 0;
    if (is_whole && record.blob != 0)
        rc = journal_put_garbage(journal, txn, KEY_PART, record.blob);
    return rc != 0 ? rc : mdb_cursor_del(cursor, 0);
}

/* Deletes records of one zone or blob. Returns MDB_NOTFOUND when there are none left. */
static int sweep_one(struct journal *journal, MDB_txn *txn, MDB_cursor *cursor,
                     enum journal_key_kind kind, uint64_t id, unsigned *left)
{
    struct journal_key from;
    MDB_val key, value;
    if (kind == KEY_COMMIT)
        journal_key_commit(&from, id, 0);
    else
        journal_key_part(&from, id, 0);
    for (; *left > 0; --*left) {
        int rc = seek(cursor, &from, 1 + sizeof(id), &key, &value);
        if (rc == 0 && kind == KEY_COMMIT)
            rc = delete_commit(journal, txn, cursor, &key, &value);
        else if (rc == 0)
            rc = mdb_cursor_del(cursor, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Garbage is in order of kind, then of id: zones first, whose bodies elsewhere then follow. What is
 * being staged has the highest ids. */
static int sweep(struct journal *journal, MDB_txn *txn, MDB_cursor *cursor, unsigned *left)
{
    const struct journal_key from = {.size = 1, .octets = {KEY_GARBAGE}};
    while (journal->is_garbage && *left > 0) {
        MDB_val key, value;
        int rc = seek(cursor, &from, 1, &key, &value);
        enum journal_key_kind kind = KEY_GARBAGE;
        uint64_t id = 0;
        if (rc == 0) {
            kind = ((const uint8_t *)key.mv_data)[1];
            id = journal_key_number(&key, 2);
        }
        if (rc == MDB_NOTFOUND ||
            (kind == KEY_PART && journal->staged_from != 0 && id >= journal->staged_from)) {
            journal->is_garbage = false;
            return 0;
        }
        if (rc == 0)
            rc = sweep_one(journal, txn, cursor, kind, id, left);
        if (rc == MDB_NOTFOUND) {
            struct journal_key done;
            journal_key_garbage(&done, kind, id);
            MDB_val name = {done.size, done.octets};
            rc = mdb_del(txn, journal->records, &name, NULL);
        }
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* ---- The oldest commits ---- */

static bool is_prunable(const struct zone_record *zone)
{
    return zone->kept > zone->first;
}

/* Aims at the zone whose oldest commit is the oldest that a snapshot holds, until another zone's
 * is. One walk of all zones, so not for every write. */
static int take_aim(struct journal *journal, MDB_cursor *cursor)
{
    const struct journal_key from = {.size = 1, .octets = {KEY_ZONE}};
    MDB_val key, value;
    int64_t oldest_us = INT64_MAX, second_us = INT64_MAX;
    journal->aim.size = 0;
    int rc = seek(cursor, &from, 1, &key, &value);
    while (rc == 0 && *(const uint8_t *)key.mv_data == KEY_ZONE) {
        struct zone_record zone;
        rc = journal_record_check(&key, &value, &zone, sizeof(zone), NULL);
        if (rc != 0)
            return rc;
        if (is_prunable(&zone) && zone.first_at_us < oldest_us) {
            second_us = oldest_us;
            oldest_us = zone.first_at_us;
            journal->aim.size = key.mv_size;
            memcpy(journal->aim.octets, key.mv_data, key.mv_size);
        } else if (is_prunable(&zone) && zone.first_at_us < second_us) {
            second_us = zone.first_at_us;
        }
        rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    journal->aim_until_us = second_us;
    journal->nothing_to_prune = journal->aim.size == 0;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Where the zone's next commit begins, and when it was made. A damaged one is passed over: its key
 * is where the one before it ends. */
static int find_next(MDB_cursor *cursor, const struct zone_record *zone, uint64_t *ret_position,
                     int64_t *ret_at_us)
{
    struct journal_key from;
    MDB_val key, value, body;
    struct commit_record record;
    journal_key_commit(&from, zone->id, zone->first + 1);
    int rc = seek(cursor, &from, 1 + sizeof(zone->id), &key, &value);
    if (rc == MDB_NOTFOUND) {
        *ret_position = zone->last;
        return 0;
    }
    if (rc != 0)
        return rc;
    *ret_position = journal_key_number(&key, 9);
    if (journal_record_check(&key, &value, &record, sizeof(record), &body) == 0)
        *ret_at_us = record.at_us;
    return 0;
}

/* Drops the first commit of the zone. Returns MDB_NOTFOUND when no snapshot holds it. */
static int drop_first(struct journal *journal, struct journal_txn *txn, MDB_cursor *cursor,
                      struct zone_record *zone)
{
    uint64_t next;
    int64_t at_us = zone->first_at_us;
    int rc = find_next(cursor, zone, &next, &at_us);
    if (rc != 0)
        return rc;
    if (next > zone->kept)
        return MDB_NOTFOUND;
    struct journal_key from;
    MDB_val key, value;
    journal_key_commit(&from, zone->id, zone->first);
    rc = seek(cursor, &from, KEY_COMMIT_SIZE, &key, &value);
    if (rc == 0)
        rc = delete_commit(journal, txn->txn, cursor, &key, &value);
    if (rc != 0 && rc != MDB_NOTFOUND) /* one whose key is damaged goes with the zone */
        return rc;
    zone->first = next;
    zone->first_at_us = at_us;
    zone->commits--;
    txn->head.commits--;
    return 0;
}

/* A zone whose chain is empty has no record: its next commit may begin anywhere. */
static int put_zone(struct journal *journal, struct journal_txn *txn, const struct journal_key *key,
                    struct zone_record *zone)
{
    if (zone->first < zone->last)
        return journal_put(journal, txn->txn, key, zone, sizeof(*zone));
    MDB_val name = {key->size, (void *)key->octets};
    txn->head.zones--;
    return mdb_del(txn->txn, journal->records, &name, NULL);
}

/* Drops the first commit of the zone that is aimed at if it is older than the time, and the oldest.
 * Otherwise another zone has to be looked for. */
static int drop_one(struct journal *journal, struct journal_txn *txn, MDB_cursor *cursor,
                    int64_t before_us, unsigned *left)
{
    const struct journal_key aim = journal->aim;
    struct zone_record zone;
    int rc = journal_get(journal, txn->txn, &aim, &zone, sizeof(zone), NULL);
    if (rc == -ENOENT || (rc == 0 && (!is_prunable(&zone) || zone.first_at_us >= before_us ||
                                      zone.first_at_us > journal->aim_until_us))) {
        journal->aim.size = 0;
        return 0;
    }
    if (rc == 0)
        rc = drop_first(journal, txn, cursor, &zone);
    if (rc == MDB_NOTFOUND)
        zone.kept = zone.first; /* within a commit: as good as where that begins */
    else if (rc != 0)
        return rc;
    else
        --*left;
    return put_zone(journal, txn, &aim, &zone);
}

static bool is_over_bound(const struct journal *journal, const struct journal_txn *txn)
{
    return journal_pages_used(journal, txn->txn) >
           journal->pages_max - journal->pages_max / 8 - journal->pages_reserve;
}

/* What was made before the time returned may be dropped now. */
static int64_t drop_before_us(struct journal *journal, const struct journal_txn *txn,
                              bool is_room_wanted)
{
    if (is_room_wanted || is_over_bound(journal, txn))
        return INT64_MAX;
    int64_t now = now_us();
    if (now < journal->age_check_at_us || (uint64_t)now < journal->age_max_us)
        return INT64_MIN;
    return now - (int64_t)journal->age_max_us;
}

/* Bodies on pages of their own go before the next commit does: what they hold counts. */
static int prune(struct journal *journal, struct journal_txn *txn, MDB_cursor *cursor,
                 bool is_room_wanted, unsigned *left)
{
    int rc = sweep(journal, txn->txn, cursor, left);
    while (rc == 0 && *left > 0 && !journal->nothing_to_prune) {
        const int64_t before_us = drop_before_us(journal, txn, is_room_wanted);
        if (before_us == INT64_MIN)
            break;
        const unsigned had = *left;
        const bool is_new_aim = journal->aim.size == 0;
        if (is_new_aim)
            rc = take_aim(journal, cursor);
        if (rc == 0 && journal->aim.size != 0)
            rc = drop_one(journal, txn, cursor, before_us, left);
        if (rc == 0 && *left == had && is_new_aim && journal->aim.size == 0) {
            if (before_us != INT64_MAX) /* nothing is too old */
                journal->age_check_at_us = now_us() + AGE_CHECK_US;
            break;
        }
        if (rc == 0)
            rc = sweep(journal, txn->txn, cursor, left);
    }
    return rc;
}

int journal_prune(struct journal *journal, struct journal_txn *txn, bool is_room_wanted,
                  unsigned *ret_deleted)
{
    MDB_cursor *cursor;
    int rc = mdb_cursor_open(txn->txn, journal->records, &cursor);
    if (rc != 0)
        return rc;
    unsigned left = PRUNE_PAGES_MAX;
    rc = prune(journal, txn, cursor, is_room_wanted, &left);
    mdb_cursor_close(cursor);
    *ret_deleted = PRUNE_PAGES_MAX - left;
    return rc;
}

/* ---- Room ---- */

static int pages_free(struct journal *journal, uint64_t *ret_pages)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(journal->env, NULL, MDB_RDONLY, &txn);
    if (rc != 0)
        return rc;
    uint64_t used = journal_pages_used(journal, txn) + journal->pages_reserve;
    mdb_txn_abort(txn);
    *ret_pages = used < journal->pages_max ? journal->pages_max - used : 0;
    return 0;
}

static int prune_alone(struct journal *journal, struct error *ret_error)
{
    struct journal_txn txn = {.txn = NULL};
    int rc = journal_txn_begin(journal, &txn, ret_error);
    if (rc < 0)
        return rc;
    unsigned deleted;
    rc = journal_prune(journal, &txn, true, &deleted);
    if (rc == 0 && deleted > 0)
        return journal_txn_commit(journal, &txn, ret_error);
    journal_txn_abort(journal, &txn);
    if (rc != 0)
        return journal_error(journal, rc, ret_error);
    return error_set_at(ret_error, -ENOSPC, journal->folder, 0,
                        "the journal is full of changes that no snapshot holds yet: raise its "
                        "size, or see why snapshots are not written; nothing was written");
}

int journal_make_room(struct journal *journal, uint64_t pages, struct error *ret_error)
{
    for (;;) {
        uint64_t available;
        int rc = pages_free(journal, &available);
        if (rc != 0)
            return journal_error(journal, rc, ret_error);
        if (available >= pages)
            return 0;
        rc = prune_alone(journal, ret_error);
        if (rc < 0)
            return rc;
    }
}
