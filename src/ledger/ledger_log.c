#include "ledger/ledger_log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "base/folder_sync.h"

/* The log is public: a web server of another user reads it. */
#define FILE_MODE   0644
#define FOLDER_MODE 0755

/* The rightmost, partial tile of a level. */
struct level {
    unsigned count;
    bool has_changed;
    struct merkle_hash hashes[TILE_WIDTH];
};

/* All that the next append needs of a log. */
struct right_edge {
    struct merkle_edge tree;
    struct level levels[TILE_LEVELS];
    uint8_t *bundle; /* the rightmost, partial one */
    size_t bundle_size, bundle_room;
    unsigned bundle_count;
};

struct ledger_log {
    char *folder;
    int lock;
    struct note_signer signer;
    struct right_edge edge;
    char *checkpoint; /* the signed note in place; NULL: none yet */
    size_t checkpoint_size;
};

/* ---- Files ---- */

static int path_of(const struct ledger_log *log, const char *name, char ret_path[static PATH_MAX])
{
    return snprintf(ret_path, PATH_MAX, "%s/%s", log->folder, name) < PATH_MAX ? 0 : -ENAMETOOLONG;
}

/* Makes the folders that the file `path` lies in, below the log's own. */
static int make_folders(const struct ledger_log *log, const char *path)
{
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof(folder), "%s", path);
    for (char *at = folder + strlen(log->folder) + 1; (at = strchr(at, '/')) != NULL; at++) {
        *at = '\0';
        int rc = 0;
        if (mkdir(folder, FOLDER_MODE) == 0)
            rc = folder_sync_of(folder);
        else if (errno != EEXIST)
            rc = -errno;
        *at = '/';
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int write_tile(const struct ledger_log *log, const struct tile *tile, const void *octets,
                      size_t size, struct error *ret_error)
{
    char name[TILE_PATH_SIZE], path[PATH_MAX];
    tile_path(tile, name);
    int rc = path_of(log, name, path);
    if (rc == 0)
        rc = make_folders(log, path);
    if (rc < 0)
        return error_set_at(ret_error, rc, path, 0, "cannot be made: %s", strerror(-rc));
    return file_text_put(path, FILE_MODE, octets, size, ret_error);
}

/* The partial forms of a tile that is full by now: nobody needs them, and a tile would leave 255
 * files behind. What cannot be removed does no harm. */
static void remove_partial(const struct ledger_log *log, unsigned level, uint64_t number)
{
    const struct tile tile = {.level = level, .number = number, .width = 1};
    char name[TILE_PATH_SIZE], path[PATH_MAX];
    tile_path(&tile, name);
    *strrchr(name, '/') = '\0';
    if (path_of(log, name, path) < 0)
        return;
    DIR *folder = opendir(path);
    if (folder == NULL)
        return;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    closedir(folder);
    (void)rmdir(path);
}

/* ---- Growing ---- */

static void edge_clear(struct right_edge *edge)
{
    free(edge->bundle);
    *edge = (struct right_edge){0};
}

static int edge_copy(const struct right_edge *edge, struct right_edge *ret_copy)
{
    *ret_copy = *edge;
    ret_copy->bundle_room = edge->bundle_size;
    ret_copy->bundle = malloc(edge->bundle_size + 1);
    if (ret_copy->bundle == NULL)
        return -ENOMEM;
    if (edge->bundle_size > 0)
        memcpy(ret_copy->bundle, edge->bundle, edge->bundle_size);
    return 0;
}

/* The root over some of a tile's hashes; `count` is a power of two. */
static struct merkle_hash root_of(const struct merkle_hash *hashes, unsigned count)
{
    struct merkle_edge edge = {0};
    struct merkle_hash root;
    for (unsigned i = 0; i < count; i++)
        merkle_edge_append(&edge, &hashes[i]);
    merkle_edge_root(&edge, &root);
    return root;
}

/* Takes a hash into a level's tile, and the tile's own into the next level when it is full. */
static int level_append(const struct ledger_log *log, struct right_edge *edge, unsigned level,
                        struct merkle_hash hash, struct error *ret_error)
{
    for (; level < TILE_LEVELS; level++) {
        struct level *at = &edge->levels[level];
        at->hashes[at->count++] = hash;
        at->has_changed = true;
        if (at->count < TILE_WIDTH)
            return 0;
        const struct tile tile = {
            .level = level,
            .number = (edge->tree.size - 1) >> (TILE_LEVEL_BITS * (level + 1)),
            .width = TILE_WIDTH,
        };
        int rc = write_tile(log, &tile, at->hashes, TILE_SIZE, ret_error);
        if (rc < 0)
            return rc;
        hash = root_of(at->hashes, TILE_WIDTH);
        at->count = 0;
        at->has_changed = false;
    }
    return 0;
}

static int bundle_append(struct right_edge *edge, const struct ledger_entry *entry)
{
    const size_t size = edge->bundle_size + 2 + entry->size;
    if (size > edge->bundle_room) {
        const size_t room = size * 2;
        uint8_t *grown = realloc(edge->bundle, room);
        if (grown == NULL)
            return -ENOMEM;
        edge->bundle = grown;
        edge->bundle_room = room;
    }
    uint8_t *to = edge->bundle + edge->bundle_size;
    to[0] = (uint8_t)(entry->size >> 8);
    to[1] = (uint8_t)entry->size;
    if (entry->size > 0)
        memcpy(to + 2, entry->octets, entry->size);
    edge->bundle_size = size;
    edge->bundle_count++;
    return 0;
}

static int edge_append(const struct ledger_log *log, struct right_edge *edge,
                       const struct ledger_entry *entry, struct error *ret_error)
{
    int rc = bundle_append(edge, entry);
    if (rc < 0)
        return error_set(ret_error, rc, "no memory for a bundle of entries");
    if (edge->bundle_count == TILE_WIDTH) {
        const struct tile tile = {
            .level = TILE_ENTRIES, .number = edge->tree.size / TILE_WIDTH, .width = TILE_WIDTH};
        rc = write_tile(log, &tile, edge->bundle, edge->bundle_size, ret_error);
        if (rc < 0)
            return rc;
        edge->bundle_size = 0;
        edge->bundle_count = 0;
    }
    struct merkle_hash hash;
    merkle_hash_entry(entry->octets, entry->size, &hash);
    merkle_edge_append(&edge->tree, &hash);
    return level_append(log, edge, 0, hash, ret_error);
}

/* The tiles that are not full. */
static int write_partial(const struct ledger_log *log, struct right_edge *edge,
                         struct error *ret_error)
{
    const uint64_t size = edge->tree.size;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        struct level *at = &edge->levels[level];
        if (!at->has_changed)
            continue;
        at->has_changed = false;
        const struct tile tile = tile_of(level, (size - 1) >> (TILE_LEVEL_BITS * level), size);
        int rc =
            write_tile(log, &tile, at->hashes, (size_t)at->count * MERKLE_HASH_SIZE, ret_error);
        if (rc < 0)
            return rc;
    }
    if (edge->bundle_count == 0)
        return 0;
    const struct tile tile = tile_of(TILE_ENTRIES, size - 1, size);
    return write_tile(log, &tile, edge->bundle, edge->bundle_size, ret_error);
}

/* ---- The checkpoint ---- */

static int checkpoint_put(struct ledger_log *log, const char *octets, size_t size,
                          struct error *ret_error)
{
    char path[PATH_MAX];
    char *kept = malloc(size);
    int rc = kept == NULL ? -ENOMEM : path_of(log, "checkpoint", path);
    if (rc < 0) {
        free(kept);
        return error_set(ret_error, rc, "the checkpoint cannot be made: %s", strerror(-rc));
    }
    rc = file_text_put(path, FILE_MODE, octets, size, ret_error);
    if (rc < 0) {
        free(kept);
        return rc;
    }
    memcpy(kept, octets, size);
    free(log->checkpoint);
    log->checkpoint = kept;
    log->checkpoint_size = size;
    return 0;
}

/* Signs for the tree and makes it the log. */
static int sign(struct ledger_log *log, const struct merkle_edge *tree, struct error *ret_error)
{
    struct checkpoint checkpoint = {.size = tree->size};
    char note[CHECKPOINT_TEXT_SIZE + 1 + NOTE_LINE_SIZE];

    memcpy(checkpoint.origin, log->signer.verifier.name, sizeof(checkpoint.origin));
    merkle_edge_root(tree, &checkpoint.root);
    const size_t text_size = checkpoint_format(&checkpoint, note);
    size_t size = text_size;
    note[size++] = '\n';
    size += note_sign(&log->signer, note, text_size, 0, note + size);
    return checkpoint_put(log, note, size, ret_error);
}

int ledger_log_append(struct ledger_log *log, const struct ledger_entry *entries, size_t count,
                      uint64_t *ret_index, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        if (entries[i].size > ENTRY_SIZE_MAX)
            return error_set(ret_error, -EMSGSIZE, "an entry has %zu octets; at most %d fit",
                             entries[i].size, ENTRY_SIZE_MAX);
    }
    const uint64_t first = log->edge.tree.size;
    if (count > 0) {
        struct right_edge edge;
        int rc = edge_copy(&log->edge, &edge);
        if (rc < 0)
            return error_set(ret_error, rc, "no memory to append to the log");
        for (size_t i = 0; i < count && rc == 0; i++)
            rc = edge_append(log, &edge, &entries[i], ret_error);
        if (rc == 0)
            rc = write_partial(log, &edge, ret_error);
        if (rc == 0)
            rc = sign(log, &edge.tree, ret_error);
        if (rc < 0) {
            edge_clear(&edge);
            return rc;
        }
        edge_clear(&log->edge);
        log->edge = edge;
        for (unsigned shift = TILE_LEVEL_BITS, level = 0; level < TILE_LEVELS - 1;
             level++, shift += TILE_LEVEL_BITS) {
            for (uint64_t full = first >> shift; full < edge.tree.size >> shift; full++) {
                remove_partial(log, level, full);
                if (level == 0)
                    remove_partial(log, TILE_ENTRIES, full);
            }
        }
    }
    *ret_index = first;
    return 0;
}

/* ---- Cosignatures ---- */

/* The witness whose signature the line is; NULL for a line of nobody asked for. */
static const struct note_verifier *line_witness(const char *line, size_t size,
                                                const struct note_verifier *witnesses, size_t count)
{
    static const char dash[] = "\xe2\x80\x94 ";
    for (size_t i = 0; i < count; i++) {
        const size_t name_size = strlen(witnesses[i].name);
        const size_t begin = sizeof(dash) - 1;
        if (size > begin + name_size && memcmp(line, dash, begin) == 0 &&
            memcmp(line + begin, witnesses[i].name, name_size) == 0 &&
            line[begin + name_size] == ' ')
            return &witnesses[i];
    }
    return NULL;
}

/* Adds one line to the note behind `note`; sets whether it is new. */
static int add_line(char *note, size_t *size, size_t room, const char *line, size_t line_size,
                    const struct note_verifier *witness, bool *ret_is_new)
{
    struct note parsed;
    *ret_is_new = false;
    if (note_parse(note, *size, &parsed, NULL) < 0)
        return -EBADMSG;
    if (note_verify(&parsed, witness, NULL) == 0)
        return 0;
    if (*size + line_size > room)
        return -ENOSPC;
    memcpy(note + *size, line, line_size);
    if (note_parse(note, *size + line_size, &parsed, NULL) < 0 ||
        note_verify(&parsed, witness, NULL) != 0)
        return -EBADMSG;
    *size += line_size;
    *ret_is_new = true;
    return 0;
}

/* The signature lines of what a witness sent, which may begin with the note's text. */
static int lines_of(const struct ledger_log *log, const char *octets, size_t size,
                    const char **ret_lines, size_t *ret_size)
{
    struct note mine, sent;
    if (log->checkpoint == NULL ||
        note_parse(log->checkpoint, log->checkpoint_size, &mine, NULL) < 0)
        return -ESTALE;
    *ret_lines = octets;
    *ret_size = size;
    if (note_parse(octets, size, &sent, NULL) < 0)
        return 0;
    if (sent.text_size != mine.text_size || memcmp(sent.text, mine.text, mine.text_size) != 0)
        return -ESTALE;
    *ret_lines = sent.lines;
    *ret_size = sent.lines_size;
    return 0;
}

int ledger_log_cosign(struct ledger_log *log, const char *octets, size_t size,
                      const struct note_verifier *witnesses, size_t witness_count,
                      unsigned *ret_added, struct error *ret_error)
{
    const char *lines;
    size_t lines_size;
    int rc = lines_of(log, octets, size, &lines, &lines_size);
    if (rc < 0)
        return error_set(ret_error, rc,
                         "this is not over the present checkpoint; read it again and sign that");
    char *note = malloc(NOTE_SIZE_MAX);
    if (note == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for a checkpoint");
    size_t note_size = log->checkpoint_size;
    memcpy(note, log->checkpoint, note_size);

    unsigned added = 0;
    for (const char *line = lines, *end = lines + lines_size; line < end && rc == 0;) {
        const char *line_end = memchr(line, '\n', (size_t)(end - line));
        if (line_end == NULL) {
            rc = -EBADMSG;
            break;
        }
        const size_t line_size = (size_t)(line_end + 1 - line);
        const struct note_verifier *witness =
            line_witness(line, line_size, witnesses, witness_count);
        bool is_new = false;
        if (witness != NULL)
            rc = add_line(note, &note_size, NOTE_SIZE_MAX, line, line_size, witness, &is_new);
        added += is_new;
        line = line_end + 1;
    }
    if (rc < 0)
        rc = error_set(ret_error, rc, "a cosignature does not hold");
    else if (added > 0)
        rc = checkpoint_put(log, note, note_size, ret_error);
    free(note);
    if (rc == 0)
        *ret_added = added;
    return rc;
}

/* ---- Opening ---- */

static int damaged(const struct ledger_log *log, const char *what, struct error *error)
{
    return error_set_at(error, -EBADMSG, log->folder, 0,
                        "%s; restore the log's folder from a copy, nothing was changed", what);
}

static int read_tile(const struct ledger_log *log, const struct tile *tile, size_t size_max,
                     struct file_text *ret_text, struct error *ret_error)
{
    char name[TILE_PATH_SIZE], path[PATH_MAX];
    tile_path(tile, name);
    int rc = path_of(log, name, path);
    if (rc < 0)
        return error_set_at(ret_error, rc, log->folder, 0, "is too long a path");
    return file_text_read(path, size_max, ret_text, ret_error);
}

static int load_levels(struct ledger_log *log, uint64_t size, struct error *ret_error)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        const uint64_t count = size >> (TILE_LEVEL_BITS * level);
        struct level *at = &log->edge.levels[level];
        at->count = count % TILE_WIDTH;
        if (at->count == 0)
            continue;
        const struct tile tile = tile_of(level, count - 1, size);
        struct file_text text;
        int rc = read_tile(log, &tile, TILE_SIZE, &text, ret_error);
        if (rc < 0)
            return rc;
        if (text.size == (size_t)at->count * MERKLE_HASH_SIZE)
            memcpy(at->hashes, text.octets, text.size);
        else
            rc = damaged(log, "a tile has another size than its name says", ret_error);
        file_text_clear(&text);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* The roots of the tree's perfect subtrees, from the largest to the smallest. */
static void load_tree(struct ledger_log *log, uint64_t size)
{
    struct merkle_edge *tree = &log->edge.tree;
    unsigned roots = 0;
    for (unsigned level = TILE_LEVELS; level-- > 0;) {
        const struct level *from = &log->edge.levels[level];
        unsigned at = 0;
        for (unsigned width = TILE_WIDTH / 2; width > 0; width /= 2) {
            if ((from->count & width) == 0)
                continue;
            tree->roots[roots++] = root_of(from->hashes + at, width);
            at += width;
        }
    }
    tree->size = size;
}

/* The entries of the partial bundle, each of which must have its hash in the tree. */
static int load_bundle(struct ledger_log *log, uint64_t size, struct error *ret_error)
{
    struct right_edge *edge = &log->edge;
    const struct level *hashes = &edge->levels[0];
    if (hashes->count == 0)
        return 0;
    const struct tile tile = tile_of(TILE_ENTRIES, size - 1, size);
    struct file_text text;
    int rc = read_tile(log, &tile, BUNDLE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    const uint8_t *octets = (const uint8_t *)text.octets;
    size_t at = 0;
    for (unsigned i = 0; i < hashes->count && rc == 0; i++) {
        struct merkle_hash hash = {0};
        const size_t left = text.size - at;
        const size_t entry_size = left >= 2 ? (size_t)octets[at] << 8 | octets[at + 1] : left;
        if (left >= 2 + entry_size)
            merkle_hash_entry(octets + at + 2, entry_size, &hash);
        at += 2 + entry_size;
        if (left < 2 + entry_size || memcmp(&hash, &hashes->hashes[i], sizeof(hash)) != 0)
            rc = damaged(log, "an entry is not the one that its hash was made of", ret_error);
    }
    if (rc == 0 && at != text.size)
        rc = damaged(log, "a bundle of entries is longer than its name says", ret_error);
    if (rc < 0) {
        file_text_clear(&text);
        return rc;
    }
    edge->bundle = (uint8_t *)text.octets;
    edge->bundle_size = edge->bundle_room = text.size;
    edge->bundle_count = hashes->count;
    return 0;
}

static int check_note(struct ledger_log *log, const char *path, struct checkpoint *ret_checkpoint,
                      struct error *ret_error)
{
    struct note note;
    int rc = note_parse(log->checkpoint, log->checkpoint_size, &note, ret_error);
    if (rc == 0)
        rc = checkpoint_parse(&note, ret_checkpoint, ret_error);
    if (rc < 0)
        return rc;
    if (strcmp(ret_checkpoint->origin, log->signer.verifier.name) != 0)
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "is of the log '%s', but the key is named '%s'", ret_checkpoint->origin,
                            log->signer.verifier.name);
    if (note_verify(&note, &log->signer.verifier, NULL) < 0)
        return error_set_at(ret_error, -EBADMSG, path, 0,
                            "was not signed with this key: give the key that began the log");
    return 0;
}

static int load(struct ledger_log *log, struct error *ret_error)
{
    char path[PATH_MAX];
    struct file_text text;
    int rc = path_of(log, "checkpoint", path);
    if (rc < 0)
        return error_set_at(ret_error, rc, log->folder, 0, "is too long a path");
    if (access(path, F_OK) < 0 && errno == ENOENT) {
        const struct merkle_edge nothing = {0};
        return sign(log, &nothing, ret_error);
    }
    rc = file_text_read(path, NOTE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    log->checkpoint = text.octets;
    log->checkpoint_size = text.size;

    struct checkpoint checkpoint;
    rc = check_note(log, path, &checkpoint, ret_error);
    if (rc == 0)
        rc = load_levels(log, checkpoint.size, ret_error);
    if (rc < 0)
        return rc;
    struct merkle_hash root;
    load_tree(log, checkpoint.size);
    merkle_edge_root(&log->edge.tree, &root);
    if (memcmp(&root, &checkpoint.root, sizeof(root)) != 0)
        return damaged(log, "the tiles are not those that the checkpoint was signed over",
                       ret_error);
    return load_bundle(log, checkpoint.size, ret_error);
}

static int lock(struct ledger_log *log, struct error *ret_error)
{
    if (mkdir(log->folder, FOLDER_MODE) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, log->folder, 0, "cannot be made: %s",
                            strerror(errno));
    log->lock = open(log->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (log->lock < 0)
        return error_set_at(ret_error, -errno, log->folder, 0, "cannot be opened: %s",
                            strerror(errno));
    if (flock(log->lock, LOCK_EX | LOCK_NB) < 0)
        return error_set_at(ret_error, -EBUSY, log->folder, 0,
                            "another process appends to this log; end that one first");
    return 0;
}

int ledger_log_open(const char *folder, const struct note_signer *signer,
                    struct ledger_log **ret_log, struct error *ret_error)
{
    assert(signer->verifier.type == NOTE_KEY_ED25519);
    _cleanup_(ledger_log_closep) struct ledger_log *log = calloc(1, sizeof(*log));
    if (log == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for a log");
    log->lock = -1;
    log->signer = *signer;
    log->folder = strdup(folder);
    if (log->folder == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for a log");
    int rc = lock(log, ret_error);
    if (rc == 0)
        rc = load(log, ret_error);
    if (rc < 0)
        return rc;
    *ret_log = TAKE(log);
    return 0;
}

void ledger_log_close(struct ledger_log *log)
{
    if (log == NULL)
        return;
    if (log->lock >= 0)
        close(log->lock);
    edge_clear(&log->edge);
    note_signer_clear(&log->signer);
    free(log->checkpoint);
    free(log->folder);
    free(log);
}

uint64_t ledger_log_size(const struct ledger_log *log)
{
    return log->edge.tree.size;
}
