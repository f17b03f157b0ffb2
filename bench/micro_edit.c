/* What changing a zone in memory costs without a network or a journal: the address of an existing
 * name is replaced, in commits of different sizes, each with its new serial.
 *
 *     micro_edit [--names N] [--updates N] [--passes N] [PER-COMMIT]...
 *
 * Prints nanoseconds of CPU for each update, the best of the passes. A thread reads along, so that
 * grace periods pass as in the server. */
#include <arpa/inet.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "zone/zone_data.h"
#include "zone/zone_edit.h"

#define NAMES_DEFAULT   1000000
#define UPDATES_DEFAULT 1000000
#define PASSES_DEFAULT  3

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_SOA = 6 };

static const uint8_t apex[] = "\5bench\7example";

struct run {
    struct zone_data *data;
    unsigned names, updates;
    uint32_t serial;
};

static void die(const char *what)
{
    fprintf(stderr, "micro_edit: %s\n", what);
    exit(1);
}

static void host_name(unsigned number, uint8_t *ret_wire)
{
    ret_wire[0] = 11;
    snprintf((char *)ret_wire + 1, 13, "host-%06u", number % 1000000);
    memcpy(ret_wire + 12, apex, sizeof(apex));
}

static void add(struct zone_builder *builder, const uint8_t *owner, uint16_t type,
                const void *rdata, size_t size)
{
    struct error error = {0};
    if (zone_builder_add(builder, owner, type, 60, rdata, (uint16_t)size, &error) < 0)
        die(error.text);
}

static struct zone_data *build_zone(unsigned names)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error = {0};
    static const uint8_t soa[22];
    if (zone_builder_create(apex, &builder) < 0)
        die("out of memory");
    add(builder, apex, TYPE_SOA, soa, sizeof(soa));
    add(builder, apex, TYPE_NS, apex, sizeof(apex));
    for (unsigned number = 0; number < names; number++) {
        uint8_t owner[NAME_SIZE_MAX];
        const uint32_t address = htonl(0x64400000 | number);
        host_name(number, owner);
        add(builder, owner, TYPE_A, &address, sizeof(address));
    }
    if (zone_builder_finish(builder, &data, &error) < 0)
        die(error.text);
    zone_builder_free(builder);
    return data;
}

/* One commit of some updates, numbered from `first` on. */
static void commit(struct run *run, unsigned first, unsigned count)
{
    struct zone_edit *edit;
    struct error error = {0};
    if (zone_edit_begin(run->data, &edit, &error) < 0)
        die(error.text);
    for (unsigned i = first; i < first + count; i++) {
        uint8_t wire[NAME_SIZE_MAX], rdata[6] = {0, 4};
        struct name owner;
        const uint32_t address = htonl(run->serial * 7919 + i);
        memcpy(rdata + 2, &address, sizeof(address));
        /* Far apart from one to the next. */
        host_name((unsigned)(i * UINT64_C(2654435761) % run->names), wire);
        if (name_parse(&owner, wire, sizeof(wire)) < 0)
            die("not a name");
        const struct rrset rrset = {
            .type = TYPE_A, .rr_count = 1, .ttl = 60, .size = sizeof(rdata), .data = rdata};
        if (zone_edit_put(edit, &owner, &rrset) < 0)
            die("cannot put");
    }
    if (zone_edit_set_serial(edit, ++run->serial) < 0 || zone_edit_prepare(edit) < 0)
        die("cannot prepare");
    zone_edit_commit(edit);
    zone_edit_end(edit);
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(struct run *run, unsigned per_commit)
{
    double start = cpu_ns();
    for (unsigned done = 0; done < run->updates; done += per_commit) {
        unsigned left = run->updates - done;
        commit(run, done, left < per_commit ? left : per_commit);
    }
    return (cpu_ns() - start) / run->updates;
}

static void *read_along(void *argument)
{
    const _Atomic(bool) *ends = argument;
    rcu_register_thread();
    while (!atomic_load(ends)) {
        rcu_quiescent_state();
        usleep(100);
    }
    rcu_unregister_thread();
    return NULL;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"names", required_argument, NULL, 'n'},
                                            {"updates", required_argument, NULL, 'u'},
                                            {"passes", required_argument, NULL, 'p'},
                                            {NULL, 0, NULL, 0}};
    static char *default_sizes[] = {"1", "10", "100", "10000", "1000000"};
    struct run run = {.names = NAMES_DEFAULT, .updates = UPDATES_DEFAULT};
    unsigned passes = PASSES_DEFAULT;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        unsigned value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (value == 0)
            die("--names, --updates and --passes take a number");
        *(option == 'n' ? &run.names : option == 'u' ? &run.updates : &passes) = value;
    }
    char **sizes = optind < argc ? argv + optind : default_sizes;
    size_t size_count =
        optind < argc ? (size_t)(argc - optind) : sizeof(default_sizes) / sizeof(sizes[0]);

    _Atomic(bool) ends = false;
    pthread_t reader;
    run.data = build_zone(run.names);
    if (pthread_create(&reader, NULL, read_along, &ends) != 0)
        die("cannot start a thread");
    for (size_t i = 0; i < size_count; i++) {
        unsigned per_commit = (unsigned)strtoul(sizes[i], NULL, 10);
        if (per_commit == 0)
            die("a number of updates in a commit is at least 1");
        double best = measure(&run, per_commit);
        for (unsigned pass = 1; pass < passes; pass++) {
            double taken = measure(&run, per_commit);
            best = taken < best ? taken : best;
        }
        printf("%8u a commit: %7.1f ns an update\n", per_commit, best);
    }
    printf("%.1f octets a name\n", (double)zone_data_memory(run.data) / run.names);
    atomic_store(&ends, true);
    pthread_join(reader, NULL);
    zone_data_free(run.data);
    return 0;
}
