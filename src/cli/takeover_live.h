/* Live queries for a step of the takeover: one reader for all domains, and for each domain a
 * thread that asks what came for it. Private to src/cli/takeover*.c. */
#pragma once

#include "cli/takeover.h"

/* How one domain's questions are asked. */
struct live_job {
    struct takeover_check *check;        /* NULL: nothing is to be asked for this domain */
    const struct question_set *gathered; /* asked beside what comes */
};

/* A step that takes live queries. All but the asking happens on the one thread that calls
 * takeover_live_do(), domain by domain. */
struct live_step {
    int (*begin)(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                 void **ret_state, struct live_job *ret_job, struct error *ret_error);
    /* Notes what was found so far, so that it outlives a kill; no question is judged meanwhile.
     * NULL: it can be found again. Returns 0 or a negative errno. */
    int (*keep)(void *state, struct error *ret_error);
    /* Tells and notes what came of it. Returns 0, 1 for a finding, or a negative errno. */
    int (*end)(void *state, const struct parity_result *asked, json_t *result,
               struct error *ret_error);
    void (*free)(void *state); /* NULL is no state */
};

extern const struct live_step takeover_shadow_live, takeover_copy_live;

/* Runs the step for the domains until the run's time or number of queries is over, or until it is
 * interrupted. Returns 0, 1 for a finding, or a negative errno. */
_must_check_ int takeover_live_do(struct takeover_run *run, const struct live_step *step,
                                  const struct plan_domain *const *domains, size_t count,
                                  struct error *ret_error);
