/* What a zone should have, kept as plainly as can be: for tests that change a zone at random and
 * compare it with one that is built anew. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "zone/zone_data.h"
#include "zone/zone_edit.h"

#define MODEL_NAMES   85 /* the apex, and what four labels make in up to three levels */
#define MODEL_RECORDS 4  /* different data of each type */

enum model_type { MODEL_A, MODEL_AAAA, MODEL_NS, MODEL_CNAME, MODEL_DNAME, MODEL_TXT, MODEL_TYPES };

struct model_set {
    uint8_t records; /* a bit for each */
    uint32_t ttl;
};

struct model {
    uint32_t serial;
    struct model_set sets[MODEL_NAMES][MODEL_TYPES];
};

void model_init(struct model *model);

/* Whether the zone could be loaded. */
bool model_is_valid(const struct model *model);

void model_owner(unsigned name, struct name *ret_owner);
uint16_t model_rrtype(unsigned type);
uint16_t model_rdata(unsigned type, unsigned record, uint8_t ret_rdata[64]);

struct zone_data *model_build(const struct model *model);

/* Fails the test unless both have the same names, records, flags and numbers. */
void model_compare(const struct zone_data *edited, const struct zone_data *built);

/* Fails unless the entries are the same to the last octet. */
void model_compare_entry(const struct name_entry *edited, const struct zone_data *built);

/* Changes model and edit alike, at random. */
void model_change(struct model *model, struct zone_edit *edit, uint64_t *random);

uint64_t model_random(uint64_t *random);
