#include "order/order_scope.h"

/* Names given to zone_data_mark_all() at a time. */
#define MARKED_TOGETHER 256

struct zone *order_scope_zone(const struct zone_set *zones, const uint8_t *wire,
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
        const struct zone *zone = order_scope_zone(zones, order_names_at(&order->names, i), &name);
        const char *reason = refusal(zone, &name, &detail);
        if (reason == NULL)
            continue;
        refused++;
        if (ret_order != NULL)
            order_add_name_finding(ret_order, &order->names, i, reason, detail);
    }
    for (size_t i = 0; i < order->subtrees.count; i++) {
        if (order_scope_zone(zones, order_names_at(&order->subtrees, i), &name) != NULL)
            continue;
        refused++;
        if (ret_order != NULL)
            order_add_name_finding(ret_order, &order->subtrees, i, "is outside of every zone here",
                                   NULL);
    }
    return refused;
}

uint64_t order_scope_check(const struct zone_set *zones, struct order *order)
{
    return count_refused(zones, order, order);
}

uint64_t order_scope_refused(const struct zone_set *zones, const struct order *order)
{
    return count_refused(zones, order, NULL);
}

int order_scope_mark(const struct zone_set *zones, const struct order *order)
{
    /* Names of one zone mostly come in a row: they are marked together. */
    const uint8_t *owners[MARKED_TOGETHER];
    const struct zone *of = NULL;
    size_t count = 0;
    for (size_t i = 0; i <= order->names.count; i++) {
        struct name name;
        const uint8_t *wire = i < order->names.count ? order_names_at(&order->names, i) : NULL;
        const struct zone *zone = wire != NULL ? order_scope_zone(zones, wire, &name) : NULL;
        if (count > 0 && (zone != of || count == MARKED_TOGETHER)) {
            int rc = zone_data_mark_all(of->data, owners, count);
            if (rc < 0)
                return rc;
            count = 0;
        }
        of = zone;
        if (zone != NULL)
            owners[count++] = wire;
    }
    return 0;
}
