/* Loading many zones at once, from files or from an origin, on as many threads as there are cores.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "zone/transfer_in.h"
#include "zone/zone_file.h"

/* Findings about one file that are told one by one; more are only counted. */
#define LOADER_FINDINGS_MAX 20

struct zone_load {
    /* Set by the caller. */
    const char *path;                     /* of the zone file */
    const struct transfer_source *source; /* in the file's place: transfer it; NULL: load `path` */
    const uint8_t *apex;
    void *owner; /* the caller's own */

    /* Set by zone_loader_run(). */
    struct zone_data *data; /* NULL: it failed */
    struct error error;     /* then: why */
    uint64_t finding_count;
    struct error findings[LOADER_FINDINGS_MAX]; /* not fatal ones, as errors with a place */
    double took_s;
};

/* Loads all; a failed one does not stop the others. `threads` 0: one a core. */
void zone_loader_run(struct zone_load *loads, size_t count, unsigned threads);
