#include "server/soa_timers.h"

#include <stdlib.h>

/* What an origin's typing error may cost: no timer is longer than these. */
#define REFRESH_MAX_S (4u * 7 * 24 * 3600)
#define RETRY_MAX_S   (2u * 7 * 24 * 3600)

#define WAIT_MIN_MS 1000

/* Below it, a zone would expire between two checks a second apart. */
#define EXPIRE_MIN_S 2

#define BACKOFF_MAX_S 60

static int64_t with_jitter(int64_t wait_ms)
{
    const int64_t tenth = wait_ms / 10;
    const int64_t jittered = wait_ms - tenth + arc4random_uniform((uint32_t)(2 * tenth + 1));
    return jittered < WAIT_MIN_MS ? WAIT_MIN_MS : jittered;
}

static uint32_t at_most(uint32_t value, uint32_t max)
{
    return value < max ? value : max;
}

static uint32_t expire_s(const struct soa *soa)
{
    return soa->expire_s < EXPIRE_MIN_S ? EXPIRE_MIN_S : soa->expire_s;
}

int64_t soa_refresh_ms(const struct soa *soa, int64_t left_ms)
{
    /* A zone that expires before its refresh, by its SOA or since its origin is a secondary without
     * a primary, would go from time to time while there is still somebody to ask. */
    const int64_t refresh_ms = (int64_t)at_most(soa->refresh_s, REFRESH_MAX_S) * 1000;
    const int64_t half_ms = left_ms > 0 ? left_ms / 2 : 0;
    return with_jitter(refresh_ms < half_ms ? refresh_ms : half_ms);
}

int64_t soa_retry_ms(const struct soa *soa)
{
    return with_jitter((int64_t)at_most(soa->retry_s, RETRY_MAX_S) * 1000);
}

int64_t soa_expire_ms(const struct soa *soa)
{
    return (int64_t)expire_s(soa) * 1000;
}

int64_t soa_age_s(const struct soa *soa, uint32_t told_s)
{
    const uint32_t left_s = told_s < EXPIRE_MIN_S ? EXPIRE_MIN_S : told_s;
    return left_s < expire_s(soa) ? (int64_t)expire_s(soa) - left_s : 0;
}

int64_t backoff_ms(unsigned failures)
{
    const uint32_t wait_s = failures > 6 ? BACKOFF_MAX_S : UINT32_C(1) << (failures - 1);
    return with_jitter((int64_t)at_most(wait_s, BACKOFF_MAX_S) * 1000);
}
