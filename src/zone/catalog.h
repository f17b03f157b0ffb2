/* A catalog zone (RFC 9432): a zone whose records list other zones, its members. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "dns/name.h"
#include "zone/zone_view.h"

struct catalog_member {
    uint8_t label[64];           /* the member's label in the catalog, its length octet first */
    uint8_t zone[NAME_SIZE_MAX]; /* wire form, lower case */
};

/* Members in canonical order of their zones, none twice. */
struct catalog {
    struct catalog_member *members;
    size_t count, room;
};

void catalog_clear(struct catalog *catalog);

/* Reads what a view, of which nothing was walked yet, shows. Properties of members other
 * than their zone, and owners of no known meaning, are passed over (RFC 9432, 4.4.2 and 4.5). A
 * catalog that is broken (5.1: not of version "2", a member with two zones, a zone listed twice),
 * or that has more than `members_max` members, is -EINVAL: then its earlier state counts. */
_must_check_ int catalog_read(struct zone_view *view, size_t members_max,
                              struct catalog *ret_catalog, struct error *ret_error);
