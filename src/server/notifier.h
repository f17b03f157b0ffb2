/* Tells secondaries that a zone has changed: NOTIFY (RFC 1996) over UDP, signed where a key is
 * given, and again with growing pauses until each has answered.
 *
 * News is told at once. While a zone changes all the time, each secondary hears of it as often as
 * it answers, but at most every NOTIFY_PAUSE_MS, with the serial of that moment; one that does not
 * answer holds up no other and hears of it once a second. Whoever is given up hears of the next
 * change again, and has its own SOA timers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "zone/transfer_in.h"
#include "zone/zone.h"

/* What a change waits at most behind one that was just told. With the pause that secondaries make
 * between two transfers it is what an update takes to be seen everywhere; shorter ones would cost a
 * message and an answer for fewer and fewer changes. */
#define NOTIFY_PAUSE_MS 20

/* Times a NOTIFY is sent to one target before it is given up; pauses grow from 1 s to 32 s (RFC
 * 1996, 3.6: these are the sender's choice). */
#define NOTIFY_TRIES 7

struct notify_target {
    const struct sockaddr *address;
    socklen_t size;
    const struct transfer_key *key; /* NULL: unsigned */
};

/* What it points at outlives the notifier. */
struct notify_zone {
    const struct zone *zone;
    const struct notify_target *targets;
    size_t target_count;
};

struct notifier_handlers {
    /* Reads the zone's SOA: its rdata (at most 600 octets) and TTL. False: there is none now.
     * Called from the notifier's thread. */
    bool (*soa)(void *context, const struct zone *zone, uint8_t *ret_rdata, uint16_t *ret_size,
                uint32_t *ret_ttl_s);
    void (*log)(void *context, int level, const char *text);
    void *context;
};

#define NOTIFY_SOA_SIZE_MAX 600

struct notifier;

/* Tells nobody anything before it is told. */
_must_check_ int notifier_start(const struct notify_zone *zones, size_t count,
                                const struct notifier_handlers *handlers,
                                struct notifier **ret_notifier, struct error *ret_error);

/* Ends at once; what was not answered is not said again. NULL is fine. */
void notifier_stop(struct notifier *notifier);

/* The zone has a new serial. Any thread, often: a few atomic operations and at most one write to an
 * eventfd. Other zones are ignored. */
void notifier_tell(struct notifier *notifier, const struct zone *zone);

struct notifier_counters {
    uint64_t sent, answered, given_up;
};
static inline void notifier_counters_add(struct notifier_counters *sum,
                                         const struct notifier_counters *more)
{
    sum->sent += more->sent;
    sum->answered += more->answered;
    sum->given_up += more->given_up;
}

void notifier_counters(const struct notifier *notifier, struct notifier_counters *ret_counters);
