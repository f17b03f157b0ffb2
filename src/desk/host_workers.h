/* Threads for what an update needs from the database: updates are taken in threads that must not
 * wait. Each has a connection of its own. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"

struct desk;

/* A piece of work, inside of what it works on. */
struct host_work {
    struct host_work *next;
    void (*run)(struct host_work *work, struct store *store);
};

struct host_workers;

_must_check_ int host_workers_start(struct desk *desk, unsigned threads, size_t waiting_max,
                                    struct host_workers **ret_workers, struct error *ret_error);
/* Does what waits first. NULL is ignored. */
void host_workers_stop(struct host_workers *workers);

/* False: too much waits. Any thread. */
bool host_workers_take(struct host_workers *workers, struct host_work *work);
