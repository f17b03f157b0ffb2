/* A set of UUIDs: what was written already. */
#pragma once

#include "base/cleanup.h"
#include "cli/uuid_name.h"

struct uuid_set {
    struct uuid *places; /* all zero: free; no UUID of version 5 is */
    size_t place_count;  /* a power of two, or 0 */
    size_t count;
};

/* 1: it is new and added; 0: it was there; -ENOMEM. */
_must_check_ int uuid_set_add(struct uuid_set *set, const struct uuid *uuid);
void uuid_set_clear(struct uuid_set *set);
