/* tamis-desk migrate, routes, staff. */
#include "desk/commands.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "desk/account.h"
#include "desk/desk.h"
#include "desk/migrations.h"
#include "desk/router.h"

int wrong_use(const char *text)
{
    fprintf(stderr, "tamis-desk: %s; see tamis-desk --help\n", text);
    return EXIT_WRONG_USE;
}

static int problem(const struct error *error)
{
    error_print(stderr, "tamis-desk", error);
    return EXIT_PROBLEM;
}

/* ---- migrate ---- */

static int migrate(const struct desk_config *config, int count, char **words)
{
    _cleanup_(store_closep) struct store *store = NULL;
    struct store_lock *lock;
    struct error error;
    size_t applied;

    (void)words;
    if (count != 0)
        return wrong_use("migrate takes no words");
    if (store_lock_take(&config->database.place, &lock, &error) < 0)
        return problem(&error);
    int rc = store_open(&config->database.place, &store, &error);
    if (rc == 0)
        rc = migrations_apply(store, &applied, &error);
    if (rc == 0)
        rc = account_secrets_seal(config, store, clock_now_ms(&clock_real) / 1000, &error);
    store_lock_release(lock);
    if (rc < 0)
        return problem(&error);
    printf("%zu of %zu migrations were missing and are applied\n", applied, migration_count);
    return EXIT_OK;
}

/* ---- routes ---- */

static json_t *route_json(const struct route *route)
{
    char scopes[SCOPES_TEXT_SIZE];
    json_t *roles = json_array();
    for (unsigned bit = ROLE_PUBLIC; bit <= ROLE_OPERATOR; bit <<= 1)
        if ((route->roles & bit) != 0)
            json_array_append_new(roles, json_string(role_name(bit)));
    return json_pack("{s:s, s:s, s:o, s:s, s:b, s:b, s:I, s:s}", "method", route->method, "path",
                     route->path, "roles", roles, "scopes", scopes_text(route->scopes, scopes),
                     "fast", (int)route->fast, "own_credentials", (int)route->tells_own, "body_max",
                     (json_int_t)route->body_max, "body_type",
                     route->body_type != NULL ? route->body_type : "application/json");
}

static int routes(const struct desk_config *config, int count, char **words)
{
    struct router *router;
    struct error error;

    (void)config;
    bool is_json = count == 1 && strcmp(words[0], "--json") == 0;
    if (count != 0 && !is_json)
        return wrong_use("routes takes --json alone");
    if (desk_router_create(&router, &error) < 0)
        return problem(&error);
    json_t *list = json_array();
    for (size_t i = 0; i < router_count(router); i++) {
        const struct route *route = router_at(router, i);
        if (is_json)
            json_array_append_new(list, route_json(route));
        else
            printf("%-7s %s\n", route->method, route->path);
    }
    if (is_json && json_dumpf(list, stdout, JSON_INDENT(2)) == 0)
        putchar('\n');
    json_decref(list);
    router_free(router);
    return EXIT_OK;
}

/* ---- staff add EMAIL --role ROLE ---- */

static int staff_add(const struct desk_config *config, const char *email, unsigned role)
{
    _cleanup_(store_closep) struct store *store = NULL;
    char id[ID_SIZE], token[SECRET_TEXT_SIZE];
    struct error error;

    int rc = store_open(&config->database.place, &store, &error);
    if (rc == 0)
        rc = migrations_check(store, &error);
    if (rc == 0)
        rc = account_add_staff(store, &clock_real, email, role, id, token, &error);
    if (rc < 0)
        return problem(&error);
    printf("%s\n%s\n", id, token);
    return EXIT_OK;
}

static int staff(const struct desk_config *config, int count, char **words)
{
    if (count != 4 || strcmp(words[0], "add") != 0 || strcmp(words[2], "--role") != 0)
        return wrong_use("write staff add EMAIL --role ROLE");
    unsigned role = role_find(words[3]);
    if (role == 0 || role == ROLE_PUBLIC)
        return wrong_use("a role is customer, reporter, analyst, approver, auditor, partner or "
                         "operator");
    return staff_add(config, words[1], role);
}

const struct desk_command desk_commands[] = {
    {"deliver", command_deliver, true},
    {"migrate", migrate, true},
    {"routes", routes, false},
    {"staff", staff, true},
};

const size_t desk_command_count = sizeof(desk_commands) / sizeof(desk_commands[0]);
