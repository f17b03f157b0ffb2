/* Loading many zones at once, on as many threads as there are cores: from their snapshots where
 * these are good, otherwise from files or from an origin. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/snapshot.h"
#include "zone/transfer_in.h"
#include "zone/zone_file.h"

/* Findings about one file that are told one by one; more are only counted. */
#define LOADER_FINDINGS_MAX 20

struct zone_load {
    /* Set by the caller. */
    const char *path;                     /* of the zone file; NULL: there is none */
    const struct transfer_source *source; /* in the file's place: transfer it; NULL: load `path` */
    const uint8_t *apex;
    void *owner;    /* the caller's own */
    char *snapshot; /* path, on the heap; NULL: none is wanted */
    /* Whether the snapshot still says what the zone's source says: 0, or a negative errno with the
     * reason. */
    int (*judge)(const struct zone_load *load, const struct snapshot_info *info,
                 struct error *ret_error);

    /* Called once there is data, by the thread that loaded it; NULL: not. */
    void (*loaded)(struct zone_load *load);
    void *context; /* of both, the caller's own */

    /* Set by zone_loader_run(). */
    struct zone_data *data; /* NULL: it failed */
    struct error error;     /* then: why; code 0 when there is nothing but a snapshot */
    struct error unusable;  /* why the snapshot was not used; code 0 when it was, or is not there */
    uint64_t finding_count;
    struct error findings[LOADER_FINDINGS_MAX]; /* not fatal ones, as errors with a place */
    double took_s;
    uint64_t replayed; /* by `loaded`: commits of the journal that followed */
};

/* Loads all; a failed one does not stop the others. `threads` 0: one a core. */
void zone_loader_run(struct zone_load *loads, size_t count, unsigned threads);

/* The array and the paths of the snapshots; not the data. */
void zone_loads_free(struct zone_load *loads, size_t count);
