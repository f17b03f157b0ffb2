/* Everything that lives as long as the process serves. Parts keep what is theirs behind a pointer
 * of their own here, which their start() makes. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "desk/clock.h"
#include "desk/desk_config.h"

struct desk_orders;
struct dns_updater;
struct hosts;
struct accounts;
struct http;
struct interest_keys;
struct jobs;
struct lmtp;
struct mailer;
struct ledger_sequencer;
struct outbox;
struct router;
struct store_lock;

struct desk {
    const struct desk_config *config;
    const struct desk_clock *clock;
    struct store_lock *lock;
    struct router *router;
    struct http *http;
    struct outbox *outbox;
    struct accounts *accounts;
    struct jobs *jobs;
    struct hosts *hosts;
    struct desk_orders *orders;
    struct lmtp *lmtp;                   /* NULL: no mail is taken in */
    struct mailer *mailer;               /* NULL: no section mail */
    struct dns_updater *dns_updater;     /* NULL: no server takes updates */
    struct interest_keys *interest_keys; /* of part_interests */
    struct ledger_sequencer *ledger;     /* of part_ledger */
    size_t parts_started;
    atomic_bool must_end; /* set by whoever finds that the process cannot go on; main() looks */
};

/* Migrates (or refuses), starts the parts, then serves. Takes `config`, also on failure. */
_must_check_ int desk_start(struct desk_config *config, struct desk **ret_desk,
                            struct error *ret_error);

/* Takes no new connection, answers what was asked, stops the parts. */
void desk_stop(struct desk *desk);

/* A connection of one's own, for a thread that a part starts. */
_must_check_ int desk_store_open(const struct desk *desk, struct store **ret_store,
                                 struct error *ret_error);

/* The routes of all parts. */
_must_check_ int desk_router_create(struct router **ret_router, struct error *ret_error);
