#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>

#include "zone/journal_internal.h"

static const struct journal_key head_key = {.size = 1, .octets = {KEY_HEAD}};

/* ---- Failures ---- */

static int refuse(struct journal *journal, struct error *ret_error)
{
    return error_set_at(ret_error, journal->failed, journal->folder, 0,
                        "the journal's disk failed: nothing is written any more; check the disk, "
                        "then restart the server");
}

/* LMDB says EIO when the file system took only a part of a write, as a full one does. */
static bool disk_is_full(const struct journal *journal)
{
    struct statvfs room;
    return statvfs(journal->folder, &room) == 0 &&
           (uint64_t)room.f_bavail * room.f_frsize < STAGE_SIZE;
}

static bool is_lack(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EFBIG || code == ENOMEM ||
           code == MDB_MAP_FULL || code == MDB_TXN_FULL;
}

/* What the transaction wrote is in pages that the state before it does not use, so that a lack of
 * room leaves that state whole. After any other failure nobody knows what the disk holds: a later
 * sync that succeeds says nothing about what an earlier one lost. Then only reading the file again
 * tells, which a restart does. */
static int commit_failed(struct journal *journal, int code, struct error *ret_error)
{
    if (code == EIO && disk_is_full(journal))
        code = ENOSPC;
    if (!is_lack(code)) {
        journal->failed = -EIO;
        return refuse(journal, ret_error);
    }
    return journal_error(journal, code, ret_error);
}

/* What pruning found out in a transaction that came to nothing. */
static void forget_progress(struct journal *journal)
{
    journal->is_garbage = true;
    journal->aim.size = 0;
    journal->nothing_to_prune = false;
}

/* ---- Transactions ---- */

int journal_txn_begin(struct journal *journal, struct journal_txn *ret_txn, struct error *ret_error)
{
    if (journal->failed < 0)
        return refuse(journal, ret_error);
    MDB_txn *txn;
    int rc = mdb_txn_begin(journal->env, NULL, 0, &txn);
    if (rc == MDB_PANIC)
        return commit_failed(journal, rc, ret_error);
    if (rc != 0)
        return journal_error(journal, rc, ret_error);
    rc = journal_get(journal, txn, &head_key, &ret_txn->head, sizeof(ret_txn->head), NULL);
    if (rc == -ENOENT) {
        ret_txn->head = (struct head_record){.version = JOURNAL_VERSION};
        memcpy(ret_txn->head.magic, JOURNAL_MAGIC, sizeof(ret_txn->head.magic));
    } else if (rc != 0) {
        mdb_txn_abort(txn);
        return journal_error(journal, rc, ret_error);
    }
    ret_txn->txn = txn;
    return 0;
}

int journal_txn_commit(struct journal *journal, struct journal_txn *txn, struct error *ret_error)
{
    txn->head.transaction = mdb_txn_id(txn->txn);
    int rc = journal_put(journal, txn->txn, &head_key, &txn->head, sizeof(txn->head));
    if (rc != 0) {
        journal_txn_abort(journal, txn);
        return journal_error(journal, rc, ret_error);
    }
    rc = mdb_txn_commit(txn->txn);
    txn->txn = NULL;
    if (rc == 0)
        return 0;
    forget_progress(journal);
    return commit_failed(journal, rc, ret_error);
}

void journal_txn_abort(struct journal *journal, struct journal_txn *txn)
{
    mdb_txn_abort(txn->txn);
    txn->txn = NULL;
    forget_progress(journal);
}

uint64_t journal_pages_used(const struct journal *journal, MDB_txn *txn)
{
    const MDB_dbi free_list = 0; /* LMDB's own tree, which mdb_stat(1) reads as well */
    const MDB_dbi trees[] = {free_list, journal->records};
    uint64_t pages = 2; /* the two that say where the trees are */
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        MDB_stat stat;
        if (mdb_stat(txn, trees[i], &stat) == 0)
            pages += stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages;
    }
    return pages;
}
