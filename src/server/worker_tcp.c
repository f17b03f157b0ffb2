/* DNS over TCP (RFC 7766), in the clear and with TLS (RFC 7858): connections, framing, limits,
 * deadlines.
 *
 * A client costs one slot while it is idle: buffers exist only while a request is incomplete or
 * answers wait for the client to read. A turn is one read, the answers to what it completed, and
 * one write; epoll's level-triggered queue then gives the next client its turn, so that no client
 * gets more than its share however much it sends.
 *
 * While answers wait, nothing more is read from that client. All deadlines are the same time away,
 * so one list in order of deadline serves expiry and the choice of whom to displace. A TLS
 * handshake has to be done by the first deadline: its octets don't extend it.
 */
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/rcu.h"
#include "server/worker_internal.h"

/* Octets of the length before each message (RFC 1035, 4.2.2). */
#define PREFIX_SIZE 2

#define REQUEST_SIZE_MAX 65535

/* Octets read in a turn: about 80 pipelined requests, as many as a UDP batch. A longer request gets
 * a buffer of its own size. */
#define READ_SIZE 4096

/* Octets of answers made in a turn, at least one of any size. What the client doesn't read of them
 * waits in its buffer, so this also bounds what a stalled client costs: 80 KiB and a request. */
#define WRITE_SIZE (16 * 1024 + PREFIX_SIZE + RESPONSE_SIZE_MAX)

/* With no descriptor or memory left for a connection, accepting pauses: retrying at once would
 * spin, as the listener stays readable. */
#define ACCEPT_PAUSE_MS 100

/* Answers of one client that other threads may be making at a time: beyond, it is not read from, so
 * that a client which asks and does not listen costs no more than these. */
#define LATE_MAX 256

/* How long such an answer keeps a connection from being idle: longer than any takes, and the end of
 * one that was lost for want of memory. */
#define LATE_MS_MAX 60000

/* Octets that the system takes ahead of what it may send: so a client that reads slowly shows that
 * it reads, every few seconds and not every few megabytes, and one that does not costs little. */
#define UNSENT_MAX (128 * 1024)

/* Fast open cookies outstanding (RFC 7413); used only where the system allows it. */
#define FAST_OPEN_QUEUE 256

struct tcp_client {
    struct endpoint endpoint;
    uint32_t events; /* what epoll watches for */
    int64_t deadline_ms;
    struct tcp_client *older, *newer; /* by deadline; free slots chain through `newer` */
    struct tcp_client *bucket_next;
    uint64_t address_key;
    uint8_t *input; /* received and not answered; NULL when there is none */
    uint32_t input_size, input_capacity;
    uint32_t output_start, output_size;
    uint8_t *output; /* answered and not sent; NULL when there is none */
    union peer peer;
    socklen_t peer_size;
    bool is_tls, is_secured;     /* to be encrypted; its handshake is done */
    struct tls_session *tls;     /* NULL: in the clear, or nothing was received yet */
    enum transport transport;    /* of requests, which come after the handshake */
    uint32_t generation;         /* tells the clients that had the slot one after the other apart */
    uint32_t late;               /* answers that other threads are making */
    int64_t late_ms;             /* when one of them was last asked for or came */
    bool has_ended;              /* the client sends no more, and waits for its late answers */
    struct reply_watch *watches; /* of answers that wait in `output` */
};

struct tcp_server {
    struct tcp_limits limits;
    struct tcp_client *clients; /* clients_max slots; untouched ones have no page */
    unsigned slots_used;        /* slots that were ever taken */
    struct tcp_client *free;
    struct tcp_client *oldest, *newest;
    struct tcp_client **buckets; /* clients by address, to count those of one */
    uint64_t bucket_mask, bucket_secret;
    size_t open;
    int64_t accept_resume_ms; /* 0: not paused */
    uint8_t read[READ_SIZE];
    uint8_t write[WRITE_SIZE];
};

static_assert(offsetof(struct tcp_client, endpoint) == 0, "epoll's data points to the endpoint");

/* What a turn has to say about the connection. */
enum turn {
    TURN_NOTHING,  /* nothing to read */
    TURN_PROGRESS, /* octets came or went */
    TURN_CLOSE     /* the client is gone, broke the protocol, or there is no memory for it */
};

static uint16_t get_length(const uint8_t *octets)
{
    return (uint16_t)(octets[0] << 8 | octets[1]);
}

static void set_length(uint8_t *octets, size_t length)
{
    octets[0] = (uint8_t)(length >> 8);
    octets[1] = (uint8_t)length;
}

static bool has_request(const uint8_t *octets, size_t size)
{
    return size >= PREFIX_SIZE && size - PREFIX_SIZE >= get_length(octets);
}

/* The part of an address that one client can be held to: IPv4 whole, IPv6 its /64, since a customer
 * gets at least that much to choose from. */
static uint64_t address_key(const union peer *peer)
{
    if (peer->any.sa_family == AF_INET)
        return peer->ipv4.sin_addr.s_addr;

    uint64_t key;
    memcpy(&key, &peer->ipv6.sin6_addr, sizeof(key));
    return key;
}

static struct tcp_client **address_bucket(struct tcp_server *server, uint64_t key)
{
    /* Keyed, so that nobody can choose addresses that share a bucket. */
    uint64_t hash = key ^ server->bucket_secret;
    hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
    return &server->buckets[(hash ^ hash >> 33) & server->bucket_mask];
}

static unsigned address_count(struct tcp_server *server, uint64_t key)
{
    unsigned count = 0;
    for (const struct tcp_client *client = *address_bucket(server, key); client != NULL;
         client = client->bucket_next)
        count += client->address_key == key;
    return count;
}

static void list_remove(struct tcp_server *server, struct tcp_client *client)
{
    if (client->older != NULL)
        client->older->newer = client->newer;
    else
        server->oldest = client->newer;
    if (client->newer != NULL)
        client->newer->older = client->older;
    else
        server->newest = client->older;
}

static void list_append(struct tcp_server *server, struct tcp_client *client)
{
    client->older = server->newest;
    client->newer = NULL;
    if (server->newest != NULL)
        server->newest->newer = client;
    else
        server->oldest = client;
    server->newest = client;
}

/* Starts the client's time anew. */
static void client_touch(struct worker *worker, struct tcp_client *client)
{
    client->deadline_ms = worker->now_ms + worker->tcp->limits.idle_timeout_ms;
    list_remove(worker->tcp, client);
    list_append(worker->tcp, client);
}

static void client_release_buffers(struct tcp_client *client)
{
    free(TAKE(client->input));
    client->input_size = client->input_capacity = 0;
    free(TAKE(client->output));
    client->output_start = client->output_size = 0;
}

static void count_open(struct worker *worker)
{
    __atomic_store_n(&worker->counters.tcp_clients, worker->tcp->open, __ATOMIC_RELAXED);
}

/* Tells who watches answers of the client that all are sent, or that it is gone. */
static void client_tell(struct tcp_client *client, bool is_sent)
{
    struct reply_watch *watch = TAKE(client->watches);
    while (watch != NULL) {
        struct reply_watch *next = watch->next;
        watch->done(watch, is_sent);
        watch = next;
    }
}

static void client_close(struct worker *worker, struct tcp_client *client)
{
    struct tcp_server *server = worker->tcp;

    if (client->is_tls && !client->is_secured)
        counter_add(&worker->counters.tls_handshake_failures, 1);
    tls_session_free(TAKE(client->tls));
    close(client->endpoint.fd); /* epoll forgets it by itself */
    client->endpoint.fd = -1;
    client_release_buffers(client);
    client_tell(client, false);

    struct tcp_client **link = address_bucket(server, client->address_key);
    while (*link != client)
        link = &(*link)->bucket_next;
    *link = client->bucket_next;

    list_remove(server, client);
    client->newer = server->free;
    server->free = client;
    server->open--;
    count_open(worker);
}

/* Takes a free slot; there is one, because the limit was enforced before. */
static struct tcp_client *client_slot(struct tcp_server *server)
{
    struct tcp_client *client = server->free;
    if (client != NULL) {
        server->free = client->newer;
    } else {
        assert(server->slots_used < server->limits.clients_max);
        client = &server->clients[server->slots_used++];
    }
    const uint32_t generation = client->generation + 1;
    memset(client, 0, sizeof(*client));
    client->generation = generation;
    return client;
}

/* Takes over `fd` in every case. */
static void client_open(struct worker *worker, int fd, const union peer *peer, socklen_t peer_size,
                        bool is_tls)
{
    struct tcp_server *server = worker->tcp;
    uint64_t key = address_key(peer);

    if (address_count(server, key) >= server->limits.clients_per_address_max) {
        counter_add(&worker->counters.tcp_refused, 1);
        close(fd);
        return;
    }
    if (server->open >= server->limits.clients_max) {
        counter_add(&worker->counters.tcp_displaced, 1);
        client_close(worker, server->oldest);
    }

    struct tcp_client *client = client_slot(server);
    client->endpoint = (struct endpoint){.kind = ENDPOINT_CLIENT, .fd = fd};
    client->events = EPOLLIN;
    client->peer = *peer;
    client->peer_size = peer_size;
    client->is_tls = is_tls;
    client->transport = TRANSPORT_TCP;
    client->address_key = key;
    client->deadline_ms = worker->now_ms + server->limits.idle_timeout_ms;

    struct tcp_client **bucket = address_bucket(server, key);
    client->bucket_next = *bucket;
    *bucket = client;
    list_append(server, client);
    server->open++;
    count_open(worker);
    counter_add(&worker->counters.tcp_connections, 1);

    struct epoll_event event = {.events = client->events, .data.ptr = client};
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
        client_close(worker, client);
}

static int client_watch(struct worker *worker, struct tcp_client *client, uint32_t events)
{
    if (client->events == events)
        return 0;

    struct epoll_event event = {.events = events, .data.ptr = client};
    if (epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, client->endpoint.fd, &event) < 0)
        return -errno;
    client->events = events;
    return 0;
}

/* Sends of `size` octets what the system takes. Returns the number sent, or a negative errno. */
static ssize_t send_some(struct tcp_client *client, const uint8_t *octets, size_t size)
{
    if (client->is_tls)
        return tls_session_send(client->tls, octets, size);

    ssize_t sent = send(client->endpoint.fd, octets, size, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return sent;
}

/* Receives at most `size` octets. Returns 0 when there are none now, or a negative errno when there
 * will be no more. */
static ssize_t receive_some(struct tcp_client *client, uint8_t *ret_octets, size_t size)
{
    if (client->is_tls)
        return tls_session_receive(client->tls, ret_octets, size);

    ssize_t received = recv(client->endpoint.fd, ret_octets, size, MSG_DONTWAIT);
    if (received < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    return received == 0 ? -ENODATA : received; /* the client has sent its last octet */
}

/* Sends what waits for the client to read. */
static enum turn client_flush(struct worker *worker, struct tcp_client *client)
{
    ssize_t sent = send_some(client, client->output + client->output_start,
                             client->output_size - client->output_start);
    if (sent < 0)
        return TURN_CLOSE;

    client->output_start += (uint32_t)sent;
    if (client->output_start == client->output_size) {
        free(TAKE(client->output));
        client_touch(worker, client);
        client_tell(client, true);
    }
    return sent > 0 ? TURN_PROGRESS : TURN_NOTHING;
}

/* Sends the turn's answers, keeping what the system doesn't take. */
static enum turn client_send(struct tcp_client *client, const uint8_t *answers, size_t size)
{
    ssize_t sent = send_some(client, answers, size);
    if (sent < 0)
        return TURN_CLOSE;
    if ((size_t)sent == size)
        return TURN_PROGRESS;

    client->output = malloc(size - (size_t)sent);
    if (client->output == NULL)
        return TURN_CLOSE;
    client->output_start = 0;
    client->output_size = (uint32_t)(size - (size_t)sent);
    memcpy(client->output, answers + sent, client->output_size);
    return TURN_PROGRESS;
}

/* Room for the request that the input begins with, as far as its length is known. */
static size_t room_wanted(const uint8_t *octets, size_t size)
{
    return size < PREFIX_SIZE ? PREFIX_SIZE : PREFIX_SIZE + (size_t)get_length(octets);
}

static int input_reserve(struct tcp_client *client, size_t capacity)
{
    if (client->input_capacity >= capacity)
        return 0;

    uint8_t *input = realloc(client->input, capacity);
    if (input == NULL)
        return -ENOMEM;
    client->input = input;
    client->input_capacity = (uint32_t)capacity;
    return 0;
}

/* Keeps the last `size` octets of what was read for the next turn. */
static int input_keep(struct tcp_client *client, const uint8_t *octets, size_t size)
{
    if (size == 0) {
        free(TAKE(client->input));
        client->input_size = client->input_capacity = 0;
        return 0;
    }

    if (client->input == NULL) {
        size_t wanted = room_wanted(octets, size);
        int rc = input_reserve(client, wanted > size ? wanted : size);
        if (rc < 0)
            return rc;
    }
    memmove(client->input, octets, size);
    client->input_size = (uint32_t)size;
    return 0;
}

/* Reads once: into the client's buffer, up to the end of the request that it begins with, or into
 * the shared one when it has none. Sets where the input is. */
static enum turn client_read(struct tcp_server *server, struct tcp_client *client,
                             const uint8_t **ret_octets, size_t *ret_size)
{
    uint8_t *room = server->read;
    size_t kept = 0, wanted = READ_SIZE;
    if (client->input != NULL) {
        wanted = room_wanted(client->input, client->input_size);
        if (input_reserve(client, wanted) < 0)
            return TURN_CLOSE;
        room = client->input;
        kept = client->input_size;
    }

    ssize_t received = receive_some(client, room + kept, wanted - kept);
    /* Nothing waits but what others are making: all before was answered and sent. */
    if (received == -ENODATA && client->late > 0) {
        client->has_ended = true;
        return TURN_NOTHING;
    }
    if (received <= 0)
        return received == 0 ? TURN_NOTHING : TURN_CLOSE;

    *ret_octets = room;
    *ret_size = kept + (size_t)received;
    return TURN_PROGRESS;
}

/* What answering an input came to. */
struct answered {
    size_t consumed; /* octets of the input */
    size_t produced; /* octets in server->write */
    unsigned requests, responses;
    bool broken; /* a message without content: no DNS client sends that */
};

/* Answers the complete requests of an input until the room for answers is used up. */
static struct answered answer_input(struct worker *worker, const struct tcp_client *client,
                                    const uint8_t *octets, size_t size)
{
    struct tcp_server *server = worker->tcp;
    const int64_t now = worker_unix_now();
    struct answered answered = {0};

    while (has_request(octets + answered.consumed, size - answered.consumed) &&
           answered.produced + PREFIX_SIZE + RESPONSE_SIZE_MAX <= WRITE_SIZE) {
        const uint8_t *request = octets + answered.consumed + PREFIX_SIZE;
        size_t request_size = get_length(octets + answered.consumed);
        if (request_size == 0) {
            answered.broken = true;
            break;
        }

        uint8_t *response = server->write + answered.produced + PREFIX_SIZE;
        size_t response_size =
            worker->answer(worker->context, request, request_size, &client->peer.any,
                           client->transport, now, response, RESPONSE_SIZE_MAX);
        assert(response_size <= RESPONSE_SIZE_MAX);
        if (response_size > 0) {
            set_length(response - PREFIX_SIZE, response_size);
            answered.produced += PREFIX_SIZE + response_size;
            answered.responses++;
        }
        answered.consumed += PREFIX_SIZE + request_size;
        answered.requests++;
    }

    rcu_quiescent_state();
    return answered;
}

/* Answers an input and sends. Whatever cannot be done now stays with the client. */
static enum turn client_answer(struct worker *worker, struct tcp_client *client,
                               const uint8_t *octets, size_t size)
{
    const bool had_input = client->input != NULL;
    struct answered answered = answer_input(worker, client, octets, size);
    struct worker_counters *counters = &worker->counters;
    counter_add(client->is_tls ? &counters->tls_requests : &counters->tcp_requests,
                answered.requests);
    counter_add(client->is_tls ? &counters->tls_responses : &counters->tcp_responses,
                answered.responses);

    if (input_keep(client, octets + answered.consumed, size - answered.consumed) < 0)
        return TURN_CLOSE;

    /* A request's time counts from its first octet; further octets don't extend it. */
    if (answered.requests > 0 || (!had_input && client->input != NULL))
        client_touch(worker, client);

    if (answered.produced > 0) {
        enum turn turn = client_send(client, worker->tcp->write, answered.produced);
        if (turn == TURN_CLOSE)
            return turn;
    }
    return answered.broken ? TURN_CLOSE : TURN_PROGRESS;
}

/* Goes on with the client's handshake; TURN_PROGRESS when it is done. */
static enum turn client_secure(struct worker *worker, struct tcp_client *client)
{
    if (client->tls == NULL)
        client->tls = tls_session_create(worker->tls, client->endpoint.fd);
    if (client->tls == NULL)
        return TURN_CLOSE;

    int rc = tls_session_handshake(client->tls);
    if (rc < 0)
        return rc == -EAGAIN ? TURN_NOTHING : TURN_CLOSE;
    client->is_secured = true;
    client->transport = tls_session_transport(client->tls);
    counter_add(&worker->counters.tls_connections, 1);
    counter_add(&worker->counters.tls_resumed, tls_session_is_resumed(client->tls));
    client_touch(worker, client);
    return TURN_PROGRESS;
}

/* Whether nothing is to be read from the client until others have made its answers. */
static bool client_rests(const struct tcp_client *client)
{
    return client->has_ended || client->late >= LATE_MAX;
}

/* Whether the connection has broken, as epoll tells even when asked for nothing. */
static bool client_is_gone(const struct tcp_client *client)
{
    struct pollfd connection = {.fd = client->endpoint.fd};
    return poll(&connection, 1, 0) > 0;
}

/* What the client waits for: to read first what was answered; else room, to go on, as long as it
 * has requests left from this turn, since reading on would only fill memory, or octets that the
 * socket no longer has, because TLS took them together with others. */
static uint32_t client_events(const struct tcp_client *client)
{
    if (client->is_tls && !client->is_secured)
        return tls_session_wants_to_send(client->tls) ? EPOLLOUT : EPOLLIN;
    if (client->output != NULL)
        return EPOLLOUT;
    if (client_rests(client))
        return 0;
    const bool goes_on = has_request(client->input, client->input_size) ||
                         (client->is_tls && tls_session_holds(client->tls));
    return goes_on ? EPOLLOUT : EPOLLIN;
}

/* Goes on where the client stands: its handshake, what waits to be sent, then what was received,
 * then new octets. */
static enum turn client_step(struct worker *worker, struct tcp_client *client)
{
    if (client->is_tls && !client->is_secured) {
        enum turn turn = client_secure(worker, client);
        if (turn != TURN_PROGRESS)
            return turn;
    }
    if (client->output != NULL) {
        enum turn turn = client_flush(worker, client);
        if (turn == TURN_CLOSE || client->output != NULL)
            return turn;
    }

    if (client_rests(client))
        return client_is_gone(client) ? TURN_CLOSE : TURN_NOTHING;

    const uint8_t *octets = client->input;
    size_t size = client->input_size;
    if (!has_request(octets, size)) {
        enum turn turn = client_read(worker->tcp, client, &octets, &size);
        if (turn != TURN_PROGRESS)
            return turn;
    }
    return client_answer(worker, client, octets, size);
}

static enum turn client_turn(struct worker *worker, struct tcp_client *client)
{
    enum turn turn = client_step(worker, client);
    if (turn == TURN_CLOSE)
        return turn;

    if (client->has_ended && client->late == 0 && client->output == NULL)
        return TURN_CLOSE;
    return client_watch(worker, client, client_events(client)) < 0 ? TURN_CLOSE : turn;
}

void tcp_serve(struct worker *worker, struct endpoint *endpoint)
{
    /* An earlier event of the same wait may have closed this client, or given its slot to another,
     * for whom the event is harmless. */
    struct tcp_client *client = (struct tcp_client *)endpoint;
    if (endpoint->fd >= 0 && client_turn(worker, client) == TURN_CLOSE)
        client_close(worker, client);
}

/* ---- Answers that other threads make ---- */

void tcp_route(struct worker *worker, const struct sockaddr *peer, struct reply_route *ret_route)
{
    struct tcp_client *client = caa_container_of(peer, struct tcp_client, peer.any);
    client->late++;
    client->late_ms = worker->now_ms;
    ret_route->connection =
        (uint64_t)client->generation << 32 | (uint64_t)(client - worker->tcp->clients);
    ret_route->peer_size = client->peer_size;
    memcpy(&ret_route->peer, &client->peer, sizeof(ret_route->peer));
    ret_route->control_size = 0;
    ret_route->fd = -1;
}

/* Puts an answer behind what waits for the client to read. */
static int output_append(struct tcp_client *client, const uint8_t *octets, size_t size)
{
    const size_t waiting = client->output_size - client->output_start;
    memmove(client->output, client->output + client->output_start, waiting);
    client->output_start = 0;
    client->output_size = (uint32_t)waiting;
    uint8_t *output = realloc(client->output, waiting + size);
    if (output == NULL)
        return -ENOMEM;
    memcpy(output + waiting, octets, size);
    client->output = output;
    client->output_size += (uint32_t)size;
    return 0;
}

static enum turn client_send_late(struct worker *worker, struct tcp_client *client,
                                  const struct late_reply *reply)
{
    if (reply->next == REPLY_CLOSE)
        return TURN_CLOSE;
    if (reply->size == 0)
        return TURN_NOTHING;
    counter_add(client->is_tls ? &worker->counters.tls_responses : &worker->counters.tcp_responses,
                1);
    enum turn turn = TURN_PROGRESS;
    if (client->output == NULL)
        turn = client_send(client, reply->octets, reply->size);
    else if (output_append(client, reply->octets, reply->size) < 0)
        turn = TURN_CLOSE;
    if (turn == TURN_PROGRESS && client->output == NULL)
        client_tell(client, true);
    return turn;
}

void tcp_send_late(struct worker *worker, const struct late_reply *reply)
{
    struct tcp_client *client = &worker->tcp->clients[(uint32_t)reply->connection];
    if (client->endpoint.fd < 0 || client->generation != reply->connection >> 32) {
        late_reply_lose(reply);
        return;
    }
    if (reply->watch != NULL) {
        reply->watch->next = client->watches;
        client->watches = reply->watch;
    }
    client->late -= reply->next != REPLY_MORE;
    client->late_ms = worker->now_ms;
    if (client->output == NULL) /* else it is the client's turn, and its time runs */
        client_touch(worker, client);
    if (client_send_late(worker, client, reply) == TURN_CLOSE) {
        client_close(worker, client);
        return;
    }
    tcp_serve(worker, &client->endpoint); /* it may have had to wait for this */
}

static void watch_listeners(struct worker *worker, uint32_t events)
{
    for (size_t i = 0; i < worker->listen_count; i++) {
        struct epoll_event event = {.events = events, .data.ptr = &worker->tcp_listeners[i]};
        /* Cannot fail: the listeners were added at start, and changing takes no memory. */
        (void)epoll_ctl(worker->epoll_fd, EPOLL_CTL_MOD, worker->tcp_listeners[i].fd, &event);
    }
}

/* There is no descriptor or memory for another connection. The longest idle one gives way, and
 * those that wait stay in the kernel's queue for a moment. */
static _cold_ void accept_pause(struct worker *worker)
{
    struct tcp_server *server = worker->tcp;
    if (server->oldest != NULL) {
        counter_add(&worker->counters.tcp_displaced, 1);
        client_close(worker, server->oldest);
    }
    server->accept_resume_ms = worker->now_ms + ACCEPT_PAUSE_MS;
    watch_listeners(worker, 0);
}

void tcp_accept(struct worker *worker, struct endpoint *listener, unsigned accepts_max)
{
    for (unsigned i = 0; i < accepts_max; i++) {
        union peer peer;
        socklen_t peer_size = sizeof(peer);
        int fd = accept4(listener->fd, &peer.any, &peer_size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            client_open(worker, fd, &peer, peer_size, listener->kind == ENDPOINT_TLS_LISTENER);
            continue;
        }

        switch (errno) {
        case EAGAIN:
            return;
        case EMFILE:
        case ENFILE:
        case ENOBUFS:
        case ENOMEM:
            accept_pause(worker);
            return;
        default:
            /* The waiting connection broke (accept(2) lists how); the next one may be well. */
            continue;
        }
    }
}

/* Whether it is not the client that has to do something. */
static bool client_waits_for_others(const struct tcp_client *client, int64_t now_ms)
{
    return client->late > 0 && client->output == NULL && client->late_ms + LATE_MS_MAX > now_ms;
}

void tcp_expire(struct worker *worker)
{
    struct tcp_server *server = worker->tcp;

    while (server->oldest != NULL && server->oldest->deadline_ms <= worker->now_ms) {
        if (client_waits_for_others(server->oldest, worker->now_ms)) {
            client_touch(worker, server->oldest);
            continue;
        }
        counter_add(&worker->counters.tcp_timeouts, 1);
        client_close(worker, server->oldest);
    }
    if (server->accept_resume_ms != 0 && server->accept_resume_ms <= worker->now_ms) {
        server->accept_resume_ms = 0;
        watch_listeners(worker, EPOLLIN);
    }
}

int tcp_timeout_ms(const struct worker *worker)
{
    const struct tcp_server *server = worker->tcp;
    int64_t next_ms = INT64_MAX;
    if (server->oldest != NULL)
        next_ms = server->oldest->deadline_ms;
    if (server->accept_resume_ms != 0 && server->accept_resume_ms < next_ms)
        next_ms = server->accept_resume_ms;

    if (next_ms == INT64_MAX)
        return -1;
    if (next_ms <= worker->now_ms)
        return 0;
    return next_ms - worker->now_ms < INT32_MAX ? (int)(next_ms - worker->now_ms) : INT32_MAX;
}

size_t tcp_drain(struct worker *worker)
{
    struct tcp_server *server = worker->tcp;

    for (unsigned i = 0; i < server->slots_used; i++) {
        struct tcp_client *client = &server->clients[i];
        if (client->endpoint.fd < 0)
            continue;
        enum turn turn = client_turn(worker, client);
        bool idle = turn == TURN_NOTHING && client->input == NULL && client->output == NULL &&
                    client->is_secured == client->is_tls && client->late == 0;
        if (turn == TURN_CLOSE || idle)
            client_close(worker, client);
    }
    return server->open;
}

int tcp_listener_prepare(int fd)
{
    /* Accepted sockets inherit it. Without it an answer could wait for the acknowledgement of the
     * one before. */
    const int on = 1;
    if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) < 0)
        return -errno;

    const int unsent = UNSENT_MAX;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    const int queue = FAST_OPEN_QUEUE;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
    return 0;
}

struct tcp_server *tcp_server_create(const struct tcp_limits *limits)
{
    struct tcp_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return NULL;
    server->limits = *limits;

    /* At most half full, so that buckets hold few addresses. */
    size_t bucket_count = 2;
    while (bucket_count < (size_t)limits->clients_max * 2)
        bucket_count *= 2;
    server->bucket_mask = bucket_count - 1;

    server->clients = calloc(limits->clients_max, sizeof(*server->clients));
    server->buckets = calloc(bucket_count, sizeof(struct tcp_client *));
    if (server->clients == NULL || server->buckets == NULL ||
        getrandom(&server->bucket_secret, sizeof(server->bucket_secret), 0) < 0) {
        tcp_server_free(server);
        return NULL;
    }
    return server;
}

void tcp_server_free(struct tcp_server *server)
{
    if (server == NULL)
        return;

    for (struct tcp_client *client = server->oldest; client != NULL; client = client->newer) {
        tls_session_free(client->tls);
        close(client->endpoint.fd);
        free(client->input);
        free(client->output);
        client_tell(client, false);
    }
    free(server->buckets);
    free(server->clients);
    free(server);
}
