/* What else an order would touch: one walk over every name of every zone.
 *
 * What is kept grows with the order, never with the zones: the addresses of listed names are
 * collected first, then each other name is only held against them.
 */
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "order/order_scope.h"
#include "order/rehearsal_internal.h"
#include "zone/answer.h"

struct sharing {
    uint64_t listed, unlisted;
};

struct collateral {
    struct rehearsal *rehearsal;
    unsigned labels_min; /* of the shortest listed name */
    struct address_table addresses;
    struct sharing *sharing; /* of each address */
    size_t sharing_room;
};

/* ---- Addresses of listed names ---- */

static int count_listed(struct collateral *collateral, const struct address *address)
{
    size_t index;

    int rc = address_table_add(&collateral->addresses, address, &index);
    if (rc < 0)
        return rc;
    if (index >= collateral->sharing_room) {
        size_t room = collateral->addresses.room;
        struct sharing *sharing = reallocarray(collateral->sharing, room, sizeof(*sharing));
        if (sharing == NULL)
            return -ENOMEM;
        memset(sharing + collateral->sharing_room, 0,
               (room - collateral->sharing_room) * sizeof(*sharing));
        collateral->sharing = sharing;
        collateral->sharing_room = room;
    }
    collateral->sharing[index].listed++;
    return 0;
}

static bool is_address_set(const struct rrset *rrset)
{
    return rrset->type == KNOT_RRTYPE_A || rrset->type == KNOT_RRTYPE_AAAA;
}

static int collect_addresses(struct collateral *collateral, const struct name_entry *entry)
{
    const uint8_t *at = name_entry_rrsets(entry);
    struct rrset rrset;

    for (unsigned left = entry->rrset_count; left > 0; left--) {
        at = rrset_read(&rrset, at);
        const uint8_t *record = rrset.data;
        for (unsigned records = rrset.rr_count; is_address_set(&rrset) && records > 0; records--) {
            uint16_t size = knot_wire_read_u16(record);
            struct address address = address_of(record + 2, size);
            record += 2 + size;
            int rc = count_listed(collateral, &address);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* The wildcard that answers for a name which does not exist. */
static const struct name_entry *find_wildcard(const struct zone_data *data, const struct name *name)
{
    size_t apex = (size_t)name->label_count - data->apex.label_count;
    uint8_t owner[2 + NAME_SIZE_MAX] = {1, '*'};
    struct name wildcard;

    for (size_t label = 1; label <= apex; label++) {
        const struct name_entry *encloser = zone_data_find_suffix(data, name, label).entry;
        if (encloser == NULL)
            continue;
        size_t offset = name->offsets[label];
        memcpy(owner + 2, name->wire + offset, name->size - offset);
        if (name_parse(&wildcard, owner, sizeof(owner)) < 0)
            return NULL;
        return zone_data_find(data, &wildcard).entry;
    }
    return NULL;
}

static int collect_of_names(struct collateral *collateral)
{
    const struct rehearsal *rehearsal = collateral->rehearsal;
    const struct order_names *names = &rehearsal->order->names;
    struct name name;

    collateral->labels_min = NAME_LABELS_MAX;
    for (size_t i = 0; i < names->count; i++) {
        const struct zone *zone =
            order_scope_zone(rehearsal->zones, order_names_at(names, i), &name);
        if (name.label_count < collateral->labels_min)
            collateral->labels_min = name.label_count;
        const struct name_entry *entry = NULL;
        if (rehearsal->names[i].state == LISTED_LIVE)
            entry = zone_data_find(zone->data, &name).entry;
        else if (rehearsal->names[i].state == LISTED_WILDCARDED)
            entry = find_wildcard(zone->data, &name);
        int rc = entry != NULL ? collect_addresses(collateral, entry) : 0;
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Names that only a subtree covers; listed ones are collected by then. */
static int collect_of_subtrees(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    struct collateral *collateral = context;
    struct rehearsal *rehearsal = collateral->rehearsal;
    struct order_listing listing;
    struct name name;

    if (name_parse(&name, owner, NAME_SIZE_MAX) < 0 ||
        !rehearsal_covers(rehearsal, &name, &listing) || listing.subtree == SIZE_MAX ||
        (entry->flags & ENTRY_BELOW_CUT) != 0)
        return 0;
    struct rehearsed_subtree *subtree = &rehearsal->subtrees[listing.subtree];
    subtree->names++;
    subtree->cuts += (entry->flags & ENTRY_CUT) != 0;
    subtree->apexes += (entry->flags & ENTRY_APEX) != 0;
    return listing.name == SIZE_MAX ? collect_addresses(collateral, entry) : 0;
}

/* ---- References ---- */

/* The kind of a record type, and where in its rdata the other name is; false: it has none that
 * matters. */
static bool reference_of(uint16_t type, enum reference_kind *ret_kind, size_t *ret_offset)
{
    static const struct {
        uint16_t type;
        enum reference_kind kind;
        size_t offset;
    } kinds[] = {
        {KNOT_RRTYPE_NS, REFERENCE_NS, 0},       {KNOT_RRTYPE_CNAME, REFERENCE_CNAME, 0},
        {KNOT_RRTYPE_DNAME, REFERENCE_DNAME, 0}, {KNOT_RRTYPE_MX, REFERENCE_MX, 2},
        {KNOT_RRTYPE_SRV, REFERENCE_SRV, 6},     {KNOT_RRTYPE_SVCB, REFERENCE_SVCB, 2},
        {KNOT_RRTYPE_HTTPS, REFERENCE_HTTPS, 2},
    };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (kinds[i].type == type) {
            *ret_kind = kinds[i].kind;
            *ret_offset = kinds[i].offset;
            return true;
        }
    }
    return false;
}

/* Follows aliases that exist from `name` on to the first name that the order is for. */
static bool leads_to_listed(const struct rehearsal *rehearsal, struct name *name,
                            struct order_listing *ret_listing)
{
    for (unsigned hops = 0; hops < CHAIN_MAX; hops++) {
        if (rehearsal_covers(rehearsal, name, ret_listing))
            return true;
        struct rrset rrset;
        const struct zone *zone = zone_set_find(rehearsal->zones, name, 0);
        const struct name_entry *entry =
            zone != NULL ? zone_data_find(zone->data, name).entry : NULL;
        if (entry == NULL || (entry->flags & ENTRY_CNAME) == 0 ||
            (entry->flags & ENTRY_BELOW_CUT) != 0 ||
            !name_entry_rrset(entry, KNOT_RRTYPE_CNAME, &rrset) ||
            name_parse(name, rrset.data + 2, knot_wire_read_u16(rrset.data)) < 0)
            return false;
    }
    return false;
}

/* What is asked for below a DNAME's owner is looked for below its target. */
static bool target_holds_listed(const struct rehearsal *rehearsal, const struct name *target,
                                size_t *ret_index)
{
    const struct order_names *names = &rehearsal->order->names;

    for (size_t i = order_names_lower_bound(names, target->wire); i < names->count; i++) {
        const uint8_t *wire = order_names_at(names, i);
        if (knot_dname_in_bailiwick(wire, target->wire) < 0)
            return false;
        if (rehearsal_name_blocks(rehearsal, i) && !knot_dname_is_equal(wire, target->wire)) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

static int compare_examples(const struct rehearsed_reference *one,
                            const struct rehearsed_reference *other)
{
    if (one->kind != other->kind)
        return one->kind < other->kind ? -1 : 1;
    int owners = knot_dname_cmp(one->owner, other->owner);
    return owners != 0 ? owners : knot_dname_cmp(one->target, other->target);
}

/* Keeps the first in the order of kind and name, so that a run shows what the last one showed. */
static void keep_example(struct rehearsal *rehearsal, enum reference_kind kind,
                         const uint8_t *owner, const uint8_t *target)
{
    struct rehearsed_reference example = {.kind = kind};
    memcpy(example.owner, owner, name_wire_size(owner));
    memcpy(example.target, target, name_wire_size(target));

    size_t at = rehearsal->example_count;
    while (at > 0 && compare_examples(&example, &rehearsal->examples[at - 1]) < 0)
        at--;
    if (at == REFERENCE_EXAMPLES_MAX)
        return;
    if (rehearsal->example_count < REFERENCE_EXAMPLES_MAX)
        rehearsal->example_count++;
    memmove(&rehearsal->examples[at + 1], &rehearsal->examples[at],
            (rehearsal->example_count - 1 - at) * sizeof(example));
    rehearsal->examples[at] = example;
}

/* Counts one record of an unlisted name; returns whether it leads to a listed one. */
static bool count_reference(struct rehearsal *rehearsal, const uint8_t *owner,
                            enum reference_kind kind, const uint8_t *target, size_t size)
{
    struct order_listing listing = {.name = SIZE_MAX, .subtree = SIZE_MAX};
    struct name name;

    if (name_parse(&name, target, size) < 0 || name.label_count == 0)
        return false;
    bool leads = kind == REFERENCE_CNAME ? leads_to_listed(rehearsal, &name, &listing)
                                         : rehearsal_covers(rehearsal, &name, &listing);
    if (!leads &&
        (kind != REFERENCE_DNAME || !target_holds_listed(rehearsal, &name, &listing.name)))
        return false;

    rehearsal->references[kind]++;
    if (listing.name != SIZE_MAX) {
        rehearsal->names[listing.name].references++;
        target = order_names_at(&rehearsal->order->names, listing.name);
    } else {
        rehearsal->subtrees[listing.subtree].references++;
        target = name.wire;
    }
    keep_example(rehearsal, kind, owner, target);
    return true;
}

/* ---- The walk ---- */

/* An unlisted name's record set held against the addresses of listed names. */
static bool shares_address(struct collateral *collateral, const struct rrset *rrset)
{
    const uint8_t *record = rrset->data;
    bool shares = false;

    for (unsigned left = rrset->rr_count; left > 0; left--) {
        uint16_t size = knot_wire_read_u16(record);
        struct address address = address_of(record + 2, size);
        record += 2 + size;
        size_t index = address_table_find(&collateral->addresses, &address);
        if (index == ADDRESS_NONE)
            continue;
        collateral->sharing[index].unlisted++;
        shares = true;
    }
    return shares;
}

static bool refers(struct rehearsal *rehearsal, const uint8_t *owner, const struct rrset *rrset)
{
    const uint8_t *record = rrset->data;
    enum reference_kind kind;
    bool any = false;
    size_t offset;

    if (!reference_of(rrset->type, &kind, &offset))
        return false;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        uint16_t size = knot_wire_read_u16(record);
        if (size > offset)
            any |= count_reference(rehearsal, owner, kind, record + 2 + offset, size - offset);
        record += 2 + size;
    }
    return any;
}

/* The nearest listed name above an unlisted one. */
static void count_below(struct collateral *collateral, const struct name *name)
{
    struct rehearsal *rehearsal = collateral->rehearsal;

    for (size_t label = 1; label + collateral->labels_min <= name->label_count; label++) {
        size_t index = active_order_find_suffix(rehearsal->active, name, label);
        if (index == SIZE_MAX || !rehearsal_name_blocks(rehearsal, index))
            continue;
        rehearsal->parents += rehearsal->names[index].below++ == 0;
        rehearsal->below++;
        return;
    }
}

/* What an order would do to one name that it does not list. */
static int look_at_name(void *context, const uint8_t *owner, const struct name_entry *entry)
{
    struct collateral *collateral = context;
    struct rehearsal *rehearsal = collateral->rehearsal;
    const uint8_t *at = name_entry_rrsets(entry);
    bool shares = false, depends = false;
    struct order_listing listing;
    struct rrset rrset;
    struct name name;

    /* What is below a cut is no name of the zone; the server there may know better. */
    if ((entry->flags & ENTRY_BELOW_CUT) != 0 || name_parse(&name, owner, NAME_SIZE_MAX) < 0 ||
        rehearsal_covers(rehearsal, &name, &listing))
        return 0;
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        at = rrset_read(&rrset, at);
        if (is_address_set(&rrset))
            shares |= shares_address(collateral, &rrset);
        else
            depends |= refers(rehearsal, owner, &rrset);
    }
    rehearsal->shared_names += shares;
    rehearsal->reference_names += depends;
    count_below(collateral, &name);
    return 0;
}

static int compare_shared(const struct rehearsed_address *left,
                          const struct rehearsed_address *right)
{
    if (left->unlisted != right->unlisted)
        return left->unlisted > right->unlisted ? -1 : 1;
    if (left->address.family != right->address.family)
        return left->address.family - right->address.family;
    return memcmp(left->address.octets, right->address.octets, sizeof(left->address.octets));
}

/* Keeps those addresses that most unlisted names share. */
static void keep_shared(struct rehearsal *rehearsal, const struct rehearsed_address *shared)
{
    size_t at = rehearsal->shared_count;

    while (at > 0 && compare_shared(shared, &rehearsal->shared[at - 1]) < 0)
        at--;
    if (at == SHARED_EXAMPLES_MAX)
        return;
    if (rehearsal->shared_count < SHARED_EXAMPLES_MAX)
        rehearsal->shared_count++;
    memmove(&rehearsal->shared[at + 1], &rehearsal->shared[at],
            (rehearsal->shared_count - 1 - at) * sizeof(*shared));
    rehearsal->shared[at] = *shared;
}

static void sum_up_addresses(const struct collateral *collateral)
{
    struct rehearsal *rehearsal = collateral->rehearsal;

    rehearsal->addresses = collateral->addresses.count;
    for (size_t i = 0; i < collateral->addresses.count; i++) {
        if (collateral->sharing[i].unlisted == 0)
            continue;
        rehearsal->shared_addresses++;
        struct rehearsed_address shared = {
            .address = collateral->addresses.addresses[i],
            .listed = collateral->sharing[i].listed,
            .unlisted = collateral->sharing[i].unlisted,
        };
        keep_shared(rehearsal, &shared);
    }
}

static int walk_zones(struct collateral *collateral,
                      int (*visit)(void *context, const uint8_t *owner,
                                   const struct name_entry *entry))
{
    const struct zone_set *zones = collateral->rehearsal->zones;

    for (size_t i = 0; i < zone_set_count(zones); i++) {
        int rc = zone_data_each(zone_set_at(zones, i)->data, visit, collateral);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int rehearsal_collateral(struct rehearsal *rehearsal)
{
    struct collateral collateral = {.rehearsal = rehearsal};

    for (size_t i = 0; i < zone_set_count(rehearsal->zones); i++) {
        const struct zone_data *data = zone_set_at(rehearsal->zones, i)->data;
        rehearsal->zone_names += data->name_count;
        rehearsal->zone_records += data->record_count;
    }
    int rc = collect_of_names(&collateral);
    if (rc == 0 && rehearsal->order->subtrees.count > 0)
        rc = walk_zones(&collateral, collect_of_subtrees);
    if (rc == 0)
        rc = walk_zones(&collateral, look_at_name);
    if (rc == 0)
        sum_up_addresses(&collateral);
    address_table_clear(&collateral.addresses);
    free(collateral.sharing);
    return rc;
}
