/* Appeals, and the figures of how fast the desk answers. */
#include "desk/appeal.h"
#include "desk/appeal_routes.h"
#include "desk/desk.h"
#include "desk/figures.h"
#include "desk/parts.h"

static const struct job jobs[] = {
    {"appeal.look", 60, appeals_look},
    {"figures.publish", 3600, figures_publish},
};

const struct desk_part part_appeals = {
    .name = "appeals",
    .routes = ROUTE_TABLE(appeal_routes),
    .jobs = jobs,
    .job_count = sizeof(jobs) / sizeof(jobs[0]),
};
