/* A load of A queries at a steady rate, every one of which is accounted for.
 *
 *     paced_load ADDRESS PORT RATE SECONDS SINKHOLE QUERIES RECORDS
 *
 * QUERIES has one "name expected" a line: the IPv4 address of the name, or NXDOMAIN. RECORDS gets
 * one struct record for each query, in the order of sending, to be read by the caller. An answer
 * is the right one, the SINKHOLE's address, or wrong.
 *
 * The moment of an answer is the kernel's stamp on the packet, so that this program's own waits for
 * a processor are not counted as the server's. What is late in being sent is sent late and then
 * measured from its sending: the rate is kept over the whole, not by dropping queries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <libknot/libknot.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

/* Several source ports, so that the server's workers all get a share. */
#define SOCKETS 8

/* Message IDs of a socket: a query is forgotten when its ID comes round, far beyond LINGER_NS. */
#define IDS 65536

/* Queries sent at once, every BURST / RATE seconds: a quarter of a millisecond at 20,000. */
#define BURST 5

#define RECEIVE_MAX 64
#define MESSAGE_MAX 512

/* How long answers are waited for after the last query. */
#define LINGER_NS INT64_C(2000000000)

enum outcome { OUTCOME_LOST, OUTCOME_RIGHT, OUTCOME_SINKHOLED, OUTCOME_WRONG };

/* Read by tests/testbed/load.py. */
struct record {
    int64_t sent_ns, received_ns; /* CLOCK_MONOTONIC; received 0: never */
    uint32_t query;               /* line of QUERIES, from 0 */
    uint32_t outcome;
};

struct query {
    uint8_t wire[MESSAGE_MAX];
    size_t size;
    bool exists;
    struct in_addr address;
};

struct load {
    struct query *queries;
    size_t query_count;
    struct record *records;
    size_t record_count, sent, received;
    int fds[SOCKETS];
    uint32_t *flying[SOCKETS]; /* by ID: the record, plus one; 0: none */
    struct in_addr sinkhole;
    int64_t clock_offset_ns; /* from CLOCK_REALTIME, which stamps packets, to CLOCK_MONOTONIC */
};

static int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "paced_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void read_query(struct query *query, const char *name, const char *expected)
{
    query->exists = strcmp(expected, "NXDOMAIN") != 0;
    if (query->exists && inet_pton(AF_INET, expected, &query->address) != 1) {
        errno = EINVAL;
        die(expected);
    }
    static const uint8_t header[] = {0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0};
    memcpy(query->wire, header, sizeof(header));
    uint8_t *owner = query->wire + sizeof(header);
    if (knot_dname_from_str(owner, name, KNOT_DNAME_MAXLEN) == NULL) {
        errno = EINVAL;
        die(name);
    }
    uint8_t *end = owner + knot_dname_size(owner);
    static const uint8_t type_and_class[] = {0, 1, 0, 1};
    memcpy(end, type_and_class, sizeof(type_and_class));
    query->size = (size_t)(end - query->wire) + sizeof(type_and_class);
}

static void read_queries(struct load *load, const char *path)
{
    FILE *file = fopen(path, "r");
    if (file == NULL)
        die(path);
    char name[1100], expected[64];
    size_t room = 0;
    while (fscanf(file, "%1099s %63s", name, expected) == 2) {
        if (load->query_count == room) {
            room = room == 0 ? 4096 : room * 2;
            load->queries = reallocarray(load->queries, room, sizeof(*load->queries));
            if (load->queries == NULL)
                die("queries");
        }
        read_query(&load->queries[load->query_count++], name, expected);
    }
    fclose(file);
    if (load->query_count == 0) {
        errno = ENODATA;
        die(path);
    }
}

static void open_sockets(struct load *load, const char *address, const char *port)
{
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};
    if (inet_pton(AF_INET, address, &server.sin_addr) != 1)
        die(address);
    const int on = 1, buffer = 8 << 20;
    for (size_t i = 0; i < SOCKETS; i++) {
        load->fds[i] = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
        load->flying[i] = calloc(IDS, sizeof(uint32_t));
        if (load->fds[i] < 0 || load->flying[i] == NULL ||
            setsockopt(load->fds[i], SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)) < 0 ||
            connect(load->fds[i], (const struct sockaddr *)&server, sizeof(server)) < 0)
            die("socket");
        /* Answers that wait while this program has no processor must not be lost here. */
        if (setsockopt(load->fds[i], SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) < 0)
            (void)setsockopt(load->fds[i], SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer));
    }
}

/* Whether the message holds an A record, and which. */
static bool find_address(const uint8_t *wire, size_t size, struct in_addr *ret_address)
{
    size_t at = 12;
    while (at < size && wire[at] != 0)
        at += (size_t)wire[at] + 1;
    at += 5;
    unsigned answers = (unsigned)(wire[6] << 8 | wire[7]);
    for (; answers > 0; answers--) {
        while (at < size && wire[at] != 0 && wire[at] < 0xC0)
            at += (size_t)wire[at] + 1;
        if (at >= size)
            return false;
        at += wire[at] == 0 ? 1 : 2;
        if (at + 10 > size)
            return false;
        size_t rdata_size = (size_t)(wire[at + 8] << 8 | wire[at + 9]);
        bool is_address = wire[at] == 0 && wire[at + 1] == 1 && rdata_size == 4;
        at += 10;
        if (at + rdata_size > size)
            return false;
        if (is_address) {
            memcpy(ret_address, wire + at, 4);
            return true;
        }
        at += rdata_size;
    }
    return false;
}

static enum outcome judge(const struct load *load, const struct query *query, const uint8_t *wire,
                          size_t size)
{
    struct in_addr address;
    unsigned rcode = wire[3] & 15;

    if (size < query->size || (wire[2] & 0x84) != 0x84 || /* QR and AA */
        memcmp(wire + 12, query->wire + 12, query->size - 12) != 0)
        return OUTCOME_WRONG;
    if (!find_address(wire, size, &address))
        return !query->exists && rcode == KNOT_RCODE_NXDOMAIN ? OUTCOME_RIGHT : OUTCOME_WRONG;
    if (rcode != KNOT_RCODE_NOERROR)
        return OUTCOME_WRONG;
    if (address.s_addr == load->sinkhole.s_addr)
        return OUTCOME_SINKHOLED;
    return query->exists && address.s_addr == query->address.s_addr ? OUTCOME_RIGHT : OUTCOME_WRONG;
}

/* The kernel's stamp on a packet, as CLOCK_MONOTONIC. */
static int64_t stamp_ns(const struct load *load, struct msghdr *message)
{
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
         header = CMSG_NXTHDR(message, header)) {
        struct timespec stamp;
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SO_TIMESTAMPNS)
            continue;
        memcpy(&stamp, CMSG_DATA(header), sizeof(stamp));
        return (int64_t)stamp.tv_sec * 1000000000 + stamp.tv_nsec + load->clock_offset_ns;
    }
    return clock_ns(CLOCK_MONOTONIC);
}

static void take_answer(struct load *load, size_t socket, struct msghdr *message,
                        const uint8_t *wire, size_t size)
{
    if (size < 12)
        return;
    uint32_t *flying = &load->flying[socket][wire[0] << 8 | wire[1]];
    if (*flying == 0)
        return; /* a second answer */
    struct record *record = &load->records[*flying - 1];
    *flying = 0;
    record->received_ns = stamp_ns(load, message);
    record->outcome = judge(load, &load->queries[record->query], wire, size);
    load->received++;
}

static void receive(struct load *load, size_t socket)
{
    static uint8_t octets[RECEIVE_MAX][4096];
    static union {
        struct cmsghdr header;
        uint8_t room[CMSG_SPACE(sizeof(struct timespec))];
    } controls[RECEIVE_MAX];
    struct mmsghdr messages[RECEIVE_MAX];
    struct iovec parts[RECEIVE_MAX];

    for (;;) {
        for (size_t i = 0; i < RECEIVE_MAX; i++) {
            parts[i] = (struct iovec){octets[i], sizeof(octets[i])};
            messages[i].msg_hdr = (struct msghdr){.msg_iov = &parts[i],
                                                  .msg_iovlen = 1,
                                                  .msg_control = &controls[i],
                                                  .msg_controllen = sizeof(controls[i])};
        }
        int count = recvmmsg(load->fds[socket], messages, RECEIVE_MAX, MSG_DONTWAIT, NULL);
        for (int i = 0; i < count; i++)
            take_answer(load, socket, &messages[i].msg_hdr, octets[i], messages[i].msg_len);
        if (count < RECEIVE_MAX)
            return;
    }
}

/* Sends the next burst, each of its queries by another socket than the burst before. */
static void send_burst(struct load *load)
{
    for (size_t i = 0; i < BURST && load->sent < load->record_count; i++) {
        size_t index = load->sent++;
        size_t socket = index % SOCKETS;
        uint16_t id = (uint16_t)(index / SOCKETS);
        struct record *record = &load->records[index];
        record->query = (uint32_t)(index % load->query_count);
        struct query *query = &load->queries[record->query];
        query->wire[0] = (uint8_t)(id >> 8);
        query->wire[1] = (uint8_t)id;
        load->flying[socket][id] = (uint32_t)index + 1;
        record->sent_ns = clock_ns(CLOCK_MONOTONIC);
        if (send(load->fds[socket], query->wire, query->size, 0) < 0 && errno != EAGAIN &&
            errno != ECONNREFUSED)
            die("send");
    }
}

static void wait_until(struct load *load, int64_t until_ns)
{
    struct pollfd polls[SOCKETS];
    for (size_t i = 0; i < SOCKETS; i++)
        polls[i] = (struct pollfd){.fd = load->fds[i], .events = POLLIN};
    int64_t left_ns = until_ns - clock_ns(CLOCK_MONOTONIC);
    struct timespec left = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    if (left_ns <= 0)
        left = (struct timespec){0};
    if (ppoll(polls, SOCKETS, &left, NULL) <= 0)
        return;
    for (size_t i = 0; i < SOCKETS; i++)
        if (polls[i].revents != 0)
            receive(load, i);
}

static void run(struct load *load, double rate)
{
    const int64_t start_ns = clock_ns(CLOCK_MONOTONIC);
    int64_t end_ns = 0;

    for (;;) {
        const int64_t now_ns = clock_ns(CLOCK_MONOTONIC);
        int64_t next_ns = start_ns + (int64_t)((double)load->sent * 1e9 / rate);
        if (load->sent == load->record_count) {
            if (end_ns == 0)
                end_ns = now_ns + LINGER_NS;
            if (now_ns >= end_ns || load->received == load->record_count)
                return;
            next_ns = end_ns;
        } else if (now_ns >= next_ns) {
            send_burst(load);
            next_ns = now_ns;
        }
        wait_until(load, next_ns);
    }
}

static void write_records(const struct load *load, const char *path)
{
    FILE *file = fopen(path, "w");
    if (file == NULL ||
        fwrite(load->records, sizeof(struct record), load->record_count, file) !=
            load->record_count ||
        fclose(file) != 0)
        die(path);
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fprintf(stderr, "usage: paced_load ADDRESS PORT RATE SECONDS SINKHOLE QUERIES RECORDS\n");
        return 2;
    }
    struct load load = {0};
    const double rate = strtod(argv[3], NULL);
    load.record_count = (size_t)(rate * strtod(argv[4], NULL));
    load.records = calloc(load.record_count + 1, sizeof(*load.records));
    if (load.records == NULL || inet_pton(AF_INET, argv[5], &load.sinkhole) != 1)
        die("arguments");
    load.clock_offset_ns = clock_ns(CLOCK_MONOTONIC) - clock_ns(CLOCK_REALTIME);
    read_queries(&load, argv[6]);
    open_sockets(&load, argv[1], argv[2]);

    puts("running");
    fflush(stdout);
    run(&load, rate);
    write_records(&load, argv[7]);

    for (size_t i = 0; i < SOCKETS; i++)
        free(load.flying[i]);
    free(load.records);
    free(load.queries);
    return 0;
}
