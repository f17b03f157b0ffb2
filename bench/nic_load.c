/* Updates hosts over HTTP as their clients would (dyndns2), over connections that stay open.
 *
 *     nic_load PORT ZONE HOSTS WORD FIRST COUNT ROUND CONNECTIONS SECONDS
 *
 * The hosts are h0, h1, ... of ZONE in a scattered order, beginning with the FIRST; each has the
 * key "tmh_" and its number padded by nic_load's rule, which bench/pieces/desk.py knows, too. WORD
 * says what has to come back: "nochg" asks for the address of ROUND, the same for ever; "good" goes
 * on to the next round when all hosts were there. Ends after COUNT answers (0: any number) or
 * SECONDS. Every answer is compared, octet by octet.
 *
 * Prints one line of JSON. In C and not a script of wrk, as the name server shares its core. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STEP            7368787 /* a prime: names every host before the first comes again */
#define CONNECTIONS_MAX 1024
#define LATENCIES_MAX   (16u << 20)
#define TEXT_SIZE       1024

struct connection {
    int fd;
    size_t received;
    int64_t sent_us;
    char expected[64];
    char text[2 * TEXT_SIZE];
};

static struct {
    uint16_t port;
    const char *zone, *word;
    uint64_t hosts, next, count, round, sent, answered, right;
    double seconds;
    char other[256]; /* the first that was not right */
    uint32_t *latencies_us;
    struct connection connections[CONNECTIONS_MAX];
    unsigned connection_count;
    int epoll_fd;
} load;

static void die(const char *what)
{
    fprintf(stderr, "nic_load: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static void base64(const char *from, char *to)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t size = strlen(from);
    for (size_t i = 0; i < size; i += 3) {
        uint32_t three = (uint32_t)(uint8_t)from[i] << 16;
        if (i + 1 < size)
            three |= (uint32_t)(uint8_t)from[i + 1] << 8;
        if (i + 2 < size)
            three |= (uint8_t)from[i + 2];
        *to++ = digits[three >> 18];
        *to++ = digits[three >> 12 & 63];
        *to++ = i + 1 < size ? digits[three >> 6 & 63] : '=';
        *to++ = i + 2 < size ? digits[three & 63] : '=';
    }
    *to = '\0';
}

static void request_send(struct connection *connection)
{
    char request[TEXT_SIZE], user[256], credentials[400];
    const uint64_t host = load.next * STEP % load.hosts;
    const bool goes_on = strcmp(load.word, "good") == 0;
    const unsigned octet =
        (unsigned)((host + load.round + (goes_on ? load.next / load.hosts : 0)) % 250 + 1);

    load.next++;
    load.sent++;
    snprintf(user, sizeof(user), "h%" PRIu64 ".%s:tmh_%043" PRIu64, host, load.zone, host);
    base64(user, credentials);
    snprintf(connection->expected, sizeof(connection->expected), "%s 198.51.100.%u\n", load.word,
             octet);
    const int size =
        snprintf(request, sizeof(request),
                 "GET /nic/update?hostname=h%" PRIu64 ".%s&myip=198.51.100.%u HTTP/1.1\r\n"
                 "Host: desk.example\r\nAuthorization: Basic %s\r\n"
                 "User-Agent: bench/1.0 ops@example.net\r\n\r\n",
                 host, load.zone, octet, credentials);
    connection->received = 0;
    connection->sent_us = now_us();
    if (send(connection->fd, request, (size_t)size, MSG_NOSIGNAL) != size)
        die("cannot send");
}

/* The body of a whole answer; NULL: more is to come. */
static char *body_find(struct connection *connection)
{
    connection->text[connection->received] = '\0';
    char *end = strstr(connection->text, "\r\n\r\n");
    const char *length = end != NULL ? strcasestr(connection->text, "\r\nContent-Length:") : NULL;
    if (length == NULL)
        return NULL;
    char *body = end + 4;
    const size_t size = strtoul(length + 17, NULL, 10);
    return (size_t)(connection->text + connection->received - body) >= size ? body : NULL;
}

static void answer_take(struct connection *connection)
{
    const ssize_t received = recv(connection->fd, connection->text + connection->received,
                                  sizeof(connection->text) - 1 - connection->received, 0);
    if (received <= 0) {
        fprintf(stderr,
                "nic_load: after %" PRIu64 " answers, of which the first wrong one \"%s\", "
                "and %.1f s of waiting:\n",
                load.answered, load.other, (double)(now_us() - connection->sent_us) / 1e6);
        die("the desk closed a connection");
    }
    connection->received += (size_t)received;
    const char *body = body_find(connection);
    if (body == NULL)
        return;
    if (load.answered < LATENCIES_MAX)
        load.latencies_us[load.answered] = (uint32_t)(now_us() - connection->sent_us);
    load.answered++;
    if (strcmp(body, connection->expected) == 0)
        load.right++;
    else if (load.other[0] == '\0')
        snprintf(load.other, sizeof(load.other), "%s", body);
    connection->expected[0] = '\0';
}

static void connections_open(void)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons(load.port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int yes = 1;
    for (unsigned i = 0; i < load.connection_count; i++) {
        struct connection *connection = &load.connections[i];
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        connection->fd = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(connection->fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
            die("cannot connect");
        (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
        if (epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, connection->fd, &event) < 0)
            die("epoll");
    }
}

static bool may_send(int64_t end_us)
{
    return (load.count == 0 || load.sent < load.count) && now_us() < end_us;
}

static void run(int64_t end_us)
{
    for (unsigned i = 0; i < load.connection_count && may_send(end_us); i++)
        request_send(&load.connections[i]);
    while (load.answered < load.sent) {
        struct epoll_event events[64];
        const int count = epoll_wait(load.epoll_fd, events, 64, 30000);
        if (count <= 0)
            die("no answer within 30 s");
        for (int i = 0; i < count; i++) {
            struct connection *connection = events[i].data.ptr;
            answer_take(connection);
            if (connection->expected[0] == '\0' && may_send(end_us))
                request_send(connection);
        }
    }
}

static int compare(const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *)one, b = *(const uint32_t *)other;
    return a < b ? -1 : a > b;
}

static double quantile_ms(size_t count, double share)
{
    const size_t at = (size_t)((double)count * share);
    return count == 0 ? 0 : load.latencies_us[at < count ? at : count - 1] / 1e3;
}

static void figures_print(double seconds)
{
    const size_t count = load.answered < LATENCIES_MAX ? load.answered : LATENCIES_MAX;
    qsort(load.latencies_us, count, sizeof(load.latencies_us[0]), compare);
    for (char *at = load.other; *at != '\0'; at++)
        if (*at < ' ' || *at == '"' || *at == '\\')
            *at = ' ';
    printf("{\"answered\": %" PRIu64 ", \"right\": %" PRIu64 ", \"seconds\": %.3f, "
           "\"per_s\": %.1f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"p999_ms\": %.3f, "
           "\"next\": %" PRIu64 ", \"other\": \"%s\"}\n",
           load.answered, load.right, seconds, (double)load.answered / seconds,
           quantile_ms(count, 0.5), quantile_ms(count, 0.99), quantile_ms(count, 0.999), load.next,
           load.other);
}

int main(int argc, char **argv)
{
    if (argc != 10) {
        fputs("nic_load PORT ZONE HOSTS WORD FIRST COUNT ROUND CONNECTIONS SECONDS\n", stderr);
        return 2;
    }
    load.port = (uint16_t)atoi(argv[1]);
    load.zone = argv[2];
    load.hosts = strtoull(argv[3], NULL, 10);
    load.word = argv[4];
    load.next = strtoull(argv[5], NULL, 10);
    load.count = strtoull(argv[6], NULL, 10);
    load.round = strtoull(argv[7], NULL, 10);
    load.connection_count = (unsigned)atoi(argv[8]);
    load.seconds = atof(argv[9]);
    if (load.connection_count == 0 || load.connection_count > CONNECTIONS_MAX)
        load.connection_count = 1;
    load.latencies_us = calloc(LATENCIES_MAX, sizeof(load.latencies_us[0]));
    load.epoll_fd = epoll_create1(0);
    if (load.latencies_us == NULL || load.epoll_fd < 0)
        die("no memory");
    connections_open();
    const int64_t begin_us = now_us();
    run(begin_us + (int64_t)(load.seconds * 1e6));
    figures_print((double)(now_us() - begin_us) / 1e6);
    return 0;
}
