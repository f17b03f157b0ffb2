/* What a commit has to publish beside the record sets that were changed: names that come to exist
 * or cease to, up to empty non-terminals (RFC 4592, 2.2.2), and flags that depend on other names.
 * The outcome is that of building the zone anew (zone_builder.c); the cost is that of what was
 * touched.
 *
 * Nothing here is seen by readers, and all of it can be taken back. */
#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <stdlib.h>
#include <string.h>

#include "zone/arena.h"
#include "zone/negative.h"
#include "zone/zone_data_internal.h"
#include "zone/zone_edit_internal.h"

#define OCCLUDING (ENTRY_CUT | ENTRY_DNAME)

void zone_edit_unprepare(struct zone_edit *edit)
{
    if (!edit->is_prepared)
        return;
    for (struct edit_node *node = edit->first; node != NULL; node = node->next) {
        if (node->final != node->base && node->final != node->entry)
            zone_edit_discard(edit, node->final);
        node->final = node->base;
        node->children_more = 0;
        node->exists = node->base != NULL;
    }
    if (edit->slots_reserved > 0) {
        (void)pthread_mutex_lock(&edit->data->table_lock);
        edit->data->slots_reserved -= edit->slots_reserved;
        (void)pthread_mutex_unlock(&edit->data->table_lock);
        edit->slots_reserved = 0;
    }
    free(TAKE(edit->negative));
    edit->is_prepared = false;
}

static void full_name(const struct zone_edit *edit, const uint8_t *owner, size_t owner_size,
                      struct name *ret_name)
{
    uint8_t wire[NAME_SIZE_MAX];
    memcpy(wire, owner, owner_size);
    memcpy(wire + owner_size, edit->data->apex.wire, edit->data->apex.size);
    int rc = name_parse(ret_name, wire, sizeof(wire));
    assert(rc > 0);
    (void)rc;
}

/* The node of the suffix of `name` that begins with label `label`. */
static int suffix_node(struct zone_edit *edit, const struct name *name, size_t label,
                       struct edit_node **ret_node)
{
    size_t offset = name->offsets[label];
    return zone_edit_node(edit, name->hashes[label], name->wire + offset,
                          (size_t)name->size - edit->data->apex.size - offset, ret_node);
}

static bool has_records(const struct name_entry *entry)
{
    return entry != NULL && entry->rrset_count > 0;
}

static size_t depth_of(const struct zone_edit *edit, const struct name *name)
{
    return (size_t)name->label_count - edit->data->apex.label_count;
}

/* ---- Children ---- */

static int count_child(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    const struct zone_data *data = context;
    struct child_counts *children = &data->changing->children;
    size_t parent = entry->owner_size > 0 ? (size_t)entry->owner[0] + 1 : 0;
    if (parent == entry->owner_size)
        return 0; /* the apex, or directly below it */
    int rc = child_counts_reserve(children, 1);
    if (rc < 0)
        return rc;
    child_counts_add(
        children, zone_data_owner_hash(data, entry->owner + parent, entry->owner_size - parent), 1);
    return 0;
}

/* Counts the children of every name, once in the life of a generation. */
static int count_children(struct zone_edit *edit)
{
    struct zone_changing *changing = edit->changing;
    if (changing->children_are_counted)
        return 0;
    int rc = 0;
    if (edit->data->depth_max > 1)
        rc = name_table_each(edit->table, count_child, edit->data);
    if (rc < 0)
        child_counts_clear(&changing->children);
    else
        changing->children_are_counted = true;
    return rc;
}

static bool has_children(const struct zone_edit *edit, const struct edit_node *node)
{
    return node->owner_size == 0 ||
           (int64_t)child_counts_get(&edit->changing->children, node->hash) + node->children_more >
               0;
}

/* ---- Names that come and go ---- */

/* Brings a name into being, with those above it that are needed. */
static int appear(struct zone_edit *edit, struct edit_node *node)
{
    struct name name;
    full_name(edit, node->owner, node->owner_size, &name);
    size_t depth = depth_of(edit, &name);
    if (depth > edit->data->depth_max) /* before any reader can meet the name */
        __atomic_store_n(&edit->data->depth_max, (uint8_t)depth, __ATOMIC_RELEASE);
    node->exists = true;
    for (size_t label = 1; label < depth; label++) {
        struct edit_node *parent;
        int rc = suffix_node(edit, &name, label, &parent);
        if (rc < 0)
            return rc;
        parent->children_more++;
        if (parent->exists)
            return 0;
        parent->exists = true;
    }
    return 0;
}

/* Takes a name without records away, unless something is below it, and those above it that were
 * there for its sake. */
static int vanish(struct zone_edit *edit, struct edit_node *node)
{
    if (has_children(edit, node))
        return 0;
    struct name name;
    full_name(edit, node->owner, node->owner_size, &name);
    size_t depth = depth_of(edit, &name);
    node->exists = false;
    for (size_t label = 1; label < depth; label++) {
        struct edit_node *parent;
        int rc = suffix_node(edit, &name, label, &parent);
        if (rc < 0)
            return rc;
        parent->children_more--;
        if (has_records(parent->entry) || has_children(edit, parent))
            return 0;
        parent->exists = false;
    }
    return 0;
}

static int derive_existence(struct zone_edit *edit)
{
    int rc = 0;
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next) {
        if (has_records(node->entry) == node->exists)
            continue;
        rc = count_children(edit);
        if (rc == 0 && !node->exists)
            rc = appear(edit, node);
    }
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next) {
        if (node->exists && !has_records(node->entry))
            rc = vanish(edit, node);
    }
    return rc;
}

/* ---- Flags ---- */

static bool is_beside_cname(uint16_t type) /* RFC 4034, 3 and 4 */
{
    return type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_RRSIG || type == KNOT_RRTYPE_NSEC;
}

/* The flags that a name has from its own records. -EINVAL when they cannot stand in a zone. */
static int flags_of_records(const struct edit_node *node, uint16_t *ret_flags)
{
    const bool is_apex = node->owner_size == 0;
    uint16_t flags = is_apex ? ENTRY_APEX : 0;
    bool addresses_only = has_records(node->entry), others = false, ns = false, soa = false;
    const uint8_t *at = node->entry != NULL ? name_entry_rrsets(node->entry) : NULL;
    for (unsigned left = node->entry != NULL ? node->entry->rrset_count : 0; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        ns |= rrset.type == KNOT_RRTYPE_NS;
        soa |= rrset.type == KNOT_RRTYPE_SOA;
        others |= !is_beside_cname(rrset.type);
        addresses_only &= rrset.type == KNOT_RRTYPE_A || rrset.type == KNOT_RRTYPE_AAAA;
        if (rrset.type == KNOT_RRTYPE_CNAME)
            flags |= ENTRY_CNAME;
        if (rrset.type == KNOT_RRTYPE_DNAME)
            flags |= ENTRY_DNAME;
    }
    if (ns && !is_apex)
        flags |= ENTRY_CUT;
    if (addresses_only)
        flags |= ENTRY_ADDRESSES_ONLY;
    *ret_flags = flags;
    bool has_alias_and_others = (flags & ENTRY_CNAME) != 0 && others; /* RFC 2181, 10.1 */
    return has_alias_and_others || (is_apex && (!ns || !soa)) ? -EINVAL : 0;
}

static bool is_wildcard(const struct edit_node *node)
{
    return node->owner_size >= 2 && node->owner[0] == 1 && node->owner[1] == '*';
}

static int parent_node(struct zone_edit *edit, const struct edit_node *node,
                       struct edit_node **ret_parent)
{
    struct name name;
    full_name(edit, node->owner, node->owner_size, &name);
    return suffix_node(edit, &name, 1, ret_parent);
}

/* Has a wildcard's parent among the nodes, whose flag it changes. */
static int touch_enclosers(struct zone_edit *edit)
{
    int rc = 0;
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next) {
        struct edit_node *parent;
        if (is_wildcard(node) && node->exists != (node->base != NULL))
            rc = parent_node(edit, node, &parent);
    }
    return rc;
}

static int derive_own_flags(struct edit_node *node)
{
    const uint16_t from_others = ENTRY_BELOW_CUT | ENTRY_WILDCARD_CHILD;
    if (node->base != NULL && node->entry == node->base && node->exists) {
        node->flags = node->base->flags;
        return 0;
    }
    node->flags = 0;
    if (!node->exists)
        return 0;
    int rc = flags_of_records(node, &node->flags);
    if (node->base != NULL)
        node->flags |= node->base->flags & from_others;
    return rc;
}

/* Whether names below, which are in the zone already, are to be marked anew. */
static bool occludes_anew(const struct edit_node *node)
{
    return node->exists && node->base != NULL &&
           ((node->flags & OCCLUDING) != 0) != ((node->base->flags & OCCLUDING) != 0);
}

/* Makes nodes of all names below those that occlude anew. */
static int touch_descendant(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    struct zone_edit *edit = context;
    if (entry->owner_size == 0)
        return 0;
    struct name name;
    full_name(edit, entry->owner, entry->owner_size, &name);
    size_t depth = depth_of(edit, &name);
    for (size_t label = 1; label <= depth; label++) {
        size_t offset = name.offsets[label];
        const struct edit_node *above = zone_edit_node_find(
            edit, name.hashes[label], name.wire + offset, entry->owner_size - offset);
        if (above == NULL || !occludes_anew(above))
            continue;
        struct edit_node *node;
        int rc = suffix_node(edit, &name, 0, &node);
        if (rc == 0 && node->entry == node->base && node->exists)
            node->flags = node->base->flags;
        return rc;
    }
    return 0;
}

/* Whether some name above has a cut or DNAME; the apex has no cut, but may have a DNAME. */
static bool is_occluded(const struct zone_edit *edit, const struct edit_node *node)
{
    struct name name;
    full_name(edit, node->owner, node->owner_size, &name);
    size_t depth = depth_of(edit, &name);
    for (size_t label = 1; label <= depth; label++) {
        size_t offset = name.offsets[label], size = node->owner_size - offset;
        const struct edit_node *above =
            zone_edit_node_find(edit, name.hashes[label], name.wire + offset, size);
        const struct name_entry *entry =
            above != NULL
                ? NULL
                : name_table_find(edit->table, name.hashes[label], name.wire + offset, size).entry;
        uint16_t flags = above != NULL ? above->flags : entry != NULL ? entry->flags : 0;
        if ((flags & OCCLUDING) != 0)
            return true;
    }
    return false;
}

static int derive_flags(struct zone_edit *edit)
{
    bool any_anew = false, must_walk = false;
    int rc = touch_enclosers(edit);
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next) {
        rc = derive_own_flags(node);
        if (rc == 0 && occludes_anew(node)) {
            any_anew = true;
            rc = count_children(edit);
            must_walk |= has_children(edit, node);
        }
    }
    if (rc == 0 && must_walk)
        rc = name_table_each(edit->table, touch_descendant, edit);
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next) {
        struct edit_node *parent;
        if (is_wildcard(node) && node->exists != (node->base != NULL)) {
            rc = parent_node(edit, node, &parent);
            if (rc == 0)
                parent->flags = node->exists ? parent->flags | ENTRY_WILDCARD_CHILD
                                             : parent->flags & (uint16_t)~ENTRY_WILDCARD_CHILD;
        }
        if (node->exists && node->owner_size > 0 && (any_anew || node->base == NULL))
            node->flags = is_occluded(edit, node) ? node->flags | ENTRY_BELOW_CUT
                                                  : node->flags & (uint16_t)~ENTRY_BELOW_CUT;
    }
    return rc;
}

/* ---- Entries ---- */

/* An entry of its own with the derived flags: of a name whose records stay, or which has none. */
static int make_final(struct zone_edit *edit, struct edit_node *node)
{
    const struct name_entry *from = has_records(node->entry) ? node->entry : NULL;
    size_t bare_size = offsetof(struct name_entry, owner) + node->owner_size;
    size_t size = from != NULL ? name_entry_size(from) : bare_size;
    struct name_entry *entry = arena_take(edit->data->arena, size);
    if (entry == NULL)
        return -ENOMEM;
    entry->rrset_count = 0;
    entry->owner_size = node->owner_size;
    memcpy(entry->owner, node->owner, node->owner_size);
    if (from != NULL)
        memcpy(entry, from, size);
    entry->flags = node->flags;
    node->final = entry;
    return 0;
}

static int derive_final(struct zone_edit *edit, struct edit_node *node)
{
    if (!node->exists) {
        node->final = NULL;
        return 0;
    }
    if (has_records(node->entry) && node->entry != node->base) {
        /* Nobody but this edit has seen it. */
        ((struct name_entry *)node->entry)->flags = node->flags;
        node->final = node->entry;
        return 0;
    }
    bool stays = node->base != NULL && has_records(node->base) == has_records(node->entry) &&
                 node->base->flags == node->flags;
    if (!stays)
        return make_final(edit, node);
    node->final = node->base;
    return 0;
}

/* ---- Room for the commit ---- */

static int reserve_slots(struct zone_edit *edit, uint64_t count)
{
    if (count == 0)
        return 0;
    struct zone_data *data = edit->data;
    struct name_table *old = NULL;
    (void)pthread_mutex_lock(&data->table_lock);
    int rc = zone_data_make_room(data, count, &old);
    if (rc == 0) {
        data->slots_reserved += count;
        edit->slots_reserved = count;
    }
    (void)pthread_mutex_unlock(&data->table_lock);
    zone_data_retire_table(old);
    return rc;
}

static int reserve(struct zone_edit *edit)
{
    size_t changed = 0, retired = 0, parents = 0;
    uint64_t added = 0;
    for (const struct edit_node *node = edit->first; node != NULL; node = node->next) {
        changed += node->final != node->base;
        retired += node->final != node->base && node->base != NULL;
        added += node->base == NULL && node->final != NULL;
        parents += node->children_more > 0;
    }
    int rc = retired_reserve(&edit->changing->retired, retired);
    if (rc == 0)
        rc = zone_views_reserve(edit->changing, changed);
    if (rc == 0 && parents > 0)
        rc = child_counts_reserve(&edit->changing->children, parents);
    return rc == 0 ? reserve_slots(edit, added) : rc;
}

/* The record of negative answers follows the SOA. */
static int derive_negative(struct zone_edit *edit)
{
    const struct zone_data *data = edit->data;
    const struct edit_node *apex =
        zone_edit_node_find(edit, data->apex.hashes[0], data->apex.wire, 0);
    if (apex == NULL || apex->final == apex->base)
        return 0;
    return zone_negative_create(&data->apex, apex->final, &edit->negative);
}

int zone_edit_prepare(struct zone_edit *edit)
{
    zone_edit_unprepare(edit);
    edit->is_prepared = true;
    int rc = derive_existence(edit);
    if (rc == 0)
        rc = derive_flags(edit);
    for (struct edit_node *node = edit->first; node != NULL && rc == 0; node = node->next)
        rc = derive_final(edit, node);
    if (rc == 0)
        rc = derive_negative(edit);
    if (rc == 0)
        rc = reserve(edit);
    if (rc < 0)
        zone_edit_unprepare(edit);
    return rc;
}
