/* A saved cache: what was worth keeping comes back, and nothing of a damaged file does. */
#include "cache_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#define NAMES 300

static char folder[] = "/tmp/tamis-cache-XXXXXX";
static char path[sizeof(folder) + 16];
static const uint8_t option[] = {0, 15, 0, 2, 0, 3};

static struct cache_key numbered_key(struct name *ret_name, unsigned number)
{
    char label[16];
    snprintf(label, sizeof(label), "host-%u", number);
    *ret_name = make_name(label);
    return (struct cache_key){.name = ret_name,
                              .type = 28,
                              .dnssec_ok = number % 2 == 0,
                              .checking_disabled = number % 3 == 0};
}

static void make_numbered(struct made_answer *made, unsigned number)
{
    make_answer(made, number, 4 + number, 100 + number, number % 7 == 0);
    if (number % 5 == 0) {
        made->answer.edns = option;
        made->answer.edns_size = sizeof(option);
    }
}

static struct cache *filled_cache(void)
{
    static struct made_answer made;
    struct cache *cache = make_cache(UINT64_C(4) << 20);
    for (unsigned i = 0; i < NAMES; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, i);
        make_numbered(&made, i);
        cache_put(cache, &key, &made.answer);
    }
    return cache;
}

static void save_filled(void)
{
    struct error error;
    uint64_t answers;
    struct cache *cache = filled_cache();
    assert_int_equal(cache_save(cache, path, NOW, &answers, &error), 0);
    assert_int_equal(answers, NAMES);
    cache_free(cache);
}

/* Loads into an empty cache; returns the code, and the cache when there is one to look at. */
static int load(int64_t now, uint64_t *ret_answers, struct cache **ret_cache)
{
    struct error error = {0};
    struct cache *cache = make_cache(UINT64_C(4) << 20);
    int rc = cache_load(cache, path, now, ret_answers, &error);
    assert_int_equal(rc == 0, error.text[0] == '\0');
    if (rc < 0) {
        struct cache_counters counters;
        cache_counters(cache, &counters);
        assert_int_equal(counters.answers + counters.denials, 0);
    }
    if (ret_cache != NULL)
        *ret_cache = cache;
    else
        cache_free(cache);
    return rc;
}

static void test_what_was_saved_is_what_is_loaded(void **state)
{
    (void)state;
    static struct made_answer made;
    struct cache *cache;
    uint64_t answers = 0;
    save_filled();
    assert_int_equal(load(NOW + 50, &answers, &cache), 0);
    assert_int_equal(answers, NAMES);
    for (unsigned i = 0; i < NAMES; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, i);
        struct cached_answer found;
        make_numbered(&made, i);
        assert_true(cache_find(cache, &key, &found));
        assert_int_equal(found.body_size, made.answer.body_size);
        assert_memory_equal(found.body, made.body, found.body_size);
        assert_int_equal(found.rcode, made.answer.rcode);
        assert_memory_equal(found.counts, made.answer.counts, sizeof(found.counts));
        assert_int_equal(found.stored_at, NOW); /* TTLs go on by the wall clock */
        assert_int_equal(found.expires_at, made.answer.expires_at);
        assert_int_equal(found.stale_until, made.answer.stale_until);
        assert_int_equal(found.edns_size, made.answer.edns_size);
        if (found.edns_size > 0)
            assert_memory_equal(found.edns, option, sizeof(option));
        key.type = 1;
        assert_false(cache_find(cache, &key, &found));
    }
    cache_free(cache);
}

static void test_what_can_be_served_no_more_stays_away(void **state)
{
    (void)state;
    uint64_t answers = 0;
    save_filled();
    /* Those of TTL 100 to 199 have been stale for an hour. */
    assert_int_equal(load(NOW + 199 + 3600, &answers, NULL), 0);
    assert_int_equal(answers, NAMES - 100);
    assert_int_equal(load(NOW - 1, &answers, NULL), 0); /* the clock was set back */
    assert_int_equal(answers, 0);

    struct error error;
    struct cache *cache = filled_cache();
    assert_int_equal(cache_save(cache, path, NOW + 199 + 3600, &answers, &error), 0);
    assert_int_equal(answers, NAMES - 100);
    cache_free(cache);
}

static void test_a_file_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    struct stat status;
    uint64_t answers;
    save_filled();
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size > 0; size -= 1 + size / 40) {
        assert_int_equal(truncate(path, size), 0);
        assert_int_equal(load(NOW, &answers, NULL), -EBADMSG);
    }
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(load(NOW, &answers, NULL), -EBADMSG);
}

static void test_a_file_with_any_bit_flipped_is_refused(void **state)
{
    (void)state;
    struct stat status;
    uint64_t answers;
    save_filled();
    assert_int_equal(stat(path, &status), 0);
    int file = open(path, O_RDWR);
    assert_true(file >= 0);
    for (off_t at = 0; at < status.st_size; at += at < 60 ? 1 : 331) {
        uint8_t octet, flipped;
        assert_int_equal(pread(file, &octet, 1, at), 1);
        flipped = (uint8_t)(octet ^ 1u << at % 8);
        assert_int_equal(pwrite(file, &flipped, 1, at), 1);
        int rc = load(NOW, &answers, NULL);
        assert_true(rc == -EBADMSG || rc == -ENOTSUP);
        assert_int_equal(pwrite(file, &octet, 1, at), 1);
    }
    assert_int_equal(load(NOW, &answers, NULL), 0);
    close(file);
}

static void test_a_save_that_fails_leaves_the_last_one(void **state)
{
    (void)state;
    uint64_t answers = 0;
    struct error error = {0};
    char temporary[sizeof(path) + 8];
    save_filled();
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    assert_int_equal(symlink("elsewhere", temporary), 0); /* what is not ours is not followed */
    struct cache *cache = make_cache(CACHE_OCTETS_MIN);
    assert_int_equal(cache_save(cache, path, NOW, &answers, &error), -ELOOP);
    assert_true(strstr(error.text, "cannot be written") != NULL);
    cache_free(cache);
    (void)unlink(temporary);
    assert_int_equal(load(NOW, &answers, NULL), 0);
    assert_int_equal(answers, NAMES);
}

static void test_a_larger_cache_than_the_room_fills_it_with_the_wanted_first(void **state)
{
    (void)state;
    uint64_t answers = 0, unwanted = 0;
    struct error error;
    struct cached_answer found;
    static struct made_answer made;
    struct cache *cache = make_cache(UINT64_C(8) << 20);
    for (unsigned i = 0; i < 20000; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, i);
        make_answer(&made, i, 100, 3600, false);
        put_at_last(cache, &key, &made.answer);
        if (i % 50 == 0)
            assert_true(cache_find(cache, &key, &found));
    }
    assert_int_equal(cache_save(cache, path, NOW, &answers, &error), 0);
    cache_free(cache);

    cache = make_cache(UINT64_C(1) << 20);
    assert_int_equal(cache_load(cache, path, NOW, &answers, &error), 0);
    for (unsigned i = 0; i < 20000; i++) {
        struct name name;
        struct cache_key key = numbered_key(&name, i);
        bool is_found = cache_find(cache, &key, &found);
        if (i % 50 == 0)
            assert_true(is_found);
        else
            unwanted += is_found;
    }
    assert_true(unwanted > 1000 && unwanted < 10000);
    cache_free(cache);
}

int main(void)
{
    if (mkdtemp(folder) == NULL)
        return 1;
    snprintf(path, sizeof(path), "%s/cache", folder);
    rcu_register_thread();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_saved_is_what_is_loaded),
        cmocka_unit_test(test_what_can_be_served_no_more_stays_away),
        cmocka_unit_test(test_a_file_cut_short_anywhere_is_refused),
        cmocka_unit_test(test_a_file_with_any_bit_flipped_is_refused),
        cmocka_unit_test(test_a_save_that_fails_leaves_the_last_one),
        cmocka_unit_test(test_a_larger_cache_than_the_room_fills_it_with_the_wanted_first),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rcu_unregister_thread();
    (void)unlink(path);
    (void)rmdir(folder);
    return failed;
}
