/* Readers, writers, a purger and a saver at once: whatever is found is whole. Made for
 * ThreadSanitizer, and of use without. */
#include "cache_fixture.h"

#include <pthread.h>

#ifdef __SANITIZE_THREAD__
/* liburcu is not built for ThreadSanitizer: what it allocates in one thread and frees in another
 * is its own business. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:liburcu-qsbr.so\n";
}
#endif

#define READERS      2
#define WRITERS      2
#define NAMES        4000
#define PUTS         10000
#define FINDS_AT_END 1000

static struct cache *cache;
static struct name names[NAMES];
static char folder[] = "/tmp/tamis-cache-XXXXXX";
static _Atomic(unsigned) writers_left;

static struct cache_key key_of(unsigned index)
{
    return (struct cache_key){.name = &names[index], .type = 1};
}

/* An answer whose every octet follows from its size, which tells its number. */
static void make_checkable(struct made_answer *made, unsigned index, uint64_t turn)
{
    size_t body_size = 8 + (index * 7 + turn) % 400;
    make_answer(made, index, body_size, 300, index % 5 == 0);
}

static void check_found(unsigned index, const struct cached_answer *found)
{
    static _Thread_local struct made_answer made;
    make_answer(&made, index, found->body_size, 300, index % 5 == 0);
    assert_true(found->body_size >= 8 && found->body_size < 408);
    assert_int_equal(found->rcode, made.answer.rcode);
    assert_memory_equal(found->body, made.body, found->body_size);
}

static void *write_answers(void *argument)
{
    static _Thread_local struct made_answer made;
    uint64_t rng = (uintptr_t)argument;
    for (unsigned i = 0; i < PUTS; i++) {
        unsigned index = (unsigned)(random_next(&rng) % NAMES);
        struct cache_key key = key_of(index);
        make_checkable(&made, index, random_next(&rng) % 400);
        if (!cache_put_at(cache, &key, &made.answer, NOW, false))
            rcu_barrier();
    }
    atomic_fetch_sub(&writers_left, 1);
    return NULL;
}

static void *read_answers(void *argument)
{
    uint64_t rng = 1000 + (uintptr_t)argument, hits = 0;
    rcu_register_thread();
    for (unsigned at_end = 0; at_end < FINDS_AT_END;) {
        at_end += atomic_load(&writers_left) == 0;
        unsigned index = (unsigned)(random_next(&rng) % NAMES);
        struct cache_key key = key_of(index);
        struct cached_answer found;
        if (cache_find(cache, &key, &found)) {
            check_found(index, &found);
            hits++;
            if (found.wanted == CACHE_WANTED_MAX && !found.refresh_claimed)
                (void)cache_claim_refresh(&found);
        }
        (void)cache_knows(cache, &names[index]);
        if (random_next(&rng) % 16 == 0)
            rcu_quiescent_state();
    }
    rcu_unregister_thread();
    assert_true(hits > 0);
    return NULL;
}

static void *purge_and_save(void *argument)
{
    (void)argument;
    char path[sizeof(folder) + 8];
    snprintf(path, sizeof(path), "%s/cache", folder);
    uint64_t rng = 5, answers;
    struct error error;
    while (atomic_load(&writers_left) > 0) {
        unsigned index = (unsigned)(random_next(&rng) % NAMES);
        (void)cache_purge(cache, &names[index], random_next(&rng) % 8 == 0);
        if (random_next(&rng) % 16 == 0)
            assert_int_equal(cache_save(cache, path, NOW, &answers, &error), 0);
        struct cache_counters counters;
        cache_counters(cache, &counters);
        assert_true(counters.octets <= counters.octets_max);
    }
    assert_int_equal(cache_save(cache, path, NOW, &answers, &error), 0);
    assert_int_equal(cache_load(cache, path, NOW, &answers, &error), 0);
    assert_int_equal(unlink(path), 0);
    return NULL;
}

static void test_whatever_is_found_beside_writers_is_whole(void **state)
{
    (void)state;
    for (unsigned i = 0; i < NAMES; i++) {
        char label[16];
        snprintf(label, sizeof(label), "host-%u", i);
        names[i] = make_name(label);
    }
    assert_non_null(mkdtemp(folder));
    cache = make_cache(UINT64_C(512) << 10); /* a third of what is put: answers come and go */
    atomic_store(&writers_left, WRITERS);

    pthread_t threads[READERS + WRITERS + 1];
    size_t count = 0;
    for (uintptr_t i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&threads[count++], NULL, write_answers, (void *)i), 0);
    for (uintptr_t i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&threads[count++], NULL, read_answers, (void *)i), 0);
    assert_int_equal(pthread_create(&threads[count++], NULL, purge_and_save, NULL), 0);
    for (size_t i = 0; i < count; i++)
        pthread_join(threads[i], NULL);

    struct cache_counters counters;
    cache_counters(cache, &counters);
    assert_true(counters.stored > NAMES);
    assert_true(counters.evicted > 0);
    cache_free(cache);
    assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_is_found_beside_writers_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
