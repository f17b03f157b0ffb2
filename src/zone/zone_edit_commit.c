/* The one moment at which an edit changes what readers see. */
#include <assert.h>

#include "base/rcu.h"
#include "zone/arena.h"
#include "zone/negative.h"
#include "zone/zone_data_internal.h"
#include "zone/zone_edit_internal.h"

/* Names that are changed under the table's lock at a time, so that marks do not wait for a large
 * commit. */
#define LOCKED_MAX 256

struct counts {
    uint64_t names, entries, records; /* modulo 2^64: they may sink */
};

static uint64_t records_of(const struct name_entry *entry)
{
    uint64_t records = 0;
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0; left--) {
        struct rrset rrset;
        at = rrset_read(&rrset, at);
        records += rrset.rr_count;
    }
    return records;
}

static struct counts counts_of(const struct name_entry *entry)
{
    if (entry == NULL)
        return (struct counts){0};
    return (struct counts){
        .names = entry->rrset_count > 0, .entries = 1, .records = records_of(entry)};
}

/* Swaps one name's entry, with the locks of table and views held. */
static void publish(struct zone_edit *edit, struct edit_node *node, struct counts *more)
{
    struct zone_data *data = edit->data;
    struct zone_changing *changing = edit->changing;
    uint64_t index;
    const struct name_entry *before = name_table_replace(data->table, node->hash, node->owner,
                                                         node->owner_size, node->final, &index);
    assert(before == node->base);
    (void)before;
    if (node->base == NULL) {
        data->slots_reserved--;
        edit->slots_reserved--;
    }
    if (changing->views != NULL)
        zone_views_keep(changing, data->table, index, node->base);

    const struct counts was = counts_of(node->base), is = counts_of(node->final);
    more->names += is.names - was.names;
    more->entries += is.entries - was.entries;
    more->records += is.records - was.records;
    if (node->base != NULL)
        retired_add(&changing->retired, node->base, name_entry_size(node->base), changing->commits);
    /* The zone owns what is published; what was staged and came to nothing is the edit's. */
    if (node->entry != node->base && node->entry != node->final)
        zone_edit_discard(edit, node->entry);
    node->base = node->entry = node->final;
    node->staged_at = 0;
}

static void publish_all(struct zone_edit *edit, struct counts *more)
{
    struct zone_data *data = edit->data;
    struct edit_node *apex = NULL;
    unsigned locked = 0;
    (void)pthread_mutex_lock(&data->table_lock);
    for (struct edit_node *node = edit->first; node != NULL; node = node->next) {
        if (node->children_more != 0)
            child_counts_add(&edit->changing->children, node->hash, node->children_more);
        if (node->final == node->base)
            continue;
        if (node->owner_size == 0) {
            apex = node; /* last: who sees the new serial sees what it stands for */
            continue;
        }
        publish(edit, node, more);
        if (++locked % LOCKED_MAX == 0) {
            (void)pthread_mutex_unlock(&data->table_lock);
            (void)pthread_mutex_lock(&data->table_lock);
        }
    }
    if (apex != NULL) {
        publish(edit, apex, more);
        rcu_assign_pointer(data->apex_entry, apex->final);
        zone_data_read_soa(data);
        struct zone_negative *former = data->negative;
        rcu_assign_pointer(data->negative, TAKE(edit->negative));
        zone_negative_retire(former);
    }
    (void)pthread_mutex_unlock(&data->table_lock);
}

static void add_count(uint64_t *count, uint64_t more)
{
    __atomic_store_n(count, *count + more, __ATOMIC_RELAXED);
}

void zone_edit_commit(struct zone_edit *edit)
{
    assert(edit->is_prepared);
    struct zone_data *data = edit->data;
    struct zone_changing *changing = edit->changing;
    struct counts more = {0};
    changing->commits++;
    (void)pthread_mutex_lock(&changing->views_lock);
    publish_all(edit, &more);
    (void)pthread_mutex_unlock(&changing->views_lock);
    edit->is_prepared = false;
    add_count(&data->name_count, more.names);
    add_count(&data->entry_count, more.entries);
    add_count(&data->record_count, more.records);
    retired_advance(&changing->retired, zone_views_oldest(changing), data->arena);
}
