/* The time, as the desk asks for it: tests put their own clock in its place. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct desk_clock {
    int64_t (*now_ms)(void *context); /* Unix milliseconds; any thread */
    void *context;
};

/* The system's. */
extern const struct desk_clock clock_real;

int64_t clock_now_ms(const struct desk_clock *clock);
int64_t clock_now_s(const struct desk_clock *clock);

/* "2026-11-23T21:30:00Z" and NUL. */
#define CLOCK_TEXT_SIZE 21

/* Writes Unix seconds as RFC 3339 in UTC; years 1970 to 9999, others are clamped. Returns
 * `ret_text`. */
const char *clock_text(int64_t time_s, char ret_text[static CLOCK_TEXT_SIZE]);

/* Reads RFC 3339, "Z" or an offset; fractions of a second are dropped. */
bool clock_parse(const char *text, int64_t *ret_time_s);
