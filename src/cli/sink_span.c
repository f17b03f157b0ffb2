#include "cli/sink_span.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "order/timestamp.h"

#define MINUTE_US   INT64_C(60000000)
#define SPAN_MAX_US (INT64_C(10) * 366 * 24 * 60 * MINUTE_US)

int sink_span_parse(const char *text, int64_t *ret_us)
{
    static const struct {
        char letter;
        int64_t us;
    } units[] = {{'m', MINUTE_US},
                 {'h', 60 * MINUTE_US},
                 {'d', 24 * 60 * MINUTE_US},
                 {'w', 7 * 24 * 60 * MINUTE_US}};
    int64_t count = 0;

    if (!isdigit((unsigned char)*text))
        return -EINVAL;
    for (; isdigit((unsigned char)*text); text++) {
        count = count * 10 + (*text - '0');
        if (count > SPAN_MAX_US / MINUTE_US)
            return -EINVAL;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (*text == units[i].letter && text[1] == '\0' && count > 0 &&
            count <= SPAN_MAX_US / units[i].us) {
            *ret_us = count * units[i].us;
            return 0;
        }
    return -EINVAL;
}

int sink_time_parse(const char *text, int64_t now_us, int64_t *ret_us)
{
    char day[TIMESTAMP_SIZE];
    int64_t span_us, unix_s;

    if (sink_span_parse(text, &span_us) == 0) {
        *ret_us = now_us - span_us;
        return 0;
    }
    if (strlen(text) == strlen("2026-11-24")) {
        (void)snprintf(day, sizeof(day), "%.10sT00:00:00Z", text);
        text = day;
    }
    if (timestamp_parse(text, &unix_s) < 0)
        return -EINVAL;
    *ret_us = unix_s * 1000000;
    return 0;
}
