/* The sensor's insides, shared by sensor.c (threads), sensor_listen.c (sockets), sensor_accept.c
 * (who gets a place), sensor_connection.c (what a connection does), sensor_places.c (their memory,
 * order and end) and sensor_datagram.c (UDP). What is in a thread belongs to it alone once it runs,
 * but for its figures, which anyone may read. */
#pragma once

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "sink/datagram_share.h"
#include "sink/sensor.h"
#include "sink/source_numbers.h"
#include "sink/source_table.h"

/* What epoll's data tells: the kind in the upper half, a number in the lower. */
enum sensor_event { EVENT_STOP, EVENT_TCP, EVENT_UDP, EVENT_CONNECTION };

/* Octets of a page's reader that are thrown away, and how long, until it has closed: closing at
 * once with unread octets would be a reset, which may destroy the page on its way. */
#define LINGER_OCTETS_MAX 65536
#define LINGER_US         INT64_C(2000000)

/* How long nothing is accepted after the system had neither descriptor nor memory for it. */
#define ACCEPT_PAUSE_US INT64_C(100000)

/* Accepted in a row from one listener before others get their turn, reads of one connection. */
#define ACCEPTS_MAX 64
#define READS_MAX   4

/* Datagrams of one system call, and such calls before others get their turn. */
#define DATAGRAMS_MAX       32
#define DATAGRAM_ROUNDS_MAX 8

/* Connections ended by their time in one turn of the loop: about a millisecond's work. */
#define EXPIRES_MAX 256

/* Where a connection stands; as long as it has sent nothing it is idle. */
enum connection_stage { STAGE_IDLE, STAGE_TALKS, STAGE_LINGERS, STAGE_COUNT };

/* The orders in which connections are kept: their age (all but those that linger), and when they
 * came into their stage. As every time limit is the same for all, the first of an order is the
 * first to be due, and no timers are needed. */
enum connection_order { ORDER_AGE, ORDER_STAGE, ORDER_COUNT };

struct place_link {
    uint32_t next, previous; /* places; 0: none */
};

/* One line of the cache. */
struct connection {
    int64_t at_us; /* CLOCK_MONOTONIC, of its beginning, or of its lingering */
    struct dialogue *dialogue;
    struct in6_addr client;
    struct place_link links[ORDER_COUNT];
    uint32_t received;
    int fd; /* -1: the place is free, and links[ORDER_AGE].next the next free one */
    uint16_t client_port;
    uint16_t listener;
    uint8_t stage;
    bool is_watched;  /* by epoll */
    bool awaits_room; /* to send: epoll is asked for that */
    bool has_sent;
};

static_assert(sizeof(struct connection) == 64, "an idle connection is one line");

struct place_queue {
    uint32_t first, last;
};

struct sensor_socket {
    int fd; /* -1: closed */
    enum sink_transport transport;
    bool is_precise; /* bound to one address: who was meant needs no asking */
    struct sink_endpoint local;
};

struct datagram_batch;
struct sensor;

struct sensor_thread {
    struct sensor *sensor;
    unsigned number;
    pthread_t thread;
    bool is_started, has_own_table; /* of descriptors */
    int epoll_fd, stop_fd;
    struct sensor_socket *sockets;  /* one for each of `listen` */
    int64_t now_us;                 /* CLOCK_MONOTONIC, read once per turn of the loop */
    int64_t epoch_us;               /* add: CLOCK_REALTIME */
    struct connection *connections; /* [0] is none */
    uint32_t places, places_used, place_free;
    struct place_queue age, stages[STAGE_COUNT];
    struct source_table *sources;
    uint8_t *buffer; /* octets_max */
    struct handshake_share *handshakes;
    struct datagram_batch *datagrams;
    int64_t resume_us;             /* while nothing is accepted: until when; 0: all is */
    struct sensor_figures figures; /* this thread's share; not of open, open_max and memory */
};

/* What all threads write stands on lines of its own. */
struct sensor { /* NOLINT(clang-analyzer-optin.performance.Padding) */
    struct sensor_options options;
    struct sensor_thread *threads;
    struct source_numbers *numbers;
    struct datagram_share *datagrams; /* NULL: it listens for none */
    struct sockaddr_storage *bound;   /* one for each of `listen` */
    /* Of all threads. Relaxed: nothing else is published by them. */
    _Alignas(128) atomic_uint_fast64_t open;
    atomic_uint_fast64_t open_max, memory;
};

/* One writer, many readers: no locked instruction. */
static inline void figure_add(uint64_t *figure, uint64_t count)
{
    __atomic_store_n(figure, *figure + count, __ATOMIC_RELAXED);
}

/* sensor_listen.c */

/* Binds one socket for each thread and each of `listen`. */
_must_check_ int sensor_listen_all(struct sensor *sensor, struct error *ret_error);

/* Has epoll tell of connections that wait, or not. */
void sensor_listen_watch(struct sensor_thread *thread, bool is_watched);

/* IPv4 becomes a mapped address. */
void endpoint_from_sockaddr(const struct sockaddr_storage *address,
                            struct sink_endpoint *ret_endpoint);

/* sensor_accept.c */

void sensor_accept(struct sensor_thread *thread, uint16_t listener);

/* Accepts again once the pause is over. */
void sensor_accept_resume(struct sensor_thread *thread);

/* sensor_places.c */

_must_check_ int places_create(struct sensor_thread *thread, uint32_t places);
void places_free(struct sensor_thread *thread);

/* Gives a connection its place; the caller has seen to it that there is one. */
uint32_t place_take(struct sensor_thread *thread, const struct connection *connection,
                    uint32_t source);
bool places_full(const struct sensor_thread *thread);
void place_stage(struct sensor_thread *thread, uint32_t place, enum connection_stage stage);

/* Where the client wanted to go. */
void connection_local(const struct sensor_thread *thread, const struct connection *connection,
                      struct sink_endpoint *ret_local);

/* Hands on what came and lets the dialogue go; the connection stays open. `octets` are what no
 * dialogue has taken. */
void connection_hand_on(struct sensor_thread *thread, uint32_t place, enum sink_ending ending,
                        const uint8_t *octets, size_t size);
/* Closes it. */
void connection_close(struct sensor_thread *thread, uint32_t place);
void connection_end(struct sensor_thread *thread, uint32_t place, enum sink_ending ending);

/* Makes room by closing the one that has to give way. False: there is none. */
bool connection_shed(struct sensor_thread *thread);
/* The same of those that have a dialogue. */
bool connection_shed_dialogue(struct sensor_thread *thread);

/* Ends what is past its time. */
void connections_expire(struct sensor_thread *thread);
/* Until the next is; -1: none ever. */
int connections_timeout_ms(const struct sensor_thread *thread);
/* Ends all. */
void connections_end_all(struct sensor_thread *thread);

/* sensor_connection.c */

/* Reads and writes what can be; may end the connection. `events` are epoll's. */
void connection_serve(struct sensor_thread *thread, uint32_t place, uint32_t events);

/* sensor_datagram.c */

_must_check_ struct datagram_batch *datagram_batch_create(size_t octets_max);
void datagram_batch_free(struct datagram_batch *batch);
void datagrams_serve(struct sensor_thread *thread, const struct sensor_socket *socket);
