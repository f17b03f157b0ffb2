/* Which order decides about a name, and what is counted. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "order/name_text.h"
#include "order/overlay_set.h"
#include "order_text.h"

#define NOW INT64_C(1404200000) /* inside of the times below */

/* An active order from its id, action, start and lists. */
static struct active_order *activate(const char *id, const char *action, const char *starts,
                                     const char *lists)
{
    struct active_order *active = NULL;
    struct order *order = NULL;
    struct error error = {0};
    char text[1024];

    snprintf(text, sizeof(text),
             "id: %s\nkind: court\nauthority: x\nstarts: %s\nends: 2014-07-14T12:00:00Z\n"
             "action: %s\n%s\n",
             id, starts, action, lists);
    if (order_from_text(text, NULL, &order, &error) < 0)
        fail_msg("%s", error.text);
    assert_int_equal(active_order_create(order, 2, &active), 0);
    return active;
}

static struct overlay_set *make_set(struct active_order **orders, size_t count)
{
    struct overlay_set *set = NULL;

    assert_int_equal(overlay_set_create(orders, count, &set), 0);
    for (size_t i = 0; i < count; i++)
        active_order_unref(orders[i]); /* the set holds its own reference */
    return set;
}

static struct overlay_hit ask_at(const struct overlay_set *set, const char *text, bool special,
                                 int64_t now)
{
    const struct overlay *overlay = overlay_set_overlay(set);
    uint8_t wire[NAME_SIZE_MAX];
    struct name_fault fault;
    static struct name name;
    size_t size;

    assert_int_equal(name_text_parse(text, strlen(text), wire, &size, &fault), 0);
    assert_int_equal(name_parse(&name, wire, size), size);
    return overlay->find(overlay, &name, special, now, 0);
}

static const char *winner(const struct overlay_set *set, const char *text)
{
    static char id[VERDICT_TEXT_MAX + 1];
    struct overlay_hit hit = ask_at(set, text, false, NOW);

    if (hit.verdict == NULL)
        return "none";
    snprintf(id, sizeof(id), "%.*s", (int)hit.verdict->text_size, hit.verdict->text);
    return id;
}

#define EARLY "2014-06-30T12:00:00Z"
#define LATE  "2014-06-30T13:00:00Z"

static void test_a_listed_name_matches_itself_alone(void **state)
{
    struct active_order *order =
        activate("o", "nxdomain", EARLY, "names: [a.example, c.b.example]");
    struct overlay_set *set = make_set(&order, 1);

    (void)state;
    assert_false(overlay_set_overlay(set)->has_subtrees);
    assert_string_equal(winner(set, "a.example"), "o");
    assert_string_equal(winner(set, "A.EXAMPLE"), "o");
    assert_string_equal(winner(set, "x.a.example"), "none");
    assert_string_equal(winner(set, "example"), "none");
    assert_string_equal(winner(set, "b.example"), "none");
    assert_string_equal(winner(set, "c.b.example"), "o");
    overlay_set_free(set);
}

static void test_an_order_starts_and_ends_by_itself(void **state)
{
    struct active_order *order = activate("o", "nxdomain", EARLY, "names: [a.example]");
    struct overlay_set *set = make_set(&order, 1);

    (void)state;
    assert_null(ask_at(set, "a.example", false, 1404129599).verdict);
    assert_non_null(ask_at(set, "a.example", false, 1404129600).verdict);
    assert_non_null(ask_at(set, "a.example", false, 1405339199).verdict);
    assert_null(ask_at(set, "a.example", false, 1405339200).verdict);
    assert_int_equal(active_order_hits(overlay_set_at(set, 0)), 2);
    overlay_set_free(set);
}

static void test_the_earlier_order_wins_then_the_smaller_id(void **state)
{
    struct active_order *orders[] = {
        activate("late", "nodata", LATE, "names: [a.example, only.late.example]"),
        activate("early-b", "nxdomain", EARLY, "names: [a.example, b.example]"),
        activate("early-a", "refuse", EARLY, "names: [b.example]"),
    };
    struct overlay_set *set = make_set(orders, 3);

    (void)state;
    assert_string_equal(winner(set, "a.example"), "early-b");
    assert_string_equal(winner(set, "b.example"), "early-a");
    assert_string_equal(winner(set, "only.late.example"), "late");
    assert_ptr_equal(overlay_set_by_id(set, "late"), overlay_set_at(set, 2));
    assert_null(overlay_set_by_id(set, "none"));
    assert_int_equal(active_order_hits(overlay_set_by_id(set, "late")), 1);
    overlay_set_free(set);
}

static void test_an_exemption_wins_over_every_order(void **state)
{
    struct active_order *orders[] = {
        activate("one", "nxdomain", EARLY, "names: [a.example, b.example]\nexempt: [a.example]"),
        activate("two", "nodata", LATE, "names: [a.example]"),
        activate("watch", "observe", LATE, "names: [a.example]\nexempt: [b.example]"),
    };
    struct overlay_set *set = make_set(orders, 3);

    (void)state;
    assert_string_equal(winner(set, "a.example"), "none");
    assert_string_equal(winner(set, "b.example"), "one");
    assert_int_equal(active_order_hits(overlay_set_by_id(set, "watch")), 1);
    overlay_set_free(set);
}

static void test_an_apex_or_cut_is_blocked_by_a_subtree_only(void **state)
{
    struct active_order *orders[] = {
        activate("name", "nxdomain", EARLY, "names: [a.example]"),
        activate("tree", "nodata", LATE, "subtrees: [b.example]\nexempt: [free.b.example]"),
    };
    struct overlay_set *set = make_set(orders, 2);
    struct overlay_hit hit;

    (void)state;
    assert_true(overlay_set_overlay(set)->has_subtrees);
    hit = ask_at(set, "a.example", true, NOW);
    assert_null(hit.verdict);
    hit = ask_at(set, "a.example", false, NOW);
    assert_false(hit.by_subtree);
    hit = ask_at(set, "b.example", true, NOW);
    assert_non_null(hit.verdict);
    assert_true(hit.by_subtree);
    hit = ask_at(set, "x.y.b.example", false, NOW);
    assert_true(hit.by_subtree);
    assert_string_equal(winner(set, "free.b.example"), "none");
    assert_string_equal(winner(set, "x.free.b.example"), "tree");
    assert_string_equal(winner(set, "xb.example"), "none");
    assert_int_equal(active_order_subtree_hits(overlay_set_by_id(set, "tree"), 0), 3);
    assert_int_equal(active_order_hits(overlay_set_by_id(set, "name")), 1);
    overlay_set_free(set);
}

static void test_observers_count_and_never_win(void **state)
{
    struct active_order *orders[] = {
        activate("early-watch", "observe", EARLY, "names: [a.example, w.example]"),
        activate("block", "nxdomain", EARLY, "names: [a.example]"),
        activate("late-watch", "observe", LATE, "names: [a.example]"),
    };
    struct overlay_set *set = make_set(orders, 3);

    (void)state;
    assert_string_equal(winner(set, "a.example"), "block");
    assert_string_equal(winner(set, "w.example"), "none");
    struct active_order *watch = overlay_set_by_id(set, "early-watch");
    assert_int_equal(active_order_hits(watch), 2);
    assert_int_equal(active_order_name_hits(watch, 0), 1);
    assert_int_equal(active_order_name_hits(watch, 1), 1);
    assert_int_equal(active_order_hits(overlay_set_by_id(set, "late-watch")), 1);
    overlay_set_free(set);
}

static void test_counters_outlive_a_generation(void **state)
{
    struct active_order *order = activate("o", "nxdomain", EARLY, "names: [a.example]");
    struct overlay_set *first = NULL, *second = NULL;

    (void)state;
    assert_int_equal(overlay_set_create(&order, 1, &first), 0);
    ask_at(first, "a.example", false, NOW);
    assert_int_equal(overlay_set_create(&order, 1, &second), 0);
    overlay_set_free(first);
    ask_at(second, "a.example", false, NOW);
    assert_int_equal(active_order_hits(order), 2);
    overlay_set_free(second);
    active_order_unref(order);
}

static void test_an_empty_set_answers_nothing(void **state)
{
    struct overlay_set *set = make_set(NULL, 0);

    (void)state;
    assert_string_equal(winner(set, "a.example"), "none");
    assert_int_equal(overlay_set_count(set), 0);
    overlay_set_free(set);
}

struct asking {
    const struct overlay_set *set;
    unsigned worker;
};

#define ASKED_NAMES  20000
#define ASKED_ROUNDS 20

static void *ask_all(void *context)
{
    const struct asking *asking = context;
    const struct overlay *overlay = overlay_set_overlay(asking->set);

    for (unsigned i = 0; i < ASKED_NAMES * ASKED_ROUNDS; i++) {
        char text[64];
        uint8_t wire[NAME_SIZE_MAX];
        struct name_fault fault;
        struct name name;
        size_t size;
        snprintf(text, sizeof(text), "h%u.example", i % (2 * ASKED_NAMES));
        bool parsed = name_text_parse(text, strlen(text), wire, &size, &fault) == 0 &&
                      name_parse(&name, wire, size) > 0;
        bool listed = i % (2 * ASKED_NAMES) < ASKED_NAMES;
        if (!parsed ||
            (overlay->find(overlay, &name, false, NOW, asking->worker).verdict != NULL) != listed)
            return "a wrong answer";
    }
    return NULL;
}

static void test_two_workers_lose_no_count(void **state)
{
    static char names[ASKED_NAMES * 32];
    struct active_order *active = NULL;
    struct overlay_set *set = NULL;
    struct order *order = NULL;
    pthread_t thread;
    void *failure;
    size_t size = 0;

    (void)state;
    size = (size_t)snprintf(names, sizeof(names), ORDER_HEAD "names:\n");
    for (unsigned i = 0; i < ASKED_NAMES; i++)
        size += (size_t)snprintf(names + size, sizeof(names) - size, "- h%u.example\n", i);
    assert_int_equal(order_from_text(names, NULL, &order, NULL), 0);
    assert_int_equal(order->names.count, ASKED_NAMES);
    assert_int_equal(active_order_create(order, 2, &active), 0);
    assert_int_equal(overlay_set_create(&active, 1, &set), 0);

    struct asking asking[2] = {{.set = set, .worker = 0}, {.set = set, .worker = 1}};
    assert_int_equal(pthread_create(&thread, NULL, ask_all, &asking[1]), 0);
    assert_null(ask_all(&asking[0]));
    pthread_join(thread, &failure);
    assert_null(failure);
    assert_int_equal(active_order_hits(active), ASKED_NAMES * ASKED_ROUNDS);
    for (size_t i = 0; i < ASKED_NAMES; i++)
        assert_int_equal(active_order_name_hits(active, i), ASKED_ROUNDS);
    overlay_set_free(set);
    active_order_unref(active);
}

static void test_a_look_finds_what_a_question_finds_and_counts_nothing(void **state)
{
    struct active_order *orders[] = {
        activate("o", "nxdomain", EARLY, "names: [a.example]"),
        activate("w", "observe", EARLY, "names: [a.example]"),
    };
    struct overlay_set *set = make_set(orders, 2);
    const struct overlay *overlay = overlay_set_overlay(set);
    static struct name name;

    (void)state;
    assert_true(name_parse(&name, (const uint8_t *)"\1a\7example", NAME_SIZE_MAX) > 0);
    assert_non_null(overlay->find(overlay, &name, false, NOW, OVERLAY_UNCOUNTED).verdict);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(active_order_hits(overlay_set_at(set, i)), 0);
        assert_int_equal(active_order_name_hits(overlay_set_at(set, i), 0), 0);
    }
    overlay_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_listed_name_matches_itself_alone),
        cmocka_unit_test(test_an_order_starts_and_ends_by_itself),
        cmocka_unit_test(test_the_earlier_order_wins_then_the_smaller_id),
        cmocka_unit_test(test_an_exemption_wins_over_every_order),
        cmocka_unit_test(test_an_apex_or_cut_is_blocked_by_a_subtree_only),
        cmocka_unit_test(test_observers_count_and_never_win),
        cmocka_unit_test(test_counters_outlive_a_generation),
        cmocka_unit_test(test_an_empty_set_answers_nothing),
        cmocka_unit_test(test_two_workers_lose_no_count),
        cmocka_unit_test(test_a_look_finds_what_a_question_finds_and_counts_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
