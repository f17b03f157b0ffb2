#include "zone/catalog.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/wire.h>
#include <stdlib.h>
#include <string.h>

void catalog_clear(struct catalog *catalog)
{
    free(catalog->members);
    *catalog = (struct catalog){0};
}

struct catalog_reading {
    size_t members_max;
    bool has_version;
    struct catalog catalog;
    struct error *error;
};

static int add_member(struct catalog_reading *reading, const uint8_t *label, const uint8_t *zone)
{
    struct catalog *catalog = &reading->catalog;

    if (catalog->count == reading->members_max)
        return error_set(reading->error, -EINVAL, "the catalog has more than %zu members",
                         reading->members_max);
    if (catalog->count == catalog->room) {
        size_t room = catalog->room == 0 ? 64 : catalog->room * 2;
        struct catalog_member *members = reallocarray(catalog->members, room, sizeof(*members));
        if (members == NULL)
            return error_set(reading->error, -ENOMEM, "out of memory");
        catalog->members = members;
        catalog->room = room;
    }
    struct catalog_member *member = &catalog->members[catalog->count++];
    *member = (struct catalog_member){0};
    memcpy(member->label, label, 1 + (size_t)label[0]);
    name_fold(member->zone, zone, name_wire_size(zone));
    return 0;
}

/* A member node, LABEL.zones (RFC 9432, 4.1). One without a PTR only has properties. */
static int read_member(struct catalog_reading *reading, const uint8_t *label,
                       const struct name_entry *entry)
{
    struct rrset rrset;

    if (!name_entry_rrset(entry, KNOT_RRTYPE_PTR, &rrset))
        return 0;
    if (rrset.rr_count != 1)
        return error_set(reading->error, -EINVAL,
                         "the catalog is broken: its member %.*s.zones names %u zones", label[0],
                         (const char *)label + 1, rrset.rr_count);
    return add_member(reading, label, rrset.data + 2);
}

/* The catalog's version (RFC 9432, 4.2.1). */
static int read_version(struct catalog_reading *reading, const struct name_entry *entry)
{
    static const uint8_t two[] = {0, 2, 1, '2'};
    struct rrset rrset;

    if (!name_entry_rrset(entry, KNOT_RRTYPE_TXT, &rrset))
        return 0;
    if (rrset.rr_count != 1 || rrset.size != sizeof(two) ||
        memcmp(rrset.data, two, sizeof(two)) != 0)
        return error_set(reading->error, -EINVAL,
                         "the catalog is not of version \"2\", the only one that is known");
    reading->has_version = true;
    return 0;
}

static int read_entry(struct catalog_reading *reading, const struct name_entry *entry)
{
    static const uint8_t version[] = "\7version", zones[] = "\5zones";
    const uint8_t *label = entry->owner;

    if (entry->owner_size == 0 || entry->rrset_count == 0)
        return 0;
    if (entry->owner_size == sizeof(version) - 1 &&
        memcmp(label, version, sizeof(version) - 1) == 0)
        return read_version(reading, entry);
    size_t size = 1 + (size_t)label[0];
    if (entry->owner_size != size + sizeof(zones) - 1 ||
        memcmp(label + size, zones, sizeof(zones) - 1) != 0)
        return 0;
    return read_member(reading, label, entry);
}

static int compare_members(const void *one, const void *other)
{
    const struct catalog_member *left = one, *right = other;

    return knot_dname_cmp(left->zone, right->zone);
}

static int check_unique(const struct catalog_reading *reading)
{
    const struct catalog *catalog = &reading->catalog;

    for (size_t i = 1; i < catalog->count; i++) {
        knot_dname_txt_storage_t text;
        if (compare_members(&catalog->members[i - 1], &catalog->members[i]) != 0)
            continue;
        (void)knot_dname_to_str(text, catalog->members[i].zone, sizeof(text));
        return error_set(reading->error, -EINVAL, "the catalog is broken: it lists %s twice", text);
    }
    return 0;
}

/* Entries that are taken from a view at a time. */
#define ENTRY_BATCH 64

static int read_entries(struct catalog_reading *reading, struct zone_view *view)
{
    const struct name_entry *entries[ENTRY_BATCH];
    int rc = 0;

    for (size_t count = 1; rc == 0 && count > 0;) {
        count = zone_view_next(view, entries, NULL, ENTRY_BATCH);
        for (size_t i = 0; i < count && rc == 0; i++)
            rc = read_entry(reading, entries[i]);
    }
    return rc;
}

int catalog_read(struct zone_view *view, size_t members_max, struct catalog *ret_catalog,
                 struct error *ret_error)
{
    struct catalog_reading reading = {.members_max = members_max, .error = ret_error};

    int rc = read_entries(&reading, view);
    if (rc == 0 && !reading.has_version)
        rc = error_set(ret_error, -EINVAL,
                       "the catalog is broken: it has no version; add version TXT \"2\"");
    if (rc == 0 && reading.catalog.count > 1)
        qsort(reading.catalog.members, reading.catalog.count, sizeof(struct catalog_member),
              compare_members);
    if (rc == 0)
        rc = check_unique(&reading);
    if (rc < 0) {
        catalog_clear(&reading.catalog);
        return rc;
    }
    *ret_catalog = reading.catalog;
    return 0;
}
