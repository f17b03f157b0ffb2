/* The metadata of an order in its policy zone: read into the order, its lists apart. Private to the
 * order module; policy_zone.c writes it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "order/order.h"
#include "zone/zone_data.h"

/* One character-string (RFC 1035, 3.3). */
struct policy_string {
    const uint8_t *octets;
    size_t size;
};

/* The next character-string of TXT rdata; false at its end. `*at` begins at 0. */
bool policy_string_next(const uint8_t *rdata, size_t size, size_t *at,
                        struct policy_string *ret_string);

/* Finds the TXT record with an order's metadata among what POLICY_OWN_LABEL has. Returns 1 when it
 * is there, 0 when it is not, and -EINVAL when there are two, or one of a later form. */
int policy_metadata_find(const struct name_entry *owner, const char *path,
                         const uint8_t **ret_rdata, size_t *ret_size, struct error *ret_error);

/* Makes the order that the metadata describes, without its lists and unverified. What a file would
 * be refused for refuses it here: -EINVAL. Keys that are not known are passed over. */
_must_check_ int policy_metadata_read(const uint8_t *rdata, size_t size, const char *path,
                                      struct order **ret_order, struct error *ret_error);
