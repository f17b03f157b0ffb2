/* What a rehearsal says of listed names, of names beside them, and of traffic. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "capture_text.h"
#include "order/rehearsal.h"
#include "order_text.h"
#include "zone/zone_file.h"

#define ZONE_HEAD "$TTL 60\n@ SOA ns h 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"

/* Two zones, an order, and the rehearsal of it. */
struct stage {
    struct zone zones[2];
    struct zone_set *set;
    struct rehearsal *rehearsal;
};

static void load_zone(struct zone *zone, const char *name, const char *text)
{
    struct error error = {0};
    char path[32], whole[4096];

    snprintf(whole, sizeof(whole), ZONE_HEAD "%s", text);
    int file = make_file(whole, strlen(whole), path);
    assert_true(file >= 0);
    assert_true(name_parse(&zone->name, (const uint8_t *)name, NAME_SIZE_MAX) > 0);
    if (zone_file_load(path, zone->name.wire, NULL, NULL, &zone->data, &error) < 0)
        fail_msg("%s", error.text);
    atomic_store(&zone->status, ZONE_SERVING);
    close(file);
}

static void set_stage(struct stage *stage, const char *text, const char *other, const char *lists)
{
    static struct stage empty;
    struct order *order = NULL;
    struct error error = {0};
    char document[2048];

    *stage = empty;
    load_zone(&stage->zones[0], "\1a\7example", text);
    load_zone(&stage->zones[1], "\1b\7example", other);
    struct zone *zones[] = {&stage->zones[0], &stage->zones[1]};
    assert_int_equal(zone_set_create(zones, 2, &stage->set), 0);
    snprintf(document, sizeof(document), ORDER_HEAD "%s", lists);
    if (order_from_text(document, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(rehearsal_create(stage->set, order, &stage->rehearsal), 0);
}

static void clear_stage(struct stage *stage)
{
    rehearsal_free(stage->rehearsal);
    zone_set_free(stage->set);
    for (size_t i = 0; i < 2; i++)
        zone_data_free(stage->zones[i].data);
}

static struct stage stage;

static void replay(const char *queries)
{
    struct error error = {0};
    char path[32];

    int file = make_file(queries, strlen(queries), path);
    if (rehearsal_replay(stage.rehearsal, path, 53, &error) < 0)
        fail_msg("%s", error.text);
    close(file);
}

static void test_states_of_listed_names(void **state)
{
    (void)state;
    set_stage(
        &stage, "live A 192.0.2.2\nx.ent A 192.0.2.3\n*.w A 192.0.2.4\ncut NS ns.cut\n", "",
        "exempt: [b.live.a.example, cut2.a.example]\n"
        "names: [live.a.example, ent.a.example, y.w.a.example, cut.a.example, z.cut.a.example,"
        " a.example, dead.a.example, b.live.a.example, c.example, cut.b.example]\n");
    const uint64_t *states = stage.rehearsal->states;
    assert_int_equal(states[LISTED_LIVE], 1);
    assert_int_equal(states[LISTED_EMPTY], 1);
    assert_int_equal(states[LISTED_WILDCARDED], 1);
    assert_int_equal(states[LISTED_CUT], 1);
    assert_int_equal(states[LISTED_BELOW_CUT], 1);
    assert_int_equal(states[LISTED_APEX], 1);
    assert_int_equal(states[LISTED_DEAD], 2);
    assert_int_equal(states[LISTED_EXEMPT], 1);
    assert_int_equal(states[LISTED_OUTSIDE], 1);
    assert_int_equal(stage.rehearsal->refused, 3);
    assert_int_equal(stage.rehearsal->order->finding_total, 3);
    assert_int_equal(rehearsal_live(stage.rehearsal), 2);
    assert_int_equal(rehearsal_blocked(stage.rehearsal), 6);
    clear_stage(&stage);
}

static void test_an_address_is_shared_by_names_not_by_records(void **state)
{
    (void)state;
    set_stage(&stage,
              "one A 192.0.2.9\none A 192.0.2.8\none AAAA 2001:db8::9\ntwo A 192.0.2.9\n"
              "both A 192.0.2.9\nboth A 192.0.2.8\nboth AAAA 2001:db8::9\nlone A 192.0.2.7\n",
              "far A 192.0.2.9\n", "names: [one.a.example, two.a.example]\n");
    const struct rehearsal *rehearsal = stage.rehearsal;
    assert_int_equal(rehearsal->addresses, 3);
    assert_int_equal(rehearsal->shared_addresses, 3);
    assert_int_equal(rehearsal->shared_names, 2);
    assert_int_equal(rehearsal->shared_count, 3);
    assert_int_equal(rehearsal->shared[0].listed, 2);
    assert_int_equal(rehearsal->shared[0].unlisted, 2);
    assert_int_equal(rehearsal->shared[0].address.octets[3], 9);
    assert_int_equal(rehearsal->shared[1].unlisted, 1);
    clear_stage(&stage);
}

static void test_a_refused_or_exempt_name_shares_and_depends_like_any_other(void **state)
{
    (void)state;
    set_stage(&stage, "@ A 192.0.2.9\none A 192.0.2.9\nfree A 192.0.2.9\n@ MX 1 one\n", "",
              "names: [a.example, one.a.example, free.a.example]\nexempt: [free.a.example]\n");
    assert_int_equal(stage.rehearsal->shared_names, 2);
    assert_int_equal(stage.rehearsal->references[REFERENCE_MX], 1);
    clear_stage(&stage);
}

static void test_references_lead_to_listed_names(void **state)
{
    (void)state;
    set_stage(&stage,
              "@ NS one\n@ MX 1 one\nmail MX 1 one\nmail MX 2 two\n_s SRV 0 0 1 one\n"
              "h HTTPS 1 one\nv SVCB 1 one alpn=h2\nd DNAME one\ne DNAME two\none A 192.0.2.9\n"
              "x.two A 192.0.2.8\nc CNAME one\nc2 CNAME c\nloop CNAME loop2\nloop2 CNAME loop\n",
              "c CNAME c2.a.example.\nm MX 1 elsewhere.example.\n",
              "names: [one.a.example, x.two.a.example]\n");
    const struct rehearsal *rehearsal = stage.rehearsal;
    assert_int_equal(rehearsal->references[REFERENCE_NS], 1);
    assert_int_equal(rehearsal->references[REFERENCE_MX], 2);
    assert_int_equal(rehearsal->references[REFERENCE_SRV], 1);
    assert_int_equal(rehearsal->references[REFERENCE_HTTPS], 1);
    assert_int_equal(rehearsal->references[REFERENCE_SVCB], 1);
    assert_int_equal(rehearsal->references[REFERENCE_DNAME], 2);
    assert_int_equal(rehearsal->references[REFERENCE_CNAME], 3); /* also by way of others */
    assert_int_equal(rehearsal->reference_names, 10);
    assert_int_equal(rehearsal->example_count, 11);
    assert_int_equal(rehearsal->examples[0].kind, REFERENCE_NS);
    assert_int_equal(rehearsal->names[0].references, 10);
    clear_stage(&stage);
}

static void test_names_below_are_counted_at_the_nearest_listed_name(void **state)
{
    (void)state;
    set_stage(&stage, "x.one A 192.0.2.2\ny.x.one A 192.0.2.3\nz.y.x.one A 192.0.2.4\n", "",
              "names: [one.a.example, y.x.one.a.example, dead.a.example]\n");
    const struct rehearsal *rehearsal = stage.rehearsal;
    assert_int_equal(rehearsal->below, 2);
    assert_int_equal(rehearsal->parents, 2);
    assert_int_equal(rehearsal
                         ->names[order_names_find(&rehearsal->order->names,
                                                  (const uint8_t *)"\3one\1a\7example")]
                         .below,
                     1);
    clear_stage(&stage);
}

static void test_subtrees_take_along_what_is_not_exempt(void **state)
{
    (void)state;
    set_stage(&stage,
              "s A 192.0.2.2\nx.s A 192.0.2.3\nfree.s A 192.0.2.3\ncut.s NS ns.cut.s\n"
              "ns.cut.s A 192.0.2.4\nout MX 1 x.s\n",
              "",
              "names: [x.s.a.example]\nsubtrees: [s.a.example, b.example, c.example]\n"
              "exempt: [free.s.a.example]\n");
    const struct rehearsal *rehearsal = stage.rehearsal;
    const struct rehearsed_subtree *s = NULL, *whole = NULL, *outside = NULL;
    for (size_t i = 0; i < 3; i++) {
        if (rehearsal->subtrees[i].outside)
            outside = &rehearsal->subtrees[i];
        else if (rehearsal->subtrees[i].apexes > 0)
            whole = &rehearsal->subtrees[i];
        else
            s = &rehearsal->subtrees[i];
    }
    assert_non_null(s);
    assert_non_null(whole);
    assert_non_null(outside);
    assert_int_equal(s->names, 3);
    assert_int_equal(s->cuts, 1);
    assert_int_equal(whole->names, 2);
    assert_int_equal(rehearsal_cuts(rehearsal), 1);
    assert_int_equal(rehearsal->shared_names, 2); /* free.s, and ns.a as b's name server */
    assert_int_equal(rehearsal->references[REFERENCE_MX], 1);
    clear_stage(&stage);
}

static void test_traffic_is_counted_as_the_answer_path_counts(void **state)
{
    (void)state;
    set_stage(&stage, "one A 192.0.2.2\nc CNAME one\nmail MX 1 one\nfree A 192.0.2.4\n",
              "one A 192.0.2.3\n", "names: [one.a.example, gone.b.example]\n");
    replay("one.a.example A\nOne.A.example MX\nc.a.example A\nmail.a.example MX\ngone.b.example A\n"
           "free.a.example A\none.c.example A\nbad\none.b.example A\n");
    const struct rehearsal *rehearsal = stage.rehearsal;
    const struct rehearsed_traffic *traffic = &rehearsal->traffic;
    assert_true(rehearsal->has_traffic);
    assert_int_equal(traffic->queries, 7);
    assert_int_equal(traffic->outside, 1);
    assert_int_equal(traffic->queries_touched, 4);
    assert_int_equal(traffic->hits, 4);
    assert_int_equal(traffic->report.malformed, 1);
    assert_int_equal(active_order_name_hits(rehearsal->active, 0), 3);
    assert_int_equal(active_order_name_hits(rehearsal->active, 1), 1);
    clear_stage(&stage);
}

static void test_a_budget_bounds_each_figure(void **state)
{
    (void)state;
    struct budget_figure figures[BUDGET_FIGURES];
    struct order_budget budget = {
        .live_max = 1,
        .shared_max = 0,
        .cuts_max = UINT64_MAX,
        .query_share_max = 0.5,
        .client_share_max = 0,
    };

    set_stage(&stage, "one A 192.0.2.2\ntwo A 192.0.2.2\n", "", "names: [one.a.example]\n");
    rehearsal_judge(stage.rehearsal, &budget, figures);
    assert_false(budget_figure_exceeds(&figures[0]));
    assert_true(budget_figure_exceeds(&figures[1]));
    assert_false(figures[2].bounded);
    assert_false(figures[3].judged);
    replay("one.a.example A\none.a.example AAAA\ntwo.a.example A\n");
    rehearsal_judge(stage.rehearsal, &budget, figures);
    assert_true(figures[3].judged);
    assert_true(budget_figure_exceeds(&figures[3]));
    assert_false(figures[4].judged); /* a list names no clients */
    budget.query_share_max = 2.0 / 3;
    rehearsal_judge(stage.rehearsal, &budget, figures);
    assert_false(budget_figure_exceeds(&figures[3]));
    clear_stage(&stage);
}

static void test_addresses_keep_their_index_while_a_table_grows(void **state)
{
    (void)state;
    struct address_table table = {0};
    size_t index;

    for (uint32_t i = 0; i < 20000; i++) {
        struct address address = address_of((const uint8_t *)&i, sizeof(i));
        assert_int_equal(address_table_find(&table, &address), ADDRESS_NONE);
        assert_int_equal(address_table_add(&table, &address, &index), 0);
        assert_int_equal(index, i);
    }
    for (uint32_t i = 0; i < 20000; i += 7) {
        struct address address = address_of((const uint8_t *)&i, sizeof(i));
        assert_int_equal(address_table_find(&table, &address), i);
        address.family = 6; /* the same octets of the other family are another address */
        assert_int_equal(address_table_find(&table, &address), ADDRESS_NONE);
    }
    assert_int_equal(table.count, 20000);
    address_table_clear(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_states_of_listed_names),
        cmocka_unit_test(test_an_address_is_shared_by_names_not_by_records),
        cmocka_unit_test(test_a_refused_or_exempt_name_shares_and_depends_like_any_other),
        cmocka_unit_test(test_references_lead_to_listed_names),
        cmocka_unit_test(test_names_below_are_counted_at_the_nearest_listed_name),
        cmocka_unit_test(test_subtrees_take_along_what_is_not_exempt),
        cmocka_unit_test(test_traffic_is_counted_as_the_answer_path_counts),
        cmocka_unit_test(test_a_budget_bounds_each_figure),
        cmocka_unit_test(test_addresses_keep_their_index_while_a_table_grows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
