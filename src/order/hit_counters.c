#include "order/hit_counters.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* From this size on counters are pages of their own: below, the heap costs less than what a page
 * would waste. */
#define MAPPED_SIZE_MIN ((size_t)64 * 1024)

int hit_counters_init(struct hit_counters *counters, size_t count)
{
    size_t size = 2 * count * sizeof(*counters->low), mapped = 0;
    void *octets = NULL;

    if (size >= MAPPED_SIZE_MIN) {
        mapped = size;
        octets = mmap(NULL, size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (octets == MAP_FAILED)
            return -ENOMEM;
        /* A huge page for one hit would cost what a hundred thousand names may. */
        (void)madvise(octets, size, MADV_NOHUGEPAGE);
    } else if (size > 0) {
        octets = calloc(2 * count, sizeof(*counters->low));
        if (octets == NULL)
            return -ENOMEM;
    }
    *counters = (struct hit_counters){.low = octets, .mapped = mapped};
    if (octets != NULL)
        counters->high = counters->low + count;
    return 0;
}

void hit_counters_clear(struct hit_counters *counters)
{
    if (counters->mapped > 0)
        (void)munmap((void *)counters->low, counters->mapped);
    else
        free((void *)counters->low);
    *counters = (struct hit_counters){0};
}
