/* Memory for things that die together: allocation is a bump of a pointer, freeing is of all at
 * once. Pieces can also be given back and are then taken again by others of about their size; an
 * arena to which nothing was given back pays nothing for that. One thread at a time. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"

struct arena;

/* `chunk_size` octets are taken at a time, more once there are many; a larger piece gets a chunk of
 * its own. NULL: no memory.
 */
struct arena *arena_create(size_t chunk_size);
void arena_free(struct arena *arena);
DEFINE_FREEP(struct arena, arena_free)

/* `size` octets aligned to 8, not cleared; NULL: no memory. */
void *arena_alloc(struct arena *arena, size_t size);

/* The same for one block, once an arena, that the caller divides: each piece of it, a multiple of 8
 * octets long, may be given back by itself. */
void *arena_alloc_block(struct arena *arena, size_t size);

/* As arena_alloc(), but from what was given back where that has a piece of the size. */
void *arena_take(struct arena *arena, size_t size);

/* Gives back a piece for which `size` octets were asked. */
void arena_give(struct arena *arena, void *memory, size_t size);
/* Gives memory back that was taken ahead, once most of what there will be is allocated. */
void arena_trim(struct arena *arena);

/* Octets held from the system. */
uint64_t arena_held(const struct arena *arena);
