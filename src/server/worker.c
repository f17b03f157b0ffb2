/* The pool of workers and the loop that each one runs. */
#include "server/worker.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "server/worker_internal.h"

/* How long TCP clients are served while UDP waits. One client's part of it is mostly far shorter;
 * one that has asked for the largest answers is up to 0.5 ms, a TLS handshake 0.3 ms with an ECDSA
 * key and 1.5 ms with RSA of 2048 bits. */
#define TCP_TURN_NS 300000

/* How often a draining worker looks at clients that are in the middle of something. */
#define DRAIN_PAUSE_MS 10

/* Free UDP ports tried when port 0 was asked for and TCP already uses the number. */
#define FREE_PORT_TRIES_MAX 16

/* The time slice that a worker asks of the scheduler. Who asks for a short one is let in sooner
 * when it wakes up while another thread has the processor (since Linux 6.12; before, the request is
 * ignored): with the usual slice of 3 ms, two busy threads are enough to make an answer late. 0.1
 * ms is the least there is. */
#define SLICE_NS 100000

/* Late replies sent in a row: zones on their way leave as fast as their clients read, and others
 * want their turn. Of zones these are 256 KiB. */
#define LATE_TURN_MAX 16

struct worker_pool {
    unsigned worker_count;
    unsigned threads_started;
    size_t listen_count;
    struct worker_address *bound;
    pthread_t *threads;
    struct worker *workers;
};

/* Of the worker that this thread runs. */
static _Thread_local struct worker *worker_current;

static int64_t clock_ms(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t worker_unix_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return now.tv_sec;
}

void worker_route_current(const struct sockaddr *client, enum transport transport,
                          struct reply_route *ret_route)
{
    ret_route->worker = worker_current;
    ret_route->transport = transport;
    if (transport == TRANSPORT_UDP)
        udp_route(worker_current, client, ret_route);
    else
        tcp_route(worker_current, client, ret_route);
}

static in_port_t *address_port(struct worker_address *address)
{
    /* At the same place for both families; see worker_udp.c. */
    return &((struct sockaddr_in *)&address->address)->sin_port;
}

static void address_format(const struct worker_address *address, char *ret_text, size_t size)
{
    char host[INET6_ADDRSTRLEN] = "?";
    const struct sockaddr_in *ipv4 = (const struct sockaddr_in *)&address->address;
    const struct sockaddr_in6 *ipv6 = (const struct sockaddr_in6 *)&address->address;
    const void *octets = address->address.ss_family == AF_INET ? (const void *)&ipv4->sin_addr
                                                               : (const void *)&ipv6->sin6_addr;
    inet_ntop(address->address.ss_family, octets, host, sizeof(host));
    snprintf(ret_text, size, "%s@%u", host, ntohs(ipv4->sin_port));
}

static const char *listen_remedy(int code)
{
    switch (-code) {
    case EADDRINUSE:
        return "stop the other server or choose another port in server.listen";
    case EACCES:
    case EPERM:
        return "grant CAP_NET_BIND_SERVICE or choose a port above 1023 in server.listen";
    case EADDRNOTAVAIL:
        return "give the address to an interface of this machine or correct server.listen";
    case EAFNOSUPPORT:
    case EPROTONOSUPPORT:
        return "enable the protocol in the kernel or take the address out of server.listen";
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files (LimitNOFILE)";
    case ENOMEM:
    case ENOBUFS:
        return "free memory or lower server.workers";
    default:
        return "correct server.listen";
    }
}

static _cold_ int listen_error(struct error *error, int code, const struct worker_address *address,
                               int type)
{
    char text[INET6_ADDRSTRLEN + sizeof("@65535")];
    address_format(address, text, sizeof(text));
    return error_set(error, code, "cannot listen on %s over %s: %s; %s", text,
                     type == SOCK_DGRAM ? "UDP"
                     : address->is_tls  ? "TLS"
                                        : "TCP",
                     strerror(-code), listen_remedy(code));
}

static int set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int socket_prepare(int fd, const struct worker_address *address, int type, bool shared)
{
    int rc = 0;
    if (address->address.ss_family == AF_INET6)
        rc = set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    /* Connections of a server that ran before don't keep the port. */
    if (rc == 0 && type == SOCK_STREAM)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0 && shared)
        rc = set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && shared)
        rc = type == SOCK_DGRAM ? udp_socket_prepare(fd, address) : tcp_listener_prepare(fd);
    return rc;
}

/* Binds, with `shared` in the way that workers need, and listens when it is TCP. */
static int socket_open(const struct worker_address *address, int type, bool shared, int *ret_fd)
{
    int fd = socket(address->address.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;

    int rc = socket_prepare(fd, address, type, shared);
    if (rc == 0 && bind(fd, (const struct sockaddr *)&address->address, address->size) < 0)
        rc = -errno;
    if (rc == 0 && shared && type == SOCK_STREAM && listen(fd, TCP_BACKLOG) < 0)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* SO_REUSEPORT would let us share the port with another server of the same user, each answering a
 * part of the queries. So the port must first be ours alone. */
static int port_probe(const struct worker_address *address, struct error *ret_error)
{
    static const int types[] = {SOCK_DGRAM, SOCK_STREAM};
    for (size_t i = address->is_tls; i < sizeof(types) / sizeof(types[0]); i++) {
        int fd = -1;
        int rc = socket_open(address, types[i], false, &fd);
        if (rc < 0)
            return listen_error(ret_error, rc, address, types[i]);
        close(fd);
    }
    return 0;
}

/* Replaces port 0 by one that is free for UDP and TCP, be it for TLS, which needs only the latter.
 */
static int port_choose(struct worker_address *address, struct error *ret_error)
{
    int rc = -EADDRINUSE;
    for (unsigned i = 0; i < FREE_PORT_TRIES_MAX && rc == -EADDRINUSE; i++) {
        int udp_fd = -1, tcp_fd = -1;
        struct worker_address bound = *address;
        rc = socket_open(address, SOCK_DGRAM, false, &udp_fd);
        if (rc < 0)
            break;
        if (getsockname(udp_fd, (struct sockaddr *)&bound.address, &bound.size) < 0)
            rc = -errno;
        else
            rc = socket_open(&bound, SOCK_STREAM, false, &tcp_fd);
        close(udp_fd);
        if (rc == 0) {
            close(tcp_fd);
            *address = bound;
        }
    }
    return rc < 0 ? listen_error(ret_error, rc, address, SOCK_DGRAM) : 0;
}

static int worker_watch(struct worker *worker, struct endpoint *endpoint)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = endpoint};
    return epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, endpoint->fd, &event) < 0 ? -errno : 0;
}

static int worker_listen(struct worker *worker, const struct worker_address *addresses,
                         struct error *ret_error)
{
    for (size_t i = 0; i < worker->listen_count; i++) {
        int rc = addresses[i].is_tls
                     ? 0
                     : socket_open(&addresses[i], SOCK_DGRAM, true, &worker->waits[i].fd);
        if (rc < 0)
            return listen_error(ret_error, rc, &addresses[i], SOCK_DGRAM);

        if (addresses[i].is_tls)
            worker->tcp_listeners[i].kind = ENDPOINT_TLS_LISTENER;
        rc = socket_open(&addresses[i], SOCK_STREAM, true, &worker->tcp_listeners[i].fd);
        if (rc == 0)
            rc = worker_watch(worker, &worker->tcp_listeners[i]);
        if (rc < 0)
            return listen_error(ret_error, rc, &addresses[i], SOCK_STREAM);
    }
    return 0;
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void udp_close(struct worker *worker)
{
    for (size_t i = 0; worker->waits != NULL && i < worker->listen_count; i++)
        close_fd(&worker->waits[i].fd);
}

static void listeners_close(struct worker *worker)
{
    for (size_t i = 0; worker->tcp_listeners != NULL && i < worker->listen_count; i++)
        close_fd(&worker->tcp_listeners[i].fd);
}

/* Takes the next late reply; NULL: there is none. */
static struct late_reply *late_take(struct worker *worker)
{
    struct cds_wfcq_node *node =
        __cds_wfcq_dequeue_blocking(&worker->late_head, &worker->late_tail);
    return node == NULL ? NULL : caa_container_of(node, struct late_reply, node);
}

/* Sends what other threads have answered. */
static void late_serve(struct worker *worker)
{
    eventfd_t wakes;
    (void)eventfd_read(worker->late.fd, &wakes); /* before the queue: a later reply wakes again */
    for (unsigned i = 0; i < LATE_TURN_MAX; i++) {
        struct late_reply *reply = late_take(worker);
        if (reply == NULL)
            return;
        tcp_send_late(worker, reply);
        free(reply);
    }
    (void)eventfd_write(worker->late.fd, 1);
}

/* What came after the worker's end, for clients that are gone. */
static void late_clear(struct worker *worker)
{
    struct late_reply *reply;
    while ((reply = late_take(worker)) != NULL) {
        late_reply_lose(reply);
        free(reply);
    }
}

static void worker_clear(struct worker *worker)
{
    tcp_server_free(worker->tcp);
    udp_batch_free(worker->udp);
    udp_close(worker);
    listeners_close(worker);
    late_clear(worker);
    close_fd(&worker->late.fd);
    close_fd(&worker->stop.fd);
    close_fd(&worker->epoll_fd);
    free(worker->waits);
    free(worker->tcp_listeners);
}

/* Makes the rows of descriptors, closed as yet. */
static int worker_allocate(struct worker *worker, const struct tcp_limits *limits)
{
    const size_t count = worker->listen_count;
    worker->waits = calloc(count + 1, sizeof(*worker->waits));
    worker->tcp_listeners = calloc(count, sizeof(*worker->tcp_listeners));
    for (size_t i = 0; worker->waits != NULL && i < count + 1; i++)
        worker->waits[i] = (struct pollfd){.fd = -1, .events = POLLIN};
    for (size_t i = 0; worker->tcp_listeners != NULL && i < count; i++)
        worker->tcp_listeners[i] = (struct endpoint){.kind = ENDPOINT_LISTENER, .fd = -1};

    worker->udp = udp_batch_create();
    worker->tcp = tcp_server_create(limits);
    if (worker->waits == NULL || worker->tcp_listeners == NULL || worker->udp == NULL ||
        worker->tcp == NULL)
        return -ENOMEM;
    return 0;
}

/* Fills a zeroed worker. On failure worker_clear() takes what was made. */
static int worker_init(struct worker *worker, const struct worker_options *options,
                       const struct worker_address *addresses, void *context,
                       struct error *ret_error)
{
    const struct tcp_limits limits = {
        .clients_max = options->tcp_clients_max,
        .clients_per_address_max = options->tcp_clients_per_address_max,
        .idle_timeout_ms = options->tcp_idle_timeout_ms,
    };

    worker->answer = options->answer;
    worker->answer_batch = options->answer_batch;
    worker->context = context;
    worker->tls = options->tls;
    worker->listen_count = options->listen_count;
    worker->now_ms = clock_ms(CLOCK_MONOTONIC_COARSE);
    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->stop = (struct endpoint){ENDPOINT_STOP, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    worker->late = (struct endpoint){ENDPOINT_LATE, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
    if (worker->epoll_fd < 0 || worker->stop.fd < 0 || worker->late.fd < 0 ||
        worker_watch(worker, &worker->stop) < 0 || worker_watch(worker, &worker->late) < 0)
        return error_set(ret_error, -errno, "cannot start a worker: %s; %s", strerror(errno),
                         listen_remedy(-errno));

    if (worker_allocate(worker, &limits) < 0)
        return error_set(
            ret_error, -ENOMEM,
            "no memory for a worker; lower server.workers or the limit of TCP clients");
    worker->waits[worker->listen_count].fd = worker->epoll_fd;

    return worker_listen(worker, addresses, ret_error);
}

/* The stop's eventfd carries the time to drain, plus one because zero cannot be signalled. */
static void worker_stop_send(const struct worker *worker, unsigned drain_ms)
{
    /* Cannot fail: the counter is zero and the value fits. */
    (void)eventfd_write(worker->stop.fd, (eventfd_t)drain_ms + 1);
}

static void worker_stop_read(struct worker *worker)
{
    eventfd_t value;
    if (eventfd_read(worker->stop.fd, &value) == 0) {
        worker->stopping = true;
        worker->drain_ms = (unsigned)(value - 1);
    }
}

static void serve_event(struct worker *worker, struct endpoint *endpoint)
{
    switch (endpoint->kind) {
    case ENDPOINT_STOP:
        worker_stop_read(worker);
        break;
    case ENDPOINT_LATE:
        late_serve(worker);
        break;
    case ENDPOINT_LISTENER:
    case ENDPOINT_TLS_LISTENER:
        tcp_accept(worker, endpoint, TCP_ACCEPTS_MAX);
        break;
    case ENDPOINT_CLIENT:
        tcp_serve(worker, endpoint);
        break;
    }
}

static bool has_events(const struct worker *worker)
{
    return worker->event_next < worker->event_count;
}

/* Serves a part of the ready TCP clients. Events that are left are served next, before epoll is
 * asked again, so that everyone's turn comes; until then they may be out of date, which does no
 * harm: the slots of clients stay, and nobody finds anything to do. */
static void serve_events(struct worker *worker)
{
    if (!has_events(worker)) {
        worker->event_next = 0;
        worker->event_count = epoll_wait(worker->epoll_fd, worker->events, EVENTS_MAX, 0);
    }
    const int64_t end_ns = clock_ns() + TCP_TURN_NS;
    while (has_events(worker)) {
        serve_event(worker, worker->events[worker->event_next++].data.ptr);
        if (clock_ns() >= end_ns)
            return;
    }
}

/* Waits for work and does it, UDP in every turn whatever TCP clients do.
 *
 * UDP sockets are not in the epoll set: there each packet received or sent would call back into
 * epoll and take its lock, 8 % of a query's cost. poll() leaves nothing behind on a socket. */
static void worker_turn(struct worker *worker)
{
    const size_t listen_count = worker->listen_count;
    int timeout_ms = has_events(worker) ? 0 : tcp_timeout_ms(worker);

    /* Coming back online is also this turn's quiescent state. */
    rcu_thread_offline();
    int ready = poll(worker->waits, listen_count + 1, timeout_ms);
    rcu_thread_online();
    worker->now_ms = clock_ms(CLOCK_MONOTONIC_COARSE);

    if (ready > 0) {
        for (size_t i = 0; i < listen_count; i++)
            if (worker->waits[i].revents != 0)
                udp_serve(worker, worker->waits[i].fd, UDP_ROUNDS_MAX);
    }
    if (has_events(worker) || (ready > 0 && worker->waits[listen_count].revents != 0))
        serve_events(worker);
    tcp_expire(worker);
}

static void udp_drain(struct worker *worker)
{
    for (size_t i = 0; i < worker->listen_count; i++) {
        if (worker->waits[i].fd >= 0)
            udp_serve(worker, worker->waits[i].fd, UDP_DRAIN_ROUNDS_MAX);
    }
}

/* Answers what was received before the stop, and lets clients finish what they began, which may
 * take an answer that another thread makes. */
static void worker_drain(struct worker *worker)
{
    const int64_t end_ms = clock_ms(CLOCK_MONOTONIC) + worker->drain_ms;

    for (size_t i = 0; i < worker->listen_count; i++)
        tcp_accept(worker, &worker->tcp_listeners[i], TCP_BACKLOG);
    listeners_close(worker);
    udp_drain(worker);

    while (tcp_drain(worker) > 0 && clock_ms(CLOCK_MONOTONIC) < end_ms) {
        struct timespec pause = {.tv_nsec = DRAIN_PAUSE_MS * 1000000L};
        rcu_thread_offline();
        nanosleep(&pause, NULL);
        rcu_thread_online();
        udp_drain(worker);
        late_serve(worker);
    }
}

/* The first form of the kernel's struct sched_attr (sched_setattr(2)); the C library has none. */
struct scheduling {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* Best effort: answers are right without it, only later on a busy machine. */
static void slice_shorten(void)
{
    struct scheduling attributes = {.size = sizeof(attributes)};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof(attributes), 0) < 0 ||
        attributes.policy != SCHED_OTHER)
        return;
    attributes.runtime_ns = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &attributes, 0);
}

static void *worker_run(void *argument)
{
    struct worker *worker = argument;

    worker_current = worker;
    slice_shorten();
    rcu_register_thread();
    while (!worker->stopping)
        worker_turn(worker);
    worker_drain(worker);
    rcu_unregister_thread();
    return NULL;
}

static int pool_bind(struct worker_pool *pool, const struct worker_options *options,
                     struct error *ret_error)
{
    for (size_t i = 0; i < pool->listen_count; i++) {
        pool->bound[i] = options->listen[i];
        int rc = *address_port(&pool->bound[i]) == 0 ? port_choose(&pool->bound[i], ret_error)
                                                     : port_probe(&pool->bound[i], ret_error);
        if (rc < 0)
            return rc;
    }
    for (unsigned i = 0; i < pool->worker_count; i++) {
        int rc =
            worker_init(&pool->workers[i], options, pool->bound, options->contexts[i], ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Starts the threads with all signals blocked: signals are the main thread's. */
static int pool_start_threads(struct worker_pool *pool, struct error *ret_error)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);

    int rc = 0;
    while (rc == 0 && pool->threads_started < pool->worker_count) {
        unsigned i = pool->threads_started;
        rc = -pthread_create(&pool->threads[i], NULL, worker_run, &pool->workers[i]);
        if (rc == 0) {
            char name[16];
            snprintf(name, sizeof(name), "dns %u", i);
            pthread_setname_np(pool->threads[i], name);
            pool->threads_started++;
        }
    }

    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc < 0)
        return error_set(ret_error, rc,
                         "cannot start worker thread %u: %s; lower server.workers or raise the "
                         "limit of tasks",
                         pool->threads_started + 1, strerror(-rc));
    return 0;
}

static void pool_stopp(struct worker_pool **pool)
{
    worker_pool_stop(*pool, 0);
}

int worker_pool_start(const struct worker_options *options, struct worker_pool **ret_pool,
                      struct error *ret_error)
{
    assert(options->listen_count > 0 && options->worker_count > 0);
    if (options->tcp_clients_max == 0 || options->tcp_clients_per_address_max == 0)
        return error_set(ret_error, -EINVAL, "a limit of TCP clients is 0; it must be at least 1");

    _cleanup_(pool_stopp) struct worker_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the workers");

    pool->bound = calloc(options->listen_count, sizeof(*pool->bound));
    pool->threads = calloc(options->worker_count, sizeof(*pool->threads));
    pool->workers =
        aligned_alloc(alignof(struct worker), options->worker_count * sizeof(struct worker));
    if (pool->bound == NULL || pool->threads == NULL || pool->workers == NULL)
        return error_set(ret_error, -ENOMEM, "no memory for the workers; lower server.workers");

    pool->listen_count = options->listen_count;
    pool->worker_count = options->worker_count;
    for (unsigned i = 0; i < pool->worker_count; i++) {
        pool->workers[i] = (struct worker){.epoll_fd = -1, .stop.fd = -1, .late.fd = -1};
        cds_wfcq_init(&pool->workers[i].late_head, &pool->workers[i].late_tail);
    }

    int rc = pool_bind(pool, options, ret_error);
    if (rc == 0)
        rc = pool_start_threads(pool, ret_error);
    if (rc < 0)
        return rc;

    *ret_pool = TAKE(pool);
    return 0;
}

void worker_pool_drain(struct worker_pool *pool, unsigned drain_ms)
{
    if (pool == NULL)
        return;

    for (unsigned i = 0; i < pool->threads_started; i++)
        worker_stop_send(&pool->workers[i], drain_ms);
    for (unsigned i = 0; i < pool->threads_started; i++)
        pthread_join(pool->threads[i], NULL);
    pool->threads_started = 0;
}

void worker_pool_stop(struct worker_pool *pool, unsigned drain_ms)
{
    if (pool == NULL)
        return;

    worker_pool_drain(pool, drain_ms);
    for (unsigned i = 0; i < pool->worker_count; i++)
        worker_clear(&pool->workers[i]);
    free(pool->workers);
    free(pool->threads);
    free(pool->bound);
    free(pool);
}

void worker_pool_address(const struct worker_pool *pool, size_t index,
                         struct worker_address *ret_address)
{
    assert(index < pool->listen_count);
    *ret_address = pool->bound[index];
}

unsigned worker_pool_count(const struct worker_pool *pool)
{
    return pool->worker_count;
}

void worker_pool_counters(const struct worker_pool *pool, unsigned worker,
                          struct worker_counters *ret_counters)
{
    assert(worker < pool->worker_count);

    /* All members are counters, so they are read as a row of numbers. */
    const uint64_t *counters = (const uint64_t *)&pool->workers[worker].counters;
    uint64_t *copies = (uint64_t *)ret_counters;
    for (size_t i = 0; i < sizeof(*ret_counters) / sizeof(*copies); i++)
        copies[i] = __atomic_load_n(&counters[i], __ATOMIC_RELAXED);
}
