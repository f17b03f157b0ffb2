/* Orders as other parts use them: drafting, holding, finding what blocks a name, exempting it. */
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

#include "desk/change.h"
#include "desk/desk_order_internal.h"
#include "desk/migrations.h"

#define NOW_S 1700000000

static char path[] = "/tmp/tamis-test-order-XXXXXX";
static const struct store_place place = {.driver = &store_sqlite, .path = path};
static struct store *store;
static struct desk_config config;
static struct desk_orders orders;
static struct desk desk = {.config = &config, .orders = &orders};
static const struct change change = {.now_ms = NOW_S * INT64_C(1000)};

static int open_new(void **state)
{
    (void)state;
    config.orders.rehearsal_valid_s = 3600;
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

/* ---- Work ---- */

struct work {
    const char *document, *name, *order, *id;
    int64_t until_s;
    char made[ID_SIZE];
    size_t count;
};

static int draft_do(struct store *at, void *context, struct error *ret_error)
{
    struct work *work = context;
    const struct desk_order_draft draft = {
        .document = work->document, .document_size = strlen(work->document), .path = "/document"};
    return desk_order_draft(&desk, at, &change, &draft, work->made, ret_error);
}

/* As approved and put in force. */
static void force(const char *id)
{
    assert_int_equal(store_change(store, NULL, NULL,
                                  "UPDATE orders SET state = 'active', activated_at = 1 "
                                  "WHERE id = $1",
                                  store_text(id)),
                     0);
}

static void draft(const char *id, const char *more, bool is_active, char ret_id[ID_SIZE])
{
    char text[1024];
    struct work work = {.document = text};

    snprintf(text, sizeof(text),
             "{\"id\": \"%s\", \"kind\": \"court\", \"authority\": \"Court\", "
             "\"starts\": \"2023-01-01T00:00:00Z\", \"ends\": \"2024-01-01T00:00:00Z\", %s}",
             id, more);
    assert_int_equal(store_transact(store, draft_do, &work, NULL), 0);
    if (is_active)
        force(work.made);
    if (ret_id != NULL)
        memcpy(ret_id, work.made, ID_SIZE);
}

static int exempt_do(struct store *at, void *context, struct error *ret_error)
{
    struct work *work = context;
    const struct desk_order_exemption exemption = {
        .name = work->name, .reason = "An appeal.", .order = work->order};
    return desk_order_exempt(&desk, at, &change, &exemption, &work->count, ret_error);
}

static size_t exempt(const char *name, const char *order)
{
    struct work work = {.name = name, .order = order};
    assert_int_equal(store_transact(store, exempt_do, &work, NULL), 0);
    return work.count;
}

static const char *blocker(const char *name)
{
    static struct desk_order_block block;
    int rc = desk_order_find(store, name, NOW_S, &block, NULL);
    return rc == 0 ? block.name : rc == -ENOENT ? "none" : "error";
}

static int64_t number(const char *sql)
{
    struct store_rows *rows = NULL;
    assert_int_equal(store_statement(store, sql, NULL, 0, &rows, NULL, NULL), 0);
    int64_t value = store_row_integer(rows, 0, 0);
    store_rows_free(rows);
    return value;
}

/* ---- Tests ---- */

static void test_a_name_is_blocked_by_the_order_that_starts_first(void **state)
{
    (void)state;
    draft("b-second", "\"action\": \"nodata\", \"names\": [\"p.example\"]", true, NULL);
    assert_string_equal(blocker("p.example"), "b-second");
    draft("a-first", "\"action\": \"nodata\", \"names\": [\"p.example\"]", true, NULL);
    assert_string_equal(blocker("p.example"), "a-first");
    assert_string_equal(blocker("www.p.example"), "none");
}

static void test_subtrees_block_what_is_below_and_observing_blocks_nothing(void **state)
{
    (void)state;
    draft("sub", "\"action\": \"nodata\", \"subtrees\": [\"s.example\"]", true, NULL);
    draft("look", "\"action\": \"observe\", \"names\": [\"o.example\"]", true, NULL);
    draft("idle", "\"action\": \"nodata\", \"names\": [\"i.example\"]", false, NULL);
    assert_string_equal(blocker("s.example"), "sub");
    assert_string_equal(blocker("a.b.s.example"), "sub");
    assert_string_equal(blocker("xs.example"), "none");
    assert_string_equal(blocker("o.example"), "none");
    assert_string_equal(blocker("i.example"), "none");
}

static void test_an_exemption_is_noted_once_for_every_order_that_lists_the_name(void **state)
{
    char first[ID_SIZE];
    (void)state;
    draft("x-1", "\"action\": \"nodata\", \"names\": [\"x.example\", \"y.example\"]", true, first);
    draft("x-2", "\"action\": \"nodata\", \"subtrees\": [\"example.x.example\"]", true, NULL);
    draft("x-3", "\"action\": \"nodata\", \"names\": [\"x.example\"]", false, NULL);
    int64_t entries = number("SELECT COUNT(*) FROM ledger_queue");
    int64_t serial = number("SELECT serial FROM order_zones WHERE zone = 'exemptions'");

    assert_int_equal(exempt("www.example.x.example", NULL), 1);
    assert_int_equal(exempt("x.example", NULL), 1);
    assert_int_equal(exempt("x.example", NULL), 0);
    assert_int_equal(exempt("nothing.example", NULL), 0);
    assert_int_equal(number("SELECT COUNT(*) FROM ledger_queue"), entries + 2);
    assert_true(number("SELECT serial FROM order_zones WHERE zone = 'exemptions'") >= serial + 2);
    assert_string_equal(blocker("x.example"), "none");
    assert_string_equal(blocker("y.example"), "x-1");
    assert_int_equal(exempt("y.example", "ord_00000000000000000000"), 0);
    assert_int_equal(exempt("y.example", first), 1);
}

static int hold_do(struct store *at, void *context, struct error *ret_error)
{
    const struct work *work = context;
    return desk_order_hold(at, &change, work->id, "ovl_1", work->until_s, ret_error);
}

static int hold_end_do(struct store *at, void *context, struct error *ret_error)
{
    const struct work *work = context;
    return desk_order_hold_end(at, &change, work->id, "ovl_1", ret_error);
}

static int activate_do(struct store *at, void *context, struct error *ret_error)
{
    const struct work *work = context;
    struct order_row row;
    int rc = order_row_get(at, work->id, &row, ret_error);
    return rc < 0 ? rc : order_activate(&desk, at, &change, &row, ret_error);
}

static void test_a_held_order_waits_and_needs_a_second_person(void **state)
{
    char id[ID_SIZE];
    unsigned needed, given;
    struct order_row row;
    (void)state;

    draft("held", "\"action\": \"nodata\", \"names\": [\"h.example\"]", false, id);
    assert_int_equal(store_change(store, NULL, NULL,
                                  "UPDATE orders SET state = 'approved' WHERE id = $1",
                                  store_text(id)),
                     0);
    struct work work = {.id = "HELD", .until_s = NOW_S + 60};
    assert_int_equal(store_transact(store, hold_do, &work, NULL), 0);
    assert_int_equal(order_row_get(store, id, &row, NULL), 0);
    assert_string_equal(row.state, "notified"); /* one approval is not enough any more */
    assert_int_equal(order_approvals(store, &row, &needed, &given, NULL), 0);
    assert_int_equal(needed, 2);

    assert_int_equal(store_change(store, NULL, NULL,
                                  "UPDATE orders SET state = 'approved' WHERE id = $1",
                                  store_text(id)),
                     0);
    assert_int_equal(store_transact(store, activate_do, &work, NULL), -EEXIST);
    assert_int_equal(store_transact(store, hold_end_do, &work, NULL), 0);
    assert_int_equal(store_transact(store, hold_end_do, &work, NULL), -ENOENT);
    assert_int_equal(store_transact(store, activate_do, &work, NULL), 0);
    assert_string_equal(blocker("h.example"), "held");
    assert_int_equal(store_transact(store, hold_do, &work, NULL), -EEXIST);
}

static void test_serials_only_grow(void **state)
{
    char id[ID_SIZE];
    (void)state;
    draft("serial", "\"action\": \"nodata\", \"names\": [\"n.example\"]", false, id);
    assert_int_equal(order_serial_bump(store, id, NOW_S, NULL), 0);
    assert_int_equal(number("SELECT serial FROM orders WHERE name = 'serial'"), NOW_S);
    assert_int_equal(order_serial_bump(store, id, NOW_S, NULL), 0);
    assert_int_equal(order_serial_bump(store, id, NOW_S - 1000, NULL), 0);
    assert_int_equal(number("SELECT serial FROM orders WHERE name = 'serial'"), NOW_S + 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_name_is_blocked_by_the_order_that_starts_first),
        cmocka_unit_test(test_subtrees_block_what_is_below_and_observing_blocks_nothing),
        cmocka_unit_test(test_an_exemption_is_noted_once_for_every_order_that_lists_the_name),
        cmocka_unit_test(test_a_held_order_waits_and_needs_a_second_person),
        cmocka_unit_test(test_serials_only_grow),
    };
    return cmocka_run_group_tests(tests, open_new, close_and_remove);
}
