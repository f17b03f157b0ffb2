/* Blocks: what they cover, for how long, and what a change of one leaves behind. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "desk/block.h"
#include "desk/migrations.h"

#define NOW_S 1700000000

static char path[] = "/tmp/tamis-test-block-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;

static int open_new(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_open(&place, &store, NULL), 0);
    return migrations_apply(store, NULL, NULL);
}

static int close_and_remove(void **state)
{
    static const char *const endings[] = {"", "-wal", "-shm", ".lock"};
    (void)state;
    store_close(store);
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        char file[64];
        snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        unlink(file);
    }
    return 0;
}

struct work {
    struct change change;
    struct block_order order;
};

static int put(struct store *at, void *context, struct error *ret_error)
{
    const struct work *work = context;
    return block_put(at, &work->change, &work->order, ret_error);
}

static int lift(struct store *at, void *context, struct error *ret_error)
{
    const struct work *work = context;
    return block_lift(at, &work->change, work->order.name, ret_error);
}

static int put_at(const char *name, const char *reason, int64_t now_s, int64_t until_s)
{
    struct work work = {.change.now_ms = now_s * 1000,
                        .order = {.name = name, .reason = reason, .until_s = until_s}};
    return store_transact(store, put, &work, NULL);
}

static int lift_at(const char *name)
{
    struct work work = {.change.now_ms = NOW_S * 1000LL, .order = {.name = name}};
    return store_transact(store, lift, &work, NULL);
}

static int64_t count_of(const char *sql)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert_int_equal(store_statement(store, sql, NULL, 0, &rows, NULL, NULL), 0);
    return store_row_integer(rows, 0, 0);
}

static void a_block_covers_its_name_and_all_below(void **state)
{
    struct block block;
    (void)state;
    assert_int_equal(put_at("bad.dyn.example", "malware-controller", NOW_S, 0), 0);
    assert_int_equal(block_find(store, "bad.dyn.example", NOW_S, &block, NULL), 0);
    assert_string_equal(block.reason, "malware-controller");
    assert_int_equal(block.since_s, NOW_S);
    assert_int_equal(block.until_s, 0);
    assert_int_equal(block_find(store, "a.b.bad.dyn.example", NOW_S, &block, NULL), 0);
    assert_string_equal(block.name, "bad.dyn.example");
    assert_int_equal(block_find(store, "notbad.dyn.example", NOW_S, &block, NULL), -ENOENT);
    assert_int_equal(block_find(store, "dyn.example", NOW_S, &block, NULL), -ENOENT);
}

static void a_block_ends_with_its_time(void **state)
{
    struct block block;
    (void)state;
    assert_int_equal(put_at("soon.dyn.example", "phishing", NOW_S, NOW_S + 10), 0);
    assert_int_equal(block_find(store, "soon.dyn.example", NOW_S + 9, &block, NULL), 0);
    assert_int_equal(block_find(store, "soon.dyn.example", NOW_S + 10, &block, NULL), -ENOENT);
    /* One that is put anew after its end begins anew; one that is changed keeps its beginning. */
    assert_int_equal(put_at("soon.dyn.example", "phishing", NOW_S + 20, 0), 0);
    assert_int_equal(put_at("soon.dyn.example", "malware", NOW_S + 30, 0), 0);
    assert_int_equal(block_find(store, "soon.dyn.example", NOW_S + 30, &block, NULL), 0);
    assert_int_equal(block.since_s, NOW_S + 20);
    assert_string_equal(block.reason, "malware");
}

static void a_lifted_block_is_gone_and_is_lifted_once(void **state)
{
    struct block block;
    (void)state;
    assert_int_equal(put_at("lift.dyn.example", "phishing", NOW_S, 0), 0);
    assert_int_equal(lift_at("lift.dyn.example"), 0);
    assert_int_equal(block_find(store, "lift.dyn.example", NOW_S, &block, NULL), -ENOENT);
    assert_int_equal(lift_at("lift.dyn.example"), -ENOENT);
}

static void every_change_leaves_an_audit_row_and_work_for_the_zone(void **state)
{
    (void)state;
    int64_t audits = count_of("SELECT COUNT(*) FROM audit");
    int64_t items = count_of("SELECT COUNT(*) FROM outbox WHERE kind = 'host'");
    assert_int_equal(put_at("seen.dyn.example", "phishing", NOW_S, 0), 0);
    assert_int_equal(lift_at("seen.dyn.example"), 0);
    assert_int_equal(count_of("SELECT COUNT(*) FROM audit") - audits, 2);
    assert_int_equal(count_of("SELECT COUNT(*) FROM outbox WHERE kind = 'host'") - items, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_covers_its_name_and_all_below),
        cmocka_unit_test(a_block_ends_with_its_time),
        cmocka_unit_test(a_lifted_block_is_gone_and_is_lifted_once),
        cmocka_unit_test(every_change_leaves_an_audit_row_and_work_for_the_zone),
    };
    return cmocka_run_group_tests(tests, open_new, close_and_remove);
}
