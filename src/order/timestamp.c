#include "order/timestamp.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* The last second of the year 9999: what four digits can say. */
#define TIME_MAX INT64_C(253402300799)

/* Reads exactly `digits` digits of a value from `least` to `greatest`. */
static bool read_number(const char **text, unsigned digits, int least, int greatest, int *ret_value)
{
    int value = 0;

    for (; digits > 0; digits--, (*text)++) {
        if (!isdigit((unsigned char)**text))
            return false;
        value = value * 10 + (**text - '0');
    }
    *ret_value = value;
    return value >= least && value <= greatest;
}

static bool read_one_of(const char **text, const char *octets)
{
    if (**text == '\0' || strchr(octets, **text) == NULL)
        return false;
    (*text)++;
    return true;
}

static bool read_date(const char **text, struct tm *date)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int year, month;

    if (!read_number(text, 4, 1970, 9999, &year) || !read_one_of(text, "-") ||
        !read_number(text, 2, 1, 12, &month) || !read_one_of(text, "-"))
        return false;
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    date->tm_year = year - 1900;
    date->tm_mon = month - 1;
    return read_number(text, 2, 1, days[month - 1] + (month == 2 && leap ? 1 : 0), &date->tm_mday);
}

/* A leap second is written :60 and falls on the second that follows, as in Unix time. */
static bool read_clock(const char **text, struct tm *date)
{
    if (!read_number(text, 2, 0, 23, &date->tm_hour) || !read_one_of(text, ":") ||
        !read_number(text, 2, 0, 59, &date->tm_min) || !read_one_of(text, ":") ||
        !read_number(text, 2, 0, 60, &date->tm_sec))
        return false;
    if (**text != '.')
        return true;
    (*text)++;
    if (!isdigit((unsigned char)**text))
        return false;
    while (isdigit((unsigned char)**text))
        (*text)++;
    return true;
}

/* Seconds that local time is ahead of UTC. */
static bool read_offset(const char **text, int *ret_offset)
{
    int hours, minutes;
    int sign = **text == '-' ? -1 : 1;

    *ret_offset = 0;
    if (read_one_of(text, "Zz"))
        return true;
    if (!read_one_of(text, "+-") || !read_number(text, 2, 0, 23, &hours) ||
        !read_one_of(text, ":") || !read_number(text, 2, 0, 59, &minutes))
        return false;
    *ret_offset = sign * (hours * 3600 + minutes * 60);
    return true;
}

int timestamp_parse(const char *text, int64_t *ret_time)
{
    struct tm date = {0};
    int offset;

    if (!read_date(&text, &date) || !read_one_of(&text, "Tt ") || !read_clock(&text, &date) ||
        !read_offset(&text, &offset) || *text != '\0')
        return -EINVAL;
    int64_t time = (int64_t)timegm(&date) - offset;
    if (time < 0 || time > TIME_MAX)
        return -EINVAL;
    *ret_time = time;
    return 0;
}

const char *timestamp_write(int64_t time, char ret_text[TIMESTAMP_SIZE])
{
    time_t seconds = (time_t)time;
    struct tm date;

    gmtime_r(&seconds, &date);
    strftime(ret_text, TIMESTAMP_SIZE, "%Y-%m-%dT%H:%M:%SZ", &date);
    return ret_text;
}
