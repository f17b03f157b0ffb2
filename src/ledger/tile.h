/* Where the parts of a log lie: C2SP tlog-tiles.
 *
 * A tile of level L has up to 256 hashes of the tree's level 8 L; the rightmost one of a level may
 * be partial and is then a file of its own for every width. Entries lie in bundles of up to 256, in
 * the same way.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "ledger/merkle.h"

#define TILE_WIDTH      256 /* hashes of a full tile, entries of a full bundle */
#define TILE_LEVEL_BITS 8
#define TILE_LEVELS     8           /* enough for 2^63 entries */
#define TILE_ENTRIES    TILE_LEVELS /* as a level: bundles of entries */

#define TILE_SIZE      (TILE_WIDTH * MERKLE_HASH_SIZE)
#define TILE_PATH_SIZE 64

#define ENTRY_SIZE_MAX  65535 /* octets: its length has 16 bits */
#define BUNDLE_SIZE_MAX ((size_t)TILE_WIDTH * (2 + ENTRY_SIZE_MAX))

struct tile {
    unsigned level;
    uint64_t number;
    unsigned width; /* 1 to TILE_WIDTH */
};

/* "tile/0/x001/234", "tile/entries/000.p/7": relative to the log. */
void tile_path(const struct tile *tile, char ret_path[static TILE_PATH_SIZE]);

/* The tile with the hash or entry `index` of the level, in a log of `size` entries. */
struct tile tile_of(unsigned level, uint64_t index, uint64_t size);
