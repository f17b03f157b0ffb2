/* `tamis takeover plan`: what stands now, which way it is to go, and what it takes. */
#include <errno.h>
#include <libknot/libknot.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/quantity.h"
#include "cli/takeover.h"

/* How long a measurement lasts, and its tick. */
#define MEASURE_TICKS 20

static void records_say(const struct takeover_run *run, const struct plan_domain *domain,
                        const json_t *delegation)
{
    size_t index;
    json_t *value;
    json_int_t ttl = json_integer_value(json_object_get(delegation, "ttl")),
               glue_ttl = json_integer_value(json_object_get(delegation, "glue_ttl"));
    if (run->json)
        return;
    json_array_foreach(json_object_get(delegation, "ns"), index, value)
        printf("  %s.\t%lld\tIN\tNS\t%s\n", domain->name, (long long)ttl, json_string_value(value));
    json_array_foreach(json_object_get(delegation, "ds"), index, value)
        printf("  %s.\t\tIN\tDS\t%s\n", domain->name, json_string_value(value));
    json_array_foreach(json_object_get(delegation, "glue"), index, value)
    {
        const char *address = json_string_value(json_object_get(value, "address"));
        printf("  %s\t%lld\tIN\t%s\t%s\n", json_string_value(json_object_get(value, "name")),
               (long long)glue_ttl, strchr(address, ':') != NULL ? "AAAA" : "A", address);
    }
}

/* Asks all parents; their NS sets must agree, or the change is not understood. */
static int parents_survey(const struct takeover_run *run, const struct plan_domain *domain,
                          const uint8_t *apex, json_t **ret_delegation, struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    json_t *first = NULL;
    for (unsigned i = 0; i < plan->parents_count; i++) {
        const struct exchange_address address = plan_address(plan->parents[i]);
        json_t *delegation = NULL;
        int rc = delegation_ask(&address, apex, &delegation, ret_error);
        if (rc == 0 && json_array_size(json_object_get(delegation, "ns")) == 0)
            rc = error_set(ret_error, -ENOENT,
                           "parent server %s has no delegation of %s: is it the parent's server?",
                           plan->parents[i], domain->name);
        if (rc == 0 && first != NULL && !delegation_same_servers(first, delegation))
            rc =
                error_set(ret_error, -EAGAIN,
                          "the parent's servers %s and %s have different NS sets of %s: wait until "
                          "they agree",
                          plan->parents[0], plan->parents[i], domain->name);
        if (rc < 0) {
            json_decref(delegation);
            json_decref(first);
            return rc;
        }
        takeover_say(run, domain, "parent %s", plan->parents[i]);
        records_say(run, domain, delegation);
        if (first == NULL)
            first = delegation;
        else
            json_decref(delegation);
    }
    *ret_delegation = first;
    return 0;
}

static int child_survey(const struct takeover_run *run, const struct plan_domain *domain,
                        const uint8_t *apex, json_t *result, struct error *ret_error)
{
    const struct exchange_address address = plan_address(domain->origins[0]);
    json_t *child = NULL;
    bool is_signed = false;

    int rc = delegation_ask(&address, apex, &child, ret_error);
    if (rc == 0)
        rc = zone_signed_ask(&address, apex, &is_signed, ret_error);
    if (rc < 0) {
        json_decref(child);
        return rc;
    }
    takeover_say(run, domain, "child, by its origin %s", domain->origins[0]);
    records_say(run, domain, child);
    if (!delegation_same_servers(json_object_get(result, "before"), child))
        takeover_say(run, domain, "note: parent and child have different NS sets");
    json_object_set_new(result, "child", child);
    json_object_set_new(result, "signed", json_boolean(is_signed));
    return 0;
}

static const char *mode_choose(const struct takeover_run *run, const struct plan_domain *domain,
                               const uint8_t *apex)
{
    const struct exchange_address address = plan_address(domain->origins[0]);
    struct error why = {0};

    if (domain->mode != PLAN_AUTO) {
        const char *mode = domain->mode == PLAN_SECONDARY ? "secondary" : "forward";
        takeover_say(run, domain, "mode: %s, as the plan says", mode);
        return mode;
    }
    if (zone_transferable(&address, apex, &why)) {
        takeover_say(run, domain, "mode: secondary, for the origin gives the zone by transfer");
        return "secondary";
    }
    takeover_say(run, domain, "mode: forward, for the zone cannot be transferred: %s", why.text);
    return "forward";
}

static void signed_say(const struct takeover_run *run, const struct plan_domain *domain,
                       json_t *result)
{
    size_t ds = json_array_size(json_object_get(json_object_get(result, "before"), "ds"));
    bool is_signed = json_is_true(json_object_get(result, "signed"));
    const char *text = NULL;
    if (ds > 0 && domain->order != NULL)
        text = "signed, with DS at the parent: an answer that the order changes has no valid "
               "signature. Validating resolvers take it as bogus and answer SERVFAIL; the block "
               "works, the sinkhole is not reached through them. Unlisted names keep the origin's "
               "signatures. The DS set is left as it is.";
    else if (ds > 0)
        text = "signed, with DS at the parent: the origin's signatures are passed on.";
    else if (is_signed)
        text = "has keys, but no DS at the parent: nobody validates it; changed answers stand.";
    else
        text = "not signed: changed answers stand.";
    takeover_say(run, domain, "DNSSEC: %s", text);
    json_object_set_new(result, "dnssec", json_string(text));
}

/* ---- Capacity ---- */

struct measuring {
    const struct question_set *set;
    uint64_t next, answered;
    unsigned ticks;
};

static bool measure_next(void *context, struct exchange_question *ret_question)
{
    struct measuring *measuring = context;
    size_t index = measuring->next++ % measuring->set->count;
    const uint8_t *name = question_set_name(measuring->set, index);
    *ret_question = (struct exchange_question){.name_size = (uint8_t)name_wire_size(name),
                                               .type = measuring->set->entries[index].type};
    memcpy(ret_question->name, name, ret_question->name_size);
    return true;
}

static bool measure_done(void *context, const struct exchange_question *question,
                         const struct exchange_reply replies[EXCHANGE_SIDES])
{
    struct measuring *measuring = context;
    (void)question;
    for (enum exchange_side side = 0; side < EXCHANGE_SIDES; side++)
        measuring->answered += replies[side].outcome == EXCHANGE_ANSWERED;
    return false;
}

static bool measure_tick(void *context)
{
    struct measuring *measuring = context;
    return ++measuring->ticks < MEASURE_TICKS && !takeover_interrupted();
}

/* Queries a second that the front answers to this program alone: a lower bound, since asking costs
 * this machine more than answering does. */
static int capacity_measure(const struct takeover_check *check, uint64_t *ret_queries_s,
                            struct error *ret_error)
{
    _cleanup_(exchange_freep) struct exchange *exchange = NULL;
    struct measuring measuring = {.set = &check->known};
    struct exchange_options options = check->parity.exchange;
    options.address[EXCHANGE_ORIGIN] = options.address[EXCHANGE_FRONT];

    int rc = exchange_create(&options, &exchange, ret_error);
    if (rc < 0)
        return rc;
    const struct exchange_client client = {
        .context = &measuring, .next = measure_next, .done = measure_done, .tick = measure_tick};
    uint64_t begin_us = exchange_clock_us();
    rc = exchange_run(exchange, &client, ret_error);
    if (rc < 0)
        return rc;
    *ret_queries_s = measuring.answered * 1000000 / (exchange_clock_us() - begin_us + 1);
    return 0;
}

/* Returns 1 when what is expected is more than was measured. */
static int capacity_survey(const struct takeover_run *run, const struct plan_domain *domain,
                           json_t *result, struct error *ret_error)
{
    struct takeover_check check;
    uint64_t measured = 0;
    unsigned expected = run->takeover->plan->expected_queries;

    int rc = takeover_check_init(&check, run, domain, ret_error);
    if (rc == 0 && run->measure)
        rc = capacity_measure(&check, &measured, ret_error);
    size_t known = rc == 0 ? check.known.count / check.scope.type_count : 0;
    takeover_check_clear(&check);
    if (rc < 0)
        return rc;
    json_object_set_new(result, "known_names", json_integer((json_int_t)known));
    takeover_say(run, domain, "known names: %s", quantity_count((int64_t)known).text);
    if (expected > 0)
        takeover_say(run, domain, "expected: %s queries a second for all domains",
                     quantity_count(expected).text);
    if (!run->measure) {
        takeover_say(run, domain, "capacity: not measured; --measure asks the front for 2 s");
        return 0;
    }
    json_object_set_new(result, "measured_queries_s", json_integer((json_int_t)measured));
    takeover_say(run, domain, "capacity: the front answers at least %s queries a second",
                 quantity_count((int64_t)measured).text);
    if (measured >= expected)
        return 0;
    takeover_say(run, domain,
                 "capacity: too small for what is expected: add name servers, or "
                 "measure from a faster machine");
    return 1;
}

static int survey(const struct takeover_run *run, const struct plan_domain *domain,
                  const uint8_t *apex, json_t *result, struct error *ret_error)
{
    json_t *before = NULL;
    int rc = parents_survey(run, domain, apex, &before, ret_error);
    if (rc < 0)
        return rc;
    json_object_set_new(result, "before", before);
    rc = child_survey(run, domain, apex, result, ret_error);
    if (rc < 0)
        return rc;
    json_object_set_new(result, "mode", json_string(mode_choose(run, domain, apex)));
    signed_say(run, domain, result);
    return capacity_survey(run, domain, result, ret_error);
}

int takeover_plan_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                     struct error *ret_error)
{
    uint8_t apex[NAME_SIZE_MAX];
    enum takeover_step step = takeover_step(run->takeover, domain);

    if (step >= STEP_CANARY && step < STEP_RETURNED)
        return error_set(ret_error, -EBUSY,
                         "%s is at step \"%s\": the parent's NS set is not the old one now, and is "
                         "not to be taken for it; return it first",
                         domain->name, step_word(step));
    if (knot_dname_from_str(apex, domain->name, sizeof(apex)) == NULL)
        return error_set(ret_error, -EINVAL, "'%s' is no domain name", domain->name);
    int found = survey(run, domain, apex, result, ret_error);
    if (found < 0)
        return found;

    int rc = takeover_lock(run->takeover, ret_error);
    if (rc < 0)
        return rc;
    /* Somebody else may have gone on meanwhile. */
    step = takeover_step(run->takeover, domain);
    if (step >= STEP_CANARY && step < STEP_RETURNED) {
        takeover_unlock(run->takeover);
        return error_set(ret_error, -EBUSY, "%s went on to step \"%s\" meanwhile", domain->name,
                         step_word(step));
    }
    char asked[PATH_MAX];
    takeover_path(run->takeover, domain, "asked", asked, sizeof(asked));
    (void)unlink(asked); /* what was asked before counts no more */
    json_t *object = takeover_domain(run->takeover, domain);
    json_object_clear(object);
    json_object_update(object, result);
    takeover_step_set(run->takeover, domain, STEP_PLANNED);
    rc = takeover_log(run->takeover, domain, run->step, ret_error, "%s, %zu name servers",
                      json_string_value(json_object_get(result, "mode")),
                      json_array_size(json_object_get(json_object_get(result, "before"), "ns")));
    if (rc < 0) {
        takeover_unlock(run->takeover);
        return rc;
    }
    rc = takeover_save(run->takeover, ret_error);
    return rc < 0 ? rc : found;
}
