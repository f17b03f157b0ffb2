/* What a domain's clients get from the front, by its counters, against the domain's own past.
 *
 * Unlike the watch's sample this sees the questions that nobody thought of. Few questions tell
 * nothing: what could be chance breaks no bound. The past is the watch's own, so that it takes a
 * few intervals to know it; what is wrong from the first moment on is for the sample to find, but
 * for SERVFAIL, of which no past is needed.
 */
#pragma once

#include "cli/parity_history.h"
#include "cli/takeover_plan.h"

/* The front's counters of one zone, since the front began. */
struct front_counters {
    uint64_t queries, listed, servfail, nxdomain;
    uint64_t error_reports; /* about names that no order lists; 0 where the plan sets no bound */
};

/* What others asked in an interval. */
struct clients_interval {
    uint64_t queries, unlisted, servfail, nxdomain, error_reports;
    double seconds;
};

/* All zero to begin with. */
struct clients_past {
    double queries_s; /* follows the intervals, the newest most */
    unsigned intervals;
    uint64_t unlisted, nxdomain; /* of all blocks that were judged */
    /* Intervals are taken together until there is enough to judge. */
    uint64_t block_unlisted, block_servfail, block_nxdomain;
};

/* What was asked between two readings of the counters, without the watch's own questions. False:
 * the front began anew in between. */
bool clients_between(const struct front_counters *before, const struct front_counters *after,
                     double seconds, const struct parity_counts *own,
                     struct clients_interval *ret_interval);

/* Judges an interval, which then belongs to the past. Writes the bound that breaks, or leaves
 * `ret_broken` as it is. */
void clients_judge(struct clients_past *past, const struct plan_canary *bounds,
                   const struct clients_interval *interval, char *ret_broken, size_t size);

/* Takes the samples of an earlier run of the same watch for the past. */
void clients_remember(struct clients_past *past, const struct history_sample *samples, size_t count,
                      int64_t since);
