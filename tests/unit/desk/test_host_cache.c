/* The cache of hosts: loads once, forgets for good, stays within its bounds. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "desk/host_cache.h"

static struct host_cache *cache;

struct waiter {
    struct host_waiter waiter; /* first: it is what the cache sees */
    int woken, rc;
};

static void on_wake(struct host_waiter *waiter, int rc)
{
    struct waiter *own = (struct waiter *)waiter;
    own->woken++;
    own->rc = rc;
}

static void account_look(struct host_entry *entry, void *context)
{
    snprintf(context, ID_SIZE, "%s", entry->account);
}

static const char *account_of(const char *name)
{
    static char account[ID_SIZE];
    return host_cache_look(cache, name, account_look, account) == 0 ? account : NULL;
}

static int ask(const char *name, struct waiter *waiter, uint64_t *ret_serial)
{
    static char account[ID_SIZE];
    *waiter = (struct waiter){.waiter.wake = on_wake};
    return host_cache_look_or_wait(cache, name, account_look, account, &waiter->waiter, ret_serial);
}

static struct host_facts facts_of(const char *account)
{
    struct host_facts facts = {.life = HOST_ACTIVE, .is_clean = true, .updates_per_hour = 60};
    snprintf(facts.account, sizeof(facts.account), "%s", account);
    return facts;
}

static void load(const char *name, const char *account)
{
    const struct host_addresses none = {0};
    const struct host_facts facts = facts_of(account);
    struct waiter waiter;
    uint64_t serial;
    assert_int_equal(ask(name, &waiter, &serial), 2);
    assert_false(host_cache_fill(cache, name, serial, &facts, &none));
    assert_int_equal(waiter.woken, 1);
    assert_int_equal(waiter.rc, 0);
}

static int set_up(void **state)
{
    (void)state;
    return host_cache_create(1000, &cache, NULL);
}

static int tear_down(void **state)
{
    (void)state;
    host_cache_free(cache);
    return 0;
}

static void a_name_is_loaded_once_however_many_wait(void **state)
{
    const struct host_facts facts = facts_of("acc_1");
    struct waiter first, second;
    uint64_t serial, ignored;

    (void)state;
    assert_null(account_of("a.dyn.example"));
    assert_int_equal(ask("a.dyn.example", &first, &serial), 2);
    assert_int_equal(ask("a.dyn.example", &second, &ignored), 1);
    assert_null(account_of("a.dyn.example"));
    assert_false(host_cache_fill(cache, "a.dyn.example", serial, &facts, NULL));
    assert_int_equal(first.woken + second.woken, 2);
    assert_string_equal(account_of("a.dyn.example"), "acc_1");
}

static void what_is_forgotten_while_it_is_loaded_is_loaded_again(void **state)
{
    const struct host_facts old = facts_of("acc_old"), new = facts_of("acc_new");
    struct waiter waiter;
    uint64_t serial;

    (void)state;
    assert_int_equal(ask("a.dyn.example", &waiter, &serial), 2);
    host_cache_forget(cache, "a.dyn.example");
    assert_true(host_cache_fill(cache, "a.dyn.example", serial, &old, NULL));
    assert_int_equal(waiter.woken, 0);
    assert_false(host_cache_fill(cache, "a.dyn.example", serial, &new, NULL));
    assert_int_equal(waiter.woken, 1);
    assert_string_equal(account_of("a.dyn.example"), "acc_new");
}

static void a_loading_that_fails_wakes_all_and_leaves_nothing(void **state)
{
    struct waiter first, second;
    uint64_t serial, again;

    (void)state;
    assert_int_equal(ask("a.dyn.example", &first, &serial), 2);
    assert_int_equal(ask("a.dyn.example", &second, &again), 1);
    host_cache_fail(cache, "a.dyn.example", serial, -EIO);
    assert_int_equal(first.rc, -EIO);
    assert_int_equal(second.rc, -EIO);
    assert_int_equal(ask("a.dyn.example", &first, &again), 2);
    host_cache_fail(cache, "a.dyn.example", again, -EIO);
}

static void submit_look(struct host_entry *entry, void *context)
{
    uint64_t *serial = context;
    *serial = entry->serial;
    entry->in_flight++;
}

static void back_look(struct host_entry *entry, void *context)
{
    int *calls = context;
    entry->in_flight--;
    (*calls)++;
}

static void what_comes_back_finds_only_the_entry_that_it_left(void **state)
{
    uint64_t serial;
    int calls = 0;

    (void)state;
    load("a.dyn.example", "acc_1");
    assert_int_equal(host_cache_look(cache, "a.dyn.example", submit_look, &serial), 0);
    host_cache_forget(cache, "a.dyn.example");
    load("a.dyn.example", "acc_2");
    host_cache_look_at(cache, "a.dyn.example", serial, back_look, &calls);
    assert_int_equal(calls, 0);
    assert_int_equal(host_cache_look(cache, "a.dyn.example", submit_look, &serial), 0);
    host_cache_look_at(cache, "a.dyn.example", serial, back_look, &calls);
    assert_int_equal(calls, 1);
}

static void names_go_with_what_is_above_them_or_with_their_account(void **state)
{
    (void)state;
    load("a.dyn.example", "acc_1");
    load("b.dyn.example", "acc_2");
    load("xdyn.example", "acc_2");
    host_cache_forget_account(cache, "acc_1");
    assert_null(account_of("a.dyn.example"));
    assert_non_null(account_of("b.dyn.example"));
    host_cache_forget_below(cache, "dyn.example");
    assert_null(account_of("b.dyn.example"));
    assert_non_null(account_of("xdyn.example"));
}

static void it_stays_within_its_bound_and_keeps_what_is_used(void **state)
{
    struct host_cache_figures figures;
    uint64_t serial;
    char name[32];

    (void)state;
    load("used.dyn.example", "acc_1");
    load("busy.dyn.example", "acc_1");
    assert_int_equal(host_cache_look(cache, "busy.dyn.example", submit_look, &serial), 0);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof(name), "h%d.dyn.example", i);
        load(name, "acc_2");
        assert_non_null(account_of("used.dyn.example"));
    }
    host_cache_figures_get(cache, &figures);
    assert_true(figures.entries <= 1000 + 64);
    assert_true(figures.evicted >= 18000);
    assert_non_null(account_of("busy.dyn.example"));
    assert_null(account_of("h0.dyn.example"));
}

/* ---- Threads ---- */

#define THREADS 4
#define ROUNDS  20000

static atomic_uint generation; /* what the tables say now */

static void generation_look(struct host_entry *entry, void *context)
{
    *(unsigned *)context = entry->updates_per_hour;
}

/* Loads as the loaders do: the "tables" are read in between. */
static void load_for_real(const char *name, uint64_t serial)
{
    struct host_facts facts = facts_of("acc_1");
    do
        facts.updates_per_hour = atomic_load(&generation);
    while (host_cache_fill(cache, name, serial, &facts, NULL));
}

static void on_wake_free(struct host_waiter *waiter, int rc)
{
    (void)rc;
    free(waiter);
}

static void *reader_run(void *context)
{
    atomic_bool *is_stale = context;
    for (int i = 0; i < ROUNDS; i++) {
        struct host_waiter *waiter = calloc(1, sizeof(*waiter));
        unsigned before = atomic_load(&generation), seen = UINT32_MAX;
        uint64_t serial;
        waiter->wake = on_wake_free;
        int rc = host_cache_look_or_wait(cache, "a.dyn.example", generation_look, &seen, waiter,
                                         &serial);
        if (rc == 2)
            load_for_real("a.dyn.example", serial);
        if (rc == 0 && seen + 1 < before)
            atomic_store(is_stale, true);
        if (rc == 0)
            free(waiter);
    }
    return NULL;
}

/* A change is made, and then the name forgotten: what is seen is never older than the change before
 * the last one that a reader knew of. */
static void nothing_older_than_a_change_stays(void **state)
{
    pthread_t threads[THREADS];
    atomic_bool is_stale = false;

    (void)state;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, &is_stale), 0);
    for (int i = 0; i < ROUNDS; i++) {
        atomic_fetch_add(&generation, 1);
        host_cache_forget(cache, "a.dyn.example");
    }
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_false(atomic_load(&is_stale));
    unsigned seen = 0;
    if (host_cache_look(cache, "a.dyn.example", generation_look, &seen) == 0)
        assert_int_equal(seen, ROUNDS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_name_is_loaded_once_however_many_wait),
        TEST(what_is_forgotten_while_it_is_loaded_is_loaded_again),
        TEST(a_loading_that_fails_wakes_all_and_leaves_nothing),
        TEST(what_comes_back_finds_only_the_entry_that_it_left),
        TEST(names_go_with_what_is_above_them_or_with_their_account),
        TEST(it_stays_within_its_bound_and_keeps_what_is_used),
        TEST(nothing_older_than_a_change_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
