#include "desk/router.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/percent.h"

struct router {
    const struct route *
        *routes; /* literal segments before parameters, so that the first match is it */
    size_t count;
};

static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};

#define METHOD_COUNT (sizeof(methods) / sizeof(methods[0]))

/* ---- Building ---- */

/* A literal sorts before a parameter, and that before the rest of a path. */
static int path_compare(const char *one, const char *other)
{
    for (; *one == *other && *one != '\0'; one++, other++)
        ;
    if (*one == *other)
        return 0;
    if (*one == '{' || *other == '{')
        return *one == '{' ? 1 : -1;
    return (unsigned char)*one < (unsigned char)*other ? -1 : 1;
}

static int route_compare(const void *one_in, const void *other_in)
{
    const struct route *one = *(const struct route *const *)one_in;
    const struct route *other = *(const struct route *const *)other_in;
    int order = path_compare(one->path, other->path);
    return order != 0 ? order : strcmp(one->method, other->method);
}

static int route_check(const struct route *route, struct error *ret_error)
{
    bool is_known = false;
    for (size_t i = 0; i < METHOD_COUNT; i++)
        is_known = is_known || strcmp(route->method, methods[i]) == 0;
    size_t params = 0;
    for (const char *at = route->path; *at != '\0'; at++)
        params += *at == '{';

    if (!is_known || route->path[0] != '/' || params > ROUTE_PARAMS_MAX || route->handler == NULL)
        return error_set(ret_error, -EINVAL, "route %s %s: its method or path is not possible",
                         route->method, route->path);
    if (route->roles == 0 || (route->roles & ~(ROLE_ANY | ROLE_PUBLIC)) != 0)
        return error_set(ret_error, -EINVAL, "route %s %s: nobody may call it: name the roles",
                         route->method, route->path);
    if (route->fast && (route->roles & ROLE_PUBLIC) == 0)
        return error_set(ret_error, -EINVAL,
                         "route %s %s: a fast route knows nobody: make it public", route->method,
                         route->path);
    return 0;
}

static int routes_check(const struct router *router, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < router->count && rc == 0; i++) {
        const struct route *route = router->routes[i];
        rc = route_check(route, ret_error);
        if (rc == 0 && i > 0 && route_compare(&router->routes[i - 1], &router->routes[i]) == 0)
            rc = error_set(ret_error, -EINVAL, "route %s %s is there twice", route->method,
                           route->path);
    }
    return rc;
}

int router_create(const struct route_table *const *tables, size_t table_count,
                  struct router **ret_router, struct error *ret_error)
{
    size_t count = 0;
    for (size_t i = 0; i < table_count; i++)
        count += tables[i]->count;

    struct router *router = calloc(1, sizeof(*router));
    if (router != NULL)
        router->routes = calloc(count + 1, sizeof(*router->routes));
    if (router == NULL || router->routes == NULL) {
        router_free(router);
        return error_set(ret_error, -ENOMEM, "out of memory for the routes");
    }
    for (size_t i = 0; i < table_count; i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            router->routes[router->count++] = &tables[i]->routes[j];
    qsort(router->routes, router->count, sizeof(*router->routes), route_compare);

    int rc = routes_check(router, ret_error);
    if (rc < 0) {
        router_free(router);
        return rc;
    }
    *ret_router = router;
    return 0;
}

void router_free(struct router *router)
{
    if (router == NULL)
        return;
    free(router->routes);
    free(router);
}

/* ---- Matching ---- */

/* No value may lead out of where it is put, should a handler ever make a path of it. */
static bool value_is_safe(const char *value, bool is_rest)
{
    for (;;) {
        size_t size = strcspn(value, "/");
        if (size == 0 || (size == 1 && value[0] == '.') ||
            (size == 2 && value[0] == '.' && value[1] == '.'))
            return false;
        if (value[size] == '\0')
            return true;
        if (!is_rest)
            return false;
        value += size + 1;
    }
}

/* Takes the parameter at `*pattern` from `*path` and moves both behind it. */
static int param_take(const char **pattern, const char **path, struct route_match *match)
{
    const char *name = *pattern + 1, *end = strchr(name, '}');
    size_t name_size = (size_t)(end - name);
    bool is_rest = name_size > 3 && memcmp(end - 3, "...", 3) == 0;
    size_t size = is_rest ? strlen(*path) : strcspn(*path, "/");
    char *value = match->values[match->count];

    if (size == 0)
        return -ENOENT;
    if (percent_decode(*path, size, value, ROUTE_PARAM_SIZE) < 0 || !value_is_safe(value, is_rest))
        return -EINVAL;
    match->names[match->count] = name;
    match->name_sizes[match->count] = is_rest ? name_size - 3 : name_size;
    match->count++;
    *pattern = end + 1;
    *path += size;
    return 0;
}

static int path_match(const char *pattern, const char *path, struct route_match *match)
{
    match->count = 0;
    while (*pattern != '\0') {
        if (*pattern == '{') {
            int rc = param_take(&pattern, &path, match);
            if (rc < 0)
                return rc;
        } else if (*pattern++ != *path++) {
            return -ENOENT;
        }
    }
    return *path == '\0' ? 0 : -ENOENT;
}

/* The first of the routes whose path it is; those with other methods follow. */
static int first_find(const struct router *router, const char *path, struct route_match *match,
                      size_t *ret_first)
{
    int rc = -ENOENT;
    for (size_t i = 0; i < router->count; i++) {
        int one = path_match(router->routes[i]->path, path, match);
        if (one == 0) {
            *ret_first = i;
            return 0;
        }
        if (one == -EINVAL)
            rc = -EINVAL;
    }
    return rc;
}

static bool is_same_path(const struct router *router, size_t one, size_t other)
{
    return other < router->count &&
           strcmp(router->routes[one]->path, router->routes[other]->path) == 0;
}

static bool has_head(const struct route *route)
{
    return strcmp(route->method, "GET") == 0 && !route->changes;
}

static bool takes(const struct route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || (strcmp(method, "HEAD") == 0 && has_head(route));
}

int router_find(const struct router *router, const char *method, const char *path,
                struct route_match *ret_match)
{
    size_t first;

    int rc = first_find(router, path, ret_match, &first);
    if (rc < 0)
        return rc;
    for (size_t i = first; is_same_path(router, first, i); i++)
        if (takes(router->routes[i], method)) {
            ret_match->route = router->routes[i];
            return 0;
        }
    return -ENOTSUP;
}

bool router_allow(const struct router *router, const char *path, char *ret_text, size_t size)
{
    struct route_match match;
    size_t first, used = 0;

    if (first_find(router, path, &match, &first) < 0)
        return false;
    for (size_t i = first; is_same_path(router, first, i); i++) {
        const char *head = has_head(router->routes[i]) ? "HEAD, " : "";
        int more =
            snprintf(ret_text + used, size - used, "%s, %s", router->routes[i]->method, head);
        used += (size_t)more;
    }
    snprintf(ret_text + used, size - used, "OPTIONS");
    return true;
}

size_t router_count(const struct router *router)
{
    return router->count;
}

const struct route *router_at(const struct router *router, size_t index)
{
    return router->routes[index];
}
