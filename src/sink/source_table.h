/* The connections of one thread by their source: which of them is the first to give way.
 *
 * That is the one of the source with the most connections that has been silent for the longest, so
 * that who opens many displaces his own, and new sources are served first; of sources with as many,
 * the one that has them for the longest gives way. Sources have the numbers
 * that source_numbers.h gives them, connections the places of the thread's table; both from 1, 0 is
 * none. All is found in constant time. One thread's.
 */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"

struct source_table;

/* `connections_max` of one source. NULL: no memory. */
struct source_table *source_table_create(uint32_t places, uint32_t sources,
                                         uint32_t connections_max);
void source_table_free(struct source_table *table);
DEFINE_FREEP(struct source_table, source_table_free)

void source_table_add(struct source_table *table, uint32_t source, uint32_t place);
void source_table_remove(struct source_table *table, uint32_t place);

/* The connection has just sent something: all others of its source are to go before it. */
void source_table_touch(struct source_table *table, uint32_t place);

uint32_t source_table_source(const struct source_table *table, uint32_t place);

/* Connections of the source of `place`. */
uint32_t source_table_count(const struct source_table *table, uint32_t place);

/* The place to give way next; 0: the table is empty. */
uint32_t source_table_candidate(const struct source_table *table);
