#include "zone/arena.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "zone/large_pages.h"

/* AddressSanitizer is told of pieces that were given back: who still looks at one is caught. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(at, size)   ((void)(at), (void)(size))
#define ASAN_UNPOISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
#endif

struct chunk {
    struct chunk *next;
    size_t size;
};

/* Sizes that pieces given back are kept by, in units of ALIGNMENT: each up to SMALL_UNITS_MAX, then
 * four for each power of two, so that at most a fifth of a piece is for nothing. */
#define SMALL_UNITS_MAX ((size_t)128)
#define SMALL_BITS      7
#define CLASS_COUNT     (SMALL_UNITS_MAX + 4 * (64 - SMALL_BITS))

struct piece {
    struct piece *next;
};

struct arena {
    struct chunk *chunks;
    struct piece **given; /* a list for each class; NULL until something was given back */
    uint8_t *at, *end;
    uint8_t *block; /* NULL: none */
    size_t block_size;
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
    free(arena->given);
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

/* The class whose pieces have at most `units`. */
static size_t class_below(size_t units)
{
    if (units <= SMALL_UNITS_MAX)
        return units - 1;
    unsigned bits = 63 - (unsigned)__builtin_clzl(units);
    return SMALL_UNITS_MAX - 1 + 4 * (bits - SMALL_BITS) + ((units >> (bits - 2)) & 3);
}

static size_t class_units(size_t class)
{
    if (class < SMALL_UNITS_MAX)
        return class + 1;
    size_t step = class - (SMALL_UNITS_MAX - 1);
    return (4 + step % 4) << (step / 4 + SMALL_BITS - 2);
}

static size_t units_of(size_t size)
{
    size_t units = (size + ALIGNMENT - 1) / ALIGNMENT;
    return units > 0 ? units : 1;
}

/* What pieces of a class have room for, the smallest that `size` octets fit into. */
static size_t class_above(size_t size)
{
    size_t units = units_of(size), class = class_below(units);
    return class_units(class) < units ? class + 1 : class;
}

static size_t next_chunk_size(const struct arena *arena)
{
    if (arena->held < LARGE_FROM)
        return arena->chunk_size;
    return (arena->held < LARGE_CHUNK_MAX ? LARGE_CHUNK : LARGE_CHUNK_MAX) - sizeof(struct chunk);
}

static void *take_octets(struct arena *arena, size_t size)
{
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

void *arena_alloc(struct arena *arena, size_t size)
{
    return take_octets(arena, class_units(class_above(size)) * ALIGNMENT);
}

void *arena_alloc_block(struct arena *arena, size_t size)
{
    assert(arena->block == NULL);
    void *block = take_octets(arena, units_of(size) * ALIGNMENT);
    arena->block = block;
    arena->block_size = block != NULL ? size : 0;
    return block;
}

void *arena_take(struct arena *arena, size_t size)
{
    size_t class = class_above(size);
    struct piece *piece = arena->given != NULL ? arena->given[class] : NULL;
    if (piece == NULL)
        return arena_alloc(arena, size);
    ASAN_UNPOISON_MEMORY_REGION(piece, class_units(class) * ALIGNMENT);
    arena->given[class] = piece->next;
    return piece;
}

void arena_give(struct arena *arena, void *memory, size_t size)
{
    if (arena->given == NULL)
        arena->given = calloc(CLASS_COUNT, sizeof(struct piece *));
    if (arena->given == NULL)
        return; /* it is freed with all the others */
    /* A piece of the block ends where the next begins. */
    bool in_block = arena->block != NULL && (uint8_t *)memory >= arena->block &&
                    (uint8_t *)memory < arena->block + arena->block_size;
    size_t class = in_block ? class_below(units_of(size)) : class_above(size);
    struct piece *piece = memory;
    piece->next = arena->given[class];
    arena->given[class] = piece;
    ASAN_POISON_MEMORY_REGION(piece, class_units(class) * ALIGNMENT);
}

void arena_trim(struct arena *arena)
{
    large_pages_trim(arena->at, arena->end);
}

uint64_t arena_held(const struct arena *arena)
{
    return arena->held;
}
