/* Whether LMDB can be trusted with a file.
 *
 * LMDB checks little of what it maps: a page number or an offset gone wrong is a crash, or a page
 * in use that is overwritten. So the whole structure is walked before, with reads that fail instead
 * of faults: the two meta pages, both trees, every page on its own and each used once, and the list
 * of free pages, none of which may be in use. What the records say is not looked at: they carry
 * checksums of their own.
 *
 * The form is that of LMDB's data version 1, of all releases 0.9 (its lmdb.h promises that data
 * files of a version stay readable), on a machine of 64 bits.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "zone/journal_internal.h"

#define META_MAGIC      0xBEEFC0DEu
#define META_VERSION    1u
#define META_COUNT      2
#define META_OFFSET     16 /* behind a page's header */
#define PAGE_NONE       UINT64_MAX
#define PAGE_SIZE_MIN   4096
#define PAGE_SIZE_MAX   32768
#define TREE_DEPTH_MAX  32
#define LMDB_KEY_MAX    511
#define NODE_HEADER     8
#define FLAG_INTEGERKEY 0x08

/* Pages that a transaction took at the file's end and gave back are counted but never written. */
#define UNWRITTEN_PAGES_MAX 16384

enum page_flag { PAGE_BRANCH = 0x01, PAGE_LEAF = 0x02, PAGE_OVERFLOW = 0x04, PAGE_META = 0x08 };
enum node_flag { NODE_BIG = 0x01 };

struct page_header {
    uint64_t number;
    uint16_t pad, flags;
    union {
        struct {
            uint16_t lower, upper; /* the room between the nodes' offsets and the nodes */
        };
        uint32_t run; /* pages of a value that has its own */
    };
};
static_assert(sizeof(struct page_header) == META_OFFSET, "as LMDB lays it out");

struct tree {
    uint32_t page_size; /* in the free list's; unused in the other */
    uint16_t flags, depth;
    uint64_t branch_pages, leaf_pages, overflow_pages, entries, root;
};
static_assert(sizeof(struct tree) == 48, "as LMDB lays it out");

struct meta {
    uint32_t magic, version;
    uint64_t address, map_size;
    struct tree free_list, records;
    uint64_t page_last, transaction;
};
static_assert(sizeof(struct meta) == 136, "as LMDB lays it out");

struct node {
    const uint8_t *key, *data;
    size_t key_size;
    uint64_t data_size, child;
    bool is_big;
};

struct file {
    const char *path;
    int descriptor;
    size_t page_size;
    uint64_t size;
    struct meta metas[META_COUNT];
    const struct meta *meta; /* the newer */
    uint8_t *seen;           /* a bit for each page: used, or in the free list */
    uint8_t *pages;          /* one for each level, and one more */
    struct error *error;
};

/* A walk of one tree. */
struct walk {
    struct file *file;
    bool is_free_list;
    struct tree counted;
    uint8_t last_key[LMDB_KEY_MAX];
    size_t last_key_size;
    bool is_bound; /* it is a branch's: what follows may be equal */
};

static int damaged(struct file *file, const char *what, uint64_t number)
{
    return error_set_at(file->error, -EBADMSG, file->path, 0,
                        "the journal is damaged (%s, page %" PRIu64
                        "): stop the server and move the journal's folder away; zones then start "
                        "from their snapshots or sources",
                        what, number);
}

static int read_at(struct file *file, void *ret_octets, size_t size, uint64_t offset)
{
    uint8_t *at = ret_octets;
    while (size > 0) {
        ssize_t got = pread(file->descriptor, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_at(file->error, -errno, file->path, 0, "cannot be read: %s",
                                strerror(errno));
        if (got == 0)
            return damaged(file, "cut short", offset / file->page_size);
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}

/* ---- Pages ---- */

/* Notes that pages are taken; false if one was before, or cannot be. */
static bool take_pages(struct file *file, uint64_t number, uint64_t count)
{
    if (number < META_COUNT || count == 0 || count > file->meta->page_last ||
        number > file->meta->page_last + 1 - count)
        return false;
    for (uint64_t i = number; i < number + count; i++) {
        uint8_t bit = (uint8_t)(1 << i % 8);
        if (file->seen[i / 8] & bit)
            return false;
        file->seen[i / 8] |= bit;
    }
    return true;
}

static bool read_node(const uint8_t *page, size_t page_size, size_t index, bool is_branch,
                      struct node *ret_node)
{
    struct page_header header;
    uint16_t offset, numbers[4]; /* low, high, flags, size of the key */
    memcpy(&header, page, sizeof(header));
    memcpy(&offset, page + sizeof(header) + 2 * index, sizeof(offset));
    if (offset < header.upper || offset % 2 != 0 || (size_t)offset + NODE_HEADER > page_size)
        return false;
    memcpy(numbers, page + offset, sizeof(numbers));
    const uint64_t low = numbers[0] | (uint64_t)numbers[1] << 16;
    *ret_node = (struct node){.key = page + offset + NODE_HEADER, .key_size = numbers[3]};
    const size_t room = page_size - offset - NODE_HEADER;
    if (ret_node->key_size > LMDB_KEY_MAX || ret_node->key_size > room)
        return false;
    if (is_branch) {
        ret_node->child = low | (uint64_t)numbers[2] << 32;
        return true;
    }
    ret_node->is_big = numbers[2] == NODE_BIG;
    ret_node->data = ret_node->key + ret_node->key_size;
    ret_node->data_size = low;
    return (numbers[2] & ~NODE_BIG) == 0 && ret_node->key_size > 0 &&
           (ret_node->is_big ? sizeof(uint64_t) : low) <= room - ret_node->key_size;
}

static int load_page(struct file *file, uint64_t number, unsigned level, uint8_t **ret_page)
{
    if (!take_pages(file, number, 1))
        return damaged(file, "used twice or outside of the file", number);
    uint8_t *page = file->pages + level * file->page_size;
    int rc = read_at(file, page, file->page_size, number * file->page_size);
    if (rc == 0)
        *ret_page = page;
    return rc;
}

static int check_header(struct file *file, const uint8_t *page, uint64_t number, uint16_t flags,
                        size_t *ret_nodes)
{
    struct page_header header;
    memcpy(&header, page, sizeof(header));
    if (header.number != number || header.flags != flags || header.lower < sizeof(header) ||
        header.lower > header.upper || header.upper > file->page_size || header.lower % 2 != 0)
        return damaged(file, "its header is wrong", number);
    *ret_nodes = (header.lower - sizeof(header)) / 2;
    return 0;
}

/* ---- The trees ---- */

/* Whether the node's key is greater than the last one seen. Those of records sort by memcmp();
 * those of the free list are transactions' numbers. */
static bool key_follows(const struct walk *walk, const struct node *node)
{
    if (walk->is_free_list) {
        uint64_t key, last = 0;
        if (node->key_size != sizeof(key))
            return false;
        memcpy(&key, node->key, sizeof(key));
        memcpy(&last, walk->last_key, walk->last_key_size);
        return key > last || (key == last && walk->is_bound);
    }
    size_t least = node->key_size < walk->last_key_size ? node->key_size : walk->last_key_size;
    int order = memcmp(node->key, walk->last_key, least);
    return order > 0 || (order == 0 && (node->key_size > walk->last_key_size ||
                                        (node->key_size == walk->last_key_size && walk->is_bound)));
}

static void keep_key(struct walk *walk, const struct node *node, bool is_bound)
{
    memcpy(walk->last_key, node->key, node->key_size);
    walk->last_key_size = node->key_size;
    walk->is_bound = is_bound;
}

/* The numbers of free pages: how many, then each, the highest first. */
static int check_free_pages(struct walk *walk, const uint8_t *data, size_t size, uint64_t number)
{
    uint64_t count = 0, page = 0, above = UINT64_MAX;
    if (size >= sizeof(count))
        memcpy(&count, data, sizeof(count));
    if (size % sizeof(count) != 0 || size < sizeof(count) || count > size / sizeof(count) - 1)
        return damaged(walk->file, "its list of free pages is wrong", number);
    for (uint64_t i = 1; i <= count; i++) {
        memcpy(&page, data + i * sizeof(page), sizeof(page));
        if (page >= above || !take_pages(walk->file, page, 1))
            return damaged(walk->file, "in use and free", page);
        above = page;
    }
    return 0;
}

static int check_free_run(struct walk *walk, const struct node *node, uint64_t first)
{
    uint8_t *octets = malloc(node->data_size);
    if (octets == NULL)
        return error_set(walk->file->error, -ENOMEM, "out of memory");
    int rc = read_at(walk->file, octets, node->data_size,
                     first * walk->file->page_size + sizeof(struct page_header));
    if (rc == 0)
        rc = check_free_pages(walk, octets, node->data_size, first);
    free(octets);
    return rc;
}

/* A value on pages of its own. */
static int check_run(struct walk *walk, const struct node *node)
{
    struct file *file = walk->file;
    uint64_t first;
    memcpy(&first, node->data, sizeof(first));
    const uint64_t count = (sizeof(struct page_header) - 1 + node->data_size) / file->page_size + 1;
    if (!take_pages(file, first, count))
        return damaged(file, "used twice or outside of the file", first);
    struct page_header header;
    int rc = read_at(file, &header, sizeof(header), first * file->page_size);
    if (rc < 0)
        return rc;
    if (header.number != first || header.flags != PAGE_OVERFLOW || header.run != count ||
        (first + count) * file->page_size > file->size)
        return damaged(file, "its header is wrong", first);
    walk->counted.overflow_pages += count;
    return walk->is_free_list ? check_free_run(walk, node, first) : 0;
}

static int check_leaf(struct walk *walk, const uint8_t *page, uint64_t number)
{
    size_t nodes;
    int rc = check_header(walk->file, page, number, PAGE_LEAF, &nodes);
    if (rc == 0 && nodes == 0)
        rc = damaged(walk->file, "it is empty", number);
    for (size_t i = 0; rc == 0 && i < nodes; i++) {
        struct node node;
        if (!read_node(page, walk->file->page_size, i, false, &node) || !key_follows(walk, &node))
            return damaged(walk->file, "its records are out of place", number);
        keep_key(walk, &node, false);
        if (node.is_big)
            rc = check_run(walk, &node);
        else if (walk->is_free_list)
            rc = check_free_pages(walk, node.data, node.data_size, number);
    }
    walk->counted.leaf_pages++;
    walk->counted.entries += nodes;
    return rc;
}

/* Checks the page and what is below it. Depths are bounded by TREE_DEPTH_MAX. LMDB does not look at
 * the key of a branch's first node; the others' are greater than all before them. */
static int check_page(struct walk *walk, uint64_t number, unsigned level, unsigned depth)
{
    uint8_t *page = NULL;
    int rc = load_page(walk->file, number, level, &page);
    if (rc < 0)
        return rc;
    if (level + 1 == depth)
        return check_leaf(walk, page, number);
    size_t nodes;
    rc = check_header(walk->file, page, number, PAGE_BRANCH, &nodes);
    if (rc == 0 && nodes < 2)
        rc = damaged(walk->file, "it is empty", number);
    for (size_t i = 0; rc == 0 && i < nodes; i++) {
        struct node node;
        if (!read_node(page, walk->file->page_size, i, true, &node) ||
            (i > 0 && !key_follows(walk, &node)))
            return damaged(walk->file, "its nodes are out of place", number);
        if (i > 0)
            keep_key(walk, &node, true);
        rc = check_page(walk, node.child, level + 1, depth);
    }
    walk->counted.branch_pages++;
    return rc;
}

static int check_tree(struct file *file, const struct tree *tree, bool is_free_list)
{
    struct walk walk = {.file = file, .is_free_list = is_free_list};
    if (tree->depth > TREE_DEPTH_MAX || (tree->root == PAGE_NONE) != (tree->depth == 0))
        return damaged(file, "a tree's root is wrong", tree->root);
    if (tree->depth > 0) {
        int rc = check_page(&walk, tree->root, 0, tree->depth);
        if (rc < 0)
            return rc;
    }
    if (walk.counted.branch_pages != tree->branch_pages ||
        walk.counted.leaf_pages != tree->leaf_pages ||
        walk.counted.overflow_pages != tree->overflow_pages ||
        walk.counted.entries != tree->entries)
        return damaged(file, "a tree's counters are wrong", tree->root);
    return 0;
}

/* ---- The meta pages ---- */

static int check_meta(struct file *file, unsigned index)
{
    struct meta *meta = &file->metas[index];
    struct page_header header;
    uint8_t octets[sizeof(header) + sizeof(*meta)];
    int rc = read_at(file, octets, sizeof(octets), index * file->page_size);
    if (rc < 0)
        return rc;
    memcpy(&header, octets, sizeof(header));
    memcpy(meta, octets + META_OFFSET, sizeof(*meta));
    if (meta->magic != META_MAGIC || header.number != index || header.flags != PAGE_META)
        return damaged(file, "no journal's", index);
    if (meta->version != META_VERSION)
        return error_set_at(file->error, -ENOTSUP, file->path, 0,
                            "written by another version of LMDB: move the journal's folder away");
    if (meta->free_list.page_size != file->metas[0].free_list.page_size ||
        meta->free_list.flags != FLAG_INTEGERKEY || meta->records.flags != 0 ||
        meta->address != 0 || meta->page_last < META_COUNT - 1 ||
        meta->page_last >= PAGE_NONE / PAGE_SIZE_MAX)
        return damaged(file, "its fields are wrong", index);
    return 0;
}

/* The head is the first record of its tree. It has the transaction's number once more, since that
 * number chooses between the two meta pages and nothing else guards it. The state that the older
 * one describes says nothing: LMDB leaves the trees of a transaction there whose meta page could
 * not be written, under the number that was there before. */
static int check_head(struct file *file, const struct node *node, uint64_t number)
{
    struct head_record head = {.version = 0};
    MDB_val key = {node->key_size, (void *)node->key};
    MDB_val value = {node->data_size, (void *)node->data};
    if (node->is_big || value.mv_size < offsetof(struct head_record, reserved))
        return damaged(file, "its head is wrong", number);
    memcpy(&head, value.mv_data, offsetof(struct head_record, reserved));
    if (memcmp(head.magic, JOURNAL_MAGIC, sizeof(head.magic)) == 0 &&
        head.version != JOURNAL_VERSION)
        return error_set_at(file->error, -ENOTSUP, file->path, 0,
                            "a journal of version %u, not %u: move its folder away, or start the "
                            "server of that version",
                            head.version, JOURNAL_VERSION);
    if (key.mv_size != 1 || *node->key != KEY_HEAD ||
        journal_record_check(&key, &value, &head, sizeof(head), NULL) != 0 ||
        memcmp(head.magic, JOURNAL_MAGIC, sizeof(head.magic)) != 0 ||
        head.transaction != file->meta->transaction)
        return damaged(file, "its head is wrong", number);
    return 0;
}

static int find_head(struct file *file)
{
    const struct tree *tree = &file->meta->records;
    uint64_t number = tree->root;
    if (tree->depth == 0)
        return file->meta->transaction == 0 ? 0 : damaged(file, "its records are gone", number);
    for (unsigned level = 1; level <= tree->depth && level <= TREE_DEPTH_MAX; level++) {
        const bool is_branch = level < tree->depth;
        size_t nodes;
        struct node node;
        if (number < META_COUNT || number > file->meta->page_last)
            return damaged(file, "outside of the file", number);
        int rc = read_at(file, file->pages, file->page_size, number * file->page_size);
        if (rc == 0)
            rc = check_header(file, file->pages, number, is_branch ? PAGE_BRANCH : PAGE_LEAF,
                              &nodes);
        if (rc < 0)
            return rc;
        if (nodes == 0 || !read_node(file->pages, file->page_size, 0, is_branch, &node))
            return damaged(file, "its nodes are out of place", number);
        if (!is_branch)
            return check_head(file, &node, number);
        number = node.child;
    }
    return damaged(file, "a tree's root is wrong", tree->root);
}

/* Each transaction writes the page that the one before it did not. */
static int check_metas(struct file *file)
{
    for (unsigned i = 0; i < META_COUNT; i++) {
        int rc = check_meta(file, i);
        if (rc < 0)
            return rc;
    }
    const uint64_t numbers[META_COUNT] = {file->metas[0].transaction, file->metas[1].transaction};
    const unsigned newer = numbers[1] > numbers[0];
    file->meta = &file->metas[newer];
    if (numbers[newer] == 0)
        return file->meta->records.depth == 0 ? 0 : damaged(file, "its number is wrong", newer);
    if (numbers[newer] % META_COUNT != newer || numbers[newer] - numbers[!newer] != 1)
        return damaged(file, "its number is wrong", newer);
    return 0;
}

/* ---- The file ---- */

static int read_page_size(struct file *file)
{
    struct meta meta;
    file->page_size = PAGE_SIZE_MIN;
    int rc = read_at(file, &meta, sizeof(meta), META_OFFSET);
    if (rc < 0)
        return rc;
    const uint32_t size = meta.free_list.page_size;
    if (size < PAGE_SIZE_MIN || size > PAGE_SIZE_MAX || (size & (size - 1)) != 0)
        return damaged(file, "no journal's", 0);
    file->page_size = size;
    return 0;
}

static int verify(struct file *file)
{
    int rc = read_page_size(file);
    if (rc == 0)
        rc = check_metas(file);
    if (rc < 0)
        return rc;
    if (file->meta->page_last > file->size / file->page_size + UNWRITTEN_PAGES_MAX)
        return damaged(file, "cut short", file->meta->page_last);
    file->seen = calloc(file->meta->page_last / 8 + 1, 1);
    file->pages = malloc((TREE_DEPTH_MAX + 1) * file->page_size);
    if (file->seen == NULL || file->pages == NULL)
        return error_set_at(file->error, -ENOMEM, file->path, 0, "out of memory");
    (void)posix_fadvise(file->descriptor, 0, 0, POSIX_FADV_WILLNEED);
    rc = find_head(file);
    if (rc == 0)
        rc = check_tree(file, &file->meta->records, false);
    return rc == 0 ? check_tree(file, &file->meta->free_list, true) : rc;
}

int journal_verify(const char *path, struct error *ret_error)
{
    struct file file = {.path = path, .error = ret_error};
    file.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (file.descriptor < 0)
        return errno == ENOENT ? 0
                               : error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s",
                                              strerror(errno));
    struct stat stat;
    int rc = fstat(file.descriptor, &stat) < 0 ? -errno : 0;
    if (rc == 0 && !S_ISREG(stat.st_mode))
        rc = -EINVAL;
    if (rc < 0) {
        error_set_at(ret_error, rc, path, 0, "cannot be read: %s", strerror(-rc));
    } else if (stat.st_size > 0) {
        file.size = (uint64_t)stat.st_size;
        rc = verify(&file);
    }
    close(file.descriptor);
    free(file.seen);
    free(file.pages);
    return rc;
}
