/* Keys of the sinkhole, and what is done to what tells of a person before anything is written.
 *
 * Ids are hashed with a key that is replaced every so many days: within such an epoch an id counts,
 * across two it can't be linked once the older key is destroyed. Addresses are sealed with the
 * epoch's address key: the same address gives the same sealed octets within the epoch
 * (deterministic), or addresses with a common prefix also keep one (prefix-preserving); who has the
 * key can open them. Key files are made on first use with mode 0600.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "sink/calendar.h"
#include "sink/event.h"

enum privacy_addresses { PRIVACY_DETERMINISTIC, PRIVACY_PREFIX };

struct privacy_options {
    const char *folder; /* of keys */
    enum privacy_addresses addresses;
    unsigned rotate_days; /* of an epoch */
    unsigned keep_days; /* a key is destroyed so long after its epoch's end: the events' retention;
                           0: never */
    struct calendar *calendar; /* whether the clock may be believed; NULL: always */
    bool read_only;            /* for reports: makes and destroys nothing */
};

struct privacy;

_must_check_ int privacy_open(const struct privacy_options *options, struct privacy **ret_privacy,
                              struct error *ret_error);
void privacy_close(struct privacy *privacy);
DEFINE_FREEP(struct privacy, privacy_close)

/* Makes what is due of an epoch's change at `now_us`; called by a thread of the program from time
 * to time. Other threads may hash meanwhile. */
_must_check_ int privacy_tick(struct privacy *privacy, int64_t now_us, struct error *ret_error);

/* Fills epoch, client, network, ipv6, victim, machine, agent and their flags of `event` from the
 * flight and its recognition. Any thread. */
void privacy_apply(const struct privacy *privacy, const struct sink_flight *flight,
                   const struct sink_recognition *recognition, struct sink_event *event);

/* Opens a sealed address. -ENOENT: the epoch's key is gone. */
_must_check_ int privacy_open_address(const struct privacy *privacy, const struct sink_event *event,
                                      struct in6_addr *ret_address);
