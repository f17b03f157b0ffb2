/* Figures of a rehearsal as JSON, for whoever tells them to programs. NULL is out of memory. */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "order/rehearsal.h"

/* A name in wire form as text. */
json_t *rehearsal_name_json(const uint8_t *wire);

/* The listed names by state; addresses that they share with others; examples of records that refer
 * to them, as an array. */
json_t *rehearsal_listed_json(const struct rehearsal *rehearsal);
json_t *rehearsal_shared_json(const struct rehearsal *rehearsal);
json_t *rehearsal_examples_json(const struct rehearsal *rehearsal);
