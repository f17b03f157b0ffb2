/* What a running check saw, sample by sample: a file of JSON lines that `tamis takeover status`
 * draws, and a text file in Prometheus' form for its node exporter's textfile collector. */
#pragma once

#include <stdint.h>

#include "cli/parity.h"
#include "cli/sparkline.h"

/* Samples that a sparkline shows; older ones stay in the file. */
#define HISTORY_SHOWN SPARKLINE_MAX

struct history_sample {
    int64_t time; /* Unix seconds */
    uint64_t questions, different, servfail, nxdomain, origin_servfail, origin_nxdomain;
    double front_ms, origin_ms;
    double queries_s; /* queries that the front gets a second; below 0: not known */
    /* Of clients' questions that no order is about; 0 where queries_s is not known. */
    uint64_t clients, clients_servfail, clients_nxdomain;
    uint64_t error_reports; /* by resolvers */
};

struct history_sample history_sample_make(const struct parity_counts *counts, int64_t time,
                                          double queries_s);

/* Adds one line, durably. A half line that a kill left is closed first. */
_must_check_ int history_append(const char *path, const struct history_sample *sample,
                                struct error *ret_error);

/* Reads the newest samples, the oldest of them first; a missing file has none. Lines that are no
 * samples are left out. */
_must_check_ int history_read(const char *path, struct history_sample *ret_samples, size_t max,
                              size_t *ret_count, struct error *ret_error);

/* The running totals behind a metrics file. */
struct history_metrics {
    const char *domain;
    uint64_t questions, different, not_comparable, by_kind[DIFFERENCES];
    struct history_sample last;
};

void history_metrics_add(struct history_metrics *metrics, const struct parity_counts *counts,
                         const struct history_sample *sample);

/* Writes the metrics of all domains; readers see the old file or the new one. */
_must_check_ int history_metrics_write(const char *path, const struct history_metrics *metrics,
                                       size_t count, struct error *ret_error);
