/* Which questions have failed lately at which server, so that they are not asked again at once
 * (RFC 9520, 3).
 *
 * A table of fixed size in which a newer failure takes the place of an older one: forgetting early
 * costs a question, never a wrong answer. One thread's.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* 96 KiB. A flood of failing questions overwrites itself. */
#define FAILURE_MEMORY_SLOTS 4096

/* From the first failure to the last of a row, doubling: not under one second and not over five
 * minutes, RFC 9520, 3.2. A front must notice soon that its origin is back. */
#define FAILURE_MS_MIN 1000
#define FAILURE_MS_MAX 32000

struct failure_memory {
    struct {
        uint64_t key; /* a keyed hash of question and server */
        int64_t until_ms;
        int64_t lasts_ms;
    } slots[FAILURE_MEMORY_SLOTS];
};

bool failure_is_known(const struct failure_memory *memory, uint64_t key, int64_t now_ms);
void failure_note(struct failure_memory *memory, uint64_t key, int64_t now_ms);
void failure_forget(struct failure_memory *memory, uint64_t key);
