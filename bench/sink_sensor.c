/* The sinkhole's sensor alone, with a taker that only counts, and the floor beneath it.
 *
 *     sink_sensor sensor PORT CORE THREADS CONNECTIONS
 *     sink_sensor floor PORT CORE
 *
 * Listens on 127.0.0.1, all threads on the one CORE, and prints "ready". For each line on its
 * standard input it prints a line of JSON: what has come so far, the processor time that this took,
 * and the memory of the process; it ends with the input. `floor` is the least that any program in
 * one thread does for a connection: accept, read to the end, close.
 *
 * THREADS only matters for where the limit of open files is low: each has its own table of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "plain_dialogue.h"
#include "sink/sensor.h"

#define OCTETS_MAX 4096

static struct {
    struct sensor *sensor;        /* NULL: the floor */
    uint64_t connections, octets; /* of the floor */
} bench;

static void die(const char *what)
{
    fprintf(stderr, "sink_sensor: %s\n", what);
    exit(2);
}

static void count_flight(void *context, unsigned thread, const struct sink_flight *flight)
{
    (void)context;
    (void)thread;
    (void)flight; /* the sensor's own figures count it */
}

static struct sockaddr_in server_address(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
}

static void sensor_run(uint16_t port, unsigned threads, unsigned connections)
{
    static const struct dialogue_setting dialogue = {
        .octets_max = OCTETS_MAX, .page = "page", .page_size = 4};
    struct sensor_listen listen = {.transport = SINK_TCP, .address.text = "127.0.0.1"};
    const struct sockaddr_in address = server_address(port);
    memcpy(&listen.address.address, &address, sizeof(address));
    listen.address.size = sizeof(address);
    const struct sensor_options options = {
        .listen = &listen,
        .listen_count = 1,
        .threads = threads,
        .octets_max = OCTETS_MAX,
        .seconds_max = 600,
        .idle_seconds_max = 600,
        .connections_max = connections,
        .connections_per_source_max = 1000,
        .memory_max = 256 << 20,
        .dialogue = &dialogue,
        .take = count_flight,
    };
    struct error error = {0};
    if (sensor_create(&options, &bench.sensor, &error) < 0 ||
        sensor_start(bench.sensor, &error) < 0)
        die(error.text);
}

static void *floor_loop(void *context)
{
    const int listener = *(const int *)context;
    static char buffer[OCTETS_MAX];
    for (;;) {
        struct sockaddr_storage client;
        socklen_t client_size = sizeof(client);
        int fd = accept4(listener, (struct sockaddr *)&client, &client_size, SOCK_CLOEXEC);
        if (fd < 0)
            die(strerror(errno));
        ssize_t size;
        while ((size = recv(fd, buffer, sizeof(buffer), 0)) > 0)
            bench.octets += (uint64_t)size;
        close(fd);
        __atomic_store_n(&bench.connections, bench.connections + 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

static void floor_run(uint16_t port)
{
    static int listener;
    static pthread_t thread;
    const int on = 1;
    const struct sockaddr_in address = server_address(port);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0 ||
        bind(listener, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 65535) < 0 || pthread_create(&thread, NULL, floor_loop, &listener) != 0)
        die(strerror(errno));
}

/* Resident octets. */
static uint64_t memory_resident(void)
{
    char line[128], *rest;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fgets(line, sizeof(line), file) == NULL)
        die("/proc/self/statm");
    fclose(file);
    (void)strtoull(line, &rest, 10);
    return strtoull(rest, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void print_figures(void)
{
    struct sensor_figures figures = {.accepted =
                                         __atomic_load_n(&bench.connections, __ATOMIC_RELAXED)};
    if (bench.sensor != NULL)
        sensor_figures(bench.sensor, &figures);
    struct timespec cpu;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    printf("{\"accepted\": %" PRIu64 ", \"open\": %" PRIu64 ", \"closed_by_client\": %" PRIu64
           ", \"shed\": %" PRIu64 ", \"accept_failures\": %" PRIu64
           ", \"cpu_seconds\": %.6f, \"resident\": %" PRIu64 "}\n",
           figures.accepted, figures.open, figures.ended[SINK_CLOSED], figures.shed_per_source,
           figures.accept_failures, (double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9,
           memory_resident());
    fflush(stdout);
}

int main(int argc, char **argv)
{
    const bool is_floor = argc == 4 && strcmp(argv[1], "floor") == 0;
    if (!is_floor && (argc != 6 || strcmp(argv[1], "sensor") != 0))
        die("usage: sink_sensor sensor PORT CORE THREADS CONNECTIONS | floor PORT CORE");
    const uint16_t port = (uint16_t)strtoul(argv[2], NULL, 10);
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(strtoul(argv[3], NULL, 10), &cores);
    if (sched_setaffinity(0, sizeof(cores), &cores) < 0)
        die(strerror(errno));
    if (is_floor)
        floor_run(port);
    else
        sensor_run(port, (unsigned)strtoul(argv[4], NULL, 10),
                   (unsigned)strtoul(argv[5], NULL, 10));
    printf("ready\n");
    fflush(stdout);

    char line[16];
    while (fgets(line, sizeof(line), stdin) != NULL)
        print_figures();
    sensor_free(bench.sensor);
    return 0;
}
