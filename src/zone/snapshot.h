/* A generation of a zone on disk, so that a start need not parse or transfer it again.
 *
 * A snapshot is the generation as it lies in memory: entries packed one behind the other in the
 * order of the table's slots, and the slots with places instead of pointers. Reading one is reading
 * the file, checking it, and adding an address to every slot. It holds for the machine, the program
 * and the key of the name hash that wrote it; for all others, and whenever anything about it is
 * wrong, the zone's source is what counts. Nothing in a file is trusted, also when its checksum is
 * right: what was read is a zone that can be served, or an error.
 *
 * All of this blocks on the disk: not for query threads.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/zone_view.h"

/* Changes whenever anything changes in what is written, struct name_entry and the table's way of
 * probing included. A change of the name hash itself shows without it. */
#define SNAPSHOT_VERSION 3

/* Where the snapshot of `apex` is in `folder`. Returns 0 or -ENAMETOOLONG. */
_must_check_ int snapshot_path(const char *folder, const uint8_t *apex, char *ret_path,
                               size_t path_size);

/* ---- Reading ---- */

/* What a snapshot says before its records are read. */
struct snapshot_info {
    struct zone_source source; /* checked_at with what snapshot_set_checked() told */
    struct soa soa;
    uint64_t name_count, size;
};

struct snapshot;

/* Opens and reads what comes first. Errors, with a text that says why: -ENOENT when there is none,
 * -ENOTSUP for another version or machine, -EKEYREJECTED for another key of the name hash, -EBADMSG
 * for a damaged one, or the system's. */
_must_check_ int snapshot_open(const char *path, const uint8_t *apex,
                               struct snapshot **ret_snapshot, struct error *ret_error);
void snapshot_close(struct snapshot *snapshot);
DEFINE_FREEP(struct snapshot, snapshot_close)

const struct snapshot_info *snapshot_info(const struct snapshot *snapshot);

/* Reads the generation; its source says is_snapshot. Costs one pass over the file. Returns 0,
 * -ENOMEM, -EBADMSG or the system's error. */
_must_check_ int snapshot_read(struct snapshot *snapshot, struct zone_data **ret_data,
                               struct error *ret_error);

/* ---- Writing ---- */

/* Writes what the view, of which nothing was walked yet, shows to `path`, while edits of the zone
 * go on, replacing what is there only when all of it is durable. For a transferred zone
 * `checked_at` is when its origin was last known to have this serial. Stops with -ECANCELED soon
 * after *cancel is set (NULL: never). Needs memory for the slots of the table. Returns 0 and the
 * octets written, or a negative errno. */
_must_check_ int snapshot_write(const char *path, struct zone_view *view, int64_t checked_at,
                                const _Atomic(bool) *cancel, uint64_t *ret_size,
                                struct error *ret_error);

/* Tells the snapshot of a transferred zone, if it is of `serial`, that the origin still had it at
 * `checked_at`. A few octets in place, not synced: what is lost ends the data earlier, never later.
 * One thread at a time. Returns 0, -ESTALE for another serial, or as snapshot_open(). */
_must_check_ int snapshot_set_checked(const char *path, const uint8_t *apex, uint32_t serial,
                                      int64_t checked_at, struct error *ret_error);
