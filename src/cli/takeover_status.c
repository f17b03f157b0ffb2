/* `tamis takeover status`: one line a domain. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <time.h>

#include "cli/quantity.h"
#include "cli/table.h"
#include "cli/takeover.h"

struct line {
    double different[HISTORY_SHOWN], front_ms[HISTORY_SHOWN], queries_s[HISTORY_SHOWN];
    struct history_sample samples[HISTORY_SHOWN];
    size_t count;
};

static int line_read(const struct takeover_run *run, const struct plan_domain *domain,
                     struct line *line, struct error *ret_error)
{
    char path[PATH_MAX];
    takeover_path(run->takeover, domain, "history", path, sizeof(path));
    int rc = history_read(path, line->samples, HISTORY_SHOWN, &line->count, ret_error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < line->count; i++) {
        const struct history_sample *sample = &line->samples[i];
        line->different[i] = (double)sample->different;
        line->front_ms[i] = sample->front_ms;
        line->queries_s[i] = sample->queries_s < 0 ? NAN : sample->queries_s;
    }
    return 0;
}

static void json_add(const struct takeover_run *run, const struct plan_domain *domain,
                     const struct line *line)
{
    json_t *object = json_deep_copy(takeover_domain(run->takeover, domain));
    json_t *history = json_array();
    for (size_t i = 0; i < line->count; i++)
        json_array_append_new(
            history, json_pack("{s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, s:I}", "time",
                               (json_int_t)line->samples[i].time, "questions",
                               (json_int_t)line->samples[i].questions, "different",
                               (json_int_t)line->samples[i].different, "front_ms",
                               line->samples[i].front_ms, "queries_s", line->samples[i].queries_s,
                               "clients", (json_int_t)line->samples[i].clients, "clients_servfail",
                               (json_int_t)line->samples[i].clients_servfail, "clients_nxdomain",
                               (json_int_t)line->samples[i].clients_nxdomain, "error_reports",
                               (json_int_t)line->samples[i].error_reports));
    json_object_set_new(object, "domain", json_string(domain->name));
    json_object_set_new(object, "step",
                        json_string(step_word(takeover_step(run->takeover, domain))));
    json_object_set_new(object, "history", history);
    json_array_append_new(run->results, object);
}

static void row_add(const struct takeover_run *run, const struct plan_domain *domain,
                    const struct line *line, struct table *table)
{
    char text[SPARKLINE_SIZE];
    const json_t *object = takeover_domain(run->takeover, domain);
    const char *mode = json_string_value(json_object_get(object, "mode"));
    json_int_t since = json_integer_value(json_object_get(object, "since"));
    size_t open = json_object_size(json_object_get(object, "different"));
    uint64_t different = 0;
    for (size_t i = 0; i < line->count; i++)
        different += line->samples[i].different;

    table_add(table, domain->name);
    table_add(table, step_word(takeover_step(run->takeover, domain)));
    table_add(table, since > 0 ? quantity_distance(since, (int64_t)time(NULL)).text : NULL);
    table_add(table, mode);
    table_add(table, quantity_count(json_integer_value(json_object_get(object, "clean"))).text);
    table_add(table, quantity_count((int64_t)(open + different)).text);
    table_add(table, sparkline(line->different, line->count, text));
    table_add(table, sparkline(line->front_ms, line->count, text));
    table_add(table, sparkline(line->queries_s, line->count, text));
}

int takeover_status_print(struct takeover_run *run, struct error *ret_error)
{
    static const struct table_column columns[] = {
        {"domain", false},      {"step", false},    {"since", false},
        {"mode", false},        {"clean", true},    {"different", true},
        {"differences", false}, {"latency", false}, {"volume", false}};
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    const struct takeover_plan *plan = run->takeover->plan;
    bool differs = false;

    if (table == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    for (unsigned i = 0; i < plan->domains_count; i++) {
        struct line line = {0};
        int rc = line_read(run, &plan->domains[i], &line, ret_error);
        if (rc < 0)
            return rc;
        json_add(run, &plan->domains[i], &line);
        row_add(run, &plan->domains[i], &line, table);
        differs |= line.count > 0 && line.samples[line.count - 1].different > 0;
        differs |= json_object_size(json_object_get(
                       takeover_domain(run->takeover, &plan->domains[i]), "different")) > 0;
    }
    if (!run->json && table_print(table, stdout) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory");
    return differs;
}
