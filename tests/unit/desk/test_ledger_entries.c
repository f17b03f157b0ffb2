/* What may stand in the ledger, the order of what is queued, and what is sealed. */
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

#include "desk/ledger_kinds.h"
#include "desk/ledger_queue.h"
#include "desk/ledger_seal.h"
#include "desk/migrations.h"

#define ORDER "ord_00000000000000000001"

static char path[] = "/tmp/tamis-test-entries-XXXXXX";
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
        (void)snprintf(file, sizeof(file), "%s%s", path, endings[i]);
        unlink(file);
    }
    return 0;
}

static int check(const char *kind, const char *subject, const char *content)
{
    json_t *json = json_loads(content, 0, NULL);
    assert_non_null(json);
    int rc = ledger_kind_check(kind, subject, json, NULL);
    json_decref(json);
    return rc;
}

static void entries_have_the_members_of_their_kind_and_no_others(void **state)
{
    (void)state;
    assert_int_equal(check("report.decided", "rep_1", "{}"), 0);
    assert_int_equal(check("report.decided", NULL, "{\"reason\":\"phishing-kit\",\"names\":3}"), 0);
    assert_int_equal(check("figures.published", NULL,
                           "{\"month\":\"2026-11\",\"figures\":{\"phishing\":{\"median_s\":4}}}"),
                     0);
    assert_int_equal(check("report.deleted", NULL, "{}"), -EINVAL);
    assert_int_equal(check("report.decided", NULL, "{\"email\":\"a\"}"), -EINVAL);
    assert_int_equal(check("report.decided", NULL, "[]"), -EINVAL);
}

static void nothing_that_somebody_typed_gets_through(void **state)
{
    static const char *const contents[] = {
        "{\"reason\":\"he is a bad man\"}",
        "{\"reason\":\"a@b.example\"}",
        "{\"reason\":\"\"}",
        "{\"reason\":3}",
        "{\"names\":-1}",
        "{\"names\":1.5}",
        "{\"names\":\"3\"}",
        "{\"order\":\"+49 170 1234567\"}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++)
        assert_int_equal(check("report.decided", NULL, contents[i]), -EINVAL);
    assert_int_equal(check("report.decided", "a@b.example", "{}"), -EINVAL);
    assert_int_equal(check("report.blocked", NULL, "{\"names\":[\"a.dyn.example\"]}"), -EINVAL);
    assert_int_equal(check("report.blocked", NULL,
                           "{\"names\":[\"0123456789abcdef0123456789abcdef"
                           "0123456789abcdef0123456789abcdef\"]}"),
                     0);
    assert_int_equal(check("order.drafted", NULL, "{\"ends\":\"tomorrow\"}"), -EINVAL);
    assert_int_equal(check("order.lifted", NULL, "{\"detail\":{\"reason\":\"Appeal granted.\"}}"),
                     0);
    assert_int_equal(check("order.lifted", NULL, "{\"detail\":{\"reason\":\"ask a@b.example\"}}"),
                     -EINVAL);
    assert_int_equal(check("order.rehearsed", NULL, "{\"detail\":{\"share\":0.1}}"), -EINVAL);
    assert_int_equal(check("figures.published", NULL, "{\"figures\":{\"a\":\"b\"}}"), -EINVAL);
    assert_int_equal(check("figures.published", NULL, "{\"figures\":{\"A b\":1}}"), -EINVAL);
}

struct queueing {
    const char *content, *sealed;
    int64_t opens_at_s;
    char id[ID_SIZE];
};

static int queue_do(struct store *in, void *context, struct error *ret_error)
{
    struct queueing *queueing = context;
    json_t *json = json_loads(queueing->content, 0, NULL);
    int rc = ledger_queue_put(in, 1000, "report.decided", ORDER, json, queueing->id, ret_error);
    json_decref(json);
    return rc;
}

static void what_is_queued_in_one_millisecond_keeps_its_order(void **state)
{
    struct queueing queueing = {.content = "{\"names\":1}"};
    char before[ID_SIZE] = "";
    (void)state;
    for (unsigned i = 0; i < 50; i++) {
        assert_int_equal(store_transact(store, queue_do, &queueing, NULL), 0);
        assert_true(strcmp(queueing.id, before) > 0);
        memcpy(before, queueing.id, ID_SIZE);
    }
}

static void what_the_ledger_may_not_tell_ends_the_transaction(void **state)
{
    struct queueing queueing = {.content = "{\"name\":\"a.example\"}"};
    struct error error = {0};
    (void)state;
    assert_int_equal(store_transact(store, queue_do, &queueing, &error), -EINVAL);
    assert_non_null(strstr(error.text, "report.decided has no member name"));
}

/* ---- Sealed entries ---- */

static int seal_do(struct store *in, void *context, struct error *ret_error)
{
    struct queueing *queueing = context;
    json_t *json = json_loads(queueing->content, 0, NULL);
    int rc = ledger_seal_put(in, 1000, "order.activated", ORDER, json, queueing->opens_at_s,
                             queueing->id, ret_error);
    json_decref(json);
    return rc;
}

static int open_do(struct store *in, void *context, struct error *ret_error)
{
    struct queueing *queueing = context;
    return ledger_seal_open(in, 1000, queueing->sealed, queueing->id, ret_error);
}

static json_t *queued_content(const char *id)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    assert_int_equal(store_query(store, &rows, NULL,
                                 "SELECT content FROM ledger_queue WHERE id = $1", store_text(id)),
                     0);
    assert_int_equal(store_rows_count(rows), 1);
    return json_loads(store_row_text(rows, 0, 0), 0, NULL);
}

static void assert_opens(const char *sealed_id, const char *opened_id)
{
    uint8_t hash[crypto_hash_sha256_BYTES];
    char text[2 * sizeof(hash) + 1];
    json_t *sealed = queued_content(sealed_id), *opened = queued_content(opened_id);
    const json_t *opening = json_object_get(opened, "opening");
    char *canonical = json_dumps(opening, JSON_COMPACT | JSON_SORT_KEYS);
    crypto_hash_sha256(hash, (const uint8_t *)canonical, strlen(canonical));
    sodium_bin2hex(text, sizeof(text), hash, sizeof(hash));
    assert_string_equal(text, json_string_value(json_object_get(sealed, "commitment")));
    assert_string_equal(sealed_id, json_string_value(json_object_get(opened, "sealed")));
    assert_string_equal(ORDER, json_string_value(json_object_get(opening, "object")));
    free(canonical);
    json_decref(sealed);
    json_decref(opened);
}

static void a_sealed_entry_says_nothing_and_opens_to_what_it_committed_to(void **state)
{
    struct queueing sealing = {.content = "{\"names\":18472}", .opens_at_s = 5000};
    struct queueing again = sealing, opening = {.sealed = sealing.id};
    (void)state;
    assert_int_equal(store_transact(store, seal_do, &sealing, NULL), 0);
    assert_int_equal(store_transact(store, seal_do, &again, NULL), 0);
    json_t *one = queued_content(sealing.id), *other = queued_content(again.id);
    char *text = json_dumps(one, JSON_COMPACT);
    assert_null(strstr(text, "18472"));
    assert_null(strstr(text, ORDER));
    assert_non_null(strstr(text, "1970-01-01T01:23:20Z"));
    /* The salt keeps the same content from looking the same. */
    assert_false(json_equal(one, other));
    free(text);
    json_decref(one);
    json_decref(other);

    assert_int_equal(store_transact(store, open_do, &opening, NULL), 0);
    assert_opens(sealing.id, opening.id);
    assert_int_equal(store_transact(store, open_do, &opening, NULL), -ENOENT);
}

static void what_may_not_be_told_cannot_be_sealed_either(void **state)
{
    struct queueing sealing = {.content = "{\"name\":\"a.example\"}"};
    (void)state;
    assert_int_equal(store_transact(store, seal_do, &sealing, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_have_the_members_of_their_kind_and_no_others),
        cmocka_unit_test(nothing_that_somebody_typed_gets_through),
        cmocka_unit_test(what_is_queued_in_one_millisecond_keeps_its_order),
        cmocka_unit_test(what_the_ledger_may_not_tell_ends_the_transaction),
        cmocka_unit_test(a_sealed_entry_says_nothing_and_opens_to_what_it_committed_to),
        cmocka_unit_test(what_may_not_be_told_cannot_be_sealed_either),
    };
    return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, open_new, close_and_remove);
}
