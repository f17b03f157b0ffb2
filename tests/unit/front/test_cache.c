/* The cache as a map: what was put is what is found, and how it is written out. */
#include "cache_fixture.h"

#include <errno.h>

#define KEYS 600

static uint64_t seed;

static void test_options_out_of_bounds_are_refused(void **state)
{
    (void)state;
    struct cache *cache = NULL;
    assert_int_equal(
        cache_create(&(struct cache_options){.octets_max = CACHE_OCTETS_MIN - 1}, &cache), -EINVAL);
    assert_int_equal(
        cache_create(&(struct cache_options){.octets_max = CACHE_OCTETS_MIN, .denials_percent = 51},
                     &cache),
        -EINVAL);
    assert_null(cache);
}

/* ---- Against a naive model ---- */

struct model_row {
    uint64_t number;
    size_t body_size;
    uint32_t ttl_s;
    bool is_kept, denies;
};

/* Key `index`: 150 names, two types, with and without DO. */
static struct name model_name(unsigned index)
{
    char label[16];
    snprintf(label, sizeof(label), "host-%u", index / 4);
    return make_name(label);
}

static struct cache_key model_key(unsigned index, const struct name *name)
{
    return (struct cache_key){
        .name = name, .type = index % 4 < 2 ? 1 : 28, .dnssec_ok = (index & 1) != 0};
}

static void model_put(struct cache *cache, struct model_row *row, unsigned index, uint64_t *rng)
{
    static struct made_answer made;
    struct name name = model_name(index);
    struct cache_key key = model_key(index, &name);
    *row = (struct model_row){
        .is_kept = true,
        .denies = random_next(rng) % 4 == 0,
        .number = random_next(rng),
        .body_size = 4 + random_next(rng) % 300,
        .ttl_s = 1 + (uint32_t)(random_next(rng) % 1000),
    };
    make_answer(&made, row->number, row->body_size, row->ttl_s, row->denies);
    cache_put(cache, &key, &made.answer);
}

static void model_check(const struct cache *cache, const struct model_row *row, unsigned index)
{
    static struct made_answer made;
    struct name name = model_name(index);
    struct cache_key key = model_key(index, &name);
    struct cached_answer found;
    bool is_found = cache_find(cache, &key, &found);
    assert_int_equal(is_found, row->is_kept);
    if (!is_found)
        return;
    make_answer(&made, row->number, row->body_size, row->ttl_s, row->denies);
    assert_int_equal(found.body_size, row->body_size);
    assert_memory_equal(found.body, made.body, row->body_size);
    assert_int_equal(found.rcode, made.answer.rcode);
    assert_int_equal(found.expires_at, made.answer.expires_at);
    assert_int_equal(found.stale_until, made.answer.stale_until);
    assert_int_equal(found.ttl_count, 1);
    assert_int_equal(found.ttl_places[0], 0);
    assert_true(found.authoritative);
}

static bool model_knows(const struct model_row *rows, unsigned index)
{
    unsigned first = index / 4 * 4;
    for (unsigned i = first; i < first + 4; i++) {
        if (rows[i].is_kept && !rows[i].denies)
            return true;
    }
    return false;
}

static void test_random_operations_do_what_a_plain_map_does(void **state)
{
    (void)state;
    static struct model_row rows[KEYS];
    uint64_t rng = seed;
    struct cache *cache = make_cache(UINT64_C(8) << 20); /* nothing has to go */
    for (unsigned step = 0; step < 60000; step++) {
        unsigned index = (unsigned)(random_next(&rng) % KEYS);
        struct name name = model_name(index);
        switch (random_next(&rng) % 64) {
        case 0: {
            uint64_t kept = 0, purged = cache_purge(cache, &name, random_next(&rng) % 2 == 0);
            for (unsigned i = index / 4 * 4; i < index / 4 * 4 + 4; i++) {
                kept += rows[i].is_kept;
                rows[i].is_kept = false;
            }
            assert_int_equal(purged, kept);
            break;
        }
        case 1 ... 24:
            model_put(cache, &rows[index], index, &rng);
            break;
        case 25 ... 32:
            assert_int_equal(cache_knows(cache, &name), model_knows(rows, index));
            break;
        default:
            model_check(cache, &rows[index], index);
        }
        if (step % 500 == 0)
            rcu_quiescent_state();
    }

    struct cache_counters counters;
    cache_counters(cache, &counters);
    uint64_t kept = 0;
    for (unsigned i = 0; i < KEYS; i++)
        kept += rows[i].is_kept;
    assert_int_equal(counters.answers + counters.denials, kept);
    assert_int_equal(counters.refused + counters.evicted, 0);
    assert_true(counters.octets <= counters.octets_max);
    cache_free(cache);
}

/* ---- Collisions ---- */

static void test_another_name_with_the_same_hash_is_another_name(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct name one = make_name("one"), two = make_name("two");
    two.hashes[0] = one.hashes[0];
    struct cache_key key_one = {.name = &one, .type = 1}, key_two = {.name = &two, .type = 1};
    struct cached_answer found;

    make_answer(&made, 1, 64, 60, false);
    cache_put(cache, &key_one, &made.answer);
    assert_false(cache_find(cache, &key_two, &found));
    assert_false(cache_knows(cache, &two));
    make_answer(&made, 2, 80, 60, false);
    cache_put(cache, &key_two, &made.answer);
    assert_true(cache_find(cache, &key_one, &found));
    assert_int_equal(found.body_size, 64);
    assert_true(cache_find(cache, &key_two, &found));
    assert_int_equal(found.body_size, 80);
    cache_free(cache);
}

static void test_more_types_of_a_name_than_a_bucket_holds_push_out_each_other(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(UINT64_C(8) << 20);
    struct name name = make_name("www");
    struct cache_key wanted = {.name = &name, .type = 1};
    struct cached_answer found;
    make_answer(&made, 1, 64, 60, false);
    cache_put(cache, &wanted, &made.answer);
    assert_true(cache_find(cache, &wanted, &found));
    for (uint16_t type = 1000; type < 3000; type++) {
        struct cache_key key = {.name = &name, .type = type};
        cache_put(cache, &key, &made.answer);
        assert_true(cache_find(cache, &wanted, &found));
    }
    cache_free(cache);
}

/* ---- Time ---- */

static uint32_t written_ttl(const struct cached_answer *answer, int64_t now)
{
    uint8_t octets[256];
    assert_int_equal(cached_answer_write(answer, now, 30, octets, sizeof(octets)),
                     answer->body_size);
    assert_memory_equal(octets + 4, answer->body + 4, answer->body_size - 4u);
    return (uint32_t)octets[0] << 24 | (uint32_t)octets[1] << 16 | (uint32_t)octets[2] << 8 |
           octets[3];
}

static void test_ttls_run_down_and_a_stale_answer_has_the_one_for_stale(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct name name = make_name("www");
    struct cache_key key = {.name = &name, .type = 1};
    struct cached_answer found;
    make_answer(&made, 1, 100, 70000, false);
    cache_put(cache, &key, &made.answer);
    assert_true(cache_find(cache, &key, &found));
    assert_int_equal(written_ttl(&found, NOW), 70000);
    assert_int_equal(written_ttl(&found, NOW + 69999), 1);
    assert_int_equal(written_ttl(&found, NOW + 70000), 30);
    assert_int_equal(written_ttl(&found, NOW - 5), 70000);
    uint8_t octets[99];
    assert_int_equal(cached_answer_write(&found, NOW, 30, octets, sizeof(octets)), 0);
    cache_free(cache);
}

static void test_an_answer_that_was_never_fresh_is_not_kept(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct name name = make_name("www");
    struct cache_key key = {.name = &name, .type = 1};
    struct cached_answer found;
    make_answer(&made, 1, 100, 0, false);
    cache_put(cache, &key, &made.answer);
    assert_false(cache_find(cache, &key, &found));
    cache_free(cache);
}

static void test_a_refresh_is_claimed_once(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct name name = make_name("www");
    struct cache_key key = {.name = &name, .type = 1};
    struct cached_answer found;
    make_answer(&made, 1, 100, 60, false);
    cache_put(cache, &key, &made.answer);
    for (unsigned wanted = 1; wanted < 6; wanted++) {
        assert_true(cache_find(cache, &key, &found));
        assert_int_equal(found.wanted, wanted < CACHE_WANTED_MAX ? wanted : CACHE_WANTED_MAX);
        assert_false(found.refresh_claimed);
    }
    assert_true(cache_claim_refresh(&found));
    assert_false(cache_claim_refresh(&found));
    assert_true(cache_find(cache, &key, &found));
    assert_true(found.refresh_claimed);
    cache_put(cache, &key, &made.answer); /* it has come: the next one is to be claimed again */
    assert_true(cache_find(cache, &key, &found));
    assert_true(cache_claim_refresh(&found));
    cache_free(cache);
}

/* ---- Purge ---- */

static void test_a_subtree_goes_and_its_neighbours_stay(void **state)
{
    (void)state;
    static const char *const labels[] = {"b", "c.b", "d.c.b", "xb", "b.x", ""};
    static const bool goes[] = {true, true, true, false, false, false};
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct cached_answer found;
    make_answer(&made, 1, 100, 60, false);
    for (unsigned i = 0; i < 6; i++) {
        struct name name = make_name(labels[i]);
        cache_put(cache, &(struct cache_key){.name = &name, .type = 1}, &made.answer);
    }
    struct name top = make_name("b");
    assert_int_equal(cache_purge(cache, &top, true), 3);
    for (unsigned i = 0; i < 6; i++) {
        struct name name = make_name(labels[i]);
        struct cache_key key = {.name = &name, .type = 1};
        assert_int_equal(cache_find(cache, &key, &found), !goes[i]);
    }
    cache_free(cache);
}

int main(void)
{
    const char *text = getenv("TEST_SEED");
    seed = text != NULL ? strtoull(text, NULL, 0) : (uint64_t)getpid();
    printf("# TEST_SEED=%llu\n", (unsigned long long)seed);
    rcu_register_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_out_of_bounds_are_refused),
        cmocka_unit_test(test_random_operations_do_what_a_plain_map_does),
        cmocka_unit_test(test_another_name_with_the_same_hash_is_another_name),
        cmocka_unit_test(test_more_types_of_a_name_than_a_bucket_holds_push_out_each_other),
        cmocka_unit_test(test_ttls_run_down_and_a_stale_answer_has_the_one_for_stale),
        cmocka_unit_test(test_an_answer_that_was_never_fresh_is_not_kept),
        cmocka_unit_test(test_a_refresh_is_claimed_once),
        cmocka_unit_test(test_a_subtree_goes_and_its_neighbours_stay),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_unregister_thread();
    return failed;
}
