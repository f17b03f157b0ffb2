/* Starting and ending the desk, in an order in which everything finds what it needs. */
#include "desk/desk.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "desk/http.h"
#include "desk/jobs.h"
#include "desk/migrations.h"
#include "desk/outbox.h"
#include "desk/part.h"
#include "desk/router.h"

int desk_store_open(const struct desk *desk, struct store **ret_store, struct error *ret_error)
{
    return store_open(&desk->config->database.place, ret_store, ret_error);
}

static int state_make(const struct desk *desk, struct error *ret_error)
{
    if (mkdir(desk->config->state, 0750) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, desk->config->state, 0,
                            "the folder of state cannot be made: %s", strerror(errno));
    return 0;
}

static int tables_make(const struct desk *desk, struct error *ret_error)
{
    _cleanup_(store_closep) struct store *store = NULL;
    size_t applied = 0;

    int rc = desk_store_open(desk, &store, ret_error);
    if (rc < 0)
        return rc;
    if (!desk->config->database.migrate)
        return migrations_check(store, ret_error);
    rc = migrations_apply(store, &applied, ret_error);
    if (rc == 0 && applied > 0)
        log_event(LOG_INFO, "the database got %zu migrations", applied);
    return rc;
}

int desk_router_create(struct router **ret_router, struct error *ret_error)
{
    const struct route_table **tables = calloc(desk_part_count, sizeof(struct route_table *));
    if (tables == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the routes");
    for (size_t i = 0; i < desk_part_count; i++)
        tables[i] = &desk_parts[i]->routes;
    int rc = router_create(tables, desk_part_count, ret_router, ret_error);
    free(tables);
    return rc;
}

static int parts_start(struct desk *desk, struct error *ret_error)
{
    int rc = 0;
    for (size_t i = 0; i < desk_part_count && rc == 0; i++) {
        if (desk_parts[i]->start != NULL)
            rc = desk_parts[i]->start(desk, ret_error);
        if (rc == 0)
            desk->parts_started++;
    }
    return rc;
}

int desk_start(struct desk_config *config, struct desk **ret_desk, struct error *ret_error)
{
    struct desk *desk = calloc(1, sizeof(*desk));
    if (desk == NULL) {
        desk_config_free(config);
        return error_set(ret_error, -ENOMEM, "out of memory while starting");
    }
    desk->config = config;
    desk->clock = &clock_real;

    int rc = state_make(desk, ret_error);
    if (rc == 0)
        rc = store_lock_take(&config->database.place, &desk->lock, ret_error);
    if (rc == 0)
        rc = tables_make(desk, ret_error);
    if (rc == 0)
        rc = desk_router_create(&desk->router, ret_error);
    if (rc == 0)
        rc = parts_start(desk, ret_error);
    if (rc == 0)
        rc = outbox_start(desk, &desk->outbox, ret_error);
    if (rc == 0)
        rc = http_start(desk, ret_error);
    if (rc == 0)
        rc = jobs_start(desk, &desk->jobs, ret_error);
    if (rc < 0) {
        desk_stop(desk);
        return rc;
    }
    *ret_desk = desk;
    return 0;
}

void desk_stop(struct desk *desk)
{
    /* What asks ends before what answers. */
    http_stop(desk->http);
    jobs_stop(desk->jobs);
    outbox_stop(desk->outbox);
    while (desk->parts_started > 0) {
        const struct desk_part *part = desk_parts[--desk->parts_started];
        if (part->stop != NULL)
            part->stop(desk);
    }
    router_free(desk->router);
    store_lock_release(desk->lock);
    desk_config_free((struct desk_config *)desk->config);
    free(desk);
}
