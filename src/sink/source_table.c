#include "sink/source_table.h"

#include <assert.h>
#include <stdlib.h>

struct place {
    uint32_t source;
    uint32_t next, previous; /* of the same source, the one silent for the longest first */
};

struct source_places {
    uint32_t count;
    uint32_t first, last;    /* places */
    uint32_t next, previous; /* sources with the same count, who has it for the longest first */
};

struct source_table {
    struct place *places;
    struct source_places *sources;
    uint32_t *levels; /* by count: the first source that has so many */
    uint32_t level_max;
    uint32_t connections_max;
};

struct source_table *source_table_create(uint32_t places, uint32_t sources,
                                         uint32_t connections_max)
{
    _cleanup_(source_table_freep) struct source_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->connections_max = connections_max < places ? connections_max : places;
    /* Zeroed pages take no memory until they are used. */
    table->places = calloc((size_t)places + 1, sizeof(*table->places));
    table->sources = calloc((size_t)sources + 1, sizeof(*table->sources));
    table->levels = calloc((size_t)table->connections_max + 1, sizeof(*table->levels));
    if (table->places == NULL || table->sources == NULL || table->levels == NULL)
        return NULL;
    return TAKE(table);
}

void source_table_free(struct source_table *table)
{
    if (table == NULL)
        return;
    free(table->places);
    free(table->sources);
    free(table->levels);
    free(table);
}

/* A level's sources stand in the order in which they came to it; the first one's `previous` is the
 * last. */
static void level_leave(struct source_table *table, uint32_t number)
{
    const struct source_places *source = &table->sources[number];
    uint32_t *first = &table->levels[source->count];
    if (source->next != 0)
        table->sources[source->next].previous = source->previous;
    else
        table->sources[*first].previous = source->previous;
    if (*first == number)
        *first = source->next;
    else
        table->sources[source->previous].next = source->next;
}

static void level_enter(struct source_table *table, uint32_t number)
{
    struct source_places *source = &table->sources[number];
    uint32_t *first = &table->levels[source->count];
    source->next = 0;
    if (*first == 0) {
        *first = number;
    } else {
        source->previous = table->sources[*first].previous;
        table->sources[source->previous].next = number;
    }
    table->sources[*first].previous = number;
}

/* Counts change by one, so the highest level does, too. */
static void source_count_set(struct source_table *table, uint32_t number, uint32_t count)
{
    struct source_places *source = &table->sources[number];
    assert(count <= table->connections_max);
    if (source->count > 0)
        level_leave(table, number);
    source->count = count;
    if (count > 0)
        level_enter(table, number);
    if (count > table->level_max)
        table->level_max = count;
    while (table->level_max > 0 && table->levels[table->level_max] == 0)
        table->level_max--;
}

static void place_append(struct source_table *table, uint32_t place)
{
    struct source_places *source = &table->sources[table->places[place].source];
    table->places[place].next = 0;
    table->places[place].previous = source->last;
    if (source->last != 0)
        table->places[source->last].next = place;
    else
        source->first = place;
    source->last = place;
}

static void place_take_out(struct source_table *table, uint32_t place)
{
    const struct place *taken = &table->places[place];
    struct source_places *source = &table->sources[taken->source];
    if (taken->next != 0)
        table->places[taken->next].previous = taken->previous;
    else
        source->last = taken->previous;
    if (taken->previous != 0)
        table->places[taken->previous].next = taken->next;
    else
        source->first = taken->next;
}

void source_table_add(struct source_table *table, uint32_t source, uint32_t place)
{
    table->places[place].source = source;
    place_append(table, place);
    source_count_set(table, source, table->sources[source].count + 1);
}

void source_table_remove(struct source_table *table, uint32_t place)
{
    const uint32_t source = table->places[place].source;
    place_take_out(table, place);
    source_count_set(table, source, table->sources[source].count - 1);
}

void source_table_touch(struct source_table *table, uint32_t place)
{
    if (table->places[place].next == 0)
        return;
    place_take_out(table, place);
    place_append(table, place);
}

uint32_t source_table_source(const struct source_table *table, uint32_t place)
{
    return table->places[place].source;
}

uint32_t source_table_count(const struct source_table *table, uint32_t place)
{
    return table->sources[table->places[place].source].count;
}

uint32_t source_table_candidate(const struct source_table *table)
{
    return table->level_max == 0 ? 0 : table->sources[table->levels[table->level_max]].first;
}
