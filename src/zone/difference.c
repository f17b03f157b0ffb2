#include "zone/difference.h"

#include <assert.h>
#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/rdata.h"

#define ROOM_MIN 4096

/* As in the builder: a count is a 16-bit field in every message (RFC 1035, 4.1.1). */
#define RECORDS_PER_SET_MAX 65535u

/* What stands in front of owner and rdata in the list. Unaligned: read by difference_read(). */
struct difference_header {
    uint32_t ttl_s;
    uint16_t type, rdata_size;
    uint8_t owner_size; /* relative to the apex, lower case */
    bool is_addition, is_nsec3;
};

/* One difference as read: a view into the list. */
struct difference {
    struct difference_header header;
    const uint8_t *owner, *rdata;
    size_t sequence;
};

void difference_list_clear(struct difference_list *list)
{
    free(list->octets);
    *list = (struct difference_list){0};
}

static int make_room(struct difference_list *list, size_t more)
{
    if (more <= list->room - list->size)
        return 0;
    size_t room = list->room < ROOM_MIN ? ROOM_MIN : list->room * 2;
    while (room - list->size < more)
        room *= 2;
    uint8_t *octets = realloc(list->octets, room);
    if (octets == NULL)
        return -ENOMEM;
    list->octets = octets;
    list->room = room;
    return 0;
}

static bool is_nsec3_record(uint16_t type, const uint8_t *rdata, uint16_t rdata_size)
{
    return type == KNOT_RRTYPE_NSEC3 || (type == KNOT_RRTYPE_RRSIG && rdata_size >= 2 &&
                                         knot_wire_read_u16(rdata) == KNOT_RRTYPE_NSEC3);
}

int difference_list_add(struct difference_list *list, const struct name *apex, bool is_addition,
                        const uint8_t *owner, uint16_t type, uint32_t ttl_s, const uint8_t *rdata,
                        uint16_t rdata_size)
{
    const size_t size = name_wire_size(owner);
    if (size < apex->size)
        return -ERANGE;
    const size_t owner_size = size - apex->size;
    size_t at = 0;
    while (at < owner_size) /* the apex begins where a label does */
        at += (size_t)owner[at] + 1;
    if (at != owner_size || !name_equal(owner + owner_size, apex->wire))
        return -ERANGE;
    if (type == 0 || knot_rrtype_is_metatype(type) || type == KNOT_RRTYPE_OPT ||
        (type == KNOT_RRTYPE_SOA && owner_size != 0))
        return -EINVAL;

    const struct difference_header header = {
        .ttl_s = ttl_s,
        .type = type,
        .rdata_size = rdata_size,
        .owner_size = (uint8_t)owner_size,
        .is_addition = is_addition,
        .is_nsec3 = is_nsec3_record(type, rdata, rdata_size),
    };
    if (make_room(list, sizeof(header) + owner_size + rdata_size) < 0)
        return -ENOMEM;
    uint8_t *to = list->octets + list->size;
    memcpy(to, &header, sizeof(header));
    name_fold(to + sizeof(header), owner, owner_size);
    if (rdata_size > 0)
        memcpy(to + sizeof(header) + owner_size, rdata, rdata_size);
    list->size += sizeof(header) + owner_size + rdata_size;
    list->count++;
    return 0;
}

static size_t difference_read(const struct difference_list *list, size_t at,
                              struct difference *ret_difference)
{
    memcpy(&ret_difference->header, list->octets + at, sizeof(ret_difference->header));
    ret_difference->owner = list->octets + at + sizeof(ret_difference->header);
    ret_difference->rdata = ret_difference->owner + ret_difference->header.owner_size;
    return at + sizeof(ret_difference->header) + ret_difference->header.owner_size +
           ret_difference->header.rdata_size;
}

/* ---- In order: owner, type, data, arrival ---- */

static int owner_order(const struct difference *one, const struct difference *other)
{
    if (one->header.owner_size != other->header.owner_size)
        return one->header.owner_size < other->header.owner_size ? -1 : 1;
    const int order = memcmp(one->owner, other->owner, one->header.owner_size);
    return order != 0 ? order : (int)one->header.is_nsec3 - (int)other->header.is_nsec3;
}

static int set_order(const struct difference *one, const struct difference *other)
{
    const int order = owner_order(one, other);
    if (order != 0)
        return order;
    return (one->header.type > other->header.type) - (one->header.type < other->header.type);
}

static int record_order(const struct difference *one, const struct difference *other)
{
    const int order = set_order(one, other);
    if (order != 0)
        return order;
    return rdata_compare(one->header.type, one->rdata, one->header.rdata_size, other->rdata,
                         other->header.rdata_size);
}

static int difference_compare(const void *one, const void *other)
{
    const struct difference *a = one, *b = other;
    const int order = record_order(a, b);
    return order != 0 ? order : (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

static struct difference *sort_differences(const struct difference_list *list)
{
    struct difference *sorted = calloc(list->count + 1, sizeof(*sorted));
    if (sorted == NULL)
        return NULL;
    size_t at = 0;
    for (size_t i = 0; i < list->count; i++) {
        at = difference_read(list, at, &sorted[i]);
        sorted[i].sequence = i;
    }
    qsort(sorted, list->count, sizeof(*sorted), difference_compare);
    return sorted;
}

/* ---- What they come to ---- */

struct rdata_view {
    const uint8_t *at;
    uint16_t size;
};

/* The work on one list of differences. */
struct resolution {
    const struct difference_base *base;
    struct change_list *changes;
    struct error *error;
    struct rdata_view *records; /* of the set at hand */
    size_t record_room;
    uint8_t *octets; /* of the set afterwards */
    size_t octet_room;
    struct change soa; /* held back to be the last; its data is in soa_octets */
    uint8_t soa_octets[2 + 2 * NAME_SIZE_MAX + 20];
};

static _cold_ int misfit(struct resolution *resolution, const struct difference *difference,
                         const char *what)
{
    uint8_t owner[NAME_SIZE_MAX];
    char text[1025], type[32];
    memcpy(owner, difference->owner, difference->header.owner_size);
    memcpy(owner + difference->header.owner_size, resolution->base->apex->wire,
           resolution->base->apex->size);
    if (knot_dname_to_str(text, owner, sizeof(text)) == NULL)
        snprintf(text, sizeof(text), "?");
    if (knot_rrtype_to_string(difference->header.type, type, sizeof(type)) < 0)
        snprintf(type, sizeof(type), "TYPE%u", difference->header.type);
    return error_set(resolution->error, -EBADMSG, "%.200s %s %s", text, type, what);
}

/* Grows an array that holds nothing yet. */
static int reserve(void **array, size_t *room, size_t wanted, size_t element_size)
{
    if (wanted <= *room)
        return 0;
    void *grown = calloc(wanted * 2, element_size);
    if (grown == NULL)
        return -ENOMEM;
    free(*array);
    *array = grown;
    *room = wanted * 2;
    return 0;
}

/* The first difference of `run` (one set's, in order) that is about the record; NULL: none is. */
static const struct difference *find_record(const struct difference *run, size_t count,
                                            const struct rdata_view *record)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const struct difference *at = &run[middle];
        if (rdata_compare(run->header.type, at->rdata, at->header.rdata_size, record->at,
                          record->size) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count || rdata_compare(run->header.type, run[low].rdata, run[low].header.rdata_size,
                                      record->at, record->size) != 0)
        return NULL;
    return &run[low];
}

/* How many differences from the first on are about one record. */
static size_t record_run(const struct difference *run, size_t count)
{
    size_t size = 1;
    while (size < count && record_order(&run[0], &run[size]) == 0)
        size++;
    return size;
}

/* Keeps the records of the set that no difference mentions and counts those that one removes.
 * Returns SIZE_MAX when a difference first adds what is there. */
static size_t keep_unmentioned(struct resolution *resolution, const struct rrset *before,
                               const struct difference *run, size_t count, size_t *ret_mentioned)
{
    size_t kept = 0;
    *ret_mentioned = 0;
    const uint8_t *at = before->data;
    for (unsigned i = 0; i < before->rr_count; i++) {
        const struct rdata_view record = {.at = at + 2, .size = knot_wire_read_u16(at)};
        at += 2 + (size_t)record.size;
        const struct difference *first = find_record(run, count, &record);
        if (first == NULL)
            resolution->records[kept++] = record;
        else if (first->header.is_addition)
            return SIZE_MAX;
        else
            (*ret_mentioned)++;
    }
    return kept;
}

/* Adds what the differences leave there. They must begin with a removal for just those records that
 * are there (`mentioned` of them), and alternate. */
static int add_remaining(struct resolution *resolution, const struct difference *run, size_t count,
                         size_t mentioned, size_t *kept, uint32_t *ttl_s)
{
    size_t removed = 0, latest = 0;
    for (size_t i = 0; i < count;) {
        const size_t size = record_run(&run[i], count - i);
        for (size_t j = 1; j < size; j++)
            if (run[i + j].header.is_addition == run[i + j - 1].header.is_addition)
                return misfit(resolution, &run[i],
                              run[i + j].header.is_addition ? "is added twice"
                                                            : "is removed twice");
        removed += !run[i].header.is_addition;
        const struct difference *last = &run[i + size - 1];
        if (last->header.is_addition) {
            resolution->records[(*kept)++] =
                (struct rdata_view){.at = last->rdata, .size = last->header.rdata_size};
            if (last->sequence >= latest) {
                latest = last->sequence;
                *ttl_s = last->header.ttl_s;
            }
        }
        i += size;
    }
    if (removed != mentioned)
        return misfit(resolution, run, "is removed, but was not there");
    return 0;
}

static int sort_type_compare(const void *one, const void *other, void *type)
{
    const struct rdata_view *a = one, *b = other;
    return rdata_compare(*(const uint16_t *)type, a->at, a->size, b->at, b->size);
}

/* Packs the records into one run of octets, as an entry has them. */
static int pack_set(struct resolution *resolution, uint16_t type, size_t count, uint32_t ttl_s,
                    struct rrset *ret_rrset)
{
    qsort_r(resolution->records, count, sizeof(*resolution->records), sort_type_compare, &type);
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += 2 + (size_t)resolution->records[i].size;
    if (reserve((void **)&resolution->octets, &resolution->octet_room, size, 1) < 0)
        return -ENOMEM;
    uint8_t *at = resolution->octets;
    for (size_t i = 0; i < count; i++) {
        const struct rdata_view *record = &resolution->records[i];
        knot_wire_write_u16(at, record->size);
        if (record->size > 0)
            memcpy(at + 2, record->at, record->size);
        at += 2 + (size_t)record->size;
    }
    *ret_rrset = (struct rrset){.type = type,
                                .rr_count = (uint16_t)count,
                                .ttl = ttl_s,
                                .size = (uint32_t)size,
                                .data = resolution->octets};
    return 0;
}

static int add_change(struct resolution *resolution, const struct change *change)
{
    const struct rrset *before = &change->before, *after = &change->after;
    const bool is_same =
        before->rr_count == after->rr_count &&
        (after->rr_count == 0 || (before->ttl == after->ttl && before->size == after->size &&
                                  memcmp(before->data, after->data, after->size) == 0));
    if (is_same)
        return 0;
    if (after->type != KNOT_RRTYPE_SOA)
        return change_list_add(resolution->changes, change);

    assert(after->size <= sizeof(resolution->soa_octets));
    if (after->rr_count > 0)
        memcpy(resolution->soa_octets, after->data, after->size);
    resolution->soa = *change;
    resolution->soa.after.data = resolution->soa_octets;
    return 0;
}

/* One record set, the subject of `count` differences. */
static int resolve_set(struct resolution *resolution, const struct name_entry *entry,
                       const struct difference *run, size_t count, struct rrset *ret_after)
{
    struct change change = {.owner = run->owner, .owner_size = run->header.owner_size};
    const uint16_t type = run->header.type;
    if (entry == NULL || !name_entry_rrset(entry, type, &change.before))
        change.before = (struct rrset){.type = type};

    if (reserve((void **)&resolution->records, &resolution->record_room,
                change.before.rr_count + count, sizeof(*resolution->records)) < 0)
        return error_set(resolution->error, -ENOMEM, "out of memory");
    size_t mentioned;
    size_t kept = keep_unmentioned(resolution, &change.before, run, count, &mentioned);
    if (kept == SIZE_MAX)
        return misfit(resolution, run, "is added, but is there already");
    uint32_t ttl_s = change.before.ttl;
    int rc = add_remaining(resolution, run, count, mentioned, &kept, &ttl_s);
    if (rc < 0)
        return rc;

    const bool is_single =
        type == KNOT_RRTYPE_SOA || type == KNOT_RRTYPE_CNAME || type == KNOT_RRTYPE_DNAME;
    if (kept > (is_single ? 1 : RECORDS_PER_SET_MAX))
        return misfit(resolution, run, "would be too many records");
    rc = pack_set(resolution, type, kept, ttl_s, &change.after);
    if (rc == 0)
        rc = add_change(resolution, &change);
    if (rc < 0)
        return error_set(resolution->error, rc, "out of memory");
    *ret_after = change.after;
    return 0;
}

/* What an owner has, as far as some types do not go with others. */
struct owner_types {
    bool has_soa, has_ns, has_cname, has_other;
};

static void note_type(struct owner_types *types, uint16_t type)
{
    switch (type) {
    case KNOT_RRTYPE_CNAME:
        types->has_cname = true;
        break;
    case KNOT_RRTYPE_RRSIG: /* these stand beside a CNAME (RFC 4034, 3 and 4) */
    case KNOT_RRTYPE_NSEC:
        break;
    default:
        types->has_soa |= type == KNOT_RRTYPE_SOA;
        types->has_ns |= type == KNOT_RRTYPE_NS;
        types->has_other = true;
        break;
    }
}

static int type_compare(const void *type, const void *difference)
{
    const uint16_t one = *(const uint16_t *)type;
    const uint16_t other = ((const struct difference *)difference)->header.type;
    return (one > other) - (one < other);
}

/* Types that no difference is about stay as they are. */
static void note_untouched(struct owner_types *types, const struct name_entry *entry,
                           const struct difference *run, size_t count)
{
    if (entry == NULL)
        return;
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned i = 0; i < entry->rrset_count; i++) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        if (bsearch(&rrset.type, run, count, sizeof(*run), type_compare) == NULL)
            note_type(types, rrset.type);
    }
}

/* One owner, the subject of `count` differences. */
static int resolve_owner(struct resolution *resolution, const struct difference *run, size_t count)
{
    const struct name *apex = resolution->base->apex;
    uint8_t full[NAME_SIZE_MAX];
    struct name owner;
    memcpy(full, run->owner, run->header.owner_size);
    memcpy(full + run->header.owner_size, apex->wire, apex->size);
    const int parsed = name_parse(&owner, full, sizeof(full));
    assert(parsed > 0);
    (void)parsed;
    const struct name_entry *entry =
        resolution->base->find(resolution->base->context, &owner, run->header.is_nsec3);

    struct owner_types types = {.has_soa = false};
    note_untouched(&types, entry, run, count);
    for (size_t i = 0; i < count;) {
        size_t size = 1;
        while (i + size < count && run[i + size].header.type == run[i].header.type)
            size++;
        struct rrset after = {.rr_count = 0};
        const int rc = resolve_set(resolution, entry, &run[i], size, &after);
        if (rc < 0)
            return rc;
        if (after.rr_count > 0)
            note_type(&types, after.type);
        i += size;
    }

    if (run->header.owner_size == 0 && !(types.has_soa && types.has_ns))
        return misfit(resolution, run, "leaves the apex without SOA or NS");
    if (types.has_cname && types.has_other)
        return misfit(resolution, run, "leaves a CNAME beside other data");
    return 0;
}

int difference_list_resolve(const struct difference_list *list, const struct difference_base *base,
                            struct change_list *changes, struct error *ret_error)
{
    struct resolution resolution = {.base = base, .changes = changes, .error = ret_error};
    struct difference *sorted = sort_differences(list);
    int rc = sorted == NULL ? error_set(ret_error, -ENOMEM, "out of memory") : 0;

    for (size_t i = 0; rc == 0 && i < list->count;) {
        size_t size = 1;
        while (i + size < list->count && owner_order(&sorted[i], &sorted[i + size]) == 0)
            size++;
        rc = resolve_owner(&resolution, &sorted[i], size);
        i += size;
    }
    if (rc == 0 && resolution.soa.after.rr_count > 0 &&
        change_list_add(changes, &resolution.soa) < 0)
        rc = error_set(ret_error, -ENOMEM, "out of memory");

    free(sorted);
    free(resolution.records);
    free(resolution.octets);
    return rc;
}
