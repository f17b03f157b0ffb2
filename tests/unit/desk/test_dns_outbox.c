/* Changes in the outbox: what is written is what was meant, and what is cancelled is gone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <jansson.h>
#include <libknot/descriptor.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "desk/dns_outbox.h"
#include "desk/migrations.h"

static char path[] = "/tmp/tamis-test-dns-outbox-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;

static int open_new(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(store_open(&place, &store, NULL), 0);
    return migrations_apply(store, &(size_t){0}, NULL);
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

static int put(struct store *in, void *context, struct error *ret_error)
{
    return dns_outbox_put(in, 1000, context, ret_error);
}

static int cancel(struct store *in, void *context, struct error *ret_error)
{
    return dns_outbox_cancel(in, context, ret_error);
}

static size_t count(void)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert_int_equal(store_query(store, &rows, NULL, "SELECT payload FROM outbox"), 0);
    return store_rows_count(rows);
}

static void test_a_change_is_written_with_all_that_it_is(void **state)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const uint8_t address[4] = {192, 0, 2, 7};
    const struct dns_value values[] = {{address, 4}, {"proof", 5}};
    const struct dns_set sets[] = {
        {.type = KNOT_RRTYPE_A, .ttl_s = 60, .values = &values[0], .count = 1},
        {.below = "_acme-challenge", .type = KNOT_RRTYPE_TXT, .values = &values[1], .count = 1},
        {.type = KNOT_RRTYPE_AAAA},
    };
    struct dns_change change = {
        .zone = "dyn.example", .host = "home.dyn.example", .sets = sets, .set_count = 3};
    (void)state;
    assert_int_equal(store_transact(store, put, &change, NULL), 0);
    assert_int_equal(store_query(store, &rows, NULL, "SELECT kind, payload, due_at FROM outbox"),
                     0);
    assert_int_equal(store_rows_count(rows), 1);
    assert_string_equal(store_row_text(rows, 0, 0), "dns");
    assert_string_equal(store_row_text(rows, 0, 1),
                        "{\"host\":\"home.dyn.example\",\"zone\":\"dyn.example\",\"remove\":false,"
                        "\"sets\":[{\"type\":1,\"ttl\":60,\"values\":[\"c0000207\"]},"
                        "{\"below\":\"_acme-challenge\",\"type\":16,\"ttl\":0,"
                        "\"values\":[\"70726f6f66\"]},{\"type\":28,\"ttl\":0,\"values\":[]}]}");
    assert_int_equal(store_row_integer(rows, 0, 2), 1);
}

static void test_a_change_that_cannot_be_does_not_get_in(void **state)
{
    struct dns_change change = {.zone = "dyn.example", .host = "other.example", .remove = true};
    struct error error;
    (void)state;
    const size_t before = count();
    assert_int_equal(store_transact(store, put, &change, &error), -EINVAL);
    assert_int_equal(count(), before);
}

static void test_what_is_cancelled_is_that_host_alone(void **state)
{
    static const char *const hosts[] = {"one.dyn.example", "one.dyn.example",
                                        "one.dyn.example.dyn.example", "zone.dyn.example",
                                        "%.dyn.example"};
    (void)state;
    assert_int_equal(store_change(store, NULL, NULL, "DELETE FROM outbox"), 0);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct dns_change change = {.zone = "dyn.example", .host = hosts[i], .remove = true};
        assert_int_equal(store_transact(store, put, &change, NULL), 0);
    }
    assert_int_equal(store_transact(store, cancel, "%.dyn.example", NULL), 0);
    assert_int_equal(count(), 4);
    assert_int_equal(store_transact(store, cancel, "one.dyn.example", NULL), 0);
    assert_int_equal(count(), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_change_is_written_with_all_that_it_is),
        cmocka_unit_test(test_a_change_that_cannot_be_does_not_get_in),
        cmocka_unit_test(test_what_is_cancelled_is_that_host_alone),
    };
    return cmocka_run_group_tests(tests, open_new, close_and_remove);
}
