/* One generation of a zone's data: built once, published by pointer, read without locks.
 *
 * It changes in place: an edit (zone/zone_edit.h) swaps entries, zone_data_mark() adds and removes
 * marks; readers see either as single atomic stores. A generation is freed by zone_data_retire()
 * after an RCU grace period, or later by the last zone_hold_release() or zone_view_close().
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"
#include "zone/name_table.h"

struct arena;
struct nsec_chain;
struct zone_changing;
struct zone_negative;

struct soa {
    uint32_t serial, refresh_s, retry_s, expire_s, minimum_s; /* host order (RFC 1035, 3.3.13) */
    uint32_t ttl_s;
};

/* Where a generation's records came from. It tells whether a snapshot of it still says what its
 * source says. */
enum zone_source_kind {
    ZONE_SOURCE_NONE, /* nothing that could be compared later: no snapshot is kept */
    ZONE_SOURCE_FILE,
    ZONE_SOURCE_TRANSFER,
};

struct zone_source {
    enum zone_source_kind kind;
    bool is_snapshot; /* read from a snapshot, which hence need not be written */

    uint32_t serial; /* that the records had there; edits since show in the generation's own */

    /* Of a file, as it was while its records were read; all zero when that is not known. */
    uint64_t file_size, inode, device;
    int64_t mtime_ns, ctime_ns;

    /* Of a transfer: when the origin was last known to have this serial (Unix seconds). */
    int64_t checked_at;
};

struct zone_data {
    _Atomic(uint32_t) references;
    struct name apex;
    struct name_table *table; /* RCU: swapped when marks or new names outgrow it */
    /* RCU: swapped by edits. NULL: no data yet; the table holds only marks. */
    const struct name_entry *apex_entry;
    struct zone_negative *negative; /* RCU; NULL: negative answers are put together */
    struct soa soa;                 /* once published, only for who may edit the zone */
    struct zone_source source;
    uint64_t name_count;  /* names with records */
    uint64_t entry_count; /* with empty non-terminals */
    uint64_t record_count;
    uint8_t depth_max;        /* no owner has more labels below the apex; edits only raise it */
    struct nsec_chain *chain; /* NULL for an unsigned zone */
    /* NSEC3 records and their signatures that are in no chain, since one comes or goes. Questions
     * do not see them, transfers and the zone's digest do; snapshots leave them out. */
    const struct name_entry **strays;
    size_t stray_count;
    struct arena *arena;
    uint64_t memory; /* octets held; once published, read by zone_data_memory() alone */

    pthread_mutex_t table_lock;     /* held for moments by who changes the table: edits and marks */
    uint64_t slots_reserved;        /* under the lock: room that an edit has made for itself */
    struct zone_changing *changing; /* only for who may edit; NULL until that begins */
};

/* Octets held, which marks and edits add to. Any thread for which the generation lives. */
uint64_t zone_data_memory(const struct zone_data *data);

/* The numbers of the SOA while edits may go on; false: there are no data. Readers only. */
bool zone_data_soa(const struct zone_data *data, struct soa *ret_soa);

/* An empty generation: no data, only marks. For zones that are forwarded, not loaded yet or
 * expired. */
_must_check_ int zone_data_create_empty(const uint8_t *apex, struct zone_data **ret_data);

/* Gives the caller's reference back; the last one frees. NULL is fine. */
void zone_data_free(struct zone_data *data);
DEFINE_FREEP(struct zone_data, zone_data_free)

/* The same after all present readers are done. Any thread that is not a reader. NULL is fine. */
void zone_data_retire(struct zone_data *data);

/* Sets the mark on `owner` (uncompressed, any letter case, at or below the apex), which need not be
 * in the zone: then it costs a slot of the table, which unmarking gives back. One thread at a time
 * sets and clears marks, and edits may go on meanwhile; readers see a mark at once. Returns 0 or
 * -ENOMEM. */
_must_check_ int zone_data_mark(struct zone_data *data, const uint8_t *owner);

/* The same for many, at a fraction of the time: the memory that they want is asked for ahead. */
_must_check_ int zone_data_mark_all(struct zone_data *data, const uint8_t *const *owners,
                                    size_t count);

/* Sets the mark of a name at or below the apex if it has a place in the table, in the zone or as
 * a mark alone; returns false when it has none. Writer only. */
bool zone_data_mark_present(struct zone_data *data, const struct name *name);

/* Clears the mark. */
void zone_data_unmark(struct zone_data *data, const uint8_t *owner);

/* ---- Looking up: readers, or who keeps edits out; the same for zone_data_name_state() ---- */

/* Finds a name at or below the apex. */
struct name_hit zone_data_find(const struct zone_data *data, const struct name *name);

/* The same for the suffix of `name` that begins with label `label`, which must be at or below the
 * apex. */
struct name_hit zone_data_find_suffix(const struct zone_data *data, const struct name *name,
                                      size_t label);

/* Asks for the memory that zone_data_find() will want first, and for that which it will want then,
 * when the first has come. */
void zone_data_prefetch(const struct zone_data *data, const struct name *name);
void zone_data_prefetch_entry(const struct zone_data *data, const struct name *name);

/* Whether `name` is at or below the apex. */
bool zone_data_holds(const struct zone_data *data, const struct name *name);

/* Makes room for `count` more names at once, so that marking does not grow the table step by step.
 * Waits for a grace period when it grows. Returns 0 or -ENOMEM. */
_must_check_ int zone_data_reserve(struct zone_data *data, uint64_t count);

/* What the data says about a name that an order might list. Answers for any name at or below the
 * apex. */
enum name_state {
    NAME_MISSING,    /* no such name */
    NAME_EXISTS,     /* has authoritative records */
    NAME_EMPTY,      /* empty non-terminal */
    NAME_WILDCARDED, /* no such name, but a wildcard answers for it */
    NAME_CUT,        /* a zone cut: delegates */
    NAME_BELOW_CUT,  /* at or below somebody else's delegation */
    NAME_IS_APEX,
};
enum name_state zone_data_name_state(const struct zone_data *data, const struct name *name);

/* Calls `visit` for every name with records, in no particular order; stops when it returns non-zero
 * and returns that value. `owner` is the full name; use name_entry_rrsets() and rrset_read() on the
 * entry. */
int zone_data_each(const struct zone_data *data,
                   int (*visit)(void *context, const uint8_t *owner,
                                const struct name_entry *entry),
                   void *context);

/* ---- Holding ---- */

/* A generation and its table, kept from being freed for a thread that is no reader. Marks may come
 * and go in it meanwhile; its entries live only as long as nobody edits it: see zone/zone_view.h
 * for what outlives that. */
struct zone_hold {
    struct zone_data *data;
    struct name_table *table;
};

/* Any thread for which the generation lives. */
void zone_data_hold(struct zone_data *data, struct zone_hold *ret_hold);

/* Any thread. An empty hold is fine. */
void zone_hold_release(struct zone_hold *hold);

/* The hash of an entry's full owner. */
uint64_t zone_data_entry_hash(const struct zone_data *data, const struct name_entry *entry);

/* ---- Building ---- */

struct zone_builder;

/* Collects the records of a zone in any order. One thread. */
_must_check_ int zone_builder_create(const uint8_t *apex, struct zone_builder **ret_builder);
void zone_builder_free(struct zone_builder *builder);
DEFINE_FREEP(struct zone_builder, zone_builder_free)

/* Adds one record; `owner` any letter case, rdata uncompressed, ttl_s in host order.
 * A duplicate is accepted and dropped. When TTLs of one record set differ, the last counts, as at
 * Knot (RFC 2181, 5.2 forbids it). Returns 0, -ENOMEM, or with `ret_error` (text only, the caller
 * knows the place) -ERANGE for an owner outside the zone and -EINVAL for a record that cannot stand
 * in a zone: a CNAME beside other data, two SOAs or CNAMEs or DNAMEs at one owner, a SOA not at the
 * apex, a meta type. A refused record changes nothing. */
_must_check_ int zone_builder_add(struct zone_builder *builder, const uint8_t *owner, uint16_t type,
                                  uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size,
                                  struct error *ret_error);

uint64_t zone_builder_record_count(const struct zone_builder *builder);

/* Makes the generation; the builder can then only be freed. Returns 0, -ENOMEM, or -EINVAL when the
 * zone has no SOA or no NS at its apex. */
_must_check_ int zone_builder_finish(struct zone_builder *builder, struct zone_data **ret_data,
                                     struct error *ret_error);
