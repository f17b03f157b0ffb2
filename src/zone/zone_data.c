#include "zone/zone_data.h"

#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "base/rcu.h"
#include "zone/arena.h"
#include "zone/negative.h"
#include "zone/nsec_chain.h"
#include "zone/zone_data_internal.h"

#define CHUNK_SIZE ((size_t)64 * 1024)

/* A table that must grow gets room for a quarter more names: rarely enough, and its load stays
 * above a half. */
#define GROWTH_DIVISOR 4

/* Names that are marked together: enough for the memory to be asked for ahead, and few enough that
 * an edit does not wait for them. */
#define MARK_BATCH 16

static int table_create(uint64_t names, struct name_table **ret_table)
{
    struct name_table *table = malloc(sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    int rc = name_table_init(table, names);
    if (rc < 0) {
        free(table);
        return rc;
    }
    table->references = 1;
    *ret_table = table;
    return 0;
}

void zone_data_release_table(struct name_table *table)
{
    if (table == NULL || atomic_fetch_sub(&table->references, 1) > 1)
        return;
    name_table_clear(table);
    free(table);
}

int zone_data_allocate(const struct name *apex, uint64_t names, struct zone_data **ret_data)
{
    _cleanup_(zone_data_freep) struct zone_data *data = calloc(1, sizeof(*data));
    if (data == NULL)
        return -ENOMEM;
    data->references = 1;
    if (pthread_mutex_init(&data->table_lock, NULL) != 0) {
        free(TAKE(data));
        return -ENOMEM;
    }
    data->apex = *apex;
    data->arena = arena_create(CHUNK_SIZE);
    if (data->arena == NULL)
        return -ENOMEM;
    int rc = table_create(names, &data->table);
    if (rc < 0)
        return rc;
    *ret_data = TAKE(data);
    return 0;
}

int zone_data_create_empty(const uint8_t *apex, struct zone_data **ret_data)
{
    struct name name;
    int rc = name_parse(&name, apex, NAME_SIZE_MAX);
    if (rc < 0)
        return rc;
    return zone_data_allocate(&name, 0, ret_data);
}

void zone_data_free(struct zone_data *data)
{
    if (data == NULL || atomic_fetch_sub(&data->references, 1) > 1)
        return;
    zone_data_release_table(data->table);
    zone_changing_free(data->changing);
    nsec_chain_free(data->chain);
    free(data->negative);
    free(data->strays);
    arena_free(data->arena);
    pthread_mutex_destroy(&data->table_lock);
    free(data);
}

void zone_data_retire(struct zone_data *data)
{
    if (data == NULL)
        return;
    synchronize_rcu();
    zone_data_free(data);
}

struct name_table *zone_data_hold_table(struct zone_data *data)
{
    (void)pthread_mutex_lock(&data->table_lock);
    struct name_table *table = data->table;
    atomic_fetch_add(&table->references, 1);
    (void)pthread_mutex_unlock(&data->table_lock);
    return table;
}

void zone_data_hold(struct zone_data *data, struct zone_hold *ret_hold)
{
    atomic_fetch_add(&data->references, 1);
    *ret_hold = (struct zone_hold){.data = data, .table = zone_data_hold_table(data)};
}

void zone_hold_release(struct zone_hold *hold)
{
    zone_data_release_table(hold->table);
    zone_data_free(hold->data);
    *hold = (struct zone_hold){0};
}

/* ---- Looking up ---- */

bool zone_data_holds(const struct zone_data *data, const struct name *name)
{
    if (name->label_count < data->apex.label_count)
        return false;
    size_t first = (size_t)name->label_count - data->apex.label_count;
    return name->hashes[first] == data->apex.hashes[0] &&
           memcmp(name->wire + name->offsets[first], data->apex.wire, data->apex.size) == 0;
}

struct name_hit zone_data_find_suffix(const struct zone_data *data, const struct name *name,
                                      size_t label)
{
    size_t offset = name->offsets[label];
    size_t owner_size = (size_t)name->size - data->apex.size - offset;
    const struct name_table *table = rcu_dereference(data->table);
    return name_table_find(table, name->hashes[label], name->wire + offset, owner_size);
}

struct name_hit zone_data_find(const struct zone_data *data, const struct name *name)
{
    return zone_data_find_suffix(data, name, 0);
}

void zone_data_prefetch(const struct zone_data *data, const struct name *name)
{
    name_table_prefetch(rcu_dereference(data->table), name->hashes[0]);
}

void zone_data_prefetch_entry(const struct zone_data *data, const struct name *name)
{
    name_table_prefetch_entry(rcu_dereference(data->table), name->hashes[0]);
}

enum name_state zone_data_name_state(const struct zone_data *data, const struct name *name)
{
    if (!zone_data_holds(data, name))
        return NAME_MISSING;
    if (name->label_count == data->apex.label_count)
        return NAME_IS_APEX;
    size_t below_apex = (size_t)name->label_count - data->apex.label_count;
    for (size_t label = 0; label <= below_apex; label++) {
        const struct name_entry *entry = zone_data_find_suffix(data, name, label).entry;
        if (entry == NULL)
            continue;
        if ((entry->flags & ENTRY_BELOW_CUT) != 0)
            return NAME_BELOW_CUT;
        if ((entry->flags & ENTRY_CUT) != 0)
            return label == 0 ? NAME_CUT : NAME_BELOW_CUT;
        if (label == 0)
            return entry->rrset_count > 0 ? NAME_EXISTS : NAME_EMPTY;
        /* The closest encloser. */
        if ((entry->flags & ENTRY_DNAME) != 0)
            return NAME_BELOW_CUT;
        return (entry->flags & ENTRY_WILDCARD_CHILD) != 0 ? NAME_WILDCARDED : NAME_MISSING;
    }
    return NAME_MISSING;
}

struct each_context {
    const struct zone_data *data;
    int (*visit)(void *context, const uint8_t *owner, const struct name_entry *entry);
    void *context;
};

static int visit_with_records(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    const struct each_context *each = context;
    if (entry->rrset_count == 0)
        return 0;
    uint8_t owner[NAME_SIZE_MAX];
    memcpy(owner, entry->owner, entry->owner_size);
    memcpy(owner + entry->owner_size, each->data->apex.wire, each->data->apex.size);
    return each->visit(each->context, owner, entry);
}

int zone_data_each(const struct zone_data *data,
                   int (*visit)(void *context, const uint8_t *owner,
                                const struct name_entry *entry),
                   void *context)
{
    struct each_context each = {.data = data, .visit = visit, .context = context};
    return name_table_each(rcu_dereference(data->table), visit_with_records, &each);
}

uint64_t zone_data_memory(const struct zone_data *data)
{
    return __atomic_load_n(&data->memory, __ATOMIC_RELAXED);
}

void zone_data_add_memory(struct zone_data *data, uint64_t octets)
{
    (void)__atomic_fetch_add(&data->memory, octets, __ATOMIC_RELAXED);
}

uint64_t zone_data_owner_hash(const struct zone_data *data, const uint8_t *owner, size_t owner_size)
{
    /* From the apex's hash leftwards. */
    uint8_t offsets[NAME_LABELS_MAX];
    size_t count = 0;
    for (size_t at = 0; at < owner_size; at += (size_t)owner[at] + 1)
        offsets[count++] = (uint8_t)at;
    uint64_t hash = data->apex.hashes[0];
    while (count > 0)
        hash = name_hash_child(hash, owner + offsets[--count]);
    return hash;
}

uint64_t zone_data_entry_hash(const struct zone_data *data, const struct name_entry *entry)
{
    return zone_data_owner_hash(data, entry->owner, entry->owner_size);
}

/* ---- Room in the table, and marks ---- */

static uint64_t hash_of_entry(const void *context, const struct name_entry *entry)
{
    return zone_data_entry_hash(context, entry);
}

int zone_data_make_room(struct zone_data *data, uint64_t count, struct name_table **ret_old)
{
    struct name_table *old = data->table;
    *ret_old = NULL;
    count += data->slots_reserved;
    if (name_table_has_room(old, count))
        return 0;

    struct name_table *table;
    uint64_t names = name_table_count(old), more = names / GROWTH_DIVISOR;
    int rc = table_create(names + (count > more ? count : more), &table);
    if (rc < 0)
        return rc;
    name_table_copy(table, old, hash_of_entry, data);
    zone_data_add_memory(data, (table->capacity - old->capacity) * sizeof(uint64_t));
    rcu_assign_pointer(data->table, table);
    *ret_old = old;
    return 0;
}

void zone_data_retire_table(struct name_table *old)
{
    if (old == NULL)
        return;
    synchronize_rcu();
    zone_data_release_table(old);
}

int zone_data_reserve(struct zone_data *data, uint64_t count)
{
    struct name_table *old;
    (void)pthread_mutex_lock(&data->table_lock);
    int rc = zone_data_make_room(data, count, &old);
    (void)pthread_mutex_unlock(&data->table_lock);
    zone_data_retire_table(old);
    return rc;
}

/* Marks names until one finds no room; returns how many were marked. */
static size_t mark_names(struct zone_data *data, const struct name *names, size_t count)
{
    (void)pthread_mutex_lock(&data->table_lock);
    struct name_table *table = data->table;
    for (size_t i = 0; i < count; i++)
        name_table_prefetch(table, names[i].hashes[0]);
    size_t done = 0;
    for (; done < count; done++) {
        const struct name *name = &names[done];
        if (name_table_mark(table, name->hashes[0], name->wire,
                            (size_t)name->size - data->apex.size))
            continue;
        if (!name_table_has_room(table, data->slots_reserved + 1))
            break;
        name_table_insert_mark(table, name->hashes[0]);
    }
    (void)pthread_mutex_unlock(&data->table_lock);
    return done;
}

int zone_data_mark_all(struct zone_data *data, const uint8_t *const *owners, size_t count)
{
    struct name names[MARK_BATCH];
    for (size_t at = 0; at < count;) {
        size_t batch = count - at < MARK_BATCH ? count - at : MARK_BATCH;
        for (size_t i = 0; i < batch; i++) {
            int rc = name_parse(&names[i], owners[at + i], NAME_SIZE_MAX);
            if (rc < 0)
                return rc;
            assert(zone_data_holds(data, &names[i]));
        }
        for (size_t done = 0; (done += mark_names(data, names + done, batch - done)) < batch;) {
            int rc = zone_data_reserve(data, batch - done);
            if (rc < 0)
                return rc;
        }
        at += batch;
    }
    return 0;
}

bool zone_data_mark_present(struct zone_data *data, const struct name *name)
{
    size_t owner_size = (size_t)name->size - data->apex.size;
    (void)pthread_mutex_lock(&data->table_lock);
    bool is_present = name_table_mark(data->table, name->hashes[0], name->wire, owner_size);
    (void)pthread_mutex_unlock(&data->table_lock);
    return is_present;
}

int zone_data_mark(struct zone_data *data, const uint8_t *owner)
{
    return zone_data_mark_all(data, &owner, 1);
}

void zone_data_unmark(struct zone_data *data, const uint8_t *owner)
{
    struct name name;
    if (name_parse(&name, owner, NAME_SIZE_MAX) < 0 || !zone_data_holds(data, &name))
        return;
    (void)pthread_mutex_lock(&data->table_lock);
    name_table_unmark(data->table, name.hashes[0], name.wire, (size_t)name.size - data->apex.size);
    (void)pthread_mutex_unlock(&data->table_lock);
}

/* ---- What a new generation derives from its entries ---- */

/* The five numbers stand behind the two names, at the end. */
static struct soa soa_read(const struct name_entry *apex_entry)
{
    struct rrset rrset;
    bool found = name_entry_rrset(apex_entry, KNOT_RRTYPE_SOA, &rrset);
    assert(found);
    (void)found;
    const uint8_t *numbers = rrset.data + rrset.size - 20;
    return (struct soa){
        .serial = knot_wire_read_u32(numbers),
        .refresh_s = knot_wire_read_u32(numbers + 4),
        .retry_s = knot_wire_read_u32(numbers + 8),
        .expire_s = knot_wire_read_u32(numbers + 12),
        .minimum_s = knot_wire_read_u32(numbers + 16),
        .ttl_s = rrset.ttl,
    };
}

bool zone_data_soa(const struct zone_data *data, struct soa *ret_soa)
{
    const struct name_entry *apex_entry = rcu_dereference(data->apex_entry);
    if (apex_entry == NULL)
        return false;
    *ret_soa = soa_read(apex_entry);
    return true;
}

void zone_data_read_soa(struct zone_data *data)
{
    data->soa = soa_read(data->apex_entry);
}

int zone_data_take_apex(struct zone_data *data)
{
    zone_data_read_soa(data);
    return zone_negative_create(&data->apex, data->apex_entry, &data->negative);
}

void zone_data_measure(struct zone_data *data)
{
    data->memory =
        arena_held(data->arena) + data->table->capacity * sizeof(uint64_t) + sizeof(*data);
}

/* ---- The chain of a signed zone ---- */

static int nsec_entry_compare(const void *one, const void *other)
{
    const struct name_entry *const *a = one;
    const struct name_entry *const *b = other;
    return owner_compare((*a)->owner, (*a)->owner_size, (*b)->owner, (*b)->owner_size);
}

static int nsec3_link_compare(const void *one, const void *other)
{
    const struct nsec3_link *a = one, *b = other;
    return memcmp(a->hash, b->hash, NSEC3_HASH_SIZE);
}

/* Authoritative owners of NSEC; a cut has one too (RFC 4035, 2.3). */
static int collect_nsec(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    struct nsec_chain *chain = context;
    struct rrset rrset;
    if ((entry->flags & ENTRY_BELOW_CUT) != 0 || !name_entry_rrset(entry, KNOT_RRTYPE_NSEC, &rrset))
        return 0;
    if (chain->nsec != NULL)
        chain->nsec[chain->nsec_count] = entry;
    chain->nsec_count++;
    return 0;
}

/* Reads algorithm, iterations and salt; NSEC3PARAM and NSEC3 begin alike (RFC 5155, 3.2 and 4.2).
 */
static bool nsec3_parameters(const uint8_t *rdata, size_t size, struct nsec_chain *ret_chain)
{
    if (size < 5 || rdata[0] != 1 || size < 5u + rdata[4])
        return false;
    ret_chain->iterations = knot_wire_read_u16(rdata + 2);
    ret_chain->salt_size = rdata[4];
    memcpy(ret_chain->salt, rdata + 5, rdata[4]);
    return true;
}

static bool nsec3_parameters_match(const struct nsec_chain *chain, const uint8_t *rdata,
                                   size_t size)
{
    struct nsec_chain other;
    return nsec3_parameters(rdata, size, &other) && other.iterations == chain->iterations &&
           other.salt_size == chain->salt_size &&
           memcmp(other.salt, chain->salt, chain->salt_size) == 0;
}

static int keep_strays(struct zone_data *data, const struct name_entry *const *entries,
                       size_t count)
{
    data->strays = calloc(count + 1, sizeof(*data->strays));
    if (data->strays == NULL)
        return -ENOMEM;
    memcpy(data->strays, entries, count * sizeof(*entries));
    data->stray_count = count;
    return 0;
}

/* Moves those that the chain does not take to the front of `entries`. */
static int link_nsec3(struct nsec_chain *chain, const struct name_entry **entries, size_t count,
                      size_t *ret_stray_count)
{
    size_t stray_count = 0;
    chain->nsec3 = calloc(count, sizeof(*chain->nsec3));
    if (chain->nsec3 == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct nsec3_link *link = &chain->nsec3[chain->nsec3_count];
        struct rrset rrset;
        if (!name_entry_rrset(entries[i], KNOT_RRTYPE_NSEC3, &rrset) ||
            entries[i]->owner_size == 0 ||
            !nsec3_parameters_match(chain, rrset.data + 2, knot_wire_read_u16(rrset.data)) ||
            !nsec3_label_decode(entries[i]->owner, link->hash)) {
            /* An orphaned signature, or another chain's record during a change of salt. */
            entries[stray_count++] = entries[i];
            continue;
        }
        link->entry = entries[i];
        chain->nsec3_count++;
    }
    qsort(chain->nsec3, chain->nsec3_count, sizeof(*chain->nsec3), nsec3_link_compare);
    *ret_stray_count = stray_count;
    return 0;
}

static int link_nsec(struct zone_data *data, struct nsec_chain *chain)
{
    (void)name_table_each(data->table, collect_nsec, chain);
    if (chain->nsec_count == 0)
        return 0;
    chain->nsec = calloc(chain->nsec_count, sizeof(*chain->nsec));
    if (chain->nsec == NULL)
        return -ENOMEM;
    chain->nsec_count = 0;
    (void)name_table_each(data->table, collect_nsec, chain);
    qsort(chain->nsec, chain->nsec_count, sizeof(*chain->nsec), nsec_entry_compare);
    return 0;
}

int zone_data_link_chain(struct zone_data *data, const struct name_entry **nsec3_entries,
                         size_t nsec3_count)
{
    struct rrset rrset;
    bool has_param = name_entry_rrset(data->apex_entry, KNOT_RRTYPE_NSEC3PARAM, &rrset);
    bool has_nsec = name_entry_rrset(data->apex_entry, KNOT_RRTYPE_NSEC, &(struct rrset){0});
    if (!(has_param && nsec3_count > 0) && !has_nsec)
        return nsec3_count > 0 ? keep_strays(data, nsec3_entries, nsec3_count) : 0;

    struct nsec_chain *chain = calloc(1, sizeof(*chain));
    if (chain == NULL)
        return -ENOMEM;
    data->chain = chain;
    size_t stray_count = nsec3_count;
    int rc;
    if (has_param && nsec3_count > 0 &&
        nsec3_parameters(rrset.data + 2, knot_wire_read_u16(rrset.data), chain))
        rc = link_nsec3(chain, nsec3_entries, nsec3_count, &stray_count);
    else
        rc = link_nsec(data, chain);
    return rc == 0 && stray_count > 0 ? keep_strays(data, nsec3_entries, stray_count) : rc;
}
