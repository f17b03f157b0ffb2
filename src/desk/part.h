/* A part of the desk: what it adds to the program, in one const struct that parts.c lists. */
#pragma once

#include <stddef.h>
#include <stdio.h>

#include "desk/jobs.h"
#include "desk/outbox.h"
#include "desk/router.h"

struct desk;

/* Everything is optional but the name. Tables end where the counts say. */
struct desk_part {
    const char *name; /* "hosts" */
    struct route_table routes;
    const struct job *jobs;
    size_t job_count;
    const struct outbox_kind *outbox_kinds;
    size_t outbox_kind_count;

    /* Makes what the part keeps in `struct desk`, before anything is served; parts start in the
     * order of the list and stop in the reverse one. stop() is called only after a start() that
     * succeeded, with no request, job or delivery at work. */
    int (*start)(struct desk *desk, struct error *ret_error);
    void (*stop)(struct desk *desk);

    /* Adds a text to `alarms` for whatever is wrong by now; /healthz shows them. Any thread. */
    void (*health)(struct desk *desk, json_t *alarms);

    /* Adds lines in Prometheus' text form. Any thread. */
    void (*metrics)(struct desk *desk, FILE *stream);
};

extern const struct desk_part *const desk_parts[];
extern const size_t desk_part_count;
