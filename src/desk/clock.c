#include "desk/clock.h"

#include <ctype.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define YEAR_9999_END INT64_C(253402300799)

static int64_t system_now_ms(void *context)
{
    struct timespec now;
    (void)context;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const struct desk_clock clock_real = {.now_ms = system_now_ms};

int64_t clock_now_ms(const struct desk_clock *clock)
{
    return clock->now_ms(clock->context);
}

int64_t clock_now_s(const struct desk_clock *clock)
{
    return clock_now_ms(clock) / 1000;
}

const char *clock_text(int64_t time_s, char ret_text[static CLOCK_TEXT_SIZE])
{
    time_t time = time_s < 0 ? 0 : time_s > YEAR_9999_END ? YEAR_9999_END : time_s;
    struct tm utc;
    gmtime_r(&time, &utc);
    strftime(ret_text, CLOCK_TEXT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &utc);
    return ret_text;
}

/* Reads exactly `digits` digits and then `after` (NUL: whatever comes). */
static bool number_read(const char **at, unsigned digits, char after, int *ret_number)
{
    int number = 0;
    for (; digits > 0; digits--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = number * 10 + (**at - '0');
    }
    if (after != '\0' && *(*at)++ != after)
        return false;
    *ret_number = number;
    return true;
}

/* "Z", or "+01:30" and "-01:30", which are east and west of it. */
static bool offset_read(const char **at, int64_t *ret_offset_s)
{
    int hours, minutes;
    char sign = *(*at)++;

    if (sign == 'Z' || sign == 'z') {
        *ret_offset_s = 0;
        return true;
    }
    if ((sign != '+' && sign != '-') || !number_read(at, 2, ':', &hours) ||
        !number_read(at, 2, '\0', &minutes) || hours > 23 || minutes > 59)
        return false;
    *ret_offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

bool clock_parse(const char *text, int64_t *ret_time_s)
{
    struct tm utc = {0};
    const char *at = text;
    int64_t offset_s;

    if (!number_read(&at, 4, '-', &utc.tm_year) || !number_read(&at, 2, '-', &utc.tm_mon) ||
        !number_read(&at, 2, '\0', &utc.tm_mday) || strchr("Tt ", *at) == NULL || *at++ == '\0' ||
        !number_read(&at, 2, ':', &utc.tm_hour) || !number_read(&at, 2, ':', &utc.tm_min) ||
        !number_read(&at, 2, '\0', &utc.tm_sec))
        return false;
    if (*at == '.') {
        if (!isdigit((unsigned char)*++at))
            return false;
        while (isdigit((unsigned char)*at))
            at++;
    }
    if (*at == '\0' || !offset_read(&at, &offset_s) || *at != '\0')
        return false;

    /* A second 60 is a leap second (RFC 3339, 5.7); timegm() makes it the next one. */
    if (utc.tm_hour > 23 || utc.tm_min > 59 || utc.tm_sec > 60)
        return false;
    utc.tm_year -= 1900;
    utc.tm_mon -= 1;
    struct tm normal = utc;
    time_t time = timegm(&normal);
    /* timegm() makes 30 February the 2 March; whoever wrote that meant something else. */
    if (utc.tm_sec != 60 && (normal.tm_mon != utc.tm_mon || normal.tm_mday != utc.tm_mday))
        return false;
    *ret_time_s = (int64_t)time - offset_s;
    return true;
}
