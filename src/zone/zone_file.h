/* Zone files in master format (RFC 1035, section 5; $INCLUDE and $TTL of RFC 2308; unknown types of
 * RFC 3597). */
#pragma once

#include "zone/zone_data.h"

/* What tells one content of the file from another without reading it. Returns 0 or a negative
 * errno. */
_must_check_ int zone_file_source(const char *path, struct zone_source *ret_source);

/* Whether both are the same file with the same content. */
bool zone_file_source_equal(const struct zone_source *one, const struct zone_source *other);

/* One finding about a zone file. */
struct zone_finding {
    const char *file; /* valid during the call */
    uint64_t line;
    bool fatal; /* the zone cannot be served as it is */
    const char *text;
};

typedef void zone_finding_fn(void *context, const struct zone_finding *finding);

/* Loads the zone `apex` from `path`. Every finding is reported to `report` (may be NULL). Returns
 * 0, or a negative errno with the first fatal finding in `ret_error`. Blocks on file I/O: not for
 * query threads. */
_must_check_ int zone_file_load(const char *path, const uint8_t *apex, zone_finding_fn *report,
                                void *context, struct zone_data **ret_data,
                                struct error *ret_error);
