/* The folder of events: segments that are appended to, checksummed, compressed, and rotated by size
 * and time. doc/sink-events.md describes them; `kill -9` loses at most what is younger than the
 * flush time.
 *
 * Writing: threads put events into rings of their own and never wait; one thread of the log
 * encodes, compresses, writes and syncs a block at least every flush time. Where the disk is full,
 * blocks wait in memory up to a bound, then events are dropped and counted, and writing goes on by
 * itself when there is room. Reading needs no lock and may run beside the writer, also in another
 * process.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/calendar.h"
#include "sink/event.h"

struct event_log_options {
    const char *folder;
    unsigned threads;          /* that put */
    unsigned flush_ms;         /* 1000 */
    size_t segment_octets_max; /* rotation by size */
    unsigned segment_seconds;  /* and by time */
    unsigned keep_days;        /* older segments are deleted; 0: never */
    uint64_t octets_max; /* of the folder: for more, the oldest segments are deleted; 0: any */
    size_t waiting_octets_max; /* of blocks that can't be written now */
    struct calendar *calendar; /* whether the clock may be believed; NULL: always */
};

struct event_log_figures {
    uint64_t written, dropped, blocks, octets, octets_raw, failures, segments_deleted;
    uint64_t waiting; /* events that are not on the disk yet */
};

struct event_log;

/* Opens or makes the folder; a torn block at the end of the last segment is cut off and told in the
 * log. */
_must_check_ int event_log_open(const struct event_log_options *options, struct event_log **ret_log,
                                struct error *ret_error);
/* Writes what waits, and closes. */
void event_log_close(struct event_log *log);

/* Any thread with its own `thread` number. False: no room, it is counted as dropped. */
bool event_log_put(struct event_log *log, unsigned thread, const struct sink_event *event);
void event_log_figures(const struct event_log *log, struct event_log_figures *ret_figures);

/* ---- Reading ---- */

/* Where a reader stands: after block `block_end` octets of segment `segment`. */
struct event_place {
    uint64_t segment; /* its number, from 1 */
    uint64_t octet;
};

struct event_reader;

/* Reads events of the folder with from_us <= at < to_us (0: no bound), segment by segment in the
 * order of writing, from `place` (NULL: the beginning). A damaged block is skipped and counted. */
_must_check_ int event_reader_open(const char *folder, int64_t from_us, int64_t to_us,
                                   const struct event_place *place,
                                   struct event_reader **ret_reader, struct error *ret_error);
void event_reader_close(struct event_reader *reader);
DEFINE_FREEP(struct event_reader, event_reader_close)

/* 1: an event; 0: no more for now (a later call may find what was written since); negative errno.
 */
_must_check_ int event_reader_next(struct event_reader *reader, struct sink_event *ret_event,
                                   struct error *ret_error);

/* The next whole block as it lies in the segment, checked, for who passes events on: 1, 0 or
 * negative. `ret_octets` is valid until the next call; `ret_place` is behind it. */
_must_check_ int event_reader_block(struct event_reader *reader, const uint8_t **ret_octets,
                                    size_t *ret_size, struct event_place *ret_place,
                                    struct error *ret_error);
uint64_t event_reader_damaged(const struct event_reader *reader);

/* The random number of the folder's writer, of the segment read last: with segment and octet it
 * names a block for ever. */
uint64_t event_reader_node(const struct event_reader *reader);
