/* How a name finds its verdict: one probe of the indexes for all orders that list it, and for
 * orders with subtrees a probe for each of the name's suffixes. Only names that carry a mark come
 * here, so that the cost of orders falls on listed names alone. */
#include "order/overlay_set.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/active_order.h"

/* What a decision asks first of an order, side by side. */
struct ranked_order {
    struct active_order *active;
    int64_t starts, ends;
    bool observes;
};

#define RANK_NONE UINT32_MAX

/* An index of names, and whose its lists are. */
struct set_index {
    struct name_index *index;
    uint32_t *ranks; /* of each list: place in orders[]; RANK_NONE: of none of this generation */
};

struct overlay_set {
    struct overlay overlay; /* first: the answer path knows only this */
    size_t count;
    struct ranked_order *orders; /* in order of precedence */
    struct set_index *indexes;
    size_t index_count;
    bool has_exemptions;
};

/* ---- Asking ---- */

/* A question to a generation, and what is known of its answer. */
struct asking {
    const struct overlay_set *set;
    const struct name *name;
    bool is_cut_or_apex;
    bool exempt; /* a blocking order in force carves the name out */
    int64_t now;
    unsigned worker;
    uint32_t winner; /* RANK_NONE: none so far */
    struct order_listing listing;
};

static bool is_in_force(const struct ranked_order *ranked, int64_t now)
{
    return now >= ranked->starts && now < ranked->ends;
}

/* Whether an order in force carves the name out. An observing order changes nothing, not even this.
 */
static bool is_exempt(const struct overlay_set *set, const struct name *name, int64_t now)
{
    for (size_t i = 0; set->has_exemptions && i < set->count; i++) {
        const struct ranked_order *ranked = &set->orders[i];
        if (!ranked->observes && is_in_force(ranked, now) &&
            active_order_exempts(ranked->active, name))
            return true;
    }
    return false;
}

static void count_hit(const struct asking *asking, const struct active_order *active,
                      const struct order_listing *listing)
{
    if (asking->worker != OVERLAY_UNCOUNTED)
        active_order_count(active, listing, asking->worker);
}

/* Whether the order may still decide. */
static bool may_win(const struct asking *asking, uint32_t rank)
{
    return !asking->exempt && rank <= asking->winner;
}

/* An order that observes and has subtrees waits for them, so that it counts a query once. */
static void meet_name(struct asking *asking, uint32_t rank, size_t found)
{
    const struct ranked_order *ranked = &asking->set->orders[rank];
    struct order_listing listing = {.name = found, .subtree = SIZE_MAX};

    if (!ranked->observes) {
        asking->winner = rank;
        asking->listing = listing;
    } else if (ranked->active->subtrees.index == NULL &&
               !active_order_exempts(ranked->active, asking->name)) {
        count_hit(asking, ranked->active, &listing);
    }
}

/* Meets the orders that list the name itself. */
static void ask_names(struct asking *asking)
{
    struct asked_name asked;
    struct name_probe probe;
    struct name_place place;

    asked_name_init(&asked, asking->name, 0);
    for (size_t i = 0; i < asking->set->index_count; i++) {
        const struct set_index *indexed = &asking->set->indexes[i];
        name_probe_begin(&probe, indexed->index, asked_name_hash(&asked));
        while (name_probe_next(&probe, &place)) {
            uint32_t rank = indexed->ranks[place.list];
            if (rank == RANK_NONE)
                continue;
            const struct ranked_order *ranked = &asking->set->orders[rank];
            if (!is_in_force(ranked, asking->now) || !(ranked->observes || may_win(asking, rank)))
                continue;
            size_t found = asked_name_look(&asked, indexed->index, &place);
            if (found != SIZE_MAX)
                meet_name(asking, rank, found);
        }
    }
}

/* Index of the name itself in the list of the order `rank`, or SIZE_MAX. */
static size_t find_name_of(const struct overlay_set *set, const struct name *name, uint32_t rank)
{
    struct asked_name asked;
    struct name_probe probe;
    struct name_place place;

    asked_name_init(&asked, name, 0);
    for (size_t i = 0; i < set->index_count; i++) {
        const struct set_index *indexed = &set->indexes[i];
        name_probe_begin(&probe, indexed->index, asked_name_hash(&asked));
        while (name_probe_next(&probe, &place)) {
            size_t found = indexed->ranks[place.list] == rank
                               ? asked_name_look(&asked, indexed->index, &place)
                               : SIZE_MAX;
            if (found != SIZE_MAX)
                return found;
        }
    }
    return SIZE_MAX;
}

static void observe_subtree(const struct asking *asking, uint32_t rank, size_t subtree)
{
    const struct active_order *active = asking->set->orders[rank].active;
    struct order_listing listing = {
        .name = asking->is_cut_or_apex ? SIZE_MAX : find_name_of(asking->set, asking->name, rank),
        .subtree = subtree,
    };

    if ((listing.name != SIZE_MAX || subtree != SIZE_MAX) &&
        !active_order_exempts(active, asking->name))
        count_hit(asking, active, &listing);
}

/* Meets the orders that have subtrees. */
static void ask_subtrees(struct asking *asking)
{
    for (uint32_t rank = 0; rank < asking->set->count; rank++) {
        const struct ranked_order *ranked = &asking->set->orders[rank];
        if (ranked->active->subtrees.index == NULL || !is_in_force(ranked, asking->now) ||
            !(ranked->observes || may_win(asking, rank)))
            continue;
        size_t subtree = active_order_find_subtree(ranked->active, asking->name);
        if (ranked->observes) {
            observe_subtree(asking, rank, subtree);
        } else if (subtree != SIZE_MAX) {
            if (asking->winner != rank)
                asking->listing.name = SIZE_MAX;
            asking->listing.subtree = subtree;
            asking->winner = rank;
        }
    }
}

/* Of the blocking orders only the winner counts, so that its numbers are the answers it made; of
 * observing ones each counts. */
static struct overlay_hit overlay_set_find(const struct overlay *overlay, const struct name *name,
                                           bool is_cut_or_apex, int64_t now, unsigned worker)
{
    const struct overlay_set *set = (const struct overlay_set *)overlay;
    struct asking asking = {
        .set = set,
        .name = name,
        .is_cut_or_apex = is_cut_or_apex,
        .exempt = is_exempt(set, name, now),
        .now = now,
        .worker = worker,
        .winner = RANK_NONE,
    };

    if (!is_cut_or_apex)
        ask_names(&asking);
    if (overlay->has_subtrees)
        ask_subtrees(&asking);
    if (asking.winner == RANK_NONE)
        return (struct overlay_hit){0};
    const struct active_order *active = set->orders[asking.winner].active;
    count_hit(&asking, active, &asking.listing);
    return (struct overlay_hit){
        .verdict = &active->order->verdict,
        .by_subtree = asking.listing.subtree != SIZE_MAX,
    };
}

bool overlay_set_lists(const struct overlay_set *set, const struct name *name)
{
    struct asked_name asked;
    struct name_probe probe;
    struct name_place place;

    asked_name_init(&asked, name, 0);
    for (size_t i = 0; i < set->index_count; i++) {
        const struct set_index *indexed = &set->indexes[i];
        name_probe_begin(&probe, indexed->index, asked_name_hash(&asked));
        while (name_probe_next(&probe, &place))
            if (indexed->ranks[place.list] != RANK_NONE &&
                asked_name_look(&asked, indexed->index, &place) != SIZE_MAX)
                return true;
    }
    return false;
}

/* Where the name's bucket begins and the bucket; then, of the block that the name is in, the place
 * and the octets. */
static void prefetch_in(const struct set_index *indexed, uint64_t hash, unsigned step)
{
    struct name_probe probe;
    struct name_place place;

    if (step == 0) {
        name_index_prefetch(indexed->index, hash);
        return;
    }
    name_probe_begin(&probe, indexed->index, hash);
    if (step == 1)
        __builtin_prefetch(probe.begin);
    else if (name_probe_next(&probe, &place) && indexed->ranks[place.list] != RANK_NONE)
        name_index_prefetch_block(indexed->index, &place, step == 3);
}

static void overlay_set_prefetch(const struct overlay *overlay, const struct name *name,
                                 unsigned step)
{
    const struct overlay_set *set = (const struct overlay_set *)overlay;

    for (size_t i = 0; i < set->index_count; i++)
        prefetch_in(&set->indexes[i], name->hashes[0], step);
}

/* ---- Making ---- */

static int compare_precedence(const void *one, const void *other)
{
    const struct order *left = ((const struct ranked_order *)one)->active->order;
    const struct order *right = ((const struct ranked_order *)other)->active->order;

    if (left->starts != right->starts)
        return left->starts < right->starts ? -1 : 1;
    return strcmp(left->id, right->id);
}

static void rank_orders(struct overlay_set *set, struct active_order *const *orders, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct active_order *active = active_order_ref(orders[i]);
        const struct verdict *verdict = &active->order->verdict;
        set->orders[set->count++] = (struct ranked_order){
            .active = active,
            .starts = verdict->starts,
            .ends = verdict->ends,
            .observes = verdict->action == VERDICT_OBSERVE,
        };
        set->overlay.has_subtrees |= active->subtrees.index != NULL;
        set->has_exemptions |= active->exempt.index != NULL;
    }
    if (count > 1)
        qsort(set->orders, count, sizeof(set->orders[0]), compare_precedence);
}

/* The element of an index, made when it is new; NULL: no memory. */
static struct set_index *take_index(struct overlay_set *set, struct name_index *index)
{
    for (size_t i = 0; i < set->index_count; i++)
        if (set->indexes[i].index == index)
            return &set->indexes[i];
    size_t lists = name_index_list_count(index);
    uint32_t *ranks = reallocarray(NULL, lists, sizeof(*ranks));
    if (ranks == NULL)
        return NULL;
    for (size_t i = 0; i < lists; i++)
        ranks[i] = RANK_NONE;
    struct set_index *indexed = &set->indexes[set->index_count++];
    *indexed = (struct set_index){.index = name_index_ref(index), .ranks = ranks};
    return indexed;
}

static int take_indexes(struct overlay_set *set)
{
    for (uint32_t rank = 0; rank < set->count; rank++) {
        const struct active_list *names = &set->orders[rank].active->names;
        if (names->index == NULL)
            continue;
        const struct set_index *indexed = take_index(set, names->index);
        if (indexed == NULL)
            return -ENOMEM;
        indexed->ranks[names->number] = rank;
    }
    return 0;
}

int overlay_set_create(struct active_order *const *orders, size_t count,
                       struct overlay_set **ret_set)
{
    struct overlay_set *set = calloc(1, sizeof(*set));
    if (set == NULL)
        return -ENOMEM;
    set->overlay.find = overlay_set_find;
    set->overlay.prefetch = overlay_set_prefetch;
    set->orders = calloc(count + 1, sizeof(*set->orders));
    set->indexes = calloc(count + 1, sizeof(*set->indexes));
    int rc = set->orders != NULL && set->indexes != NULL ? 0 : -ENOMEM;
    if (rc == 0) {
        rank_orders(set, orders, count);
        rc = take_indexes(set);
    }
    if (rc < 0) {
        overlay_set_free(set);
        return rc;
    }
    *ret_set = set;
    return 0;
}

void overlay_set_free(struct overlay_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->index_count; i++) {
        name_index_unref(set->indexes[i].index);
        free(set->indexes[i].ranks);
    }
    for (size_t i = 0; i < set->count; i++)
        active_order_unref(set->orders[i].active);
    free(set->indexes);
    free(set->orders);
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
    return set->orders[index].active;
}

struct active_order *overlay_set_by_id(const struct overlay_set *set, const char *id)
{
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->orders[i].active->order->id, id) == 0)
            return set->orders[i].active;
    return NULL;
}
