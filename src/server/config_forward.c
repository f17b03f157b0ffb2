/* What the schema can't say about forwarding: the cache, and how a zone's origin is asked. */
#include "server/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "front/origin.h"

#define CACHE_OCTETS_LEAST   ((uint64_t)1 << 20)
#define CACHE_OCTETS_MOST    ((uint64_t)1 << 40)
#define CACHE_OCTETS_DEFAULT ((uint64_t)64 << 20)

#define SAVE_INTERVAL_S_DEFAULT (15u * 60)
#define SAVE_INTERVAL_S_MAX     (24u * 60 * 60)

#define THREADS_MAX 64

#define DNS_PORT 53

/* RFC 8767, 4 suggests one to three days. */
#define STALE_S_DEFAULT (24u * 60 * 60)
#define STALE_S_MAX     (7u * 24 * 60 * 60)

static const uint64_t seconds[] = {1, 60, 60 * 60, 24 * 60 * 60}; /* of s, m, h, d */

/* A number with one of the letters of `units` behind it, each worth factors[i]. False: it is none.
 */
static bool read_quantity(const char *text, const char *units, const uint64_t *factors,
                          uint64_t *ret_quantity)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || end[0] == '\0' || end[1] != '\0')
        return false;
    const char *unit = strchr(units, end[0]);
    return unit != NULL && !__builtin_mul_overflow(number, factors[unit - units], ret_quantity);
}

static int check_cache(struct config_source *source, const struct raw_cache *raw,
                       struct config *config, struct error *ret_error)
{
    static const uint64_t octets[] = {(uint64_t)1 << 20, (uint64_t)1 << 30, (uint64_t)1 << 40};
    config->cache_persists = raw->persist != NULL && *raw->persist;
    if (raw->size != NULL && (!read_quantity(raw->size, "MGT", octets, &config->cache_octets_max) ||
                              config->cache_octets_max < CACHE_OCTETS_LEAST ||
                              config->cache_octets_max > CACHE_OCTETS_MOST))
        return config_fail(source, config_place("server.cache.size"), ret_error,
                           "size is \"%.40s\": write MiB, GiB or TiB from 1M to 1T, as in 64M",
                           raw->size);
    uint64_t interval_s = config->cache_save_interval_s;
    if (raw->save_interval != NULL &&
        (!read_quantity(raw->save_interval, "smhd", seconds, &interval_s) || interval_s == 0 ||
         interval_s > SAVE_INTERVAL_S_MAX))
        return config_fail(source, config_place("server.cache.save-interval"), ret_error,
                           "save-interval is \"%.40s\": write seconds, minutes, hours or a day "
                           "from 1s to 1d, as in 15m",
                           raw->save_interval);
    config->cache_save_interval_s = (unsigned)interval_s;
    return 0;
}

int config_check_cache(struct config_source *source, struct config *config, struct error *ret_error)
{
    const struct raw_server *server = source->raw->server;
    config->cache_octets_max = CACHE_OCTETS_DEFAULT;
    config->cache_save_interval_s = SAVE_INTERVAL_S_DEFAULT;
    if (server == NULL)
        return 0;
    if (server->forward_threads != NULL) {
        config->forward_threads = *server->forward_threads;
        if (config->forward_threads < 1 || config->forward_threads > THREADS_MAX)
            return config_fail(source, config_place("server.forward-threads"), ret_error,
                               "forward-threads is %u: write 1 to %u, or leave it out for one for "
                               "two cores",
                               config->forward_threads, THREADS_MAX);
    }
    const struct raw_cache *raw = server->cache;
    if (raw == NULL)
        return 0;
    return check_cache(source, raw, config, ret_error);
}

static int check_rates(const struct config_source *source, size_t index,
                       const struct raw_forward *raw, struct config_zone *zone,
                       struct error *ret_error)
{
    zone->rate_max = raw->rate_max != NULL ? *raw->rate_max : 0;
    zone->unseen_rate_max = raw->unseen_rate_max != NULL ? *raw->unseen_rate_max : 0;
    if (raw->rate_max != NULL && zone->rate_max == 0)
        return config_fail(source, config_place("zones.%zu.forward.rate-max", index), ret_error,
                           "rate-max is 0, and nothing would be asked: write messages a second, or "
                           "leave it out for no bound");
    if (raw->unseen_rate_max == NULL)
        return 0;
    struct config_place place = config_place("zones.%zu.forward.unseen-rate-max", index);
    if (zone->unseen_rate_max == 0)
        return config_fail(source, place, ret_error,
                           "unseen-rate-max is 0, and no name would ever become known: write "
                           "questions a second, or leave it out");
    if (zone->rate_max != 0 && zone->unseen_rate_max > zone->rate_max)
        return config_fail(
            source, place, ret_error,
            "unseen-rate-max is %u, more than rate-max %u: write less, so that names "
            "that exist have a part of it",
            zone->unseen_rate_max, zone->rate_max);
    return 0;
}

int config_check_forward(const struct config_source *source, size_t index,
                         const struct raw_forward *raw, struct config_zone *zone,
                         struct error *ret_error)
{
    struct config_place place = config_place("zones.%zu.forward.to", index);

    zone->kind = CONFIG_FORWARD;
    if (raw->to_count == 0)
        return config_fail(source, place, ret_error,
                           "zone %s has no server to ask: add to: [\"192.0.2.1@53\"]", zone->name);
    if (raw->to_count > ORIGIN_SERVERS_MAX)
        return config_fail(source, place, ret_error, "zone %s has %u servers: name at most %d",
                           zone->name, raw->to_count, ORIGIN_SERVERS_MAX);
    int rc = config_addresses_check(source, place, raw->to, raw->to_count, DNS_PORT, &zone->from,
                                    &zone->from_count, ret_error);
    if (rc == 0)
        rc = check_rates(source, index, raw, zone, ret_error);
    if (rc < 0)
        return rc;
    zone->passes_client_subnet = raw->client_subnet != NULL && *raw->client_subnet;
    zone->uses_denials = raw->aggressive_nsec == NULL || *raw->aggressive_nsec;
    uint64_t stale_s = STALE_S_DEFAULT;
    if (raw->stale_max != NULL &&
        (!read_quantity(raw->stale_max, "smhd", seconds, &stale_s) || stale_s > STALE_S_MAX))
        return config_fail(source, config_place("zones.%zu.forward.stale-max", index), ret_error,
                           "stale-max is \"%.40s\": write seconds, minutes, hours or days up to "
                           "7d, as in 12h; 0s to use no expired answer",
                           raw->stale_max);
    zone->stale_s = (uint32_t)stale_s;
    return 0;
}
