/* Clients of a sinkhole, from many addresses of 127.0.0.0/8, so that neither ports nor the limit of
 * a source run out.
 *
 *     sink_load hold ADDRESS PORT COUNT SOURCES
 *     sink_load rate ADDRESS PORT RATE SOURCES SECONDS
 *
 * `hold` opens COUNT connections that say nothing, prints a line of JSON when it has them, holds
 * them until its standard input ends, and prints how many the other side has left open till then.
 * Processes share them, as each may have only so many descriptors. `rate` opens RATE connections a
 * second (0: as many as it can), each of which sends a check-in and closes, and prints what it got.
 *
 * ADDRESS is of IPv4. Sources are 127.64.0.1 and those that follow. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SOURCE_FIRST    0x7f400001U
#define DESCRIPTORS     32 /* of a process, that are no connection */
#define CONNECT_WAIT_MS 5000

/* Of njRAT 0.7d: "<length>NUL<command><separator>...", all made up. */
#define CHECKIN                                                                            \
    "ll|'|'|SGFjS2VkXzAwMDBBQkNE|'|'|HOST-1|'|'|user|'|'|26-01-01|'|'||'|'|Win 10 Pro x64" \
    "|'|'|No|'|'|0.7d|'|'|..|'|'|RXhhbXBsZQ==|'|'|"

static struct {
    struct sockaddr_in server;
    uint32_t sources;
    char checkin[sizeof(CHECKIN) + 8];
    size_t checkin_size;
} load;

/* What a process of `hold` tells. */
struct share {
    uint64_t open, failed;
};

static void die(const char *what)
{
    fprintf(stderr, "sink_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The port is chosen when it connects, so that each pair of addresses has all of them. */
static int client_open(uint64_t number)
{
    const int on = 1;
    const struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(SOURCE_FIRST + (uint32_t)(number % load.sources)),
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on)) < 0 ||
        bind(fd, (const struct sockaddr *)&source, sizeof(source)) < 0)
        die("socket");
    if (connect(fd, (const struct sockaddr *)&load.server, sizeof(load.server)) < 0 &&
        errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

/* On one machine the handshake is mostly done when connect() returns. */
static bool client_ready(int fd)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    return poll(&wait, 1, CONNECT_WAIT_MS) == 1 && (wait.revents & (POLLERR | POLLHUP)) == 0;
}

static bool client_is_open(int fd)
{
    char octet;
    return recv(fd, &octet, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static void tell(int fd, const struct share *share)
{
    if (write(fd, share, sizeof(*share)) != (ssize_t)sizeof(*share))
        die("write");
}

/* Opens, tells, waits for the end of `until_fd`, tells how many are left. */
static void hold_share(uint64_t first, uint64_t count, int until_fd, int to_fd)
{
    struct share share = {0};
    int *fds = calloc(count, sizeof(*fds));
    if (fds == NULL)
        die("memory");
    for (uint64_t i = 0; i < count; i++) {
        fds[i] = client_open(first + i);
        if (fds[i] >= 0 && client_ready(fds[i]))
            share.open++;
        else
            share.failed++;
    }
    tell(to_fd, &share);
    char octet;
    while (read(until_fd, &octet, 1) > 0)
        continue;
    share = (struct share){0};
    for (uint64_t i = 0; i < count; i++) {
        if (fds[i] >= 0 && client_is_open(fds[i]))
            share.open++;
        else
            share.failed++;
    }
    tell(to_fd, &share);
    exit(0);
}

static struct share collect(int from_fd, uint64_t processes)
{
    struct share sum = {0};
    for (uint64_t i = 0; i < processes; i++) {
        struct share share;
        if (read(from_fd, &share, sizeof(share)) != (ssize_t)sizeof(share))
            die("a process ended");
        sum.open += share.open;
        sum.failed += share.failed;
    }
    return sum;
}

static int hold(uint64_t count)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    const uint64_t each = limit.rlim_cur - DESCRIPTORS;
    const uint64_t processes = (count + each - 1) / each;

    int until[2], told[2];
    if (pipe(until) < 0 || pipe(told) < 0)
        die("pipe");
    const double start_s = now_s();
    for (uint64_t first = 0; first < count; first += each) {
        const pid_t child = fork();
        if (child < 0)
            die("fork");
        if (child == 0) {
            close(until[1]);
            hold_share(first, count - first < each ? count - first : each, until[0], told[1]);
        }
    }
    struct share sum = collect(told[0], processes);
    printf("{\"mode\": \"hold\", \"open\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"seconds\": %.3f}\n",
           sum.open, sum.failed, now_s() - start_s);
    fflush(stdout);

    char octet;
    while (read(STDIN_FILENO, &octet, 1) > 0)
        continue;
    close(until[1]);
    sum = collect(told[0], processes);
    printf("{\"still_open\": %" PRIu64 ", \"closed\": %" PRIu64 "}\n", sum.open, sum.failed);
    while (wait(NULL) > 0)
        continue;
    return sum.failed == 0 ? 0 : 1;
}

static bool check_in(uint64_t number)
{
    int fd = client_open(number);
    if (fd < 0)
        return false;
    ssize_t sent = send(fd, load.checkin, load.checkin_size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN) && client_ready(fd))
        sent = send(fd, load.checkin, load.checkin_size, MSG_NOSIGNAL);
    close(fd);
    return sent == (ssize_t)load.checkin_size;
}

/* What falls behind is made up for as fast as it can. */
static int rate(double per_second, double seconds)
{
    uint64_t done = 0, failed = 0;
    const double start_s = now_s();
    double at_s;
    while ((at_s = now_s() - start_s) < seconds) {
        const double due = per_second * at_s;
        if (per_second > 0 && (double)(done + failed) >= due) {
            (void)poll(NULL, 0, 1);
            continue;
        }
        if (check_in(done + failed))
            done++;
        else
            failed++;
    }
    printf("{\"mode\": \"rate\", \"connections\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"seconds\": %.3f, \"per_second\": %.0f}\n",
           done, failed, at_s, (double)done / at_s);
    return failed == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const bool is_hold = argc == 6 && strcmp(argv[1], "hold") == 0;
    const bool is_rate = argc == 7 && strcmp(argv[1], "rate") == 0;
    load.server.sin_family = AF_INET;
    if ((!is_hold && !is_rate) || inet_pton(AF_INET, argv[2], &load.server.sin_addr) != 1 ||
        (load.sources = (uint32_t)strtoul(argv[5], NULL, 10)) == 0) {
        fprintf(stderr, "usage: sink_load hold ADDRESS PORT COUNT SOURCES\n"
                        "       sink_load rate ADDRESS PORT RATE SOURCES SECONDS\n");
        return 2;
    }
    load.server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    /* The length, then NUL. */
    int size = snprintf(load.checkin, sizeof(load.checkin), "%zu", sizeof(CHECKIN) - 1);
    memcpy(load.checkin + size + 1, CHECKIN, sizeof(CHECKIN) - 1);
    load.checkin_size = (size_t)size + sizeof(CHECKIN);

    return is_hold ? hold(strtoull(argv[4], NULL, 10))
                   : rate(strtod(argv[4], NULL), strtod(argv[6], NULL));
}
