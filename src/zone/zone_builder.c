/* From records in any order to one generation of a zone.
 *
 * Records are collected by owner in a scratch hash table. Finishing adds the empty non-terminals
 * (RFC 4592, 2.2.2), marks what a cut or a DNAME occludes, sorts each owner's records into record
 * sets, and copies all of it, packed, into the arena of the new generation.
 */
#include <assert.h>
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/rdata.h"
#include "zone/arena.h"
#include "zone/nsec_chain.h"
#include "zone/zone_data.h"
#include "zone/zone_data_internal.h"

/* Chunks of the scratch arena: each is a mapping of its own, which goes back to the system as a
 * whole when the zone is built, and of which a small zone touches a few pages. */
#define CHUNK_SIZE ((size_t)1024 * 1024)

/* A record set's count is a 16-bit field in every message that could carry it (RFC 1035, 4.1.1). */
#define RECORDS_PER_OWNER_MAX 65535u

struct record {
    struct record *next;
    uint32_t ttl_s;
    uint16_t type;
    uint16_t rdata_size;
    uint8_t rdata[];
};

enum node_flag {
    NODE_CNAME = 1 << 0,
    NODE_DNAME = 1 << 1,
    NODE_SOA = 1 << 2,
    NODE_NS = 1 << 3,
    NODE_OTHER = 1 << 4,     /* what cannot stand beside a CNAME */
    NODE_ADDRESSES = 1 << 5, /* A or AAAA */
    NODE_MORE = 1 << 6,      /* anything but A and AAAA */
};

struct node {
    uint64_t hash;
    struct record *first, **last;
    uint32_t record_count;
    uint16_t flags;       /* enum node_flag */
    uint16_t entry_flags; /* enum entry_flag, set when finishing */
    uint8_t owner_size;
    uint8_t owner[];
};

/* Owners seen so far: a vector in order of arrival, and a hash of the same nodes. */
struct node_set {
    struct node **nodes;
    size_t count, room;
    struct node **slots;
    size_t capacity; /* a power of two, at least twice the count */
};

struct zone_builder {
    struct name apex;
    struct arena *scratch;
    struct node_set names;
    struct node_set
        nsec3;         /* NSEC3 owners live apart: as names they do not exist (RFC 5155, 7.2.8) */
    struct node *last; /* records of one owner mostly come in a row */
    uint64_t record_count;
};

int zone_builder_create(const uint8_t *apex, struct zone_builder **ret_builder)
{
    _cleanup_(zone_builder_freep) struct zone_builder *builder = calloc(1, sizeof(*builder));
    if (builder == NULL)
        return -ENOMEM;
    builder->scratch = arena_create(CHUNK_SIZE);
    if (builder->scratch == NULL)
        return -ENOMEM;
    int rc = name_parse(&builder->apex, apex, NAME_SIZE_MAX);
    if (rc < 0)
        return rc;
    *ret_builder = TAKE(builder);
    return 0;
}

static void node_set_clear(struct node_set *set)
{
    free(set->nodes);
    free(set->slots);
    *set = (struct node_set){0};
}

void zone_builder_free(struct zone_builder *builder)
{
    if (builder == NULL)
        return;
    arena_free(builder->scratch);
    node_set_clear(&builder->names);
    node_set_clear(&builder->nsec3);
    free(builder);
}

uint64_t zone_builder_record_count(const struct zone_builder *builder)
{
    return builder->record_count;
}

/* ---- The scratch set of owners ---- */

static struct node *node_set_find(const struct node_set *set, uint64_t hash, const uint8_t *owner,
                                  size_t owner_size)
{
    if (set->capacity == 0)
        return NULL;
    for (size_t i = hash & (set->capacity - 1);; i = (i + 1) & (set->capacity - 1)) {
        struct node *node = set->slots[i];
        if (node == NULL)
            return NULL;
        if (node->hash == hash && node->owner_size == owner_size &&
            memcmp(node->owner, owner, owner_size) == 0)
            return node;
    }
}

static void node_set_place(struct node_set *set, struct node *node)
{
    size_t i = node->hash & (set->capacity - 1);
    while (set->slots[i] != NULL)
        i = (i + 1) & (set->capacity - 1);
    set->slots[i] = node;
}

static int node_set_grow(struct node_set *set)
{
    size_t room = set->room == 0 ? 64 : set->room * 2;
    struct node **nodes = reallocarray(set->nodes, room, sizeof(struct node *));
    if (nodes == NULL)
        return -ENOMEM;
    set->nodes = nodes;

    struct node **slots = calloc(room * 2, sizeof(struct node *));
    if (slots == NULL)
        return -ENOMEM;
    free(set->slots);
    set->slots = slots;
    set->capacity = room * 2;
    set->room = room;
    for (size_t i = 0; i < set->count; i++)
        node_set_place(set, set->nodes[i]);
    return 0;
}

static int node_set_add(struct node_set *set, struct arena *scratch, uint64_t hash,
                        const uint8_t *owner, size_t owner_size, struct node **ret_node)
{
    if (set->count == set->room) {
        int rc = node_set_grow(set);
        if (rc < 0)
            return rc;
    }
    struct node *node = arena_alloc(scratch, sizeof(*node) + owner_size);
    if (node == NULL)
        return -ENOMEM;
    *node = (struct node){.hash = hash, .owner_size = (uint8_t)owner_size};
    node->last = &node->first;
    memcpy(node->owner, owner, owner_size);
    set->nodes[set->count++] = node;
    node_set_place(set, node);
    *ret_node = node;
    return 0;
}

/* ---- Adding records ---- */

static bool is_nsec3_record(uint16_t type, const uint8_t *rdata, uint16_t rdata_size)
{
    if (type == KNOT_RRTYPE_NSEC3)
        return true;
    return type == KNOT_RRTYPE_RRSIG && rdata_size >= 2 &&
           knot_wire_read_u16(rdata) == KNOT_RRTYPE_NSEC3;
}

static uint16_t node_flags_of(uint16_t type)
{
    switch (type) {
    case KNOT_RRTYPE_A:
    case KNOT_RRTYPE_AAAA:
        return NODE_ADDRESSES | NODE_OTHER;
    case KNOT_RRTYPE_CNAME:
        return NODE_CNAME | NODE_MORE;
    case KNOT_RRTYPE_DNAME:
        return NODE_DNAME | NODE_OTHER | NODE_MORE;
    case KNOT_RRTYPE_SOA:
        return NODE_SOA | NODE_OTHER | NODE_MORE;
    case KNOT_RRTYPE_NS:
        return NODE_NS | NODE_OTHER | NODE_MORE;
    case KNOT_RRTYPE_RRSIG: /* these stand beside a CNAME (RFC 4034, 3 and 4) */
    case KNOT_RRTYPE_NSEC:
        return NODE_MORE;
    default:
        return NODE_OTHER | NODE_MORE;
    }
}

static const struct record *node_record(const struct node *node, uint16_t type)
{
    for (const struct record *record = node->first; record != NULL; record = record->next) {
        if (record->type == type)
            return record;
    }
    return NULL;
}

/* Whether the record may stand beside what its owner already has; *ret_duplicate when it is there
 * already. */
static int record_check(const struct node *node, uint16_t type, const uint8_t *rdata,
                        uint16_t rdata_size, bool *ret_duplicate, struct error *ret_error)
{
    *ret_duplicate = false;
    bool single = type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_DNAME || type == KNOT_RRTYPE_SOA;
    if (single && (node->flags & node_flags_of(type) & (NODE_CNAME | NODE_DNAME | NODE_SOA)) != 0) {
        const struct record *there = node_record(node, type);
        if (rdata_compare(type, there->rdata, there->rdata_size, rdata, rdata_size) == 0) {
            *ret_duplicate = true;
            return 0;
        }
        return error_set(ret_error, -EINVAL,
                         "a second %s with other data at one owner: keep one of them",
                         type == KNOT_RRTYPE_CNAME   ? "CNAME"
                         : type == KNOT_RRTYPE_DNAME ? "DNAME"
                                                     : "SOA");
    }
    bool cname_clash = (type == KNOT_RRTYPE_CNAME && (node->flags & NODE_OTHER) != 0) ||
                       ((node->flags & NODE_CNAME) != 0 && (node_flags_of(type) & NODE_OTHER) != 0);
    if (cname_clash)
        return error_set(ret_error, -EINVAL,
                         "a CNAME beside other data (RFC 2181, 10.1): remove one of them");
    return 0;
}

/* The relative owner: octets of `name` in front of the apex; -ERANGE outside the zone. */
static int owner_in_zone(const struct name *apex, const struct name *name, size_t *ret_size)
{
    if (name->label_count < apex->label_count)
        return -ERANGE;
    size_t first = (size_t)name->label_count - apex->label_count;
    size_t size = name->offsets[first];
    if (name->hashes[first] != apex->hashes[0] ||
        memcmp(name->wire + size, apex->wire, apex->size) != 0)
        return -ERANGE;
    *ret_size = size;
    return 0;
}

static int builder_node(struct zone_builder *builder, struct node_set *set, const struct name *name,
                        size_t owner_size, struct node **ret_node)
{
    struct node *node = node_set_find(set, name->hashes[0], name->wire, owner_size);
    if (node == NULL)
        return node_set_add(set, builder->scratch, name->hashes[0], name->wire, owner_size,
                            ret_node);
    *ret_node = node;
    return 0;
}

int zone_builder_add(struct zone_builder *builder, const uint8_t *owner, uint16_t type,
                     uint32_t ttl_s, const uint8_t *rdata, uint16_t rdata_size,
                     struct error *ret_error)
{
    struct name name;
    size_t owner_size;
    if (name_parse(&name, owner, NAME_SIZE_MAX) < 0)
        return error_set(ret_error, -EINVAL, "a malformed owner name");
    if (owner_in_zone(&builder->apex, &name, &owner_size) < 0)
        return error_set(ret_error, -ERANGE,
                         "an owner outside of the zone: check the name or the $ORIGIN before it");
    if (type == 0 || knot_rrtype_is_metatype(type) || type == KNOT_RRTYPE_OPT)
        return error_set(ret_error, -EINVAL, "type %u cannot stand in a zone", type);
    if (type == KNOT_RRTYPE_SOA && owner_size != 0)
        return error_set(ret_error, -EINVAL, "a SOA that is not at the zone's apex: remove it");
    if (!rdata_is_valid(type, rdata, rdata_size))
        return error_set(ret_error, -EINVAL, "malformed record data");

    struct node_set *set =
        is_nsec3_record(type, rdata, rdata_size) ? &builder->nsec3 : &builder->names;
    struct node *node = builder->last;
    bool repeated = set == &builder->names && node != NULL && node->hash == name.hashes[0] &&
                    node->owner_size == owner_size &&
                    memcmp(node->owner, name.wire, owner_size) == 0;
    if (!repeated) {
        int rc = builder_node(builder, set, &name, owner_size, &node);
        if (rc < 0)
            return error_set(ret_error, rc, "out of memory");
        if (set == &builder->names)
            builder->last = node;
    }

    bool duplicate;
    int rc = record_check(node, type, rdata, rdata_size, &duplicate, ret_error);
    if (rc < 0 || duplicate)
        return rc;
    if (node->record_count == RECORDS_PER_OWNER_MAX)
        return error_set(ret_error, -EINVAL, "more than %u records at one owner",
                         RECORDS_PER_OWNER_MAX);

    struct record *record = arena_alloc(builder->scratch, sizeof(*record) + rdata_size);
    if (record == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    *record = (struct record){.ttl_s = ttl_s, .type = type, .rdata_size = rdata_size};
    if (rdata_size > 0)
        memcpy(record->rdata, rdata, rdata_size);
    *node->last = record;
    node->last = &record->next;
    node->record_count++;
    node->flags |= node_flags_of(type);
    builder->record_count++;
    return 0;
}

/* ---- Finishing ---- */

/* Makes an owner of every name between an owner and the apex (RFC 4592, 2.2.2). */
static int add_empty_non_terminals(struct zone_builder *builder)
{
    for (size_t i = 0; i < builder->names.count;
         i++) { /* the vector grows; what is new has its own turn */
        const struct node *node = builder->names.nodes[i];
        if (node->owner_size == 0)
            continue;
        size_t parent = (size_t)node->owner[0] + 1;
        if (parent == node->owner_size)
            continue; /* directly below the apex */

        uint8_t full[NAME_SIZE_MAX];
        size_t parent_size = node->owner_size - parent;
        memcpy(full, node->owner + parent, parent_size);
        memcpy(full + parent_size, builder->apex.wire, builder->apex.size);
        struct name name;
        int rc = name_parse(&name, full, sizeof(full));
        assert(rc > 0);
        struct node *made;
        rc = builder_node(builder, &builder->names, &name, parent_size, &made);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Flags that depend on other owners: what is below a cut or DNAME, and who has a wildcard child. */
static void flag_nodes(struct zone_builder *builder)
{
    struct node_set *set = &builder->names;
    for (size_t i = 0; i < set->count; i++) {
        struct node *node = set->nodes[i];
        if (node->owner_size == 0)
            node->entry_flags |= ENTRY_APEX;
        else if ((node->flags & NODE_NS) != 0)
            node->entry_flags |= ENTRY_CUT;
        if ((node->flags & NODE_DNAME) != 0)
            node->entry_flags |= ENTRY_DNAME;
        if ((node->flags & NODE_CNAME) != 0)
            node->entry_flags |= ENTRY_CNAME;
        if ((node->flags & NODE_ADDRESSES) != 0 && (node->flags & NODE_MORE) == 0)
            node->entry_flags |= ENTRY_ADDRESSES_ONLY;
    }

    for (size_t i = 0; i < set->count; i++) {
        struct node *node = set->nodes[i];
        if (node->owner_size == 0)
            continue;

        uint8_t full[NAME_SIZE_MAX];
        memcpy(full, node->owner, node->owner_size);
        memcpy(full + node->owner_size, builder->apex.wire, builder->apex.size);
        struct name name;
        int rc = name_parse(&name, full, sizeof(full));
        assert(rc > 0);
        (void)rc;

        /* From the apex downwards: the topmost cut or DNAME is the one that occludes. */
        size_t below_apex = (size_t)name.label_count - builder->apex.label_count;
        for (size_t label = below_apex; label >= 1; label--) {
            size_t offset = name.offsets[label];
            struct node *ancestor = node_set_find(set, name.hashes[label], name.wire + offset,
                                                  node->owner_size - offset);
            assert(ancestor != NULL);
            if (label == 1 && node->owner[0] == 1 && node->owner[1] == '*')
                ancestor->entry_flags |= ENTRY_WILDCARD_CHILD;
            if ((node->entry_flags & ENTRY_BELOW_CUT) != 0)
                continue;
            if ((ancestor->entry_flags & (ENTRY_CUT | ENTRY_DNAME)) != 0)
                node->entry_flags |= ENTRY_BELOW_CUT;
        }
    }
}

/* A record with its place of arrival, for sorting: the last TTL of a set counts. */
struct sorted_record {
    const struct record *record;
    uint32_t sequence;
};

static int sorted_record_compare(const void *one, const void *other)
{
    const struct sorted_record *a = one, *b = other;
    if (a->record->type != b->record->type)
        return a->record->type < b->record->type ? -1 : 1;
    int order = rdata_compare(a->record->type, a->record->rdata, a->record->rdata_size,
                              b->record->rdata, b->record->rdata_size);
    return order != 0 ? order : (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

/* Sorts, drops duplicates; returns how many are left and the octets their record sets take. */
static size_t sort_records(const struct node *node, struct sorted_record *sorted, size_t *ret_size,
                           uint16_t *ret_rrset_count)
{
    size_t count = 0;
    for (const struct record *record = node->first; record != NULL; record = record->next) {
        sorted[count] = (struct sorted_record){.record = record, .sequence = (uint32_t)count};
        count++;
    }
    if (count > 1)
        qsort(sorted, count, sizeof(*sorted), sorted_record_compare);

    size_t kept = 0, size = 0;
    uint16_t rrset_count = 0;
    for (size_t i = 0; i < count; i++) {
        const struct record *record = sorted[i].record;
        bool same_set = kept > 0 && sorted[kept - 1].record->type == record->type;
        if (same_set) {
            struct sorted_record *before = &sorted[kept - 1];
            if (rdata_compare(record->type, before->record->rdata, before->record->rdata_size,
                              record->rdata, record->rdata_size) == 0)
                continue;
        } else {
            size += sizeof(struct rrset_header);
            rrset_count++;
        }
        sorted[kept++] = sorted[i];
        size += 2 + (size_t)record->rdata_size;
    }
    *ret_size = size;
    *ret_rrset_count = rrset_count;
    return kept;
}

static uint8_t *write_rrsets(uint8_t *at, const struct sorted_record *sorted, size_t count)
{
    for (size_t i = 0; i < count;) {
        const struct record *first = sorted[i].record;
        struct rrset_header header = {.type = first->type, .ttl = first->ttl_s};
        uint32_t latest = sorted[i].sequence;
        uint8_t *header_at = at;
        at += sizeof(header);
        for (; i < count && sorted[i].record->type == header.type; i++) {
            const struct record *record = sorted[i].record;
            if (sorted[i].sequence > latest) {
                latest = sorted[i].sequence;
                header.ttl = record->ttl_s;
            }
            knot_wire_write_u16(at, record->rdata_size);
            memcpy(at + 2, record->rdata, record->rdata_size);
            at += 2 + (size_t)record->rdata_size;
            header.rr_count++;
        }
        header.size = (uint32_t)(at - header_at - sizeof(header));
        memcpy(header_at, &header, sizeof(header));
    }
    return at;
}

/* Copies a node, packed, into the generation's arena. `scratch` has room for all its records. */
static int emit_node(struct zone_data *data, const struct node *node, struct sorted_record *scratch,
                     struct name_entry **ret_entry)
{
    size_t rrsets_size;
    uint16_t rrset_count;
    size_t count = sort_records(node, scratch, &rrsets_size, &rrset_count);

    struct name_entry *entry =
        arena_alloc(data->arena, sizeof(*entry) + node->owner_size + rrsets_size);
    if (entry == NULL)
        return -ENOMEM;
    entry->flags = node->entry_flags;
    entry->rrset_count = rrset_count;
    entry->owner_size = node->owner_size;
    memcpy(entry->owner, node->owner, node->owner_size);
    write_rrsets(entry->owner + node->owner_size, scratch, count);
    data->record_count += count;
    if (rrset_count > 0)
        data->name_count++;
    *ret_entry = entry;
    return 0;
}

static uint8_t relative_depth(const struct node *node)
{
    uint8_t depth = 0;
    for (size_t at = 0; at < node->owner_size; at += (size_t)node->owner[at] + 1)
        depth++;
    return depth;
}

static int check_apex(const struct zone_builder *builder, struct error *ret_error)
{
    const struct node *apex =
        node_set_find(&builder->names, builder->apex.hashes[0], builder->apex.wire, 0);
    if (apex == NULL || (apex->flags & NODE_SOA) == 0)
        return error_set(ret_error, -EINVAL, "no SOA at the zone's apex: add one");
    if ((apex->flags & NODE_NS) == 0)
        return error_set(ret_error, -EINVAL,
                         "no NS at the zone's apex: add the zone's name servers");
    return 0;
}

int zone_builder_finish(struct zone_builder *builder, struct zone_data **ret_data,
                        struct error *ret_error)
{
    int rc = check_apex(builder, ret_error);
    if (rc < 0)
        return rc;

    _cleanup_(zone_data_freep) struct zone_data *data = NULL;
    rc = add_empty_non_terminals(builder);
    if (rc == 0)
        rc = zone_data_allocate(&builder->apex, builder->names.count, &data);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");
    flag_nodes(builder);

    uint32_t records_max = 1;
    for (size_t i = 0; i < builder->names.count; i++) {
        if (builder->names.nodes[i]->record_count > records_max)
            records_max = builder->names.nodes[i]->record_count;
    }
    for (size_t i = 0; i < builder->nsec3.count; i++) {
        if (builder->nsec3.nodes[i]->record_count > records_max)
            records_max = builder->nsec3.nodes[i]->record_count;
    }
    struct sorted_record *scratch = calloc(records_max, sizeof(*scratch));
    if (scratch == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    for (size_t i = 0; i < builder->names.count && rc == 0; i++) {
        const struct node *node = builder->names.nodes[i];
        struct name_entry *entry;
        rc = emit_node(data, node, scratch, &entry);
        if (rc < 0)
            break;
        name_table_insert(data->table, node->hash, entry, false);
        data->entry_count++;
        if (node->owner_size == 0)
            data->apex_entry = entry;
        uint8_t depth = relative_depth(node);
        if (depth > data->depth_max)
            data->depth_max = depth;
    }

    const struct name_entry **nsec3_entries = NULL;
    if (rc == 0 && builder->nsec3.count > 0) {
        nsec3_entries = calloc(builder->nsec3.count, sizeof(*nsec3_entries));
        if (nsec3_entries == NULL)
            rc = -ENOMEM;
        uint64_t names_before = data->name_count;
        for (size_t i = 0; i < builder->nsec3.count && rc == 0; i++) {
            struct name_entry *entry = NULL;
            rc = emit_node(data, builder->nsec3.nodes[i], scratch, &entry);
            nsec3_entries[i] = entry;
        }
        data->name_count = names_before;
    }
    free(scratch);
    if (rc == 0)
        rc = zone_data_take_apex(data);
    if (rc == 0)
        rc = zone_data_link_chain(data, nsec3_entries, builder->nsec3.count);
    free(nsec3_entries);
    if (rc < 0)
        return error_set(ret_error, rc, "out of memory");

    arena_trim(data->arena);
    zone_data_measure(data);
    *ret_data = TAKE(data);
    return 0;
}
