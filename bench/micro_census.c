/* What the census costs: time and memory of feeding events of so many victims, beside scanners, and
 * of asking for its figures.
 *
 *     micro_census [--victims N] [--events N]
 *
 * Each victim tries three times a day from its own address, which changes each day; one event in
 * ten is a scanner's, of ever other addresses. Victims take turns, so that none is still in the
 * processor's caches when it comes again: that is the worst order.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sink/census.h"

#define VICTIMS_DEFAULT 1000000
#define EVENTS_DEFAULT  9000000
#define START_US        INT64_C(1788480000000000)
#define DAY_US          INT64_C(86400000000)
#define DAYS            3
#define ROW             3    /* check-ins of a victim, one after the other */
#define NETWORKS        2000 /* AS numbers */
#define NAMES           20000
#define SCANNER_EVERY   10
#define MEMORY_MAX      ((size_t)512 << 20)

static void die(const char *what)
{
    fprintf(stderr, "micro_census: %s\n", what);
    exit(1);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static uint64_t mixed(uint64_t number)
{
    number = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
    return number ^ number >> 31;
}

/* Ids and sealed addresses look random. */
static void put(uint8_t *octets, uint64_t number)
{
    const uint64_t words[] = {mixed(number), mixed(~number)};
    memcpy(octets, words, sizeof(words));
}

static void make_event(struct sink_event *event, uint64_t number, uint64_t victims, uint64_t events)
{
    const bool scanner = number % SCANNER_EVERY == 0;
    const uint64_t victim = number / ROW % victims;
    const int64_t day = (int64_t)(number * DAYS / events);
    event->at_us = START_US + (int64_t)((double)number * DAYS * (double)DAY_US / (double)events);
    event->kind = scanner ? SINK_HTTP_SCAN : SINK_CHECKIN;
    event->has_victim = event->has_machine = !scanner;
    const uint64_t address = scanner ? UINT64_C(1) << 60 | number : victim << 8 | (uint64_t)day;
    put(event->client, address);
    put(event->network, address / 64);
    put(event->victim, victim);
    put(event->machine, victim);
    event->asn = (uint32_t)(64496 + victim % NETWORKS);
    event->country[0] = (char)('A' + victim % 20);
    event->country[1] = (char)('A' + victim % 11);
    snprintf(event->name, sizeof(event->name), "host-%05u.example", (unsigned)(victim % NAMES));
}

static int keep_figures(void *context, const char *key, const struct census_figures *figures)
{
    (void)key;
    *(struct census_figures *)context = *figures;
    return 0;
}

static int count_point(void *context, const struct census_point *point)
{
    (void)point;
    ++*(unsigned *)context;
    return 0;
}

/* Events are made ahead in batches, so that making them is not in the time. */
static double feed_all(struct census *census, uint64_t victims, uint64_t events)
{
    enum { BATCH = 1024 };
    static struct sink_event batch[BATCH];
    double spent = 0;
    for (unsigned i = 0; i < BATCH; i++)
        batch[i] = (struct sink_event){.wellformed = true,
                                       .consistent = true,
                                       .epoch = 1,
                                       .local_port = 1177,
                                       .family = "njrat",
                                       .version = "0.7d",
                                       .order = "nv-2014-00987"};
    for (uint64_t number = 0; number < events; number += BATCH) {
        const unsigned count = (unsigned)(events - number < BATCH ? events - number : BATCH);
        for (unsigned i = 0; i < count; i++)
            make_event(&batch[i], number + i, victims, events);
        const double from = seconds();
        for (unsigned i = 0; i < count; i++) {
            if (census_feed(census, &batch[i]) < 0)
                die("out of memory");
        }
        spent += seconds() - from;
    }
    return spent;
}

static void ask(const struct census *census, enum census_by by, const char *what)
{
    struct census_figures figures = {.events = 0};
    const double from = seconds();
    if (census_cuts(census, START_US + DAYS * DAY_US, by, 1, keep_figures, &figures) < 0)
        die("out of memory");
    printf("figures by %-8s %8.0f ms\n", what, (seconds() - from) * 1e3);
    if (by == CENSUS_ALL)
        printf("proven            %8llu\naddresses         %8llu\naddresses in all  %8llu\n",
               (unsigned long long)figures.victims[CENSUS_PROVEN],
               (unsigned long long)figures.addresses, (unsigned long long)figures.addresses_all);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"victims", required_argument, NULL, 'v'},
                                            {"events", required_argument, NULL, 'e'},
                                            {NULL, 0, NULL, 0}};
    uint64_t victims = VICTIMS_DEFAULT, events = EVENTS_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'v')
            victims = strtoull(optarg, NULL, 10);
        else if (option == 'e')
            events = strtoull(optarg, NULL, 10);
        else
            die("unknown option");
    }
    if (victims == 0 || events == 0)
        die("without victims or events there is nothing to measure");

    struct census_options census_options = census_defaults;
    census_options.memory_max = MEMORY_MAX;
    struct census *census = census_create(&census_options);
    if (census == NULL)
        die("out of memory");
    const double spent = feed_all(census, victims, events);
    printf("events            %8llu\nevents a second   %8.0f\nmemory, MiB       %8.1f\n",
           (unsigned long long)events, (double)events / spent,
           (double)census_memory(census) / (1 << 20));
    ask(census, CENSUS_ALL, "all");
    ask(census, CENSUS_ASN, "network");
    ask(census, CENSUS_NAME, "name");
    unsigned points = 0;
    const double from = seconds();
    if (census_series(census, "", DAY_US, count_point, &points) < 0)
        die("out of memory");
    printf("series            %8.0f ms\n", (seconds() - from) * 1e3);
    census_free(census);
    return 0;
}
