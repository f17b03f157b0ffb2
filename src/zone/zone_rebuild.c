#include "zone/zone_rebuild.h"

#include <errno.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "zone/change.h"
#include "zone/nsec_chain.h"

/* The walk from one generation to the next. */
struct rebuild {
    const struct zone_data *data;
    struct zone_builder *builder;
    struct change *changes; /* sorted by owner and type */
    size_t count;
    uint8_t owner[NAME_SIZE_MAX]; /* full, of the entry at hand */
    struct error *error;
};

static int set_compare(const uint8_t *owner, size_t owner_size, uint16_t type,
                       const struct change *change)
{
    if (owner_size != change->owner_size)
        return owner_size < change->owner_size ? -1 : 1;
    const int order = memcmp(owner, change->owner, owner_size);
    return order != 0 ? order : (type > change->after.type) - (type < change->after.type);
}

static int change_compare(const void *one, const void *other)
{
    const struct change *change = one;
    return set_compare(change->owner, change->owner_size, change->after.type, other);
}

static int sort_changes(struct rebuild *rebuild, const uint8_t *octets, size_t size)
{
    struct change change;
    for (size_t at = 0; change_list_next(octets, size, &at, &change);)
        rebuild->count++;
    rebuild->changes = calloc(rebuild->count + 1, sizeof(*rebuild->changes));
    if (rebuild->changes == NULL)
        return -ENOMEM;
    size_t at = 0;
    for (size_t i = 0; i < rebuild->count; i++)
        (void)change_list_next(octets, size, &at, &rebuild->changes[i]);
    qsort(rebuild->changes, rebuild->count, sizeof(*rebuild->changes), change_compare);
    return 0;
}

static bool is_changed(const struct rebuild *rebuild, const struct name_entry *entry, uint16_t type)
{
    size_t low = 0, high = rebuild->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order =
            set_compare(entry->owner, entry->owner_size, type, &rebuild->changes[middle]);
        if (order == 0)
            return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return false;
}

static void set_owner(struct rebuild *rebuild, const uint8_t *owner, size_t owner_size)
{
    const struct name *apex = &rebuild->data->apex;
    memcpy(rebuild->owner, owner, owner_size);
    memcpy(rebuild->owner + owner_size, apex->wire, apex->size);
}

/* Adds the records of a set of the owner at hand. */
static int add_set(struct rebuild *rebuild, const struct rrset *rrset)
{
    const uint8_t *at = rrset->data;
    for (unsigned i = 0; i < rrset->rr_count; i++) {
        const uint16_t size = knot_wire_read_u16(at);
        struct error cause;
        const int rc = zone_builder_add(rebuild->builder, rebuild->owner, rrset->type, rrset->ttl,
                                        at + 2, size, &cause);
        if (rc < 0)
            return error_set(rebuild->error, rc == -ENOMEM ? rc : -EBADMSG, "%s", cause.text);
        at += 2 + (size_t)size;
    }
    return 0;
}

static int copy_entry(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    struct rebuild *rebuild = context;
    if (entry->rrset_count == 0)
        return 0;
    set_owner(rebuild, entry->owner, entry->owner_size);
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned i = 0; i < entry->rrset_count; i++) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        const int rc = is_changed(rebuild, entry, rrset.type) ? 0 : add_set(rebuild, &rrset);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int copy_unchanged(struct rebuild *rebuild, const struct name_table *table)
{
    const struct zone_data *data = rebuild->data;
    int rc = name_table_each(table, copy_entry, rebuild);
    for (size_t i = 0; rc == 0 && data->chain != NULL && i < data->chain->nsec3_count; i++)
        rc = copy_entry(rebuild, data->chain->nsec3[i].entry, false);
    for (size_t i = 0; rc == 0 && i < data->stray_count; i++)
        rc = copy_entry(rebuild, data->strays[i], false);
    return rc;
}

static int rebuild_run(struct rebuild *rebuild, const struct name_table *table,
                       const uint8_t *octets, size_t size, struct zone_data **ret_data)
{
    if (zone_builder_create(rebuild->data->apex.wire, &rebuild->builder) < 0 ||
        sort_changes(rebuild, octets, size) < 0)
        return error_set(rebuild->error, -ENOMEM, "out of memory");

    int rc = copy_unchanged(rebuild, table);
    for (size_t i = 0; rc == 0 && i < rebuild->count; i++) {
        set_owner(rebuild, rebuild->changes[i].owner, rebuild->changes[i].owner_size);
        rc = add_set(rebuild, &rebuild->changes[i].after);
    }
    if (rc < 0)
        return rc;

    struct error cause;
    rc = zone_builder_finish(rebuild->builder, ret_data, &cause);
    return rc < 0 ? error_set(rebuild->error, rc == -ENOMEM ? rc : -EBADMSG, "%s", cause.text) : 0;
}

int zone_rebuild(const struct zone_hold *hold, const uint8_t *changes, size_t size,
                 struct zone_data **ret_data, struct error *ret_error)
{
    struct rebuild rebuild = {.data = hold->data, .error = ret_error};
    const int rc = rebuild_run(&rebuild, hold->table, changes, size, ret_data);
    zone_builder_free(rebuild.builder);
    free(rebuild.changes);
    return rc;
}

/* Strays are not looked at: whoever takes one back gets the whole zone transferred. */
static const struct name_entry *find_nsec3(const struct nsec_chain *chain, const uint8_t *owner,
                                           size_t owner_size)
{
    uint8_t hash[NSEC3_HASH_SIZE];
    if (chain == NULL || owner_size == 0 || owner_size != 1 + (size_t)owner[0] ||
        !nsec3_label_decode(owner, hash))
        return NULL;
    bool is_exact;
    const struct nsec3_link *link = nsec3_chain_covering(chain, hash, &is_exact);
    return is_exact ? link->entry : NULL;
}

const struct name_entry *zone_hold_find(const void *held, const struct name *owner, bool is_nsec3)
{
    const struct zone_hold *hold = held;
    const size_t owner_size = (size_t)owner->size - hold->data->apex.size;
    return is_nsec3 ? find_nsec3(hold->data->chain, owner->wire, owner_size)
                    : name_table_find(hold->table, owner->hashes[0], owner->wire, owner_size).entry;
}
