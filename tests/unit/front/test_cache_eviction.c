/* Who goes when room runs out, and that room is all that is ever taken. */
#include "cache_fixture.h"

#define ROOM      (UINT64_C(2) << 20)
#define BODY_SIZE 60
#define POPULAR   500

/* Some answers' worth: what one of BODY_SIZE takes. */
#define ENTRY_SIZE (sizeof(struct cache_entry) + 24 + BODY_SIZE)

static struct cache_key numbered_key(struct name *ret_name, const char *kind, uint64_t number)
{
    char label[40];
    snprintf(label, sizeof(label), "%s-%llu", kind, (unsigned long long)number);
    *ret_name = make_name(label);
    return (struct cache_key){.name = ret_name, .type = 1};
}

static void put(struct cache *cache, const char *kind, uint64_t number, uint32_t ttl_s, bool denies)
{
    static struct made_answer made;
    struct name name;
    struct cache_key key = numbered_key(&name, kind, number);
    make_answer(&made, number, BODY_SIZE, ttl_s, denies);
    put_at_last(cache, &key, &made.answer);
}

static bool find(const struct cache *cache, const char *kind, uint64_t number)
{
    struct name name;
    struct cache_key key = numbered_key(&name, kind, number);
    struct cached_answer found;
    return cache_find(cache, &key, &found);
}

static unsigned count_found(const struct cache *cache, const char *kind, unsigned count)
{
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        found += find(cache, kind, i);
    return found;
}

static struct cache *cache_with_popular_names(void)
{
    struct cache *cache = make_cache(ROOM);
    for (unsigned i = 0; i < POPULAR; i++)
        put(cache, "popular", i, 3600, false);
    assert_int_equal(count_found(cache, "popular", POPULAR), POPULAR);
    return cache;
}

static void test_a_flood_of_denials_takes_nothing_from_names_that_exist(void **state)
{
    (void)state;
    struct cache *cache = cache_with_popular_names();
    const uint64_t flood = 10 * ROOM / ENTRY_SIZE;
    for (uint64_t i = 0; i < flood; i++)
        put(cache, "random", i, 300, true);
    struct cache_counters counters;
    cache_counters(cache, &counters);
    assert_true(counters.evicted > flood / 2); /* the flood did find a full cache */
    assert_int_equal(counters.answers, POPULAR);
    assert_int_equal(count_found(cache, "popular", POPULAR), POPULAR);
    cache_free(cache);
}

static void test_a_denial_that_is_asked_for_outlives_a_flood_of_random_ones(void **state)
{
    (void)state;
    struct cache *cache = make_cache(ROOM);
    put(cache, "wpad", 1, 300, true);
    for (uint64_t i = 0; i < 2 * ROOM / ENTRY_SIZE; i++) {
        put(cache, "random", i, 300, true);
        if (i % 500 == 0)
            assert_true(find(cache, "wpad", 1));
    }
    cache_free(cache);
}

/* Nobody asks for the popular names while the scan lasts. */
static void test_a_scan_of_names_asked_once_leaves_those_asked_again(void **state)
{
    (void)state;
    struct cache *cache = cache_with_popular_names();
    const uint64_t scan = 2 * ROOM / ENTRY_SIZE;
    for (uint64_t i = 0; i < scan; i++)
        put(cache, "scan", i, 3600, false);
    struct cache_counters counters;
    cache_counters(cache, &counters);
    assert_true(counters.evicted > scan / 2);
    assert_int_equal(count_found(cache, "popular", POPULAR), POPULAR);
    cache_free(cache);
}

/* A scan runs through the small ring in less time than passes between two questions to each of
 * these: what had to go comes back as wanted. */
static void test_names_asked_now_and_then_get_a_place_during_a_scan(void **state)
{
    (void)state;
    struct cache *cache = make_cache(ROOM);
    uint64_t scanned = 0, hits = 0;
    while (scanned < ROOM / ENTRY_SIZE) /* no room is left to spare */
        put(cache, "scan", scanned++, 3600, false);
    for (unsigned round = 0; round < 4; round++) {
        for (unsigned i = 0; i < 1500; i++)
            put(cache, "scan", scanned++, 3600, false);
        for (unsigned i = 0; i < 50; i++) {
            if (find(cache, "now-and-then", i))
                hits += round >= 3 ? 1 : 0;
            else
                put(cache, "now-and-then", i, 3600, false);
        }
    }
    assert_true(hits >= 48); /* two questions may share a ghost's place */
    cache_free(cache);
}

static void test_what_is_stale_goes_before_what_is_fresh(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(ROOM);
    const unsigned half = (unsigned)(ROOM / 4 / ENTRY_SIZE);
    for (unsigned i = 0; i < half; i++) {
        put(cache, "fresh", i, 7200, false);
        put(cache, "stale", i, 10, false);
    }
    assert_int_equal(count_found(cache, "fresh", half), half);
    assert_int_equal(count_found(cache, "stale", half), half);
    for (unsigned i = 0; i < half; i++) { /* later, and all come back as wanted */
        struct name name;
        struct cache_key key = numbered_key(&name, "fresh", i);
        make_answer(&made, i, BODY_SIZE, 7200, false);
        made.answer.stored_at += 600;
        made.answer.expires_at += 600;
        made.answer.stale_until += 600;
        put_at_last(cache, &key, &made.answer);
    }
    for (unsigned i = 0; i < half; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, "new", i);
        make_answer(&made, i, BODY_SIZE, 7200, false);
        made.answer.stored_at += 601;
        put_at_last(cache, &key, &made.answer);
        struct cached_answer found;
        (void)cache_find(cache, &key, &found);
    }
    assert_true(count_found(cache, "fresh", half) > count_found(cache, "stale", half));
    cache_free(cache);
}

static void test_churn_of_odd_sizes_never_takes_more_than_the_room(void **state)
{
    (void)state;
    static struct made_answer made;
    uint64_t rng = 7;
    struct cache *cache = make_cache(UINT64_C(5) << 20);
    struct cache_counters counters;
    for (unsigned i = 0; i < 12000; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, "churn", random_next(&rng) % 20000);
        unsigned shift = (unsigned)(random_next(&rng) % 16);
        size_t body_size = 4 + random_next(&rng) % (UINT64_C(1) << shift);
        bool denies = random_next(&rng) % 4 == 0;
        make_answer(&made, i, body_size, 1 + (uint32_t)(i % 500), denies);
        made.answer.stored_at += i / 20;
        made.answer.expires_at += i / 20;
        made.answer.stale_until += i / 20;
        if (!cache_put_at(cache, &key, &made.answer, made.answer.stored_at, false))
            pass_grace_period();
        if (i % 32 == 0) {
            cache_counters(cache, &counters);
            assert_true(counters.octets <= counters.octets_max);
        }
    }
    assert_true(counters.octets_max <= UINT64_C(5) << 20);
    /* It is used, too: gaps would show as an empty cache. */
    assert_true(counters.octets > counters.octets_max / 2);
    assert_true(counters.evicted > 1000);
    cache_free(cache);
}

/* A reader that does not move on holds up memory, not the putting thread. */
static void test_puts_do_not_wait_for_a_reader_that_holds_an_answer(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    struct name name = make_name("held");
    struct cache_key key = {.name = &name, .type = 1};
    struct cached_answer held;
    make_answer(&made, 42, 100, 60, true);
    cache_put(cache, &key, &made.answer);
    assert_true(cache_find(cache, &key, &held));
    for (uint64_t i = 1; i < 20000; i++) { /* no quiescent state of ours */
        struct name other;
        struct cache_key other_key = numbered_key(&other, "random", i);
        make_answer(&made, i, 100, 60, true);
        cache_put(cache, &other_key, &made.answer);
    }
    make_answer(&made, 42, 100, 60, true);
    assert_memory_equal(held.body, made.body, 100);
    struct cache_counters counters;
    cache_counters(cache, &counters);
    assert_true(counters.refused > 0);

    pass_grace_period();
    struct name last;
    struct cache_key last_key = numbered_key(&last, "last", 1);
    cache_put(cache, &last_key, &made.answer);
    assert_true(cache_find(cache, &last_key, &held));
    cache_free(cache);
}

int main(void)
{
    rcu_register_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_flood_of_denials_takes_nothing_from_names_that_exist),
        cmocka_unit_test(test_a_denial_that_is_asked_for_outlives_a_flood_of_random_ones),
        cmocka_unit_test(test_a_scan_of_names_asked_once_leaves_those_asked_again),
        cmocka_unit_test(test_names_asked_now_and_then_get_a_place_during_a_scan),
        cmocka_unit_test(test_what_is_stale_goes_before_what_is_fresh),
        cmocka_unit_test(test_churn_of_odd_sizes_never_takes_more_than_the_room),
        cmocka_unit_test(test_puts_do_not_wait_for_a_reader_that_holds_an_answer),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_unregister_thread();
    return failed;
}
