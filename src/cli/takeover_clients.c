#include "cli/takeover_clients.h"

#include <stdio.h>

/* Intervals that a volume is compared with, at least: fewer are chance. */
#define VOLUME_INTERVALS_MIN 3

/* The newest interval's weight in the past is one of so many: clients come and go over a day. */
#define VOLUME_MEMORY 16

/* A missing number of queries is no chance when it is more than three standard deviations of a
 * Poisson process. */
#define DEVIATIONS 3

/* Answers that a share is made of, at least, and answers that must be too many. */
#define BLOCK_MIN 50
#define EXTRA_MIN 5

static uint64_t less(uint64_t one, uint64_t other)
{
    return one > other ? one - other : 0;
}

bool clients_between(const struct front_counters *before, const struct front_counters *after,
                     double seconds, const struct parity_counts *own,
                     struct clients_interval *ret_interval)
{
    if (after->queries < before->queries || after->error_reports < before->error_reports)
        return false;
    const uint64_t all = after->queries - before->queries,
                   listed = less(after->listed, before->listed);
    *ret_interval = (struct clients_interval){
        .queries = less(all, own->front_sent),
        .unlisted = less(less(all, listed), less(own->front_sent, own->blocked)),
        .servfail = less(less(after->servfail, before->servfail), own->servfail),
        .nxdomain = less(less(after->nxdomain, before->nxdomain), own->nxdomain),
        .error_reports = after->error_reports - before->error_reports,
        .seconds = seconds,
    };
    return true;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole > 0 ? (double)part / (double)whole : 0;
}

#define BREAK(...) snprintf(ret_broken, size, __VA_ARGS__)

static void volume_add(struct clients_past *past, double queries_s)
{
    if (past->intervals < VOLUME_MEMORY)
        past->intervals++;
    past->queries_s += (queries_s - past->queries_s) / past->intervals;
}

/* A drop says that clients gave up. */
static void volume_judge(struct clients_past *past, const struct plan_canary *bounds,
                         const struct clients_interval *interval, char *ret_broken, size_t size)
{
    const double expected = past->queries_s * interval->seconds, got = (double)interval->queries;
    const double missing = expected - got;
    if (past->intervals >= VOLUME_INTERVALS_MIN && got < bounds->volume_min * expected &&
        missing * missing > DEVIATIONS * DEVIATIONS * expected)
        BREAK("the domain gets %.1f queries a second, %.1f before (volume-min %.0f %%)",
              got / interval->seconds, past->queries_s, 100 * bounds->volume_min);
    volume_add(past, got / interval->seconds);
}

static bool is_too_much(uint64_t part, uint64_t whole, double usual, double above_max)
{
    const double above = share(part, whole) - usual;
    return above > above_max && above * (double)whole >= EXTRA_MIN;
}

static void shares_judge(struct clients_past *past, const struct plan_canary *bounds,
                         const struct clients_interval *interval, char *ret_broken, size_t size)
{
    past->block_unlisted += interval->unlisted;
    past->block_servfail += interval->servfail;
    past->block_nxdomain += interval->nxdomain;
    if (past->block_unlisted < BLOCK_MIN)
        return;
    const double usual = share(past->nxdomain, past->unlisted);
    if (is_too_much(past->block_servfail, past->block_unlisted, 0, bounds->servfail_max))
        BREAK("%.1f %% of the clients' queries got SERVFAIL (servfail-max %.1f %%)",
              100 * share(past->block_servfail, past->block_unlisted), 100 * bounds->servfail_max);
    else if (past->unlisted > 0 &&
             is_too_much(past->block_nxdomain, past->block_unlisted, usual, bounds->nxdomain_max))
        BREAK("%.1f %% of the clients' queries got NXDOMAIN, %.1f %% before (nxdomain-max %.1f %%)",
              100 * share(past->block_nxdomain, past->block_unlisted), 100 * usual,
              100 * bounds->nxdomain_max);
    past->unlisted += past->block_unlisted;
    past->nxdomain += past->block_nxdomain;
    past->block_unlisted = past->block_servfail = past->block_nxdomain = 0;
}

void clients_judge(struct clients_past *past, const struct plan_canary *bounds,
                   const struct clients_interval *interval, char *ret_broken, size_t size)
{
    volume_judge(past, bounds, interval, ret_broken, size);
    shares_judge(past, bounds, interval, ret_broken, size);
    if (bounds->error_reports_max != NULL && interval->error_reports > *bounds->error_reports_max)
        BREAK("resolvers sent %llu error reports about the domain (error-reports-max %u)",
              (unsigned long long)interval->error_reports, *bounds->error_reports_max);
}

void clients_remember(struct clients_past *past, const struct history_sample *samples, size_t count,
                      int64_t since)
{
    for (size_t i = 0; i < count; i++) {
        if (samples[i].time < since || samples[i].queries_s < 0)
            continue;
        volume_add(past, samples[i].queries_s);
        past->unlisted += samples[i].clients;
        past->nxdomain += samples[i].clients_nxdomain;
    }
}
