/* When a secondary checks, retries and expires: from its SOA (RFC 1034, 4.3.5), within bounds. */
#pragma once

#include <stdint.h>

#include "zone/zone_data.h"

/* Milliseconds to the next check after a good one, of data that expires in `left_ms`, and after a
 * bad one; +-10 % by chance, so that zones that came together do not stay together. At least a
 * second.
 */
int64_t soa_refresh_ms(const struct soa *soa, int64_t left_ms);
int64_t soa_retry_ms(const struct soa *soa);

/* Milliseconds that data may be served without a good check. Exact. */
int64_t soa_expire_ms(const struct soa *soa);

/* How much of its expire time the data has spent when its origin says that it expires there in
 * `told_s` (EXPIRE, RFC 7314; EXPIRE_UNTOLD when it does not say). More than the SOA allows is
 * not believed. */
int64_t soa_age_s(const struct soa *soa, uint32_t told_s);

/* The wait after the `failures`th failure in a row (from 1) while there is no data: 1, 2, 4, ... 60
 * seconds, +-10 %. */
int64_t backoff_ms(unsigned failures);
