/* The owner names of one zone: a hash table of entries, each with its record sets and its mark.
 *
 * Readers probe without locks while one writer at a time inserts, replaces, removes or marks. A
 * slot is eight octets: a pointer to the entry, a tag of the hash, and the mark that says "an order
 * lists this name". So an overlay of any size costs a query nothing: the probe that finds the name
 * finds the mark. A name that is listed but not in the zone has a slot without an entry, which
 * keeps the hash instead.
 *
 * A name stays in its slot as long as it has an entry or a mark. What a removed name leaves is a
 * tombstone: probes go past it, a later name may take it, and growing leaves it behind.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "dns/name.h"

/* Flags of an entry, fixed when the entry is made. */
enum entry_flag {
    ENTRY_APEX = 1 << 0,
    ENTRY_CUT = 1 << 1,       /* NS below the apex: a delegation (RFC 9499, zone cut) */
    ENTRY_BELOW_CUT = 1 << 2, /* occluded: glue or stray data below a cut or a DNAME */
    ENTRY_DNAME = 1 << 3,     /* has a DNAME: what is below is redirected (RFC 6672) */
    ENTRY_CNAME = 1 << 4,
    ENTRY_WILDCARD_CHILD = 1 << 5, /* "*.<owner>" exists */
    /* Nothing but A and AAAA: no CNAME, cut, signature to think of. */
    ENTRY_ADDRESSES_ONLY = 1 << 7,
};

/* One owner name. The relative owner follows the header, then the record sets. */
struct name_entry {
    uint16_t flags;
    uint16_t rrset_count; /* 0: an empty non-terminal */
    uint8_t owner_size;   /* octets of the owner in front of the apex; 0 at the apex */
    uint8_t owner[];      /* lower case, without the apex's labels */
};

/* A record set as stored: `size` octets of { uint16_t rdlength in network order, rdata } follow.
 * Names inside the rdata are uncompressed. Stored unaligned: read it with rrset_header(). */
struct rrset_header {
    uint16_t type; /* host order */
    uint16_t rr_count;
    uint32_t ttl;  /* seconds, host order */
    uint32_t size; /* octets that follow */
};

/* A record set as read: a view into an entry, valid as long as its generation. */
struct rrset {
    uint16_t type;
    uint16_t rr_count;
    uint32_t ttl;
    uint32_t size;
    const uint8_t *data; /* rr_count times { rdlength, rdata } */
};

/* Reads the record set at `at`, returns the place of the next. */
static inline const uint8_t *rrset_read(struct rrset *ret_rrset, const uint8_t *at)
{
    struct rrset_header header;
    memcpy(&header, at, sizeof(header));
    at += sizeof(header);
    *ret_rrset = (struct rrset){
        .type = header.type,
        .rr_count = header.rr_count,
        .ttl = header.ttl,
        .size = header.size,
        .data = at,
    };
    return at + header.size;
}

/* The first record set of an entry; the others follow by rrset_read(). */
static inline const uint8_t *name_entry_rrsets(const struct name_entry *entry)
{
    return entry->owner + entry->owner_size;
}

/* Finds the record set of `type`; false when the entry has none. */
static inline bool name_entry_rrset(const struct name_entry *entry, uint16_t type,
                                    struct rrset *ret_rrset)
{
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        at = rrset_read(ret_rrset, at);
        if (ret_rrset->type == type)
            return true;
    }
    return false;
}

/* A slot's value as found: the entry and its mark. */
struct name_hit {
    const struct name_entry *entry; /* NULL: no such name */
    bool marked; /* an active order may list the name, in the zone or not: ask the overlay */
};

struct name_table {
    uint64_t *slots;              /* zero: empty */
    uint64_t capacity;            /* slots */
    uint64_t used;                /* slots that are not empty; kept by the writer */
    uint64_t tombstones;          /* of these, slots that a name has left */
    _Atomic(uint32_t) references; /* of a table on the heap: its generation, and who holds it */
};

/* Calls `visit` for every entry; stops when it returns non-zero and returns that value. */
int name_table_each(const struct name_table *table,
                    int (*visit)(void *context, const struct name_entry *entry, bool marked),
                    void *context);

/* Makes room for `names` entries at a load of at most 3/4. Returns 0 or -ENOMEM. */
_must_check_ int name_table_init(struct name_table *table, uint64_t names);
void name_table_clear(struct name_table *table);

/* Finds the entry whose relative owner is the `owner_size` octets at `owner` (lower case), hashed
 * to `hash`. */
struct name_hit name_table_find(const struct name_table *table, uint64_t hash, const uint8_t *owner,
                                size_t owner_size);

/* Asks for the memory that a probe for `hash` will want first. */
void name_table_prefetch(const struct name_table *table, uint64_t hash);

/* Asks for what it will want next, once the former has come: the entry. Returns whether the name
 * seems to be marked. */
bool name_table_prefetch_entry(const struct name_table *table, uint64_t hash);

/* ---- Changing: one writer at a time ---- */

/* Whether `count` more names fit without passing the load limit. */
bool name_table_has_room(const struct name_table *table, uint64_t count);

/* Names in the table, with those that are only marked. */
uint64_t name_table_count(const struct name_table *table);

/* Adds an entry whose name is not in the table yet; there must be room. */
void name_table_insert(struct name_table *table, uint64_t hash, const struct name_entry *entry,
                       bool marked);

/* Makes `entry` what the name has, by one store; NULL: nothing. The mark stays. There must be room
 * for a name that is new. Returns what the name had before, and the index of its slot. The owner's
 * octets are those of either entry; not both are NULL. */
const struct name_entry *name_table_replace(struct name_table *table, uint64_t hash,
                                            const uint8_t *owner, size_t owner_size,
                                            const struct name_entry *entry, uint64_t *ret_index);

/* Sets the mark of a name that has a slot; returns false when it has none: then
 * name_table_insert_mark(), for which there must be room. */
bool name_table_mark(struct name_table *table, uint64_t hash, const uint8_t *owner,
                     size_t owner_size);
void name_table_insert_mark(struct name_table *table, uint64_t hash);
void name_table_unmark(struct name_table *table, uint64_t hash, const uint8_t *owner,
                       size_t owner_size);

/* Puts all names and marks of one table into another, which is empty and has room for them. */
void name_table_copy(struct name_table *to, const struct name_table *from,
                     uint64_t (*hash_of)(const void *context, const struct name_entry *entry),
                     const void *context);

/* ---- As octets in a file ---- */

/* Where the slot of an entry is; there must be one. */
uint64_t name_table_index(const struct name_table *table, uint64_t hash,
                          const struct name_entry *entry);

/* The entry in slot `index`; NULL: the slot is empty or there is none of that number. */
const struct name_entry *name_table_at(const struct name_table *table, uint64_t index);

/* Puts a place, a multiple of 8 below 2^47 and not 0, instead of the pointer into every slot that
 * has an entry, in the order of slots. Stops when `place` returns non-zero and returns that value.
 * A packed table is for writing its slots out, nothing else. */
int name_table_pack(struct name_table *table,
                    int (*place)(void *context, const struct name_entry *entry,
                                 uint64_t *ret_place),
                    void *context);

/* Undoes it on slots that were read back. `find` returns the entry of a place, or NULL to refuse
 * it. Returns 0, or -EBADMSG for a slot that was refused, malformed, or the last empty one. */
int name_table_unpack(struct name_table *table,
                      const struct name_entry *(*find)(void *context, uint64_t place),
                      void *context);
