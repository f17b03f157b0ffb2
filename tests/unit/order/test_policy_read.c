/* Policy zones read as orders: what was compiled comes back equal, what others wrote becomes what
 * it asks for, and what is not honoured is named. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <libknot/dname.h>
#include <sodium.h>

#include "order/canonical.h"
#include "order/policy_read.h"
#include "order/policy_zone.h"
#include "order/signature.h"
#include "order_text.h"
#include "zone/zone_file.h"

#define STARTS 1700000000

/* Loads the text as the zone `apex`. */
static struct zone_data *load_zone(const char *apex, const char *text, size_t size)
{
    char path[] = "/tmp/tamis-policy-XXXXXX";
    uint8_t wire[KNOT_DNAME_MAXLEN];
    struct zone_data *data = NULL;
    struct error error = {0};

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, size), size);
    close(fd);
    assert_non_null(knot_dname_from_str(wire, apex, sizeof(wire)));
    int rc = zone_file_load(path, wire, NULL, NULL, &data, &error);
    unlink(path);
    if (rc < 0)
        fail_msg("%s", error.text);
    return data;
}

static int read_zone(const char *apex, const char *text, const struct order_policy *policy,
                     struct policy_orders *ret_orders, struct error *ret_error)
{
    struct zone_data *data = load_zone(apex, text, strlen(text));
    struct zone_view *view;
    assert_int_equal(zone_view_open(data, &view), 0);
    int rc = policy_zone_read(view, policy_zone_metadata(data), STARTS, ret_orders, ret_error);
    zone_view_close(view);

    if (rc == 0 && policy != NULL) {
        rc = signature_check(ret_orders->orders[0], policy, ret_error);
        if (rc < 0)
            policy_orders_clear(ret_orders);
    }

    zone_data_free(data);
    return rc;
}

#define OTHERS_HEAD \
    "$TTL 300\n@ 300 SOA localhost. root.localhost. 1 300 60 86400 30\n@ 300 NS localhost.\n"

static void read_foreign(const char *records, struct policy_orders *ret_orders)
{
    char text[8192];
    struct error error = {0};

    snprintf(text, sizeof(text), "$ORIGIN rpz.example.\n" OTHERS_HEAD "%s", records);
    if (read_zone("rpz.example.", text, NULL, ret_orders, &error) < 0)
        fail_msg("%s", error.text);
}

static const struct order *by_id(const struct policy_orders *orders, const char *id)
{
    for (size_t i = 0; i < orders->count; i++)
        if (strcmp(orders->orders[i]->id, id) == 0)
            return orders->orders[i];
    fail_msg("no order %s", id);
    return NULL;
}

static bool lists(const struct order_names *names, const char *text)
{
    uint8_t wire[KNOT_DNAME_MAXLEN];

    assert_non_null(knot_dname_from_str(wire, text, sizeof(wire)));
    return order_names_find(names, wire) != SIZE_MAX;
}

static bool has_finding(const struct order *order, const char *text)
{
    char line[512];

    for (size_t i = 0; i < order->finding_count; i++)
        if (strstr(order_finding_format(&order->findings[i], line, sizeof(line)), text) != NULL)
            return true;
    return false;
}

/* ---- What others write ---- */

static void test_each_action_of_others_is_an_order(void **state)
{
    struct policy_orders orders = {0};

    (void)state;
    read_foreign("nx.example 60 CNAME .\n"
                 "nodata.example CNAME *.\n"
                 "drop.example CNAME rpz-drop.\n"
                 "tcp.example CNAME RPZ-TCP-Only.\n"
                 "a.sink.example 120 A 192.0.2.7\n"
                 "b.sink.example 90 A 192.0.2.7\n"
                 "c.sink.example A 192.0.2.9\nc.sink.example AAAA 2001:db8::9\n"
                 "pass.example CNAME rpz-passthru.\n"
                 "old.example CNAME old.example.\n",
                 &orders);
    assert_false(orders.has_metadata);
    assert_int_equal(orders.count, 6);
    const struct order *base = by_id(&orders, "rpz-example");
    assert_int_equal(base->action, VERDICT_NXDOMAIN);
    assert_int_equal(base->kind, ORDER_PROVIDER);
    assert_int_equal(base->starts, STARTS);
    assert_true(base->ends == POLICY_ENDS_NEVER);
    assert_int_equal(base->verdict.ttl_s, 30);
    assert_int_equal(base->verdict.ede_code, 15);
    assert_int_equal(base->names.count, 1);
    assert_true(lists(&base->exempt, "pass.example.") && lists(&base->exempt, "old.example."));
    assert_int_equal(base->finding_total, 0);
    assert_true(lists(&by_id(&orders, "rpz-example-nodata")->names, "nodata.example."));
    assert_int_equal(by_id(&orders, "rpz-example-drop")->verdict.action, VERDICT_DROP);
    assert_int_equal(by_id(&orders, "rpz-example-tcp-only")->verdict.action, VERDICT_TCP_ONLY);
    unsigned sinkholes = 0;
    for (size_t i = 0; i < orders.count; i++) {
        const struct order *order = orders.orders[i];
        if (order->action != VERDICT_SINKHOLE)
            continue;
        sinkholes++;
        bool is_first = lists(&order->names, "a.sink.example.");
        assert_int_equal(order->names.count, is_first ? 2 : 1);
        assert_int_equal(order->verdict.ttl_s, is_first ? 90 : 300);
        assert_int_equal(order->verdict.aaaa_count, is_first ? 0 : 1);
    }
    assert_int_equal(sinkholes, 2);
    policy_orders_clear(&orders);
}

static void test_what_is_not_honoured_is_counted_and_named(void **state)
{
    static const char *const refused[] = {
        "*.wild.example is a wildcard: only an order that two people signed can list a subtree",
        "32.7.2.0.192.rpz-ip triggers on an address of the answer (rpz-ip)",
        "24.0.2.0.192.rpz-client-ip triggers on the client's address",
        "ns.example.rpz-nsdname triggers on a name server's name",
        "32.1.2.0.192.rpz-nsip triggers on a name server's address",
        "walled.example leads to another name by CNAME",
        "mail.example has local data other than addresses",
        "both.example has local data other than addresses",
        "many.example has more addresses than an answer takes",
        "x.rpz-new is a trigger of a kind that is not known",
    };
    struct policy_orders orders = {0};
    char records[4096];
    size_t size = (size_t)snprintf(
        records, sizeof(records),
        "*.wild.example CNAME .\n*.free.example CNAME rpz-passthru.\n"
        "32.7.2.0.192.rpz-ip CNAME .\n24.0.2.0.192.rpz-client-ip CNAME rpz-drop.\n"
        "ns.example.rpz-nsdname CNAME .\n32.1.2.0.192.rpz-nsip CNAME .\nx.rpz-new CNAME .\n"
        "walled.example CNAME garden.example.\nmail.example MX 10 mx.example.\n"
        "both.example A 192.0.2.1\nboth.example TXT \"why\"\ngood.example CNAME .\n");

    (void)state;
    for (unsigned i = 1; i <= 9; i++)
        size += (size_t)snprintf(records + size, sizeof(records) - size,
                                 "many.example A 192.0.2.%u\n", i);
    read_foreign(records, &orders);
    const struct order *base = by_id(&orders, "rpz-example");
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (!has_finding(base, refused[i]))
            fail_msg("not named: %s", refused[i]);
    assert_int_equal(base->finding_total, 11);
    assert_int_equal(base->names.count, 1);
    assert_int_equal(base->subtrees.count, 0);
    assert_int_equal(orders.count, 2); /* both.example keeps its address */
    policy_orders_clear(&orders);
}

static void test_answers_beyond_the_bound_are_refused(void **state)
{
    struct policy_orders orders = {0};
    char records[8192] = "";
    size_t size = 0;

    (void)state;
    for (unsigned i = 1; i <= 40; i++)
        size += (size_t)snprintf(records + size, sizeof(records) - size,
                                 "n%u.example A 192.0.2.%u\n", i, i);
    read_foreign(records, &orders);
    assert_int_equal(orders.count, POLICY_ORDERS_MAX);
    assert_int_equal(orders.orders[0]->finding_total, 40 - (POLICY_ORDERS_MAX - 1));
    policy_orders_clear(&orders);
}

static void test_a_long_zone_name_makes_an_id_that_fits(void **state)
{
    static const char apex[] =
        "a-very-long-name-of-a-feed-of-names.that-somebody.publishes.example.";
    struct policy_orders orders = {0};
    struct error error;
    char text[512];

    (void)state;
    snprintf(text, sizeof(text), "$ORIGIN %s\n" OTHERS_HEAD "s.example A 192.0.2.1\n", apex);
    assert_int_equal(read_zone(apex, text, NULL, &orders, &error), 0);
    assert_int_equal(orders.count, 2);
    assert_int_equal(strlen(orders.orders[0]->id), 37);
    assert_true(strlen(orders.orders[1]->id) <= 63);
    policy_orders_clear(&orders);
}

/* ---- What was compiled ---- */

/* Compiles the order and reads the zone back. */
static int compile_and_read(const struct order *order, const struct order_policy *policy,
                            struct policy_orders *ret_orders, struct error *ret_error)
{
    const struct policy_zone_options options = {.origin = "policy.example", .serial = 1};
    struct policy_zone_summary summary;
    char *text = NULL;
    size_t size;

    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(policy_zone_write(order, &options, stream, &summary, ret_error), 0);
    fclose(stream);
    int rc = read_zone("policy.example.", text, policy, ret_orders, ret_error);
    free(text);
    return rc;
}

static void assert_comes_back(const char *text)
{
    static const struct order_policy unverified = {.unverified = true};
    struct policy_orders orders = {0};
    struct order *order = NULL;
    struct error error = {0};
    char *canonical[2];
    size_t sizes[2];

    if (order_from_text(text, NULL, &order, &error) < 0 ||
        compile_and_read(order, &unverified, &orders, &error) < 0)
        fail_msg("%s\n%s", error.text, text);
    assert_true(orders.has_metadata);
    assert_int_equal(orders.count, 1);
    assert_int_equal(canonical_write(order, &canonical[0], &sizes[0]), 0);
    assert_int_equal(canonical_write(orders.orders[0], &canonical[1], &sizes[1]), 0);
    if (strcmp(canonical[0], canonical[1]) != 0)
        fail_msg("of\n%s\n%s\ncame back\n%s", text, canonical[0], canonical[1]);
    assert_int_equal(order->signature_count, orders.orders[0]->signature_count);
    assert_int_equal(orders.orders[0]->finding_total, 0);
    free(canonical[0]);
    free(canonical[1]);
    order_free(order);
    policy_orders_clear(&orders);
}

/* Names that stand in each other's way: above and below one another, with no place as a trigger, no
 * hostnames, odd octets. */
static const char *const pool[] = {
    "a.example",
    "b.a.example",
    "c.b.a.example",
    "_x.a.example",
    "example",
    "_tamis",
    "1._tamis",
    "24.0.2.0.192.rpz-ip",
    "z.example",
    "_.z.example",
    "\\\\000\\\\034\\\\092.example",
    "x*.example",
    "a23456789012345678901234567890123456789012345678901234567890."
    "a23456789012345678901234567890123456789012345678901234567890."
    "a23456789012345678901234567890123456789012345678901234567890."
    "\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001\\\\001"
    "a890123456789012345678901234567890123456789",
};
#define POOL_COUNT (sizeof(pool) / sizeof(pool[0]))

static void write_list(FILE *stream, const char *key, unsigned chosen)
{
    fprintf(stream, "%s: [", key);
    for (size_t i = 0; i < POOL_COUNT; i++)
        if ((chosen >> i & 1) != 0)
            fprintf(stream, "\"%s\", ", pool[i]);
    fprintf(stream, "]\n");
}

/* An order with everything that is optional there or not. */
static void make_order(unsigned seed, char *ret_text, size_t size)
{
    static const char *const kinds[] = {"court", "provider", "registry"};
    static const char *const actions[] = {"sinkhole", "nxdomain", "nodata", "refuse", "observe"};
    unsigned random = seed;
    FILE *stream = fmemopen(ret_text, size, "w");

    fprintf(stream, "id: T-%u\nkind: %s\nauthority: \"A \\\"court\\\" \\\\ \xc3\xa9, %u\"\n", seed,
            kinds[rand_r(&random) % 3], seed);
    fprintf(stream, "starts: 2014-06-30T12:00:00Z\nends: 2034-07-14T12:00:00Z\n");
    fprintf(stream, "action: %s\n", actions[rand_r(&random) % 5]);
    fprintf(stream, "sinkhole: {a: [192.0.2.%u, 192.0.2.1], ttl: %u%s}\n",
            2 + (unsigned)rand_r(&random) % 200, (unsigned)rand_r(&random) % 86401,
            rand_r(&random) % 2 != 0 ? ", aaaa: [\"2001:db8::66\"]" : "");
    if (rand_r(&random) % 2 != 0)
        fprintf(stream, "notice: https://n.example/?a=%u\n", seed);
    if (rand_r(&random) % 2 != 0)
        fprintf(stream, "budget: {live: %u, query-share: 0.0%u}\n", seed, seed % 10);
    if (rand_r(&random) % 2 != 0)
        fprintf(stream, "evidence: {content: true, seal-to: "
                        "3p7bfXt9wbTTW2HC7OQ1Nz+DQ8hbeGdNrfx+FG+IK08=}\n");
    if (rand_r(&random) % 2 != 0)
        fprintf(stream, "signatures: [{key: alice, value: %.86s==}]\n",
                "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
                "AAAAAAAA");
    write_list(stream, "names", 1u | (unsigned)rand_r(&random));
    const unsigned few = (unsigned)rand_r(&random), fewer = (unsigned)rand_r(&random);
    write_list(stream, "subtrees", few & (unsigned)rand_r(&random));
    write_list(stream, "exempt", fewer & (unsigned)rand_r(&random));
    fclose(stream);
}

static void test_a_compiled_order_comes_back_equal(void **state)
{
    unsigned seed = (unsigned)time(NULL);
    const char *given = getenv("TAMIS_TEST_SEED");

    (void)state;
    if (given != NULL)
        seed = (unsigned)strtoul(given, NULL, 10);
    print_message("seed %u (TAMIS_TEST_SEED repeats it)\n", seed);
    for (unsigned i = 0; i < 300; i++) {
        char text[16384];
        make_order(seed + i, text, sizeof(text));
        assert_comes_back(text);
    }
}

static void test_signatures_hold_for_a_subtree_that_came_by_zone(void **state)
{
    static const char text[] = ORDER_HEAD "names: [a.example]\nsubtrees: [s.example]\n";
    struct policy_orders orders = {0};
    struct order_signature signatures[2] = {{.key = "alice"}, {.key = "bob"}};
    struct order_keyring_entry entries[2] = {{.name = "alice"}, {.name = "bob"}};
    uint8_t public_keys[2][32];
    struct order *order = NULL;
    struct error error = {0};

    (void)state;
    assert_int_equal(order_from_text(text, NULL, &order, &error), 0);
    for (size_t i = 0; i < 2; i++) {
        struct signing_key key;
        uint8_t seed[crypto_sign_SEEDBYTES] = {(uint8_t)(i + 1)};
        crypto_sign_seed_keypair(public_keys[i], key.secret, seed);
        entries[i].public_key = public_keys[i];
        assert_int_equal(signature_make(order, &key, signatures[i].value, &error), 0);
    }
    const struct order_policy policy = {.keyring = entries, .keyring_count = 2};

    free(order->signatures);
    order->signatures = signatures;
    order->signature_count = 1;
    assert_int_equal(compile_and_read(order, &policy, &orders, &error), -EKEYREJECTED);
    assert_non_null(strstr(error.text, "needs 2 valid signatures"));
    order->signature_count = 2;
    assert_int_equal(compile_and_read(order, &policy, &orders, &error), 0);
    assert_true(lists(&orders.orders[0]->subtrees, "s.example."));
    assert_false(lists(&orders.orders[0]->names, "s.example."));
    order->signatures = NULL;
    order->signature_count = 0;
    order_free(order);
    policy_orders_clear(&orders);
}

#define METADATA                                                   \
    "\"tamis-order=1\" \"id=t-1\" \"kind=court\" \"authority=x\" " \
    "\"starts=2014-06-30T12:00:00Z\" \"ends=2034-07-14T12:00:00Z\" \"action=nxdomain\" "

static void test_a_record_that_contradicts_the_metadata_is_refused(void **state)
{
    struct policy_orders orders = {0};
    struct error error = {0};

    (void)state;
    assert_int_equal(
        read_zone("rpz.example.",
                  "$ORIGIN rpz.example.\n" OTHERS_HEAD "_tamis 0 TXT " METADATA "\n"
                  "_tamis 0 TXT \"v=other\"\na.example CNAME .\nb.example A 192.0.2.1\n"
                  "0._tamis 0 TXT \"whatever\" \"x\"\n",
                  NULL, &orders, &error),
        0);
    assert_int_equal(orders.count, 1);
    assert_int_equal(orders.orders[0]->names.count, 1);
    assert_true(has_finding(orders.orders[0], "b.example asks for something else than its order"));
    assert_true(has_finding(orders.orders[0], "0._tamis is no entry of a list"));
    policy_orders_clear(&orders);
}

static void test_broken_metadata_refuses_the_zone(void **state)
{
    static const struct {
        const char *txt, *reason;
    } broken[] = {
        {"\"tamis-order=2\" \"id=t-1\"", "a form that this version does not know"},
        {METADATA "\n_tamis TXT " METADATA "\"notice=https://x.example\"", "two orders"},
        {"\"tamis-order=1\" \"id=t-1\"", "kind"},
        {METADATA "\"id=t-2\"", "id"},
        {"\"tamis-order=1\" \"id=t-1\" \"kind=court\" \"authority=x\" "
         "\"starts=2014-06-30T12:00:00Z\" \"action=nxdomain\"",
         "without an end"},
        {METADATA "\"signature=alice\"", "signature"},
        {METADATA "\"ttl=1\\000\"", "zero octet"},
        {METADATA "\"notice=https://x.example/\\\" : [\"", "printable"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct policy_orders orders = {0};
        struct error error = {0};
        char text[2048];
        snprintf(text, sizeof(text),
                 "$ORIGIN rpz.example.\n$TTL 60\n" OTHERS_HEAD "_tamis TXT %s\n", broken[i].txt);
        assert_int_equal(read_zone("rpz.example.", text, NULL, &orders, &error), -EINVAL);
        if (strstr(error.text, broken[i].reason) == NULL)
            fail_msg("%zu: %s", i, error.text);
        assert_int_equal(error.line, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_action_of_others_is_an_order),
        cmocka_unit_test(test_what_is_not_honoured_is_counted_and_named),
        cmocka_unit_test(test_answers_beyond_the_bound_are_refused),
        cmocka_unit_test(test_a_long_zone_name_makes_an_id_that_fits),
        cmocka_unit_test(test_a_compiled_order_comes_back_equal),
        cmocka_unit_test(test_signatures_hold_for_a_subtree_that_came_by_zone),
        cmocka_unit_test(test_a_record_that_contradicts_the_metadata_is_refused),
        cmocka_unit_test(test_broken_metadata_refuses_the_zone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
