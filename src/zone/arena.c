#include "zone/arena.h"

#include <stdlib.h>

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
    struct chunk *chunk = malloc(sizeof(*chunk) + size);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct chunk){.next = arena->chunks, .size = size};
    arena->chunks = chunk;
    arena->held += sizeof(*chunk) + size;
    return chunk;
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
        struct chunk *chunk = arena_grow(arena, arena->chunk_size);
        if (chunk == NULL)
            return NULL;
        arena->at = (uint8_t *)(chunk + 1);
        arena->end = arena->at + chunk->size;
    }
    void *piece = arena->at;
    arena->at += size;
    return piece;
}

uint64_t arena_held(const struct arena *arena)
{
    return arena->held;
}
