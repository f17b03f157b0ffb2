/* What the UDP part, the TCP part and the loop of an exchange share. */
#pragma once

#include <assert.h>
#include <sys/epoll.h>

#include "cli/prove_exchange.h"

/* Sockets of a side: a server that spreads its sockets over threads by address and port
 * (SO_REUSEPORT) then uses more than one of them. */
#define UDP_SOCKETS 4

/* Datagrams of one system call: enough that its cost is small beside theirs. */
#define UDP_BATCH 64

/* Room for an answer over UDP: 1232 octets are what we allow a server to send, more is taken so
 * that a server that ignores the bound can be told from one that cuts its answers. */
#define UDP_ANSWER_SIZE_MAX 4096

/* Connections of a side, and queries that one of them carries at a time: enough to hide the round
 * trip of a distant server, few enough for per-client limits. */
#define TCP_STREAMS      4
#define TCP_PIPELINE_MAX 32

/* Each is sent from another socket, so that an answer tells which try it is for. */
#define UDP_TRIES_MAX 3
static_assert(UDP_TRIES_MAX <= UDP_SOCKETS, "each try has a socket");

#define TCP_TRIES_MAX 3

/* Header, longest name, type and class, OPT record. */
#define QUERY_SIZE_MAX (12 + NAME_SIZE_MAX + 4 + 11)

enum query_state { QUERY_DONE, QUERY_UDP, QUERY_TCP_QUEUED, QUERY_TCP };

/* One question towards one side. */
struct query {
    uint16_t id;
    enum query_state state;
    uint8_t tries;
    uint8_t channel; /* UDP socket of the first try, or TCP stream that carries it */
    bool over_tcp;
    enum exchange_outcome outcome;
    uint64_t sent_us[UDP_TRIES_MAX]; /* each try over UDP */
    uint64_t due_us;
    uint8_t *octets; /* the answer */
    size_t size, capacity;
};

enum slot_state { SLOT_FREE, SLOT_ACTIVE, SLOT_PAUSED };

struct slot {
    struct exchange_question question;
    enum slot_state state;
    struct query queries[EXCHANGE_SIDES];
    uint64_t resume_us; /* of a paused slot */
    uint32_t next;      /* free list, and queue of paused slots */
};

struct udp_socket {
    int fd;
    unsigned pending;                   /* filled elements of the arrays */
    struct mmsghdr messages[UDP_BATCH]; /* queries to send */
    struct iovec vectors[UDP_BATCH];
    uint8_t octets[UDP_BATCH][QUERY_SIZE_MAX];
};

struct tcp_stream {
    int fd; /* -1: closed */
    bool connected;
    unsigned outstanding;
    uint8_t *in; /* length and message, while it is incomplete */
    size_t in_size;
    size_t out_size, out_sent;
    uint8_t out[TCP_PIPELINE_MAX * (2 + QUERY_SIZE_MAX)];
};

struct side {
    struct exchange_address address;
    struct udp_socket sockets[UDP_SOCKETS];
    struct tcp_stream streams[TCP_STREAMS];
    unsigned socket_next;             /* round robin */
    unsigned tcp_queued;              /* slots in QUERY_TCP_QUEUED */
    unsigned silent_streak;           /* questions without an answer since the last answer */
    uint64_t rtt_us, rtt_variance_us; /* round trip; 0: none seen yet */
    uint64_t rtt_min_us;
    uint64_t tcp_retry_us;      /* no connection is tried before */
    uint16_t slot_by_id[65536]; /* index + 1; 0: the id is free */
};

struct exchange {
    struct exchange_options options;
    const struct exchange_client *client;
    struct exchange_counts counts;
    struct side sides[EXCHANGE_SIDES];

    struct slot *slots;
    uint32_t slot_count, slot_free, slot_used; /* used: slots at and above were never taken */
    uint32_t paused_first, paused_last, paused_count;
    unsigned active;

    double window, window_threshold;
    uint64_t window_cut_us;
    struct pace own_pace; /* of rate_max */
    struct pace *pace;
    bool held_back; /* by the pace: it may be a question's turn before the next event */
    uint64_t now_us;

    int epoll;
    uint16_t random[2048];
    unsigned random_left;

    struct mmsghdr in_messages[UDP_BATCH];
    struct iovec in_vectors[UDP_BATCH];
    uint8_t in_octets[UDP_BATCH][UDP_ANSWER_SIZE_MAX];
};

/* epoll's user value: which channel of which side. */
enum channel_kind { CHANNEL_UDP, CHANNEL_TCP };

static inline uint64_t channel_tag(enum channel_kind kind, enum exchange_side side, unsigned index)
{
    return (uint64_t)kind << 32 | (uint64_t)side << 16 | index;
}

/* Writes the query of `slot` for `side`; returns its size, at most QUERY_SIZE_MAX. */
size_t query_write(uint8_t *ret_octets, const struct slot *slot, enum exchange_side side);

/* Finds what a message answers: id in flight, QR set, the same question in any letter case.
 * A header alone is taken for an error that the server could not put a question to. */
struct slot *query_match(struct exchange *exchange, enum exchange_side side, const uint8_t *message,
                         size_t size);

/* The query is through: keeps the answer, if there is one, and completes the question when the
 * other side is through as well. */
void query_finish(struct exchange *exchange, struct slot *slot, enum exchange_side side,
                  enum exchange_outcome outcome, uint8_t *message, size_t size);

/* prove_udp.c */
_must_check_ int udp_open(struct exchange *exchange, enum exchange_side side,
                          struct error *ret_error);
void udp_close(struct exchange *exchange, enum exchange_side side);
void udp_send(struct exchange *exchange, struct slot *slot, enum exchange_side side);
void udp_flush(struct exchange *exchange, enum exchange_side side);
void udp_receive(struct exchange *exchange, enum exchange_side side, unsigned index);

/* prove_tcp.c */
void tcp_init(struct exchange *exchange, enum exchange_side side);
/* Closes all streams; later queries open new ones. */
void tcp_close(struct exchange *exchange, enum exchange_side side);
/* Takes a query over that was truncated over UDP. */
void tcp_queue(struct exchange *exchange, struct slot *slot, enum exchange_side side);
/* Hands queued queries to streams with room. */
void tcp_pump(struct exchange *exchange, enum exchange_side side);
void tcp_event(struct exchange *exchange, enum exchange_side side, unsigned index, uint32_t events);
/* A query's time is up. */
void tcp_expire(struct exchange *exchange, struct slot *slot, enum exchange_side side);
