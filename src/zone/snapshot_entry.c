/* What an entry from a file must be before the answer path may meet it: that path trusts what
 * zone_builder.c made, and a file can hold anything. */
#include <libknot/descriptor.h>
#include <libknot/wire.h>
#include <string.h>

#include "dns/rdata.h"
#include "zone/snapshot_internal.h"

#define FLAGS_FROM_TYPES  (ENTRY_APEX | ENTRY_CUT | ENTRY_DNAME | ENTRY_CNAME | ENTRY_ADDRESSES_ONLY)
#define FLAGS_FROM_OTHERS (ENTRY_BELOW_CUT | ENTRY_WILDCARD_CHILD)

size_t snapshot_entry_size(const struct name_entry *entry, uint64_t *records)
{
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        *records += rrset.rr_count;
    }
    return (size_t)(at - (const uint8_t *)entry);
}

/* Whether the owner is whole labels that end where it ends. */
static bool owner_check(const struct name_entry *entry, size_t apex_size, uint8_t *ret_depth)
{
    if (entry->owner_size + apex_size > NAME_SIZE_MAX)
        return false;
    uint8_t depth = 0;
    size_t at = 0;
    while (at < entry->owner_size) {
        uint8_t length = entry->owner[at];
        if (length == 0 || length > 63)
            return false;
        at += (size_t)length + 1;
        depth++;
    }
    *ret_depth = depth;
    return at == entry->owner_size;
}

static bool rdata_check(uint16_t type, const uint8_t *rdata, uint16_t size)
{
    if (type == KNOT_RRTYPE_A) /* nearly all of them */
        return size == 4;
    return rdata_is_valid(type, rdata, size);
}

/* Whether the record set's records fill it exactly and have the form of their type. */
static bool rrset_check(const struct rrset *rrset)
{
    if (rrset->type == 0 || rrset->rr_count == 0 || knot_rrtype_is_metatype(rrset->type) ||
        rrset->type == KNOT_RRTYPE_OPT)
        return false;
    bool single = rrset->type == KNOT_RRTYPE_SOA || rrset->type == KNOT_RRTYPE_CNAME ||
                  rrset->type == KNOT_RRTYPE_DNAME;
    if (single && rrset->rr_count != 1)
        return false;

    uint32_t at = 0;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        if (rrset->size - at < 2)
            return false;
        uint16_t rdata_size = knot_wire_read_u16(rrset->data + at);
        if (rrset->size - at - 2 < rdata_size ||
            !rdata_check(rrset->type, rrset->data + at + 2, rdata_size))
            return false;
        at += 2 + (uint32_t)rdata_size;
    }
    return at == rrset->size;
}

/* Flags that the builder gives for a set of that type. */
static uint16_t type_flags(uint16_t type, bool is_apex)
{
    switch (type) {
    case KNOT_RRTYPE_NS:
        return is_apex ? 0 : ENTRY_CUT;
    case KNOT_RRTYPE_DNAME:
        return ENTRY_DNAME;
    case KNOT_RRTYPE_CNAME:
        return ENTRY_CNAME;
    default:
        return 0;
    }
}

uint64_t snapshot_entry_check(const uint8_t *at, uint64_t left, size_t apex_size,
                              struct snapshot_tally *tally)
{
    const struct name_entry *entry = (const struct name_entry *)at;
    const size_t fixed = offsetof(struct name_entry, owner);
    uint8_t depth;
    if (left < fixed || left - fixed < entry->owner_size || !owner_check(entry, apex_size, &depth))
        return 0;

    const bool is_apex = entry->owner_size == 0;
    uint16_t flags = is_apex ? ENTRY_APEX : 0, type_before = 0;
    bool addresses_only = entry->rrset_count > 0;
    uint64_t records = 0, size = fixed + entry->owner_size;
    for (unsigned sets = entry->rrset_count; sets > 0; sets--) {
        if (left - size < sizeof(struct rrset_header))
            return 0;
        struct rrset rrset;
        (void)rrset_read(&rrset, at + size);
        size += sizeof(struct rrset_header);
        if (left - size < rrset.size || rrset.type <= type_before || !rrset_check(&rrset))
            return 0;
        size += rrset.size;
        type_before = rrset.type;
        records += rrset.rr_count;
        flags |= type_flags(rrset.type, is_apex);
        addresses_only &= rrset.type == KNOT_RRTYPE_A || rrset.type == KNOT_RRTYPE_AAAA;
    }
    if (addresses_only)
        flags |= ENTRY_ADDRESSES_ONLY;
    if ((entry->flags & FLAGS_FROM_TYPES) != flags ||
        (entry->flags & ~(FLAGS_FROM_TYPES | FLAGS_FROM_OTHERS)) != 0 ||
        snapshot_round(size) > left)
        return 0;

    tally->names += entry->rrset_count > 0;
    tally->records += records;
    tally->entries++;
    tally->has_cuts |= (entry->flags & (ENTRY_CUT | ENTRY_BELOW_CUT)) != 0;
    if (depth > tally->depth_max)
        tally->depth_max = depth;
    if (is_apex)
        tally->apex = entry;
    return snapshot_round(size);
}

/* Walks down from the apex as the answer path does for an occluded name. */
static int cut_check(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    const struct zone_data *data = context;
    if ((entry->flags & (ENTRY_CUT | ENTRY_BELOW_CUT)) == 0)
        return 0;

    uint8_t owner[NAME_SIZE_MAX];
    struct name name;
    memcpy(owner, entry->owner, entry->owner_size);
    memcpy(owner + entry->owner_size, data->apex.wire, data->apex.size);
    if (name_parse(&name, owner, sizeof(owner)) < 0)
        return -1;

    for (size_t label = (size_t)name.label_count - data->apex.label_count + 1; label-- > 0;) {
        const struct name_entry *above = zone_data_find_suffix(data, &name, label).entry;
        if (above == NULL)
            return -1;
        if ((above->flags & ENTRY_CUT) != 0 || ((above->flags & ENTRY_DNAME) != 0 && label > 0))
            return 0;
    }
    return -1;
}

bool snapshot_cuts_check(const struct zone_data *data)
{
    return name_table_each(data->table, cut_check, (void *)data) == 0;
}
