#include "sink/privacy.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "sink/privacy_internal.h"

#define DAY_US INT64_C(86400000000)

/* ---- Using an epoch's keys while a tick may destroy them ---- */

static bool epoch_enter(struct epoch *epoch)
{
    atomic_fetch_add(&epoch->users, 1);
    if (!atomic_load(&epoch->is_over))
        return true;
    atomic_fetch_sub(&epoch->users, 1);
    return false;
}

static void epoch_leave(struct epoch *epoch)
{
    atomic_fetch_sub(&epoch->users, 1);
}

/* The one in use never is over: where it was changed meanwhile, the next look finds the new one. */
static struct epoch *enter_current(const struct privacy *privacy)
{
    for (;;) {
        struct epoch *epoch = atomic_load(&privacy->current);
        assert(epoch != NULL);
        if (epoch_enter(epoch))
            return epoch;
    }
}

/* ---- Epochs ---- */

/* The epoch that lasts until last_day, sealed as it is configured now. */
static struct epoch *find_epoch(const struct privacy *privacy, int32_t last_day)
{
    struct epoch *epoch = atomic_load(&privacy->first);
    while (epoch != NULL &&
           (epoch->last_day != last_day || epoch->addresses != privacy->addresses ||
            atomic_load(&epoch->is_over)))
        epoch = atomic_load(&epoch->next);
    return epoch;
}

/* By the calendar, so that it tells something; where that is taken, since the configuration
 * changed, the next free one above all. */
static int choose_number(const struct privacy *privacy, int64_t by_calendar, uint16_t *ret_number)
{
    int64_t greatest = -1;
    bool is_taken = false;
    const struct epoch *epoch = atomic_load(&privacy->first);
    for (; epoch != NULL; epoch = atomic_load(&epoch->next)) {
        greatest = epoch->number > greatest ? epoch->number : greatest;
        is_taken |= epoch->number == by_calendar;
    }
    const int64_t number = is_taken ? greatest + 1 : by_calendar;
    if (number < 0 || number > UINT16_MAX)
        return -ERANGE;
    *ret_number = (uint16_t)number;
    return 0;
}

static int enter_epoch_of(struct privacy *privacy, int32_t today, struct error *ret_error)
{
    const int32_t by_calendar = today / (int32_t)privacy->rotate_days;
    const int32_t last_day = (by_calendar + 1) * (int32_t)privacy->rotate_days - 1;
    struct epoch *epoch = find_epoch(privacy, last_day);
    if (epoch == NULL) {
        uint16_t number;
        int rc = choose_number(privacy, by_calendar, &number);
        if (rc < 0)
            return error_set_at(ret_error, rc, privacy->folder, 0,
                                "no number is left for another key; use another folder");
        rc = privacy_keys_make(privacy, number, last_day, &epoch, ret_error);
        if (rc < 0)
            return rc;
    }
    atomic_store(&privacy->current, epoch);
    return 0;
}

int privacy_tick(struct privacy *privacy, int64_t now_us, struct error *ret_error)
{
    const int32_t today = (int32_t)(now_us / DAY_US);
    struct error later = {0};
    int rc = privacy_keys_load(privacy, ret_error);
    if (privacy->read_only)
        return rc;
    if (rc == 0)
        rc = enter_epoch_of(privacy, today, ret_error);
    /* Whatever is wrong with one key, or with the disk: those whose time is up end in time. */
    const bool is_sure = calendar_is_sure(privacy->calendar, now_us);
    int rc_destroy =
        is_sure ? privacy_keys_destroy(privacy, today, rc < 0 ? &later : ret_error) : 0;
    return rc < 0 ? rc : rc_destroy;
}

/* ---- Hashes ---- */

/* What is hashed begins with an octet of its own for each use, and each part with its length: no
 * two things give the same octets. */
enum domain { DOMAIN_VICTIM = 1, DOMAIN_MACHINE = 2, DOMAIN_AGENT = 3, DOMAIN_NETWORK = 4 };

static void hash(enum domain domain, const uint8_t key[static 32], const struct sink_text *parts,
                 size_t count, uint8_t *ret_hash, size_t size)
{
    crypto_generichash_state state;
    const uint8_t first = (uint8_t)domain;
    crypto_generichash_init(&state, key, 32, size);
    crypto_generichash_update(&state, &first, 1);
    for (size_t i = 0; i < count; i++) {
        const uint64_t length = parts[i].size;
        uint8_t octets[8];
        for (size_t k = 0; k < sizeof(octets); k++)
            octets[k] = (uint8_t)(length >> (8 * k));
        crypto_generichash_update(&state, octets, sizeof(octets));
        if (length > 0)
            crypto_generichash_update(&state, parts[i].octets, length);
    }
    crypto_generichash_final(&state, ret_hash, size);
    sodium_memzero(&state, sizeof(state));
}

static void hash_ids(const struct epoch_keys *keys, const struct sink_recognition *recognition,
                     struct sink_event *event)
{
    const struct sink_text victim[] = {
        {(const uint8_t *)recognition->family, strlen(recognition->family)}, recognition->bot};
    const struct sink_text machine[] = {recognition->machine, recognition->user};

    event->has_victim = recognition->bot.size > 0;
    event->has_machine = recognition->machine.size > 0 || recognition->user.size > 0;
    event->has_agent = recognition->agent.size > 0;
    if (event->has_victim)
        hash(DOMAIN_VICTIM, keys->ids, victim, 2, event->victim, sizeof(event->victim));
    if (event->has_machine)
        hash(DOMAIN_MACHINE, keys->ids, machine, 2, event->machine, sizeof(event->machine));
    if (event->has_agent) {
        /* BLAKE2b has no digest shorter than libsodium's least of 16 octets. */
        uint8_t agent[crypto_generichash_BYTES_MIN];
        hash(DOMAIN_AGENT, keys->ids, &recognition->agent, 1, agent, sizeof(agent));
        memcpy(event->agent, agent, sizeof(event->agent));
    }
}

/* ---- Addresses ---- */

#define MAPPED_SIZE 12 /* of ::ffff:0:0/96, which IPv4 is mapped into */

static void seal_address(const struct epoch *epoch, const uint8_t *address, bool is_ipv6,
                         uint8_t *ret_sealed)
{
    const struct address_seal *seal = &epoch->keys->addresses;
    if (epoch->addresses == PRIVACY_DETERMINISTIC) {
        address_seal_deterministic(seal, address, ret_sealed);
    } else if (is_ipv6) {
        address_seal_prefix(seal, address, 16, ret_sealed);
    } else {
        memcpy(ret_sealed, address, MAPPED_SIZE);
        address_seal_prefix(seal, address + MAPPED_SIZE, 4, ret_sealed + MAPPED_SIZE);
    }
}

static void open_address(const struct epoch *epoch, const uint8_t *sealed, bool is_ipv6,
                         uint8_t *ret_address)
{
    const struct address_seal *seal = &epoch->keys->addresses;
    if (epoch->addresses == PRIVACY_DETERMINISTIC) {
        address_open_deterministic(seal, sealed, ret_address);
    } else if (is_ipv6) {
        address_open_prefix(seal, sealed, 16, ret_address);
    } else {
        memcpy(ret_address, sealed, MAPPED_SIZE);
        address_open_prefix(seal, sealed + MAPPED_SIZE, 4, ret_address + MAPPED_SIZE);
    }
}

/* Its /24, or its /48: the family tells the two apart by their lengths. */
static void hash_network(const struct epoch_keys *keys, const uint8_t *address, bool is_ipv6,
                         uint8_t *ret_hash)
{
    const struct sink_text network = {
        .octets = is_ipv6 ? address : address + MAPPED_SIZE,
        .size = is_ipv6 ? 6 : 3,
    };
    hash(DOMAIN_NETWORK, keys->networks, &network, 1, ret_hash, SINK_ADDRESS_SIZE);
}

void privacy_apply(const struct privacy *privacy, const struct sink_flight *flight,
                   const struct sink_recognition *recognition, struct sink_event *event)
{
    const struct in6_addr *client = &flight->client.address;
    struct epoch *epoch = enter_current(privacy);

    event->epoch = epoch->number;
    event->ipv6 = !IN6_IS_ADDR_V4MAPPED(client);
    seal_address(epoch, client->s6_addr, event->ipv6, event->client);
    hash_network(epoch->keys, client->s6_addr, event->ipv6, event->network);
    hash_ids(epoch->keys, recognition, event);
    epoch_leave(epoch);
}

int privacy_open_address(const struct privacy *privacy, const struct sink_event *event,
                         struct in6_addr *ret_address)
{
    struct epoch *epoch = atomic_load(&privacy->first);
    for (; epoch != NULL; epoch = atomic_load(&epoch->next)) {
        if (epoch->number != event->epoch || !epoch_enter(epoch))
            continue;
        open_address(epoch, event->client, event->ipv6, ret_address->s6_addr);
        epoch_leave(epoch);
        return 0;
    }
    return -ENOENT;
}

/* ---- Opening and closing ---- */

static int make_folder(const char *folder, struct error *ret_error)
{
    struct stat status;
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return error_set_at(ret_error, -errno, folder, 0, "cannot be made: %s", strerror(errno));
    if (stat(folder, &status) < 0 || (status.st_mode & 077) != 0)
        return error_set_at(ret_error, -EPERM, folder, 0,
                            "others may look into the folder of keys; make it your own with "
                            "'chmod 700'");
    return 0;
}

static int open_keys(struct privacy *privacy, struct error *ret_error)
{
    struct timespec now;
    if (!privacy->read_only) {
        int rc = make_folder(privacy->folder, ret_error);
        if (rc < 0)
            return rc;
    }
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return privacy_tick(privacy, (int64_t)now.tv_sec * 1000000, ret_error);
}

int privacy_open(const struct privacy_options *options, struct privacy **ret_privacy,
                 struct error *ret_error)
{
    assert(options->rotate_days > 0 || options->read_only);
    if (sodium_init() < 0)
        return error_set(ret_error, -EIO, "no random numbers for keys");
    struct privacy *privacy = calloc(1, sizeof(*privacy));
    char *folder = strdup(options->folder);
    if (privacy == NULL || folder == NULL) {
        free(privacy);
        free(folder);
        return error_set(ret_error, -ENOMEM, "no memory for keys");
    }
    privacy->folder = folder;
    privacy->addresses = options->addresses;
    privacy->rotate_days = options->rotate_days;
    privacy->keep_days = options->keep_days;
    privacy->calendar = options->calendar;
    privacy->read_only = options->read_only;
    int rc = open_keys(privacy, ret_error);
    if (rc < 0) {
        privacy_close(privacy);
        return rc;
    }
    *ret_privacy = privacy;
    return 0;
}

void privacy_close(struct privacy *privacy)
{
    if (privacy == NULL)
        return;
    privacy_keys_free(privacy);
    free(privacy->folder);
    free(privacy);
}
