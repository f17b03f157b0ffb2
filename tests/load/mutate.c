/* Sends mutated DNS messages to a server and sees that it goes on answering.
 *
 *     mutate ADDRESS PORT UDP_COUNT TCP_COUNT SEED SEEDS
 *
 * SEEDS holds messages, each behind its length in two octets (as on TCP); the first is a question
 * that the server must answer. Behind every batch of mutated messages goes that question, over the
 * same socket: its answer tells that the whole batch has arrived and was worked through, so no
 * message is lost in a full buffer, however slow a server under a sanitizer may be.
 *
 * Prints what was sent and what came back as JSON. Exits 1 when the question stays unanswered or
 * something that is no response comes back. The same SEED sends the same messages.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define SEEDS_MAX   4096
#define MESSAGE_MAX 1500

/* Messages between two questions: at most 192 KiB, less than any server's receive buffer. */
#define BATCH_MAX 128

/* An answer of the server under a sanitizer on a busy machine. */
#define PROBE_WAIT_MS 3000
#define PROBE_TRIES   5

/* Marks the question among what comes back; mutated messages never carry it. */
#define PROBE_ID 0xFFFF

struct message {
    size_t size;
    uint8_t octets[MESSAGE_MAX];
};

struct totals {
    uint64_t udp_sent, udp_answers, tcp_sent, tcp_answers, tcp_connections;
    uint64_t tcp_closed; /* by the server, although all lengths were right */
    uint64_t probes, resent;
    uint64_t rcodes[16];
};

static struct message *seeds;
static size_t seed_count;
static struct sockaddr_in server;
static struct totals totals;
static uint64_t random_state;

static void fail(const char *what)
{
    fprintf(stderr, "mutate: %s (%" PRIu64 " sent over UDP, %" PRIu64 " over TCP)\n", what,
            totals.udp_sent, totals.tcp_sent);
    exit(1);
}

/* xorshift64*: quick, and the same everywhere. */
static uint64_t random_next(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * UINT64_C(2685821657736338717);
}

static size_t random_below(size_t bound)
{
    return bound == 0 ? 0 : (size_t)((random_next() >> 16) % bound);
}

/* ---- Mutations ---- */

static void flip_bits(struct message *message)
{
    for (size_t flips = 1 + random_below(8); flips > 0 && message->size > 0; flips--)
        message->octets[random_below(message->size)] ^= (uint8_t)(1u << random_below(8));
}

static void set_octets(struct message *message)
{
    static const uint8_t striking[] = {0x00, 0x01, 0x3F, 0x40, 0x7F, 0x80, 0xC0, 0xFF};
    for (size_t count = 1 + random_below(4); count > 0 && message->size > 0; count--)
        message->octets[random_below(message->size)] =
            random_below(2) == 0 ? striking[random_below(sizeof(striking))]
                                 : (uint8_t)random_next();
}

static void truncate_message(struct message *message)
{
    message->size = random_below(message->size + 1);
}

/* The counts of the header, or any two octets as a length or a compression pointer. */
static void set_length_field(struct message *message)
{
    if (message->size < 14)
        return;
    static const uint16_t values[] = {0, 1, 2, 11, 12, 0x7FFF, 0xC00C, 0xC000, 0xFFFF};
    size_t at = random_below(2) == 0 ? 4 + 2 * random_below(4) : random_below(message->size - 1);
    uint16_t value = values[random_below(sizeof(values) / sizeof(values[0]))];
    message->octets[at] = (uint8_t)(value >> 8);
    message->octets[at + 1] = (uint8_t)value;
}

/* The front of this message, the back of another. */
static void splice(struct message *message)
{
    const struct message *other = &seeds[random_below(seed_count)];
    size_t front = random_below(message->size + 1), back = random_below(other->size + 1);
    size_t taken = other->size - back;
    if (taken > MESSAGE_MAX - front)
        taken = MESSAGE_MAX - front;
    memcpy(message->octets + front, other->octets + back, taken);
    message->size = front + taken;
}

/* Says a piece of the message twice: records, options, labels. */
static void repeat(struct message *message)
{
    if (message->size == 0)
        return;
    size_t from = random_below(message->size);
    size_t size = 1 + random_below(message->size - from);
    for (size_t times = 1 + random_below(16); times > 0 && message->size + size <= MESSAGE_MAX;
         times--) {
        memmove(message->octets + from + size, message->octets + from, message->size - from);
        message->size += size;
    }
}

static void append_random(struct message *message)
{
    for (size_t count = random_below(64); count > 0 && message->size < MESSAGE_MAX; count--)
        message->octets[message->size++] = (uint8_t)random_next();
}

static void mutate(struct message *message)
{
    static void (*const mutations[])(struct message *) = {
        flip_bits, set_octets, truncate_message, set_length_field, splice, repeat, append_random,
    };
    *message = seeds[random_below(seed_count)];
    for (size_t count = 1 + random_below(3); count > 0; count--)
        mutations[random_below(sizeof(mutations) / sizeof(mutations[0]))](message);
    if (message->size >= 2 && message->octets[0] == PROBE_ID >> 8)
        message->octets[0] = 0;
}

/* ---- Exchange ---- */

static bool is_probe(const uint8_t *octets)
{
    return octets[0] == PROBE_ID >> 8 && octets[1] == (PROBE_ID & 0xFF);
}

/* Counts an answer; returns whether it is the question's. */
static bool take_answer(const uint8_t *octets, size_t size)
{
    if (size < 12 || (octets[2] & 0x80) == 0)
        fail("what came back is no response");
    totals.rcodes[octets[3] & 15]++;
    return is_probe(octets);
}

static bool is_readable(int fd, int timeout_ms)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    int rc;
    do
        rc = poll(&wait, 1, timeout_ms);
    while (rc < 0 && errno == EINTR);
    return rc > 0;
}

/* Takes answers until the question's; false when it does not come. */
static bool udp_settle(int fd)
{
    uint8_t octets[65536];
    while (is_readable(fd, PROBE_WAIT_MS)) {
        ssize_t got = recv(fd, octets, sizeof(octets), MSG_DONTWAIT);
        if (got < 0)
            continue; /* ECONNREFUSED of a dead server ends as a question without answer */
        totals.udp_answers++;
        if (take_answer(octets, (size_t)got))
            return true;
    }
    return false;
}

static void udp_batch(int fd, uint64_t count)
{
    struct message message;
    for (; count > 0; count--) {
        mutate(&message);
        if (send(fd, message.octets, message.size, 0) >= 0)
            totals.udp_sent++;
    }
    for (unsigned i = 0; i < PROBE_TRIES; i++) {
        totals.probes++;
        if (send(fd, seeds[0].octets, seeds[0].size, 0) >= 0 && udp_settle(fd))
            return;
        totals.resent++;
    }
    fail("no answer over UDP any more");
}

static void udp_run(uint64_t count)
{
    enum { SOCKETS = 8 }; /* different ports, so that all workers take part */
    int fds[SOCKETS];
    for (size_t i = 0; i < SOCKETS; i++) {
        fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
        if (fds[i] < 0 || connect(fds[i], (const struct sockaddr *)&server, sizeof(server)) < 0)
            fail("cannot open a UDP socket");
    }
    for (size_t turn = 0; count > 0; turn++) {
        uint64_t batch = count < BATCH_MAX ? count : BATCH_MAX;
        udp_batch(fds[turn % SOCKETS], batch);
        count -= batch;
    }
    for (size_t i = 0; i < SOCKETS; i++)
        close(fds[i]);
}

static int tcp_open(void)
{
    const int on = 1;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&server, sizeof(server)) < 0)
        fail("cannot connect over TCP");
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    totals.tcp_connections++;
    return fd;
}

static bool tcp_send(int fd, const struct message *message, size_t length)
{
    uint8_t prefix[2] = {(uint8_t)(length >> 8), (uint8_t)length};
    struct iovec parts[2] = {{prefix, 2}, {(void *)message->octets, message->size}};
    struct msghdr whole = {.msg_iov = parts, .msg_iovlen = 2};
    return sendmsg(fd, &whole, MSG_NOSIGNAL) == (ssize_t)(2 + message->size);
}

static bool tcp_send_question(int fd)
{
    return tcp_send(fd, &seeds[0], seeds[0].size);
}

static bool read_whole(int fd, uint8_t *octets, size_t size)
{
    while (size > 0) {
        if (!is_readable(fd, PROBE_WAIT_MS))
            return false;
        ssize_t got = recv(fd, octets, size, 0);
        if (got <= 0)
            return false;
        octets += got;
        size -= (size_t)got;
    }
    return true;
}

/* Takes answers until the question's; false when the server closed before or says nothing. */
static bool tcp_settle(int fd)
{
    uint8_t octets[65536];
    for (;;) {
        if (!read_whole(fd, octets, 2))
            return false;
        size_t size = (size_t)(octets[0] << 8 | octets[1]);
        if (!read_whole(fd, octets, size))
            return false;
        totals.tcp_answers++;
        if (take_answer(octets, size))
            return true;
    }
}

/* One connection's worth. One in sixteen connections ends with a wrong length, behind which nothing
 * means anything any more: the server may close, and must then answer on a new one. */
static uint64_t tcp_batch(uint64_t count)
{
    struct message message;
    const bool is_wrong = random_below(16) == 0;
    bool is_open = true;
    uint64_t sent = 0;
    int fd = tcp_open();
    while (is_open && sent < count) {
        mutate(&message);
        if (message.size == 0)
            continue; /* its length is a wrong one */
        sent++;
        size_t length = is_wrong && sent == count ? random_below(65536) : message.size;
        is_open = tcp_send(fd, &message, length);
    }
    totals.tcp_sent += sent;
    is_open = is_open && tcp_send_question(fd);
    (void)shutdown(fd, SHUT_WR);
    bool settled = is_open && tcp_settle(fd);
    if (!settled && !is_wrong)
        totals.tcp_closed++;
    close(fd);
    for (unsigned i = 0; !settled && i < PROBE_TRIES; i++) {
        fd = tcp_open();
        totals.probes++;
        settled = tcp_send_question(fd) && tcp_settle(fd);
        close(fd);
    }
    if (!settled)
        fail("no answer over TCP any more");
    return sent;
}

static void tcp_run(uint64_t count)
{
    while (count > 0)
        count -= tcp_batch(count < BATCH_MAX ? count : BATCH_MAX);
}

/* ---- Seeds ---- */

static void read_seeds(const char *path)
{
    FILE *file = fopen(path, "r");
    uint8_t prefix[2];
    seeds = calloc(SEEDS_MAX, sizeof(*seeds));
    if (file == NULL || seeds == NULL)
        fail("cannot read the seeds");
    while (seed_count < SEEDS_MAX && fread(prefix, 1, 2, file) == 2) {
        struct message *message = &seeds[seed_count++];
        message->size = (size_t)(prefix[0] << 8 | prefix[1]);
        if (message->size > MESSAGE_MAX ||
            fread(message->octets, 1, message->size, file) != message->size)
            fail("a seed is cut or too long");
    }
    fclose(file);
    if (seed_count == 0 || seeds[0].size < 12)
        fail("no seeds");
    seeds[0].octets[0] = PROBE_ID >> 8;
    seeds[0].octets[1] = PROBE_ID & 0xFF;
}

static void print_totals(double took_s)
{
    printf("{\"udp_sent\": %" PRIu64 ", \"udp_answers\": %" PRIu64 ", \"tcp_sent\": %" PRIu64
           ", \"tcp_answers\": %" PRIu64 ", \"tcp_connections\": %" PRIu64
           ", \"tcp_closed\": %" PRIu64 ", \"probes\": %" PRIu64 ", \"resent\": %" PRIu64
           ", \"seconds\": %.1f, \"rcodes\": [",
           totals.udp_sent, totals.udp_answers, totals.tcp_sent, totals.tcp_answers,
           totals.tcp_connections, totals.tcp_closed, totals.probes, totals.resent, took_s);
    for (size_t i = 0; i < 16; i++)
        printf("%s%" PRIu64, i == 0 ? "" : ", ", totals.rcodes[i]);
    printf("]}\n");
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        fprintf(stderr, "usage: mutate ADDRESS PORT UDP_COUNT TCP_COUNT SEED SEEDS\n");
        return 2;
    }
    server =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(argv[2]))};
    if (inet_pton(AF_INET, argv[1], &server.sin_addr) != 1)
        fail("bad address");
    random_state = strtoull(argv[5], NULL, 10) * UINT64_C(0x9E3779B97F4A7C15) + 1;
    read_seeds(argv[6]);

    time_t started = time(NULL);
    udp_run(strtoull(argv[3], NULL, 10));
    tcp_run(strtoull(argv[4], NULL, 10));
    print_totals(difftime(time(NULL), started));
    free(seeds);
    return 0;
}
