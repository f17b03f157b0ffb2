/* Numbers as people read them: grouped, with units. Each fills `ret_text` and returns it. */
#pragma once

#include <stdint.h>

struct quantity {
    char text[48];
};

struct quantity quantity_count(int64_t count);     /* 1,234,567 */
struct quantity quantity_octets(int64_t octets);   /* 512 B, 1.5 KiB, 23.0 MiB */
struct quantity quantity_seconds(int64_t seconds); /* 42 s, 3 min 4 s, 5 h 6 min, 7 d 8 h */
struct quantity quantity_ms(double ms);            /* 0.42 ms, 12 ms, 3.4 s */

/* 2014-06-30T12:00:00Z (RFC 3339) of Unix seconds. */
struct quantity quantity_time(int64_t unix_s);

/* "5 min ago" or "in 3 d 4 h", seen from `now`. */
struct quantity quantity_distance(int64_t unix_s, int64_t now);
