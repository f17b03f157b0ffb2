/* What commands say about an order that is bad, in part or as a whole. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "order/order.h"

/* Prints each finding to standard error, by file and line. */
void order_findings_print(const struct order *order);

/* The same as a list of objects; a new reference. */
json_t *order_findings_json(const struct order *order);

/* Prints why the whole order is refused: to standard error, or as the command's JSON object. */
void order_refusal_print(const struct error *error, bool json);

/* Without a keyring an order with subtrees is still shown, with a finding that says so: refusing it
 * outright would hide its other faults. */
void order_note_unverified(struct order *order);
