/* Reading a log that others may have written, from wherever it is: a folder, a URL, memory.
 *
 * Nothing that is read is believed before it has been checked against a signed checkpoint:
 * ledger_verify.h does that.
 */
#pragma once

#include <stdint.h>

#include "base/file_text.h"
#include "ledger/note.h"
#include "ledger/tile.h"

/* Where a log's files come from. */
struct ledger_source {
    /* Reads the file `path`, relative to the log, of at most `size_max` octets. -ENOENT when it
     * does not exist. The caller clears the text. */
    int (*read)(void *context, const char *path, size_t size_max, struct file_text *ret_text,
                struct error *ret_error);
    void *context;
};

/* `context` is the folder's path, a `const char *`. */
int ledger_folder_read(void *context, const char *path, size_t size_max, struct file_text *ret_text,
                       struct error *ret_error);

/* Reads a tile or bundle; a partial one that is gone because it became full is cut from the full
 * one, as the format asks of readers. A tile of hashes has exactly the size of its width then. */
_must_check_ int ledger_tile_read(const struct ledger_source *source, const struct tile *tile,
                                  struct file_text *ret_text, struct error *ret_error);

/* The entry at `number` of a bundle, which starts at `*at`; moves `*at` behind it. -EBADMSG when
 * the bundle ends before. */
_must_check_ int ledger_bundle_next(const struct file_text *bundle, size_t *at,
                                    const uint8_t **ret_entry, size_t *ret_size);

/* Reads the entry `index` of a log of `size` entries. The caller frees it. */
_must_check_ int ledger_entry_read(const struct ledger_source *source, uint64_t index,
                                   uint64_t size, uint8_t **ret_entry, size_t *ret_size,
                                   struct error *ret_error);

/* The nodes of a log's tree, for proofs (merkle.h). Keeps the last tile of each level; one thread
 * at a time. */
struct ledger_nodes {
    const struct ledger_source *source;
    uint64_t size; /* of the log: tiles are read for this size */
    struct {
        struct tile tile; /* width 0: none kept */
        struct merkle_hash hashes[TILE_WIDTH];
    } kept[TILE_LEVELS];
    struct error error; /* of the read that failed */
};

/* For `struct merkle_nodes`: `context` is a struct ledger_nodes. */
int ledger_nodes_read(void *context, unsigned level, uint64_t number, struct merkle_hash *ret_hash);
