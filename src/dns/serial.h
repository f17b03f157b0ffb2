/* Serial numbers of zones, which wrap around (RFC 1982). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* Whether serial `one` is newer than `other` (RFC 1982, 3.2). Of two that are 2^31 apart neither
 * is. */
static inline bool serial_is_newer(uint32_t one, uint32_t other)
{
    const uint32_t ahead = one - other;
    return ahead != 0 && ahead < UINT32_C(1) << 31;
}
