/* What the steps of `tamis takeover` share. Private to src/cli/takeover*.c. */
#pragma once

#include "cli/command.h"
#include "cli/parity_history.h"
#include "cli/takeover_ask.h"
#include "cli/takeover_clients.h"
#include "cli/takeover_state.h"

/* One call of a step, for one domain after the other. */
struct takeover_run {
    struct takeover *takeover;
    const char *step; /* its word, for the log */
    bool json, measure, no_wait;
    const char *traffic, *reason; /* NULL: not given */
    const char *live, *dnstap;    /* where queries come from as they are asked, or NULL */
    uint16_t port;
    unsigned rate;    /* questions a second, at most */
    struct pace pace; /* of copy and shadow, for all domains together */
    unsigned seconds; /* of live queries; 0: until interrupted */
    uint64_t queries; /* live ones, at most; 0: no bound */
    json_t *results;  /* an object for each domain, printed at the end with --json */
};

/* Does the step for one domain; what it finds goes into `result` and, without --json, on standard
 * output. Returns 0, 1 for a finding, or a negative errno. */
typedef int takeover_step_fn(struct takeover_run *run, const struct plan_domain *domain,
                             json_t *result, struct error *ret_error);

takeover_step_fn takeover_plan_do, takeover_copy_do, takeover_shadow_do, takeover_gate_do,
    takeover_canary_do, takeover_go_do, takeover_abort_do;

/* Does the step for all these domains together. Returns 0, 1 for a finding, or a negative errno. */
typedef int takeover_all_fn(struct takeover_run *run, const struct plan_domain *const *domains,
                            size_t count, struct error *ret_error);

takeover_all_fn takeover_return_do;

/* Prints a line about a domain, unless JSON is wanted. */
void takeover_say(const struct takeover_run *run, const struct plan_domain *domain,
                  const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline bool takeover_is_live(const struct takeover_run *run)
{
    return run->live != NULL || run->dnstap != NULL;
}

/* Whether SIGINT or SIGTERM came. */
bool takeover_interrupted(void);

/* Sleeps, unless interrupted. Returns false when it was. */
bool takeover_sleep(unsigned ms);

/* ---- Asking and comparing ---- */

/* A domain's orders in force, its known names, and how to compare. */
struct takeover_check {
    struct parity_options parity;
    struct question_set known; /* names file and orders, each with every type of the plan */
    uint8_t apex[NAME_SIZE_MAX];
    uint16_t types[PLAN_TYPES_MAX];
    struct question_scope scope;
};

_must_check_ int takeover_check_init(struct takeover_check *check, const struct takeover_run *run,
                                     const struct plan_domain *domain, struct error *ret_error);
void takeover_check_clear(struct takeover_check *check);

/* Asks the questions at the run's pace; on a terminal a line shows how far it is. */
_must_check_ int takeover_ask(struct takeover_run *run, const struct plan_domain *domain,
                              struct takeover_check *check, const struct question_set *questions,
                              struct parity_result *ret_asked, struct error *ret_error);

/* "name TYPE" of a question. */
void takeover_question_text(const uint8_t *name, uint16_t type, char *ret_text, size_t size);

/* ---- The front's control socket ---- */

/* How long the front may take for a command: a front that hangs must not hold up who watches it, or
 * gives a delegation back. */
#define FRONT_TIMEOUT_MS 5000

/* The domain's own. Fails also where the front does not count what the plan's bounds look at. */
_must_check_ int front_counters_read(const struct takeover_plan *plan,
                                     const struct plan_domain *domain,
                                     struct front_counters *ret_counters, struct error *ret_error);

/* What "zones" says about all zones. The caller's. */
_must_check_ int front_zones_read(const struct takeover_plan *plan, json_t **ret_zones,
                                  struct error *ret_error);

/* A domain's counters out of that, without error reports. */
_must_check_ int front_counters_find(const json_t *zones, const struct plan_domain *domain,
                                     struct front_counters *ret_counters, struct error *ret_error);

/* What "zones" says about one zone, or NULL when the front does not have it. The caller's. */
_must_check_ int front_zone_read(const struct takeover_plan *plan, const struct plan_domain *domain,
                                 json_t **ret_zone, struct error *ret_error);

/* ---- Giving back ---- */

/* Gives the delegation back as it was before, and notes until when caches lead here. The step is
 * STEP_RETURNING afterwards. */
_must_check_ int takeover_give_back(struct takeover_run *run, const struct plan_domain *domain,
                                    const char *why, struct error *ret_error);

/* Lifts the domain's order at the front, and gives the delegation back if it is ours. */
_must_check_ int takeover_abort_now(struct takeover_run *run, const struct plan_domain *domain,
                                    const char *why, struct error *ret_error);

/* One line a domain. Returns 0, 1 when something differs now, or a negative errno. */
_must_check_ int takeover_status_print(struct takeover_run *run, struct error *ret_error);
