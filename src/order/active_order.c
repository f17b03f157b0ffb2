/* One order in force: its names packed and indexed, and what is counted about them. */
#include "order/active_order.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "order/name_list.h"

static int list_index(struct active_list *list, const struct order_names *names)
{
    uint64_t *hashes = reallocarray(NULL, names->count, sizeof(*hashes));
    if (hashes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < names->count; i++)
        hashes[i] = name_hash(order_names_at(names, i));
    int rc = name_index_create(&list->names, hashes, &list->index);
    free(hashes);
    return rc;
}

static int list_init(struct active_list *list, const struct order_names *names, bool counted)
{
    int rc = packed_names_create(names, &list->names);
    if (rc == 0 && counted)
        rc = hit_counters_init(&list->hits, names->count);
    if (rc == 0 && names->count > 0) /* an index has no empty lists */
        rc = list_index(list, names);
    return rc;
}

static void list_clear(struct active_list *list)
{
    name_index_unref(list->index);
    hit_counters_clear(&list->hits);
    packed_names_clear(&list->names);
}

int active_order_create(struct order *order, unsigned workers, struct active_order **ret_active)
{
    struct active_order *active = calloc(1, sizeof(*active));
    if (active == NULL)
        return -ENOMEM;
    atomic_init(&active->references, 1);
    active->workers = workers > 0 ? workers : 1;
    active->worker_hits =
        aligned_alloc(_Alignof(struct worker_hits), active->workers * sizeof(struct worker_hits));
    int rc = active->worker_hits != NULL ? 0 : -ENOMEM;
    if (rc == 0) {
        for (unsigned i = 0; i < active->workers; i++)
            atomic_init(&active->worker_hits[i].hits, 0);
        rc = list_init(&active->names, &order->names, true);
    }
    if (rc == 0)
        rc = list_init(&active->subtrees, &order->subtrees, true);
    if (rc == 0)
        rc = list_init(&active->exempt, &order->exempt, false);
    if (rc == 0)
        rc = canonical_fingerprint(order, active->fingerprint);
    if (rc < 0) {
        active_order_unref(active);
        return rc;
    }
    active->order = order;
    *ret_active = active;
    return 0;
}

struct active_order *active_order_ref(struct active_order *active)
{
    atomic_fetch_add_explicit(&active->references, 1, memory_order_relaxed);
    return active;
}

void active_order_unref(struct active_order *active)
{
    if (active == NULL ||
        atomic_fetch_sub_explicit(&active->references, 1, memory_order_acq_rel) != 1)
        return;
    list_clear(&active->names);
    list_clear(&active->subtrees);
    list_clear(&active->exempt);
    free(active->worker_hits);
    order_free(active->order);
    free(active);
}

const struct order *active_order_get(const struct active_order *active)
{
    return active->order;
}

void active_order_drop_list(struct active_order *active)
{
    order_names_clear(&active->order->names);
}

int active_order_is(const struct active_order *active, const struct order *order)
{
    uint8_t fingerprint[FINGERPRINT_SIZE];

    int rc = canonical_fingerprint(order, fingerprint);
    return rc < 0 ? rc : memcmp(fingerprint, active->fingerprint, sizeof(fingerprint)) == 0;
}

const struct packed_names *active_order_names(const struct active_order *active)
{
    return &active->names.names;
}

const struct packed_names *active_order_subtrees(const struct active_order *active)
{
    return &active->subtrees.names;
}

uint64_t active_order_entries(const struct active_order *active)
{
    return active->names.names.count + active->subtrees.names.count;
}

/* ---- Counters ---- */

void active_order_count(const struct active_order *active, const struct order_listing *listing,
                        unsigned worker)
{
    atomic_fetch_add_explicit(&active->worker_hits[worker % active->workers].hits, 1,
                              memory_order_relaxed);
    if (listing->name != SIZE_MAX)
        hit_counters_add(&active->names.hits, listing->name);
    if (listing->subtree != SIZE_MAX)
        hit_counters_add(&active->subtrees.hits, listing->subtree);
}

uint64_t active_order_hits(const struct active_order *active)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < active->workers; i++)
        sum += atomic_load_explicit(&active->worker_hits[i].hits, memory_order_relaxed);
    return sum;
}

uint64_t active_order_name_hits(const struct active_order *active, size_t name_index)
{
    assert(name_index < active->names.names.count);
    return hit_counters_read(&active->names.hits, name_index);
}

uint64_t active_order_subtree_hits(const struct active_order *active, size_t subtree_index)
{
    assert(subtree_index < active->subtrees.names.count);
    return hit_counters_read(&active->subtrees.hits, subtree_index);
}

/* ---- Asking one order ---- */

size_t asked_name_look(struct asked_name *asked, const struct name_index *index,
                       const struct name_place *place)
{
    if (!asked->has_key) {
        packed_key_write(asked->name, asked->label, &asked->key);
        asked->has_key = true;
    }
    return name_index_look(index, place, &asked->key);
}

static size_t list_find(const struct active_list *list, const struct name *name, size_t label)
{
    struct asked_name asked;
    struct name_probe probe;
    struct name_place place;

    if (list->index == NULL)
        return SIZE_MAX;
    asked_name_init(&asked, name, label);
    name_probe_begin(&probe, list->index, asked_name_hash(&asked));
    while (name_probe_next(&probe, &place)) {
        size_t found =
            place.list == list->number ? asked_name_look(&asked, list->index, &place) : SIZE_MAX;
        if (found != SIZE_MAX)
            return found;
    }
    return SIZE_MAX;
}

size_t active_order_find_subtree(const struct active_order *active, const struct name *name)
{
    for (size_t label = 0; active->subtrees.index != NULL && label < name->label_count; label++) {
        size_t found = list_find(&active->subtrees, name, label);
        if (found != SIZE_MAX)
            return found;
    }
    return SIZE_MAX;
}

bool active_order_exempts(const struct active_order *active, const struct name *name)
{
    return list_find(&active->exempt, name, 0) != SIZE_MAX;
}

size_t active_order_find_suffix(const struct active_order *active, const struct name *name,
                                size_t label)
{
    return list_find(&active->names, name, label);
}

bool active_order_lists(const struct active_order *active, const struct name *name,
                        bool is_cut_or_apex, struct order_listing *ret_listing)
{
    if (active_order_exempts(active, name))
        return false;
    struct order_listing listing = {
        .name = is_cut_or_apex ? SIZE_MAX : active_order_find_suffix(active, name, 0),
        .subtree = active_order_find_subtree(active, name),
    };
    if (listing.name == SIZE_MAX && listing.subtree == SIZE_MAX)
        return false;
    *ret_listing = listing;
    return true;
}
