/* Answers that are made later and by another thread than the worker that read the request. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "server/responder.h"

struct worker;

/* Where an answer goes, by worker_route_current(). A value: copied, it stays good as long as the
 * pool of workers. */
struct reply_route {
    struct worker *worker;
    enum transport transport;
    /* Of UDP: the socket, the client, and the address that the request came to (a control message;
     * size 0: the socket has but one). Of TCP: the client alone, for the access lists. */
    int fd;
    union {
        struct sockaddr any;
        struct sockaddr_in ipv4;
        struct sockaddr_in6 ipv6;
    } peer;
    socklen_t peer_size;
    _Alignas(struct cmsghdr) uint8_t control[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    size_t control_size;
    /* Of TCP: the worker's name for the connection; one that is gone takes no answer. */
    uint64_t connection;
};

/* What becomes of the connection behind a reply; of TCP alone. */
enum reply_next {
    REPLY_LAST,  /* the request is answered */
    REPLY_MORE,  /* another reply to the same request follows */
    REPLY_CLOSE, /* the rest cannot be told: the reply is not sent and the connection is closed */
};

/* Who wants to know when a reply has left, so as not to make more than the client reads. */
struct reply_watch {
    /* Called once, by the worker or within reply_send(); returns at once. `is_sent`: the system has
     * taken the whole reply and what waited before it; else the client is gone. */
    void (*done)(struct reply_watch *watch, bool is_sent);
    struct reply_watch *next; /* the worker's */
};

struct reply {
    const struct reply_route *route;
    const uint8_t *wire;
    size_t size; /* 0: there is no answer after all */
    enum reply_next next;
    struct reply_watch *watch; /* of TCP alone; NULL: nobody; lives until it is called */
};

/* Sends the replies as far as their clients are still there. Any thread; never waits. A datagram
 * that the system does not take at once is dropped, as on the way anywhere. */
void reply_send(const struct reply *replies, size_t count);
