#include "server/zone_counters.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

/* Threads' counters begin on pages of their own. */
#define PAGE_SIZE 4096

struct zone_counters {
    unsigned threads;
    size_t stride; /* octets of one thread's counters */
    uint8_t *octets;
    pthread_mutex_t lock; /* over what follows */
    uint32_t *unused;     /* a stack of indices */
    uint32_t unused_count;
};

int zone_counters_create(unsigned threads, unsigned zones_max, struct zone_counters **ret_counters)
{
    struct zone_counters *counters = calloc(1, sizeof(*counters));
    if (counters == NULL)
        return -ENOMEM;
    counters->threads = threads;
    counters->stride = (((size_t)zones_max + 1) * sizeof(struct zone_counts) + PAGE_SIZE - 1) /
                       PAGE_SIZE * PAGE_SIZE;
    counters->unused = calloc((size_t)zones_max + 1, sizeof(*counters->unused));
    counters->octets = mmap(NULL, threads * counters->stride, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (counters->unused == NULL || counters->octets == MAP_FAILED) {
        if (counters->octets != MAP_FAILED)
            (void)munmap(counters->octets, threads * counters->stride);
        free(counters->unused);
        free(counters);
        return -ENOMEM;
    }
    /* A huge page for one zone would cost what 65,000 may. */
    (void)madvise(counters->octets, threads * counters->stride, MADV_NOHUGEPAGE);
    for (uint32_t index = zones_max; index > 0; index--) /* the lowest on top: pages fill up */
        counters->unused[counters->unused_count++] = index;
    pthread_mutex_init(&counters->lock, NULL);
    *ret_counters = counters;
    return 0;
}

void zone_counters_free(struct zone_counters *counters)
{
    if (counters == NULL)
        return;
    (void)munmap(counters->octets, counters->threads * counters->stride);
    pthread_mutex_destroy(&counters->lock);
    free(counters->unused);
    free(counters);
}

struct zone_counts *zone_counters_of(const struct zone_counters *counters, unsigned thread)
{
    return (struct zone_counts *)(counters->octets + thread * counters->stride);
}

/* Where nobody writes, nothing is touched: a page that was never written reads as zeros. */
static void clear(const struct zone_counters *counters, uint32_t index)
{
    for (unsigned thread = 0; thread < counters->threads; thread++) {
        struct zone_counts *counts = &zone_counters_of(counters, thread)[index];
        for (unsigned kind = 0; kind < ZONE_COUNT_KINDS; kind++) {
            if (counts->answers[kind] != 0)
                __atomic_store_n(&counts->answers[kind], 0, __ATOMIC_RELAXED);
        }
    }
}

uint32_t zone_counters_take(struct zone_counters *counters)
{
    pthread_mutex_lock(&counters->lock);
    uint32_t index = counters->unused_count > 0 ? counters->unused[--counters->unused_count] : 0;
    pthread_mutex_unlock(&counters->lock);
    return index;
}

void zone_counters_give_back(struct zone_counters *counters, uint32_t index)
{
    if (index == 0)
        return;
    clear(counters, index);
    pthread_mutex_lock(&counters->lock);
    counters->unused[counters->unused_count++] = index;
    pthread_mutex_unlock(&counters->lock);
}

struct zone_counts zone_counters_read(const struct zone_counters *counters, uint32_t index)
{
    struct zone_counts sum = {0};
    for (unsigned thread = 0; thread < counters->threads; thread++) {
        const struct zone_counts *counts = &zone_counters_of(counters, thread)[index];
        for (unsigned kind = 0; kind < ZONE_COUNT_KINDS; kind++)
            sum.answers[kind] += __atomic_load_n(&counts->answers[kind], __ATOMIC_RELAXED);
    }
    return sum;
}
