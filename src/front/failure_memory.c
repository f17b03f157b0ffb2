#include "front/failure_memory.h"

bool failure_is_known(const struct failure_memory *memory, uint64_t key, int64_t now_ms)
{
    const unsigned slot = key % FAILURE_MEMORY_SLOTS;
    return memory->slots[slot].key == key && memory->slots[slot].until_ms > now_ms;
}

void failure_note(struct failure_memory *memory, uint64_t key, int64_t now_ms)
{
    const unsigned slot = key % FAILURE_MEMORY_SLOTS;
    int64_t lasts_ms = FAILURE_MS_MIN;
    if (memory->slots[slot].key == key) {
        /* Questions that were under way together fail together: that is one failure. */
        if (memory->slots[slot].until_ms > now_ms)
            return;
        /* Only one that is asked again soon after the time was up is of the same row. */
        if (now_ms - memory->slots[slot].until_ms < FAILURE_MS_MAX)
            lasts_ms = memory->slots[slot].lasts_ms * 2;
    }
    if (lasts_ms > FAILURE_MS_MAX)
        lasts_ms = FAILURE_MS_MAX;
    memory->slots[slot].key = key;
    memory->slots[slot].lasts_ms = lasts_ms;
    memory->slots[slot].until_ms = now_ms + lasts_ms;
}

void failure_forget(struct failure_memory *memory, uint64_t key)
{
    const unsigned slot = key % FAILURE_MEMORY_SLOTS;
    if (memory->slots[slot].key == key)
        memory->slots[slot].key = 0;
}
