#include "fake_origin.h"

#include <arpa/inet.h>
#include <assert.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <libknot/packet/wire.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

static bool read_whole(int fd, uint8_t *ret_octets, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t count = recv(fd, ret_octets + at, size - at, 0);
        if (count <= 0)
            return false;
        at += (size_t)count;
    }
    return true;
}

static bool serve_tcp(struct fake_origin *origin, int fd)
{
    uint8_t length[2], query[65535];
    if (!read_whole(fd, length, 2))
        return false;
    const size_t size = (size_t)length[0] << 8 | length[1];
    if (!read_whole(fd, query, size))
        return false;
    const struct fake_exchange exchange = {
        .query = query, .query_size = size, .is_tcp = true, .fd = fd};
    origin->answer(origin->context, &exchange);
    return true;
}

static void serve_udp(struct fake_origin *origin)
{
    uint8_t query[4096];
    struct fake_exchange exchange = {.query = query, .fd = origin->udp_fd};
    socklen_t client_size = sizeof(exchange.client);
    const ssize_t size = recvfrom(origin->udp_fd, query, sizeof(query), 0,
                                  (struct sockaddr *)&exchange.client, &client_size);
    if (size < 12)
        return;
    exchange.query_size = (size_t)size;
    origin->answer(origin->context, &exchange);
}

static void *fake_origin_run(void *argument)
{
    struct fake_origin *origin = argument;
    for (;;) {
        struct pollfd fds[3 + FAKE_CONNECTIONS_MAX] = {
            {.fd = origin->stop_fd, .events = POLLIN},
            {.fd = origin->udp_fd, .events = POLLIN},
            {.fd = origin->listen_fd, .events = POLLIN},
        };
        const size_t count = origin->connection_count;
        for (size_t i = 0; i < count; i++)
            fds[3 + i] = (struct pollfd){.fd = origin->connections[i], .events = POLLIN};
        poll(fds, 3 + count, -1);

        if (fds[0].revents != 0)
            return NULL;
        if (fds[1].revents != 0)
            serve_udp(origin);
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            if (fds[3 + i].revents == 0 || serve_tcp(origin, fds[3 + i].fd))
                origin->connections[kept++] = fds[3 + i].fd;
            else
                close(fds[3 + i].fd);
        }
        origin->connection_count = kept;
        if (fds[2].revents != 0 && kept < FAKE_CONNECTIONS_MAX) {
            const int fd = accept(origin->listen_fd, NULL, NULL);
            if (fd >= 0)
                origin->connections[origin->connection_count++] = fd;
        }
    }
}

void fake_origin_start_at(struct fake_origin *origin, uint16_t port, fake_answer_fn *answer,
                          void *context)
{
    const int on = 1;
    socklen_t size = sizeof(origin->address);
    *origin = (struct fake_origin){
        .address = {.sin_family = AF_INET,
                    .sin_port = htons(port),
                    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)},
        .answer = answer,
        .context = context,
        .listen_fd = socket(AF_INET, SOCK_STREAM, 0),
        .udp_fd = socket(AF_INET, SOCK_DGRAM, 0),
        .stop_fd = eventfd(0, EFD_CLOEXEC),
    };
    setsockopt(origin->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(origin->listen_fd, (struct sockaddr *)&origin->address, size) != 0 ||
        listen(origin->listen_fd, 64) != 0 ||
        getsockname(origin->listen_fd, (struct sockaddr *)&origin->address, &size) != 0 ||
        bind(origin->udp_fd, (struct sockaddr *)&origin->address, size) != 0 ||
        pthread_create(&origin->thread, NULL, fake_origin_run, origin) != 0)
        abort();
}

void fake_origin_start(struct fake_origin *origin, fake_answer_fn *answer, void *context)
{
    fake_origin_start_at(origin, 0, answer, context);
}

void fake_origin_stop(struct fake_origin *origin)
{
    eventfd_write(origin->stop_fd, 1);
    pthread_join(origin->thread, NULL);
    for (size_t i = 0; i < origin->connection_count; i++)
        close(origin->connections[i]);
    close(origin->listen_fd);
    close(origin->udp_fd);
    close(origin->stop_fd);
}

static size_t question_size(const struct fake_exchange *exchange)
{
    return knot_dname_size(exchange->query + 12) + 4;
}

void message_begin(struct message *message, const struct fake_exchange *exchange,
                   bool with_question)
{
    memset(message->wire, 0, 12);
    message->size = 12;
    knot_wire_set_id(message->wire, knot_wire_get_id(exchange->query));
    knot_wire_set_qr(message->wire);
    knot_wire_set_aa(message->wire);
    if (with_question) {
        message_octets(message, exchange->query + 12, question_size(exchange));
        knot_wire_set_qdcount(message->wire, 1);
    }
}

void message_rcode(struct message *message, unsigned rcode)
{
    knot_wire_set_rcode(message->wire, (uint8_t)rcode);
}

void message_octets(struct message *message, const void *octets, size_t size)
{
    assert(message->size + size <= sizeof(message->wire));
    memcpy(message->wire + message->size, octets, size);
    message->size += size;
}

void message_add(struct message *message, const void *owner, size_t owner_size, uint16_t type,
                 uint16_t class, uint32_t ttl_s, const void *rdata, size_t rdata_size)
{
    uint8_t fixed[10];
    knot_wire_write_u16(fixed, type);
    knot_wire_write_u16(fixed + 2, class);
    knot_wire_write_u32(fixed + 4, ttl_s);
    knot_wire_write_u16(fixed + 8, (uint16_t)rdata_size);
    message_octets(message, owner, owner_size);
    message_octets(message, fixed, sizeof(fixed));
    message_octets(message, rdata, rdata_size);
    knot_wire_set_ancount(message->wire, (uint16_t)(knot_wire_get_ancount(message->wire) + 1));
}

static size_t name_from_text(uint8_t *ret_name, const char *text)
{
    if (knot_dname_from_str(ret_name, text, KNOT_DNAME_MAXLEN) == NULL)
        abort();
    return knot_dname_size(ret_name);
}

void message_add_soa(struct message *message, const char *apex, uint32_t serial, uint32_t refresh_s,
                     uint32_t retry_s, uint32_t expire_s)
{
    uint8_t owner[KNOT_DNAME_MAXLEN], rdata[600] = "\2ns";
    const size_t owner_size = name_from_text(owner, apex);
    const uint32_t numbers[5] = {serial, refresh_s, retry_s, expire_s, 60};
    size_t size = 3;

    memcpy(rdata + size, owner, owner_size);
    size += owner_size;
    memcpy(rdata + size, "\2hm", 3);
    memcpy(rdata + size + 3, owner, owner_size);
    size += 3 + owner_size;
    for (size_t i = 0; i < 5; i++, size += 4)
        knot_wire_write_u32(rdata + size, numbers[i]);
    message_add(message, owner, owner_size, KNOT_RRTYPE_SOA, KNOT_CLASS_IN, 300, rdata, size);
}

void message_add_ns(struct message *message, const char *apex)
{
    uint8_t owner[KNOT_DNAME_MAXLEN];
    const size_t owner_size = name_from_text(owner, apex);
    message_add(message, owner, owner_size, KNOT_RRTYPE_NS, KNOT_CLASS_IN, 300, "\2ns\7example",
                12);
}

void message_add_a(struct message *message, const char *owner_text, uint8_t last_octet)
{
    uint8_t owner[KNOT_DNAME_MAXLEN];
    const size_t owner_size = name_from_text(owner, owner_text);
    const uint8_t address[4] = {192, 0, 2, last_octet};
    message_add(message, owner, owner_size, KNOT_RRTYPE_A, KNOT_CLASS_IN, 300, address, 4);
}

void message_send(const struct message *message, const struct fake_exchange *exchange)
{
    if (!exchange->is_tcp) {
        sendto(exchange->fd, message->wire, message->size, 0,
               (const struct sockaddr *)&exchange->client, sizeof(exchange->client));
        return;
    }
    uint8_t length[2];
    knot_wire_write_u16(length, (uint16_t)message->size);
    /* A client that has hung up is what many tests are about. */
    send(exchange->fd, length, 2, MSG_NOSIGNAL | MSG_MORE);
    send(exchange->fd, message->wire, message->size, MSG_NOSIGNAL);
}

uint16_t exchange_type(const struct fake_exchange *exchange)
{
    return knot_wire_read_u16(exchange->query + 12 + question_size(exchange) - 4);
}

bool exchange_asks_for(const struct fake_exchange *exchange, const char *name)
{
    uint8_t wire[KNOT_DNAME_MAXLEN];
    name_from_text(wire, name);
    return knot_dname_is_case_equal(wire, exchange->query + 12);
}
