#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* A longer line is cut: a log must never be the reason to allocate. */
#define LINE_SIZE 1200

static const char *level_name(int level)
{
    switch (level) {
    case LOG_ERR:
        return "error";
    case LOG_WARNING:
        return "warning";
    default:
        return "info";
    }
}

void log_event(int level, const char *format, ...)
{
    if (level > LOG_INFO)
        return;

    char line[LINE_SIZE];
    struct timespec now;
    struct tm utc;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    size_t used = strftime(line, sizeof(line), "%Y-%m-%dT%H:%M:%S", &utc);
    int head = snprintf(line + used, sizeof(line) - used, ".%03ldZ %s ", now.tv_nsec / 1000000,
                        level_name(level));
    used += (size_t)head;

    va_list arguments;
    va_start(arguments, format);
    int text = vsnprintf(line + used, sizeof(line) - used - 1, format, arguments);
    va_end(arguments);
    if (text > 0)
        used += (size_t)text < sizeof(line) - used - 1 ? (size_t)text : sizeof(line) - used - 2;
    line[used++] = '\n';
    /* One write a line: lines of several threads do not mix. */
    ssize_t written = write(STDERR_FILENO, line, used);
    (void)written; /* a log that cannot be written has nobody to tell */
}
