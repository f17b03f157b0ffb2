#include "zone/zone_view.h"

#include <errno.h>
#include <stdlib.h>

#include "base/rcu.h"
#include "zone/zone_data_internal.h"
#include "zone/zone_edit_internal.h"

/* Slots that are walked under the views' lock at a time: a commit waits no longer. */
#define SLOTS_MAX 4096

#define KEPT_MIN 64

/* What a slot had when the view was opened. */
struct kept {
    uint64_t slot; /* its index plus 1; 0: empty */
    const struct name_entry *entry;
};

struct zone_view {
    struct zone_hold hold; /* its table stays the view's, also when the zone has another by now */
    struct zone_changing *changing;
    struct soa soa;
    const struct name_entry *apex_entry;
    struct zone_view_state state;
    uint64_t commits; /* of the zone, when the view was opened */

    /* Under changing->views_lock. */
    struct zone_view *next, *previous;
    uint64_t at; /* the next slot */
    struct kept *kept;
    size_t kept_capacity, kept_count; /* a power of two, at most half full */
};

int zone_view_open(struct zone_data *data, struct zone_view **ret_view)
{
    int rc = zone_changing_make(data);
    struct zone_view *view = rc == 0 ? calloc(1, sizeof(*view)) : NULL;
    if (view == NULL)
        return -ENOMEM;
    struct zone_changing *changing = data->changing;
    view->changing = changing;
    view->soa = data->soa;
    view->apex_entry = data->apex_entry;
    view->state = (struct zone_view_state){
        .source = data->source,
        .name_count = data->name_count,
        .entry_count = data->entry_count,
    };
    view->commits = changing->commits;
    zone_data_hold(data, &view->hold);
    (void)pthread_mutex_lock(&changing->views_lock);
    view->next = changing->views;
    if (view->next != NULL)
        view->next->previous = view;
    changing->views = view;
    (void)pthread_mutex_unlock(&changing->views_lock);
    *ret_view = view;
    return 0;
}

void zone_view_close(struct zone_view *view)
{
    if (view == NULL)
        return;
    struct zone_changing *changing = view->changing;
    (void)pthread_mutex_lock(&changing->views_lock);
    if (view->previous != NULL)
        view->previous->next = view->next;
    else
        changing->views = view->next;
    if (view->next != NULL)
        view->next->previous = view->previous;
    (void)pthread_mutex_unlock(&changing->views_lock);
    zone_hold_release(&view->hold);
    free(view->kept);
    free(view);
}

const struct soa *zone_view_soa(const struct zone_view *view)
{
    return &view->soa;
}

const struct name_entry *zone_view_apex(const struct zone_view *view)
{
    return view->apex_entry;
}

const struct zone_data *zone_view_data(const struct zone_view *view)
{
    return view->hold.data;
}

const struct zone_view_state *zone_view_state(const struct zone_view *view)
{
    return &view->state;
}

/* ---- What edits leave to views ---- */

static struct kept *find_kept(const struct kept *kept, size_t capacity, uint64_t slot)
{
    size_t at = (size_t)((slot * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (capacity - 1);
    while (kept[at].slot != 0 && kept[at].slot != slot)
        at = (at + 1) & (capacity - 1);
    return (struct kept *)&kept[at];
}

/* Makes room for `more`; what the view has passed is not kept any longer. */
static int reserve_kept(struct zone_view *view, size_t more)
{
    if ((view->kept_count + more) * 2 <= view->kept_capacity)
        return 0;
    size_t wanted = more, capacity = KEPT_MIN, count = 0;
    for (size_t i = 0; i < view->kept_capacity; i++)
        wanted += view->kept[i].slot > view->at;
    while (capacity < wanted * 3)
        capacity *= 2;
    struct kept *kept = calloc(capacity, sizeof(*kept));
    if (kept == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < view->kept_capacity; i++) {
        if (view->kept[i].slot > view->at) {
            *find_kept(kept, capacity, view->kept[i].slot) = view->kept[i];
            count++;
        }
    }
    free(view->kept);
    view->kept = kept;
    view->kept_capacity = capacity;
    view->kept_count = count;
    return 0;
}

int zone_views_reserve(struct zone_changing *changing, size_t count)
{
    int rc = 0;
    (void)pthread_mutex_lock(&changing->views_lock);
    for (struct zone_view *view = changing->views; view != NULL && rc == 0; view = view->next)
        rc = reserve_kept(view, count);
    (void)pthread_mutex_unlock(&changing->views_lock);
    return rc;
}

void zone_views_keep(struct zone_changing *changing, const struct name_table *table, uint64_t index,
                     const struct name_entry *before)
{
    for (struct zone_view *view = changing->views; view != NULL; view = view->next) {
        /* A table that the zone has left changes no more: its slots are what the view wants. */
        if (view->hold.table != table || index < view->at)
            continue;
        struct kept *kept = find_kept(view->kept, view->kept_capacity, index + 1);
        if (kept->slot != 0)
            continue; /* changed before: the first is what the view was opened on */
        *kept = (struct kept){.slot = index + 1, .entry = before};
        view->kept_count++;
    }
}

uint64_t zone_views_oldest(struct zone_changing *changing)
{
    uint64_t oldest = UINT64_MAX;
    (void)pthread_mutex_lock(&changing->views_lock);
    for (const struct zone_view *view = changing->views; view != NULL; view = view->next) {
        if (view->commits < oldest)
            oldest = view->commits;
    }
    (void)pthread_mutex_unlock(&changing->views_lock);
    return oldest;
}

/* ---- Walking ---- */

static const struct name_entry *entry_at(const struct zone_view *view, uint64_t index)
{
    if (view->kept_count > 0) {
        const struct kept *kept = find_kept(view->kept, view->kept_capacity, index + 1);
        if (kept->slot != 0)
            return kept->entry;
    }
    return name_table_at(view->hold.table, index);
}

/* Walks some slots; returns how many entries they had. */
static size_t walk_some(struct zone_view *view, const struct name_entry **ret_entries,
                        uint64_t *ret_slots, size_t max)
{
    size_t count = 0;
    uint64_t capacity = view->hold.table->capacity;
    uint64_t end = capacity - view->at < SLOTS_MAX ? capacity : view->at + SLOTS_MAX;
    (void)pthread_mutex_lock(&view->changing->views_lock);
    for (; view->at < end && count < max; view->at++) {
        const struct name_entry *entry = entry_at(view, view->at);
        if (entry == NULL)
            continue;
        ret_entries[count] = entry;
        if (ret_slots != NULL)
            ret_slots[count] = view->at;
        count++;
    }
    (void)pthread_mutex_unlock(&view->changing->views_lock);
    return count;
}

size_t zone_view_next(struct zone_view *view, const struct name_entry **ret_entries,
                      uint64_t *ret_slots, size_t max)
{
    size_t count = 0;
    while (count < max && view->at < view->hold.table->capacity)
        count += walk_some(view, ret_entries + count, ret_slots != NULL ? ret_slots + count : NULL,
                           max - count);
    return count;
}
