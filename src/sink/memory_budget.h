/* Memory that several structures share, with a bound. One thread's. */
#pragma once

#include <assert.h>
#include <stdlib.h>

#include "base/cleanup.h"

struct memory_budget {
    size_t used, max; /* octets */
};

/* realloc() within the budget, to a size above 0; NULL leaves what was there. */
_must_check_ static inline void *budget_resize(struct memory_budget *budget, void *memory,
                                               size_t old_size, size_t size)
{
    assert(size > 0);
    if (size > old_size && size - old_size > budget->max - budget->used)
        return NULL;
    void *resized = realloc(memory, size);
    if (resized != NULL)
        budget->used = budget->used - old_size + size;
    return resized;
}

static inline void budget_free(struct memory_budget *budget, void *memory, size_t size)
{
    free(memory);
    budget->used -= size;
}
