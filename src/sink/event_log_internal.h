/* What the parts of the event log share: event_log.c opens and closes it, event_log_thread.c fills
 * blocks, event_log_segments.c writes them into files. */
#pragma once

#include <pthread.h>
#include <zstd.h>

#include "sink/event_log.h"
#include "sink/event_ring.h"
#include "sink/segment.h"

/* A block that is not durable yet. */
struct waiting_block {
    struct waiting_block *next;
    size_t size;
    uint32_t count;   /* of its events */
    uint8_t octets[]; /* as they will lie in the segment */
};

struct open_segment {
    int file;     /* -1: none could be made yet */
    uint64_t end; /* behind the last durable block */
    uint64_t begun_ns;
    struct segment_header header;
};

struct event_log {
    char *folder;
    unsigned flush_ms, segment_seconds, keep_days;
    size_t segment_octets_max, waiting_octets_max;
    uint64_t octets_max;
    struct calendar *calendar;
    int lock; /* a file of the folder: one writer at a time */

    struct event_ring *rings;
    unsigned ring_count;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool is_ending; /* under the mutex */

    /* The thread's own. */
    struct {
        uint8_t *raw; /* BLOCK_RAW_MAX octets */
        size_t size;
        uint32_t count;
        int64_t first_us, last_us;
    } block;
    ZSTD_CCtx *compressor;
    uint8_t *packed; /* BLOCK_RAW_MAX octets */
    struct waiting_block *waiting_first, **waiting_end;
    size_t waiting_octets;
    uint64_t flush_ns;     /* when what is in `block` or waits is to be durable; 0: nothing is */
    uint64_t retry_ns;     /* after a failure: when to try again; 0: there is none */
    uint64_t retention_ns; /* when to look for segments that are too old */
    uint64_t last_number;  /* of a segment */
    bool is_full;          /* told, until there is room again */
    struct open_segment segment;

    _Atomic uint64_t written, blocks, octets, octets_raw, failures, segments_deleted;
};

uint64_t event_log_now_ns(void); /* CLOCK_MONOTONIC */

/* ---- event_log.c ---- */

/* Makes the folder where there is none, and locks it: one writer at a time. */
_must_check_ int event_log_take_folder(struct event_log *log, struct error *ret_error);

/* ---- event_log_thread.c ---- */

void *event_log_thread(void *context);

/* ---- event_log_segments.c: by the log's thread, or before it runs ---- */

/* Cuts off what is torn at the end of the last segment, and begins a new one; a disk that is full
 * is no error, writing then begins later. */
_must_check_ int event_log_recover(struct event_log *log, struct error *ret_error);

/* Makes all blocks that wait durable and lets go of them; those before a failure are. */
_must_check_ int event_log_commit(struct event_log *log);

/* Begins a new segment when the last one has blocks and its time is up. */
_must_check_ int event_log_rotate(struct event_log *log);

/* Deletes segments whose events all are older than keep_days, and the oldest as long as the folder
 * with the last one grown to its full size would have more than octets_max; never the last one. */
void event_log_retain(struct event_log *log);
