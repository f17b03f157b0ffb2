/* Keeps the cache of forwarded zones for the next start: reads it back, and writes it at the stop
 * and once in an interval, from a thread of its own for which no answer waits. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "front/cache.h"

struct cache_saver;

/* Fills the cache from <state>/cache, if it is there and whole, and begins to save it, with the
 * priority of what runs in the background. The cache outlives the saver. */
_must_check_ int cache_saver_start(struct cache *cache, const char *state, unsigned interval_s,
                                   struct cache_saver **ret_saver, struct error *ret_error);

/* Saves what is there now, and frees. NULL is fine. */
void cache_saver_stop(struct cache_saver *saver);
