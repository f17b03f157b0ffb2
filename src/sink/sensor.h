/* Takes whatever connects: TCP and UDP, IPv4 and IPv6, at configured addresses or, behind TPROXY,
 * on every port. Reads at most so many octets and seconds, closes, and hands on what came.
 *
 * Each thread has its own epoll and, by SO_REUSEPORT, its own listening sockets; connections never
 * change threads. It has also its own table of descriptors: a flood takes none from the rest of the
 * program, and the limit of open files counts for each thread. Memory is bounded: a connection that
 * has sent nothing costs at most 128 octets here, one that has a dialogue, of which there are at
 * most as fit into `memory_max`. Where all places are taken, the source with the most connections
 * loses the one that is silent for the longest; sources are /32 of IPv4 and /64 of IPv6. A thread
 * makes handshakes of TLS for at most half of its time, for one source for a small part of it.
 *
 * Who ends first: mostly the client. Where a page was sent, its reader is waited for a moment, so
 * that the page arrives. A connection that is closed for its time or its octets ends as close(2)
 * does it, which leaves up to a minute of TIME-WAIT (some 250 octets) to the kernel; who is shed is
 * reset, which leaves nothing. Half-open connections are the kernel's: net.ipv4.tcp_syncookies has
 * to be 1, net.core.somaxconn at least what comes in a second.
 */
#pragma once

#include "base/cleanup.h"
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
    unsigned datagrams_per_source_max; /* a second; from 1 where it listens for any */
    size_t memory_max;                 /* octets, of all dialogues */
    const struct dialogue_setting *dialogue;
    sink_flight_fn *take; /* no descriptor of the program but standard error is there: it runs with
                             the thread's own table */
    void *context;
};

struct sensor_figures {
    uint64_t accepted, datagrams, octets; /* without what was refused */
    uint64_t open;            /* now; with those that are handed on and close just now */
    uint64_t open_max;        /* at once, since the start */
    uint64_t ended[8];        /* handed on, by enum sink_ending */
    uint64_t shed_per_source; /* refused, which aren't handed on, or closed to make room; datagrams
                                 beyond their source's share, which aren't handed on */
    uint64_t accept_failures; /* EMFILE, ENFILE, ENOMEM, ENOBUFS */
    uint64_t memory;          /* octets of dialogues, now */
};

struct sensor;

/* Binds everything; no thread runs yet, so that the process may give up its rights between. Raises
 * the process's limit of open files as far as it may. The options are copied, `listen` is not used
 * any more. */
_must_check_ int sensor_create(const struct sensor_options *options, struct sensor **ret_sensor,
                               struct error *ret_error);
_must_check_ int sensor_start(struct sensor *sensor, struct error *ret_error);

/* Ends the threads; what is open is handed on with SINK_ENDING and closed. */
void sensor_stop(struct sensor *sensor);
void sensor_free(struct sensor *sensor);
DEFINE_FREEP(struct sensor, sensor_free)

/* Where options.listen[index] is bound: with the real port when 0 was asked for. */
void sensor_address(const struct sensor *sensor, size_t index,
                    struct sockaddr_storage *ret_address);

/* Any thread. */
void sensor_figures(const struct sensor *sensor, struct sensor_figures *ret_figures);
