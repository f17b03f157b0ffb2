/* How many questions a second may go to somebody else's servers.
 *
 * A bound that holds for all who share the pace, and below it a rate that follows how the servers
 * do: twice as fast each half second from an eighth of the bound on, until the bound is reached or
 * the servers have trouble; then slower at once, and faster again little by little. Trouble is one
 * answer in fifty that is lost or SERVFAIL, or answers that take clearly longer than they used to:
 * what fills a queue in front of an origin delays, and in the end costs, its own clients' lookups.
 * A delay that stays although less is asked is the path's, and taken for the usual one in time.
 *
 * Any thread may call; a pace without bound takes no lock.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct pace {
    unsigned rate_max; /* questions a second; 0: no bound, and nothing to follow */
    bool follows;      /* false: rate_max is the rate */
    pthread_mutex_t lock;
    double rate, allowance;
    uint64_t allowance_us, judged_us; /* 0: nothing was asked yet */
    bool had_trouble;
    /* Since the last judgement. */
    unsigned asked, answered, failed;
    uint64_t late_us; /* sum of the round trips */
    double usual_us;  /* round trip; 0: none seen yet */
};

void pace_init(struct pace *pace, unsigned rate_max, bool follows);
void pace_clear(struct pace *pace);

/* Whether one more question may go now. */
bool pace_take(struct pace *pace, uint64_t now_us);
/* There was no question to go after all. */
void pace_put_back(struct pace *pace);

/* The servers' side of it: an answer after so long, or one that did not come or was SERVFAIL. */
void pace_answered(struct pace *pace, uint64_t round_trip_us);
void pace_failed(struct pace *pace);

/* Questions a second at the moment; 0: no bound. */
unsigned pace_rate(struct pace *pace);
