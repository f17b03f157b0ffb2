/* Feeds a census with events in text form, and prints its verdicts: for tests of whom it counts.
 *
 *     sink_census_feed [--persistence S] [--checkins N] < EVENTS
 *
 * A line is: microseconds, kind, family, flags (w: well-formed, c: consistent, f: known fake), id,
 * machine, client, network (32 hexadecimal digits each), AS number, country, order, name, port; "-"
 * is none. tests/testbed/sink_traffic.py writes them. Printed are "id CLASS ID REASON" for every
 * id, "class CLASS COUNT" and "figure NAME NUMBER" for all.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink/census.h"

static _Noreturn void die(const char *what)
{
    fprintf(stderr, "sink_census_feed: %s\n", what);
    exit(1);
}

/* ---- Reading ---- */

static bool read_hex(const char *text, uint8_t ret_octets[static 16])
{
    if (strcmp(text, "-") == 0)
        return false;
    for (unsigned i = 0; i < 16; i++) {
        unsigned octet;
        if (sscanf(text + (size_t)2 * i, "%2x", &octet) != 1)
            die("bad hexadecimal digits");
        ret_octets[i] = (uint8_t)octet;
    }
    return true;
}

static uint8_t read_kind(const char *text)
{
    for (unsigned kind = 0; kind < SINK_KIND_COUNT; kind++) {
        if (strcmp(sink_kind_names[kind], text) == 0)
            return (uint8_t)kind;
    }
    die("unknown kind");
}

static void read_event(const char *line, struct sink_event *ret_event)
{
    struct sink_event event = {.epoch = 1};
    char kind[16], flags[8], victim[33], machine[33], client[33], network[33];
    long long at_us;
    int read = sscanf(line, "%lld %15s %31s %7s %32s %32s %32s %32s %u %2s %63s %255s %hu", &at_us,
                      kind, event.family, flags, victim, machine, client, network, &event.asn,
                      event.country, event.order, event.name, &event.local_port);
    if (read != 13)
        die("bad line");
    event.at_us = at_us;
    event.kind = read_kind(kind);
    event.wellformed = strchr(flags, 'w') != NULL;
    event.consistent = strchr(flags, 'c') != NULL;
    event.fake = strchr(flags, 'f') != NULL;
    event.has_victim = read_hex(victim, event.victim);
    event.has_machine = read_hex(machine, event.machine);
    if (!read_hex(client, event.client) || !read_hex(network, event.network))
        die("an event without its client");
    if (strcmp(event.family, "-") == 0)
        event.family[0] = '\0';
    *ret_event = event;
}

static int64_t feed(struct census *census)
{
    char line[1024];
    int64_t now_us = 0;
    while (fgets(line, sizeof(line), stdin) != NULL) {
        struct sink_event event;
        read_event(line, &event);
        if (census_feed(census, &event) < 0)
            die("out of memory");
        now_us = event.at_us;
    }
    return now_us;
}

/* ---- Printing ---- */

static int print_entry(void *context, const struct census_entry *entry)
{
    (void)context;
    printf("id %s ", census_class_names[entry->class]);
    for (unsigned i = 0; i < SINK_ID_SIZE; i++)
        printf("%02x", entry->id[i]);
    printf(" %s\n", entry->reason);
    return 0;
}

static int print_figures(void *context, const char *key, const struct census_figures *figures)
{
    (void)context;
    (void)key;
    for (unsigned class = 0; class < CENSUS_CLASS_COUNT; class ++)
        printf("class %s %llu\n", census_class_names[class],
               (unsigned long long)figures->victims[class]);
    printf("figure addresses %llu\n", (unsigned long long)figures->addresses);
    printf("figure addresses-all %llu\n", (unsigned long long)figures->addresses_all);
    printf("figure shared %llu\n", (unsigned long long)figures->shared);
    printf("figure churn %.2f\n", figures->churn);
    printf("figure events %llu\n", (unsigned long long)figures->events);
    return 0;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"persistence", required_argument, NULL, 'p'},
                                            {"checkins", required_argument, NULL, 'c'},
                                            {NULL, 0, NULL, 0}};
    struct census_options census_options = census_defaults;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == 'p')
            census_options.persistence_s = (unsigned)strtoul(optarg, NULL, 10);
        else if (option == 'c')
            census_options.checkins_min = (unsigned)strtoul(optarg, NULL, 10);
        else
            die("unknown option");
    }
    _cleanup_(census_freep) struct census *census = census_create(&census_options);
    if (census == NULL)
        die("out of memory");
    const int64_t now_us = feed(census);
    if (census_each(census, now_us, print_entry, NULL) < 0 ||
        census_cuts(census, now_us, CENSUS_ALL, 1, print_figures, NULL) < 0)
        die("out of memory");
    return 0;
}
