#include "order/order_scope.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rcu.h"

struct zone *order_scope_zone(const struct zone_set *zones, const uint8_t *wire,
                              struct name *ret_name)
{
    if (name_parse(ret_name, wire, NAME_SIZE_MAX) < 0)
        return NULL;
    return zone_set_find(zones, ret_name, 0);
}

/* Why a listed name cannot be blocked as it is listed; NULL when it can. Zones may be edited
 * meanwhile: readers only. */
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

/* Counts the subtrees that cannot be blocked; `ret_order`, the same order or NULL, gets a finding
 * for each. */
static uint64_t check_subtrees(const struct zone_set *zones, const struct order *order,
                               struct order *ret_order)
{
    uint64_t refused = 0;
    struct name name;

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

/* ---- An order that is to be in force ---- */

/* Names that are looked at together, so that the memory they want is asked for ahead. */
#define LOOK_BATCH 16

struct looked {
    struct name name;
    struct zone *zone;
    const char *reason, *detail; /* as of refusal() */
    bool has_place;              /* in the zone's table */
};

/* The run of `zone` at the end, made when the last one is another's; NULL: no memory. */
static struct scope_run *take_run(struct order_scope *scope, struct zone *zone)
{
    if (scope->run_count > 0 && scope->runs[scope->run_count - 1].zone == zone)
        return &scope->runs[scope->run_count - 1];
    if (scope->run_count == scope->run_room) {
        size_t room = scope->run_room * 2 + 16;
        struct scope_run *runs = reallocarray(scope->runs, room, sizeof(*runs));
        if (runs == NULL)
            return NULL;
        scope->runs = runs;
        scope->run_room = room;
    }
    scope->runs[scope->run_count] = (struct scope_run){.zone = zone};
    return &scope->runs[scope->run_count++];
}

static int leave_name(struct order_scope *scope, size_t index)
{
    if (scope->left_count == scope->left_room) {
        size_t room = scope->left_room + scope->left_room / 2 + 64;
        uint32_t *left = reallocarray(scope->left, room, sizeof(*left));
        if (left == NULL)
            return -ENOMEM;
        scope->left = left;
        scope->left_room = room;
    }
    scope->left[scope->left_count++] = (uint32_t)index;
    return 0;
}

/* Looks a batch of names up, as a reader: for so long that no grace period waits for it. */
static void look(const struct zone_set *zones, const struct order_names *names, size_t at,
                 struct looked *looked, size_t count)
{
    rcu_thread_online();
    for (size_t i = 0; i < count; i++) {
        const uint8_t *wire = order_names_at(names, at + i);
        looked[i].zone = order_scope_zone(zones, wire, &looked[i].name);
        if (looked[i].zone != NULL)
            zone_data_prefetch(looked[i].zone->data, &looked[i].name);
    }
    for (size_t i = 0; i < count; i++)
        if (looked[i].zone != NULL)
            zone_data_prefetch_entry(looked[i].zone->data, &looked[i].name);
    for (size_t i = 0; i < count; i++) {
        looked[i].reason = refusal(looked[i].zone, &looked[i].name, &looked[i].detail);
        if (looked[i].zone == NULL)
            continue;
        struct name_hit hit = zone_data_find(looked[i].zone->data, &looked[i].name);
        looked[i].has_place = hit.entry != NULL || hit.marked;
    }
    rcu_thread_offline();
}

/* Marks a name of a zone, or leaves it for later. */
static int take_name(struct order_scope *scope, struct scope_run *run, size_t index,
                     const struct looked *looked, bool marks)
{
    if (marks && looked->has_place && zone_data_mark_present(run->zone->data, &looked->name))
        return 0;
    run->missing += !looked->has_place;
    run->left++;
    return leave_name(scope, index);
}

/* Takes a name, the next one, into the scope. */
static int judge(struct order_scope *scope, struct order *order, size_t index,
                 const struct looked *looked, bool marks)
{
    struct scope_run *run = take_run(scope, looked->zone);
    if (run == NULL)
        return -ENOMEM;
    if (looked->reason != NULL) {
        scope->refused++;
        order_add_name_finding(order, &order->names, index, looked->reason, looked->detail);
    }
    return run->zone != NULL ? take_name(scope, run, index, looked, marks) : 0;
}

static int check_names(const struct zone_set *zones, struct order *order, bool marks,
                       struct order_scope *scope)
{
    struct looked looked[LOOK_BATCH];
    size_t count = order->names.count;
    int rc = 0;

    for (size_t at = 0; at < count; at += LOOK_BATCH) {
        size_t batch = count - at < LOOK_BATCH ? count - at : LOOK_BATCH;
        look(zones, &order->names, at, looked, batch);
        for (size_t i = 0; i < batch && rc == 0; i++)
            rc = judge(scope, order, at + i, &looked[i], marks);
        if (rc < 0)
            return rc;
    }
    return 0;
}

void order_scope_clear(struct order_scope *scope)
{
    free(scope->runs);
    free(scope->left);
    *scope = (struct order_scope){0};
}

int order_scope_check(const struct zone_set *zones, struct order *order, bool marks,
                      struct order_scope *ret_scope)
{
    *ret_scope = (struct order_scope){0};
    rcu_register_thread();
    rcu_thread_offline();
    int rc = check_names(zones, order, marks, ret_scope);
    rcu_unregister_thread();
    ret_scope->refused += check_subtrees(zones, order, order);
    return rc;
}

/* Names whose places are handed over together. */
#define MARK_BATCH 256

static int mark_names(struct zone_data *data, const struct order_names *names,
                      const uint32_t *indices, size_t count)
{
    const uint8_t *owners[MARK_BATCH];

    while (count > 0) {
        size_t batch = count < MARK_BATCH ? count : MARK_BATCH;
        for (size_t i = 0; i < batch; i++)
            owners[i] = order_names_at(names, indices[i]);
        int rc = zone_data_mark_all(data, owners, batch);
        if (rc < 0)
            return rc;
        indices += batch;
        count -= batch;
    }
    return 0;
}

int order_scope_mark(const struct order_scope *scope, const struct order *order)
{
    const uint32_t *left = scope->left;

    for (size_t i = 0; i < scope->run_count; left += scope->runs[i++].left) {
        const struct scope_run *run = &scope->runs[i];
        int rc = run->missing > 0 ? zone_data_reserve(run->zone->data, run->missing) : 0;
        if (rc == 0 && run->left > 0)
            rc = mark_names(run->zone->data, &order->names, left, run->left);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- An order in force ---- */

static const char *name_refusal(const struct zone_set *zones, const uint8_t *wire,
                                const char **ret_detail)
{
    struct name name;
    const struct zone *zone = order_scope_zone(zones, wire, &name);

    return refusal(zone, &name, ret_detail);
}

uint64_t order_scope_refused(const struct zone_set *zones, const struct active_order *active)
{
    struct packed_walk walk;
    const char *detail;
    uint64_t refused = 0;

    rcu_register_thread();
    packed_walk_begin(&walk, active_order_names(active), 0);
    for (const uint8_t *wire = packed_walk_next(&walk); wire != NULL;
         wire = packed_walk_next(&walk)) {
        refused += name_refusal(zones, wire, &detail) != NULL;
        rcu_quiescent_state();
    }
    rcu_unregister_thread();
    return refused + check_subtrees(zones, active_order_get(active), NULL);
}
