#include "zone/update.h"

#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

#include "dns/rdata.h"
#include "dns/serial.h"

#define RRTYPE_WKS 11 /* one for each owner (RFC 2136, 3.4.2.2); libknot has no name for it */

/* One message on its way through. */
struct update {
    struct zone_edit *edit;
    const struct zone_data *data;
    struct record_reader *reader;
    const uint8_t *wire;
    size_t size;
    const struct update_permission *permission;
    struct update_outcome *outcome;
};

/* How a step ends: go on, refuse with the outcome's RCODE, or a negative errno. */
#define GO_ON  0
#define REFUSE 1

static int refuse(struct update *update, uint8_t rcode, const char *reason)
{
    update->outcome->rcode = rcode;
    update->outcome->reason = reason;
    return REFUSE;
}

/* The serial in a SOA's data: the numbers are its last 20 octets. */
static uint32_t soa_serial(const uint8_t *rdata, size_t size)
{
    return knot_wire_read_u32(rdata + size - 20);
}

/* ---- Reading ---- */

/* Reads the next record and its owner, which must be in the zone. */
static int read_record(struct update *update, struct record *ret_record, struct name *ret_owner)
{
    if (record_reader_next(update->reader, ret_record) < 0 ||
        name_parse(ret_owner, ret_record->owner, NAME_SIZE_MAX) < 0)
        return refuse(update, KNOT_RCODE_FORMERR, "a record is malformed");
    if (!zone_data_holds(update->data, ret_owner))
        return refuse(update, KNOT_RCODE_NOTZONE, "a name is outside of the zone");
    return GO_ON;
}

static bool is_at_apex(const struct update *update, const struct name *owner)
{
    return owner->size == update->data->apex.size;
}

/* What no deletion of whole sets takes from the apex. */
static bool stays(const struct update *update, const struct name *owner, uint16_t type)
{
    return is_at_apex(update, owner) && (type == KNOT_RRTYPE_SOA || type == KNOT_RRTYPE_NS);
}

static const struct name_entry *find_in_use(const struct update *update, const struct name *owner)
{
    const struct name_entry *entry = zone_edit_find(update->edit, owner);
    return entry != NULL && entry->rrset_count > 0 ? entry : NULL;
}

static bool find_rrset(const struct update *update, const struct name *owner, uint16_t type,
                       struct rrset *ret_rrset)
{
    const struct name_entry *entry = find_in_use(update, owner);
    return entry != NULL && name_entry_rrset(entry, type, ret_rrset);
}

/* ---- Prerequisites (RFC 2136, 3.2) ---- */

/* A record that must be in the zone, its set being exactly the ones that are named. */
struct wanted {
    uint8_t *owner; /* lower case; the rdata follows in the same memory */
    const uint8_t *rdata;
    uint16_t type, rdata_size;
    uint8_t owner_size;
};

struct wanted_list {
    struct wanted *items;
    size_t count;
};

static void wanted_clear(struct wanted_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].owner);
    free(list->items);
    *list = (struct wanted_list){0};
}

static int want(struct wanted_list *list, size_t room, const struct record *record,
                const struct name *owner)
{
    if (list->items == NULL) {
        list->items = calloc(room, sizeof(*list->items));
        if (list->items == NULL)
            return -ENOMEM;
    }
    uint8_t *memory = malloc((size_t)owner->size + record->rdata_size);
    if (memory == NULL)
        return -ENOMEM;
    memcpy(memory, owner->wire, owner->size);
    if (record->rdata_size > 0)
        memcpy(memory + owner->size, record->rdata, record->rdata_size);
    list->items[list->count++] = (struct wanted){
        .owner = memory,
        .owner_size = owner->size,
        .rdata = memory + owner->size,
        .rdata_size = record->rdata_size,
        .type = record->type,
    };
    return 0;
}

/* Of records with the same owner and type the order is that of their data. */
static int compare_sets(const struct wanted *one, const struct wanted *other)
{
    if (one->type != other->type)
        return one->type < other->type ? -1 : 1;
    if (one->owner_size != other->owner_size)
        return one->owner_size < other->owner_size ? -1 : 1;
    return memcmp(one->owner, other->owner, one->owner_size);
}

static int compare_wanted(const void *left, const void *right)
{
    const struct wanted *one = left, *other = right;
    int order = compare_sets(one, other);
    return order != 0 ? order
                      : rdata_compare(one->type, one->rdata, one->rdata_size, other->rdata,
                                      other->rdata_size);
}

static bool rrset_has(const struct rrset *rrset, const uint8_t *rdata, uint16_t size)
{
    const uint8_t *at = rrset->data;
    for (unsigned left = rrset->rr_count; left > 0; left--) {
        uint16_t present = knot_wire_read_u16(at);
        if (rdata_compare(rrset->type, at + 2, present, rdata, size) == 0)
            return true;
        at += 2 + (size_t)present;
    }
    return false;
}

/* Whether the sets of the list are those of the zone, record for record. */
static int compare_with_zone(struct update *update, struct wanted_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof(list->items[0]), compare_wanted);
    for (size_t first = 0, next; first < list->count; first = next) {
        const struct wanted *set = &list->items[first];
        struct name owner;
        struct rrset rrset;
        if (name_parse(&owner, set->owner, set->owner_size) < 0 ||
            !find_rrset(update, &owner, set->type, &rrset))
            return refuse(update, KNOT_RCODE_NXRRSET, "a record set is not there");
        unsigned distinct = 0;
        for (next = first; next < list->count && compare_sets(set, &list->items[next]) == 0;
             next++) {
            const struct wanted *item = &list->items[next];
            if (next > first && compare_wanted(item - 1, item) == 0)
                continue; /* named twice */
            if (!rrset_has(&rrset, item->rdata, item->rdata_size))
                return refuse(update, KNOT_RCODE_NXRRSET, "a record is not there");
            distinct++;
        }
        if (distinct != rrset.rr_count)
            return refuse(update, KNOT_RCODE_NXRRSET, "a record set has more records");
    }
    return GO_ON;
}

static int check_absent(struct update *update, const struct record *record,
                        const struct name *owner)
{
    if (record->rdata_size != 0)
        return refuse(update, KNOT_RCODE_FORMERR, "a prerequisite of absence has data");
    if (record->type == KNOT_RRTYPE_ANY)
        return find_in_use(update, owner) == NULL
                   ? GO_ON
                   : refuse(update, KNOT_RCODE_YXDOMAIN, "a name is in use");
    struct rrset rrset;
    return !find_rrset(update, owner, record->type, &rrset)
               ? GO_ON
               : refuse(update, KNOT_RCODE_YXRRSET, "a record set is there");
}

static int check_present(struct update *update, const struct record *record,
                         const struct name *owner)
{
    if (record->rdata_size != 0)
        return refuse(update, KNOT_RCODE_FORMERR, "a prerequisite of presence has data");
    if (record->type == KNOT_RRTYPE_ANY)
        return find_in_use(update, owner) != NULL
                   ? GO_ON
                   : refuse(update, KNOT_RCODE_NXDOMAIN, "a name is not in use");
    struct rrset rrset;
    return find_rrset(update, owner, record->type, &rrset)
               ? GO_ON
               : refuse(update, KNOT_RCODE_NXRRSET, "a record set is not there");
}

static int check_prerequisites(struct update *update)
{
    struct wanted_list wanted = {0};
    const unsigned count = knot_wire_get_ancount(update->wire);
    int rc = GO_ON;
    for (unsigned left = count; left > 0 && rc == GO_ON; left--) {
        struct record record;
        struct name owner;
        rc = read_record(update, &record, &owner);
        if (rc != GO_ON)
            break;
        if (record.ttl_s != 0)
            rc = refuse(update, KNOT_RCODE_FORMERR, "a prerequisite has a TTL");
        else if (record.class == KNOT_CLASS_ANY)
            rc = check_present(update, &record, &owner);
        else if (record.class == KNOT_CLASS_NONE)
            rc = check_absent(update, &record, &owner);
        else if (record.class == KNOT_CLASS_IN && !knot_rrtype_is_metatype(record.type))
            rc = want(&wanted, count, &record, &owner);
        else
            rc = refuse(update, KNOT_RCODE_FORMERR, "a prerequisite has a class of its own");
    }
    if (rc == GO_ON)
        rc = compare_with_zone(update, &wanted);
    wanted_clear(&wanted);
    return rc;
}

/* ---- The look ahead (RFC 2136, 3.4.1) ---- */

static bool is_signers(uint16_t type)
{
    return type == KNOT_RRTYPE_NSEC || type == KNOT_RRTYPE_NSEC3 ||
           type == KNOT_RRTYPE_NSEC3PARAM || type == KNOT_RRTYPE_RRSIG;
}

/* Whether the fields of an update record go together. */
static bool is_well_formed(const struct record *record)
{
    switch (record->class) {
    case KNOT_CLASS_IN:
        return !knot_rrtype_is_metatype(record->type) && record->type != 0;
    case KNOT_CLASS_ANY:
        return record->ttl_s == 0 && record->rdata_size == 0 && record->type != 0 &&
               (record->type == KNOT_RRTYPE_ANY || !knot_rrtype_is_metatype(record->type));
    case KNOT_CLASS_NONE:
        return record->ttl_s == 0 && record->type != 0 && !knot_rrtype_is_metatype(record->type) &&
               rdata_is_valid(record->type, record->rdata, record->rdata_size);
    default:
        return false;
    }
}

/* Whether the client may do this to the name. Who deletes a name deletes all the types that it
 * has. */
static bool is_permitted(struct update *update, const struct record *record,
                         const struct name *owner)
{
    const struct update_permission *permission = update->permission;
    if (permission->allows == NULL)
        return true;
    if (!permission->allows(permission->context, owner, record->type))
        return false;
    const struct name_entry *entry =
        record->type == KNOT_RRTYPE_ANY ? find_in_use(update, owner) : NULL;
    if (entry == NULL)
        return true;
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        if (!stays(update, owner, rrset.type) &&
            !permission->allows(permission->context, owner, rrset.type))
            return false;
    }
    return true;
}

static int look_ahead(struct update *update)
{
    for (unsigned left = knot_wire_get_nscount(update->wire); left > 0; left--) {
        struct record record;
        struct name owner;
        int rc = read_record(update, &record, &owner);
        if (rc != GO_ON)
            return rc;
        if (!is_well_formed(&record))
            return refuse(update, KNOT_RCODE_FORMERR,
                          "class, type, TTL and data of an update do not go together");
        if (record.class == KNOT_CLASS_IN && is_signers(record.type))
            return refuse(update, KNOT_RCODE_REFUSED, "only a signer makes records of this type");
        if (!is_permitted(update, &record, &owner))
            return refuse(update, KNOT_RCODE_REFUSED, "a name or type is not this client's");
    }
    return GO_ON;
}

/* ---- The updates (RFC 2136, 3.4.2) ---- */

/* Whether the name has records that no CNAME may stand beside (RFC 2181, 10.1; RFC 4034, 2.1 and 3
 * and RFC 4035, 2.5 allow the signer's). */
static bool excludes_cname(const struct name_entry *entry)
{
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        if (rrset.type != KNOT_RRTYPE_CNAME && !is_signers(rrset.type) &&
            rrset.type != KNOT_RRTYPE_KEY)
            return true;
    }
    return false;
}

/* Puts the record as the only one of its type. */
static int replace(struct update *update, const struct record *record, const struct name *owner)
{
    struct rrset present;
    if (find_rrset(update, owner, record->type, &present) && present.rr_count == 1 &&
        present.ttl == record->ttl_s && present.size == 2u + record->rdata_size &&
        memcmp(present.data + 2, record->rdata, record->rdata_size) == 0)
        return GO_ON;
    uint8_t *data = malloc(2 + (size_t)record->rdata_size);
    if (data == NULL)
        return -ENOMEM;
    knot_wire_write_u16(data, record->rdata_size);
    memcpy(data + 2, record->rdata, record->rdata_size);
    struct rrset rrset = {
        .type = record->type,
        .rr_count = 1,
        .ttl = record->ttl_s,
        .size = 2u + record->rdata_size,
        .data = data,
    };
    int rc = zone_edit_put(update->edit, owner, &rrset);
    free(data);
    if (rc == 0)
        update->outcome->has_changed = true;
    return rc;
}

static int add_soa(struct update *update, const struct record *record, const struct name *owner)
{
    struct rrset present;
    if (!is_at_apex(update, owner) || !find_rrset(update, owner, KNOT_RRTYPE_SOA, &present) ||
        !serial_is_newer(soa_serial(record->rdata, record->rdata_size),
                         soa_serial(present.data + 2, present.size - 2)))
        return GO_ON; /* silently, says the RFC */
    int rc = replace(update, record, owner);
    if (rc == GO_ON)
        update->outcome->has_own_serial = true;
    return rc;
}

static int add_record(struct update *update, const struct record *record, const struct name *owner)
{
    if (record->type == KNOT_RRTYPE_SOA)
        return add_soa(update, record, owner);

    const struct name_entry *entry = find_in_use(update, owner);
    if (entry != NULL && record->type == KNOT_RRTYPE_CNAME && excludes_cname(entry))
        return GO_ON;
    struct rrset alias;
    if (entry != NULL && record->type != KNOT_RRTYPE_CNAME && record->type != KNOT_RRTYPE_KEY &&
        name_entry_rrset(entry, KNOT_RRTYPE_CNAME, &alias))
        return GO_ON;
    if (record->type == KNOT_RRTYPE_CNAME || record->type == KNOT_RRTYPE_DNAME ||
        record->type == RRTYPE_WKS)
        return replace(update, record, owner);

    bool changed;
    int rc = zone_edit_add(update->edit, owner, record->type, record->ttl_s, record->rdata,
                           record->rdata_size, &changed);
    if (rc == -E2BIG)
        return refuse(update, KNOT_RCODE_SERVFAIL, "a record set would not fit into a message");
    if (rc == 0)
        update->outcome->has_changed |= changed;
    return rc;
}

static int remove_rrset(struct update *update, const struct name *owner, uint16_t type)
{
    struct rrset rrset;
    if (!find_rrset(update, owner, type, &rrset))
        return GO_ON;
    int rc = zone_edit_put(update->edit, owner, &(struct rrset){.type = type});
    if (rc == 0)
        update->outcome->has_changed = true;
    return rc;
}

static int remove_name(struct update *update, const struct name *owner)
{
    for (;;) {
        /* Each removal makes a new entry: begin again. */
        const struct name_entry *entry = find_in_use(update, owner);
        if (entry == NULL)
            return GO_ON;
        const uint8_t *at = name_entry_rrsets(entry);
        struct rrset rrset;
        unsigned left = entry->rrset_count;
        for (; left > 0; left--) {
            at = rrset_read(&rrset, at);
            if (!stays(update, owner, rrset.type))
                break;
        }
        if (left == 0)
            return GO_ON;
        int rc = remove_rrset(update, owner, rrset.type);
        if (rc != GO_ON)
            return rc;
    }
}

static int remove_record(struct update *update, const struct record *record,
                         const struct name *owner)
{
    if (record->type == KNOT_RRTYPE_SOA)
        return GO_ON;
    struct rrset rrset;
    if (is_at_apex(update, owner) && record->type == KNOT_RRTYPE_NS &&
        find_rrset(update, owner, KNOT_RRTYPE_NS, &rrset) && rrset.rr_count == 1)
        return GO_ON; /* a zone keeps a name server */
    bool changed;
    int rc = zone_edit_remove(update->edit, owner, record->type, record->rdata, record->rdata_size,
                              &changed);
    if (rc == 0)
        update->outcome->has_changed |= changed;
    return rc;
}

static int make_updates(struct update *update)
{
    for (unsigned left = knot_wire_get_nscount(update->wire); left > 0; left--) {
        struct record record;
        struct name owner;
        int rc = read_record(update, &record, &owner);
        if (rc != GO_ON)
            return rc;
        if (record.class == KNOT_CLASS_IN)
            rc = add_record(update, &record, &owner);
        else if (record.class == KNOT_CLASS_NONE)
            rc = remove_record(update, &record, &owner);
        else if (record.type == KNOT_RRTYPE_ANY)
            rc = remove_name(update, &owner);
        else if (!stays(update, &owner, record.type))
            rc = remove_rrset(update, &owner, record.type);
        if (rc != GO_ON)
            return rc;
    }
    return GO_ON;
}

/* ---- The whole ---- */

/* The zone section: one SOA question for the apex (RFC 2136, 3.1.1). */
static int check_zone(struct update *update)
{
    uint8_t owner[NAME_SIZE_MAX];
    uint16_t type, class;
    if (knot_wire_get_qdcount(update->wire) != 1 ||
        record_reader_question(update->reader, owner, &type, &class) < 0 || type != KNOT_RRTYPE_SOA)
        return refuse(update, KNOT_RCODE_FORMERR, "the zone section is not one SOA");
    if (class != KNOT_CLASS_IN || !name_equal(owner, update->data->apex.wire))
        return refuse(update, KNOT_RCODE_NOTAUTH, "the zone is another one");
    return GO_ON;
}

int update_apply(struct zone_edit *edit, const struct zone_data *data, struct record_reader *reader,
                 const uint8_t *wire, size_t size, const struct update_permission *permission,
                 struct update_outcome *ret_outcome)
{
    *ret_outcome = (struct update_outcome){.rcode = KNOT_RCODE_NOERROR};
    struct update update = {
        .edit = edit,
        .data = data,
        .reader = reader,
        .wire = wire,
        .size = size,
        .permission = permission,
        .outcome = ret_outcome,
    };
    struct zone_edit_mark mark = zone_edit_mark(edit);
    record_reader_init(reader, wire, size);
    int rc = check_zone(&update);
    if (rc == GO_ON)
        rc = check_prerequisites(&update);
    const size_t updates_at = reader->at;
    if (rc == GO_ON)
        rc = look_ahead(&update);
    if (rc == GO_ON) {
        reader->at = updates_at;
        rc = make_updates(&update);
    }
    if (rc != GO_ON) {
        zone_edit_rewind(edit, &mark);
        ret_outcome->has_changed = ret_outcome->has_own_serial = false;
    }
    return rc < 0 ? rc : 0;
}
