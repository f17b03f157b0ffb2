/* `tamis takeover canary` and `go`: the delegation moves, and a watch over it that gives it back by
 * itself when a bound breaks. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/quantity.h"
#include "cli/takeover.h"
#include "cli/takeover_delegation.h"

/* For the second try; the first has half of it where no round trip is known yet. */
#define WATCH_TIMEOUT_MS 700

struct watch {
    struct takeover_run *run;
    const struct plan_domain *domain;
    const struct plan_canary *bounds;
    struct takeover_check check;
    struct parity_result *parity;
    struct history_metrics metrics;
    char history[PATH_MAX];
    enum takeover_step step;        /* that is watched: another one ends the watch */
    struct front_counters counters; /* at the last sample */
    uint64_t counted_us;            /* when; 0: not yet */
    struct clients_past past;
    char broken[512]; /* the bound that broke; "": none */
};

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

#define BREAK(watch, ...) snprintf((watch)->broken, sizeof((watch)->broken), __VA_ARGS__)

static void answers_judge(struct watch *watch, const struct parity_result *parity)
{
    const struct parity_counts *counts = &parity->counts;
    const struct plan_canary *bounds = watch->bounds;
    char text[KNOT_DNAME_TXT_MAXLEN + 32] = "";
    /* What an order blocks is no client's loss; the shares are of the rest. */
    uint64_t unlisted = counts->questions - counts->blocked;
    double servfail = share(counts->servfail, unlisted) - share(counts->origin_servfail, unlisted),
           nxdomain = share(counts->nxdomain, unlisted) - share(counts->origin_nxdomain, unlisted);

    if (counts->different > bounds->different_max) {
        if (parity->finding_count > 0)
            takeover_question_text(parity->findings[0].name, parity->findings[0].type, text,
                                   sizeof(text));
        BREAK(watch, "%llu of %llu sampled answers differ (different-max %u), the first of %s: %s",
              (unsigned long long)counts->different, (unsigned long long)counts->questions,
              bounds->different_max, text,
              parity->finding_count > 0 ? difference_name(parity->findings[0].kind) : "");
    } else if (servfail > bounds->servfail_max) {
        BREAK(watch, "SERVFAIL or silence %.1f %% above the origin's (servfail-max %.1f %%)",
              100 * servfail, 100 * bounds->servfail_max);
    } else if (nxdomain > bounds->nxdomain_max) {
        BREAK(watch, "NXDOMAIN %.1f %% above the origin's (nxdomain-max %.1f %%)", 100 * nxdomain,
              100 * bounds->nxdomain_max);
    } else if (counts->front_ms > bounds->latency_ms_max) {
        BREAK(watch, "the front takes %.1f ms (latency-ms-max %u)", counts->front_ms,
              bounds->latency_ms_max);
    }
}

/* What clients asked since the last sample; `ret_interval->seconds` is 0 when it is not known.
 * Without its control socket the front cannot be made transparent, so that is a bound, too. */
static void clients_read(struct watch *watch, struct clients_interval *ret_interval)
{
    struct front_counters counters;
    struct error error = {0};
    uint64_t now_us = exchange_clock_us();

    *ret_interval = (struct clients_interval){0};
    if (front_counters_read(watch->run->takeover->plan, watch->domain, &counters, &error) < 0) {
        if (watch->broken[0] == '\0')
            BREAK(watch, "the front cannot be watched: %.300s", error.text);
        return;
    }
    if (watch->counted_us != 0)
        (void)clients_between(&watch->counters, &counters,
                              (double)(now_us - watch->counted_us + 1) / 1e6,
                              &watch->parity->counts, ret_interval);
    watch->counters = counters;
    watch->counted_us = now_us;
}

static void clients_watch(struct watch *watch, struct clients_interval *ret_interval)
{
    char broken[sizeof(watch->broken)] = "";
    clients_read(watch, ret_interval);
    if (ret_interval->seconds > 0)
        clients_judge(&watch->past, watch->bounds, ret_interval, broken, sizeof(broken));
    if (watch->broken[0] == '\0')
        memcpy(watch->broken, broken, sizeof(broken));
}

/* A full disk must not end the watch: what cannot be kept is told and left out. */
static void sample_keep(struct watch *watch, const struct clients_interval *clients)
{
    const struct takeover_plan *plan = watch->run->takeover->plan;
    const struct parity_counts *counts = &watch->parity->counts;
    struct error error = {0};
    double queries_s = clients->seconds > 0 ? (double)clients->queries / clients->seconds : -1;
    struct history_sample sample = history_sample_make(counts, (int64_t)time(NULL), queries_s);

    sample.clients = clients->unlisted;
    sample.clients_servfail = clients->servfail;
    sample.clients_nxdomain = clients->nxdomain;
    sample.error_reports = clients->error_reports;
    history_metrics_add(&watch->metrics, counts, &sample);
    int rc = history_append(watch->history, &sample, &error);
    if (rc == 0 && plan->prometheus != NULL)
        rc = history_metrics_write(plan->prometheus, &watch->metrics, 1, &error);
    if (rc < 0)
        error_print(stderr, "tamis takeover: warning", &error);
}

static int sample_take(struct watch *watch, struct error *ret_error)
{
    size_t count = watch->bounds->sample;
    size_t *indices = parity_sample(watch->check.known.count, &count);
    if (indices == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = parity_run(&watch->check.parity, &watch->check.known, indices, count, watch->parity,
                        ret_error);
    free(indices);
    if (rc < 0 || watch->parity->stopped)
        return rc;
    answers_judge(watch, watch->parity);
    struct clients_interval clients = {0};
    /* Once a bound is broken nothing is to hold up the abort. */
    if (watch->broken[0] == '\0')
        clients_watch(watch, &clients);
    sample_keep(watch, &clients);
    return 0;
}

/* Whether the domain is still where the watch began: an abort by hand ends it. */
static int still_watched(struct watch *watch, bool *ret_still, int64_t *ret_began,
                         struct error *ret_error)
{
    struct takeover *takeover = watch->run->takeover;
    int rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    *ret_still = takeover_step(takeover, watch->domain) == watch->step;
    *ret_began = json_integer_value(
        json_object_get(takeover_domain(takeover, watch->domain), "watched_from"));
    takeover_unlock(takeover);
    return 0;
}

/* What an earlier run of this watch saw, which was ended by a kill or a person. */
static int past_read(struct watch *watch, struct error *ret_error)
{
    struct history_sample samples[HISTORY_SHOWN];
    size_t count;
    bool still;
    int64_t began;
    int rc = still_watched(watch, &still, &began, ret_error);
    if (rc == 0)
        rc = history_read(watch->history, samples, HISTORY_SHOWN, &count, ret_error);
    if (rc == 0)
        clients_remember(&watch->past, samples, count, began);
    return rc;
}

/* Watches until the time is up (0), a bound breaks or it was ended from elsewhere (1). */
static int watch_run(struct watch *watch, struct error *ret_error)
{
    const uint64_t interval_us = (uint64_t)watch->bounds->interval * 1000000;
    bool still = true;
    int64_t began = 0;
    for (;;) {
        const uint64_t sample_us = exchange_clock_us();
        int rc = still_watched(watch, &still, &began, ret_error);
        if (rc < 0)
            return rc;
        if (!still) {
            takeover_say(watch->run, watch->domain,
                         "the watch ends: the domain was taken to "
                         "another step meanwhile");
            return 1;
        }
        rc = sample_take(watch, ret_error);
        if (rc < 0)
            return rc;
        if (takeover_interrupted()) {
            takeover_say(watch->run, watch->domain,
                         "interrupted: the delegation stays; the same command watches on, and "
                         "tamis takeover abort gives it back");
            return 1;
        }
        if (watch->broken[0] != '\0')
            return 1;
        if ((int64_t)time(NULL) - began >= (int64_t)watch->bounds->seconds)
            return 0;
        uint64_t taken_us = exchange_clock_us() - sample_us;
        if (taken_us < interval_us)
            (void)takeover_sleep((unsigned)((interval_us - taken_us) / 1000));
    }
}

/* Writes down what is going to happen, before it does. */
static int move_intend(struct takeover_run *run, const struct plan_domain *domain,
                       enum takeover_step from_min, enum takeover_step step, unsigned own,
                       json_t **ret_wanted, struct error *ret_error)
{
    struct takeover *takeover = run->takeover;
    int rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    enum takeover_step now = takeover_step(takeover, domain);
    json_t *object = takeover_domain(takeover, domain);
    if (now < from_min || now > step) {
        rc = error_set(ret_error, -EINVAL, "%s is at step \"%s\": %s needs \"%s\"", domain->name,
                       step_word(now), run->step, step_word(from_min));
    } else {
        *ret_wanted =
            delegation_ours(takeover->plan, domain, json_object_get(object, "before"), own);
        if (*ret_wanted == NULL)
            rc = error_set(ret_error, -ENOMEM, "out of memory");
    }
    if (rc < 0) {
        takeover_unlock(takeover);
        return rc;
    }
    if (now != step) {
        takeover_step_set(takeover, domain, step);
        json_object_set_new(object, "pending", json_string("take"));
        json_object_set(object, "ours", *ret_wanted);
        json_object_set_new(object, "watched_from", json_integer((json_int_t)time(NULL)));
        rc = takeover_log(takeover, domain, run->step, ret_error, "the delegation is to move");
    }
    int saved = takeover_save(takeover, rc == 0 ? ret_error : NULL);
    if (rc == 0)
        rc = saved;
    if (rc < 0) {
        json_decref(*ret_wanted);
        *ret_wanted = NULL;
    }
    return rc;
}

/* The delegation moves, unless it has before a kill. */
static int move(struct takeover_run *run, const struct plan_domain *domain, const json_t *wanted,
                enum takeover_step step, struct error *ret_error)
{
    struct takeover *takeover = run->takeover;
    const char *pending =
        json_string_value(json_object_get(takeover_domain(takeover, domain), "pending"));
    if (pending == NULL)
        return 0;
    int rc = delegation_change(takeover->plan, domain, "take", wanted, ret_error);
    if (rc < 0) {
        (void)!takeover_log(takeover, domain, run->step, NULL, "failed: %s", ret_error->text);
        return rc;
    }
    rc = takeover_lock(takeover, ret_error);
    if (rc < 0)
        return rc;
    /* An abort may have come in between: it has the last word. */
    json_t *object = takeover_domain(takeover, domain);
    bool overtaken = takeover_step(takeover, domain) != step;
    if (!overtaken) {
        json_object_del(object, "pending");
        json_object_set_new(object, "watched_from", json_integer((json_int_t)time(NULL)));
    }
    rc = takeover_log(takeover, domain, run->step, ret_error, "the delegation has moved");
    int saved = takeover_save(takeover, rc == 0 ? ret_error : NULL);
    if (rc == 0)
        rc = saved;
    if (rc < 0 || !overtaken)
        return rc;
    rc = takeover_give_back(run, domain, "aborted while the delegation moved", ret_error);
    return rc < 0 ? rc : 1;
}

/* A watch has to notice soon: one retry, some second in all, and a sample goes at once, so that a
 * server that is dead takes no longer than one lost answer. */
static void asks_shortly(struct parity_options *parity)
{
    parity->exchange.timeout_ms = WATCH_TIMEOUT_MS;
    parity->exchange.tries_max = 2;
    parity->exchange.window_start = parity->exchange.in_flight_max;
    parity->silence_is_final = true;
}

static int watch_domain(struct takeover_run *run, const struct plan_domain *domain,
                        enum takeover_step step, json_t *result, struct error *ret_error)
{
    struct watch watch = {.run = run,
                          .domain = domain,
                          .bounds = run->takeover->plan->canary,
                          .parity = calloc(1, sizeof(*watch.parity)),
                          .metrics = {.domain = domain->name},
                          .step = step};
    if (watch.parity == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    takeover_path(run->takeover, domain, "history", watch.history, sizeof(watch.history));
    int rc = takeover_check_init(&watch.check, run, domain, ret_error);
    if (rc == 0)
        asks_shortly(&watch.check.parity);
    if (rc == 0)
        rc = past_read(&watch, ret_error);
    if (rc == 0)
        rc = watch_run(&watch, ret_error);
    if (rc < 0)
        takeover_say(run, domain,
                     "nobody watches now, and the delegation stays ours: run this "
                     "again, or tamis takeover abort");
    json_object_set_new(result, "questions", json_integer((json_int_t)watch.metrics.questions));
    json_object_set_new(result, "different", json_integer((json_int_t)watch.metrics.different));
    takeover_say(run, domain, "watched: %s questions, %s different",
                 quantity_count((int64_t)watch.metrics.questions).text,
                 quantity_count((int64_t)watch.metrics.different).text);
    takeover_check_clear(&watch.check);
    free(watch.parity);
    if (watch.broken[0] != '\0') {
        json_object_set_new(result, "broken", json_string(watch.broken));
        takeover_say(run, domain, "a bound broke: %s", watch.broken);
        rc = takeover_abort_now(run, domain, watch.broken, ret_error);
        return rc < 0 ? rc : 1;
    }
    return rc;
}

static int watch_passed(struct takeover_run *run, const struct plan_domain *domain,
                        enum takeover_step watched, struct error *ret_error)
{
    int rc = takeover_lock(run->takeover, ret_error);
    if (rc < 0)
        return rc;
    int late = takeover_step(run->takeover, domain) != watched;
    if (!late && watched == STEP_CANARY)
        takeover_step_set(run->takeover, domain, STEP_PROVEN);
    json_object_del(takeover_domain(run->takeover, domain), "watched_from");
    rc = takeover_log(run->takeover, domain, run->step, ret_error, "watched to the end");
    int saved = takeover_save(run->takeover, rc == 0 ? ret_error : NULL);
    return rc < 0 ? rc : saved < 0 ? saved : late;
}

static int move_and_watch(struct takeover_run *run, const struct plan_domain *domain,
                          enum takeover_step from, enum takeover_step step, unsigned own,
                          json_t *result, struct error *ret_error)
{
    json_t *wanted = NULL;
    struct front_counters counters;
    /* Nothing moves to where it cannot be watched; what has moved is watched, and given back. */
    int rc = 0;
    if (takeover_step(run->takeover, domain) != step)
        rc = front_counters_read(run->takeover->plan, domain, &counters, ret_error);
    if (rc == 0)
        rc = move_intend(run, domain, from, step, own, &wanted, ret_error);
    if (rc == 0)
        rc = move(run, domain, wanted, step, ret_error);
    json_decref(wanted);
    if (rc == 0)
        takeover_say(run, domain, "the delegation is ours; watching for %s",
                     quantity_seconds(run->takeover->plan->canary->seconds).text);
    if (rc == 0)
        rc = watch_domain(run, domain, step, result, ret_error);
    return rc == 0 ? watch_passed(run, domain, step, ret_error) : rc;
}

int takeover_canary_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                       struct error *ret_error)
{
    if (takeover_step(run->takeover, domain) == STEP_PROVEN) {
        takeover_say(run, domain, "the canary has stood its time");
        return 0;
    }
    return move_and_watch(run, domain, STEP_OPEN, STEP_CANARY,
                          run->takeover->plan->canary->name_servers, result, ret_error);
}

/* Domains whose canary has stood, or whose gate is open after the canary of another. */
int takeover_go_do(struct takeover_run *run, const struct plan_domain *domain, json_t *result,
                   struct error *ret_error)
{
    const struct takeover_plan *plan = run->takeover->plan;
    bool proven = false;
    for (unsigned i = 0; i < plan->domains_count; i++)
        proven |= takeover_step(run->takeover, &plan->domains[i]) == STEP_PROVEN ||
                  takeover_step(run->takeover, &plan->domains[i]) == STEP_TAKEN;
    if (!proven)
        return error_set(ret_error, -EINVAL,
                         "no domain has stood its canary: run tamis takeover canary first");
    if (takeover_step(run->takeover, domain) == STEP_CANARY)
        return error_set(ret_error, -EBUSY, "%s is still a canary: run tamis takeover canary on",
                         domain->name);
    return move_and_watch(run, domain, STEP_OPEN, STEP_TAKEN, 0, result, ret_error);
}
