#include "zone/arena.h"

#include <stdlib.h>

#include "zone/large_pages.h"

struct chunk {
    struct chunk *next;
    size_t size;
};

struct arena {
    struct chunk *chunks;
    uint8_t *at, *end;
    size_t chunk_size;
    uint64_t held;
};

/* An arena that has grown to this takes chunks that large pages can hold, at first small ones: what
 * stays unused of the last is a small part of the whole. */
#define LARGE_FROM      ((uint64_t)1 << 20)
#define LARGE_CHUNK     LARGE_PAGE_SIZE
#define LARGE_CHUNK_MAX (4 * LARGE_PAGE_SIZE)

/* Entries are found by pointers whose low three bits are free for marks. */
#define ALIGNMENT 8

struct arena *arena_create(size_t chunk_size)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena != NULL)
        arena->chunk_size = chunk_size;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    struct chunk *chunk = arena->chunks;
    while (chunk != NULL) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

static struct chunk *arena_grow(struct arena *arena, size_t size)
{
    struct chunk *chunk = large_pages_alloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    arena->held += sizeof(*chunk) + size;
    return chunk;
}

static size_t next_chunk_size(const struct arena *arena)
{
    if (arena->held < LARGE_FROM)
        return arena->chunk_size;
    return (arena->held < LARGE_CHUNK_MAX ? LARGE_CHUNK : LARGE_CHUNK_MAX) - sizeof(struct chunk);
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size = (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
    if (size > (size_t)(arena->end - arena->at)) {
        /* A large piece does not end the chunk that smaller ones still fill. */
        if (size > arena->chunk_size / 4) {
            struct chunk *own = arena_grow(arena, size);
            return own == NULL ? NULL : own + 1;
        }
        struct chunk *chunk = arena_grow(arena, next_chunk_size(arena));
        if (chunk == NULL)
            return NULL;
        arena->at = (uint8_t *)(chunk + 1);
        arena->end = arena->at + chunk->size;
    }
    void *piece = arena->at;
    arena->at += size;
    return piece;
}

void arena_trim(struct arena *arena)
{
    large_pages_trim(arena->at, arena->end);
}

uint64_t arena_held(const struct arena *arena)
{
    return arena->held;
}
