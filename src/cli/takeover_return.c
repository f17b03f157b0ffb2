/* `tamis takeover return`: every delegation goes back first, since clients whose caches hold one
 * domain's servers ask them for others too, and then one watch sees all of them drain. Each domain
 * is done by its own counter; the quiet time of one is that of the others. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "cli/quantity.h"
#include "cli/takeover.h"

#define LOOK_MS 1000

struct leaving {
    const struct plan_domain *domain;
    json_t *result;
    bool through; /* returned, or nothing more can be found out */
};

struct leave {
    struct takeover_run *run;
    struct leaving *domains;
    size_t count, left; /* left: not through yet */
    bool has_failed;    /* one of them; what failed is printed */
};

static void through(struct leave *leave, struct leaving *leaving)
{
    leaving->through = true;
    leave->left--;
}

/* Whatever becomes of one, the others go on. */
static void failed(struct leave *leave, struct leaving *leaving, const struct error *error)
{
    json_object_set_new(leaving->result, "error", json_string(error->text));
    error_print(stderr, "tamis takeover", error);
    leave->has_failed = true;
    through(leave, leaving);
}

static void may_stop_say(struct leave *leave, struct leaving *leaving)
{
    takeover_say(leave->run, leaving->domain, "returned: the front may stop serving this domain");
    through(leave, leaving);
}

/* ---- Back ---- */

static void give_back(struct leave *leave, struct leaving *leaving)
{
    struct takeover_run *run = leave->run;
    const struct plan_domain *domain = leaving->domain;
    enum takeover_step step = takeover_step(run->takeover, domain);
    bool pending = json_object_get(takeover_domain(run->takeover, domain), "pending") != NULL;
    struct error error = {0};

    if (step == STEP_RETURNED) {
        may_stop_say(leave, leaving);
    } else if (step < STEP_CANARY) {
        takeover_say(run, domain, "was never taken: nothing is to be returned");
        through(leave, leaving);
    } else if (step != STEP_RETURNING || pending) {
        if (takeover_give_back(run, domain, "returned", &error) < 0)
            failed(leave, leaving, &error);
    }
}

/* ---- Draining ---- */

/* What a domain's counter says. Notes since when no query came. Returns 0 when all is over, 1 while
 * it is not, or a negative errno; `*ret_news` is set where the state is to be written. */
static int counter_look(struct leave *leave, struct leaving *leaving, const json_t *zones,
                        bool *ret_news, struct error *ret_error)
{
    const struct takeover_run *run = leave->run;
    struct takeover *takeover = run->takeover;
    struct front_counters counters;
    int64_t now = time(NULL);

    if (takeover_step(takeover, leaving->domain) != STEP_RETURNING)
        return error_set(ret_error, -ECANCELED, "%s was taken to step \"%s\" meanwhile",
                         leaving->domain->name,
                         step_word(takeover_step(takeover, leaving->domain)));
    int rc = front_counters_find(zones, leaving->domain, &counters, ret_error);
    if (rc < 0)
        return rc;
    json_t *object = takeover_domain(takeover, leaving->domain);
    if (json_object_get(object, "quiet_from") == NULL ||
        (uint64_t)json_integer_value(json_object_get(object, "queries")) != counters.queries) {
        json_object_set_new(object, "queries", json_integer((json_int_t)counters.queries));
        json_object_set_new(object, "quiet_from", json_integer(now));
        *ret_news = true;
    }
    int64_t quiet = now - json_integer_value(json_object_get(object, "quiet_from"));
    int64_t ttl_left = json_integer_value(json_object_get(object, "answer_until")) - now;
    json_object_set_new(leaving->result, "ttl_left_s", json_integer(ttl_left > 0 ? ttl_left : 0));
    json_object_set_new(leaving->result, "quiet_s", json_integer(quiet));
    if (ttl_left > 0 || quiet < (int64_t)takeover->plan->returning->quiet_seconds)
        return 1;
    takeover_step_set(takeover, leaving->domain, STEP_RETURNED);
    *ret_news = true;
    return takeover_log(takeover, leaving->domain, run->step, ret_error,
                        "returned: all TTLs are over, and no query came for %lld s",
                        (long long)quiet);
}

/* One look at all counters; who may stop is told once that is written down. */
static int drain_look(struct leave *leave, const json_t *zones, struct error *ret_error)
{
    struct takeover *takeover = leave->run->takeover;
    bool *over = calloc(leave->count + 1, sizeof(*over)), news = false;

    int rc = over == NULL ? error_set(ret_error, -ENOMEM, "out of memory")
                          : takeover_lock(takeover, ret_error);
    for (size_t i = 0; rc == 0 && i < leave->count; i++) {
        struct error error = {0};
        struct leaving *leaving = &leave->domains[i];
        int found = leaving->through ? 1 : counter_look(leave, leaving, zones, &news, &error);
        over[i] = found == 0;
        if (found < 0)
            failed(leave, leaving, &error);
    }
    if (rc == 0 && news)
        rc = takeover_save(takeover, ret_error);
    takeover_unlock(takeover);
    for (size_t i = 0; rc == 0 && i < leave->count; i++)
        if (over[i])
            may_stop_say(leave, &leave->domains[i]);
    free(over);
    return rc;
}

static void in_use_say(const struct leave *leave)
{
    for (size_t i = 0; i < leave->count; i++) {
        const struct leaving *leaving = &leave->domains[i];
        if (leaving->through)
            continue;
        takeover_say(
            leave->run, leaving->domain,
            "still in use: cached TTLs for %s more, no query for %s (%u s are "
            "needed); keep the front running",
            quantity_seconds(json_integer_value(json_object_get(leaving->result, "ttl_left_s")))
                .text,
            quantity_seconds(json_integer_value(json_object_get(leaving->result, "quiet_s"))).text,
            leave->run->takeover->plan->returning->quiet_seconds);
    }
}

/* A drain takes hours: on a terminal a line tells that it is under way. */
static void progress_show(const struct leave *leave)
{
    if (isatty(STDERR_FILENO) != 0)
        fprintf(stderr, "\r%zu of %zu domains still in use\033[K", leave->left, leave->count);
}

static void progress_end(void)
{
    if (isatty(STDERR_FILENO) != 0)
        fputs("\r\033[K", stderr);
}

static int drain(struct leave *leave, struct error *ret_error)
{
    while (leave->left > 0) {
        json_t *zones;
        int rc = front_zones_read(leave->run->takeover->plan, &zones, ret_error);
        if (rc < 0)
            return rc;
        progress_end();
        rc = drain_look(leave, zones, ret_error);
        json_decref(zones);
        if (rc < 0)
            return rc;
        if (leave->left > 0 && (leave->run->no_wait || takeover_interrupted())) {
            in_use_say(leave);
            return 1;
        }
        if (leave->left > 0) {
            progress_show(leave);
            (void)takeover_sleep(LOOK_MS);
        }
    }
    return 0;
}

int takeover_return_do(struct takeover_run *run, const struct plan_domain *const *domains,
                       size_t count, struct error *ret_error)
{
    struct leave leave = {.run = run,
                          .domains = calloc(count + 1, sizeof(*leave.domains)),
                          .count = count,
                          .left = count};
    size_t begun = 0;

    if (leave.domains == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (size_t i = 0; i < count; i++) {
        leave.domains[i] = (struct leaving){
            .domain = domains[i], .result = json_pack("{s:s}", "domain", domains[i]->name)};
        json_array_append_new(run->results, leave.domains[i].result);
    }
    for (; begun < count && !takeover_interrupted(); begun++)
        give_back(&leave, &leave.domains[begun]);
    for (size_t i = begun; i < count; i++)
        takeover_say(run, domains[i], "interrupted: not given back yet; the same command goes on");
    int rc = begun < count ? 1 : drain(&leave, ret_error);
    progress_end();
    free(leave.domains);
    return rc == 0 && leave.has_failed ? 1 : rc;
}
