/* Answers about the orders' zones: SOA over UDP and TCP, AXFR over TCP, all signed (RFC 8945).
 *
 * A few servers ask a few times a minute: one thread takes datagrams and connections, and each
 * connection has a thread that may block on it. */
#include <errno.h>
#include <libknot/consts.h>
#include <libknot/descriptor.h>
#include <libknot/packet/wire.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/zone_publisher_internal.h"
#include "dns/request.h"
#include "zone/origin_link.h"

#define CONNECTIONS_MAX 64
#define LISTEN_BACKLOG  64
#define IDLE_S          10 /* without an octet, either way */

/* However slowly a client reads, its view of a zone is not held longer. */
#define TRANSFER_MS_MAX (3600 * INT64_C(1000))

/* As of transfers by tamisd: names can be pointed to only in the first 16 KiB. */
#define MESSAGE_SIZE  ((size_t)16 * 1024)
#define DATAGRAM_SIZE 1232
#define OPT_SIZE      11

struct connection {
    struct zone_server *server;
    pthread_t thread;
    int fd; /* -1: the thread is done */
    bool is_used;
    uint8_t request[KNOT_WIRE_MAX_PKTSIZE], message[KNOT_WIRE_MAX_PKTSIZE];
};

struct zone_server {
    struct zone_publisher *publisher;
    struct tsig_keyring *keyring;
    int *sockets; /* of each address a UDP and a TCP socket */
    size_t socket_count;
    int stop_fd;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock; /* over the connections' fd and is_used */
    struct connection *connections[CONNECTIONS_MAX];
    struct zone_server_figures figures;
};

struct zone_server_figures *zone_server_figures(struct zone_server *server)
{
    return &server->figures;
}

/* ---- One exchange ---- */

/* A request, and how far its answer is. */
struct exchange {
    struct zone_server *server;
    struct request request;
    struct name name;
    struct tsig_server tsig;
    struct transfer_out *out;
    uint8_t rcode;
    bool is_signed, is_stream, has_begun;
    int64_t begun_ms;
};

/* Whoever has not the key learns nothing, not even which zones there are. */
static uint8_t client_check(struct exchange *exchange)
{
    const struct request *request = &exchange->request;

    if (!request->has_tsig)
        return KNOT_RCODE_REFUSED;
    exchange->is_signed = true;
    uint8_t rcode = tsig_server_check(exchange->server->keyring, request->wire, request->size,
                                      request->tsig_offset, time(NULL), &exchange->tsig);
    if (rcode == KNOT_RCODE_FORMERR)
        exchange->is_signed = false; /* what cannot be read cannot be answered in kind */
    return rcode;
}

static uint8_t zone_open(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    enum opening opening;

    switch (request->qtype) {
    case KNOT_RRTYPE_SOA:
        opening = OPEN_SOA;
        break;
    case KNOT_RRTYPE_AXFR:
        if (!exchange->is_stream)
            return KNOT_RCODE_NOTIMPL; /* RFC 5936, 4.2 */
        opening = OPEN_WHOLE;
        break;
    case KNOT_RRTYPE_IXFR:
        /* The SOA alone has the client come back by TCP (RFC 1995, 2). */
        opening = exchange->is_stream ? OPEN_SINCE : OPEN_SOA;
        break;
    default:
        return KNOT_RCODE_REFUSED;
    }
    int rc = zone_publisher_open(exchange->server->publisher, exchange->name.wire, opening,
                                 request->ixfr_serial, &exchange->out);
    if (rc == 0 && opening != OPEN_SOA)
        atomic_fetch_add(&exchange->server->figures.transfers, 1);
    return rc == 0 ? KNOT_RCODE_NOERROR : rc == -ENOENT ? KNOT_RCODE_NOTAUTH : KNOT_RCODE_SERVFAIL;
}

static uint8_t request_check(struct exchange *exchange)
{
    const struct request *request = &exchange->request;

    uint8_t rcode = client_check(exchange);
    if (rcode != KNOT_RCODE_NOERROR)
        return rcode;
    if (request->opcode != KNOT_OPCODE_QUERY)
        return KNOT_RCODE_NOTIMPL;
    if (!request->has_question || request->qclass != KNOT_CLASS_IN)
        return KNOT_RCODE_REFUSED;
    return zone_open(exchange);
}

/* Whether there is anything to answer. */
static bool exchange_begin(struct exchange *exchange, struct zone_server *server,
                           const uint8_t *wire, size_t size, bool is_stream)
{
    *exchange =
        (struct exchange){.server = server, .is_stream = is_stream, .begun_ms = monotonic_ms()};
    enum request_status status = request_parse(&exchange->request, &exchange->name, wire, size);
    if (status == REQUEST_IGNORE)
        return false;
    exchange->rcode = status == REQUEST_MALFORMED ? KNOT_RCODE_FORMERR : request_check(exchange);
    if (exchange->rcode != KNOT_RCODE_NOERROR)
        atomic_fetch_add(&server->figures.refused, 1);
    return true;
}

static size_t refusal_make(const struct exchange *exchange, uint8_t *message)
{
    const struct request *request = &exchange->request;

    memcpy(message, request->wire, request->question_end);
    knot_wire_write_u16(message + 2,
                        (uint16_t)(0x8000 | (request->flags & 0x7900) | exchange->rcode));
    knot_wire_set_qdcount(message, request->has_question);
    knot_wire_set_ancount(message, 0);
    knot_wire_set_nscount(message, 0);
    knot_wire_set_arcount(message, 0);
    return request->question_end;
}

static size_t opt_put(uint8_t *message, size_t size)
{
    uint8_t *opt = message + size;

    memset(opt, 0, OPT_SIZE);
    knot_wire_write_u16(opt + 1, KNOT_RRTYPE_OPT);
    knot_wire_write_u16(opt + 3, DATAGRAM_SIZE);
    knot_wire_set_arcount(message, 1);
    return size + OPT_SIZE;
}

/* Writes the next message; 0 behind the last, negative when there is no way to go on. */
static int exchange_next(struct exchange *exchange, uint8_t *message, size_t message_max)
{
    bool wants_opt = !exchange->has_begun && exchange->request.has_edns;
    const size_t reserved =
        (wants_opt ? OPT_SIZE : 0) + (exchange->is_signed ? tsig_server_size(&exchange->tsig) : 0);
    size_t max = exchange->is_stream ? MESSAGE_SIZE : DATAGRAM_SIZE;
    int made = 0;

    if (exchange->out != NULL) {
        made = transfer_out_next(exchange->out, exchange->request.wire,
                                 exchange->request.question_end, message, max, reserved);
        if (made == -EMSGSIZE && exchange->is_stream)
            made =
                transfer_out_next(exchange->out, exchange->request.wire,
                                  exchange->request.question_end, message, message_max, reserved);
    } else if (!exchange->has_begun) {
        made = (int)refusal_make(exchange, message);
    }
    if (made <= 0)
        return made;
    size_t size = (size_t)made;
    if (wants_opt && exchange->rcode != KNOT_RCODE_FORMERR)
        size = opt_put(message, size);
    exchange->has_begun = true;
    if (exchange->is_signed &&
        tsig_server_sign(&exchange->tsig, message, &size, message_max, time(NULL)) < 0)
        return -ENOMEM;
    return (int)size;
}

/* ---- UDP ---- */

static void datagram_answer(struct zone_server *server, int socket)
{
    uint8_t wire[KNOT_WIRE_MAX_PKTSIZE / 16], message[4 * DATAGRAM_SIZE];
    struct sockaddr_storage from;
    socklen_t from_size = sizeof(from);
    struct exchange exchange;

    ssize_t size =
        recvfrom(socket, wire, sizeof(wire), MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
    if (size < 0 || !exchange_begin(&exchange, server, wire, (size_t)size, false))
        return;
    int made = exchange_next(&exchange, message, sizeof(message));
    transfer_out_free(exchange.out);
    if (made > 0)
        (void)!sendto(socket, message, (size_t)made, MSG_DONTWAIT | MSG_NOSIGNAL,
                      (struct sockaddr *)&from, from_size);
}

/* ---- TCP ---- */

static bool receive_all(int fd, uint8_t *octets, size_t size)
{
    while (size > 0) {
        ssize_t got = recv(fd, octets, size, 0);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        octets += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
    return true;
}

static bool send_all(int fd, const uint8_t *octets, size_t size, int flags)
{
    while (size > 0) {
        ssize_t sent = send(fd, octets, size, MSG_NOSIGNAL | flags);
        if (sent < 0 && errno != EINTR)
            return false;
        octets += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

static bool stream_answer(struct connection *connection, struct exchange *exchange)
{
    uint8_t length[2];
    int made;

    while ((made = exchange_next(exchange, connection->message, sizeof(connection->message))) > 0) {
        knot_wire_write_u16(length, (uint16_t)made);
        if (!send_all(connection->fd, length, sizeof(length), MSG_MORE) ||
            !send_all(connection->fd, connection->message, (size_t)made, 0) ||
            monotonic_ms() - exchange->begun_ms > TRANSFER_MS_MAX)
            return false;
    }
    return made == 0;
}

static bool stream_serve(struct connection *connection)
{
    struct exchange exchange;
    uint8_t length[2];

    if (!receive_all(connection->fd, length, sizeof(length)))
        return false;
    size_t size = knot_wire_read_u16(length);
    if (!receive_all(connection->fd, connection->request, size) ||
        !exchange_begin(&exchange, connection->server, connection->request, size, true))
        return false;
    bool is_fine = stream_answer(connection, &exchange);
    transfer_out_free(exchange.out);
    return is_fine;
}

static void *connection_run(void *context)
{
    struct connection *connection = context;
    struct zone_server *server = connection->server;

    while (stream_serve(connection))
        ;
    pthread_mutex_lock(&server->lock);
    close(connection->fd);
    connection->fd = -1;
    pthread_mutex_unlock(&server->lock);
    return NULL;
}

/* A place whose thread is done, or NULL. */
static struct connection *connection_place(struct zone_server *server)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = server->connections[i];
        if (connection == NULL)
            return server->connections[i] = calloc(1, sizeof(*connection));
        pthread_mutex_lock(&server->lock);
        bool is_done = !connection->is_used || connection->fd < 0;
        pthread_mutex_unlock(&server->lock);
        if (!is_done)
            continue;
        if (connection->is_used)
            pthread_join(connection->thread, NULL);
        connection->is_used = false;
        return connection;
    }
    return NULL;
}

static void connection_accept(struct zone_server *server, int socket)
{
    const struct timeval idle = {.tv_sec = IDLE_S};
    const int one = 1;

    int fd = accept4(socket, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &idle, sizeof(idle));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &idle, sizeof(idle));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    struct connection *connection = connection_place(server);
    if (connection == NULL) {
        close(fd);
        return;
    }
    connection->server = server;
    connection->fd = fd;
    if (pthread_create(&connection->thread, NULL, connection_run, connection) == 0)
        connection->is_used = true;
    else
        close(fd);
}

static void *server_run(void *context)
{
    struct zone_server *server = context;
    struct pollfd *waits = calloc(server->socket_count + 1, sizeof(*waits));

    if (waits == NULL) {
        log_event(LOG_ERR, "out of memory: no server gets the orders' zones");
        return NULL;
    }
    for (size_t i = 0; i < server->socket_count; i++)
        waits[i] = (struct pollfd){.fd = server->sockets[i], .events = POLLIN};
    waits[server->socket_count] = (struct pollfd){.fd = server->stop_fd, .events = POLLIN};
    while (waits[server->socket_count].revents == 0) {
        if (poll(waits, server->socket_count + 1, -1) < 0)
            continue;
        for (size_t i = 0; i < server->socket_count; i++) {
            if (waits[i].revents == 0)
                continue;
            if (i % 2 == 0)
                datagram_answer(server, waits[i].fd);
            else
                connection_accept(server, waits[i].fd);
        }
    }
    free(waits);
    return NULL;
}

/* ---- Life ---- */

static int socket_open(const struct config_address *address, int type, int *ret_fd,
                       struct error *ret_error)
{
    const int one = 1;
    int family = address->address.ss_family;

    int fd = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
    if (fd >= 0 && type == SOCK_STREAM)
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address->address, address->size) < 0 ||
        (type == SOCK_STREAM && listen(fd, LISTEN_BACKLOG) < 0)) {
        int code = errno;
        if (fd >= 0)
            close(fd);
        return error_set(ret_error, -code,
                         "cannot listen on %s for transfers: %s; change orders.listen",
                         address->text, strerror(code));
    }
    *ret_fd = fd;
    return 0;
}

static int server_prepare(struct zone_server *server, const struct desk_config_orders *config,
                          struct error *ret_error)
{
    const struct transfer_key key = {config->key->name, config->key->algorithm,
                                     config->key->secret};
    int rc = tsig_keyring_create(&key, 1, &server->keyring, ret_error);
    if (rc < 0)
        return rc;
    server->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->sockets = calloc(2 * config->listen_count, sizeof(int));
    if (server->stop_fd < 0 || server->sockets == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the orders' zones");
    for (size_t i = 0; i < 2 * config->listen_count && rc == 0; i++) {
        rc = socket_open(&config->listen[i / 2], i % 2 == 0 ? SOCK_DGRAM : SOCK_STREAM,
                         &server->sockets[i], ret_error);
        server->socket_count += rc == 0;
    }
    if (rc == 0) {
        rc = -pthread_create(&server->thread, NULL, server_run, server);
        server->has_thread = rc == 0;
        if (rc < 0)
            rc = error_set(ret_error, rc, "no thread for the orders' zones");
    }
    return rc;
}

int zone_server_start(struct zone_publisher *publisher, const struct desk_config_orders *config,
                      struct zone_server **ret_server, struct error *ret_error)
{
    struct zone_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the orders' zones");
    server->publisher = publisher;
    server->stop_fd = -1;
    pthread_mutex_init(&server->lock, NULL);
    int rc = server_prepare(server, config, ret_error);
    if (rc < 0) {
        zone_server_stop(server);
        return rc;
    }
    *ret_server = server;
    return 0;
}

static void connections_end(struct zone_server *server)
{
    for (size_t i = 0; i < CONNECTIONS_MAX; i++) {
        struct connection *connection = server->connections[i];
        if (connection == NULL)
            continue;
        pthread_mutex_lock(&server->lock);
        if (connection->is_used && connection->fd >= 0)
            (void)shutdown(connection->fd, SHUT_RDWR);
        pthread_mutex_unlock(&server->lock);
        if (connection->is_used)
            pthread_join(connection->thread, NULL);
        free(connection);
    }
}

void zone_server_stop(struct zone_server *server)
{
    if (server == NULL)
        return;
    if (server->has_thread) {
        (void)eventfd_write(server->stop_fd, 1);
        pthread_join(server->thread, NULL);
    }
    connections_end(server);
    for (size_t i = 0; i < server->socket_count; i++)
        close(server->sockets[i]);
    if (server->stop_fd >= 0)
        close(server->stop_fd);
    free(server->sockets);
    tsig_keyring_free(server->keyring);
    pthread_mutex_destroy(&server->lock);
    free(server);
}
