#include "sink/calendar.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "base/log.h"
#include "sink/segment.h"

#define SECOND_US INT64_C(1000000)
#define HOUR_US   (3600 * SECOND_US)
#define DAY_US    (24 * HOUR_US)

/* Further ahead is a leap. */
#define LEAP_US DAY_US

/* A leap that lasts so long is believed: who watches the machine has had time to set the clock. */
#define DOUBT_US HOUR_US

struct calendar {
    pthread_mutex_t lock;
    bool is_known; /* `newest_us`, or after the first look `offset_us` */
    bool has_looked;
    int64_t newest_us; /* written before the start */
    int64_t offset_us; /* CLOCK_REALTIME less CLOCK_MONOTONIC, as it is believed */
    bool doubts;       /* since when, and what offset has been said ever since, at least */
    int64_t since_us;  /* CLOCK_MONOTONIC */
    int64_t doubted_us;
};

/* ---- What was written ---- */

/* The begin of the newest segment that is believed; false: there is none. */
static bool find_newest(const struct segment_name *names, size_t count, int64_t *ret_us)
{
    while (count > 0) {
        const int64_t last_s = names[count - 1].begun_s;
        size_t first = count - 1;
        while (first > 0 &&
               (names[first].begun_s - names[first - 1].begun_s) * SECOND_US <= LEAP_US)
            first--;
        if (first == 0 || (last_s - names[first].begun_s) * SECOND_US >= DOUBT_US) {
            *ret_us = last_s * SECOND_US;
            return true;
        }
        count = first;
    }
    return false;
}

int calendar_create(const char *events, struct calendar **ret_calendar, struct error *ret_error)
{
    struct segment_name *names = NULL;
    size_t count = 0;
    struct calendar *calendar = calloc(1, sizeof(*calendar));
    if (calendar == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    int rc = segment_list(events, &names, &count);
    if (rc < 0 && rc != -ENOENT) {
        free(calendar);
        return error_set_at(ret_error, rc, events, 0, "cannot be read: %s", strerror(-rc));
    }
    pthread_mutex_init(&calendar->lock, NULL);
    calendar->is_known = find_newest(names, count, &calendar->newest_us);
    free(names);
    *ret_calendar = calendar;
    return 0;
}

void calendar_free(struct calendar *calendar)
{
    if (calendar == NULL)
        return;
    pthread_mutex_destroy(&calendar->lock);
    free(calendar);
}

/* ---- Looks at the clock ---- */

static void begin_doubt(struct calendar *calendar, int64_t ahead_us, int64_t monotonic_us)
{
    if (calendar->is_known)
        log_event(LOG_WARNING,
                  "the clock is %" PRId64
                  " days ahead of what was written last: nothing is deleted "
                  "by its age before it has said so for an hour; set it, if it is wrong",
                  ahead_us / DAY_US);
    calendar->doubts = true;
    calendar->since_us = monotonic_us;
}

static bool look(struct calendar *calendar, int64_t offset_us, int64_t monotonic_us)
{
    if (!calendar->has_looked)
        calendar->offset_us = calendar->newest_us - monotonic_us;
    calendar->has_looked = true;
    bool is_sure = calendar->is_known && offset_us - calendar->offset_us <= LEAP_US;
    if (!is_sure) {
        /* Where it leaps on, that is to be doubted anew. */
        if (!calendar->doubts || offset_us - calendar->doubted_us > LEAP_US) {
            begin_doubt(calendar, offset_us - calendar->offset_us, monotonic_us);
            calendar->doubted_us = offset_us;
        }
        if (offset_us < calendar->doubted_us)
            calendar->doubted_us = offset_us;
        is_sure = monotonic_us - calendar->since_us >= DOUBT_US;
    }
    if (is_sure) {
        calendar->offset_us = offset_us;
        calendar->is_known = true;
        calendar->doubts = false;
    }
    return is_sure;
}

bool calendar_is_sure_at(struct calendar *calendar, int64_t now_us, int64_t monotonic_us)
{
    if (calendar == NULL)
        return true;
    pthread_mutex_lock(&calendar->lock);
    const bool is_sure = look(calendar, now_us - monotonic_us, monotonic_us);
    pthread_mutex_unlock(&calendar->lock);
    return is_sure;
}

bool calendar_is_sure(struct calendar *calendar, int64_t now_us)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return calendar_is_sure_at(calendar, now_us,
                               (int64_t)now.tv_sec * SECOND_US + now.tv_nsec / 1000);
}
