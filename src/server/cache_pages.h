/* Brings the memory of the cache in after the start, from a thread of its own with the priority of
 * what runs in the background, so that no answer waits while a page is cleared. */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "front/cache.h"

struct cache_pages;

/* The cache outlives it. */
_must_check_ int cache_pages_start(struct cache *cache, struct cache_pages **ret_pages,
                                   struct error *ret_error);

/* Ends it wherever it is, and frees. NULL is fine. */
void cache_pages_stop(struct cache_pages *pages);
