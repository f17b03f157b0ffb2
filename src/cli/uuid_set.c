#include "cli/uuid_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MIN 1024

static const struct uuid none;

/* Where it is, or is to be: a UUID of version 5 is a hash already. */
static struct uuid *place_find(const struct uuid_set *set, const struct uuid *uuid)
{
    size_t at;
    memcpy(&at, uuid->octets, sizeof(at));
    for (at &= set->place_count - 1;; at = (at + 1) & (set->place_count - 1)) {
        struct uuid *place = &set->places[at];
        if (memcmp(place, uuid, sizeof(*uuid)) == 0 || memcmp(place, &none, sizeof(none)) == 0)
            return place;
    }
}

/* Doubles the places; they are filled to a half at most. */
static int grow(struct uuid_set *set)
{
    struct uuid_set grown = {
        .place_count = set->place_count == 0 ? PLACES_MIN : 2 * set->place_count,
        .count = set->count,
    };
    grown.places = calloc(grown.place_count, sizeof(*grown.places));
    if (grown.places == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < set->place_count; i++)
        if (memcmp(&set->places[i], &none, sizeof(none)) != 0)
            *place_find(&grown, &set->places[i]) = set->places[i];
    free(set->places);
    *set = grown;
    return 0;
}

int uuid_set_add(struct uuid_set *set, const struct uuid *uuid)
{
    if (2 * (set->count + 1) > set->place_count && grow(set) < 0)
        return -ENOMEM;
    struct uuid *place = place_find(set, uuid);
    if (memcmp(place, uuid, sizeof(*uuid)) == 0)
        return 0;
    *place = *uuid;
    set->count++;
    return 1;
}

void uuid_set_clear(struct uuid_set *set)
{
    free(set->places);
    *set = (struct uuid_set){0};
}
