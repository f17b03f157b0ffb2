/* The series of an order: what happened in each day or hour, from the days and hours that each
 * proven victim was seen in. */
#include <errno.h>
#include <string.h>

#include "sink/census_internal.h"

struct series {
    const struct census *census;
    uint32_t order;  /* word; WORD_NONE: all */
    int64_t unit_us; /* of the registers: a day or an hour */
    int64_t step_us;
    int64_t first; /* step; at_us is step_us * (first + index + 1) */
    size_t count;
    struct census_point *points;
};

/* NULL: outside. */
static struct census_point *point_at(const struct series *series, int64_t at_us)
{
    const int64_t index = at_us / series->step_us - series->first;
    return index < 0 || index >= (int64_t)series->count ? NULL : &series->points[index];
}

static void add_seen(const struct series *series, const struct victim *victim)
{
    const uint64_t steps = series->unit_us == DAY_US ? victim->days : victim->hours;
    const int64_t newest = victim->last_us / series->unit_us;
    const struct census_point *counted = NULL;
    for (uint64_t left = steps; left != 0; left &= left - 1) {
        const int64_t unit = newest - __builtin_ctzll(left);
        struct census_point *point = point_at(series, unit * series->unit_us);
        if (point != NULL && point != counted)
            point->seen++;
        counted = point;
    }
}

static void add_victim(const struct series *series, const struct victim *victim)
{
    const struct census *census = series->census;
    if (series->order != WORD_NONE && census_context(census, victim)->order != series->order)
        return;
    if (victim_class(census, victim, NULL) != CENSUS_PROVEN)
        return;
    add_seen(series, victim);
    struct census_point *fresh = point_at(series, victim->first_us);
    if (fresh != NULL && victim_is_fresh_by(census, victim, INT64_MIN, INT64_MAX))
        fresh->fresh++;
    const int64_t quiet_us = victim->last_us + (int64_t)census->options.quiet_s * SECOND_US;
    struct census_point *quiet = quiet_us > census->newest_us ? NULL : point_at(series, quiet_us);
    if (quiet != NULL && victim_is_quiet_by(census, victim, INT64_MIN, INT64_MAX))
        quiet->quiet++;
}

/* Where keys changed: each epoch but the first begins in one. */
static void mark_epochs(const struct series *series)
{
    const struct census *census = series->census;
    for (unsigned i = 0; i < census->epoch_count; i++) {
        struct census_point *point = point_at(series, census->epochs[i].first_us);
        if (point != NULL && census->epochs[i].first_us > census->first_us)
            point->rekeyed = true;
    }
}

static int count_addresses(const struct series *series, struct census_point *point)
{
    const struct census *census = series->census;
    const unsigned by = series->unit_us == DAY_US ? CUT_DAY : CUT_HOUR;
    const uint64_t order = series->order == WORD_NONE ? 0 : (uint64_t)series->order + 1;
    struct memory_budget budget = {.max = SIZE_MAX};
    struct hyperloglog sum = {0};
    int rc = 0;
    const int64_t end = point->at_us / series->unit_us;
    for (int64_t unit = end - series->step_us / series->unit_us; unit < end && rc == 0; unit++) {
        const struct cut *cut =
            cuts_find(&census->cuts, cut_key(by, order << 8 | (uint64_t)unit % CENSUS_STEPS_MAX));
        if (cut == NULL || cut->step != unit)
            continue;
        sum.precision = cut->addresses.precision;
        rc = hyperloglog_merge(&sum, &cut->addresses, &budget);
    }
    if (rc == 0)
        point->addresses = hyperloglog_estimate(&sum);
    hyperloglog_clear(&sum, &budget);
    return rc;
}

static int make_points(struct series *series)
{
    const struct census *census = series->census;
    const int64_t last = census->newest_us / series->step_us;
    const int64_t reach = CENSUS_STEPS_MAX * series->unit_us / series->step_us;
    series->first = census->first_us / series->step_us;
    if (last - series->first >= reach)
        series->first = last - reach + 1;
    series->count = (size_t)(last - series->first + 1);
    series->points = calloc(series->count, sizeof(*series->points));
    if (series->points == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < series->count; i++)
        series->points[i].at_us = (series->first + (int64_t)i + 1) * series->step_us;
    return 0;
}

static int fill_points(const struct series *series)
{
    for (uint32_t number = 0; number < series->census->victims.count; number++)
        add_victim(series, victims_at(&series->census->victims, number));
    mark_epochs(series);
    for (size_t i = 0; i < series->count; i++) {
        int rc = count_addresses(series, &series->points[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int census_series(const struct census *census, const char *order, int64_t step_us,
                  census_point_fn *take, void *context)
{
    struct series series = {.census = census,
                            .order = WORD_NONE,
                            .step_us = step_us,
                            .unit_us = step_us % DAY_US == 0 ? DAY_US : HOUR_US};
    if (step_us <= 0 || step_us % HOUR_US != 0 || step_us > CENSUS_STEPS_MAX * series.unit_us)
        return -EINVAL;
    if (order[0] != '\0') {
        series.order = words_find(&census->words, order);
        if (series.order == WORD_NONE)
            return 0;
    }
    if (census->newest_us == 0)
        return 0;
    int rc = make_points(&series);
    if (rc == 0)
        rc = fill_points(&series);
    for (size_t i = 0; i < series.count && rc == 0; i++)
        rc = take(context, &series.points[i]);
    free(series.points);
    return rc < 0 ? rc : 0;
}
