/* Takes whatever connects: TCP and UDP, IPv4 and IPv6, at configured addresses or, behind TPROXY,
 * on every port. Reads at most so many octets and seconds, closes, and hands on what came.
 *
 * Each thread has its own epoll and, by SO_REUSEPORT, its own listening sockets; connections never
 * change threads. Memory is bounded: a connection that has sent nothing costs at most 128 octets
 * here, one that has a dialogue, of which there are at most as fit into `memory_max`. Where all
 * places are taken, the source with the most connections loses its oldest; sources are /32 of IPv4
 * and /64 of IPv6.
 */
#pragma once

#include <stdio.h>

#include "base/config_address.h"
#include "base/error.h"
#include "sink/dialogue.h"
#include "sink/flight.h"

struct sensor_listen {
    struct config_address address;
    enum sink_transport transport;
    bool transparent; /* IP_TRANSPARENT: takes what an nftables rule leads here (TPROXY) */
};

struct sensor_options {
    const struct sensor_listen *listen;
    size_t listen_count;
    unsigned threads;
    unsigned octets_max;       /* read of a client, 64 to 65,536 */
    unsigned seconds_max;      /* from the connection to its end */
    unsigned idle_seconds_max; /* to the first octet */
    unsigned connections_max;  /* of all threads */
    unsigned connections_per_source_max;
    size_t memory_max; /* octets, of all dialogues */
    const struct dialogue_setting *dialogue;
    sink_flight_fn *take;
    void *context;
};

struct sensor_figures {
    uint64_t accepted, datagrams, octets;
    uint64_t open;            /* now */
    uint64_t open_max;        /* at once, since the start */
    uint64_t ended[8];        /* by enum sink_ending */
    uint64_t shed_per_source; /* refused or closed since their source has too many */
    uint64_t accept_failures; /* EMFILE, ENFILE, ENOMEM, ENOBUFS */
    uint64_t memory;          /* octets of dialogues, now */
};

struct sensor;

/* Binds everything; no thread runs yet, so that the process may give up its rights between. */
_must_check_ int sensor_create(const struct sensor_options *options, struct sensor **ret_sensor,
                               struct error *ret_error);
_must_check_ int sensor_start(struct sensor *sensor, struct error *ret_error);

/* Ends the threads; what is open is handed on with SINK_ENDING and closed. */
void sensor_stop(struct sensor *sensor);
void sensor_free(struct sensor *sensor);

/* Any thread. */
void sensor_figures(const struct sensor *sensor, struct sensor_figures *ret_figures);
