/* Asks the servers of a zone through the pool of origins (src/front/origin.h).
 *
 *     ask_origin ZONE WINDOW TIMEOUT_MS RATE SERVERS <QUESTIONS
 *     ask_origin ZONE WINDOW TIMEOUT_MS RATE SERVERS COUNT <QUESTIONS
 *
 * SERVERS is ADDRESS@PORT[,ADDRESS@PORT...]. QUESTIONS has one "name type", or "name type do", a
 * line, the type as a number. WINDOW questions are kept in flight. For each question, in their
 * order, prints one line: its code (0 or a negative errno) and the message in hexadecimal, or "-".
 * Then the servers and the cost as one line of JSON. On standard error "asking" tells that the
 * first question is through.
 *
 * With COUNT, so many questions are asked, those given over and over, and only the last line is
 * printed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <libknot/dname.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "front/origin.h"

struct asked {
    struct name name;
    uint16_t type;
    bool dnssec_ok;
    int code;
    uint8_t *message; /* kept only to be printed */
    size_t size;
};

static struct asked *questions;
static size_t question_count;
static size_t in_flight, good_count, failed_count;
static bool keeps_messages = true;

static void die(const char *what)
{
    fprintf(stderr, "ask_origin: %s\n", what);
    exit(2);
}

static void read_questions(void)
{
    char line[4096], text[2048], flag[8];
    size_t max = 0;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        unsigned type;
        const int fields = sscanf(line, "%2047s %u %7s", text, &type, flag);
        uint8_t wire[KNOT_DNAME_MAXLEN];
        if (fields < 2 || knot_dname_from_str(wire, text, sizeof(wire)) == NULL)
            die("a question is \"name type [do]\"");
        if (question_count == max) {
            max = max == 0 ? 1024 : 2 * max;
            questions = realloc(questions, max * sizeof(*questions));
            if (questions == NULL)
                die("out of memory");
        }
        struct asked *asked = &questions[question_count++];
        *asked = (struct asked){.type = (uint16_t)type, .dnssec_ok = fields == 3};
        if (name_parse(&asked->name, wire, sizeof(wire)) < 0)
            die("a name cannot be read");
    }
}

static size_t read_servers(char *text, struct sockaddr_storage *ret_servers)
{
    size_t count = 0;
    for (char *item = strtok(text, ","); item != NULL; item = strtok(NULL, ",")) {
        char *at = strchr(item, '@');
        if (at == NULL || count == ORIGIN_SERVERS_MAX)
            die("servers are ADDRESS@PORT,...");
        *at = '\0';
        const uint16_t port = htons((uint16_t)atoi(at + 1));
        struct sockaddr_in *ipv4 = (struct sockaddr_in *)&ret_servers[count];
        struct sockaddr_in6 *ipv6 = (struct sockaddr_in6 *)&ret_servers[count++];
        if (inet_pton(AF_INET, item, &ipv4->sin_addr) == 1) {
            ipv4->sin_family = AF_INET;
            ipv4->sin_port = port;
        } else if (inet_pton(AF_INET6, item, &ipv6->sin6_addr) == 1) {
            ipv6->sin6_family = AF_INET6;
            ipv6->sin6_port = port;
        } else {
            die("an address cannot be read");
        }
    }
    return count;
}

static void answered(void *context, int code, const uint8_t *message, size_t size)
{
    struct asked *asked = context;
    if (good_count + failed_count == 0)
        fprintf(stderr, "asking\n");
    in_flight--;
    good_count += code == 0;
    failed_count += code != 0;
    asked->code = code;
    if (!keeps_messages || message == NULL)
        return;
    asked->message = malloc(size);
    if (asked->message == NULL)
        die("out of memory");
    memcpy(asked->message, message, size);
    asked->size = size;
}

static void run(struct origin_pool *pool, struct origin_group *group, size_t count, size_t window)
{
    for (size_t next = 0; next < count || in_flight > 0;) {
        while (next < count && in_flight < window) {
            struct asked *asked = &questions[next % question_count];
            const struct origin_question question = {
                .name = &asked->name,
                .type = asked->type,
                .dnssec_ok = asked->dnssec_ok,
                .done = answered,
                .context = asked,
            };
            const int rc = origin_ask(group, &question);
            if (rc == -EBUSY)
                break; /* until the rate or the bound allows it */
            next++;
            asked->code = rc;
            failed_count += rc < 0;
            in_flight += rc == 0;
        }
        origin_pool_run(pool);
        struct pollfd fd = {.fd = origin_pool_fd(pool), .events = POLLIN};
        if (in_flight > 0 || next < count)
            poll(&fd, 1, in_flight > 0 ? origin_pool_timeout_ms(pool) : 1);
        origin_pool_run(pool);
    }
}

static void print_messages(void)
{
    for (size_t i = 0; i < question_count; i++) {
        printf("%d %s", questions[i].code, questions[i].message == NULL ? "-" : "");
        for (size_t j = 0; j < questions[i].size; j++)
            printf("%02x", questions[i].message[j]);
        printf("\n");
        free(questions[i].message);
    }
}

static void print_summary(const struct origin_group *group, size_t count, double seconds)
{
    struct origin_server_state states[ORIGIN_SERVERS_MAX];
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    const double cpu_s = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                         (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"good\": %zu, \"failed\": %zu, \"seconds\": %.3f, \"cpu_ns\": %.0f, \"servers\": [",
           good_count, failed_count, seconds, cpu_s * 1e9 / (double)count);
    const size_t servers = origin_group_state(group, states, ORIGIN_SERVERS_MAX);
    for (size_t i = 0; i < servers; i++) {
        const struct origin_server_state *state = &states[i];
        printf("%s{\"healthy\": %d, \"case\": %d, \"edns\": %d, \"cookies\": %d, \"rtt_ms\": %.3f, "
               "\"p95_ms\": %.3f, \"asked\": %" PRIu64 ", \"answered\": %" PRIu64
               ", \"late\": %" PRIu64 ", \"timeouts\": %" PRIu64 ", \"refused\": %" PRIu64
               ", \"mismatches\": %" PRIu64 ", \"truncated\": %" PRIu64 ", \"over_tcp\": %" PRIu64
               ", \"hedges\": %" PRIu64 "}",
               i > 0 ? ", " : "", state->is_healthy, state->has_case, state->has_edns,
               state->has_cookies, state->rtt_ms, state->p95_ms, state->asked, state->answered,
               state->late, state->timeouts, state->refused, state->mismatches, state->truncated,
               state->over_tcp, state->hedges);
    }
    printf("]}\n");
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    if (argc != 6 && argc != 7)
        die("ZONE WINDOW TIMEOUT_MS RATE SERVERS [COUNT]");
    read_questions();
    struct sockaddr_storage servers[ORIGIN_SERVERS_MAX] = {0};
    const size_t server_count = read_servers(argv[5], servers);
    const size_t count = argc == 7 ? strtoul(argv[6], NULL, 10) : question_count;
    if (question_count == 0)
        die("no questions");
    keeps_messages = argc == 6;

    const struct origin_options options = {.timeout_ms = (unsigned)atoi(argv[3])};
    struct origin_pool *pool;
    struct origin_group *group;
    struct error error;
    if (origin_pool_create(&options, &pool, &error) < 0)
        die(error.text);
    if (origin_group_add(pool, argv[1], servers, server_count, (unsigned)atoi(argv[4]), &group) < 0)
        die("the zone or its servers cannot be used");
    const double began_s = now_s();
    run(pool, group, count, strtoul(argv[2], NULL, 10));
    const double took_s = now_s() - began_s;
    if (keeps_messages)
        print_messages();
    print_summary(group, count, took_s);
    origin_pool_free(pool);
    free(questions);
    return 0;
}
