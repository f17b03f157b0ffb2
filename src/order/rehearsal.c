/* What the listed names are today, and what of the order's budget is used up. */
#include "order/rehearsal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "order/order_scope.h"
#include "order/rehearsal_internal.h"

static const char *const state_words[] = {
    [LISTED_LIVE] = "live", [LISTED_WILDCARDED] = "wildcard", [LISTED_EMPTY] = "empty",
    [LISTED_DEAD] = "dead", [LISTED_BELOW_CUT] = "below-cut", [LISTED_EXEMPT] = "exempt",
    [LISTED_CUT] = "cut",   [LISTED_APEX] = "apex",           [LISTED_OUTSIDE] = "outside",
};

static const char *const kind_words[] = {
    [REFERENCE_NS] = "NS",       [REFERENCE_MX] = "MX",       [REFERENCE_SRV] = "SRV",
    [REFERENCE_SVCB] = "SVCB",   [REFERENCE_HTTPS] = "HTTPS", [REFERENCE_DNAME] = "DNAME",
    [REFERENCE_CNAME] = "CNAME",
};

static_assert(sizeof(state_words) / sizeof(state_words[0]) == LISTED_STATES, "each has a word");
static_assert(sizeof(kind_words) / sizeof(kind_words[0]) == REFERENCE_KINDS, "each has a word");

const char *listed_state_word(enum listed_state state)
{
    return state_words[state];
}

const char *reference_kind_word(enum reference_kind kind)
{
    return kind_words[kind];
}

static enum listed_state state_of(const struct rehearsal *rehearsal, const struct name *name,
                                  const struct zone *zone)
{
    static const enum listed_state states[] = {
        [NAME_MISSING] = LISTED_DEAD, [NAME_EXISTS] = LISTED_LIVE,
        [NAME_EMPTY] = LISTED_EMPTY,  [NAME_WILDCARDED] = LISTED_WILDCARDED,
        [NAME_CUT] = LISTED_CUT,      [NAME_BELOW_CUT] = LISTED_BELOW_CUT,
        [NAME_IS_APEX] = LISTED_APEX,
    };

    if (zone == NULL)
        return LISTED_OUTSIDE;
    enum listed_state state = states[zone_data_name_state(zone->data, name)];
    if (order_names_find(&rehearsal->order->exempt, name->wire) != SIZE_MAX &&
        state < LISTED_EXEMPT)
        return LISTED_EXEMPT;
    return state;
}

static void look_at_names(struct rehearsal *rehearsal)
{
    const struct order *order = rehearsal->order;
    struct name name;

    for (size_t i = 0; i < order->names.count; i++) {
        const struct zone *zone =
            order_scope_zone(rehearsal->zones, order_names_at(&order->names, i), &name);
        enum listed_state state = state_of(rehearsal, &name, zone);
        rehearsal->names[i].state = state;
        rehearsal->states[state]++;
    }
    for (size_t i = 0; i < order->subtrees.count; i++)
        rehearsal->subtrees[i].outside =
            order_scope_zone(rehearsal->zones, order_names_at(&order->subtrees, i), &name) == NULL;
}

static int create(const struct zone_set *zones, struct order *order, struct rehearsal *rehearsal)
{
    rehearsal->zones = zones;
    rehearsal->order = order;
    rehearsal->names = calloc(order->names.count + 1, sizeof(*rehearsal->names));
    rehearsal->subtrees = calloc(order->subtrees.count + 1, sizeof(*rehearsal->subtrees));
    if (rehearsal->names == NULL || rehearsal->subtrees == NULL)
        return -ENOMEM;
    struct order_scope scope;
    int rc = order_scope_check(zones, order, false, &scope);
    rehearsal->refused = scope.refused;
    if (rc == 0) {
        look_at_names(rehearsal);
        rc = rehearsal_collateral(rehearsal);
    }
    if (rc == 0)
        rc = order_scope_mark(&scope, order);
    order_scope_clear(&scope);
    return rc;
}

int rehearsal_create(const struct zone_set *zones, struct order *order,
                     struct rehearsal **ret_rehearsal)
{
    _cleanup_(rehearsal_freep) struct rehearsal *rehearsal = calloc(1, sizeof(*rehearsal));

    int rc = rehearsal != NULL ? active_order_create(order, 1, &rehearsal->active) : -ENOMEM;
    if (rc < 0) {
        order_free(order);
        return rc;
    }
    rc = create(zones, order, rehearsal);
    if (rc < 0)
        return rc;
    *ret_rehearsal = TAKE(rehearsal);
    return 0;
}

void rehearsal_free(struct rehearsal *rehearsal)
{
    if (rehearsal == NULL)
        return;
    active_order_unref(rehearsal->active);
    free(rehearsal->names);
    free(rehearsal->subtrees);
    free(rehearsal);
}

bool rehearsal_covers(const struct rehearsal *rehearsal, const struct name *name,
                      struct order_listing *ret_listing)
{
    struct order_listing listing;

    if (!active_order_lists(rehearsal->active, name, false, &listing))
        return false;
    if (listing.name != SIZE_MAX && !rehearsal_name_blocks(rehearsal, listing.name))
        listing.name = SIZE_MAX;
    *ret_listing = listing;
    return listing.name != SIZE_MAX || listing.subtree != SIZE_MAX;
}

/* ---- Figures ---- */

uint64_t rehearsal_live(const struct rehearsal *rehearsal)
{
    return rehearsal->states[LISTED_LIVE] + rehearsal->states[LISTED_WILDCARDED];
}

uint64_t rehearsal_cuts(const struct rehearsal *rehearsal)
{
    uint64_t cuts = rehearsal->states[LISTED_CUT];

    for (size_t i = 0; i < rehearsal->order->subtrees.count; i++)
        cuts += rehearsal->subtrees[i].cuts;
    return cuts;
}

uint64_t rehearsal_blocked(const struct rehearsal *rehearsal)
{
    uint64_t blocked = 0;

    for (enum listed_state state = 0; state < LISTED_EXEMPT; state++)
        blocked += rehearsal->states[state];
    return blocked;
}

double rehearsal_share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static struct budget_figure count_figure(const char *word, uint64_t value, uint64_t bound)
{
    return (struct budget_figure){
        .word = word,
        .value = (double)value,
        .bound = (double)bound,
        .bounded = bound != UINT64_MAX,
        .judged = true,
    };
}

static struct budget_figure share_figure(const char *word, double value, double bound, bool judged)
{
    return (struct budget_figure){
        .word = word,
        .value = value,
        .bound = bound,
        .is_share = true,
        .bounded = bound < 1,
        .judged = judged,
    };
}

void rehearsal_judge(const struct rehearsal *rehearsal, const struct order_budget *budget,
                     struct budget_figure ret_figures[BUDGET_FIGURES])
{
    const struct rehearsed_traffic *traffic = &rehearsal->traffic;

    ret_figures[0] = count_figure("live", rehearsal_live(rehearsal), budget->live_max);
    ret_figures[1] = count_figure("shared", rehearsal->shared_names, budget->shared_max);
    ret_figures[2] = count_figure("cuts", rehearsal_cuts(rehearsal), budget->cuts_max);
    ret_figures[3] =
        share_figure("query-share", rehearsal_share(traffic->queries_touched, traffic->queries),
                     budget->query_share_max, rehearsal->has_traffic);
    ret_figures[4] = share_figure(
        "client-share", rehearsal_share(traffic->clients_touched, traffic->clients),
        budget->client_share_max, rehearsal->has_traffic && traffic->report.has_clients);
}
