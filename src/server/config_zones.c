/* What the schema can't say about zones: names, roles, who may do what. Nothing here may cost more
 * than n log n: configurations of 100,000 zones exist. */
#include "server/config_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libknot/dname.h>

#include "base/nearest.h"

#define DNS_PORT     53
#define DNS_TLS_PORT 853 /* RFC 7858, 3.1 */

/* The longest that a transfer may be allowed to take: a day. */
#define TIME_MAX_S (24u * 3600)

/* What the checks of all zones share. */
struct zones_check {
    const struct config_source *source;
    struct config *config;
    const struct config_key **keys; /* sorted by name */
    struct error *error;
};

static int name_compare(const void *name, const void *key)
{
    return strcasecmp(name, (*(const struct config_key *const *)key)->name);
}

static const struct config_key *key_find(const struct zones_check *check, const char *name)
{
    char plain[KNOT_DNAME_TXT_MAXLEN + 1];
    size_t size = strlen(name);

    if (size == 0 || size >= sizeof(plain))
        return NULL;
    memcpy(plain, name, size + 1);
    if (plain[size - 1] == '.')
        plain[size - 1] = '\0';
    const struct config_key **found =
        bsearch(plain, check->keys, check->config->key_count, sizeof(*check->keys), name_compare);
    return found != NULL ? *found : NULL;
}

/* The defined key that a mistyped name most likely means, or NULL. */
static const char *key_nearest(const struct zones_check *check, const char *name)
{
    size_t count = check->config->key_count;
    const char **names = calloc(count + 1, sizeof(*names));

    if (names == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        names[i] = check->config->keys[i].name;
    const char *nearest = nearest_word(name, names, count);
    free(names);
    return nearest;
}

static int key_missing(const struct zones_check *check, struct config_place place, const char *name)
{
    const char *nearest = key_nearest(check, name);

    if (nearest != NULL)
        return config_fail(check->source, place, check->error,
                           "key \"%.80s\" is not defined: did you mean \"%s\"?", name, nearest);
    return config_fail(check->source, place, check->error,
                       "key \"%.80s\" is not defined: add it under \"keys\"", name);
}

int config_key_resolve(const struct config_source *source, const struct config *config,
                       const struct config_key **keys, struct config_place place, const char *name,
                       const struct config_key **ret_key, struct error *ret_error)
{
    const struct zones_check check = {
        .source = source, .config = (struct config *)config, .keys = keys, .error = ret_error};
    *ret_key = key_find(&check, name);
    return *ret_key != NULL ? 0 : key_missing(&check, place, name);
}

static const char key_word[] = " key ";

/* The key of "ADDRESS key NAME", of which `split` is the second word with the blank before it. */
static int key_behind(const struct zones_check *check, struct config_place place, const char *split,
                      const struct config_key **ret_key)
{
    const char *name = split + strlen(key_word);
    name += strspn(name, " ");
    *ret_key = key_find(check, name);
    return *ret_key == NULL ? key_missing(check, place, name) : 0;
}

/* One entry of an access list: an address, a prefix, a key's name, or "ADDRESS key NAME". */
static int access_parse(const struct zones_check *check, struct config_place place,
                        const char *text, struct config_access *ret_access)
{
    char address[sizeof(ret_access->address.text)];
    struct error problem = {0};

    const char *split = strstr(text, key_word);
    size_t address_size = split != NULL ? (size_t)(split - text) : strlen(text);
    snprintf(address, sizeof(address), "%.*s", (int)address_size, text);

    if (split == NULL) {
        ret_access->key = key_find(check, text);
        if (ret_access->key != NULL)
            return 0;
    } else {
        int rc = key_behind(check, place, split, &ret_access->key);
        if (rc < 0)
            return rc;
    }

    if (address_size >= sizeof(address) ||
        config_address_parse(address, 0, &ret_access->address, &problem) < 0) {
        /* With a colon, slash or digit in front it was meant as an address. */
        bool like_address =
            split != NULL || strpbrk(text, ":/@") != NULL || (text[0] >= '0' && text[0] <= '9');
        if (like_address && problem.text[0] != '\0')
            return config_fail(check->source, place, check->error, "%s", problem.text);
        const char *nearest = key_nearest(check, text);
        if (nearest != NULL)
            return config_fail(check->source, place, check->error,
                               "\"%.80s\" is neither an address nor a key: did you mean key "
                               "\"%s\"?",
                               text, nearest);
        return config_fail(check->source, place, check->error,
                           "\"%.80s\" is neither an address nor a key: write an address, a "
                           "prefix, a defined key's name, or \"ADDRESS key NAME\"",
                           text);
    }
    if (strchr(address, '@') != NULL)
        return config_fail(check->source, place, check->error,
                           "\"%s\" has a port: clients come from any, so leave it out", address);
    ret_access->has_address = true;
    return 0;
}

/* `extra_count` entries more than the file has are left free at the end of the list. */
static int access_check(const struct zones_check *check, struct config_place place,
                        char *const *texts, size_t count, size_t extra_count,
                        struct config_access **ret_list, size_t *ret_count)
{
    if (count + extra_count == 0)
        return 0;
    struct config_access *list = calloc(count + extra_count, sizeof(*list));
    if (list == NULL)
        return config_out_of_memory(check->error);
    for (size_t i = 0; i < count; i++) {
        int rc = access_parse(check, config_place("%s.%zu", place.path, i), texts[i], &list[i]);
        if (rc < 0) {
            free(list);
            return rc;
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

static int name_check(const struct zones_check *check, size_t index, struct raw_zone *raw,
                      struct config_zone *zone)
{
    struct config_place place = config_place("zones.%zu.name", index);

    for (const char *c = raw->name; *c != '\0'; c++) {
        if ((unsigned char)*c >= 0x80)
            return config_fail(check->source, place, check->error,
                               "zone name \"%.200s\" is not in ASCII: write its A-label form "
                               "(xn--...), as \"idn2\" prints it",
                               raw->name);
        if ((unsigned char)*c <= ' ' || *c == 0x7f)
            return config_fail(check->source, place, check->error,
                               "a zone name contains a blank or a control character: remove it");
    }
    if (raw->name[0] != '\0')
        zone->apex = knot_dname_from_str_alloc(raw->name);
    if (zone->apex == NULL)
        return config_fail(check->source, place, check->error,
                           "zone name \"%.200s\" is not a domain name: labels have 1 to 63 octets, "
                           "the whole at most 255",
                           raw->name);
    knot_dname_to_lower(zone->apex);
    zone->name = TAKE(raw->name);
    return 0;
}

static int zonemd_policy_check(const struct zones_check *check, size_t index, const char *text,
                               enum zonemd_policy *ret_policy)
{
    static const char *const words[] = {
        [ZONEMD_VERIFY] = "verify", [ZONEMD_REQUIRE] = "require", [ZONEMD_IGNORE] = "ignore"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (text == NULL || strcmp(text, words[i]) == 0) {
            *ret_policy = (enum zonemd_policy)i;
            return 0;
        }
    }
    return config_fail(check->source, config_place("zones.%zu.secondary.zonemd", index),
                       check->error, "zonemd is \"%.40s\": write verify, require or ignore", text);
}

/* A number and one of the letters in `units`, of which the first is worth 1 and may be left out.
 * Returns 0 when it is anything else, or more than `max`. */
static uint64_t quantity_read(const char *text, const char *units, const uint64_t *worths,
                              uint64_t max)
{
    if (text[0] < '0' || text[0] > '9')
        return 0;
    char *end;
    errno = 0;
    const uint64_t number = strtoull(text, &end, 10);
    const char *unit = *end == '\0' ? units : strchr(units, *end);
    if (errno != 0 || unit == NULL || (*end != '\0' && end[1] != '\0'))
        return 0;
    const uint64_t worth = worths[unit - units];
    return number <= max / worth ? number * worth : 0;
}

/* What a transfer may take of time and room. Without a limit here, the one of the transfer holds.
 */
static int transfer_check(const struct zones_check *check, size_t index,
                          const struct raw_secondary *raw, struct config_zone *zone)
{
    static const uint64_t seconds[] = {1, 60, 3600};
    static const uint64_t octets[] = {1, 1ull << 10, 1ull << 20, 1ull << 30, 1ull << 40};

    if (raw->transfer_time_max != NULL) {
        const uint64_t time_s = quantity_read(raw->transfer_time_max, "smh", seconds, TIME_MAX_S);
        if (time_s == 0)
            return config_fail(check->source,
                               config_place("zones.%zu.secondary.transfer-time-max", index),
                               check->error,
                               "transfer-time-max is \"%.40s\": write a time from 1s to %uh, as in "
                               "90s, 30m or 2h",
                               raw->transfer_time_max, TIME_MAX_S / 3600);
        zone->transfer_time_max_ms = (unsigned)time_s * 1000;
    }
    if (raw->transfer_size_max != NULL) {
        zone->transfer_size_max =
            quantity_read(raw->transfer_size_max, "BKMGT", octets, UINT64_MAX);
        if (zone->transfer_size_max == 0)
            return config_fail(check->source,
                               config_place("zones.%zu.secondary.transfer-size-max", index),
                               check->error,
                               "transfer-size-max is \"%.40s\": write octets, as in 64K, 500M or "
                               "16G",
                               raw->transfer_size_max);
    }
    return zonemd_policy_check(check, index, raw->zonemd, &zone->zonemd);
}

static int secondary_check(const struct zones_check *check, size_t index,
                           const struct raw_secondary *raw, struct config_zone *zone)
{
    struct config_place place = config_place("zones.%zu.secondary.from", index);

    zone->kind = CONFIG_SECONDARY;
    zone->forwards_updates = raw->forward_updates != NULL && *raw->forward_updates;
    if (raw->from_count == 0)
        return config_fail(check->source, place, check->error,
                           "zone %s has no origin: add from: [\"192.0.2.1@53\"]", zone->name);
    int rc = config_addresses_check(check->source, place, raw->from, raw->from_count,
                                    raw->tls != NULL ? DNS_TLS_PORT : DNS_PORT, &zone->from,
                                    &zone->from_count, check->error);
    if (rc == 0 && raw->tls != NULL)
        rc = config_check_origin_tls(check->source, check->config, index, check->error);
    if (rc == 0)
        rc = transfer_check(check, index, raw, zone);
    if (rc < 0 || raw->key == NULL)
        return rc;
    zone->key = key_find(check, raw->key);
    if (zone->key == NULL)
        return key_missing(check, config_place("zones.%zu.secondary.key", index), raw->key);
    return 0;
}

static int role_check(const struct zones_check *check, size_t index, const struct raw_zone *raw,
                      struct config_zone *zone)
{
    int roles = (raw->primary != NULL) + (raw->secondary != NULL) + (raw->forward != NULL);

    if (roles == 0)
        return config_fail(check->source, config_place("zones.%zu", index), check->error,
                           "zone %s has no role: add one of primary, secondary and forward",
                           zone->name);
    if (roles > 1)
        return config_fail(check->source, config_place("zones.%zu", index), check->error,
                           "zone %s has more than one role: keep one of primary, secondary and "
                           "forward",
                           zone->name);
    if (raw->secondary != NULL)
        return secondary_check(check, index, raw->secondary, zone);
    if (raw->forward != NULL)
        return config_check_forward(check->source, index, raw->forward, zone, check->error);
    zone->kind = CONFIG_PRIMARY;
    return config_file_resolve(check->source, check->config,
                               config_place("zones.%zu.primary.file", index), "the zone file",
                               raw->primary->file, &zone->file, check->error);
}

/* Origins may always send NOTIFY: it only makes us ask them sooner (RFC 1996, 3.10). Their
 * addresses count as single ones, whatever the port. */
static void origins_allow_notify(struct config_zone *zone)
{
    for (size_t i = 0; i < zone->from_count; i++)
        zone->allow_notify[zone->allow_notify_count++] =
            (struct config_access){.has_address = true, .address = zone->from[i]};
}

/* One secondary to notify: an address, or "ADDRESS key NAME". */
static int notify_parse(const struct zones_check *check, struct config_place place,
                        const char *text, struct config_notify *ret_notify)
{
    char address[sizeof(ret_notify->address.text)];
    const char *split = strstr(text, key_word);
    const size_t address_size = split != NULL ? (size_t)(split - text) : strlen(text);
    if (split != NULL) {
        int rc = key_behind(check, place, split, &ret_notify->key);
        if (rc < 0)
            return rc;
    }
    if (address_size >= sizeof(address))
        return config_fail(check->source, place, check->error,
                           "\"%.80s\" is not an address: write \"192.0.2.1\", \"192.0.2.1@53\" or "
                           "\"192.0.2.1@53 key NAME\"",
                           text);
    snprintf(address, sizeof(address), "%.*s", (int)address_size, text);
    return config_address_check(check->source, place, address, DNS_PORT, &ret_notify->address,
                                check->error);
}

static int notify_check(const struct zones_check *check, struct config_place list,
                        char *const *texts, size_t count, struct config_notify **ret_notify,
                        size_t *ret_count)
{
    if (count == 0)
        return 0;
    *ret_notify = calloc(count, sizeof(**ret_notify));
    if (*ret_notify == NULL)
        return config_out_of_memory(check->error);
    for (size_t i = 0; i < count; i++) {
        int rc =
            notify_parse(check, config_place("%s.%zu", list.path, i), texts[i], &(*ret_notify)[i]);
        if (rc < 0)
            return rc;
        ++*ret_count;
    }
    return 0;
}

static int zone_check(const struct zones_check *check, size_t index, struct raw_zone *raw,
                      struct config_zone *zone)
{
    int rc = name_check(check, index, raw, zone);
    if (rc == 0)
        rc = role_check(check, index, raw, zone);
    if (rc == 0)
        rc = access_check(check, config_place("zones.%zu.allow-transfer", index),
                          raw->allow_transfer, raw->allow_transfer_count, 0, &zone->allow_transfer,
                          &zone->allow_transfer_count);
    if (rc == 0)
        rc = access_check(check, config_place("zones.%zu.allow-update", index), raw->allow_update,
                          raw->allow_update_count, 0, &zone->allow_update,
                          &zone->allow_update_count);
    if (rc == 0)
        rc = config_check_update_policy(check->source, check->config, check->keys, index, raw, zone,
                                        check->error);
    size_t origin_count = zone->kind == CONFIG_SECONDARY ? zone->from_count : 0;
    if (rc == 0)
        rc = access_check(check, config_place("zones.%zu.allow-notify", index), raw->allow_notify,
                          raw->allow_notify_count, origin_count, &zone->allow_notify,
                          &zone->allow_notify_count);
    if (rc == 0 && origin_count > 0)
        origins_allow_notify(zone);
    if (rc == 0)
        rc = notify_check(check, config_place("zones.%zu.notify", index), raw->notify,
                          raw->notify_count, &zone->notify, &zone->notify_count);
    return rc;
}

static int apex_compare(const void *one, const void *other)
{
    const struct config_zone *const *a = one, *const *b = other;
    int order = knot_dname_cmp((*a)->apex, (*b)->apex);
    return order != 0 ? order : (*a > *b) - (*a < *b);
}

/* Equal names are neighbours once sorted. */
static int zones_check_unique(const struct zones_check *check)
{
    const struct config *config = check->config;
    const struct config_zone **zones = calloc(config->zone_count, sizeof(*zones));

    if (zones == NULL)
        return config_out_of_memory(check->error);
    for (size_t i = 0; i < config->zone_count; i++)
        zones[i] = &config->zones[i];
    qsort(zones, config->zone_count, sizeof(*zones), apex_compare);

    int rc = 0;
    for (size_t i = 1; rc == 0 && i < config->zone_count; i++)
        if (knot_dname_is_equal(zones[i - 1]->apex, zones[i]->apex))
            rc = error_set_at(check->error, -EINVAL, check->source->yaml->path, zones[i]->line,
                              "zone %s is there twice, first on line %u: remove one",
                              zones[i]->name, zones[i - 1]->line);
    free(zones);
    return rc;
}

/* Notes where each zone stands, for errors of this check and of later loading. */
static int lines_set(const struct zones_check *check)
{
    uint32_t *lines = NULL;
    size_t count = 0;

    if (yaml_source_lines(check->source->yaml, "zones", &lines, &count) < 0)
        return config_out_of_memory(check->error);
    for (size_t i = 0; i < count && i < check->config->zone_count; i++)
        check->config->zones[i].line = lines[i];
    free(lines);
    return 0;
}

int config_check_zones(struct config_source *source, struct config *config, struct error *ret_error)
{
    struct raw_config *raw = source->raw;
    struct zones_check check = {.source = source, .config = config, .error = ret_error};

    if (raw->zones_count == 0)
        return 0;
    config->zones = calloc(raw->zones_count, sizeof(*config->zones));
    if (config->zones == NULL)
        return config_out_of_memory(ret_error);
    config->zone_count = raw->zones_count;

    int rc = config_keys_sort(config, &check.keys, ret_error);
    if (rc < 0)
        return rc;
    rc = lines_set(&check);
    for (size_t i = 0; rc == 0 && i < config->zone_count; i++)
        rc = zone_check(&check, i, &raw->zones[i], &config->zones[i]);
    if (rc == 0)
        rc = zones_check_unique(&check);
    free(check.keys);
    return rc;
}

/* A name of orders.publish, in wire form. */
static int publish_name_check(const struct zones_check *check, const char *key, const char *text,
                              uint8_t **ret_name)
{
    struct config_place place = config_place("orders.publish.%s", key);

    if (text[0] != '\0')
        *ret_name = knot_dname_from_str_alloc(text);
    if (*ret_name == NULL)
        return config_fail(check->source, place, check->error, "\"%.200s\" is not a domain name",
                           text);
    knot_dname_to_lower(*ret_name);
    for (size_t i = 0; i < check->config->zone_count; i++)
        if (knot_dname_is_equal(check->config->zones[i].apex, *ret_name) &&
            strcmp(key, "catalog") == 0)
            return config_fail(check->source, place, check->error,
                               "zone %s is configured already: the catalog is made by the server; "
                               "give it a name of its own",
                               check->config->zones[i].name);
    return 0;
}

int config_check_publish(struct config_source *source, struct config *config,
                         struct error *ret_error)
{
    const struct raw_publish *raw = source->raw->orders->publish;
    struct zones_check check = {.source = source, .config = config, .error = ret_error};

    if (raw == NULL)
        return 0;
    int rc = config_keys_sort(config, &check.keys, ret_error);
    if (rc == 0)
        rc = publish_name_check(&check, "suffix", raw->suffix, &config->publish_suffix);
    if (rc == 0)
        rc = publish_name_check(&check, "catalog", raw->catalog, &config->publish_catalog);
    if (rc == 0)
        rc = access_check(&check, config_place("orders.publish.allow-transfer"),
                          raw->allow_transfer, raw->allow_transfer_count, 0,
                          &config->publish_allow_transfer, &config->publish_allow_transfer_count);
    if (rc == 0)
        rc =
            notify_check(&check, config_place("orders.publish.notify"), raw->notify,
                         raw->notify_count, &config->publish_notify, &config->publish_notify_count);
    free(check.keys);
    return rc;
}
