/* The floor under any UDP server's cost: receives packets and sends the same ones back, 64 at a
 * time.
 *
 *     echo_floor PORT [worker]
 *
 * With "worker" the same is done by tamisd's worker loop and an answer function that copies, which
 * shows what the loop costs above the floor. Ends with SIGINT or SIGTERM and prints the CPU time
 * per packet.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/worker.h"

#define BATCH_MAX          64
#define PACKET_SIZE_MAX    4096
#define SOCKET_BUFFER_SIZE (4 * 1024 * 1024)

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
    (void)number;
    ended = 1;
}

static void print_cost(uint64_t packets)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double seconds = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                     (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("%llu packets, %.3f us of CPU each\n", (unsigned long long)packets,
           packets == 0 ? 0.0 : seconds * 1e6 / (double)packets);
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static int socket_bind(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    const int size = SOCKET_BUFFER_SIZE;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
        return -errno;
    return fd;
}

static int run_floor(uint16_t port)
{
    static uint8_t packets[BATCH_MAX][PACKET_SIZE_MAX + 192];
    static struct sockaddr_in peers[BATCH_MAX];
    static struct iovec parts[BATCH_MAX];
    static struct mmsghdr messages[BATCH_MAX];
    uint64_t echoed = 0;

    int fd = socket_bind(port);
    if (fd < 0) {
        fprintf(stderr, "echo_floor: cannot bind port %u: %s\n", port, strerror(-fd));
        return 1;
    }
    for (size_t i = 0; i < BATCH_MAX; i++) {
        parts[i] = (struct iovec){packets[i], PACKET_SIZE_MAX};
        messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                              .msg_namelen = sizeof(peers[i]),
                                              .msg_iov = &parts[i],
                                              .msg_iovlen = 1};
    }

    while (!ended) {
        int count = recvmmsg(fd, messages, BATCH_MAX, MSG_WAITFORONE, NULL);
        for (int i = 0; i < count; i++)
            parts[i].iov_len = messages[i].msg_len;
        int sent = count > 0 ? sendmmsg(fd, messages, (unsigned)count, 0) : 0;
        for (int i = 0; i < count; i++)
            parts[i].iov_len = PACKET_SIZE_MAX;
        echoed += sent > 0 ? (uint64_t)sent : 0;
    }
    close(fd);
    print_cost(echoed);
    return 0;
}

static size_t answer_copy(void *context, const uint8_t *request, size_t request_size,
                          const struct sockaddr *client, enum transport transport, int64_t now,
                          uint8_t *response, size_t response_max)
{
    (void)context, (void)client, (void)transport, (void)now;
    if (request_size > response_max)
        return 0;
    memcpy(response, request, request_size);
    return request_size;
}

static int run_worker(uint16_t port)
{
    const struct sockaddr_in address = loopback(port);
    struct worker_address listen = {.size = sizeof(address)};
    memcpy(&listen.address, &address, sizeof(address));
    void *contexts[1] = {NULL};
    const struct worker_options options = {.listen = &listen,
                                           .listen_count = 1,
                                           .worker_count = 1,
                                           .tcp_clients_max = 100,
                                           .tcp_clients_per_address_max = 100,
                                           .tcp_idle_timeout_ms = 10000,
                                           .answer = answer_copy,
                                           .contexts = contexts};
    struct worker_pool *pool;
    struct error error = {0};
    if (worker_pool_start(&options, &pool, &error) < 0) {
        error_print(stderr, "echo_floor", &error);
        return 1;
    }

    sigset_t none;
    sigemptyset(&none);
    while (!ended)
        sigsuspend(&none);

    struct worker_counters counters;
    worker_pool_counters(pool, 0, &counters);
    worker_pool_stop(pool, 0);
    print_cost(counters.udp_responses + counters.tcp_responses);
    printf("%.1f packets a batch\n",
           (double)counters.udp_requests /
               (double)(counters.udp_batches > 0 ? counters.udp_batches : 1));
    return 0;
}

int main(int count, char **arguments)
{
    char *end = NULL;
    unsigned long port = count >= 2 ? strtoul(arguments[1], &end, 10) : 0;
    bool worker = count == 3 && strcmp(arguments[2], "worker") == 0;
    if (port == 0 || port > UINT16_MAX || *end != '\0' || (count != 2 && !worker)) {
        fprintf(stderr, "usage: echo_floor PORT [worker]\n");
        return 2;
    }

    /* Without SA_RESTART, so that the blocking receive returns. Blocked but while waiting in the
     * worker's case, so that a signal before the wait isn't missed. */
    const struct sigaction action = {.sa_handler = on_signal};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    if (worker)
        sigprocmask(SIG_BLOCK, &signals, NULL);

    return worker ? run_worker((uint16_t)port) : run_floor((uint16_t)port);
}
