#include "server/cache_pages.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "server/server_internal.h"

struct cache_pages {
    struct cache *cache;
    pthread_t thread;
    atomic_bool stops;
};

static void *run(void *context)
{
    struct cache_pages *pages = context;
    uint64_t at = 0;
    pthread_setname_np(pthread_self(), "cache-pages");
    server_yield_to_workers();
    while (!atomic_load_explicit(&pages->stops, memory_order_relaxed) &&
           cache_populate(pages->cache, &at))
        continue;
    return NULL;
}

int cache_pages_start(struct cache *cache, struct cache_pages **ret_pages, struct error *ret_error)
{
    struct cache_pages *pages = calloc(1, sizeof(*pages));
    if (pages == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    pages->cache = cache;
    const int rc = -pthread_create(&pages->thread, NULL, run, pages);
    if (rc < 0) {
        free(pages);
        return error_set(ret_error, rc, "cannot start the thread that brings the cache in: %s",
                         strerror(-rc));
    }
    *ret_pages = pages;
    return 0;
}

void cache_pages_stop(struct cache_pages *pages)
{
    if (pages == NULL)
        return;
    atomic_store_explicit(&pages->stops, true, memory_order_relaxed);
    pthread_join(pages->thread, NULL);
    free(pages);
}
