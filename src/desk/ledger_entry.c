#include "desk/ledger_entry.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/ledger_reader.h"

#define PLACE_DIGITS_MAX 18

static bool is_place(const char *name)
{
    size_t size = strlen(name);
    return size > 0 && size <= PLACE_DIGITS_MAX && strspn(name, "0123456789") == size;
}

static int place_find(struct store *store, const char *name, struct store_rows **ret_rows,
                      struct error *ret_error)
{
    if (is_place(name))
        return store_query(store, ret_rows, ret_error,
                           "SELECT place, id FROM ledger_entries WHERE place = $1",
                           store_integer(strtoll(name, NULL, 10)));
    return store_query(store, ret_rows, ret_error,
                       "SELECT place, id FROM ledger_entries WHERE id = $1", store_text(name));
}

static int waiting_find(struct store *store, const char *id, bool *ret_is_waiting,
                        struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &rows, ret_error, "SELECT taken FROM ledger_queue WHERE id = $1",
                         store_text(id));
    if (rc == 0)
        *ret_is_waiting = store_rows_count(rows) > 0;
    return rc;
}

int ledger_entry_find(struct store *store, const char *name, uint64_t *ret_place,
                      char ret_id[static ID_SIZE], bool *ret_is_waiting, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    bool is_waiting = false;
    int rc = 0;
    if (!is_place(name) && !id_is_valid(ID_LEDGER, name))
        return error_set(ret_error, -ENOENT, "the ledger has no such entry");
    rc = place_find(store, name, &rows, ret_error);
    if (rc < 0)
        return rc;
    if (store_rows_count(rows) > 0) {
        *ret_place = (uint64_t)store_row_integer(rows, 0, 0);
        (void)snprintf(ret_id, ID_SIZE, "%s", store_row_text(rows, 0, 1));
        *ret_is_waiting = false;
        return 0;
    }
    if (!is_place(name))
        rc = waiting_find(store, name, &is_waiting, ret_error);
    if (rc < 0)
        return rc;
    if (!is_waiting)
        return error_set(ret_error, -ENOENT, "the ledger has no such entry");
    memcpy(ret_id, name, ID_SIZE);
    *ret_is_waiting = true;
    return 0;
}

/* ---- Proof ---- */

static json_t *hash_text(const struct merkle_hash *hash)
{
    char text[2 * MERKLE_HASH_SIZE + 1];
    sodium_bin2hex(text, sizeof(text), hash->octets, MERKLE_HASH_SIZE);
    return json_string(text);
}

static json_t *proof_hashes(const struct merkle_proof *proof)
{
    json_t *hashes = json_array();
    for (unsigned i = 0; i < proof->count; i++)
        json_array_append_new(hashes, hash_text(&proof->hashes[i]));
    return hashes;
}

static int prove(const struct ledger_source *source, uint64_t place, uint64_t size,
                 struct merkle_proof *ret_proof, struct error *ret_error)
{
    struct ledger_nodes *nodes = calloc(1, sizeof(*nodes)); /* some 64 KiB */
    if (nodes == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for a proof");
    nodes->source = source;
    nodes->size = size;
    const struct merkle_nodes reader = {.read = ledger_nodes_read, .context = nodes};
    int rc = merkle_prove_inclusion(&reader, place, size, ret_proof);
    if (rc < 0)
        error_set(ret_error, rc, "%s", nodes->error.text);
    free(nodes);
    return rc;
}

static int checkpoint_read(const struct ledger_source *source, struct file_text *ret_note,
                           struct checkpoint *ret_checkpoint, struct error *ret_error)
{
    struct file_text text;
    struct note note;
    int rc = source->read(source->context, "checkpoint", NOTE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    rc = note_parse(text.octets, text.size, &note, ret_error);
    if (rc == 0)
        rc = checkpoint_parse(&note, ret_checkpoint, ret_error);
    if (rc < 0) {
        file_text_clear(&text);
        return rc;
    }
    *ret_note = text;
    return 0;
}

static json_t *proof_json(uint64_t place, const uint8_t *octets, size_t size,
                          const struct file_text *note, const struct merkle_proof *proof)
{
    struct merkle_hash hash;
    merkle_hash_entry(octets, size, &hash);
    json_t *entry = json_loadb((const char *)octets, size, 0, NULL);
    json_t *id = json_object_get(entry, "id");
    return json_pack("{s:O, s:I, s:o, s:s%, s:o, s:s%, s:o}", "id", id, "index", (json_int_t)place,
                     "entry", entry, "octets", (const char *)octets, size, "hash", hash_text(&hash),
                     "checkpoint", note->octets, note->size, "proof", proof_hashes(proof));
}

int ledger_entry_prove(const char *folder, uint64_t place, json_t **ret_proof,
                       struct error *ret_error)
{
    const struct ledger_source source = {.read = ledger_folder_read, .context = (void *)folder};
    struct checkpoint checkpoint;
    struct merkle_proof proof;
    struct file_text note;
    uint8_t *octets;
    size_t size;

    int rc = checkpoint_read(&source, &note, &checkpoint, ret_error);
    if (rc < 0)
        return rc;
    rc = ledger_entry_read(&source, place, checkpoint.size, &octets, &size, ret_error);
    if (rc == 0) {
        rc = prove(&source, place, checkpoint.size, &proof, ret_error);
        json_t *json = rc == 0 ? proof_json(place, octets, size, &note, &proof) : NULL;
        if (rc == 0 && json == NULL)
            rc = error_set(ret_error, -ENOMEM, "out of memory for a proof");
        else if (rc == 0)
            *ret_proof = json;
        free(octets);
    }
    file_text_clear(&note);
    return rc;
}
