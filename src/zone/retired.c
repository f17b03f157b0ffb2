#include "zone/retired.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "zone/arena.h"

#define ROOM_MIN 64

/* Shared with the thread that calls back, which may be later than the end of the zone. */
struct grace_period {
    struct rcu_head head;
    _Atomic(bool) has_passed;
    _Atomic(unsigned) references;
};

struct retired_entry {
    const struct name_entry *entry;
    size_t size;
};

struct retired_batch {
    struct retired_batch *next;
    uint64_t commit; /* the last one that has replaced any of them */
    size_t count, room;
    struct retired_entry entries[];
};

/* ---- Grace periods ---- */

static void grace_release(struct grace_period *grace)
{
    if (grace != NULL && atomic_fetch_sub(&grace->references, 1) == 1)
        free(grace);
}

static void grace_has_passed(struct rcu_head *head)
{
    rcu_callback_begins();
    struct grace_period *grace = (struct grace_period *)head; /* its first member */
    atomic_store(&grace->has_passed, true);
    grace_release(grace);
}

static struct grace_period *grace_begin(void)
{
    struct grace_period *grace = calloc(1, sizeof(*grace));
    if (grace == NULL)
        return NULL;
    atomic_init(&grace->references, 2);
    call_rcu(&grace->head, grace_has_passed);
    return grace;
}

/* ---- Batches ---- */

void retired_clear(struct retired *retired)
{
    free(retired->gathering);
    free(retired->waiting);
    grace_release(retired->grace);
    while (retired->passed != NULL) {
        struct retired_batch *next = retired->passed->next;
        free(retired->passed);
        retired->passed = next;
    }
    *retired = (struct retired){0};
}

int retired_reserve(struct retired *retired, size_t count)
{
    struct retired_batch *batch = retired->gathering;
    size_t used = batch != NULL ? batch->count : 0;
    size_t room = batch != NULL ? batch->room : 0;
    if (count <= room - used)
        return 0;
    room = room == 0 ? ROOM_MIN : room * 2;
    if (room < used + count)
        room = used + count;
    batch = realloc(batch, sizeof(*batch) + room * sizeof(batch->entries[0]));
    if (batch == NULL)
        return -ENOMEM;
    if (retired->gathering == NULL)
        *batch = (struct retired_batch){0};
    batch->room = room;
    retired->gathering = batch;
    return 0;
}

void retired_add(struct retired *retired, const struct name_entry *entry, size_t size,
                 uint64_t commit)
{
    struct retired_batch *batch = retired->gathering;
    assert(batch != NULL && batch->count < batch->room);
    batch->entries[batch->count++] = (struct retired_entry){.entry = entry, .size = size};
    batch->commit = commit;
}

static void give_batch(struct retired_batch *batch, struct arena *arena)
{
    for (size_t i = 0; i < batch->count; i++)
        arena_give(arena, (void *)batch->entries[i].entry, batch->entries[i].size);
    free(batch);
}

static void pass_waiting(struct retired *retired)
{
    if (retired->waiting == NULL ||
        !atomic_load_explicit(&retired->grace->has_passed, memory_order_acquire))
        return;
    struct retired_batch *batch = TAKE(retired->waiting);
    grace_release(TAKE(retired->grace));
    if (retired->passed == NULL)
        retired->passed = batch;
    else
        retired->passed_last->next = batch;
    retired->passed_last = batch;
}

void retired_advance(struct retired *retired, uint64_t oldest_view, struct arena *arena)
{
    pass_waiting(retired);
    while (retired->passed != NULL && retired->passed->commit <= oldest_view) {
        struct retired_batch *batch = retired->passed;
        retired->passed = batch->next;
        give_batch(batch, arena);
    }
    if (retired->waiting == NULL && retired->gathering != NULL && retired->gathering->count > 0) {
        retired->grace = grace_begin();
        if (retired->grace != NULL) /* else the next commit tries again */
            retired->waiting = TAKE(retired->gathering);
    }
}
