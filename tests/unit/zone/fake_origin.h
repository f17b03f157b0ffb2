/* A scripted origin for tests: a thread on loopback that answers as it is told, octet by octet. */
#pragma once

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/* A message under construction; nothing about it needs to be right. */
struct message {
    size_t size;
    uint8_t wire[65535];
};

struct fake_exchange {
    const uint8_t *query;
    size_t query_size;
    bool is_tcp;
    int fd;
    struct sockaddr_in client; /* of a datagram */
};

typedef void fake_answer_fn(void *context, const struct fake_exchange *exchange);

#define FAKE_CONNECTIONS_MAX 64

struct fake_origin {
    struct sockaddr_in address;
    fake_answer_fn *answer;
    void *context;
    pthread_t thread;
    int listen_fd, udp_fd, stop_fd;
    int connections[FAKE_CONNECTIONS_MAX];
    size_t connection_count;
};

void fake_origin_start(struct fake_origin *origin, fake_answer_fn *answer, void *context);

/* The same at a given port, for an origin that comes back. */
void fake_origin_start_at(struct fake_origin *origin, uint16_t port, fake_answer_fn *answer,
                          void *context);
void fake_origin_stop(struct fake_origin *origin);

/* Begins an answer to the exchange's query: QR and AA set, its question unless told otherwise. */
void message_begin(struct message *message, const struct fake_exchange *exchange,
                   bool with_question);
void message_rcode(struct message *message, unsigned rcode);
void message_octets(struct message *message, const void *octets, size_t size);

/* Adds a record to the answer section, owner and rdata as they stand. */
void message_add(struct message *message, const void *owner, size_t owner_size, uint16_t type,
                 uint16_t class, uint32_t ttl_s, const void *rdata, size_t rdata_size);

/* A SOA of names `ns` and `hm` below the apex, and other records of a.example. */
void message_add_soa(struct message *message, const char *apex, uint32_t serial, uint32_t refresh_s,
                     uint32_t retry_s, uint32_t expire_s);
void message_add_ns(struct message *message, const char *apex);
void message_add_a(struct message *message, const char *owner, uint8_t last_octet);

/* Sends it with its length in front on TCP, bare on UDP. */
void message_send(const struct message *message, const struct fake_exchange *exchange);

/* The QTYPE of the query, and whether its name is `name` (text). */
uint16_t exchange_type(const struct fake_exchange *exchange);
bool exchange_asks_for(const struct fake_exchange *exchange, const char *name);
