#include "cli/parity_history.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A sample's line has some 350 octets. */
#define LINE_SIZE_MAX 1024

struct history_sample history_sample_make(const struct parity_counts *counts, int64_t time,
                                          double queries_s)
{
    return (struct history_sample){
        .time = time,
        .questions = counts->questions,
        .different = counts->different + counts->not_comparable,
        .servfail = counts->servfail,
        .nxdomain = counts->nxdomain,
        .origin_servfail = counts->origin_servfail,
        .origin_nxdomain = counts->origin_nxdomain,
        .front_ms = counts->front_ms,
        .origin_ms = counts->origin_ms,
        .queries_s = queries_s,
    };
}

static int append_failed(const char *path, struct error *ret_error)
{
    return error_set_at(ret_error, -errno, path, 0, "cannot write the history: %s",
                        strerror(errno));
}

int history_append(const char *path, const struct history_sample *sample, struct error *ret_error)
{
    char line[LINE_SIZE_MAX], last = '\n';
    int size = snprintf(
        line, sizeof(line),
        "\n{\"time\": %" PRId64 ", \"questions\": %" PRIu64 ", \"different\": %" PRIu64
        ", \"servfail\": %" PRIu64 ", \"nxdomain\": %" PRIu64 ", \"origin_servfail\": %" PRIu64
        ", \"origin_nxdomain\": %" PRIu64
        ", \"front_ms\": %.3f, \"origin_ms\": %.3f, \"queries_s\": %.1f, \"clients\": %" PRIu64
        ", \"clients_servfail\": %" PRIu64 ", \"clients_nxdomain\": %" PRIu64
        ", \"error_reports\": %" PRIu64 "}\n",
        sample->time, sample->questions, sample->different, sample->servfail, sample->nxdomain,
        sample->origin_servfail, sample->origin_nxdomain, sample->front_ms, sample->origin_ms,
        sample->queries_s, sample->clients, sample->clients_servfail, sample->clients_nxdomain,
        sample->error_reports);

    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0)
        return append_failed(path, ret_error);
    off_t end = lseek(fd, 0, SEEK_END);
    if (end > 0 && pread(fd, &last, 1, end - 1) != 1)
        last = '\n';
    const char *from = last == '\n' ? line + 1 : line;
    ssize_t count = size - (from - line);
    int rc = 0;
    if (write(fd, from, (size_t)count) != count || fsync(fd) < 0)
        rc = append_failed(path, ret_error);
    close(fd);
    return rc;
}

static uint64_t count_of(const json_t *object, const char *key)
{
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (uint64_t)value : 0;
}

static bool sample_parse(const char *line, struct history_sample *ret_sample)
{
    json_t *object = json_loads(line, 0, NULL);
    if (!json_is_integer(json_object_get(object, "time"))) {
        json_decref(object);
        return false;
    }
    *ret_sample = (struct history_sample){
        .time = json_integer_value(json_object_get(object, "time")),
        .questions = count_of(object, "questions"),
        .different = count_of(object, "different"),
        .servfail = count_of(object, "servfail"),
        .nxdomain = count_of(object, "nxdomain"),
        .origin_servfail = count_of(object, "origin_servfail"),
        .origin_nxdomain = count_of(object, "origin_nxdomain"),
        .front_ms = json_number_value(json_object_get(object, "front_ms")),
        .origin_ms = json_number_value(json_object_get(object, "origin_ms")),
        .queries_s = json_number_value(json_object_get(object, "queries_s")),
        .clients = count_of(object, "clients"),
        .clients_servfail = count_of(object, "clients_servfail"),
        .clients_nxdomain = count_of(object, "clients_nxdomain"),
        .error_reports = count_of(object, "error_reports"),
    };
    json_decref(object);
    return true;
}

int history_read(const char *path, struct history_sample *ret_samples, size_t max,
                 size_t *ret_count, struct error *ret_error)
{
    char line[LINE_SIZE_MAX];
    size_t count = 0;

    FILE *stream = fopen(path, "re");
    if (stream == NULL && errno == ENOENT) {
        *ret_count = 0;
        return 0;
    }
    if (stream == NULL)
        return error_set_at(ret_error, -errno, path, 0, "cannot read the history: %s",
                            strerror(errno));
    /* Only the newest lines can hold the newest samples; the first of them may be cut. */
    if (fseek(stream, -(long)(max * LINE_SIZE_MAX), SEEK_END) < 0)
        rewind(stream);
    while (fgets(line, sizeof(line), stream) != NULL) {
        struct history_sample sample;
        if (!sample_parse(line, &sample))
            continue;
        if (count == max)
            memmove(ret_samples, ret_samples + 1, --count * sizeof(*ret_samples));
        ret_samples[count++] = sample;
    }
    fclose(stream);
    *ret_count = count;
    return 0;
}

void history_metrics_add(struct history_metrics *metrics, const struct parity_counts *counts,
                         const struct history_sample *sample)
{
    metrics->questions += counts->questions;
    metrics->different += counts->different;
    metrics->not_comparable += counts->not_comparable;
    for (size_t i = 0; i < DIFFERENCES; i++)
        metrics->by_kind[i] += counts->by_kind[i];
    metrics->last = *sample;
}

struct metric {
    const char *name, *type, *help;
};

static void metric_head(FILE *stream, const struct metric *metric)
{
    fprintf(stream, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
            metric->type);
}

static double metric_value(const struct history_metrics *metrics, size_t index)
{
    switch (index) {
    case 0:
        return (double)metrics->questions;
    case 1:
        return (double)metrics->different;
    case 2:
        return (double)metrics->not_comparable;
    case 3:
        return metrics->last.front_ms / 1e3;
    case 4:
        return metrics->last.origin_ms / 1e3;
    default:
        return (double)metrics->last.time;
    }
}

static void metrics_print(FILE *stream, const struct history_metrics *metrics, size_t count)
{
    static const struct metric shown[] = {
        {"tamis_parity_questions_total", "counter", "Questions asked of both front and origin."},
        {"tamis_parity_different_total", "counter", "Answers of the front that are not right."},
        {"tamis_parity_not_comparable_total", "counter", "Questions the origin did not answer."},
        {"tamis_parity_front_seconds", "gauge", "Smoothed round trip to the front."},
        {"tamis_parity_origin_seconds", "gauge", "Smoothed round trip to the origin."},
        {"tamis_parity_last_sample_timestamp_seconds", "gauge", "When the last sample was taken."},
    };
    static const struct metric kinds = {"tamis_parity_findings_total", "counter",
                                        "Findings by kind."};

    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        metric_head(stream, &shown[i]);
        for (size_t k = 0; k < count; k++)
            fprintf(stream, "%s{domain=\"%s\"} %.15g\n", shown[i].name, metrics[k].domain,
                    metric_value(&metrics[k], i));
    }
    metric_head(stream, &kinds);
    for (size_t k = 0; k < count; k++)
        for (enum difference kind = 0; kind < DIFFERENCES; kind++)
            fprintf(stream, "%s{domain=\"%s\",kind=\"%s\"} %" PRIu64 "\n", kinds.name,
                    metrics[k].domain, difference_name(kind), metrics[k].by_kind[kind]);
}

int history_metrics_write(const char *path, const struct history_metrics *metrics, size_t count,
                          struct error *ret_error)
{
    char unfinished[PATH_MAX];

    if (snprintf(unfinished, sizeof(unfinished), "%s.new", path) >= (int)sizeof(unfinished))
        return error_set_at(ret_error, -ENAMETOOLONG, path, 0, "is too long a path");
    FILE *stream = fopen(unfinished, "we");
    if (stream == NULL)
        return error_set_at(ret_error, -errno, unfinished, 0, "cannot write the metrics: %s",
                            strerror(errno));
    metrics_print(stream, metrics, count);
    bool failed = ferror(stream) != 0;
    failed |= fclose(stream) != 0;
    if (failed || rename(unfinished, path) < 0) {
        int rc = -errno;
        (void)unlink(unfinished);
        return error_set_at(ret_error, rc, path, 0, "cannot write the metrics: %s", strerror(-rc));
    }
    return 0;
}
