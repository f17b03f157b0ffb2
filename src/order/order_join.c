/* Keeps the indexes of all orders in force few: like the levels of a log-structured merge tree,
 * each is several times as large as all smaller ones together. */
#include <errno.h>
#include <stdlib.h>

#include "order/active_order.h"

/* Of the smaller ones together, at least. Twice would merge each name more often, ten times would
 * leave twice as many indexes to probe. */
#define LEVEL_FACTOR 4

struct level {
    struct name_index *index;
    uint32_t *lists; /* as name_index_merge() has them: kept are those of the orders */
    uint64_t live;   /* names of the orders */
};

struct levels {
    struct level *items;
    size_t count;
};

static void levels_clear(struct levels *levels)
{
    for (size_t i = 0; i < levels->count; i++)
        free(levels->items[i].lists);
    free(levels->items);
}

static struct level *find_level(const struct levels *levels, const struct name_index *index)
{
    for (size_t i = 0; i < levels->count; i++)
        if (levels->items[i].index == index)
            return &levels->items[i];
    return NULL;
}

static struct level *add_level(struct levels *levels, struct name_index *index)
{
    size_t list_count = name_index_list_count(index);
    uint32_t *lists = reallocarray(NULL, list_count, sizeof(*lists));
    if (lists == NULL)
        return NULL;
    for (size_t i = 0; i < list_count; i++)
        lists[i] = NAME_INDEX_DROPPED;
    struct level *level = &levels->items[levels->count++];
    *level = (struct level){.index = index, .lists = lists};
    return level;
}

static bool collect_levels(struct active_order *const *orders, size_t count, struct levels *levels)
{
    levels->items = calloc(count + 1, sizeof(*levels->items));
    if (levels->items == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct active_list *names = &orders[i]->names;
        if (names->index == NULL)
            continue;
        struct level *level = find_level(levels, names->index);
        if (level == NULL)
            level = add_level(levels, names->index);
        if (level == NULL)
            return false;
        level->lists[names->number] = 0;
        level->live += names->names.count;
    }
    return true;
}

static int compare_levels(const void *one, const void *other)
{
    const struct level *left = one, *right = other;

    return left->live < right->live ? -1 : left->live > right->live;
}

/* How many of the smallest levels are to be one. */
static size_t count_merged(const struct levels *levels)
{
    uint64_t smaller = 0;
    size_t merged = 0;

    for (size_t i = 0; i < levels->count; i++) {
        const struct level *level = &levels->items[i];
        bool half_dead = level->live < name_index_name_count(level->index) / 2;
        if (half_dead || (i > 0 && level->live < smaller * LEVEL_FACTOR))
            merged = i + 1;
        smaller += level->live;
    }
    return merged;
}

static int merge_levels(const struct levels *levels, struct name_index **ret_merged)
{
    struct name_index_part *parts = calloc(levels->count, sizeof(*parts));
    if (parts == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < levels->count; i++)
        parts[i] = (struct name_index_part){
            .index = levels->items[i].index,
            .lists = levels->items[i].lists,
        };
    int rc = name_index_merge(parts, levels->count, ret_merged);
    free(parts);
    return rc;
}

/* Puts the index that the levels are merged to in the place of theirs. */
static void join(struct active_order *const *orders, size_t count, const struct levels *levels)
{
    struct name_index *merged;

    if (levels->count == 0 || merge_levels(levels, &merged) < 0)
        return;
    for (size_t i = 0; i < count; i++) {
        struct active_list *names = &orders[i]->names;
        const struct level *level = names->index != NULL ? find_level(levels, names->index) : NULL;
        if (level == NULL)
            continue;
        names->number = level->lists[names->number];
        name_index_unref(names->index);
        names->index = name_index_ref(merged);
    }
    name_index_unref(merged);
}

void active_orders_join(struct active_order *const *orders, size_t count)
{
    struct levels levels = {0};

    if (collect_levels(orders, count, &levels)) {
        qsort(levels.items, levels.count, sizeof(*levels.items), compare_levels);
        struct levels smallest = {.items = levels.items, .count = count_merged(&levels)};
        join(orders, count, &smallest);
    }
    levels_clear(&levels);
}
