#include "zone_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <libknot/libknot.h>

static const uint8_t apex[] = "\1a\7example";
static const char *const labels[] = {"\1a", "\1b", "\1*", "\3www"};
#define LABELS 4

uint64_t model_random(uint64_t *random)
{
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    return *random;
}

void model_owner(unsigned name, struct name *ret_owner)
{
    uint8_t wire[NAME_SIZE_MAX];
    size_t size = 0;
    unsigned depth = name == 0 ? 0 : name < 5 ? 1 : name < 21 ? 2 : 3;
    unsigned digits = name - (depth == 1 ? 1 : depth == 2 ? 5 : depth == 3 ? 21 : 0);
    for (unsigned i = 0; i < depth; i++, digits /= LABELS) {
        const char *label = labels[digits % LABELS];
        memcpy(wire + size, label, strlen(label));
        size += strlen(label);
    }
    memcpy(wire + size, apex, sizeof(apex));
    assert_true(name_parse(ret_owner, wire, sizeof(wire)) > 0);
}

uint16_t model_rrtype(unsigned type)
{
    static const uint16_t types[] = {KNOT_RRTYPE_A,     KNOT_RRTYPE_AAAA,  KNOT_RRTYPE_NS,
                                     KNOT_RRTYPE_CNAME, KNOT_RRTYPE_DNAME, KNOT_RRTYPE_TXT};
    return types[type];
}

uint16_t model_rdata(unsigned type, unsigned record, uint8_t ret_rdata[64])
{
    memset(ret_rdata, 0, 64);
    switch (type) {
    case MODEL_A:
        memcpy(ret_rdata, (uint8_t[]){192, 0, 2, (uint8_t)record}, 4);
        return 4;
    case MODEL_AAAA:
        memcpy(ret_rdata, (uint8_t[]){0x20, 1, 0xd, 0xb8}, 4);
        ret_rdata[15] = (uint8_t)record;
        return 16;
    case MODEL_TXT: /* of different lengths */
        ret_rdata[0] = (uint8_t)(10 * record);
        return (uint16_t)(1 + 10 * record);
    default:
        memcpy(ret_rdata, "\2x0", 3);
        ret_rdata[2] = (uint8_t)('0' + record);
        memcpy(ret_rdata + 3, apex, sizeof(apex));
        return 3 + sizeof(apex);
    }
}

void model_init(struct model *model)
{
    memset(model, 0, sizeof(*model));
    model->serial = 1;
    model->sets[0][MODEL_NS] = (struct model_set){.records = 1, .ttl = 60};
}

bool model_is_valid(const struct model *model)
{
    if (model->sets[0][MODEL_NS].records == 0)
        return false;
    for (unsigned name = 0; name < MODEL_NAMES; name++) {
        const struct model_set *sets = model->sets[name];
        bool others = name == 0;
        for (unsigned type = 0; type < MODEL_TYPES; type++)
            others |= type != MODEL_CNAME && sets[type].records != 0;
        if (sets[MODEL_CNAME].records != 0 && others)
            return false;
    }
    return true;
}

static void build_soa(struct zone_builder *builder, uint32_t serial)
{
    uint8_t soa[22] = {0};
    struct error error = {0};
    knot_wire_write_u32(soa + 2, serial);
    knot_wire_write_u32(soa + 14, 1000);
    knot_wire_write_u32(soa + 18, 60);
    assert_int_equal(zone_builder_add(builder, apex, KNOT_RRTYPE_SOA, 60, soa, 22, &error), 0);
}

struct zone_data *model_build(const struct model *model)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error = {0};
    assert_int_equal(zone_builder_create(apex, &builder), 0);
    build_soa(builder, model->serial);
    for (unsigned name = 0; name < MODEL_NAMES; name++) {
        struct name owner;
        model_owner(name, &owner);
        for (unsigned type = 0; type < MODEL_TYPES; type++) {
            const struct model_set *set = &model->sets[name][type];
            for (unsigned record = 0; record < MODEL_RECORDS; record++) {
                uint8_t rdata[64];
                uint16_t size = model_rdata(type, record, rdata);
                if ((set->records & (1 << record)) != 0)
                    assert_int_equal(zone_builder_add(builder, owner.wire, model_rrtype(type),
                                                      set->ttl, rdata, size, &error),
                                     0);
            }
        }
    }
    assert_int_equal(zone_builder_finish(builder, &data, &error), 0);
    zone_builder_free(builder);
    return data;
}

/* ---- Comparing ---- */

static size_t entry_size(const struct name_entry *entry)
{
    const uint8_t *at = name_entry_rrsets(entry);
    struct rrset rrset;
    for (unsigned left = entry->rrset_count; left > 0; left--)
        at = rrset_read(&rrset, at);
    return (size_t)(at - (const uint8_t *)entry);
}

void model_compare_entry(const struct name_entry *edited, const struct zone_data *built)
{
    const struct name_entry *entry =
        name_table_find(built->table, zone_data_entry_hash(built, edited), edited->owner,
                        edited->owner_size)
            .entry;
    if (entry == NULL)
        fail_msg("a name too many: %.*s", edited->owner_size, (const char *)edited->owner);
    assert_int_equal(edited->flags, entry->flags);
    assert_int_equal(edited->rrset_count, entry->rrset_count);
    assert_int_equal(entry_size(edited), entry_size(entry));
    assert_memory_equal(edited, entry, entry_size(entry));
}

struct comparison {
    const struct zone_data *built;
    uint64_t entries;
};

static int compare_entry(void *context, const struct name_entry *entry, bool marked)
{
    (void)marked;
    struct comparison *comparison = context;
    model_compare_entry(entry, comparison->built);
    comparison->entries++;
    return 0;
}

void model_compare(const struct zone_data *edited, const struct zone_data *built)
{
    struct comparison comparison = {.built = built};
    assert_int_equal(name_table_each(edited->table, compare_entry, &comparison), 0);
    assert_int_equal(comparison.entries, built->entry_count);
    assert_int_equal(edited->entry_count, built->entry_count);
    assert_int_equal(edited->name_count, built->name_count);
    assert_int_equal(edited->record_count, built->record_count);
    assert_true(edited->depth_max >= built->depth_max);
    assert_memory_equal(&edited->soa, &built->soa, sizeof(built->soa));
    assert_ptr_equal(edited->apex_entry, zone_data_find(edited, &edited->apex).entry);
}

/* ---- Changing ---- */

static void put_set(struct zone_edit *edit, const struct name *owner, unsigned type,
                    const struct model_set *set)
{
    uint8_t data[MODEL_RECORDS * 66];
    struct rrset rrset = {.type = model_rrtype(type), .ttl = set->ttl, .data = data};
    for (unsigned record = MODEL_RECORDS; record-- > 0;) { /* not in canonical order */
        if ((set->records & (1 << record)) == 0)
            continue;
        uint8_t *at = data + rrset.size;
        uint16_t size = model_rdata(type, record, at + 2);
        knot_wire_write_u16(at, size);
        rrset.size += 2u + size;
        rrset.rr_count++;
    }
    assert_int_equal(zone_edit_put(edit, owner, &rrset), 0);
}

void model_change(struct model *model, struct zone_edit *edit, uint64_t *random)
{
    /* The deep half of the names seldom: else no name ever had nothing below it. */
    unsigned name =
        (unsigned)(model_random(random) % (model_random(random) % 4 == 0 ? MODEL_NAMES : 21));
    /* Addresses often, what occludes seldom. */
    static const uint8_t types[] = {MODEL_A,  MODEL_A,   MODEL_A,   MODEL_AAAA,  MODEL_AAAA,
                                    MODEL_NS, MODEL_TXT, MODEL_TXT, MODEL_CNAME, MODEL_DNAME};
    unsigned type = types[model_random(random) % sizeof(types)];
    unsigned record = (unsigned)(model_random(random) % MODEL_RECORDS);
    struct model_set *set = &model->sets[name][type];
    struct name owner;
    uint8_t rdata[64];
    bool changed, single = type == MODEL_CNAME || type == MODEL_DNAME;
    model_owner(name, &owner);
    uint16_t size = model_rdata(type, record, rdata);
    uint16_t rrtype = model_rrtype(type);
    uint8_t bit = (uint8_t)(1 << record);
    struct model_set before = *set;

    switch (model_random(random) % 4) {
    case 0:
        *set = (struct model_set){.records = single ? bit : set->records | bit,
                                  .ttl = (uint32_t)(model_random(random) % 3)};
        assert_int_equal(zone_edit_add(edit, &owner, rrtype, set->ttl, rdata, size, &changed), 0);
        assert_int_equal(changed, before.records != set->records || before.ttl != set->ttl);
        break;
    case 1:
        set->records &= (uint8_t)~bit;
        assert_int_equal(zone_edit_remove(edit, &owner, rrtype, rdata, size, &changed), 0);
        assert_int_equal(changed, before.records != set->records);
        break;
    case 2:
        *set = (struct model_set){.records = single ? bit : (uint8_t)(model_random(random) % 16),
                                  .ttl = (uint32_t)(model_random(random) % 3)};
        put_set(edit, &owner, type, set);
        break;
    default:
        set->records = 0;
        put_set(edit, &owner, type, set);
    }
    if (set->records == 0)
        set->ttl = 0;
}
