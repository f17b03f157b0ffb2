/* Times and lengths of time as the sinkhole's commands take them. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

/* "30m", "12h", "7d", "2w": microseconds; at least a minute, at most ten years. Returns 0 or
 * -EINVAL. */
_must_check_ int sink_span_parse(const char *text, int64_t *ret_us);

/* A span before `now_us`, a day as "2026-11-24" (its begin, UTC), or RFC 3339. Returns 0 or
 * -EINVAL. */
_must_check_ int sink_time_parse(const char *text, int64_t now_us, int64_t *ret_us);
