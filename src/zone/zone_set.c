#include <errno.h>
#include <stdlib.h>

#include "base/octets.h"
#include "zone/zone.h"

/* With the hash, so that only the zone that is looked for is touched. */
struct zone_slot {
    uint64_t hash;
    struct zone *zone; /* NULL: empty */
};

struct zone_set {
    struct zone_slot
        *slots; /* hash by apex; the capacity is a power of two, at least twice the count */
    struct zone **zones; /* in the order given */
    size_t capacity, count;
    unsigned labels_max; /* of the deepest apex: no longer suffix needs a probe */
};

int zone_set_create(struct zone *const *zones, size_t count, struct zone_set **ret_set)
{
    struct zone_set *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return -ENOMEM;
    set->capacity = 4;
    while (set->capacity < count * 2)
        set->capacity *= 2;
    set->slots = calloc(set->capacity, sizeof(*set->slots));
    set->zones = calloc(count + 1, sizeof(*set->zones));
    if (set->slots == NULL || set->zones == NULL) {
        zone_set_free(set);
        return -ENOMEM;
    }

    for (size_t i = 0; i < count; i++) {
        struct zone *zone = zones[i];
        size_t at = zone->name.hashes[0] & (set->capacity - 1);
        while (set->slots[at].zone != NULL)
            at = (at + 1) & (set->capacity - 1);
        set->slots[at] = (struct zone_slot){.hash = zone->name.hashes[0], .zone = zone};
        set->zones[set->count++] = zone;
        if (zone->name.label_count > set->labels_max)
            set->labels_max = zone->name.label_count;
    }
    *ret_set = set;
    return 0;
}

void zone_set_free(struct zone_set *set)
{
    if (set == NULL)
        return;
    free(set->slots);
    free(set->zones);
    free(set);
}

struct zone *zone_set_find(const struct zone_set *set, const struct name *name,
                           unsigned first_label)
{
    size_t label = first_label;
    if (name->label_count > set->labels_max && label < name->label_count - set->labels_max)
        label = name->label_count - set->labels_max;

    for (; label <= name->label_count; label++) {
        uint64_t hash = name->hashes[label];
        size_t size = (size_t)name->size - name->offsets[label];
        for (size_t at = hash & (set->capacity - 1); set->slots[at].zone != NULL;
             at = (at + 1) & (set->capacity - 1)) {
            struct zone *zone = set->slots[at].zone;
            if (set->slots[at].hash == hash && zone->name.size == size &&
                octets_equal(zone->name.wire, name->wire + name->offsets[label], size))
                return zone;
        }
    }
    return NULL;
}

size_t zone_set_count(const struct zone_set *set)
{
    return set->count;
}

struct zone *zone_set_at(const struct zone_set *set, size_t index)
{
    return set->zones[index];
}
