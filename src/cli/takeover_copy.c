/* `tamis takeover copy`: whether the front has the zone, or a warm cache of it. */
#include <errno.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quantity.h"
#include "cli/takeover_live.h"

static int origin_serial(const struct plan_domain *domain, uint32_t *ret_serial,
                         struct error *ret_error)
{
    const struct exchange_address address = plan_address(domain->origins[0]);
    _cleanup_(answer_arena_freep) struct answer_arena *arena = NULL;
    uint8_t apex[NAME_SIZE_MAX];
    struct answer answer;

    if (answer_arena_create(&arena) < 0 ||
        knot_dname_from_str(apex, domain->name, sizeof(apex)) == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = dns_ask(&address, apex, KNOT_RRTYPE_SOA, arena, &answer, ret_error);
    if (rc < 0)
        return rc;
    const struct answer_records *records = &answer.sections[ANSWER_SECTION_ANSWER];
    for (size_t i = 0; i < records->count; i++)
        if (records->records[i]->type == KNOT_RRTYPE_SOA) {
            *ret_serial = knot_soa_serial(records->records[i]->rrs.rdata);
            return 0;
        }
    return error_set(ret_error, -ENOENT, "origin %s has no SOA of %s: does it serve the zone?",
                     domain->origins[0], domain->name);
}

/* A secondary: the front's own word on its transfer, against the origin's serial. */
static int copy_look(const struct takeover_run *run, const struct plan_domain *domain,
                     json_t *result, struct error *ret_error)
{
    json_t *zone = NULL;
    uint32_t serial = 0;

    int rc = front_zone_read(run->takeover->plan, domain, &zone, ret_error);
    if (rc == 0)
        rc = origin_serial(domain, &serial, ret_error);
    if (rc < 0) {
        json_decref(zone);
        return rc;
    }
    if (zone == NULL) {
        takeover_say(run, domain, "the front does not have this zone: add it to tamisd.yaml");
        return 1;
    }
    const char *status = json_string_value(json_object_get(zone, "status"));
    const char *error = json_string_value(json_object_get(zone, "error"));
    uint32_t here = (uint32_t)json_integer_value(json_object_get(zone, "serial"));
    bool serving = status != NULL && strcmp(status, "serving") == 0;
    takeover_say(run, domain, "front: %s, serial %u, %s names; origin: serial %u%s%s",
                 status != NULL ? status : "?", here,
                 quantity_count(json_integer_value(json_object_get(zone, "names"))).text, serial,
                 error != NULL && error[0] != '\0' ? "; " : "", error != NULL ? error : "");
    json_object_set_new(result, "origin_serial", json_integer(serial));
    json_object_set_new(result, "zone", zone);
    return serving && here == serial ? 0 : 1;
}

struct copy {
    struct takeover_run *run;
    const struct plan_domain *domain;
    bool secondary;
    struct takeover_check check; /* forwarding; so is what is asked */
    struct question_set asked;
};

static void copy_free(void *state)
{
    struct copy *copy = state;
    if (copy == NULL)
        return;
    takeover_check_clear(&copy->check);
    question_set_clear(&copy->asked);
    free(copy);
}

/* What is to be asked: each known question with DO and without, since resolvers that validate ask
 * with it, others without, and a cache keeps both answers. What an order blocks never comes from
 * the origin. */
static int warming_gather(struct copy *copy)
{
    const struct question_set *known = &copy->check.known;
    int rc = 0;
    for (size_t i = 0; i < known->count && rc == 0; i++) {
        const uint8_t *name = question_set_name(known, i);
        if (listing_find(copy->check.parity.listing, name) != NULL)
            continue;
        rc = question_set_add(&copy->asked, name, known->entries[i].type, false);
        if (rc == 0)
            rc = question_set_add(&copy->asked, name, known->entries[i].type, true);
    }
    return rc;
}

/* Forwarding: every known name, and those of traffic, are asked of the front once. The exchange has
 * two sides; both are the front here, so that the second answer shows that the cache has it. */
static int warming_begin(struct copy *copy, struct error *ret_error)
{
    const struct takeover_run *run = copy->run;
    struct takeover_check *check = &copy->check;
    uint64_t queries = 0;

    int rc = takeover_check_init(check, run, copy->domain, ret_error);
    if (rc == 0 && run->traffic != NULL)
        rc = question_set_add_traffic(&check->known, run->traffic, run->port, &check->scope,
                                      &queries, ret_error);
    if (rc == 0 && warming_gather(copy) < 0)
        rc = error_set(ret_error, -ENOMEM, "there is no memory for the questions");
    check->parity.exchange.address[EXCHANGE_ORIGIN] =
        check->parity.exchange.address[EXCHANGE_FRONT];
    return rc;
}

static int copy_begin(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                      void **ret_state, struct live_job *ret_job, struct error *ret_error)
{
    const char *mode =
        json_string_value(json_object_get(takeover_domain(run->takeover, domain), "mode"));
    (void)result;
    if (mode == NULL)
        return error_set(ret_error, -EINVAL, "%s has no plan yet: run tamis takeover plan first",
                         domain->name);
    struct copy *copy = calloc(1, sizeof(*copy));
    if (copy == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    copy->run = run;
    copy->domain = domain;
    copy->secondary = strcmp(mode, "secondary") == 0;
    int rc = copy->secondary ? 0 : warming_begin(copy, ret_error);
    if (rc < 0) {
        copy_free(copy);
        return rc;
    }
    *ret_state = copy;
    *ret_job = (struct live_job){0};
    if (!copy->secondary)
        *ret_job = (struct live_job){.check = &copy->check, .gathered = &copy->asked};
    return 0;
}

static int warming_tell(const struct copy *copy, const struct parity_result *warmed, json_t *result)
{
    uint64_t questions = warmed->counts.questions, failed = warmed->counts.servfail;

    takeover_say(copy->run, copy->domain, "%s questions asked, %s failed%s",
                 quantity_count((int64_t)questions).text, quantity_count((int64_t)failed).text,
                 warmed->stopped ? "; interrupted" : "");
    json_object_set_new(result, "questions", json_integer((json_int_t)questions));
    json_object_set_new(result, "failed", json_integer((json_int_t)failed));
    return failed > 0 || warmed->stopped;
}

static int copy_end(void *state, const struct parity_result *warmed, json_t *result,
                    struct error *ret_error)
{
    const struct copy *copy = state;
    const struct takeover_run *run = copy->run;

    int found = copy->secondary ? copy_look(run, copy->domain, result, ret_error)
                                : warming_tell(copy, warmed, result);
    if (found < 0)
        return found;
    int rc = takeover_lock(run->takeover, ret_error);
    if (rc < 0)
        return rc;
    if (found == 0 && takeover_step(run->takeover, copy->domain) == STEP_PLANNED)
        takeover_step_set(run->takeover, copy->domain, STEP_COPIED);
    rc = takeover_log(run->takeover, copy->domain, run->step, ret_error, "%s: %s",
                      copy->secondary ? "secondary" : "forward",
                      found == 0 ? "complete" : "not complete");
    if (rc < 0) {
        takeover_unlock(run->takeover);
        return rc;
    }
    rc = takeover_save(run->takeover, ret_error);
    return rc < 0 ? rc : found;
}

const struct live_step takeover_copy_live = {
    .begin = copy_begin, .end = copy_end, .free = copy_free};

int takeover_copy_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                     struct error *ret_error)
{
    void *state = NULL;
    struct live_job job;
    struct parity_result *warmed = calloc(1, sizeof(*warmed));
    if (warmed == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = copy_begin(run, domain, result, &state, &job, ret_error);
    if (rc == 0 && job.check != NULL)
        rc = takeover_ask(run, domain, job.check, job.gathered, warmed, ret_error);
    if (rc == 0)
        rc = copy_end(state, warmed, result, ret_error);
    copy_free(state);
    free(warmed);
    return rc;
}
