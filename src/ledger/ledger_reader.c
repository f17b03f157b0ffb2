#include "ledger/ledger_reader.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int ledger_folder_read(void *context, const char *path, size_t size_max, struct file_text *ret_text,
                       struct error *ret_error)
{
    const char *folder = context;
    char whole[PATH_MAX];
    if (snprintf(whole, sizeof(whole), "%s/%s", folder, path) >= (int)sizeof(whole))
        return error_set_at(ret_error, -ENAMETOOLONG, folder, 0, "is too long a path");
    return file_text_read(whole, size_max, ret_text, ret_error);
}

/* Octets of the first `width` entries of a bundle; 0 when it has fewer. */
static size_t bundle_prefix(const struct file_text *bundle, unsigned width)
{
    size_t at = 0;
    for (unsigned i = 0; i < width; i++) {
        const uint8_t *entry;
        size_t size;
        if (ledger_bundle_next(bundle, &at, &entry, &size) < 0)
            return 0;
    }
    return at;
}

int ledger_tile_read(const struct ledger_source *source, const struct tile *tile,
                     struct file_text *ret_text, struct error *ret_error)
{
    const bool is_bundle = tile->level == TILE_ENTRIES;
    const size_t size_max = is_bundle ? BUNDLE_SIZE_MAX : TILE_SIZE;
    char path[TILE_PATH_SIZE];
    tile_path(tile, path);
    struct file_text text;
    int rc = source->read(source->context, path, size_max, &text, ret_error);
    if (rc == -ENOENT && tile->width < TILE_WIDTH) {
        const struct tile full = {
            .level = tile->level, .number = tile->number, .width = TILE_WIDTH};
        struct error error;
        char full_path[TILE_PATH_SIZE];
        tile_path(&full, full_path);
        if (source->read(source->context, full_path, size_max, &text, &error) == 0)
            rc = 0;
    }
    if (rc < 0)
        return rc;
    const size_t size =
        is_bundle ? bundle_prefix(&text, tile->width) : (size_t)tile->width * MERKLE_HASH_SIZE;
    if (size == 0 || text.size < size) {
        file_text_clear(&text);
        return error_set(ret_error, -EBADMSG, "%s is shorter than its name says", path);
    }
    text.size = size;
    *ret_text = text;
    return 0;
}

int ledger_bundle_next(const struct file_text *bundle, size_t *at, const uint8_t **ret_entry,
                       size_t *ret_size)
{
    const uint8_t *octets = (const uint8_t *)bundle->octets;
    const size_t left = bundle->size - *at;
    if (left < 2)
        return -EBADMSG;
    const size_t size = (size_t)octets[*at] << 8 | octets[*at + 1];
    if (left < 2 + size)
        return -EBADMSG;
    *ret_entry = octets + *at + 2;
    *ret_size = size;
    *at += 2 + size;
    return 0;
}

int ledger_entry_read(const struct ledger_source *source, uint64_t index, uint64_t size,
                      uint8_t **ret_entry, size_t *ret_size, struct error *ret_error)
{
    const struct tile tile = tile_of(TILE_ENTRIES, index, size);
    struct file_text bundle;
    int rc = ledger_tile_read(source, &tile, &bundle, ret_error);
    if (rc < 0)
        return rc;
    const uint8_t *entry = NULL;
    size_t at = 0, entry_size = 0;
    for (uint64_t i = 0; i <= index % TILE_WIDTH && rc == 0; i++)
        rc = ledger_bundle_next(&bundle, &at, &entry, &entry_size);
    uint8_t *copy = rc == 0 ? malloc(entry_size + 1) : NULL;
    if (rc == 0 && copy == NULL)
        rc = -ENOMEM;
    if (rc == 0 && entry_size > 0)
        memcpy(copy, entry, entry_size);
    file_text_clear(&bundle);
    if (rc < 0)
        return error_set(ret_error, rc, "the log has no entry %llu", (unsigned long long)index);
    *ret_entry = copy;
    *ret_size = entry_size;
    return 0;
}

/* ---- Nodes ---- */

/* Has the tile with a hash of a tile level at hand. */
static int keep_tile(struct ledger_nodes *nodes, unsigned level, uint64_t index)
{
    const struct tile tile = tile_of(level, index, nodes->size);
    const struct tile *kept = &nodes->kept[level].tile;
    if (kept->width == tile.width && kept->number == tile.number)
        return 0;
    struct file_text text;
    int rc = ledger_tile_read(nodes->source, &tile, &text, &nodes->error);
    if (rc < 0)
        return rc;
    memcpy(nodes->kept[level].hashes, text.octets, text.size);
    nodes->kept[level].tile = tile;
    file_text_clear(&text);
    return 0;
}

int ledger_nodes_read(void *context, unsigned level, uint64_t number, struct merkle_hash *ret_hash)
{
    struct ledger_nodes *nodes = context;
    const unsigned tile_level = level / TILE_LEVEL_BITS;
    const unsigned above = level % TILE_LEVEL_BITS;
    const uint64_t first = number << above;
    if (tile_level >= TILE_LEVELS || (number + 1) << level > nodes->size)
        return error_set(&nodes->error, -EINVAL, "the tree has no such node");
    int rc = keep_tile(nodes, tile_level, first);
    if (rc < 0)
        return rc;
    struct merkle_edge edge = {0};
    for (unsigned i = 0; i < 1U << above; i++)
        merkle_edge_append(&edge, &nodes->kept[tile_level].hashes[first % TILE_WIDTH + i]);
    merkle_edge_root(&edge, ret_hash);
    return 0;
}
