/* The digest of a whole zone (ZONEMD, RFC 8976): whether what arrived is what its publisher made.
 *
 * Scheme SIMPLE with SHA-384 or SHA-512. The zone is hashed in canonical order as it streams by, on
 * the calling thread; sorting the names takes a second one when there are many. Memory is 24 octets
 * a name, and as much again while they are sorted.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/zone_data.h"

enum zonemd_policy {
    ZONEMD_VERIFY,  /* where there is one that we understand, it must match */
    ZONEMD_REQUIRE, /* there must be one, and match */
    ZONEMD_IGNORE,
};

/* What the check came to, when the zone may be served. */
enum zonemd_result {
    ZONEMD_NONE, /* the zone has none, or is not to be looked at */
    ZONEMD_MATCHES,
    ZONEMD_NOT_OURS, /* of schemes or hashes that we do not know: passed unchecked */
};

/* Whether a check would look at the zone's records at all. */
bool zonemd_is_wanted(const struct zone_data *data, enum zonemd_policy policy);

/* Checks a generation that nobody changes meanwhile. Returns 0, -ENOMEM, or -EKEYREJECTED with the
 * reason when the policy forbids to serve it. */
_must_check_ int zonemd_check(const struct zone_data *data, enum zonemd_policy policy,
                              enum zonemd_result *ret_result, struct error *ret_error);
