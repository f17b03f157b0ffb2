/* What the parts of evidence share: evidence.c decides and queues, evidence_files.c keeps. */
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "base/handover.h"
#include "sink/evidence.h"

/* Where an order's evidence of a day goes. The day never goes back: what came shortly before
 * midnight and ended behind it stands in the next day's file, which is open then. */
struct evidence_file {
    int file;      /* -1: none */
    int32_t day;   /* since 1970 */
    uint64_t end;  /* behind the last whole item */
    bool is_dirty; /* not synced */
};

/* An order that has the clause. */
struct evidence_clause {
    char id[64];
    int64_t starts, ends; /* Unix seconds */
    uint8_t seal_to[32];
    struct evidence_file kept; /* the thread's own */
};

/* Not sealed yet, since that takes longer than the sensor can spare; wiped when it is. */
struct evidence_item {
    struct cds_wfcq_node node;
    struct evidence_clause *clause;
    int64_t at_us;
    size_t size;
    uint8_t plain[];
};

struct evidence {
    char *folder;
    int lock; /* the folder, of one process at a time; -1: there is none */
    struct evidence_clause *clauses;
    size_t clause_count;
    uint64_t octets_max;
    unsigned keep_days;
    struct calendar *calendar;

    struct cds_wfcq_head head;
    struct cds_wfcq_tail tail;
    _Atomic uint64_t queued_octets;
    sem_t is_there; /* something in the queue, or the end */
    _Atomic bool is_ending;
    pthread_t thread;
    bool has_thread;

    /* The thread's own. */
    uint8_t *sealed;   /* room for the longest item */
    int32_t swept_day; /* the last time that old files were looked for; INT32_MIN: never */
    bool is_full;      /* told, until there is room again */

    _Atomic uint64_t octets; /* of the folder */
    _Atomic uint64_t kept, dropped;
};

/* Seals an item and puts it behind the others of its order and day. */
_must_check_ int evidence_keep(struct evidence *evidence, const struct evidence_item *item);

/* Makes durable what was kept. */
_must_check_ int evidence_sync(struct evidence *evidence);

void evidence_close_files(struct evidence *evidence);

/* Deletes files that are too old on the day (INT32_MIN: none is), and counts the octets of those
 * that stay. */
void evidence_sweep(struct evidence *evidence, int32_t today);
