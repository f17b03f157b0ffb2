#include "base/rcu.h"
#include "zone/zone.h"

static uint64_t load(const uint64_t *count)
{
    return __atomic_load_n(count, __ATOMIC_RELAXED);
}

void zone_figures(const struct zone *zone, struct zone_figures *ret_figures)
{
    struct zone_figures figures = {0};
    rcu_register_thread();
    const struct zone_data *data = rcu_dereference(zone->data);
    figures.has_data = zone_data_soa(data, &figures.soa);
    figures.names = load(&data->name_count);
    figures.records = load(&data->record_count);
    figures.memory = zone_data_memory(data);
    rcu_unregister_thread();
    *ret_figures = figures;
}
