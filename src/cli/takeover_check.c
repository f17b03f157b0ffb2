/* Asking and comparing for one domain, and what the front's control socket tells. */
#include <errno.h>
#include <libknot/libknot.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/control_client.h"
#include "cli/quantity.h"
#include "cli/takeover.h"
#include "order/keyring.h"

#define IN_FLIGHT  256
#define TIMEOUT_MS 2000

static int orders_load(struct takeover_check *check, const struct takeover_run *run,
                       const struct plan_domain *domain, struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;
    struct order_policy policy = {0};

    /* A lifted order blocks nothing: the front is to be transparent. */
    bool lifted = json_is_true(json_object_get(takeover_domain(run->takeover, domain), "lifted"));
    if (domain->order == NULL || lifted)
        return 0;
    if (plan->keyring != NULL) {
        int rc = keyring_load(plan->keyring, &keyring, ret_error);
        if (rc < 0)
            return rc;
        policy.keyring = keyring->entries;
        policy.keyring_count = keyring->count;
    }
    return listing_load(check->parity.listing, domain->order, &policy, ret_error);
}

static int known_gather(struct takeover_check *check, const struct plan_domain *domain,
                        struct error *ret_error)
{
    uint64_t faults = 0;
    int rc = 0;
    if (domain->names != NULL)
        rc = question_set_add_file(&check->known, domain->names, &check->scope, &faults, ret_error);
    if (rc == 0)
        rc = question_set_add_listing(&check->known, check->parity.listing, &check->scope);
    for (size_t i = 0; i < check->scope.type_count && rc == 0; i++)
        rc = question_set_add(&check->known, check->apex, check->types[i], false);
    if (faults > 0)
        fprintf(stderr, "tamis: warning: %s: %llu lines hold no name\n", domain->names,
                (unsigned long long)faults);
    return rc < 0 && ret_error->code == 0 ? error_set(ret_error, rc, "too many names") : rc;
}

int takeover_check_init(struct takeover_check *check, const struct takeover_run *run,
                        const struct plan_domain *domain, struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    *check = (struct takeover_check){0};
    if (knot_dname_from_str(check->apex, domain->name, NAME_SIZE_MAX) == NULL)
        return error_set(ret_error, -EINVAL, "'%s' is no domain name", domain->name);
    name_fold(check->apex, check->apex, name_wire_size(check->apex));
    check->scope = (struct question_scope){
        .zone = check->apex, .types = check->types, .type_count = plan_types(plan, check->types)};
    check->parity =
        (struct parity_options){.exchange = {.in_flight_max = IN_FLIGHT, .timeout_ms = TIMEOUT_MS},
                                .stopped = takeover_interrupted};
    check->parity.exchange.address[EXCHANGE_FRONT] = plan_address(plan->front->address);
    check->parity.exchange.address[EXCHANGE_ORIGIN] = plan_address(domain->origins[0]);
    if (listing_create(&check->parity.listing) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = orders_load(check, run, domain, ret_error);
    return rc == 0 ? known_gather(check, domain, ret_error) : rc;
}

void takeover_check_clear(struct takeover_check *check)
{
    listing_free(check->parity.listing);
    question_set_clear(&check->known);
}

/* ---- Asking ---- */

struct asking {
    struct takeover_run *run;
    const struct plan_domain *domain;
    size_t total;
    uint64_t asked, shown_us;
};

/* A line that is written over each second. */
static void asking_show(void *context, const struct parity_counts *counts)
{
    struct asking *asking = context;
    uint64_t now_us = exchange_clock_us();

    if (now_us - asking->shown_us < 1000000)
        return;
    double passed_s = (double)(now_us - asking->shown_us) / 1e6;
    fprintf(stderr, "\r%s: %s of %s questions, %s a second (at most %s), %s different\033[K",
            asking->domain->name, quantity_count((int64_t)counts->questions).text,
            quantity_count((int64_t)asking->total).text,
            quantity_count((int64_t)((double)(counts->questions - asking->asked) / passed_s)).text,
            quantity_count(pace_rate(&asking->run->pace)).text,
            quantity_count((int64_t)(counts->different + counts->not_comparable)).text);
    asking->asked = counts->questions;
    asking->shown_us = now_us;
}

int takeover_ask(struct takeover_run *run, const struct plan_domain *domain,
                 struct takeover_check *check, const struct question_set *questions,
                 struct parity_result *ret_asked, struct error *ret_error)
{
    const bool shows = isatty(STDERR_FILENO) != 0;
    struct asking asking = {
        .run = run, .domain = domain, .total = questions->count, .shown_us = exchange_clock_us()};
    struct parity_options parity = check->parity;

    parity.exchange.pace = &run->pace;
    parity.ticked = shows ? asking_show : NULL;
    parity.ticked_context = &asking;
    int rc = parity_run(&parity, questions, NULL, 0, ret_asked, ret_error);
    if (shows)
        fputs("\r\033[K", stderr);
    return rc;
}

void takeover_question_text(const uint8_t *name, uint16_t type, char *ret_text, size_t size)
{
    char type_text[16];
    if (knot_dname_to_str(ret_text, name, size) == NULL ||
        knot_rrtype_to_string(type, type_text, sizeof(type_text)) < 0)
        return;
    size_t used = strlen(ret_text);
    snprintf(ret_text + used, size - used, " %s", type_text);
}

static uint64_t count_of(const json_t *object, const char *key)
{
    return (uint64_t)json_integer_value(json_object_get(object, key));
}

static int front_ask(const struct takeover_plan *plan, const char *command, json_t **ret_result,
                     struct error *ret_error)
{
    json_t *request = json_pack("{s:s}", "command", command);
    int rc = control_ask(plan->front->control, request, FRONT_TIMEOUT_MS, ret_result, ret_error);
    json_decref(request);
    return rc;
}

int front_zones_read(const struct takeover_plan *plan, json_t **ret_zones, struct error *ret_error)
{
    return front_ask(plan, "zones", ret_zones, ret_error);
}

/* Borrowed; NULL: the front does not have it. */
static json_t *zone_find(const json_t *zones, const struct plan_domain *domain)
{
    json_t *zone, *found = NULL;
    size_t index;
    json_array_foreach(zones, index, zone)
    {
        const char *name = json_string_value(json_object_get(zone, "name"));
        if (name != NULL && strcasecmp(name, domain->name) == 0)
            found = zone;
    }
    return found;
}

int front_zone_read(const struct takeover_plan *plan, const struct plan_domain *domain,
                    json_t **ret_zone, struct error *ret_error)
{
    json_t *zones;
    int rc = front_zones_read(plan, &zones, ret_error);
    if (rc < 0)
        return rc;
    *ret_zone = json_incref(zone_find(zones, domain));
    json_decref(zones);
    return 0;
}

/* Reports about the domain since the front began: those about listed names are to be expected of
 * validating resolvers, and left out. */
static int error_reports_read(const struct takeover_plan *plan, const struct plan_domain *domain,
                              uint64_t *ret_reports, struct error *ret_error)
{
    json_t *result, *zone;
    size_t index;
    int rc = front_ask(plan, "reports", &result, ret_error);
    if (rc < 0)
        return rc;
    if (!json_is_string(json_object_get(result, "agent")))
        rc = error_set(ret_error, -ENODATA,
                       "the front gets no error reports: configure server.error-reports there, or "
                       "take error-reports-max out of the plan");
    *ret_reports = 0;
    json_array_foreach(json_object_get(result, "zones"), index, zone)
    {
        const char *name = json_string_value(json_object_get(zone, "zone"));
        if (name != NULL && strcasecmp(name, domain->name) == 0)
            *ret_reports = count_of(zone, "reports") - count_of(zone, "listed");
    }
    json_decref(result);
    return rc;
}

int front_counters_find(const json_t *zones, const struct plan_domain *domain,
                        struct front_counters *ret_counters, struct error *ret_error)
{
    const json_t *zone = zone_find(zones, domain), *answers = json_object_get(zone, "answers");
    if (zone == NULL)
        return error_set(ret_error, -ENODATA, "the front does not have the zone %s", domain->name);
    if (!json_is_object(answers))
        return error_set(ret_error, -ENODATA,
                         "the front does not count the queries for %s: raise server.zone-counters "
                         "there",
                         domain->name);
    *ret_counters = (struct front_counters){.queries = count_of(answers, "queries"),
                                            .listed = count_of(answers, "listed"),
                                            .servfail = count_of(answers, "servfail"),
                                            .nxdomain = count_of(answers, "nxdomain")};
    return 0;
}

int front_counters_read(const struct takeover_plan *plan, const struct plan_domain *domain,
                        struct front_counters *ret_counters, struct error *ret_error)
{
    json_t *zones;
    int rc = front_zones_read(plan, &zones, ret_error);
    if (rc < 0)
        return rc;
    rc = front_counters_find(zones, domain, ret_counters, ret_error);
    json_decref(zones);
    if (rc == 0 && plan->canary->error_reports_max != NULL)
        rc = error_reports_read(plan, domain, &ret_counters->error_reports, ret_error);
    return rc;
}
