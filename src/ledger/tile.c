#include "ledger/tile.h"

#include <inttypes.h>
#include <stdio.h>

void tile_path(const struct tile *tile, char ret_path[static TILE_PATH_SIZE])
{
    size_t at;
    if (tile->level == TILE_ENTRIES)
        at = (size_t)snprintf(ret_path, TILE_PATH_SIZE, "tile/entries");
    else
        at = (size_t)snprintf(ret_path, TILE_PATH_SIZE, "tile/%u", tile->level);

    /* Three digits a folder, all but the last marked. */
    uint64_t scale = 1;
    while (tile->number / scale >= 1000)
        scale *= 1000;
    for (; scale >= 1; scale /= 1000)
        at += (size_t)snprintf(ret_path + at, TILE_PATH_SIZE - at, "/%s%03" PRIu64,
                               scale > 1 ? "x" : "", tile->number / scale % 1000);
    if (tile->width < TILE_WIDTH)
        (void)snprintf(ret_path + at, TILE_PATH_SIZE - at, ".p/%u", tile->width);
}

struct tile tile_of(unsigned level, uint64_t index, uint64_t size)
{
    const uint64_t count = level == TILE_ENTRIES ? size : size >> (TILE_LEVEL_BITS * level);
    const uint64_t number = index / TILE_WIDTH;
    const uint64_t left = count - number * TILE_WIDTH;
    return (struct tile){
        .level = level, .number = number, .width = left < TILE_WIDTH ? (unsigned)left : TILE_WIDTH};
}
