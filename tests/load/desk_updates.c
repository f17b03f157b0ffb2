/* Changes hosts of a zone through the desk's updater (src/desk/dns_updater.h).
 *
 *     desk_updates ADDRESS@PORT ZONE [KEY ALGORITHM SECRET]
 *
 * Reads a command a line and answers each, whenever its outcome is there, with its number and
 * "done", "refused RCODE", "not-reached", or the errno that refused it at once:
 *
 *     set HOST A|AAAA [VALUE]     the record set is to be this one, or none
 *     acme HOST [TEXT]            the same for the TXT of _acme-challenge below the host
 *     remove HOST
 *     ask HOST                    "done A AAAA", "-" for none
 *     load COUNT WINDOW HOSTS     so many changes of h0, h1, ... with WINDOW of them under way
 *     figures                     the updater's, as JSON
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <libknot/libknot.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/config_address.h"
#include "desk/desk_config.h"
#include "desk/dns_updater.h"

#define TTL_S 60

static struct dns_updater *updater;
static const char *zone;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t change = PTHREAD_COND_INITIALIZER;
static unsigned under_way;

static void die(const char *what)
{
    fprintf(stderr, "desk_updates: %s\n", what);
    exit(2);
}

/* ---- Single changes ---- */

static void tell(unsigned long number, const char *what)
{
    printf("%lu %s\n", number, what);
    fflush(stdout);
}

static void tell_outcome(void *context, const struct dns_outcome *outcome)
{
    char text[64] = "done";
    if (outcome->result == DNS_REFUSED)
        snprintf(text, sizeof(text), "refused %u", outcome->rcode);
    else if (outcome->result == DNS_NOT_REACHED)
        snprintf(text, sizeof(text), "not-reached");
    tell((unsigned long)(uintptr_t)context, text);
}

static void tell_addresses(void *context, const struct dns_outcome *outcome,
                           const struct dns_addresses *addresses)
{
    char a[INET_ADDRSTRLEN] = "-", aaaa[INET6_ADDRSTRLEN] = "-", text[128];
    if (addresses == NULL) {
        tell_outcome(context, outcome);
        return;
    }
    if (addresses->a_count > 0)
        inet_ntop(AF_INET, addresses->a, a, sizeof(a));
    if (addresses->aaaa_count > 0)
        inet_ntop(AF_INET6, addresses->aaaa, aaaa, sizeof(aaaa));
    snprintf(text, sizeof(text), "done %s %s", a, aaaa);
    tell((unsigned long)(uintptr_t)context, text);
}

static int change_set(unsigned long number, const char *host, const char *below, const char *type,
                      const char *text)
{
    uint8_t address[16];
    struct dns_value value = {address, 0};
    struct dns_set set = {.below = below, .ttl_s = TTL_S, .values = &value, .count = text != NULL};

    if (knot_rrtype_from_string(type, &set.type) != 0)
        die("no such type");
    if (set.type == KNOT_RRTYPE_TXT)
        value = (struct dns_value){text, (uint16_t)(text != NULL ? strlen(text) : 0)};
    else
        value.size = set.type == KNOT_RRTYPE_A ? 4 : 16;
    if (text != NULL && set.type != KNOT_RRTYPE_TXT &&
        inet_pton(set.type == KNOT_RRTYPE_A ? AF_INET : AF_INET6, text, address) != 1)
        die("no such address");
    const struct dns_change one = {.zone = zone, .host = host, .sets = &set, .set_count = 1};
    return dns_updater_submit(updater, &one, tell_outcome, (void *)(uintptr_t)number, NULL);
}

/* ---- Many ---- */

static unsigned long load_done;

static void load_count(void *context, const struct dns_outcome *outcome)
{
    (void)context;
    pthread_mutex_lock(&lock);
    under_way--;
    load_done += outcome->result == DNS_DONE;
    pthread_cond_signal(&change);
    pthread_mutex_unlock(&lock);
}

static void load_one(unsigned long number, unsigned long hosts)
{
    char host[256];
    const uint32_t address = htonl(0xcb007100u | (uint32_t)(number / hosts + number) % 256);
    const struct dns_value value = {&address, 4};
    const struct dns_set sets[] = {
        {.type = KNOT_RRTYPE_A, .ttl_s = TTL_S, .values = &value, .count = 1},
        {.type = KNOT_RRTYPE_AAAA},
    };
    const struct dns_change one = {.zone = zone, .host = host, .sets = sets, .set_count = 2};
    snprintf(host, sizeof(host), "h%lu.%s", number * 7919 % hosts, zone);
    if (dns_updater_submit(updater, &one, load_count, NULL, NULL) < 0)
        load_count(NULL, &(struct dns_outcome){.result = DNS_NOT_REACHED});
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static double cpu_seconds(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void load_run(unsigned long number, unsigned long count, unsigned window,
                     unsigned long hosts)
{
    char text[256];
    const double begin = seconds(), cpu = cpu_seconds();
    load_done = 0;
    for (unsigned long i = 0; i < count; i++) {
        pthread_mutex_lock(&lock);
        while (under_way >= window)
            pthread_cond_wait(&change, &lock);
        under_way++;
        pthread_mutex_unlock(&lock);
        load_one(i, hosts);
    }
    pthread_mutex_lock(&lock);
    while (under_way > 0)
        pthread_cond_wait(&change, &lock);
    pthread_mutex_unlock(&lock);
    snprintf(text, sizeof(text), "{\"done\": %lu, \"seconds\": %.3f, \"cpu_us\": %.2f}", load_done,
             seconds() - begin, (cpu_seconds() - cpu) * 1e6 / (double)count);
    tell(number, text);
}

/* ---- Commands ---- */

static void figures_tell(unsigned long number)
{
    char text[512];
    struct dns_updater_figures figures;
    dns_updater_figures_get(updater, &figures);
    snprintf(text, sizeof(text),
             "{\"done\": %" PRIu64 ", \"refused\": %" PRIu64 ", \"not_reached\": %" PRIu64
             ", \"messages\": %" PRIu64 ", \"split\": %" PRIu64 ", \"connects\": %" PRIu64
             ", \"downs\": %" PRIu64 ", \"answer_us\": %" PRIu64 ", \"answers\": %" PRIu64
             ", \"window\": %u, \"is_down\": %s}",
             figures.changes_done, figures.changes_refused, figures.changes_not_reached,
             figures.messages, figures.messages_split, figures.connects, figures.downs,
             figures.answer_us, figures.answers, figures.window,
             figures.is_down ? "true" : "false");
    tell(number, text);
}

static void command_run(unsigned long number, char *line)
{
    char *rest = NULL;
    const char *verb = strtok_r(line, " \n", &rest), *name = strtok_r(NULL, " \n", &rest);
    const char *first = strtok_r(NULL, " \n", &rest), *second = strtok_r(NULL, " \n", &rest);
    char host[300];
    int rc = 0;

    if (verb == NULL)
        die("an empty command");
    snprintf(host, sizeof(host), "%s.%s", name != NULL ? name : "", zone);
    if (strcmp(verb, "figures") == 0) {
        figures_tell(number);
    } else if (strcmp(verb, "load") == 0 && second != NULL) {
        load_run(number, strtoul(name, NULL, 10), (unsigned)strtoul(first, NULL, 10),
                 strtoul(second, NULL, 10));
    } else if (strcmp(verb, "set") == 0 && first != NULL) {
        rc = change_set(number, host, NULL, first, second);
    } else if (strcmp(verb, "acme") == 0) {
        rc = change_set(number, host, "_acme-challenge", "TXT", first);
    } else if (strcmp(verb, "remove") == 0) {
        const struct dns_change one = {.zone = zone, .host = host, .remove = true};
        rc = dns_updater_submit(updater, &one, tell_outcome, (void *)(uintptr_t)number, NULL);
    } else if (strcmp(verb, "ask") == 0) {
        rc = dns_updater_ask(updater, zone, host, tell_addresses, (void *)(uintptr_t)number, NULL);
    } else {
        die("no such command");
    }
    if (rc < 0)
        tell(number, strerrorname_np(-rc));
}

int main(int argc, char **argv)
{
    struct config_address address;
    struct error error;
    char line[1024];

    if (argc != 3 && argc != 6)
        die("ADDRESS@PORT ZONE [KEY ALGORITHM SECRET]");
    struct desk_config_key key = {.name = argv[argc == 6 ? 3 : 0],
                                  .algorithm = argv[argc == 6 ? 4 : 0],
                                  .secret = argv[argc == 6 ? 5 : 0]};
    if (config_address_parse(argv[1], 53, &address, &error) < 0)
        die(error.text);
    zone = argv[2];
    const struct dns_updater_options options = {
        .address = (const struct sockaddr *)&address.address,
        .address_size = address.size,
        .server_text = argv[1],
        .key = argc == 6 ? &key : NULL,
    };
    if (dns_updater_start(&options, &updater, &error) < 0)
        die(error.text);
    for (unsigned long number = 1; fgets(line, sizeof(line), stdin) != NULL; number++)
        command_run(number, line);
    dns_updater_stop(updater);
    return 0;
}
