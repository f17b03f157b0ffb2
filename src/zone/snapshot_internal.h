/* How a snapshot lies on disk; shared by the files that read and write it.
 *
 *     page 0      header; from octet 2048 and 3072 on the two records of checks
 *     entries     named entries in the order of their slots, each filled up to 8 octets with zeros
 *     nsec3       the entries of the NSEC3 chain in its order, likewise
 *     slots       tag, and the entry's place in `entries` plus 8; zero: empty
 *     nsec        slot numbers of the NSEC chain in its order
 *
 * All in the byte order of the machine that wrote it.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

#include "dns/name.h"
#include "zone/snapshot.h"

#define SNAPSHOT_MAGIC      "TAMISNAP"
#define SNAPSHOT_BYTE_ORDER UINT32_C(0x01020304)
#define SNAPSHOT_PAGE       4096

/* So that no slot with an entry is zero. */
#define SNAPSHOT_PLACE_BIAS 8

/* No place reaches where a slot keeps its tag. */
#define SNAPSHOT_SIZE_MAX (UINT64_C(1) << 46)

enum snapshot_chain { SNAPSHOT_CHAIN_NONE, SNAPSHOT_CHAIN_NSEC, SNAPSHOT_CHAIN_NSEC3 };

struct snapshot_header {
    uint8_t magic[8];
    uint32_t byte_order, version;
    uint32_t pointer_size, header_size;
    uint64_t file_size;
    uint64_t name_hash[2]; /* of two fixed names: tells the key and the function */

    uint32_t source_kind, chain_kind;
    uint64_t source_size, source_inode, source_device;
    int64_t source_mtime_ns, source_ctime_ns, checked_at;

    uint32_t serial, refresh_s, retry_s, expire_s, minimum_s, ttl_s;

    uint64_t name_count, record_count, entry_count;
    uint64_t entries_size, nsec3_size; /* octets */
    uint64_t nsec3_count, slot_count, nsec_count;
    uint32_t source_serial;
    uint8_t depth_max, apex_size, reserved[2];
    uint8_t apex[256];

    uint64_t body_checksum;   /* XXH3 of all that follows page 0 */
    uint64_t header_checksum; /* XXH3 of all above */
};
static_assert(sizeof(struct snapshot_header) ==
                  8 + 16 + 24 + 8 + 48 + 24 + 24 + 16 + 24 + 8 + 256 + 16,
              "no padding, whose octets would be anybody's");
static_assert(sizeof(struct snapshot_header) < 2048, "the records of checks are behind it");

/* A check of the origin after the snapshot was written. Two, each in a sector of its own, written
 * in turns: one that a power cut tears leaves the other. */
struct snapshot_check {
    uint64_t sequence;
    int64_t checked_at;
    uint64_t checksum; /* XXH3 of the two above, seeded by the header's checksum */
};

static inline uint64_t snapshot_check_offset(unsigned index)
{
    return 2048 + 1024 * (uint64_t)index;
}

uint64_t snapshot_header_checksum(const struct snapshot_header *header);
uint64_t snapshot_check_checksum(const struct snapshot_header *header,
                                 const struct snapshot_check *check);

/* What the hash of names makes of two fixed names, in this process. */
void snapshot_name_hash(uint64_t ret_hash[2]);

/* Reads and checks what comes first of the file open as `descriptor`. */
_must_check_ int snapshot_header_read(int descriptor, const char *path, const uint8_t *apex,
                                      struct snapshot_header *ret_header, struct error *ret_error);

/* The latest intact record of a check; all zero when there is none. */
void snapshot_check_read(int descriptor, const struct snapshot_header *header,
                         struct snapshot_check *ret_check);

/* ---- Entries as octets (snapshot_entry.c) ---- */

/* Octets of an entry that was built here, not rounded up; adds its records to *records. */
size_t snapshot_entry_size(const struct name_entry *entry, uint64_t *records);

static inline uint64_t snapshot_round(uint64_t size)
{
    return (size + 7) & ~UINT64_C(7);
}

/* What the entries seen so far come to. */
struct snapshot_tally {
    uint64_t names, records, entries;
    uint8_t depth_max;
    bool has_cuts; /* or what is below one */
    const struct name_entry *apex;
};

/* Checks the entry at `at`, of which `left` octets may be read, for all that the answer path takes
 * for granted about an entry by itself, and counts it. Returns its octets rounded up, or 0 when it
 * cannot stand in a zone with an apex of `apex_size` octets. */
uint64_t snapshot_entry_check(const uint8_t *at, uint64_t left, size_t apex_size,
                              struct snapshot_tally *tally);

/* Whether the answer path finds the cut or DNAME that the flags of every entry promise. */
bool snapshot_cuts_check(const struct zone_data *data);
