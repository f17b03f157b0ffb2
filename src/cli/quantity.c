#include "cli/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

struct quantity quantity_count(int64_t count)
{
    struct quantity quantity;
    char digits[24];
    size_t used = 0;

    snprintf(digits, sizeof(digits), "%" PRId64, count);
    size_t size = strlen(digits), sign = digits[0] == '-';
    for (size_t i = 0; i < size; i++) {
        if (i > sign && (size - i) % 3 == 0)
            quantity.text[used++] = ',';
        quantity.text[used++] = digits[i];
    }
    quantity.text[used] = '\0';
    return quantity;
}

struct quantity quantity_octets(int64_t octets)
{
    static const char *const units[] = {"KiB", "MiB", "GiB", "TiB"};
    struct quantity quantity;
    double value = (double)octets;
    size_t unit = 0;

    if (octets < 1024) {
        snprintf(quantity.text, sizeof(quantity.text), "%" PRId64 " B", octets);
        return quantity;
    }
    /* 1023.95 would print as 1024.0. */
    for (value /= 1024; value >= 1023.95 && unit < sizeof(units) / sizeof(units[0]) - 1; unit++)
        value /= 1024;
    snprintf(quantity.text, sizeof(quantity.text), "%.1f %s", value, units[unit]);
    return quantity;
}

struct quantity quantity_seconds(int64_t seconds)
{
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}};
    struct quantity quantity;
    size_t unit = 0;

    while (unit < 3 && seconds < units[unit].seconds)
        unit++;
    int64_t whole = seconds / units[unit].seconds, rest = seconds % units[unit].seconds;
    int64_t next = unit < 3 ? rest / units[unit + 1].seconds : 0;
    if (next == 0)
        snprintf(quantity.text, sizeof(quantity.text), "%" PRId64 " %s", whole, units[unit].name);
    else
        snprintf(quantity.text, sizeof(quantity.text), "%" PRId64 " %s %" PRId64 " %s", whole,
                 units[unit].name, next, units[unit + 1].name);
    return quantity;
}

struct quantity quantity_ms(double ms)
{
    struct quantity quantity;

    if (ms >= 999.5)
        snprintf(quantity.text, sizeof(quantity.text), "%.1f s", ms / 1000);
    else if (ms >= 9.95)
        snprintf(quantity.text, sizeof(quantity.text), "%.0f ms", ms);
    else
        snprintf(quantity.text, sizeof(quantity.text), "%.2g ms", ms);
    return quantity;
}

struct quantity quantity_time(int64_t unix_s)
{
    struct quantity quantity;
    time_t seconds = (time_t)unix_s;
    struct tm parts;

    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(quantity.text, sizeof(quantity.text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        snprintf(quantity.text, sizeof(quantity.text), "%" PRId64, unix_s);
    return quantity;
}

struct quantity quantity_distance(int64_t unix_s, int64_t now)
{
    struct quantity quantity;

    if (unix_s > now)
        snprintf(quantity.text, sizeof(quantity.text), "in %.40s",
                 quantity_seconds(unix_s - now).text);
    else
        snprintf(quantity.text, sizeof(quantity.text), "%.40s ago",
                 quantity_seconds(now - unix_s).text);
    return quantity;
}
