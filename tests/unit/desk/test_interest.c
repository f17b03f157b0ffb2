/* Names of orders and interests meet exactly where they should, and an overlap holds once. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sodium.h>

#include "desk/desk.h"
#include "desk/interest.h"
#include "desk/interest_keys.h"
#include "desk/interest_pages.h"
#include "desk/interest_token.h"
#include "desk/migrations.h"

#define NOW_S  INT64_C(1700000000)
#define HOLD_S 3600
#define ORDER  "ord_00000000000000000001"

static char path[] = "/tmp/tamis-test-interest-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;
static struct interest_key two_keys[2];
static struct interest_keys keys = {.keys = two_keys, .count = 2};
static char broad_name[] = "dyn.example";
static char *broad[] = {broad_name};
static struct desk_config config = {.interests = {.broad = broad, .broad_count = 1}};

static int64_t now_ms(void *context)
{
    (void)context;
    return NOW_S * 1000;
}

static const struct desk_clock clock_fixed = {.now_ms = now_ms};
static struct desk desk = {.config = &config, .clock = &clock_fixed, .interest_keys = &keys};

static int open_new(void **state)
{
    uint8_t seed[BLINDING_SEED_SIZE], public[BLINDING_ELEMENT_SIZE];
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        memset(seed, (int)i + 1, sizeof(seed));
        assert_int_equal(blinding_key_derive(seed, "k", 1, two_keys[i].secret, public), 0);
        (void)snprintf(two_keys[i].id, sizeof(two_keys[i].id), "key%u", i);
    }
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_open(&place, &store, NULL), 0);
    assert_int_equal(migrations_apply(store, NULL, NULL), 0);
    return store_change(store, NULL, NULL,
                        "INSERT INTO accounts (id, email, role, state, language, created_at, "
                        "updated_at) VALUES ($1, 'p@a.example', 'partner', 'active', 'en', 0, 0)",
                        store_text("acc_partner"));
}

static int close_and_remove(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    (void)state;
    store_close(store);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        char file[64];
        (void)snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        unlink(file);
    }
    return 0;
}

/* ---- What a partner places ---- */

static void place_token(const char *id, unsigned key, const char *name,
                        enum interest_relation relation)
{
    uint8_t output[BLINDING_OUTPUT_SIZE], token[INTEREST_TOKEN_SIZE];
    assert_int_equal(blinding_output(two_keys[key].secret, name, strlen(name), output), 0);
    interest_token_make(relation, output, token);
    assert_int_equal(store_change(store, NULL, NULL,
                                  "INSERT INTO interest_tokens (token, interest) VALUES ($1, $2)",
                                  store_octets(token, sizeof(token)), store_text(id)),
                     0);
}

static void place_interest(const char *id, unsigned key, const char *name, bool is_tree,
                           int64_t expires_s)
{
    assert_int_equal(store_change(store, NULL, NULL,
                                  "INSERT INTO interests (id, account, key_id, placed_at, "
                                  "expires_at) VALUES ($1, 'acc_partner', $2, 0, $3)",
                                  store_text(id), store_text(two_keys[key].id),
                                  store_integer(expires_s)),
                     0);
    place_token(id, key, name, is_tree ? INTEREST_TREE : INTEREST_NAME);
    for (const char *up = interest_parent(name); up != NULL; up = interest_parent(up))
        place_token(id, key, up, INTEREST_BELOW);
}

static void forget_all(void)
{
    static const char *const texts[] = {"DELETE FROM interest_overlaps WHERE id <> $1",
                                        "DELETE FROM interest_tokens WHERE interest <> $1",
                                        "DELETE FROM interests WHERE id <> $1",
                                        "DELETE FROM audit WHERE id <> $1"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(store_change(store, NULL, NULL, texts[i], store_text("")), 0);
}

/* ---- What an order does ---- */

struct drafting {
    struct interest_check *check;
    struct interest_hold hold;
};

static int draft_do(struct store *in, void *context, struct error *ret_error)
{
    struct drafting *drafting = context;
    return interest_overlaps(
        in, drafting->check,
        &(struct interest_occasion){.order = ORDER, .now_ms = NOW_S * 1000, .hold_s = HOLD_S},
        &drafting->hold, ret_error);
}

static struct interest_hold draft(const struct interest_name *names, size_t count)
{
    struct drafting drafting = {0};
    assert_int_equal(interest_check_make(&desk, store, names, count, &drafting.check, NULL), 0);
    assert_int_equal(store_transact(store, draft_do, &drafting, NULL), 0);
    interest_check_free(drafting.check);
    return drafting.hold;
}

static unsigned overlaps_of(const char *name, bool is_subtree)
{
    const struct interest_name names[] = {
        {"other.example", false}, {name, is_subtree}, {"another.test", true}};
    assert_int_equal(store_change(store, NULL, NULL, "DELETE FROM interest_overlaps WHERE id <> $1",
                                  store_text("")),
                     0);
    return draft(names, 3).overlaps;
}

static void an_interest_in_a_name_meets_that_name_and_subtrees_above_it(void **state)
{
    (void)state;
    place_interest("int_1", 0, "a.b.c.example", false, NOW_S + 1);
    assert_int_equal(overlaps_of("a.b.c.example", false), 1);
    assert_int_equal(overlaps_of("a.b.c.example", true), 1);
    assert_int_equal(overlaps_of("b.c.example", true), 1);
    assert_int_equal(overlaps_of("c.example", true), 1);
    assert_int_equal(overlaps_of("c.example", false), 0);
    assert_int_equal(overlaps_of("x.a.b.c.example", false), 0);
    assert_int_equal(overlaps_of("aa.b.c.example", true), 0);
    forget_all();
}

static void an_interest_in_a_subtree_meets_all_within_and_subtrees_above(void **state)
{
    (void)state;
    place_interest("int_1", 0, "b.c.example", true, NOW_S + 1);
    assert_int_equal(overlaps_of("b.c.example", false), 1);
    assert_int_equal(overlaps_of("a.b.c.example", false), 1);
    assert_int_equal(overlaps_of("x.a.b.c.example", true), 1);
    assert_int_equal(overlaps_of("c.example", true), 1);
    assert_int_equal(overlaps_of("c.example", false), 0);
    assert_int_equal(overlaps_of("bb.c.example", true), 0);
    forget_all();
}

static void a_subtree_that_is_too_broad_meets_nothing(void **state)
{
    (void)state;
    place_interest("int_1", 0, "dyn.example", true, NOW_S + 1);
    assert_int_equal(overlaps_of("host.dyn.example", false), 0);
    assert_int_equal(overlaps_of("dyn.example", true), 0);
    forget_all();
}

static void interests_of_older_keys_are_found_and_those_that_ran_out_are_not(void **state)
{
    (void)state;
    place_interest("int_1", 1, "a.example", false, NOW_S + 1);
    place_interest("int_2", 0, "a.example", false, NOW_S + 1);
    place_interest("int_3", 0, "a.example", false, NOW_S);
    assert_int_equal(overlaps_of("a.example", false), 2);
    assert_int_equal(store_change(store, NULL, NULL,
                                  "UPDATE accounts SET state = 'suspended' WHERE id = $1",
                                  store_text("acc_partner")),
                     0);
    assert_int_equal(overlaps_of("a.example", false), 0);
    assert_int_equal(store_change(store, NULL, NULL,
                                  "UPDATE accounts SET state = 'active' WHERE id = $1",
                                  store_text("acc_partner")),
                     0);
    forget_all();
}

static int end_do(struct store *in, void *context, struct error *ret_error)
{
    const struct change change = {.now_ms = NOW_S * 1000};
    return interest_end(in, &change, context, ret_error);
}

static void an_overlap_holds_for_its_time_and_is_found_once(void **state)
{
    const struct interest_name names[] = {{"a.example", false}};
    char withdrawn[] = "int_1";
    struct interest_hold hold;
    (void)state;
    place_interest("int_1", 0, "a.example", false, NOW_S + 1);
    hold = draft(names, 1);
    assert_int_equal(hold.open, 1);
    assert_int_equal(hold.until_s, NOW_S + HOLD_S);
    hold = draft(names, 1);
    assert_int_equal(hold.overlaps, 1);
    assert_int_equal(interest_hold_find(store, ORDER, NOW_S + HOLD_S - 1, &hold, NULL), 0);
    assert_int_equal(hold.open, 1);
    assert_int_equal(interest_hold_find(store, ORDER, NOW_S + HOLD_S, &hold, NULL), 0);
    assert_int_equal(hold.open, 0);
    assert_int_equal(hold.until_s, 0);
    assert_int_equal(hold.overlaps, 1);
    assert_int_equal(interest_hold_find(store, "ord_other", NOW_S, &hold, NULL), 0);
    assert_int_equal(hold.overlaps, 0);

    assert_int_equal(store_transact(store, end_do, withdrawn, NULL), 0);
    assert_int_equal(interest_hold_find(store, ORDER, NOW_S, &hold, NULL), 0);
    assert_int_equal(hold.overlaps, 0);
    forget_all();
}

static void an_interest_that_is_withdrawn_between_check_and_draft_holds_nothing(void **state)
{
    const struct interest_name names[] = {{"a.example", false}};
    struct drafting drafting = {0};
    char withdrawn[] = "int_1";
    (void)state;
    place_interest("int_1", 0, "a.example", false, NOW_S + 1);
    assert_int_equal(interest_check_make(&desk, store, names, 1, &drafting.check, NULL), 0);
    assert_int_equal(store_transact(store, end_do, withdrawn, NULL), 0);
    assert_int_equal(store_transact(store, draft_do, &drafting, NULL), 0);
    assert_int_equal(drafting.hold.overlaps, 0);
    interest_check_free(drafting.check);
    forget_all();
}

static void many_interests_and_names_meet_as_few_do(void **state)
{
    enum { COUNT = 450 };
    static char texts[COUNT][32];
    static struct interest_name names[COUNT];
    (void)state;
    for (unsigned i = 0; i < COUNT; i++) {
        char id[ID_SIZE];
        (void)snprintf(texts[i], sizeof(texts[i]), "h%u.many.example", i);
        (void)snprintf(id, sizeof(id), "int_%u", i);
        names[i] = (struct interest_name){texts[i], false};
        if (i % 2 == 0)
            place_interest(id, 0, texts[i], false, NOW_S + 1);
    }
    assert_int_equal(draft(names, COUNT).overlaps, COUNT / 2);
    forget_all();
}

static void names_are_judged(void **state)
{
    static const char *const wrong[] = {
        "",           "example",     "a..example",  ".a.example",
        "a.example.", "A.a.example", "a b.example", "\xc3\xa4.example"};
    const char *reason;
    (void)state;
    assert_true(interest_name_valid("a-b_c.xn--bcher-kva.example", &reason));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(interest_name_valid(wrong[i], &reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_interest_in_a_name_meets_that_name_and_subtrees_above_it),
        cmocka_unit_test(an_interest_in_a_subtree_meets_all_within_and_subtrees_above),
        cmocka_unit_test(a_subtree_that_is_too_broad_meets_nothing),
        cmocka_unit_test(interests_of_older_keys_are_found_and_those_that_ran_out_are_not),
        cmocka_unit_test(an_overlap_holds_for_its_time_and_is_found_once),
        cmocka_unit_test(an_interest_that_is_withdrawn_between_check_and_draft_holds_nothing),
        cmocka_unit_test(many_interests_and_names_meet_as_few_do),
        cmocka_unit_test(names_are_judged),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, open_new, close_and_remove);
}
