/* Clients of a sinkhole, from many addresses of 127.0.0.0/8, so that neither ports nor the limit of
 * a source run out.
 *
 *     sink_load hold ADDRESS PORT COUNT SOURCES
 *     sink_load rate ADDRESS PORT RATE SOURCES SECONDS [WAIT_MS]
 *     sink_load flood ADDRESS PORT RATE SOURCES SECONDS
 *
 * `hold` opens COUNT connections that say nothing, prints a line of JSON when it has them, holds
 * them until its standard input ends, and prints how many the other side has left open till then.
 * Processes share them, as each may have only so many descriptors. `rate` opens RATE connections a
 * second (0: as many as it can), each of which waits, sends a check-in of ever other victims and
 * closes, and prints what it got. `flood` opens RATE a second and holds as many as it has
 * descriptors for, the last ones: half of them say nothing, half one octet.
 *
 * ADDRESS is of IPv4. Sources are 127.64.0.1 and those that follow, so many; "COUNT+SKIP" leaves
 * out the first SKIP. */
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
#define WAITING_MAX     16384 /* of `rate`, that have sent nothing yet */

/* Of njRAT 0.7d: "<length>NUL<command><separator>...", all made up. The id is "HacKed_" and eight
 * digits; in base64 the first six octets stay the same, the other nine are VICTIM_SIZE characters.
 */
#define CHECKIN_HEAD "ll|'|'|SGFjS2Vk"
#define CHECKIN                                                                          \
    CHECKIN_HEAD "XzAwMDAwMDAw|'|'|HOST-1|'|'|user|'|'|26-01-01|'|'||'|'|Win 10 Pro x64" \
                 "|'|'|No|'|'|0.7d|'|'|..|'|'|RXhhbXBsZQ==|'|'|"
#define VICTIM_SIZE 12

static struct {
    struct sockaddr_in server;
    uint32_t sources, skip;
    char checkin[sizeof(CHECKIN) + 8];
    char *victim; /* in the check-in */
    size_t checkin_size;
} load;

/* A client of `rate` that has connected and says nothing yet. */
struct waiting {
    int fd;
    double due_s;
    uint64_t number;
};

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

static uint64_t descriptors_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        die("getrlimit");
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    return limit.rlim_cur - DESCRIPTORS;
}

/* The port is chosen when it connects, so that each pair of addresses has all of them. */
static int client_open(uint64_t number)
{
    const int on = 1;
    const struct sockaddr_in source = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(SOURCE_FIRST + load.skip + (uint32_t)(number % load.sources)),
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
    const uint64_t each = descriptors_raise();
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

/* Three octets are four characters, of six bits each (RFC 4648, section 4). */
static void victim_write(uint64_t number)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint8_t octets[VICTIM_SIZE / 4 * 3] = {'_'};
    for (size_t i = sizeof(octets) - 1; i > 0; i--, number >>= 4)
        octets[i] = (uint8_t) "0123456789ABCDEF"[number & 15];
    for (size_t i = 0; i < VICTIM_SIZE / 4; i++) {
        const uint8_t *three = &octets[3 * i];
        const uint32_t bits = (uint32_t)three[0] << 16 | (uint32_t)three[1] << 8 | three[2];
        for (size_t k = 0; k < 4; k++)
            load.victim[4 * i + k] = digits[bits >> (18 - 6 * k) & 63];
    }
}

static bool check_in(int fd, uint64_t number)
{
    victim_write(number);
    ssize_t sent = send(fd, load.checkin, load.checkin_size, MSG_NOSIGNAL);
    if (sent < 0 && (errno == EAGAIN || errno == ENOTCONN) && client_ready(fd))
        sent = send(fd, load.checkin, load.checkin_size, MSG_NOSIGNAL);
    close(fd);
    return sent == (ssize_t)load.checkin_size;
}

/* What falls behind is made up for as fast as it can. */
static bool is_due(double per_second, double at_s, uint64_t opened)
{
    return per_second == 0 || (double)opened < per_second * at_s;
}

/* Before the end, only as many wait as may. */
static int rate(double per_second, double seconds, double wait_s)
{
    static struct waiting waiting[WAITING_MAX];
    uint64_t opened = 0, ended = 0, done = 0;
    const double start_s = now_s();
    double at_s;
    while ((at_s = now_s() - start_s) < seconds || ended < opened) {
        const struct waiting *first = &waiting[ended % WAITING_MAX];
        if (ended < opened && (at_s >= first->due_s || opened - ended == WAITING_MAX)) {
            done += first->fd >= 0 && check_in(first->fd, first->number);
            ended++;
        } else if (at_s < seconds && is_due(per_second, at_s, opened)) {
            waiting[opened % WAITING_MAX] = (struct waiting){
                .fd = client_open(opened), .due_s = at_s + wait_s, .number = opened};
            opened++;
        } else {
            (void)poll(NULL, 0, 1);
        }
    }
    printf("{\"mode\": \"rate\", \"connections\": %" PRIu64 ", \"failed\": %" PRIu64
           ", \"seconds\": %.3f, \"per_second\": %.0f}\n",
           done, opened - done, at_s, (double)done / at_s);
    return done == opened ? 0 : 1;
}

static int flood(double per_second, double seconds)
{
    const uint64_t places = descriptors_raise();
    int *fds = malloc(places * sizeof(*fds));
    if (fds == NULL)
        die("memory");
    memset(fds, -1, places * sizeof(*fds));
    uint64_t opened = 0;
    const double start_s = now_s();
    double at_s;
    while ((at_s = now_s() - start_s) < seconds) {
        if (!is_due(per_second, at_s, opened)) {
            (void)poll(NULL, 0, 1);
            continue;
        }
        int *fd = &fds[opened % places];
        if (*fd >= 0)
            close(*fd);
        *fd = client_open(opened);
        /* Who is refused at once can't. */
        if (*fd >= 0 && opened % 2 == 0)
            (void)send(*fd, "1", 1, MSG_NOSIGNAL);
        opened++;
    }
    printf("{\"mode\": \"flood\", \"connections\": %" PRIu64 ", \"seconds\": %.3f}\n", opened,
           at_s);
    return 0;
}

/* "COUNT" or "COUNT+SKIP". */
static bool read_sources(const char *text)
{
    char *end;
    load.sources = (uint32_t)strtoul(text, &end, 10);
    if (*end == '+')
        load.skip = (uint32_t)strtoul(end + 1, &end, 10);
    return load.sources > 0 && *end == '\0';
}

static void make_checkin(void)
{
    /* The length, then NUL. */
    int size = snprintf(load.checkin, sizeof(load.checkin), "%zu", sizeof(CHECKIN) - 1);
    memcpy(load.checkin + size + 1, CHECKIN, sizeof(CHECKIN) - 1);
    load.checkin_size = (size_t)size + sizeof(CHECKIN);
    load.victim = load.checkin + size + sizeof(CHECKIN_HEAD);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    const bool is_hold = argc == 6 && strcmp(mode, "hold") == 0;
    const bool is_flood = argc == 7 && strcmp(mode, "flood") == 0;
    const bool is_rate = (argc == 7 || argc == 8) && strcmp(mode, "rate") == 0;
    load.server.sin_family = AF_INET;
    if ((!is_hold && !is_rate && !is_flood) ||
        inet_pton(AF_INET, argv[2], &load.server.sin_addr) != 1 || !read_sources(argv[5])) {
        fprintf(stderr, "usage: sink_load hold ADDRESS PORT COUNT SOURCES\n"
                        "       sink_load rate ADDRESS PORT RATE SOURCES SECONDS [WAIT_MS]\n"
                        "       sink_load flood ADDRESS PORT RATE SOURCES SECONDS\n");
        return 2;
    }
    load.server.sin_port = htons((uint16_t)strtoul(argv[3], NULL, 10));
    make_checkin();
    if (is_hold)
        return hold(strtoull(argv[4], NULL, 10));
    const double per_second = strtod(argv[4], NULL), seconds = strtod(argv[6], NULL);
    return is_flood ? flood(per_second, seconds)
                    : rate(per_second, seconds, argc == 8 ? strtod(argv[7], NULL) / 1e3 : 0);
}
