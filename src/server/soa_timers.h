/* When a secondary checks, retries and expires: from its SOA (RFC 1034, 4.3.5), within bounds. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "zone/zone_data.h"

/* Whether serial `one` is newer than `other` (RFC 1982, 3.2). Of two that are 2^31 apart neither
 * is.
 */
bool serial_is_newer(uint32_t one, uint32_t other);

/* Milliseconds to the next check after a good one and after a bad one; +-10 % by chance, so that
 * zones that came together do not stay together. At least a second. */
int64_t soa_refresh_ms(const struct soa *soa);
int64_t soa_retry_ms(const struct soa *soa);

/* Milliseconds that data may be served without a good check. Exact. */
int64_t soa_expire_ms(const struct soa *soa);

/* The wait after the `failures`th failure in a row (from 1) while there is no data: 1, 2, 4, ... 60
 * seconds, +-10 %. */
int64_t backoff_ms(unsigned failures);
