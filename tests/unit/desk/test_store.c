/* The store on SQLite: values of all types, transactions, errors that have a code. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "desk/migrations.h"
#include "desk/store.h"

static char path[] = "/tmp/tamis-test-store-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;

static int open_new(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_open(&place, &store, NULL), 0);
    return store_change(store, NULL, NULL,
                        "CREATE TABLE things (name TEXT PRIMARY KEY, number BIGINT, octets BYTEA)");
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

static void values_come_back_as_they_went(void **state)
{
    static const uint8_t octets[] = {0, 1, 0xff, 0, 'x'};
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    size_t size;

    (void)state;
    /* $3 before $2: SQLite numbers them by where they stand, and the store by what they say. */
    assert_int_equal(store_change(store, NULL, NULL,
                                  "INSERT INTO things (name, octets, number) VALUES ($1, $3, $2)",
                                  store_text("o'brien"), store_integer(INT64_MIN),
                                  store_octets(octets, sizeof(octets))),
                     0);
    assert_int_equal(store_change(store, NULL, NULL,
                                  "INSERT INTO things (name, octets) VALUES ($1, $2)",
                                  store_text("zero"), store_octets("", 0)),
                     0);
    assert_int_equal(
        store_query(store, &rows, NULL, "SELECT name, number, octets FROM things ORDER BY name"),
        0);
    assert_int_equal(store_rows_count(rows), 2);
    assert_string_equal(store_row_text(rows, 0, 0), "o'brien");
    assert_true(store_row_integer(rows, 0, 1) == INT64_MIN);
    assert_memory_equal(store_row_octets(rows, 0, 2, &size), octets, sizeof(octets));
    assert_int_equal(size, sizeof(octets));
    assert_true(store_row_is_null(rows, 1, 1));
    assert_non_null(store_row_octets(rows, 1, 2, &size));
    assert_int_equal(size, 0);
}

static void errors_say_what_they_are(void **state)
{
    struct error error;

    (void)state;
    assert_int_equal(store_change(store, NULL, &error, "INSERT INTO things (name) VALUES ($1)",
                                  store_text("zero")),
                     -EEXIST);
    assert_int_equal(store_change(store, NULL, &error, "INSERT INTO nothing (name) VALUES ($1)",
                                  store_text("zero")),
                     -EBADMSG);
    assert_int_equal(store_change(store, NULL, &error, "INSERT INTO things (name) VALUES ($1)"),
                     -EBADMSG);
}

static int insert_and_answer(struct store *own, void *context, struct error *ret_error)
{
    int *answers = context;
    int rc = store_change(own, NULL, ret_error, "INSERT INTO things (name) VALUES ($1)",
                          store_text("again"));
    assert_true(store_in_transaction(own));
    return rc < 0 ? rc : *answers < 3 ? (*answers)++, -EAGAIN : -ENOENT;
}

static void a_transaction_that_fails_leaves_nothing_and_one_in_the_way_is_tried_again(void **state)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int attempts = 0;

    (void)state;
    assert_int_equal(store_transact(store, insert_and_answer, &attempts, NULL), -ENOENT);
    assert_int_equal(attempts, 3);
    assert_false(store_in_transaction(store));
    assert_int_equal(store_query(store, &rows, NULL, "SELECT name FROM things WHERE name = $1",
                                 store_text("again")),
                     0);
    assert_int_equal(store_rows_count(rows), 0);
}

static void migrations_are_applied_once_and_the_lock_is_held_once(void **state)
{
    struct store_lock *lock, *other;
    size_t applied;

    (void)state;
    assert_int_equal(migrations_check(store, NULL), -ENODATA);
    assert_int_equal(migrations_apply(store, &applied, NULL), 0);
    assert_int_equal(applied, migration_count);
    assert_int_equal(migrations_apply(store, &applied, NULL), 0);
    assert_int_equal(applied, 0);
    assert_int_equal(migrations_check(store, NULL), 0);

    assert_int_equal(store_lock_take(&place, &lock, NULL), 0);
    assert_int_equal(store_lock_take(&place, &other, NULL), -EBUSY);
    store_lock_release(lock);
    assert_int_equal(store_lock_take(&place, &lock, NULL), 0);
    store_lock_release(lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back_as_they_went),
        cmocka_unit_test(errors_say_what_they_are),
        cmocka_unit_test(a_transaction_that_fails_leaves_nothing_and_one_in_the_way_is_tried_again),
        cmocka_unit_test(migrations_are_applied_once_and_the_lock_is_held_once),
    };
    return cmocka_run_group_tests(tests, open_new, close_and_remove);
}
