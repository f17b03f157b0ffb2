/* What is done every so often: expiry, retention, deadlines. One thread runs what is due, one after
 * the other; when a job ran last is kept in the database, so that a restart neither skips nor
 * repeats it. Each is idempotent and does its work in short transactions. */
#pragma once

#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/store.h"

struct desk;

typedef int job_fn(struct desk *desk, struct store *store, int64_t now_s, struct error *ret_error);

/* A job, in the table of its part. */
struct job {
    const char *name; /* "host.expire" */
    unsigned period_s;
    job_fn *run;
};

struct jobs;

_must_check_ int jobs_start(struct desk *desk, struct jobs **ret_jobs, struct error *ret_error);
/* Has the thread look at once whether something is due. Any thread. */
void jobs_wake(struct desk *desk);
/* Waits for the job at hand. NULL is ignored. */
void jobs_stop(struct jobs *jobs);
