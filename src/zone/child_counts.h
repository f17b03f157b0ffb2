/* How many names stand directly below each name of a zone, which tells when an empty non-terminal
 * comes and goes. Only names below the apex that have any are kept, by their hash: a flat zone has
 * none. One thread at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct child_count {
    uint64_t name; /* 0: empty */
    uint32_t count;
};

/* All zero is empty. */
struct child_counts {
    struct child_count *slots;
    size_t capacity, used; /* a power of two; `used` counts zeros, too, until it grows */
};

void child_counts_clear(struct child_counts *counts);

uint32_t child_counts_get(const struct child_counts *counts, uint64_t name);

/* Makes room for `more` names that have no count yet. Returns 0 or -ENOMEM. */
_must_check_ int child_counts_reserve(struct child_counts *counts, size_t more);

/* Adds `by` to the count of the name hashed to `name`; there must be room. */
void child_counts_add(struct child_counts *counts, uint64_t name, int64_t by);
