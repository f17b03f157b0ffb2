#include "cli/prove_continuous.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/parity_history.h"
#include "order/timestamp.h"

#define STOP_LOOK_US 100000

struct continuous {
    const struct prove_options *options;
    struct parity_options parity;
    struct question_set questions;
    struct history_metrics metrics;
    bool (*stopped)(void);
};

static int questions_gather(struct continuous *continuous, struct error *ret_error)
{
    const struct prove_options *options = continuous->options;
    const struct question_scope scope = {.types = options->types,
                                         .type_count = options->type_count,
                                         .dnssec_ok = options->dnssec == DNSSEC_YES};
    uint64_t faults = 0;
    int rc = 0;

    if (options->names != NULL)
        rc = question_set_add_file(&continuous->questions, options->names, &scope, &faults,
                                   ret_error);
    if (rc == 0 &&
        question_set_add_listing(&continuous->questions, continuous->parity.listing, &scope) < 0)
        rc = error_set(ret_error, -ENOMEM, "the orders' names do not fit into memory");
    if (rc == 0 && continuous->questions.count == 0)
        rc = error_set_at(ret_error, -EINVAL, options->names, 0, "has no names to ask for");
    if (faults > 0)
        fprintf(stderr, "tamis prove: warning: %s: %" PRIu64 " lines hold no name\n",
                options->names, faults);
    return rc;
}

static void sample_print(const struct continuous *continuous, const struct parity_result *result,
                         const struct history_sample *sample)
{
    char time_text[TIMESTAMP_SIZE], name[KNOT_DNAME_TXT_MAXLEN + 1], type[16];

    timestamp_write(sample->time, time_text);
    if (continuous->options->json)
        printf("{\"time\": \"%s\", \"questions\": %" PRIu64 ", \"different\": %" PRIu64
               ", \"front_ms\": %.3f, \"origin_ms\": %.3f}\n",
               time_text, sample->questions, sample->different, sample->front_ms,
               sample->origin_ms);
    else
        printf("%s  %" PRIu64 " questions, %" PRIu64 " different, front %.2f ms, origin %.2f ms\n",
               time_text, sample->questions, sample->different, sample->front_ms,
               sample->origin_ms);
    for (size_t i = 0; i < result->finding_count && !continuous->options->json; i++) {
        const struct parity_finding *finding = &result->findings[i];
        if (i == continuous->options->example_max)
            break;
        if (knot_dname_to_str(name, finding->name, sizeof(name)) != NULL &&
            knot_rrtype_to_string(finding->type, type, sizeof(type)) > 0)
            printf("  %s %s: %s: %s\n", name, type, difference_name(finding->kind),
                   finding->detail);
    }
    fflush(stdout);
}

static int sample_take(struct continuous *continuous, struct parity_result *result,
                       struct error *ret_error)
{
    const struct prove_options *options = continuous->options;
    size_t count = options->sample;
    size_t *indices = parity_sample(continuous->questions.count, &count);
    if (indices == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc =
        parity_run(&continuous->parity, &continuous->questions, indices, count, result, ret_error);
    free(indices);
    if (rc < 0 || result->stopped)
        return rc;

    struct history_sample sample = history_sample_make(&result->counts, (int64_t)time(NULL), -1);
    history_metrics_add(&continuous->metrics, &result->counts, &sample);
    sample_print(continuous, result, &sample);
    if (options->history != NULL)
        rc = history_append(options->history, &sample, ret_error);
    if (rc == 0 && options->prometheus != NULL)
        rc = history_metrics_write(options->prometheus, &continuous->metrics, 1, ret_error);
    return rc;
}

static int samples_take(struct continuous *continuous, struct parity_result *result,
                        struct error *ret_error)
{
    const uint64_t interval_us = (uint64_t)continuous->options->interval_s * 1000000,
                   begin_us = exchange_clock_us(),
                   end_us = begin_us + (uint64_t)continuous->options->continuous_s * 1000000;
    uint64_t due_us = begin_us;

    while (!continuous->stopped()) {
        int rc = sample_take(continuous, result, ret_error);
        if (rc < 0)
            return rc;
        due_us += interval_us;
        while (exchange_clock_us() < due_us && !continuous->stopped()) {
            if (continuous->options->continuous_s > 0 && exchange_clock_us() >= end_us)
                return 0;
            usleep(STOP_LOOK_US);
        }
    }
    return 0;
}

int prove_continuously(const struct prove_options *options, struct listing *listing,
                       bool (*stopped)(void), bool *ret_proved, struct error *ret_error)
{
    struct continuous continuous = {
        .options = options,
        .parity = {.exchange = options->exchange, .listing = listing, .stopped = stopped},
        .metrics = {.domain = options->names != NULL ? options->names : options->orders[0]},
        .stopped = stopped,
    };
    struct parity_result *result = calloc(1, sizeof(*result));
    if (result == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");

    int rc = questions_gather(&continuous, ret_error);
    if (rc == 0)
        rc = samples_take(&continuous, result, ret_error);
    if (rc == 0)
        *ret_proved = continuous.metrics.questions > 0 && continuous.metrics.different == 0 &&
                      (continuous.metrics.not_comparable == 0 || options->origin_may_be_silent);
    question_set_clear(&continuous.questions);
    free(result);
    return rc;
}
