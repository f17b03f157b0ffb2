#include "zone/large_pages.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *large_pages_alloc(size_t size)
{
    void *memory;
    if (size < LARGE_PAGE_SIZE)
        return malloc(size);
    if (posix_memalign(&memory, LARGE_PAGE_SIZE, size) != 0)
        return NULL;
    /* Best effort: it works without. What is left behind the last large page stays on small ones,
     * so that nothing is wasted. */
    (void)madvise(memory, size, MADV_HUGEPAGE);
    return memory;
}

void large_pages_trim(void *from, const void *to)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t first = ((uintptr_t)from + page - 1) & ~(page - 1);
    uintptr_t end = (uintptr_t)to & ~(page - 1);
    if (first >= end)
        return;
    (void)madvise((void *)first, end - first, MADV_NOHUGEPAGE);
    (void)madvise((void *)first, end - first, MADV_DONTNEED);
}
