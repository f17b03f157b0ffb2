/* `tamis takeover abort`, and how a delegation goes back. */
#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <time.h>

#include "cli/control_client.h"
#include "cli/quantity.h"
#include "cli/takeover.h"
#include "cli/takeover_delegation.h"

/* ---- Giving back ---- */

static json_int_t larger(json_int_t one, json_int_t other)
{
    return one > other ? one : other;
}

/* The longest that a cache can lead here: the parent's NS and glue as we had them set, and the NS
 * set that the front itself gives, which replaces the parent's in a cache (RFC 2181, 5.4.1). */
static json_int_t ttl_longest(const struct takeover_run *run, const struct plan_domain *domain)
{
    const struct takeover_plan *plan = run->takeover->plan;
    const json_t *ours = json_object_get(takeover_domain(run->takeover, domain), "ours");
    const json_t *child = json_object_get(takeover_domain(run->takeover, domain), "child");
    json_int_t ttl = larger(json_integer_value(json_object_get(ours, "ttl")),
                            json_integer_value(json_object_get(ours, "glue_ttl")));
    const struct exchange_address address = plan_address(plan->front->address);
    uint8_t apex[NAME_SIZE_MAX];
    json_t *own = NULL;

    /* A front that does not answer now did before: the child's TTLs are what it gave. */
    ttl = larger(ttl, larger(json_integer_value(json_object_get(child, "ttl")),
                             json_integer_value(json_object_get(child, "glue_ttl"))));
    if (knot_dname_from_str(apex, domain->name, sizeof(apex)) != NULL &&
        delegation_ask(&address, apex, &own, NULL) == 0)
        ttl = larger(ttl, larger(json_integer_value(json_object_get(own, "ttl")),
                                 json_integer_value(json_object_get(own, "glue_ttl"))));
    json_decref(own);
    return ttl;
}

static int give_back_intend(struct takeover_run *run, const struct plan_domain *domain,
                            const char *why, json_t **ret_before, struct error *ret_error)
{
    struct takeover *takeover = run->takeover;
    int rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    json_t *object = takeover_domain(takeover, domain);
    takeover_step_set(takeover, domain, STEP_RETURNING);
    json_object_set_new(object, "pending", json_string("return"));
    json_object_set_new(object, "why", json_string(why));
    json_object_del(object, "watched_from");
    *ret_before = json_deep_copy(json_object_get(object, "before"));
    rc = takeover_log(takeover, domain, run->step, ret_error, "the delegation is to go back: %s",
                      why);
    int saved = takeover_save(takeover, rc == 0 ? ret_error : NULL);
    return rc < 0 ? rc : saved;
}

int takeover_give_back(struct takeover_run *run, const struct plan_domain *domain, const char *why,
                       struct error *ret_error)
{
    struct takeover *takeover = run->takeover;
    json_t *before = NULL;

    int rc = give_back_intend(run, domain, why, &before, ret_error);
    if (rc == 0)
        rc = delegation_change(takeover->plan, domain, "return", before, ret_error);
    json_decref(before);
    if (rc < 0) {
        (void)!takeover_log(takeover, domain, run->step, NULL, "failed: %s", ret_error->text);
        return rc;
    }
    json_int_t ttl = ttl_longest(run, domain);
    rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    json_t *object = takeover_domain(takeover, domain);
    json_object_del(object, "pending");
    json_object_set_new(object, "answer_until", json_integer((json_int_t)time(NULL) + ttl));
    json_object_del(object, "quiet_from");
    rc = takeover_log(takeover, domain, run->step, ret_error,
                      "the delegation is back; caches lead here for %lld s more", (long long)ttl);
    int saved = takeover_save(takeover, rc == 0 ? ret_error : NULL);
    if (rc == 0)
        rc = saved;
    if (rc == 0)
        takeover_say(run, domain,
                     "the delegation is back; caches lead here for %s more: keep the front running",
                     quantity_seconds(ttl).text);
    return rc;
}

/* ---- Abort ---- */

/* Overlay off at once. An order that several domains share is lifted for all of them. */
static int order_lift(struct takeover_run *run, const struct plan_domain *domain,
                      struct error *ret_error)
{
    const struct order_policy policy = {.unverified = true};
    _cleanup_(order_freep) struct order *order = NULL;
    json_t *result = NULL;

    int rc = order_load(domain->order, &policy, &order, ret_error);
    if (rc < 0)
        return rc;
    json_t *request = json_pack("{s:s, s:s}", "command", "lift", "id", order->id);
    rc = control_ask(run->takeover->plan->front->control, request, FRONT_TIMEOUT_MS, &result,
                     ret_error);
    json_decref(request);
    json_decref(result);
    if (rc == -EREMOTEIO) { /* not active, or lifted before a kill: it blocks nothing */
        takeover_say(run, domain, "order %s: %s", order->id, ret_error->text);
        *ret_error = (struct error){0};
        rc = 0;
    } else if (rc == 0) {
        takeover_say(run, domain, "order %s is lifted", order->id);
    }
    return rc;
}

static int lift_note(struct takeover_run *run, const struct plan_domain *domain, const char *why,
                     struct error *ret_error)
{
    struct takeover *takeover = run->takeover;
    int rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    json_object_set_new(takeover_domain(takeover, domain), "lifted", json_true());
    rc = takeover_log(takeover, domain, "abort", ret_error, "aborted, overlay off: %s", why);
    int saved = takeover_save(takeover, rc == 0 ? ret_error : NULL);
    return rc < 0 ? rc : saved;
}

int takeover_abort_now(struct takeover_run *run, const struct plan_domain *domain, const char *why,
                       struct error *ret_error)
{
    struct error lift_error = {0};
    /* A front that cannot be reached must not keep the delegation from going back. */
    int lifted = domain->order != NULL ? order_lift(run, domain, &lift_error) : 0;
    int rc = lift_note(run, domain, why, ret_error);
    if (rc < 0)
        return rc;
    enum takeover_step step = takeover_step(run->takeover, domain);
    bool pending = json_object_get(takeover_domain(run->takeover, domain), "pending") != NULL;
    if ((step >= STEP_CANARY && step < STEP_RETURNING) || (step == STEP_RETURNING && pending))
        rc = takeover_give_back(run, domain, why, ret_error);
    if (rc == 0 && lifted < 0) {
        *ret_error = lift_error;
        rc = lifted;
    }
    return rc;
}

int takeover_abort_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                      struct error *ret_error)
{
    const char *why = run->reason != NULL ? run->reason : "by hand";

    int rc = takeover_abort_now(run, domain, why, ret_error);
    if (rc < 0)
        return rc;
    rc = takeover_lock(run->takeover, ret_error);
    if (rc < 0)
        return rc;
    /* What had not moved begins anew. */
    if (takeover_step(run->takeover, domain) < STEP_CANARY)
        takeover_step_set(run->takeover, domain, STEP_NEW);
    enum takeover_step step = takeover_step(run->takeover, domain);
    rc = takeover_save(run->takeover, ret_error);
    json_object_set_new(result, "step", json_string(step_word(step)));
    takeover_say(run, domain, "aborted: %s", step_word(step));
    return rc;
}
