/* From a method and a path to the handler, and to who may call it: const tables, one a part. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "desk/request.h"
#include "desk/roles.h"

/* Answers: fills `reply` and returns 0, or a negative errno for which reply_error() finds the
 * problem, or HANDLER_PENDING. */
typedef int handler_fn(struct request *request, struct reply *reply, struct error *ret_error);

struct route {
    const char *method; /* GET (HEAD comes with it), POST, PUT, PATCH, DELETE */
    const char *path;   /* "/v1/hosts/{name}"; a last "{name...}" takes the rest of the path */
    unsigned roles;     /* who may: enum role; with ROLE_PUBLIC everybody */
    unsigned scopes;    /* what a token needs, all of them; 0: no token may, unless public */
    handler_fn *handler;
    bool fast;      /* runs in the HTTP thread and must not wait; public only */
    bool changes;   /* a GET that changes something, as dyndns2 has it: there is no HEAD of it */
    bool tells_own; /* no credentials and 401 of its own, as dyndns2: principal is not looked for */
    bool for_suspended; /* a change that a suspended account may make, too: its own, or an appeal */
    size_t body_max;    /* octets; 0: a body is refused */
    const char *body_type; /* NULL: application/json; "*": the handler looks */
};

struct route_table {
    const struct route *routes;
    size_t count;
};

#define ROUTE_TABLE(array)                        \
    {                                             \
        array, sizeof(array) / sizeof((array)[0]) \
    }

#define ROUTE_PARAMS_MAX 4
#define ROUTE_PARAM_SIZE \
    512 /* longest value, as of a name in U-labels percent-encoded, with its NUL */

struct route_match {
    const struct route *route;
    const char *names[ROUTE_PARAMS_MAX]; /* into the route's path, not terminated */
    size_t name_sizes[ROUTE_PARAMS_MAX];
    char values[ROUTE_PARAMS_MAX][ROUTE_PARAM_SIZE];
    size_t count;
};

struct router;

/* Refuses (-EINVAL) tables that contradict each other or the rules above. */
_must_check_ int router_create(const struct route_table *const *tables, size_t table_count,
                               struct router **ret_router, struct error *ret_error);
void router_free(struct router *router);

/* 0, -ENOENT no such path, -EINVAL a path that no parameter may hold, or -ENOTSUP: there is the
 * path with other methods. Literal segments win over parameters. */
_must_check_ int router_find(const struct router *router, const char *method, const char *path,
                             struct route_match *ret_match);

/* The methods of a path, "GET, HEAD, OPTIONS, POST"; false when there is no such path. */
bool router_allow(const struct router *router, const char *path, char *ret_text, size_t size);

size_t router_count(const struct router *router);
const struct route *router_at(const struct router *router, size_t index);
