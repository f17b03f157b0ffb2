/* Record sets as lines of a zone file. */
#pragma once

#include <jansson.h>
#include <stdio.h>

#include "base/cleanup.h"
#include "zone/name_table.h"

/* The full name of a relative owner, wire form. */
void record_owner(const uint8_t *apex, size_t apex_size, const uint8_t *owner, size_t owner_size,
                  uint8_t ret_name[NAME_SIZE_MAX]);

/* Writes one line a record. Returns 0 or -ENOMEM. */
_must_check_ int record_set_write(FILE *stream, const uint8_t *owner, const struct rrset *rrset);

/* The same as a list of texts; NULL: no memory. */
json_t *record_set_json(const uint8_t *owner, const struct rrset *rrset);
