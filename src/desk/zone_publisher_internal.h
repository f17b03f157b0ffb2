/* Shared by the files that publish zones: zone_publisher.c (what is to be published),
 * zone_build.c (from rows to zones), zone_notify.c and zone_server.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "desk/desk_order_internal.h"
#include "desk/zone_publisher.h"
#include "dns/name.h"
#include "zone/transfer_out.h"
#include "zone/tsig_server.h"
#include "zone/zone_data.h"

/* ---- Zones ---- */

/* A zone that servers get. */
struct published {
    char id[ID_SIZE];                 /* of the order; "": none's */
    char label[DESK_ORDER_NAME_SIZE]; /* in front of the suffix; "": the catalog */
    uint8_t apex[NAME_SIZE_MAX];
    uint32_t wanted;        /* serial by the tables */
    uint32_t serial;        /* of `data` */
    struct zone_data *data; /* NULL: not made yet */
    int64_t retry_ms;       /* not made again before */
    bool stays;             /* while the tables are compared */
};

/* Makes the zone of an order, of the exemptions, or the catalog of `members` (lines). Blocks. */
_must_check_ int zone_build(struct desk *desk, struct store *store, const struct published *zone,
                            struct zone_data **ret_data, struct error *ret_error);
_must_check_ int zone_build_catalog(const struct desk_config_orders *config, const char *members,
                                    uint32_t serial, struct zone_data **ret_data,
                                    struct error *ret_error);

/* The wire form of "label.suffix" ("": the suffix alone). False: too long. */
bool zone_name_make(const char *label, const char *suffix, uint8_t ret_apex[static NAME_SIZE_MAX]);

/* How a zone begins to leave, for the server. `ret_transfer` is the caller's. Returns 0, -ENOENT no
 * such zone, -ENODATA not made yet, -ENOMEM. */
enum opening { OPEN_WHOLE, OPEN_SOA, OPEN_SINCE };
_must_check_ int zone_publisher_open(struct zone_publisher *publisher, const uint8_t *apex,
                                     enum opening opening, uint32_t serial,
                                     struct transfer_out **ret_transfer);

/* ---- NOTIFY: of the publisher's thread ---- */

struct zone_notifier;

_must_check_ int zone_notifier_create(const struct desk_config_orders *config,
                                      struct zone_notifier **ret_notifier, struct error *ret_error);
void zone_notifier_free(struct zone_notifier *notifier);

/* Tells everybody of the zone now, and again until they answer. */
void zone_notifier_tell(struct zone_notifier *notifier, const uint8_t *apex);
/* Forgets a zone that is no more. */
void zone_notifier_forget(struct zone_notifier *notifier, const uint8_t *apex);

/* Sends what is due and reads answers; gives the time until the next message, at most `max_ms`. */
int zone_notifier_work(struct zone_notifier *notifier, int max_ms);

/* Descriptors to wait for, -1: none; their number is two. */
const int *zone_notifier_sockets(const struct zone_notifier *notifier);

struct zone_notify_figures {
    _Atomic(uint64_t) sent, unanswered;
};
struct zone_notify_figures *zone_notifier_figures(struct zone_notifier *notifier);

/* ---- Answers over UDP and TCP ---- */

struct zone_server;

struct zone_server_figures {
    _Atomic(uint64_t) transfers, refused;
};

_must_check_ int zone_server_start(struct zone_publisher *publisher,
                                   const struct desk_config_orders *config,
                                   struct zone_server **ret_server, struct error *ret_error);
void zone_server_stop(struct zone_server *server);
struct zone_server_figures *zone_server_figures(struct zone_server *server);
