/* What lies in the journal's file, and what its parts share. Nothing outside of zone/journal*.c and
 * its tests includes this.
 *
 * One tree of keys that sort by memcmp(); a letter first, numbers in big endian:
 *
 *   'A'                             the head: version, counters
 *   'B' apex                        a zone: its id and the reach of its chain
 *   'C' zone id, position           a commit; with its body, if both fit one page
 *   'D' blob id, part               a part of a body that does not
 *   'E' 'C' zone id | 'D' blob id   what nothing refers to any more and later writes delete
 *
 * A position is a serial that does not wrap: 64 bits whose lower 32 are the serial (RFC 1982) at
 * which the commit begins. No value is longer than one page holds, so that room is never too
 * scattered to be used. Zones and blobs never get the id of an earlier one.
 */
#pragma once

#include <limits.h>
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "dns/name.h"
#include "zone/journal.h"

/* Changes whenever anything changes in what is written. */
#define JOURNAL_VERSION 1
#define JOURNAL_MAGIC   "TAMISJNL"

/* The smallest bound in which the reserve below still works. */
#define JOURNAL_SIZE_MIN ((uint64_t)16 << 20)

/* Pages that one transaction gives free beside its own work: few enough that LMDB's list of them
 * fits one page (509 numbers), and that nobody waits for it. */
#define PRUNE_PAGES_MAX 200

/* A call of journal_write() with more than this is written in several transactions, the last of
 * which makes it all visible: LMDB holds what a transaction writes in memory. */
#define STAGE_SIZE ((size_t)8 << 20)

enum journal_key_kind {
    KEY_HEAD = 'A',
    KEY_ZONE = 'B',
    KEY_COMMIT = 'C',
    KEY_PART = 'D',
    KEY_GARBAGE = 'E',
};

struct journal_key {
    size_t size;
    uint8_t octets[1 + NAME_SIZE_MAX];
};

/* The sizes of keys by their kind. */
#define KEY_COMMIT_SIZE  (1 + 8 + 8)
#define KEY_PART_SIZE    (1 + 8 + 4)
#define KEY_GARBAGE_SIZE (1 + 1 + 8)

/* Records stand in host order, as LMDB's own do. The checksum is the last field; it covers the key
 * and what stands before it. */
struct head_record {
    char magic[8];
    uint32_t version, reserved;
    uint64_t transaction; /* LMDB's number of the one that wrote this */
    uint64_t id_last;     /* of zones and blobs */
    uint64_t zones, commits;
    uint64_t checksum;
};

struct zone_record {
    uint64_t id;
    uint64_t first, last; /* positions: where the chain begins and ends; never equal */
    uint64_t kept;        /* a snapshot holds all before; 0: none is known */
    uint64_t commits;
    int64_t first_at_us; /* the time of the oldest commit */
    uint64_t checksum;
};

/* Followed by the body if `blob` is 0: the authors, each ended by a NUL, then the changes. */
struct commit_record {
    uint32_t serial_from, serial_to;
    int64_t at_us;
    uint16_t kind, author_count;
    uint32_t reserved;
    uint64_t authors_size, changes_size;
    uint64_t blob;
    uint64_t body_checksum;
    uint64_t checksum;
};

struct journal {
    MDB_env *env;
    MDB_dbi records;
    char folder[PATH_MAX];
    int lock_file;
    uint64_t age_max_us;
    uint64_t page_size, pages_max, pages_reserve;
    size_t value_max; /* octets that one page holds */

    _Atomic(int) failed; /* negative errno of the disk: no write any more */

    pthread_mutex_t stage_lock; /* one huge call at a time; taken before write_lock */
    pthread_mutex_t write_lock; /* guards what follows, and the order of checks and writes */

    uint64_t staged_from;    /* blobs of this id and up are being written; 0: none */
    bool is_garbage;         /* there may be some */
    struct journal_key aim;  /* the zone that is being pruned; size 0: look for one */
    int64_t aim_until_us;    /* as old as this, another zone's commits are next */
    bool nothing_to_prune;   /* until a snapshot is written */
    int64_t age_check_at_us; /* when to look for what is too old */
};

/* ---- Keys and checksums (journal_record.c) ---- */

void journal_key_zone(struct journal_key *ret_key, const uint8_t *apex);
void journal_key_commit(struct journal_key *ret_key, uint64_t zone, uint64_t position);
void journal_key_part(struct journal_key *ret_key, uint64_t blob, uint32_t part);
void journal_key_garbage(struct journal_key *ret_key, enum journal_key_kind kind, uint64_t id);
/* The number at octets `at` to `at` + 7. */
uint64_t journal_key_number(const MDB_val *key, size_t at);

/* Reads and writes records of `size` octets whose last eight are their checksum. Return 0, -ENOENT,
 * -EBADMSG, or LMDB's error. `body` may be NULL when the record has none. */
_must_check_ int journal_get(const struct journal *journal, MDB_txn *txn,
                             const struct journal_key *key, void *ret_record, size_t size,
                             MDB_val *ret_body);
_must_check_ int journal_record_check(const MDB_val *key, const MDB_val *value, void *ret_record,
                                      size_t size, MDB_val *ret_body);
void journal_record_seal(const struct journal_key *key, void *record, size_t size);
_must_check_ int journal_put(const struct journal *journal, MDB_txn *txn,
                             const struct journal_key *key, void *record, size_t size);

uint64_t journal_body_checksum(const void *authors, size_t authors_size, const void *changes,
                               size_t changes_size);

/* Fills the error for what LMDB, the system or we returned; returns a negative errno. */
int journal_error(const struct journal *journal, int code, struct error *ret_error);

/* ---- Transactions (journal_transaction.c) ---- */

/* A transaction that writes. The write lock is held from begin to end. */
struct journal_txn {
    MDB_txn *txn;
    struct head_record head;
};

_must_check_ int journal_txn_begin(struct journal *journal, struct journal_txn *ret_txn,
                                   struct error *ret_error);
/* Ends it in any case. */
_must_check_ int journal_txn_commit(struct journal *journal, struct journal_txn *txn,
                                    struct error *ret_error);
void journal_txn_abort(struct journal *journal, struct journal_txn *txn);

/* Pages that hold something, as the transaction sees it. */
uint64_t journal_pages_used(const struct journal *journal, MDB_txn *txn);

/* ---- Pruning (journal_prune.c) ---- */

/* Deletes a little of what nobody needs: garbage, then, with `is_room_wanted` or when over the
 * bounds, the oldest commits that a snapshot holds. Returns the count of records deleted or LMDB's
 * error. */
_must_check_ int journal_prune(struct journal *journal, struct journal_txn *txn,
                               bool is_room_wanted, unsigned *ret_deleted);

/* Makes `pages` available, by as many transactions as it takes. -ENOSPC: there is nothing left that
 * may be dropped. The write lock is held. */
_must_check_ int journal_make_room(struct journal *journal, uint64_t pages,
                                   struct error *ret_error);

/* Notes that nothing refers to the commits of a zone, or to a blob. */
_must_check_ int journal_put_garbage(struct journal *journal, MDB_txn *txn,
                                     enum journal_key_kind kind, uint64_t id);

/* ---- Verification (journal_verify.c) ---- */

/* Checks the structure of the file before LMDB, which trusts it, maps it: -EBADMSG with what is
 * wrong, -ENOTSUP for another version, the system's error, or 0. A file that is not there or is
 * empty is a new one. Costs one read of the file. */
_must_check_ int journal_verify(const char *path, struct error *ret_error);
