/* Which route a path finds, and which tables are refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "desk/router.h"

static int nothing(struct request *request, struct reply *reply, struct error *ret_error)
{
    (void)request, (void)reply, (void)ret_error;
    return 0;
}

static const struct route routes[] = {
    {"GET", "/v1/hosts/{name}", ROLE_CUSTOMER, 0, nothing},
    {"DELETE", "/v1/hosts/{name}/keys/{id}", ROLE_CUSTOMER, 0, nothing},
    {"GET", "/v1/hosts", ROLE_CUSTOMER, 0, nothing},
    {"POST", "/v1/hosts", ROLE_CUSTOMER, 0, nothing},
    {"POST", "/v1/hosts/imports", ROLE_CUSTOMER, 0, nothing},
    {"GET", "/ledger/tile/{rest...}", ROLE_PUBLIC, 0, nothing, .fast = true},
};

static struct router *make(void)
{
    static const struct route_table table = ROUTE_TABLE(routes);
    const struct route_table *tables[] = {&table};
    struct router *router;
    assert_int_equal(router_create(tables, 1, &router, NULL), 0);
    return router;
}

static void literals_win_over_parameters_and_values_are_decoded(void **state)
{
    struct router *router = make();
    struct route_match match;

    (void)state;
    assert_int_equal(router_find(router, "POST", "/v1/hosts/imports", &match), 0);
    assert_string_equal(match.route->path, "/v1/hosts/imports");
    assert_int_equal(router_find(router, "HEAD", "/v1/hosts/a%2Db.example", &match), 0);
    assert_string_equal(match.values[0], "a-b.example");
    assert_int_equal(router_find(router, "DELETE", "/v1/hosts/a/keys/key_1", &match), 0);
    assert_int_equal(match.count, 2);
    assert_string_equal(match.values[1], "key_1");
    assert_int_equal(router_find(router, "GET", "/ledger/tile/0/x001/067", &match), 0);
    assert_string_equal(match.values[0], "0/x001/067");
    router_free(router);
}

static void paths_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const paths[] = {
        "/v1/hosts/..",        "/v1/hosts/%2e%2e",  "/v1/hosts/a%2Fb",  "/v1/hosts/%00",
        "/v1/hosts/%0a",       "/v1/hosts/%zz",     "/v1/hosts/%f",     "/v1/hosts/%ff",
        "/ledger/tile/../etc", "/ledger/tile/a//b", "/ledger/tile/%2e", "/ledger/tile/a/%2E%2e/b",
        "/v1/hosts/%ed%a0%80",
    };
    struct router *router = make();
    struct route_match match;

    (void)state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        assert_int_equal(router_find(router, "GET", paths[i], &match), -EINVAL);
    assert_int_equal(router_find(router, "GET", "/v1/hosts/", &match), -ENOENT);
    assert_int_equal(router_find(router, "GET", "/v1/host", &match), -ENOENT);
    router_free(router);
}

static void other_methods_are_told_from_other_paths(void **state)
{
    struct router *router = make();
    struct route_match match;
    char allow[128];

    (void)state;
    assert_int_equal(router_find(router, "PUT", "/v1/hosts", &match), -ENOTSUP);
    assert_true(router_allow(router, "/v1/hosts", allow, sizeof(allow)));
    assert_string_equal(allow, "GET, HEAD, POST, OPTIONS");
    assert_false(router_allow(router, "/nowhere", allow, sizeof(allow)));
    router_free(router);
}

static void tables_that_break_the_rules_are_refused(void **state)
{
    static const struct route wrong[] = {
        {"GET", "/nobody", 0, 0, nothing},
        {"GET", "/fast", ROLE_CUSTOMER, 0, nothing, .fast = true},
        {"BREW", "/coffee", ROLE_PUBLIC, 0, nothing},
        {"GET", "relative", ROLE_PUBLIC, 0, nothing},
        {"GET", "/v1/hosts", ROLE_PUBLIC, 0, nothing}, /* there already */
    };
    static const struct route_table right = ROUTE_TABLE(routes);

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct route_table table = {&wrong[i], 1};
        const struct route_table *tables[] = {&right, &table};
        struct router *router;
        assert_int_equal(router_create(tables, 2, &router, NULL), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_win_over_parameters_and_values_are_decoded),
        cmocka_unit_test(paths_that_lead_elsewhere_are_refused),
        cmocka_unit_test(other_methods_are_told_from_other_paths),
        cmocka_unit_test(tables_that_break_the_rules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
