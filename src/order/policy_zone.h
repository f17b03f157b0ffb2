/* An order as a response policy zone (draft-vixie-dnsop-dns-rpz), for other people's resolvers and
 * for the desk. What each action becomes is defined in tamis-order(5). */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"

struct policy_zone_options {
    const char *origin; /* as text, or NULL for "<id>.rpz.invalid" */
    uint32_t serial;
};

/* What was written. */
struct policy_zone_summary {
    uint64_t names;    /* owners that carry the action, wildcards not counted */
    uint64_t left_out; /* names without a trigger, in the metadata alone: over 255 octets with the
                          origin behind them, or below a top-level label that begins with "rpz-" */
    uint64_t without_address; /* of `names`, those that get NODATA instead of the sinkhole's
                                 addresses, because they are no hostnames ("_x.example") */
};

/* Writes the zone as a master file (RFC 1035, 5). A bad origin is -EINVAL; a write that fails is
 * the stream's to tell (ferror). */
_must_check_ int policy_zone_write(const struct order *order,
                                   const struct policy_zone_options *options, FILE *stream,
                                   struct policy_zone_summary *ret_summary,
                                   struct error *ret_error);
