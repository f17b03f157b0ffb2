/* What the log of events costs: events a second on the writer's core, octets of an event, and what
 * hashing and sealing one takes.
 *
 *     micro_events [--events N] [--folder FOLDER]
 *
 * The log's thread has one core and the thread that puts another, which puts as fast as there is
 * room. The events are check-ins by N different victims: their hashes don't compress, as those of
 * the first time that a victim comes don't. */
#include <arpa/inet.h>
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "sink/event_log.h"
#include "sink/privacy.h"

#define EVENTS_DEFAULT 3000000
#define SAMPLES        65536 /* more than the caches hold */
#define APPLIES        200000

static void die(const char *what)
{
    fprintf(stderr, "micro_events: %s\n", what);
    exit(1);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    (void)clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Threads inherit it. Without a second core both share one, and the rate is of both. */
static void stay_on(int core)
{
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(core, &cores);
    (void)sched_setaffinity(0, sizeof(cores), &cores);
}

static void fill(uint64_t *random, uint8_t *ret_octets, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        *random ^= *random << 13;
        *random ^= *random >> 7;
        *random ^= *random << 17;
        memcpy(ret_octets + i, random, size - i < 8 ? size - i : 8);
    }
}

static struct sink_event *make_samples(void)
{
    struct sink_event *samples = calloc(SAMPLES, sizeof(*samples));
    uint64_t random = 0x9e3779b97f4a7c15;
    if (samples == NULL)
        die("out of memory");
    for (unsigned i = 0; i < SAMPLES; i++) {
        struct sink_event *event = &samples[i];
        fill(&random, event->client, sizeof(event->client));
        fill(&random, event->network, sizeof(event->network));
        fill(&random, event->victim, sizeof(event->victim));
        fill(&random, event->machine, sizeof(event->machine));
        memcpy(event->local, "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\0\2\x42", 16);
        event->lasted_ms = (uint32_t)(random >> 20 & 8191);
        event->client_port = (uint16_t)random;
        event->local_port = 1177;
        event->kind = SINK_CHECKIN;
        event->name_source = SINK_NAME_ANSWER;
        event->wellformed = event->consistent = event->has_victim = event->has_machine = true;
        event->epoch = 692;
        event->asn = 64496 + (uint32_t)(random >> 16 & 15);
        event->received = 120 + (random >> 24 & 63);
        memcpy(event->country, random >> 32 & 1 ? "DE" : "DZ", 3);
        strcpy(event->family, "njrat");
        strcpy(event->rule, "njrat");
        strcpy(event->version, "0.7d");
        strcpy(event->order, "nv-2014-00987");
        snprintf(event->name, sizeof(event->name), "host-%u.ddns.example",
                 (unsigned)(random >> 40 & 2047));
    }
    return samples;
}

/* ---- The log ---- */

static struct event_log *open_log(const char *folder)
{
    const struct event_log_options options = {
        .folder = folder,
        .threads = 1,
        .flush_ms = 1000,
        .segment_octets_max = 64 << 20,
        .segment_seconds = 3600,
        .waiting_octets_max = 64 << 20,
    };
    struct event_log *log;
    struct error error = {0};
    if (event_log_open(&options, &log, &error) < 0)
        die(error.text);
    return log;
}

static void measure_log(const char *folder, uint64_t count)
{
    struct sink_event *samples = make_samples();
    stay_on(0);
    struct event_log *log = open_log(folder);
    stay_on(1);
    const double began = seconds(CLOCK_MONOTONIC);
    const double own = seconds(CLOCK_THREAD_CPUTIME_ID), all = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (uint64_t i = 0; i < count; i++) {
        samples[i % SAMPLES].at_us = (int64_t)(UINT64_C(1767225600000000) + i * 20);
        while (!event_log_put(log, 0, &samples[i % SAMPLES]))
            sched_yield();
    }
    struct event_log_figures figures;
    do {
        usleep(1000);
        event_log_figures(log, &figures);
    } while (figures.written < count);
    const double took = seconds(CLOCK_MONOTONIC) - began;
    const double writers =
        seconds(CLOCK_PROCESS_CPUTIME_ID) - all - (seconds(CLOCK_THREAD_CPUTIME_ID) - own);
    event_log_close(log);
    free(samples);
    printf("events a second, encoded, compressed, written and synced: %.0f\n",
           (double)count / took);
    printf("events a second of the writer's own time: %.0f\n", (double)count / writers);
    printf("octets an event: %.1f, compressed %.1f; blocks: %" PRIu64 "\n",
           (double)figures.octets_raw / (double)count, (double)figures.octets / (double)count,
           figures.blocks);
}

/* ---- Hashing and sealing ---- */

static void measure_privacy(const char *folder, enum privacy_addresses addresses,
                            const char *client, const char *what)
{
    static const char bot[] = "HacKed_12345678", machine[] = "machine", user[] = "user";
    const struct privacy_options options = {
        .folder = folder, .addresses = addresses, .rotate_days = 30};
    struct sink_recognition recognition = {
        .family = "njrat",
        .bot = {(const uint8_t *)bot, sizeof(bot) - 1},
        .machine = {(const uint8_t *)machine, sizeof(machine) - 1},
        .user = {(const uint8_t *)user, sizeof(user) - 1},
    };
    struct sink_flight flight = {0};
    struct sink_event event = {0};
    struct privacy *privacy;
    struct error error = {0};
    if (privacy_open(&options, &privacy, &error) < 0)
        die(error.text);
    (void)inet_pton(AF_INET6, client, &flight.client.address);
    const double began = seconds(CLOCK_THREAD_CPUTIME_ID);
    for (unsigned i = 0; i < APPLIES; i++) {
        memcpy(&flight.client.address.s6_addr[12], &i, sizeof(i));
        privacy_apply(privacy, &flight, &recognition, &event);
    }
    printf("hashing and sealing an event, %s: %.2f us\n", what,
           (seconds(CLOCK_THREAD_CPUTIME_ID) - began) / APPLIES * 1e6);
    privacy_close(privacy);
}

static void remove_folder(const char *folder)
{
    DIR *files = opendir(folder);
    if (files == NULL)
        return;
    for (const struct dirent *file; (file = readdir(files)) != NULL;)
        (void)unlinkat(dirfd(files), file->d_name, 0);
    closedir(files);
    (void)rmdir(folder);
}

int main(int count, char **arguments)
{
    static const struct option options[] = {
        {"events", required_argument, NULL, 'e'}, {"folder", required_argument, NULL, 'f'}, {0}};
    uint64_t events = EVENTS_DEFAULT;
    const char *parent = "/tmp";
    char folder[256], keys[300], log[300];
    for (int option; (option = getopt_long(count, arguments, "", options, NULL)) != -1;) {
        if (option == 'e')
            events = strtoull(optarg, NULL, 10);
        else if (option == 'f')
            parent = optarg;
        else
            return 2;
    }
    snprintf(folder, sizeof(folder), "%s/micro-events-XXXXXX", parent);
    if (events == 0 || mkdtemp(folder) == NULL)
        die("no folder to write to");
    snprintf(keys, sizeof(keys), "%s/keys", folder);
    snprintf(log, sizeof(log), "%s/log", folder);
    measure_log(log, events);
    measure_privacy(keys, PRIVACY_DETERMINISTIC, "::ffff:192.0.2.1", "deterministic");
    measure_privacy(keys, PRIVACY_PREFIX, "::ffff:192.0.2.1", "prefix, IPv4");
    measure_privacy(keys, PRIVACY_PREFIX, "2001:db8::1", "prefix, IPv6");
    remove_folder(keys);
    remove_folder(log);
    remove_folder(folder);
    return 0;
}
