/* The staging of an edit: which names it touches, what they will have, and the way back. What
 * readers see is changed in zone_edit_commit.c alone. */
#include "zone/zone_edit.h"

#include <assert.h>
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/rdata.h"
#include "zone/arena.h"
#include "zone/zone_data_internal.h"
#include "zone/zone_edit_internal.h"

/* A small edit touches a few names: their nodes fit one chunk that malloc() has at hand. */
#define SCRATCH_CHUNK ((size_t)4096)
#define CAPACITY_MIN  16
#define UNDO_ROOM_MIN 16

/* ---- Begin and end ---- */

int zone_changing_make(struct zone_data *data)
{
    if (data->changing != NULL)
        return 0;
    struct zone_changing *changing = calloc(1, sizeof(*changing));
    if (changing == NULL)
        return -ENOMEM;
    if (pthread_mutex_init(&changing->views_lock, NULL) != 0) {
        free(changing);
        return -ENOMEM;
    }
    data->changing = changing;
    return 0;
}

void zone_changing_free(struct zone_changing *changing)
{
    if (changing == NULL)
        return;
    assert(changing->views == NULL);
    retired_clear(&changing->retired);
    child_counts_clear(&changing->children);
    pthread_mutex_destroy(&changing->views_lock);
    free(changing);
}

int zone_edit_begin(struct zone_data *data, struct zone_edit **ret_edit, struct error *ret_error)
{
    if (data->apex_entry == NULL)
        return error_set(ret_error, -ENODATA, "the zone has no data yet");
    if (data->chain != NULL)
        return error_set(ret_error, -EPERM,
                         "the zone is signed: change it where it is signed, or remove its NSEC or "
                         "NSEC3 records");
    _cleanup_(zone_edit_endp) struct zone_edit *edit = calloc(1, sizeof(*edit));
    if (edit == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    edit->last = &edit->first;
    edit->data = data;
    edit->arena_held = arena_held(data->arena);
    edit->table = zone_data_hold_table(data);
    edit->scratch = arena_create(SCRATCH_CHUNK);
    edit->slots = calloc(CAPACITY_MIN, sizeof(struct edit_node *));
    edit->capacity = CAPACITY_MIN;
    if (edit->scratch == NULL || edit->slots == NULL || zone_changing_make(data) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    edit->changing = data->changing;
    *ret_edit = TAKE(edit);
    return 0;
}

void zone_edit_end(struct zone_edit *edit)
{
    if (edit == NULL)
        return;
    zone_edit_unprepare(edit);
    while (edit->undo_count > 0) {
        const struct edit_undo *undo = &edit->undo[--edit->undo_count];
        if (undo->staged_at > 0)
            zone_edit_discard(edit, undo->entry);
    }
    for (struct edit_node *node = edit->first; node != NULL; node = node->next) {
        if (node->entry != node->base)
            zone_edit_discard(edit, node->entry);
    }
    zone_data_add_memory(edit->data, arena_held(edit->data->arena) - edit->arena_held);
    zone_data_release_table(edit->table);
    arena_free(edit->scratch);
    change_list_clear(&edit->changes);
    free(edit->slots);
    free(edit->undo);
    free(edit->rdata);
    free(edit);
}

void zone_edit_set_author(struct zone_edit *edit, uint16_t author)
{
    edit->author = author;
}

const struct change_list *zone_edit_changes(const struct zone_edit *edit)
{
    return &edit->changes;
}

/* ---- Nodes ---- */

struct edit_node *zone_edit_node_find(const struct zone_edit *edit, uint64_t hash,
                                      const uint8_t *owner, size_t owner_size)
{
    for (size_t i = hash & (edit->capacity - 1);; i = (i + 1) & (edit->capacity - 1)) {
        struct edit_node *node = edit->slots[i];
        if (node == NULL)
            return NULL;
        if (node->hash == hash && node->owner_size == owner_size &&
            memcmp(node->owner, owner, owner_size) == 0)
            return node;
    }
}

static void place_node(struct edit_node **slots, size_t capacity, struct edit_node *node)
{
    size_t i = node->hash & (capacity - 1);
    while (slots[i] != NULL)
        i = (i + 1) & (capacity - 1);
    slots[i] = node;
}

static int grow_slots(struct zone_edit *edit)
{
    size_t capacity = edit->capacity * 2;
    struct edit_node **slots = calloc(capacity, sizeof(struct edit_node *));
    if (slots == NULL)
        return -ENOMEM;
    for (struct edit_node *node = edit->first; node != NULL; node = node->next)
        place_node(slots, capacity, node);
    free(edit->slots);
    edit->slots = slots;
    edit->capacity = capacity;
    return 0;
}

int zone_edit_node(struct zone_edit *edit, uint64_t hash, const uint8_t *owner, size_t owner_size,
                   struct edit_node **ret_node)
{
    *ret_node = zone_edit_node_find(edit, hash, owner, owner_size);
    if (*ret_node != NULL)
        return 0;
    if (edit->node_count >= edit->capacity / 2) {
        int rc = grow_slots(edit);
        if (rc < 0)
            return rc;
    }
    struct edit_node *node = arena_alloc(edit->scratch, sizeof(*node) + owner_size);
    if (node == NULL)
        return -ENOMEM;
    const struct name_entry *base = name_table_find(edit->table, hash, owner, owner_size).entry;
    *node = (struct edit_node){.hash = hash,
                               .base = base,
                               .entry = base,
                               .final = base,
                               .exists = base != NULL,
                               .owner_size = (uint8_t)owner_size};
    memcpy(node->owner, owner, owner_size);
    place_node(edit->slots, edit->capacity, node);
    edit->node_count++;
    *edit->last = node;
    edit->last = &node->next;
    *ret_node = node;
    return 0;
}

static size_t relative_size(const struct zone_edit *edit, const struct name *owner)
{
    assert(zone_data_holds(edit->data, owner));
    return (size_t)owner->size - edit->data->apex.size;
}

static int node_of(struct zone_edit *edit, const struct name *owner, struct edit_node **ret_node)
{
    return zone_edit_node(edit, owner->hashes[0], owner->wire, relative_size(edit, owner),
                          ret_node);
}

const struct name_entry *zone_edit_find(const struct zone_edit *edit, const struct name *owner)
{
    size_t owner_size = relative_size(edit, owner);
    const struct edit_node *node =
        zone_edit_node_find(edit, owner->hashes[0], owner->wire, owner_size);
    if (node != NULL)
        return node->entry;
    return name_table_find(edit->table, owner->hashes[0], owner->wire, owner_size).entry;
}

/* ---- Entries ---- */

size_t name_entry_size(const struct name_entry *entry)
{
    const uint8_t *at = name_entry_rrsets(entry);
    struct rrset rrset;
    for (unsigned left = entry->rrset_count; left > 0; left--)
        at = rrset_read(&rrset, at);
    return (size_t)(at - (const uint8_t *)entry);
}

void zone_edit_discard(struct zone_edit *edit, const struct name_entry *entry)
{
    if (entry != NULL)
        arena_give(edit->data->arena, (void *)entry, name_entry_size(entry));
}

static uint8_t *write_rrset(uint8_t *at, const struct rrset *rrset)
{
    const struct rrset_header header = {
        .type = rrset->type, .rr_count = rrset->rr_count, .ttl = rrset->ttl, .size = rrset->size};
    memcpy(at, &header, sizeof(header));
    memcpy(at + sizeof(header), rrset->data, rrset->size);
    return at + sizeof(header) + rrset->size;
}

/* Writes the sets of `from` (NULL: none) in the order of their types, with `rrset` in the place of
 * the one of its type. Returns how many there are. */
static uint16_t write_rrsets(uint8_t *at, const struct name_entry *from, const struct rrset *rrset)
{
    uint16_t count = 0;
    bool is_written = rrset->rr_count == 0;
    const uint8_t *next = from != NULL ? name_entry_rrsets(from) : NULL;
    for (unsigned left = from != NULL ? from->rrset_count : 0; left > 0; left--) {
        struct rrset other;
        const uint8_t *start = next;
        next = rrset_read(&other, next);
        if (!is_written && other.type >= rrset->type) {
            at = write_rrset(at, rrset);
            is_written = true;
            count++;
        }
        if (other.type == rrset->type)
            continue;
        memcpy(at, start, (size_t)(next - start));
        at += next - start;
        count++;
    }
    if (!is_written) {
        (void)write_rrset(at, rrset);
        count++;
    }
    return count;
}

/* The name's entry with another set of `before`'s type; NULL in *ret_entry when no set is left. */
static int make_entry(struct zone_edit *edit, const struct edit_node *node,
                      const struct rrset *before, const struct rrset *after,
                      struct name_entry **ret_entry)
{
    const struct name_entry *from = node->entry;
    size_t sets = from != NULL ? from->rrset_count : 0;
    *ret_entry = NULL;
    if (after->rr_count == 0 && sets == 1)
        return 0;
    size_t size = from != NULL ? name_entry_size(from)
                               : offsetof(struct name_entry, owner) + node->owner_size;
    if (before->rr_count > 0)
        size -= sizeof(struct rrset_header) + before->size;
    if (after->rr_count > 0)
        size += sizeof(struct rrset_header) + after->size;

    struct name_entry *entry = arena_take(edit->data->arena, size);
    if (entry == NULL)
        return -ENOMEM;
    entry->flags = 0; /* derived before the commit */
    entry->owner_size = node->owner_size;
    memcpy(entry->owner, node->owner, node->owner_size);
    entry->rrset_count = write_rrsets(entry->owner + node->owner_size, from, after);
    *ret_entry = entry;
    return 0;
}

/* ---- Changes and the way back ---- */

/* Whether a rewind may want the node's present entry. */
static bool must_keep(const struct zone_edit *edit, const struct edit_node *node)
{
    return edit->is_marked && node->staged_at <= edit->marked_at;
}

static int reserve_undo(struct zone_edit *edit)
{
    if (edit->undo_count < edit->undo_room)
        return 0;
    size_t room = edit->undo_room == 0 ? UNDO_ROOM_MIN : edit->undo_room * 2;
    struct edit_undo *undo = reallocarray(edit->undo, room, sizeof(*undo));
    if (undo == NULL)
        return -ENOMEM;
    edit->undo = undo;
    edit->undo_room = room;
    return 0;
}

/* Makes `entry` what the node has; what it had goes to the undo, or nowhere. */
static void switch_entry(struct zone_edit *edit, struct edit_node *node,
                         const struct name_entry *entry)
{
    if (must_keep(edit, node))
        edit->undo[edit->undo_count++] = (struct edit_undo){.node = node,
                                                            .entry = node->entry,
                                                            .staged_at = node->staged_at,
                                                            .changed_at = edit->changes.count - 1};
    else if (node->staged_at > 0)
        zone_edit_discard(edit, node->entry);
    node->entry = entry;
    node->staged_at = edit->changes.count;
}

static bool rrset_equals(const struct rrset *one, const struct rrset *other)
{
    if (one->rr_count != other->rr_count)
        return false;
    return one->rr_count == 0 || (one->ttl == other->ttl && one->size == other->size &&
                                  memcmp(one->data, other->data, one->size) == 0);
}

/* The set of that type that the node has; rr_count 0: none. */
static struct rrset current_rrset(const struct edit_node *node, uint16_t type)
{
    struct rrset rrset;
    if (node->entry != NULL && name_entry_rrset(node->entry, type, &rrset))
        return rrset;
    return (struct rrset){.type = type};
}

int zone_edit_stage(struct zone_edit *edit, struct edit_node *node, const struct rrset *rrset,
                    bool *ret_changed)
{
    const struct rrset before = current_rrset(node, rrset->type);
    *ret_changed = false;
    if (rrset_equals(&before, rrset))
        return 0;
    zone_edit_unprepare(edit);
    struct name_entry *entry;
    int rc = make_entry(edit, node, &before, rrset, &entry);
    if (rc == 0 && must_keep(edit, node))
        rc = reserve_undo(edit);
    const struct change change = {.author = edit->author,
                                  .owner = node->owner,
                                  .owner_size = node->owner_size,
                                  .before = before,
                                  .after = *rrset};
    if (rc == 0)
        rc = change_list_add(&edit->changes, &change);
    if (rc < 0) {
        zone_edit_discard(edit, entry);
        return rc;
    }
    switch_entry(edit, node, entry);
    *ret_changed = true;
    return 0;
}

struct zone_edit_mark zone_edit_mark(struct zone_edit *edit)
{
    edit->is_marked = true;
    edit->marked_at = edit->changes.count;
    return (struct zone_edit_mark){.size = edit->changes.size, .count = edit->changes.count};
}

void zone_edit_rewind(struct zone_edit *edit, const struct zone_edit_mark *mark)
{
    zone_edit_unprepare(edit);
    while (edit->undo_count > 0 && edit->undo[edit->undo_count - 1].changed_at >= mark->count) {
        const struct edit_undo *undo = &edit->undo[--edit->undo_count];
        struct edit_node *node = undo->node;
        if (node->staged_at > 0)
            zone_edit_discard(edit, node->entry);
        node->entry = undo->entry;
        node->staged_at = undo->staged_at;
    }
    change_list_cut(&edit->changes, mark->size, mark->count);
    edit->marked_at = mark->count;
}

/* ---- What callers change ---- */

static bool is_single(uint16_t type)
{
    return type == KNOT_RRTYPE_SOA || type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_DNAME;
}

/* Whether a set of that type with that data may be put there at all. What depends on other sets is
 * looked at before the commit. */
static int check_rrset(const struct edit_node *node, const struct rrset *rrset)
{
    const uint16_t type = rrset->type;
    if (type == 0 || type == KNOT_RRTYPE_OPT || knot_rrtype_is_metatype(type) ||
        (type == KNOT_RRTYPE_SOA && node->owner_size > 0) ||
        (is_single(type) && rrset->rr_count > 1))
        return -EINVAL;
    if (rrset->rr_count == 0)
        return 0;
    /* A chain would begin, which edits cannot keep. */
    bool is_chain = type == KNOT_RRTYPE_NSEC || type == KNOT_RRTYPE_NSEC3 ||
                    type == KNOT_RRTYPE_NSEC3PARAM ||
                    (type == KNOT_RRTYPE_RRSIG && rrset->size >= 4 &&
                     knot_wire_read_u16(rrset->data + 2) == KNOT_RRTYPE_NSEC3);
    return is_chain ? -EPERM : 0;
}

static int make_rdata_room(struct zone_edit *edit, size_t size)
{
    if (size <= edit->rdata_room)
        return 0;
    uint8_t *rdata = realloc(edit->rdata, size);
    if (rdata == NULL)
        return -ENOMEM;
    edit->rdata = rdata;
    edit->rdata_room = size;
    return 0;
}

static size_t record_size(const uint8_t *record)
{
    return 2 + (size_t)knot_wire_read_u16(record);
}

static int record_compare(const uint8_t *one, const uint8_t *other, uint16_t type)
{
    return rdata_compare(type, one + 2, record_size(one) - 2, other + 2, record_size(other) - 2);
}

static int sorted_compare(const void *one, const void *other, void *type)
{
    const uint8_t *const *a = one, *const *b = other;
    return record_compare(*a, *b, *(const uint16_t *)type);
}

static bool is_sorted(const struct rrset *rrset)
{
    const uint8_t *at = rrset->data;
    for (unsigned left = rrset->rr_count; left > 1; left--) {
        const uint8_t *next = at + record_size(at);
        if (record_compare(at, next, rrset->type) >= 0)
            return false;
        at = next;
    }
    return true;
}

/* Brings the records into the order in which a built zone has them, each once. */
static int sort_rrset(struct zone_edit *edit, struct rrset *rrset)
{
    if (is_sorted(rrset))
        return 0;
    int rc = make_rdata_room(edit, rrset->size);
    const uint8_t **records = calloc(rrset->rr_count, sizeof(uint8_t *));
    if (rc < 0 || records == NULL) {
        free(records);
        return -ENOMEM;
    }
    const uint8_t *from = rrset->data;
    for (unsigned i = 0; i < rrset->rr_count; i++, from += record_size(from))
        records[i] = from;
    uint16_t type = rrset->type;
    qsort_r(records, rrset->rr_count, sizeof(*records), sorted_compare, &type);
    uint8_t *to = edit->rdata;
    uint16_t kept = 0;
    for (unsigned i = 0; i < rrset->rr_count; i++) {
        if (kept > 0 && record_compare(records[i - 1], records[i], type) == 0)
            continue;
        memcpy(to, records[i], record_size(records[i]));
        to += record_size(records[i]);
        kept++;
    }
    free(records);
    rrset->data = edit->rdata;
    rrset->size = (uint32_t)(to - edit->rdata);
    rrset->rr_count = kept;
    return 0;
}

static int put_at(struct zone_edit *edit, struct edit_node *node, const struct rrset *rrset)
{
    struct rrset sorted = *rrset;
    bool changed;
    int rc = check_rrset(node, rrset);
    if (rc == 0)
        rc = sort_rrset(edit, &sorted);
    return rc < 0 ? rc : zone_edit_stage(edit, node, &sorted, &changed);
}

int zone_edit_put(struct zone_edit *edit, const struct name *owner, const struct rrset *rrset)
{
    struct edit_node *node;
    int rc = node_of(edit, owner, &node);
    return rc < 0 ? rc : put_at(edit, node, rrset);
}

/* Octets of a message that holds a question of the longest name and these records, whose owner is
 * that name. */
static size_t message_size(const struct rrset *rrset)
{
    return 12 + NAME_SIZE_MAX + 4 + (size_t)rrset->rr_count * (2 + 2 + 2 + 4) + rrset->size;
}

/* Where a record is in a set, or where it belongs. */
struct record_place {
    size_t at, size; /* octets from the set's beginning; size 0: it is not there */
};

static struct record_place find_record(const struct rrset *rrset, const uint8_t *rdata,
                                       uint16_t rdata_size)
{
    struct record_place place = {.at = rrset->size};
    size_t at = 0;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        size_t size = record_size(rrset->data + at);
        int order = rdata_compare(rrset->type, rrset->data + at + 2, size - 2, rdata, rdata_size);
        if (order == 0)
            return (struct record_place){.at = at, .size = size};
        if (order > 0 && place.at == rrset->size)
            place.at = at;
        at += size;
    }
    return place;
}

/* Copies the set with `size` octets at `at` replaced by a record; NULL rdata: by nothing. */
static int splice(struct zone_edit *edit, const struct rrset *rrset, struct record_place place,
                  const uint8_t *rdata, uint16_t rdata_size)
{
    int rc = make_rdata_room(edit, (size_t)rrset->size + 2 + rdata_size);
    if (rc < 0)
        return rc;
    uint8_t *to = edit->rdata;
    if (place.at > 0)
        memcpy(to, rrset->data, place.at);
    to += place.at;
    if (rdata != NULL) {
        knot_wire_write_u16(to, rdata_size);
        memcpy(to + 2, rdata, rdata_size);
        to += 2 + (size_t)rdata_size;
    }
    size_t behind = place.at + place.size;
    if (rrset->size > behind)
        memcpy(to, rrset->data + behind, rrset->size - behind);
    return 0;
}

int zone_edit_add(struct zone_edit *edit, const struct name *owner, uint16_t type, uint32_t ttl_s,
                  const uint8_t *rdata, uint16_t rdata_size, bool *ret_changed)
{
    struct edit_node *node;
    int rc = node_of(edit, owner, &node);
    if (rc < 0)
        return rc;
    const struct rrset before = current_rrset(node, type);
    struct rrset after = before;
    after.ttl = ttl_s;
    struct record_place place = find_record(&before, rdata, rdata_size);
    if (place.size == 0) {
        if (is_single(type)) /* RFC 2136, 3.4.2.2: it is replaced */
            place = (struct record_place){.size = before.size};
        rc = splice(edit, &before, place, rdata, rdata_size);
        if (rc < 0)
            return rc;
        after.size = before.size - (uint32_t)place.size + 2 + rdata_size;
        after.data = edit->rdata;
        if (message_size(&after) + 2 + 2 + 2 + 4 > UINT16_MAX)
            return -E2BIG;
        after.rr_count = is_single(type) ? 1 : (uint16_t)(before.rr_count + 1);
    }
    rc = check_rrset(node, &after);
    return rc < 0 ? rc : zone_edit_stage(edit, node, &after, ret_changed);
}

int zone_edit_remove(struct zone_edit *edit, const struct name *owner, uint16_t type,
                     const uint8_t *rdata, uint16_t rdata_size, bool *ret_changed)
{
    struct edit_node *node;
    int rc = node_of(edit, owner, &node);
    if (rc < 0)
        return rc;
    const struct rrset before = current_rrset(node, type);
    const struct record_place place = find_record(&before, rdata, rdata_size);
    *ret_changed = false;
    if (place.size == 0)
        return 0;
    rc = splice(edit, &before, place, NULL, 0);
    if (rc < 0)
        return rc;
    struct rrset after = before;
    after.rr_count--;
    after.size -= (uint32_t)place.size;
    after.data = edit->rdata;
    return zone_edit_stage(edit, node, &after, ret_changed);
}

uint32_t zone_edit_serial(const struct zone_edit *edit)
{
    struct rrset soa;
    const struct name_entry *apex = zone_edit_find(edit, &edit->data->apex);
    if (apex == NULL || !name_entry_rrset(apex, KNOT_RRTYPE_SOA, &soa))
        return edit->data->soa.serial;
    return knot_wire_read_u32(soa.data + soa.size - 20);
}

int zone_edit_set_serial(struct zone_edit *edit, uint32_t serial)
{
    struct edit_node *node;
    int rc = node_of(edit, &edit->data->apex, &node);
    if (rc < 0)
        return rc;
    struct rrset soa = current_rrset(node, KNOT_RRTYPE_SOA);
    if (soa.rr_count == 0)
        return -EINVAL;
    rc = make_rdata_room(edit, soa.size);
    if (rc < 0)
        return rc;
    memcpy(edit->rdata, soa.data, soa.size);
    knot_wire_write_u32(edit->rdata + soa.size - 20, serial); /* the first of five numbers */
    soa.data = edit->rdata;
    bool changed;
    return zone_edit_stage(edit, node, &soa, &changed);
}

/* ---- Changes made elsewhere ---- */

static int apply_change(struct zone_edit *edit, const struct change *change, bool is_backward,
                        struct error *ret_error)
{
    uint8_t wire[UINT8_MAX + NAME_SIZE_MAX];
    struct name owner;
    memcpy(wire, change->owner, change->owner_size);
    memcpy(wire + change->owner_size, edit->data->apex.wire, edit->data->apex.size);
    if (name_parse(&owner, wire, (size_t)change->owner_size + edit->data->apex.size) < 0)
        return error_set(ret_error, -EBADMSG, "an owner too long for the zone");
    struct edit_node *node;
    int rc = node_of(edit, &owner, &node);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");

    const struct rrset *before = is_backward ? &change->after : &change->before;
    const struct rrset *after = is_backward ? &change->before : &change->after;
    const struct rrset current = current_rrset(node, before->type);
    if (!rrset_equals(&current, before))
        return error_set(ret_error, -EBADMSG,
                         "the zone does not have the records that the changes begin with");
    edit->author = change->author;
    rc = put_at(edit, node, after);
    return rc == 0 ? 0
                   : error_set(ret_error, rc,
                               rc == -ENOMEM  ? "out of memory"
                               : rc == -EPERM ? "the changes sign the zone"
                                              : "the changes make records that no zone can hold");
}

static int apply_forward(struct zone_edit *edit, const uint8_t *octets, size_t size,
                         struct error *ret_error)
{
    struct change change;
    int rc = 0;
    for (size_t at = 0; rc == 0 && change_list_next(octets, size, &at, &change);)
        rc = apply_change(edit, &change, false, ret_error);
    return rc;
}

static int apply_backward(struct zone_edit *edit, const uint8_t *octets, size_t size,
                          struct error *ret_error)
{
    struct change change;
    size_t count = 0;
    for (size_t at = 0; change_list_next(octets, size, &at, &change);)
        count++;
    size_t *places = calloc(count + 1, sizeof(*places));
    if (places == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        places[i + 1] = places[i];
        (void)change_list_next(octets, size, &places[i + 1], &change);
    }
    int rc = 0;
    while (rc == 0 && count > 0) {
        size_t at = places[--count];
        (void)change_list_next(octets, size, &at, &change);
        rc = apply_change(edit, &change, true, ret_error);
    }
    free(places);
    return rc;
}

int zone_edit_apply(struct zone_edit *edit, const uint8_t *octets, size_t size, bool is_backward,
                    struct error *ret_error)
{
    return is_backward ? apply_backward(edit, octets, size, ret_error)
                       : apply_forward(edit, octets, size, ret_error);
}
