#include "server/order_marks.h"

#include <libknot/dname.h>

#include "order/order_scope.h"

int order_marks_set_in(const struct zone_set *zones, const struct active_order *active,
                       struct zone_data *data)
{
    /* In canonical order, what is below a name stands right behind it. */
    const struct packed_names *names = active_order_names(active);
    struct packed_walk walk;

    packed_walk_begin(&walk, names, packed_names_lower_bound(names, data->apex.wire));
    for (const uint8_t *wire = packed_walk_next(&walk); wire != NULL;
         wire = packed_walk_next(&walk)) {
        if (knot_dname_in_bailiwick(wire, data->apex.wire) < 0)
            break;
        struct name name;
        const struct zone *zone = order_scope_zone(zones, wire, &name);
        if (zone != NULL && zone->name.label_count != data->apex.label_count)
            continue;
        int rc = zone_data_mark(data, wire);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void order_marks_clear(const struct zone_set *zones, const struct active_order *active,
                       const struct overlay_set *others)
{
    struct packed_walk walk;

    packed_walk_begin(&walk, active_order_names(active), 0);
    for (const uint8_t *wire = packed_walk_next(&walk); wire != NULL;
         wire = packed_walk_next(&walk)) {
        struct name name;
        const struct zone *zone = order_scope_zone(zones, wire, &name);
        if (zone != NULL && (others == NULL || !overlay_set_lists(others, &name)))
            zone_data_unmark(zone->data, wire);
    }
}
