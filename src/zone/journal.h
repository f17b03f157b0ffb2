/* The journal: every commit to every zone, durable before anyone sees it (LMDB, one environment for
 * all zones, keyed by zone and serial).
 *
 * What it is for: replay on top of a snapshot after a crash, IXFR to secondaries, the history of a
 * name, putting an earlier state back. It is bounded by size and age; commits that no snapshot
 * holds yet are kept beyond both bounds, and when there is no room for them the write fails and
 * nothing is acknowledged.
 *
 * Thread-safe; a write blocks on the disk, reads never block writes. Records carry a checksum:
 * a damaged one is an error that names zone and serial, never a change of the zone.
 *
 * A write costs two syncs of the disk (LMDB's pages, then the one that makes them count), whatever
 * the number of commits in it. After an error of the disk other than a lack of room every further
 * write is refused with -EIO until the journal is opened again: a sync that succeeds says nothing
 * about what an earlier one lost. The commits of the failed write may then be there or not.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/change.h"

struct journal;

struct journal_limits {
    uint64_t size_max;  /* octets of all zones; 0: 1 GiB. The file never grows beyond it. */
    uint64_t age_max_s; /* older commits are dropped when a snapshot holds them; 0: 14 days */
};

enum commit_kind {
    COMMIT_UPDATE,   /* RFC 2136 */
    COMMIT_TRANSFER, /* IXFR from an origin */
    COMMIT_IMPORT,   /* a zone file was read again */
    COMMIT_RESTORE,  /* an earlier state was put back */
};

/* One commit, as written and as read. What it points to belongs to whoever made it. */
struct commit {
    const uint8_t *apex; /* wire form, lower case */
    uint32_t serial_from, serial_to;
    int64_t at_us; /* Unix microseconds */
    enum commit_kind kind;
    const char *const *authors; /* texts: "key NAME", "ADDRESS", "control"; changes index them */
    uint16_t author_count;
    const uint8_t *changes; /* change list, the SOA's among them */
    size_t changes_size;
};

/* Opens or makes the journal in `folder`, whose parent exists. Reads the file once and checks its
 * structure, since LMDB trusts what it maps; does not read the commits. -EBUSY when another process
 * has it open, -ENOTSUP for another version's, -EBADMSG with a remedy when it is damaged as a
 * whole, -EINVAL for less than 16 MiB, or the system's error. A lower size_max than before makes
 * the content smaller, not the file. */
_must_check_ int journal_open(const char *folder, const struct journal_limits *limits,
                              struct journal **ret_journal, struct error *ret_error);
void journal_close(struct journal *journal);
DEFINE_FREEP(struct journal, journal_close)

/* Writes all commits or none, durable on return. Each must begin at the serial at which its zone's
 * last one ended, or the zone have none: -ESTALE. Its serial must advance (RFC 1982, 3.2): -EINVAL.
 * -ENOSPC when the disk or the journal is full: nothing was written, and later writes may succeed.
 * -EIO when the disk failed: see above.
 *
 * Up to 8 MiB are one transaction. More is written in pieces that count for nothing until the last
 * transaction refers to them, so that other writes go on between and memory stays bounded; it needs
 * to fit the journal beside what no snapshot holds. */
_must_check_ int journal_write(struct journal *journal, const struct commit *commits, size_t count,
                               struct error *ret_error);

/* The serials that a zone's chain of commits reaches from and to. -ENOENT: it has none, or none any
 * more. */
_must_check_ int journal_range(struct journal *journal, const uint8_t *apex, uint32_t *ret_first,
                               uint32_t *ret_last);

/* Calls `visit` for every commit from the one that begins at `serial_from` on, oldest first, up to
 * where the chain ended at the call; stops when it returns non-zero and returns that value. The
 * commit lives during the call. Returns -ENOENT when no commit begins there (none does at the
 * chain's last serial), -EBADMSG for a damaged one, -ESTALE when the rest was pruned or forgotten
 * meanwhile; commits before were visited.
 *
 * Commits are copied in batches and no transaction is open while `visit` runs: it may take its time
 * and may write. Needs memory for the largest commit. */
int journal_read(struct journal *journal, const uint8_t *apex, uint32_t serial_from,
                 int (*visit)(void *context, const struct commit *commit), void *context,
                 struct error *ret_error);

/* A durable snapshot of the zone holds everything up to `serial`: what is older may be dropped when
 * the bounds ask for it. A serial that the chain does not reach changes nothing. */
_must_check_ int journal_kept(struct journal *journal, const uint8_t *apex, uint32_t serial,
                              struct error *ret_error);

/* Drops all of a zone's commits: the zone's data is new from elsewhere. Costs no more for a long
 * chain: later writes delete it in small steps. */
_must_check_ int journal_forget(struct journal *journal, const uint8_t *apex,
                                struct error *ret_error);

struct journal_stats {
    uint64_t commits, zones;
    uint64_t octets; /* in use, of size_max */
    uint64_t size_max;
};
_must_check_ int journal_stats(struct journal *journal, struct journal_stats *ret_stats);
