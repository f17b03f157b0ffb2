/* The log of a program that serves: one line an event on standard error, "<UTC time> <level>
 * <text>".
 */
#pragma once

#include <syslog.h>

/* Any thread. `level` is LOG_ERR, LOG_WARNING, LOG_INFO or LOG_DEBUG (dropped). */
void log_event(int level, const char *format, ...) __attribute__((format(printf, 2, 3)));
