#include "server/order_marks.h"

#include <libknot/dname.h>

#include "order/order_scope.h"

/* Names given to zone_data_mark_all() at a time. */
#define MARKED_TOGETHER 256

int order_marks_set_in(const struct zone_set *zones, const struct order *order,
                       struct zone_data *data)
{
    /* In canonical order, what is below a name stands right behind it. */
    const struct order_names *names = &order->names;
    const uint8_t *owners[MARKED_TOGETHER];
    size_t count = 0;
    for (size_t at = order_names_lower_bound(names, data->apex.wire); at < names->count; at++) {
        const uint8_t *wire = order_names_at(names, at);
        if (knot_dname_in_bailiwick(wire, data->apex.wire) < 0)
            break;
        struct name name;
        const struct zone *zone = order_scope_zone(zones, wire, &name);
        if (zone != NULL && zone->name.label_count != data->apex.label_count)
            continue;
        owners[count++] = wire;
        if (count < MARKED_TOGETHER)
            continue;
        int rc = zone_data_mark_all(data, owners, count);
        if (rc < 0)
            return rc;
        count = 0;
    }
    return zone_data_mark_all(data, owners, count);
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
        const struct zone *zone = order_scope_zone(zones, wire, &name);
        if (zone != NULL && !is_listed_by(others, other_count, wire))
            zone_data_unmark(zone->data, wire);
    }
}
