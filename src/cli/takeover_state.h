/* Where a cut-over stands: one file for the takeover, and a log of every step.
 *
 * In the state folder, `takeover.json` is replaced whole and durably with each change; `log` only
 * grows, a line of JSON for each step with time, user, domain, step and result. Whoever changes the
 * file holds the lock, reads it anew and writes it before letting go, so that a canary that watches
 * and a person who aborts it never overwrite each other. What changes the world outside is written
 * down before it is done ("pending") and crossed out after, and doing it twice does no harm: a kill
 * at any point leaves a state from which the same command goes on.
 */
#pragma once

#include <jansson.h>

#include "cli/takeover_plan.h"

/* How far a domain is; words of the state file and of `tamis takeover status`. */
enum takeover_step {
    STEP_NEW,
    STEP_PLANNED,
    STEP_COPIED,
    STEP_SHADOWED,
    STEP_OPEN,   /* the gate */
    STEP_CANARY, /* the delegation is, wholly or in part, ours */
    STEP_PROVEN, /* the canary has stood its time */
    STEP_TAKEN,
    STEP_RETURNING, /* the delegation went back; caches still lead here */
    STEP_RETURNED,  /* nobody comes any more: the front may stop */
    STEPS
};

const char *step_word(enum takeover_step step);

struct takeover {
    struct takeover_plan *plan;
    json_t *state; /* as read last */
    int lock;      /* -1: not held */
    char user[64];
};

/* Loads plan and state; the folder is made when it is missing. */
_must_check_ int takeover_open(const char *plan_path, struct takeover **ret_takeover,
                               struct error *ret_error);
void takeover_close(struct takeover *takeover);
DEFINE_FREEP(struct takeover, takeover_close)

/* Takes the lock, waiting for whoever holds it, and reads the state anew. */
_must_check_ int takeover_lock(struct takeover *takeover, struct error *ret_error);
/* Writes the state and lets go of the lock; lets go of it also on failure. */
_must_check_ int takeover_save(struct takeover *takeover, struct error *ret_error);
void takeover_unlock(struct takeover *takeover);

/* The domain's object in the state; borrowed, until the state is read again. */
json_t *takeover_domain(const struct takeover *takeover, const struct plan_domain *domain);
enum takeover_step takeover_step(const struct takeover *takeover, const struct plan_domain *domain);
void takeover_step_set(struct takeover *takeover, const struct plan_domain *domain,
                       enum takeover_step step);

/* Adds a line to the log, durably. */
_must_check_ int takeover_log(const struct takeover *takeover, const struct plan_domain *domain,
                              const char *step, struct error *ret_error, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* A file of a domain in the state folder: "<state>/<domain>.<ending>". */
void takeover_path(const struct takeover *takeover, const struct plan_domain *domain,
                   const char *ending, char *ret_path, size_t size);
