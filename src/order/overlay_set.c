/* How a name finds its verdict: for each order in force, a probe of the order's names, and for
 * orders with subtrees a probe for each of the name's suffixes. Only names that carry a mark come
 * here, so that the cost of many orders falls on listed names alone. */
#include "order/overlay_set.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"

/* One worker's counter of an order: alone on its cache line, so that workers don't share lines for
 * the count that every hit makes. */
struct worker_hits {
    _Alignas(64) atomic_uint_fast64_t hits;
};

/* A slot: the name's index plus one, 0 for an empty slot, and 32 bits of its hash that spare most
 * comparisons. */
struct slot {
    uint32_t index_plus_one;
    uint32_t tag;
};

/* Names by hash, with open addressing at a load of 3/4: eleven octets a name, and eight for its
 * counter. */
struct name_index {
    const struct order_names *names;
    struct slot *slots;
    uint32_t capacity;
    atomic_uint_fast64_t *hits; /* of each name; NULL when nobody counts */
};

struct active_order {
    struct order *order;
    struct name_index names, subtrees, exempt;
    unsigned workers;
    struct worker_hits *worker_hits;
    atomic_uint references;
};

struct overlay_set {
    struct overlay overlay; /* first: the answer path knows only this */
    size_t count;
    struct active_order *orders[]; /* in order of precedence */
};

/* The slot where a probe begins: the upper half of the hash scaled to the table, so that its size
 * needs no power of two; the lower half is the tag. */
static uint32_t slot_of(const struct name_index *index, uint64_t hash)
{
    return (uint32_t)(((hash >> 32) * index->capacity) >> 32);
}

/* Returns the name's index, or SIZE_MAX. `wire` is lower case. */
static size_t index_find(const struct name_index *index, uint64_t hash, const uint8_t *wire,
                         size_t size)
{
    if (index->capacity == 0)
        return SIZE_MAX;
    for (uint32_t at = slot_of(index, hash);; at = at + 1 == index->capacity ? 0 : at + 1) {
        const struct slot *slot = &index->slots[at];
        if (slot->index_plus_one == 0)
            return SIZE_MAX;
        if (slot->tag != (uint32_t)hash)
            continue;
        const uint8_t *name = order_names_at(index->names, slot->index_plus_one - 1);
        /* A name ends itself: one of another size differs before either ends. */
        if (name_wire_size(name) == size && memcmp(name, wire, size) == 0)
            return slot->index_plus_one - 1;
    }
}

static void index_insert(struct name_index *index, uint64_t hash, uint32_t name)
{
    uint32_t at = slot_of(index, hash);

    while (index->slots[at].index_plus_one != 0)
        at = at + 1 == index->capacity ? 0 : at + 1;
    index->slots[at] = (struct slot){.index_plus_one = name + 1, .tag = (uint32_t)hash};
}

static int index_init(struct name_index *index, const struct order_names *names, bool counted)
{
    uint64_t capacity = (uint64_t)names->count + names->count / 3 + 1;

    *index = (struct name_index){.names = names};
    if (names->count == 0)
        return 0;
    if (capacity > UINT32_MAX)
        return -E2BIG;
    index->slots = calloc(capacity, sizeof(*index->slots));
    index->hits = counted ? calloc(names->count, sizeof(*index->hits)) : NULL;
    if (index->slots == NULL || (counted && index->hits == NULL))
        return -ENOMEM;
    index->capacity = (uint32_t)capacity;
    for (uint32_t i = 0; i < names->count; i++)
        index_insert(index, name_hash(order_names_at(names, i)), i);
    return 0;
}

static void index_clear(struct name_index *index)
{
    free(index->slots);
    free(index->hits);
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
        rc = index_init(&active->names, &order->names, true);
    }
    if (rc == 0)
        rc = index_init(&active->subtrees, &order->subtrees, true);
    if (rc == 0)
        rc = index_init(&active->exempt, &order->exempt, false);
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
    index_clear(&active->names);
    index_clear(&active->subtrees);
    index_clear(&active->exempt);
    free(active->worker_hits);
    order_free(active->order);
    free(active);
}

const struct order *active_order_get(const struct active_order *active)
{
    return active->order;
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
    assert(name_index < active->order->names.count);
    return atomic_load_explicit(&active->names.hits[name_index], memory_order_relaxed);
}

uint64_t active_order_subtree_hits(const struct active_order *active, size_t subtree_index)
{
    assert(subtree_index < active->order->subtrees.count);
    return atomic_load_explicit(&active->subtrees.hits[subtree_index], memory_order_relaxed);
}

/* The subtree that `name` is in: the name itself or the nearest of its ancestors that is listed. */
static size_t find_subtree(const struct active_order *active, const struct name *name)
{
    for (unsigned i = 0; i < name->label_count; i++) {
        unsigned offset = name->offsets[i];
        size_t found = index_find(&active->subtrees, name->hashes[i], name->wire + offset,
                                  name->size - offset);
        if (found != SIZE_MAX)
            return found;
    }
    return SIZE_MAX;
}

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

size_t active_order_find_suffix(const struct active_order *active, const struct name *name,
                                size_t label)
{
    size_t offset = name->offsets[label];
    return index_find(&active->names, name->hashes[label], name->wire + offset,
                      name->size - offset);
}

static bool exempts(const struct active_order *active, const struct name *name)
{
    return index_find(&active->exempt, name->hashes[0], name->wire, name->size) != SIZE_MAX;
}

static bool lists(const struct active_order *active, const struct name *name, bool is_cut_or_apex,
                  struct order_listing *ret_listing)
{
    size_t exact = is_cut_or_apex ? SIZE_MAX : active_order_find_suffix(active, name, 0);
    size_t subtree = active->subtrees.capacity > 0 ? find_subtree(active, name) : SIZE_MAX;

    if (exact == SIZE_MAX && subtree == SIZE_MAX)
        return false;
    *ret_listing = (struct order_listing){.name = exact, .subtree = subtree};
    return true;
}

bool active_order_lists(const struct active_order *active, const struct name *name,
                        bool is_cut_or_apex, struct order_listing *ret_listing)
{
    return !exempts(active, name) && lists(active, name, is_cut_or_apex, ret_listing);
}

static bool is_in_force(const struct active_order *active, int64_t now)
{
    const struct verdict *verdict = &active->order->verdict;
    return now >= verdict->starts && now < verdict->ends;
}

static bool observes(const struct active_order *active)
{
    return active->order->verdict.action == VERDICT_OBSERVE;
}

/* Whether an order in force carves the name out. An observing order changes nothing, not even this.
 */
static bool is_exempt(const struct overlay_set *set, const struct name *name, int64_t now)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct active_order *active = set->orders[i];
        if (active->exempt.capacity > 0 && is_in_force(active, now) && !observes(active) &&
            exempts(active, name))
            return true;
    }
    return false;
}

static void count_hit(struct active_order *active, const struct order_listing *listing,
                      unsigned worker)
{
    count(&active->worker_hits[worker % active->workers].hits);
    if (listing->name != SIZE_MAX)
        count(&active->names.hits[listing->name]);
    if (listing->subtree != SIZE_MAX)
        count(&active->subtrees.hits[listing->subtree]);
}

/* Of the blocking orders only the winner counts, so that its numbers are the answers it made; of
 * observing ones each counts. */
static struct overlay_hit overlay_set_find(const struct overlay *overlay, const struct name *name,
                                           bool is_cut_or_apex, int64_t now, unsigned worker)
{
    const struct overlay_set *set = (const struct overlay_set *)overlay;
    struct overlay_hit hit = {0};
    bool decided = is_exempt(set, name, now);

    for (size_t i = 0; i < set->count; i++) {
        struct active_order *active = set->orders[i];
        bool counts_only = observes(active);
        struct order_listing listing;

        if (!is_in_force(active, now) || (!counts_only && decided) ||
            (counts_only && exempts(active, name)) ||
            !lists(active, name, is_cut_or_apex, &listing))
            continue;
        if (worker != OVERLAY_UNCOUNTED)
            count_hit(active, &listing, worker);
        if (counts_only)
            continue;
        decided = true;
        hit = (struct overlay_hit){
            .verdict = &active->order->verdict,
            .by_subtree = listing.subtree != SIZE_MAX,
        };
    }
    return hit;
}

/* A slot of the index; the name's offset and counter; the name. */
static void index_prefetch(const struct name_index *index, uint64_t hash, unsigned step)
{
    if (index->capacity == 0)
        return;
    uint32_t at = slot_of(index, hash);
    if (step == 0) {
        __builtin_prefetch(&index->slots[at]);
        return;
    }
    while (index->slots[at].index_plus_one != 0 && index->slots[at].tag != (uint32_t)hash)
        at = at + 1 == index->capacity ? 0 : at + 1;
    if (index->slots[at].index_plus_one == 0)
        return;
    uint32_t found = index->slots[at].index_plus_one - 1;
    if (step == 1) {
        __builtin_prefetch(&index->names->offsets[found]);
        __builtin_prefetch(&index->hits[found], 1);
    } else {
        __builtin_prefetch(order_names_at(index->names, found));
    }
}

static void overlay_set_prefetch(const struct overlay *overlay, const struct name *name,
                                 unsigned step)
{
    const struct overlay_set *set = (const struct overlay_set *)overlay;
    for (size_t i = 0; i < set->count; i++)
        index_prefetch(&set->orders[i]->names, name->hashes[0], step);
}

static int compare_precedence(const void *one, const void *other)
{
    const struct order *left = (*(struct active_order *const *)one)->order;
    const struct order *right = (*(struct active_order *const *)other)->order;

    if (left->starts != right->starts)
        return left->starts < right->starts ? -1 : 1;
    return strcmp(left->id, right->id);
}

int overlay_set_create(struct active_order *const *orders, size_t count,
                       struct overlay_set **ret_set)
{
    struct overlay_set *set = calloc(1, sizeof(*set) + count * sizeof(struct active_order *));
    if (set == NULL)
        return -ENOMEM;
    set->overlay.find = overlay_set_find;
    set->overlay.prefetch = overlay_set_prefetch;
    set->count = count;
    for (size_t i = 0; i < count; i++) {
        set->orders[i] = active_order_ref(orders[i]);
        set->overlay.has_subtrees |= orders[i]->order->subtrees.count > 0;
    }
    if (count > 1)
        qsort(set->orders, count, sizeof(set->orders[0]), compare_precedence);
    *ret_set = set;
    return 0;
}

void overlay_set_free(struct overlay_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        active_order_unref(set->orders[i]);
    free(set);
}

const struct overlay *overlay_set_overlay(const struct overlay_set *set)
{
    return &set->overlay;
}

size_t overlay_set_count(const struct overlay_set *set)
{
    return set->count;
}

struct active_order *overlay_set_at(const struct overlay_set *set, size_t index)
{
    assert(index < set->count);
    return set->orders[index];
}

struct active_order *overlay_set_by_id(const struct overlay_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->orders[i]->order->id, id) == 0)
            return set->orders[i];
    return NULL;
}
