#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <xxhash.h>

#include "zone/journal_internal.h"

static_assert(1 + NAME_SIZE_MAX <= 511, "LMDB takes keys up to 511 octets");

/* ---- Keys ---- */

static void put_u64(uint8_t *at, uint64_t number)
{
    number = htobe64(number);
    memcpy(at, &number, sizeof(number));
}

void journal_key_zone(struct journal_key *ret_key, const uint8_t *apex)
{
    size_t size = name_wire_size(apex);
    ret_key->octets[0] = KEY_ZONE;
    memcpy(ret_key->octets + 1, apex, size);
    ret_key->size = 1 + size;
}

void journal_key_commit(struct journal_key *ret_key, uint64_t zone, uint64_t position)
{
    ret_key->octets[0] = KEY_COMMIT;
    put_u64(ret_key->octets + 1, zone);
    put_u64(ret_key->octets + 9, position);
    ret_key->size = KEY_COMMIT_SIZE;
}

void journal_key_part(struct journal_key *ret_key, uint64_t blob, uint32_t part)
{
    ret_key->octets[0] = KEY_PART;
    put_u64(ret_key->octets + 1, blob);
    part = htobe32(part);
    memcpy(ret_key->octets + 9, &part, sizeof(part));
    ret_key->size = KEY_PART_SIZE;
}

void journal_key_garbage(struct journal_key *ret_key, enum journal_key_kind kind, uint64_t id)
{
    ret_key->octets[0] = KEY_GARBAGE;
    ret_key->octets[1] = (uint8_t)kind;
    put_u64(ret_key->octets + 2, id);
    ret_key->size = KEY_GARBAGE_SIZE;
}

uint64_t journal_key_number(const MDB_val *key, size_t at)
{
    uint64_t number;
    memcpy(&number, (const uint8_t *)key->mv_data + at, sizeof(number));
    return be64toh(number);
}

/* ---- Records ---- */

/* The key is the seed's source: a record at another's place is a damaged one. */
static uint64_t record_checksum(const void *key, size_t key_size, const void *record, size_t size)
{
    return XXH3_64bits_withSeed(record, size - sizeof(uint64_t), XXH3_64bits(key, key_size));
}

int journal_record_check(const MDB_val *key, const MDB_val *value, void *ret_record, size_t size,
                         MDB_val *ret_body)
{
    if (value->mv_size < size || (ret_body == NULL && value->mv_size > size))
        return -EBADMSG;
    uint64_t checksum;
    memcpy(&checksum, (const uint8_t *)value->mv_data + size - sizeof(checksum), sizeof(checksum));
    if (checksum != record_checksum(key->mv_data, key->mv_size, value->mv_data, size))
        return -EBADMSG;
    memcpy(ret_record, value->mv_data, size);
    if (ret_body != NULL) {
        ret_body->mv_data = (uint8_t *)value->mv_data + size;
        ret_body->mv_size = value->mv_size - size;
    }
    return 0;
}

int journal_get(const struct journal *journal, MDB_txn *txn, const struct journal_key *key,
                void *ret_record, size_t size, MDB_val *ret_body)
{
    MDB_val name = {key->size, (void *)key->octets}, value;
    int rc = mdb_get(txn, journal->records, &name, &value);
    if (rc == MDB_NOTFOUND)
        return -ENOENT;
    return rc != 0 ? rc : journal_record_check(&name, &value, ret_record, size, ret_body);
}

void journal_record_seal(const struct journal_key *key, void *record, size_t size)
{
    uint64_t checksum = record_checksum(key->octets, key->size, record, size);
    memcpy((uint8_t *)record + size - sizeof(checksum), &checksum, sizeof(checksum));
}

int journal_put(const struct journal *journal, MDB_txn *txn, const struct journal_key *key,
                void *record, size_t size)
{
    journal_record_seal(key, record, size);
    MDB_val name = {key->size, (void *)key->octets}, value = {size, record};
    return mdb_put(txn, journal->records, &name, &value, 0);
}

uint64_t journal_body_checksum(const void *authors, size_t authors_size, const void *changes,
                               size_t changes_size)
{
    return XXH3_64bits_withSeed(changes, changes_size, XXH3_64bits(authors, authors_size));
}

/* ---- Errors ---- */

int journal_error(const struct journal *journal, int code, struct error *ret_error)
{
    const char *folder = journal->folder;
    switch (code) {
    case MDB_MAP_FULL:
        return error_set_at(ret_error, -ENOSPC, folder, 0,
                            "the journal is full: raise its size; nothing was written");
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return error_set_at(ret_error, -ENOSPC, folder, 0,
                            "no room for the journal: make room on its disk; nothing was written");
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case -EBADMSG:
        return error_set_at(ret_error, -EBADMSG, folder, 0,
                            "the journal is damaged: stop the server and move the folder away; "
                            "zones then start from their snapshots or sources");
    case MDB_PANIC:
        code = EIO;
        break;
    default:
        break;
    }
    if (code < -4095) /* LMDB's own */
        return error_set_at(ret_error, -EIO, folder, 0, "the journal cannot be used: %s",
                            mdb_strerror(code));
    code = code < 0 ? -code : code;
    return error_set_at(ret_error, -code, folder, 0, "the journal cannot be used: %s",
                        strerror(code));
}
