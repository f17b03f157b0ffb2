/* Many orders in one overlay decide and count as each for itself would, in order of precedence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order/overlay_set.h"
#include "order_text.h"

#define ORDERS  120
#define ROUNDS  200
#define ASKED   300
#define NOW_MIN INT64_C(1404129600) /* 2014-06-30T12:00:00Z */

/* What an order should have counted. */
struct model {
    struct active_order *active;
    uint64_t hits;
    uint64_t *name_hits, *subtree_hits;
};

/* One of 4 + 16 + 64 names, so that every order shares some with many others. */
static void random_name(unsigned *seed, char *text)
{
    unsigned labels = 1 + (unsigned)rand_r(seed) % 3;

    for (unsigned i = 0; i < labels; i++)
        text += sprintf(text, "%c.", 'a' + rand_r(seed) % 4);
    memcpy(text, "example", sizeof("example"));
}

static size_t write_list(unsigned *seed, const char *key, unsigned count, char *text)
{
    size_t used = (size_t)sprintf(text, "%s:\n", key);

    for (unsigned i = 0; i < count; i++) {
        char name[32];
        random_name(seed, name);
        used += (size_t)sprintf(text + used, "- %s\n", name);
    }
    return used;
}

/* Duplicates become findings; one order in three has subtrees, one in three exemptions. */
static void make_order(unsigned *seed, unsigned number, struct model *ret_model)
{
    static const char *const actions[] = {"nxdomain", "nodata", "refuse", "observe"};
    char text[16384];
    struct order *order;
    struct error error = {0};

    size_t used = (size_t)sprintf(
        text,
        "id: o%u\nkind: court\nauthority: x\naction: %s\nstarts: 2014-06-30T12:00:0%dZ\n"
        "ends: 2014-06-30T12:01:0%dZ\n",
        number, actions[rand_r(seed) % 4], rand_r(seed) % 9, rand_r(seed) % 9);
    /* Of sizes that make indexes of several levels. */
    used += write_list(seed, "names", 1 + (unsigned)rand_r(seed) % (number % 10 == 0 ? 200 : 6),
                       text + used);
    if (rand_r(seed) % 3 == 0)
        used += write_list(seed, "subtrees", 1 + (unsigned)rand_r(seed) % 2, text + used);
    if (rand_r(seed) % 3 == 0)
        (void)write_list(seed, "exempt", 1 + (unsigned)rand_r(seed) % 2, text + used);
    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    *ret_model = (struct model){
        .name_hits = calloc(order->names.count + 1, sizeof(uint64_t)),
        .subtree_hits = calloc(order->subtrees.count + 1, sizeof(uint64_t)),
    };
    assert_non_null(ret_model->name_hits);
    assert_non_null(ret_model->subtree_hits);
    assert_int_equal(active_order_create(order, 1, &ret_model->active), 0);
}

/* ---- What each order says for itself ---- */

static struct order_listing listing_of(const struct order *order, const struct name *name,
                                       bool is_cut_or_apex)
{
    struct order_listing listing = {.name = SIZE_MAX, .subtree = SIZE_MAX};

    if (!is_cut_or_apex)
        listing.name = order_names_find(&order->names, name->wire);
    for (size_t i = 0; i < name->label_count && listing.subtree == SIZE_MAX; i++)
        listing.subtree = order_names_find(&order->subtrees, name->wire + name->offsets[i]);
    return listing;
}

static bool precedes(const struct order *one, const struct order *other)
{
    if (one->starts != other->starts)
        return one->starts < other->starts;
    return strcmp(one->id, other->id) < 0;
}

static void count(struct model *model, const struct order_listing *listing)
{
    model->hits++;
    if (listing->name != SIZE_MAX)
        model->name_hits[listing->name]++;
    if (listing->subtree != SIZE_MAX)
        model->subtree_hits[listing->subtree]++;
}

/* Counts what is to be counted; returns the verdict (NULL: none) as the rules say it. */
static struct overlay_hit expect(struct model *models, size_t model_count, const struct name *name,
                                 bool is_cut_or_apex, int64_t now)
{
    struct model *winner = NULL;
    struct order_listing won = {0};
    bool exempt = false;

    for (size_t i = 0; i < model_count; i++) {
        const struct order *order = active_order_get(models[i].active);
        struct order_listing listing = listing_of(order, name, is_cut_or_apex);
        bool lists = listing.name != SIZE_MAX || listing.subtree != SIZE_MAX;
        bool exempts = order_names_find(&order->exempt, name->wire) != SIZE_MAX;
        if (now < order->starts || now >= order->ends)
            continue;
        if (order->action == VERDICT_OBSERVE) {
            if (lists && !exempts)
                count(&models[i], &listing);
            continue;
        }
        exempt |= exempts;
        if (lists && (winner == NULL || precedes(order, active_order_get(winner->active)))) {
            winner = &models[i];
            won = listing;
        }
    }
    if (winner == NULL || exempt)
        return (struct overlay_hit){0};
    count(winner, &won);
    return (struct overlay_hit){
        .verdict = &active_order_get(winner->active)->verdict,
        .by_subtree = won.subtree != SIZE_MAX,
    };
}

/* ---- Both side by side ---- */

static bool is_listed_by_any(const struct model *models, size_t count_, const struct name *name)
{
    for (size_t i = 0; i < count_; i++)
        if (order_names_find(&active_order_get(models[i].active)->names, name->wire) != SIZE_MAX)
            return true;
    return false;
}

static void ask(unsigned *seed, const struct overlay_set *set, struct model *models, size_t count_)
{
    const struct overlay *overlay = overlay_set_overlay(set);

    for (unsigned i = 0; i < ASKED; i++) {
        char text[32];
        uint8_t wire[NAME_SIZE_MAX], *at = wire;
        struct name name;
        random_name(seed, text);
        for (char *label = strtok(text, "."); label != NULL; label = strtok(NULL, ".")) {
            *at = (uint8_t)strlen(label);
            memcpy(at + 1, label, *at);
            at += 1 + *at;
        }
        *at = 0;
        assert_true(name_parse(&name, wire, sizeof(wire)) > 0);
        int64_t now = NOW_MIN - 2 + rand_r(seed) % 80;
        bool special = rand_r(seed) % 8 == 0;
        struct overlay_hit expected = expect(models, count_, &name, special, now);
        struct overlay_hit hit = overlay->find(overlay, &name, special, now, 0);
        assert_ptr_equal(hit.verdict, expected.verdict);
        assert_int_equal(hit.by_subtree, expected.by_subtree);
        assert_int_equal(overlay_set_lists(set, &name), is_listed_by_any(models, count_, &name));
    }
}

static void end_order(struct model *model)
{
    const struct order *order = active_order_get(model->active);

    assert_int_equal(active_order_hits(model->active), model->hits);
    for (size_t i = 0; i < order->names.count; i++)
        assert_int_equal(active_order_name_hits(model->active, i), model->name_hits[i]);
    for (size_t i = 0; i < order->subtrees.count; i++)
        assert_int_equal(active_order_subtree_hits(model->active, i), model->subtree_hits[i]);
    free(model->name_hits);
    free(model->subtree_hits);
    active_order_unref(model->active);
}

/* Orders come and go; a generation is of those that are there. */
static void test_many_orders_decide_as_each_for_itself(void **state)
{
    static struct model models[ORDERS];
    unsigned seed = 20140630;
    size_t model_count = 0;

    (void)state;
    print_message("seed %u\n", seed);
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct active_order *orders[ORDERS];
        struct overlay_set *set;
        bool lifts = model_count == ORDERS || (model_count > 0 && rand_r(&seed) % 4 == 0);
        if (lifts) {
            size_t lifted = (size_t)rand_r(&seed) % model_count;
            end_order(&models[lifted]);
            models[lifted] = models[--model_count];
        } else {
            make_order(&seed, round, &models[model_count++]);
        }
        for (size_t i = 0; i < model_count; i++)
            orders[i] = models[i].active;
        if (!lifts)
            active_orders_join(orders, model_count);
        assert_int_equal(overlay_set_create(orders, model_count, &set), 0);
        ask(&seed, set, models, model_count);
        overlay_set_free(set);
    }
    while (model_count > 0)
        end_order(&models[--model_count]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_many_orders_decide_as_each_for_itself),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
