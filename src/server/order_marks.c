#include "server/order_marks.h"

#include <libknot/dname.h>

#include "order/name_key.h"

/* The zone of a listed name; NULL: none of ours. */
static struct zone *zone_of(const struct zone_set *zones, const uint8_t *wire,
                            struct name *ret_name)
{
    if (name_parse(ret_name, wire, NAME_SIZE_MAX) < 0)
        return NULL;
    return zone_set_find(zones, ret_name, 0);
}

/* Why a listed name cannot be blocked as it is listed; NULL when it can. */
static const char *refusal(const struct zone *zone, const struct name *name,
                           const char **ret_detail)
{
    *ret_detail = NULL;
    if (zone == NULL)
        return "is outside of every zone here";
    switch (zone_data_name_state(zone->data, name)) {
    case NAME_IS_APEX:
        *ret_detail = "list it under subtrees, with two signatures";
        return "is the apex of a zone";
    case NAME_CUT:
        *ret_detail = "list it under subtrees, with two signatures";
        return "is a zone cut";
    default:
        /* The apex of a zone without data, too. */
        if (name->label_count == zone->name.label_count) {
            *ret_detail = "list it under subtrees, with two signatures";
            return "is the apex of a zone";
        }
        return NULL;
    }
}

/* Counts the listed names that cannot be blocked; `ret_order`, the same order or NULL, gets a
 * finding for each. */
static uint64_t count_refused(const struct zone_set *zones, const struct order *order,
                              struct order *ret_order)
{
    uint64_t refused = 0;
    struct name name;
    for (size_t i = 0; i < order->names.count; i++) {
        const char *detail;
        const struct zone *zone = zone_of(zones, order_names_at(&order->names, i), &name);
        const char *reason = refusal(zone, &name, &detail);
        if (reason == NULL)
            continue;
        refused++;
        if (ret_order != NULL)
            order_add_name_finding(ret_order, &order->names, i, reason, detail);
    }
    for (size_t i = 0; i < order->subtrees.count; i++) {
        if (zone_of(zones, order_names_at(&order->subtrees, i), &name) != NULL)
            continue;
        refused++;
        if (ret_order != NULL)
            order_add_name_finding(ret_order, &order->subtrees, i, "is outside of every zone here",
                                   NULL);
    }
    return refused;
}

uint64_t order_marks_check(const struct zone_set *zones, struct order *order)
{
    return count_refused(zones, order, order);
}

uint64_t order_marks_refused(const struct zone_set *zones, const struct order *order)
{
    return count_refused(zones, order, NULL);
}

int order_marks_set(const struct zone_set *zones, const struct order *order)
{
    for (size_t i = 0; i < order->names.count; i++) {
        struct name name;
        const uint8_t *wire = order_names_at(&order->names, i);
        const struct zone *zone = zone_of(zones, wire, &name);
        if (zone == NULL)
            continue;
        int rc = zone_data_mark(zone->data, wire);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Index of the first name that is not before `wire` in canonical order. */
static size_t lower_bound(const struct order_names *names, const uint8_t *wire)
{
    uint8_t wanted[NAME_KEY_MAX], key[NAME_KEY_MAX];
    name_key_write(wire, wanted);
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        name_key_write(order_names_at(names, middle), key);
        if (name_key_compare(key, wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

int order_marks_set_in(const struct zone_set *zones, const struct order *order,
                       struct zone_data *data)
{
    /* In canonical order, what is below a name stands right behind it. */
    const struct order_names *names = &order->names;
    for (size_t at = lower_bound(names, data->apex.wire); at < names->count; at++) {
        const uint8_t *wire = order_names_at(names, at);
        if (knot_dname_in_bailiwick(wire, data->apex.wire) < 0)
            break;
        struct name name;
        const struct zone *zone = zone_of(zones, wire, &name);
        if (zone != NULL && zone->name.label_count != data->apex.label_count)
            continue;
        int rc = zone_data_mark(data, wire);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_listed_by(const struct order_entry *entries, size_t count, const uint8_t *wire)
{
    for (size_t i = 0; i < count; i++) {
        if (!entries[i].ended &&
            order_names_find(&active_order_get(entries[i].active)->names, wire) != SIZE_MAX)
            return true;
    }
    return false;
}

void order_marks_clear(const struct zone_set *zones, const struct order *order,
                       const struct order_entry *others, size_t other_count)
{
    for (size_t i = 0; i < order->names.count; i++) {
        struct name name;
        const uint8_t *wire = order_names_at(&order->names, i);
        const struct zone *zone = zone_of(zones, wire, &name);
        if (zone != NULL && !is_listed_by(others, other_count, wire))
            zone_data_unmark(zone->data, wire);
    }
}
