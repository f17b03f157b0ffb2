#include "server/soa_timers.h"

#include <stdlib.h>

/* What an origin's typing error may cost: no timer is longer than these. */
#define REFRESH_MAX_S (4u * 7 * 24 * 3600)
#define RETRY_MAX_S   (2u * 7 * 24 * 3600)

#define WAIT_MIN_MS 1000

/* Below it, a zone would expire between two checks a second apart. */
#define EXPIRE_MIN_S 2

#define BACKOFF_MAX_S 60

bool serial_is_newer(uint32_t one, uint32_t other)
{
    const uint32_t ahead = one - other;
    return ahead != 0 && ahead < UINT32_C(1) << 31;
}

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

int64_t soa_refresh_ms(const struct soa *soa)
{
    /* A SOA whose zone expires before its refresh would take the zone away from time to time while
     * all is well. */
    const uint32_t refresh_s = at_most(soa->refresh_s, expire_s(soa) / 2);
    return with_jitter((int64_t)at_most(refresh_s, REFRESH_MAX_S) * 1000);
}

int64_t soa_retry_ms(const struct soa *soa)
{
    return with_jitter((int64_t)at_most(soa->retry_s, RETRY_MAX_S) * 1000);
}

int64_t soa_expire_ms(const struct soa *soa)
{
    return (int64_t)expire_s(soa) * 1000;
}

int64_t backoff_ms(unsigned failures)
{
    const uint32_t wait_s = failures > 6 ? BACKOFF_MAX_S : UINT32_C(1) << (failures - 1);
    return with_jitter((int64_t)at_most(wait_s, BACKOFF_MAX_S) * 1000);
}
