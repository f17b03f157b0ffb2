#include "ledger/ledger_verify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

int ledger_claim_read(const struct ledger_source *source, const struct note_verifier *log,
                      const struct note_verifier *witnesses, size_t witness_count,
                      struct ledger_claim *ret_claim, struct error *ret_error)
{
    struct file_text text;
    int rc = source->read(source->context, "checkpoint", NOTE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    struct note note;
    memcpy(ret_claim->note, text.octets, text.size);
    ret_claim->note_size = text.size;
    file_text_clear(&text);
    ret_claim->witnesses = 0;
    ret_claim->witnessed_at = 0;
    rc = note_parse(ret_claim->note, ret_claim->note_size, &note, ret_error);
    if (rc == 0)
        rc = checkpoint_parse(&note, &ret_claim->checkpoint, ret_error);
    if (rc < 0)
        return rc;
    if (strcmp(ret_claim->checkpoint.origin, log->name) != 0)
        return error_set(ret_error, -EBADMSG, "this is the log '%s', not '%s'",
                         ret_claim->checkpoint.origin, log->name);
    if (note_verify(&note, log, NULL) < 0)
        return error_set(ret_error, -EBADMSG,
                         "the checkpoint was not signed with the log's key %02x%02x%02x%02x",
                         log->id[0], log->id[1], log->id[2], log->id[3]);
    for (size_t i = 0; i < witness_count; i++) {
        uint64_t time_s;
        rc = note_verify(&note, &witnesses[i], &time_s);
        if (rc == -EBADMSG)
            return error_set(ret_error, rc, "the signature of the witness '%s' does not hold",
                             witnesses[i].name);
        if (rc < 0)
            continue;
        ret_claim->witnesses++;
        if (ret_claim->witnessed_at == 0 || time_s < ret_claim->witnessed_at)
            ret_claim->witnessed_at = time_s;
    }
    return 0;
}

/* Nodes take some room: they are not for the stack. */
static struct ledger_nodes *nodes_create(const struct ledger_source *source, uint64_t size,
                                         struct error *error)
{
    struct ledger_nodes *nodes = calloc(1, sizeof(*nodes));
    if (nodes == NULL) {
        (void)error_set(error, -ENOMEM, "no memory to read a log");
        return NULL;
    }
    nodes->source = source;
    nodes->size = size;
    return nodes;
}

static int rewritten(uint64_t old_size, struct error *error)
{
    return error_set(error, -EBADMSG,
                     "the log was rewritten: its first %" PRIu64
                     " entries are not those that it signed for before; keep both checkpoints, "
                     "they prove it",
                     old_size);
}

int ledger_verify_consistency(const struct ledger_source *source, const struct checkpoint *old,
                              const struct checkpoint *present, struct error *ret_error)
{
    if (old->size > present->size)
        return error_set(ret_error, -EBADMSG,
                         "the log has shrunk from %" PRIu64 " to %" PRIu64
                         " entries: it was rewritten, or this is an old copy",
                         old->size, present->size);
    if (old->size == 0)
        return 0;
    struct merkle_proof proof;
    struct ledger_nodes *nodes = nodes_create(source, present->size, ret_error);
    if (nodes == NULL)
        return -ENOMEM;
    const struct merkle_nodes reader = {.read = ledger_nodes_read, .context = nodes};
    int rc = merkle_prove_consistency(&reader, old->size, present->size, &proof);
    if (rc < 0 && ret_error != NULL)
        *ret_error = nodes->error;
    free(nodes);
    if (rc < 0)
        return rc;
    if (merkle_check_consistency(old->size, present->size, &old->root, &present->root, &proof) < 0)
        return rewritten(old->size, ret_error);
    return 0;
}

static int check_entry(const struct ledger_source *source, const struct checkpoint *checkpoint,
                       uint64_t index, const struct merkle_hash *hash, struct error *error)
{
    struct merkle_proof proof;
    struct ledger_nodes *nodes = nodes_create(source, checkpoint->size, error);
    if (nodes == NULL)
        return -ENOMEM;
    const struct merkle_nodes reader = {.read = ledger_nodes_read, .context = nodes};
    int rc = merkle_prove_inclusion(&reader, index, checkpoint->size, &proof);
    if (rc < 0 && error != NULL)
        *error = nodes->error;
    free(nodes);
    if (rc < 0)
        return rc;
    if (merkle_check_inclusion(index, checkpoint->size, hash, &proof, &checkpoint->root) < 0)
        return error_set(error, -EBADMSG,
                         "the entry %" PRIu64 " is not the one that the log signed for", index);
    return 0;
}

int ledger_verify_entry(const struct ledger_source *source, const struct checkpoint *checkpoint,
                        uint64_t index, uint8_t **ret_entry, size_t *ret_size,
                        struct error *ret_error)
{
    if (index >= checkpoint->size)
        return error_set(ret_error, -EINVAL, "the log has %" PRIu64 " entries, from 0 on",
                         checkpoint->size);
    uint8_t *entry;
    size_t size;
    int rc = ledger_entry_read(source, index, checkpoint->size, &entry, &size, ret_error);
    if (rc < 0)
        return rc;
    struct merkle_hash hash;
    merkle_hash_entry(entry, size, &hash);
    rc = check_entry(source, checkpoint, index, &hash, ret_error);
    if (rc < 0) {
        free(entry);
        return rc;
    }
    *ret_entry = entry;
    *ret_size = size;
    return 0;
}

/* ---- The whole ---- */

static int check_old(const struct ledger_audit *audit, const struct merkle_edge *tree,
                     struct error *error)
{
    struct merkle_hash root;
    if (audit->old == NULL || audit->old->size != tree->size)
        return 0;
    merkle_edge_root(tree, &root);
    if (memcmp(&root, &audit->old->root, sizeof(root)) != 0)
        return rewritten(tree->size, error);
    return 0;
}

/* One bundle, and beside it the tile of its hashes. */
static int verify_bundle(const struct ledger_audit *audit, const struct file_text *bundle,
                         const struct file_text *hashes, struct merkle_edge *tree,
                         struct error *error)
{
    const uint64_t first = tree->size;
    for (size_t at = 0; at < bundle->size;) {
        const uint8_t *entry;
        size_t size;
        struct merkle_hash hash;
        int rc = ledger_bundle_next(bundle, &at, &entry, &size);
        if (rc < 0)
            return error_set(error, rc, "the bundle of entry %" PRIu64 " is broken", tree->size);
        merkle_hash_entry(entry, size, &hash);
        const size_t place = (size_t)(tree->size - first) * MERKLE_HASH_SIZE;
        if (memcmp(&hash, hashes->octets + place, sizeof(hash)) != 0)
            return error_set(error, -EBADMSG,
                             "the entry %" PRIu64 " is not the one that its hash was made of",
                             tree->size);
        rc = audit->entry != NULL ? audit->entry(audit->context, tree->size, entry, size) : 0;
        if (rc < 0)
            return error_set(error, rc, "ended at the entry %" PRIu64, tree->size);
        merkle_edge_append(tree, &hash);
        rc = check_old(audit, tree, error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int ledger_verify_all(const struct ledger_audit *audit, struct error *ret_error)
{
    const uint64_t size = audit->checkpoint->size;
    struct merkle_edge tree = {0};
    if (audit->old != NULL && audit->old->size > size)
        return ledger_verify_consistency(audit->source, audit->old, audit->checkpoint, ret_error);
    int rc = check_old(audit, &tree, ret_error);
    while (rc == 0 && tree.size < size) {
        const struct tile entries = tile_of(TILE_ENTRIES, tree.size, size);
        const struct tile hashes = tile_of(0, tree.size, size);
        struct file_text bundle = {0}, tile = {0};
        rc = ledger_tile_read(audit->source, &entries, &bundle, ret_error);
        if (rc == 0)
            rc = ledger_tile_read(audit->source, &hashes, &tile, ret_error);
        if (rc == 0)
            rc = verify_bundle(audit, &bundle, &tile, &tree, ret_error);
        file_text_clear(&bundle);
        file_text_clear(&tile);
    }
    if (rc < 0)
        return rc;
    struct merkle_hash root;
    merkle_edge_root(&tree, &root);
    if (memcmp(&root, &audit->checkpoint->root, sizeof(root)) != 0)
        return error_set(ret_error, -EBADMSG,
                         "the entries are not those that the checkpoint was signed over");
    return 0;
}
