#include "cli/pace.h"

/* Long enough to hold a few round trips to any place on Earth. */
#define JUDGE_US 500000

/* A rate that has to find out begins at this part of the bound, and never falls below the other. */
#define BEGIN_PART 8
#define LEAST_PART 20

/* After trouble: down by this factor, and up by this part of the bound with each judgement, so that
 * a halved rate is back in some ten seconds. */
#define SLOWER    0.7
#define FASTER_BY 40

/* Trouble: so many failed, and one in so many. A single loss is chance. */
#define FAILED_MIN  3
#define FAILED_PART 50

/* Trouble: round trips of this much more than twice the usual one. */
#define LATE_US 50000

/* How fast a longer round trip becomes the usual one: within some ten seconds. */
#define USUAL_PART 20

/* Of what is allowed for a second, so much may be caught up with. */
#define BURST_PART 50

void pace_init(struct pace *pace, unsigned rate_max, bool follows)
{
    *pace = (struct pace){.rate_max = rate_max, .follows = follows, .rate = rate_max};
    if (follows)
        pace->rate /= BEGIN_PART;
    pthread_mutex_init(&pace->lock, NULL);
}

void pace_clear(struct pace *pace)
{
    pthread_mutex_destroy(&pace->lock);
}

static bool is_late(struct pace *pace)
{
    if (pace->answered == 0)
        return false;
    double mean_us = (double)pace->late_us / pace->answered;
    bool late = pace->usual_us > 0 && mean_us > 2 * pace->usual_us + LATE_US;
    if (pace->usual_us == 0 || mean_us < pace->usual_us)
        pace->usual_us = mean_us;
    else
        pace->usual_us += (mean_us - pace->usual_us) / USUAL_PART;
    return late;
}

static void rate_judge(struct pace *pace)
{
    bool trouble = pace->failed >= FAILED_MIN && pace->failed * FAILED_PART > pace->asked;
    trouble |= is_late(pace);
    pace->had_trouble |= trouble;
    if (trouble)
        pace->rate *= SLOWER;
    else if (pace->had_trouble)
        pace->rate += (double)pace->rate_max / FASTER_BY;
    else
        pace->rate *= 2;
    double least = (double)pace->rate_max / LEAST_PART;
    if (least < 1)
        least = 1;
    if (pace->rate < least)
        pace->rate = least;
    if (pace->rate > pace->rate_max)
        pace->rate = pace->rate_max;
    pace->asked = pace->answered = pace->failed = 0;
    pace->late_us = 0;
}

/* The lock is held. */
static void time_pass(struct pace *pace, uint64_t now_us)
{
    if (pace->allowance_us == 0)
        pace->allowance_us = pace->judged_us = now_us;
    /* Threads read the clock on their own, so that one may be behind another. */
    if (now_us > pace->allowance_us) {
        pace->allowance += (double)(now_us - pace->allowance_us) / 1e6 * pace->rate;
        pace->allowance_us = now_us;
    }
    double burst = pace->rate / BURST_PART;
    if (burst < 1)
        burst = 1;
    if (pace->allowance > burst)
        pace->allowance = burst;
    if (pace->follows && now_us > pace->judged_us && now_us - pace->judged_us >= JUDGE_US) {
        pace->judged_us = now_us;
        /* While nothing is asked, nothing is learned. */
        if (pace->asked > 0 || pace->answered > 0 || pace->failed > 0)
            rate_judge(pace);
    }
}

bool pace_take(struct pace *pace, uint64_t now_us)
{
    if (pace->rate_max == 0)
        return true;
    pthread_mutex_lock(&pace->lock);
    time_pass(pace, now_us);
    bool allowed = pace->allowance >= 1;
    pace->allowance -= allowed;
    pace->asked += allowed;
    pthread_mutex_unlock(&pace->lock);
    return allowed;
}

void pace_put_back(struct pace *pace)
{
    if (pace->rate_max == 0)
        return;
    pthread_mutex_lock(&pace->lock);
    pace->allowance += 1;
    pace->asked -= pace->asked > 0;
    pthread_mutex_unlock(&pace->lock);
}

void pace_answered(struct pace *pace, uint64_t round_trip_us)
{
    if (!pace->follows)
        return;
    pthread_mutex_lock(&pace->lock);
    pace->answered++;
    pace->late_us += round_trip_us;
    pthread_mutex_unlock(&pace->lock);
}

void pace_failed(struct pace *pace)
{
    if (!pace->follows)
        return;
    pthread_mutex_lock(&pace->lock);
    pace->failed++;
    pthread_mutex_unlock(&pace->lock);
}

unsigned pace_rate(struct pace *pace)
{
    pthread_mutex_lock(&pace->lock);
    unsigned rate = (unsigned)(pace->rate + 0.5);
    pthread_mutex_unlock(&pace->lock);
    return rate;
}
