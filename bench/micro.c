/* What one answer costs without a network: responder_answer_batch() on a zone in memory, as the
 * worker calls it under load.
 *
 *     micro [--names N] [--answers N] [--passes N] [KIND]...
 *
 * A KIND is hit, nodata, nxdomain, wildcard, listed or cached, which is a hit in a forwarded zone;
 * default: all of them. Prints nanoseconds of each, and cache misses where the machine counts them.
 * The key of the name hash is fixed and the order of questions follows from it, so under valgrind's
 * callgrind the count of instructions is the same in every run (bench/instructions.py).
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/rcu.h"
#include "dns/name.h"
#include "front/cache.h"
#include "order/overlay_set.h"
#include "server/responder.h"
#include "zone/zone.h"

#define NAMES_DEFAULT   1000000
#define ANSWERS_DEFAULT 2000000
#define PASSES_DEFAULT  5                   /* the best one counts: noise only adds */
#define NOW             INT64_C(1404200000) /* inside of the order's time */

/* Questions of a kind: a prime, and more than a cache holds the names of. */
#define QUESTIONS 65521

#define AAAA_EVERY     10
#define LISTED_EVERY   50
#define WILDCARD_EVERY 100
#define REQUEST_MAX    64

/* Room in the cache for an answer of one address, all overhead included, twice over. */
#define CACHE_OCTETS 320
#define RESPONSE_MAX 4096

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_SOA = 6, TYPE_MX = 15, TYPE_AAAA = 28 };

/* As long as each other, so that reading a question costs the same. */
static const uint8_t apex[] = "\5bench\7example", cached_apex[] = "\5cache\7example";

struct question {
    uint8_t wire[REQUEST_MAX];
    size_t size;
};

struct kind {
    const char *name;
    const uint8_t *apex;
    const char *format; /* of the name's first labels */
    unsigned every;     /* which numbers the zone has so */
    uint16_t type;
    uint8_t rcode, answers; /* that a right response has */
};

static const struct kind kinds[] = {
    {"hit", apex, "host-%06u", 1, TYPE_A, 0, 1},
    {"nodata", apex, "host-%06u", 1, TYPE_MX, 0, 0},
    {"nxdomain", apex, "none-%06u", 1, TYPE_A, 3, 0},
    {"wildcard", apex, "any.host-%06u", WILDCARD_EVERY, TYPE_A, 0, 1},
    {"listed", apex, "host-%06u", LISTED_EVERY, TYPE_A, 0, 1},
    {"cached", cached_apex, "host-%06u", 1, TYPE_A, 0, 1},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static void die(const char *what, const struct error *error)
{
    fprintf(stderr, "micro: %s%s%s\n", what, error != NULL ? ": " : "",
            error != NULL ? error->text : "");
    exit(1);
}

/* Writes the name that is these labels in front of the apex, either one; returns its size. */
static size_t put_name(uint8_t *at, const char *labels, const uint8_t *behind)
{
    const uint8_t *start = at;
    while (*labels != '\0') {
        size_t size = strcspn(labels, ".");
        *at++ = (uint8_t)size;
        memcpy(at, labels, size);
        at += size;
        labels += size + (labels[size] == '.');
    }
    memcpy(at, behind, sizeof(apex));
    return (size_t)(at - start) + sizeof(apex);
}

/* ---- The zone ---- */

static void add(struct zone_builder *builder, const char *labels, uint16_t type, const void *rdata,
                size_t size)
{
    uint8_t owner[NAME_SIZE_MAX];
    struct error error = {0};
    (void)put_name(owner, labels, apex);
    if (zone_builder_add(builder, owner, type, 60, rdata, (uint16_t)size, &error) < 0)
        die("cannot add a record", &error);
}

static void add_host(struct zone_builder *builder, unsigned number)
{
    char labels[32];
    const uint32_t address = htonl(0x64400000 | number); /* 100.64.0.0/10 */
    snprintf(labels, sizeof(labels), "host-%06u", number);
    add(builder, labels, TYPE_A, &address, sizeof(address));
    if (number % AAAA_EVERY == 0) {
        uint8_t aaaa[16] = {0x20, 0x01, 0x0d, 0xb8};
        memcpy(aaaa + 12, &address, sizeof(address));
        add(builder, labels, TYPE_AAAA, aaaa, sizeof(aaaa));
    }
    if (number % WILDCARD_EVERY == 0) {
        snprintf(labels, sizeof(labels), "*.host-%06u", number);
        add(builder, labels, TYPE_A, &address, sizeof(address));
    }
}

static struct zone_data *build_zone(unsigned names)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error = {0};
    uint8_t soa[2 * NAME_SIZE_MAX];
    const uint32_t numbers[] = {htonl(1), htonl(3600), htonl(600), htonl(1209600), htonl(60)};

    if (zone_builder_create(apex, &builder) < 0)
        die("out of memory", NULL);
    size_t size = put_name(soa, "ns1", apex);
    size += put_name(soa + size, "hostmaster", apex);
    memcpy(soa + size, numbers, sizeof(numbers));
    add(builder, "", TYPE_SOA, soa, size + sizeof(numbers));
    add(builder, "", TYPE_NS, soa, put_name(soa, "ns1", apex));
    for (unsigned number = 0; number < names; number++)
        add_host(builder, number);
    if (zone_builder_finish(builder, &data, &error) < 0)
        die("cannot build the zone", &error);
    zone_builder_free(builder);
    return data;
}

/* ---- The order ---- */

/* Every so manyth name of either zone is listed. */
static struct overlay_set *build_orders(struct zone_data *data, struct zone_data *cached,
                                        unsigned names)
{
    char *text;
    size_t size;
    struct order *order;
    struct active_order *active;
    struct overlay_set *set;
    struct error error = {0};

    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        die("out of memory", NULL);
    fputs("id: bench\nkind: court\nauthority: x\nstarts: 2014-06-30T12:00:00Z\n"
          "ends: 2014-07-14T12:00:00Z\naction: sinkhole\nsinkhole: { a: [192.0.2.66] }\nnames:\n",
          stream);
    for (unsigned number = 0; number < names; number += LISTED_EVERY)
        fprintf(stream, "- host-%06u.bench.example\n- host-%06u.cache.example\n", number, number);
    if (fclose(stream) != 0)
        die("out of memory", NULL);

    if (order_load_text("bench", text, size, &(struct order_policy){0}, &order, &error) < 0)
        die("cannot make the order", &error);
    free(text);
    for (size_t i = 0; i < order->names.count; i++) {
        const uint8_t *name = order_names_at(&order->names, i);
        const bool is_cached = memcmp(name + name[0] + 1, cached_apex, sizeof(cached_apex)) == 0;
        if (zone_data_mark(is_cached ? cached : data, name) < 0)
            die("out of memory", NULL);
    }
    if (active_order_create(order, 1, &active) < 0 || overlay_set_create(&active, 1, &set) < 0)
        die("out of memory", NULL);
    active_order_unref(active);
    return set;
}

/* ---- The cache ---- */

static void add_cached(struct cache *cache, unsigned number)
{
    char labels[32];
    uint8_t wire[NAME_SIZE_MAX];
    uint8_t body[] = {0xc0, 12, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, 100, 64, 0, 0};
    const uint16_t ttl_place = 6;
    struct name name;
    snprintf(labels, sizeof(labels), "host-%06u", number);
    (void)name_parse(&name, wire, put_name(wire, labels, cached_apex));
    memcpy(body + 12, &(uint32_t){htonl(0x64400000 | number)}, 4);
    const struct cache_key key = {.name = &name, .type = TYPE_A};
    const struct cached_answer answer = {
        .authoritative = true,
        .is_plain = true,
        .counts = {1},
        .body = body,
        .body_size = sizeof(body),
        .ttl_places = &ttl_place,
        .ttl_count = 1,
        .stored_at = NOW,
        .expires_at = NOW + 60,
        .stale_until = NOW + 60,
    };
    cache_put(cache, &key, &answer);
}

static struct cache *build_cache(unsigned names)
{
    const struct cache_options options = {.octets_max =
                                              (uint64_t)names * CACHE_OCTETS + CACHE_OCTETS_MIN};
    struct cache *cache;
    if (cache_create(&options, &cache) < 0)
        die("out of memory", NULL);
    for (unsigned number = 0; number < names; number++)
        add_cached(cache, number);
    return cache;
}

/* None is to be asked for: all are in the cache. */
static int forward(void *context, const struct zone *zone, const struct cache_key *key,
                   const struct request *request, bool subnet, const struct sockaddr *client,
                   enum transport transport)
{
    (void)context, (void)zone, (void)key, (void)request, (void)subnet, (void)client;
    (void)transport;
    die("an answer is not in the cache", NULL);
    return RESPONDER_SILENT;
}

/* ---- Questions and answers ---- */

static struct question *make_questions(const struct kind *kind, unsigned names, unsigned count)
{
    struct question *questions = calloc(count, sizeof(*questions));
    if (questions == NULL)
        die("out of memory", NULL);
    for (unsigned i = 0; i < count; i++) {
        /* Far apart from one question to the next, other ones for each kind, and none listed but
         * where it is asked for. */
        uint64_t step = i + (uint64_t)(kind - kinds) * QUESTIONS;
        unsigned number = (unsigned)(step * UINT64_C(2654435761) % names);
        number -= number % kind->every;
        if (kind->every == 1 && number % LISTED_EVERY == 0 && number + 1 < names)
            number++;
        if (kind->every == WILDCARD_EVERY && names <= WILDCARD_EVERY)
            number = 0;
        char labels[32];
        snprintf(labels, sizeof(labels), kind->format, number);

        uint8_t *wire = questions[i].wire;
        wire[5] = 1; /* QDCOUNT */
        size_t size = 12 + put_name(wire + 12, labels, kind->apex);
        const uint8_t type_and_class[] = {0, (uint8_t)kind->type, 0, 1};
        memcpy(wire + size, type_and_class, sizeof(type_and_class));
        questions[i].size = size + sizeof(type_and_class);
    }
    return questions;
}

static void check_response(const struct kind *kind, const uint8_t *response, size_t size)
{
    bool is_sinkholed = size >= 4 && memcmp(response + size - 4, "\300\0\2\102", 4) == 0;
    if (size >= 12 && (response[3] & 15) == kind->rcode && response[7] == kind->answers &&
        is_sinkholed == (strcmp(kind->name, "listed") == 0))
        return;
    fprintf(stderr, "micro: a wrong answer of kind %s\n", kind->name);
    exit(1);
}

/* What a worker's socket fills: as many datagrams, as far apart. */
#define BATCH_MAX 64
static _Alignas(64) uint8_t buffers[2][BATCH_MAX][RESPONSE_MAX + 3 * 64];

/* Whole batches, so as many answers as asked for or a few more; returns how many. Putting the
 * requests where the kernel would is part of the time. */
static unsigned answer_all(struct responder *responder, const struct kind *kind,
                           const struct question *questions, unsigned question_count,
                           unsigned answers)
{
    static const struct sockaddr_in client = {.sin_family = AF_INET};
    struct responder_datagram datagrams[BATCH_MAX];
    unsigned answered = 0, at = 0;

    while (answered < answers) {
        for (unsigned i = 0; i < BATCH_MAX; i++) {
            datagrams[i] = (struct responder_datagram){.request = buffers[0][i],
                                                       .request_size = questions[at].size,
                                                       .client = (const struct sockaddr *)&client,
                                                       .spare = buffers[1][i]};
            memcpy(datagrams[i].request, questions[at].wire, REQUEST_MAX);
            at = at + 1 < question_count ? at + 1 : 0;
        }
        responder_answer_batch(responder, datagrams, BATCH_MAX, NOW, RESPONSE_MAX);
        answered += BATCH_MAX;
    }
    for (unsigned i = 0; i < BATCH_MAX; i++)
        check_response(kind, datagrams[i].response, datagrams[i].response_size);
    return answered;
}

/* ---- Measuring ---- */

/* A counter of this thread's last-level cache misses, or -1 where there is none, as in most virtual
 * machines. */
static int open_miss_counter(void)
{
    struct perf_event_attr attributes = {.type = PERF_TYPE_HARDWARE,
                                         .size = sizeof(attributes),
                                         .config = PERF_COUNT_HW_CACHE_MISSES,
                                         .exclude_kernel = 1};
    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
}

static uint64_t read_counter(int fd)
{
    uint64_t value = 0;
    return fd >= 0 && read(fd, &value, sizeof(value)) == sizeof(value) ? value : 0;
}

static double clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

struct extent {
    unsigned names, answers, passes;
};

/* Not inlined: bench/instructions.py has callgrind write down what was counted whenever it returns.
 */
__attribute__((noinline)) static void measure(struct responder *responder, const struct kind *kind,
                                              const struct extent *extent, int miss_counter)
{
    const unsigned answers = extent->answers;
    unsigned question_count = answers < QUESTIONS ? answers : QUESTIONS;
    struct question *questions = make_questions(kind, extent->names, question_count);
    double best_ns = 0, best_misses = 0;

    for (unsigned pass = 0; pass < extent->passes; pass++) {
        uint64_t misses = read_counter(miss_counter);
        double started_ns = clock_ns();
        unsigned answered = answer_all(responder, kind, questions, question_count, answers);
        double took_ns = (clock_ns() - started_ns) / answered;
        if (pass == 0 || took_ns < best_ns) {
            best_ns = took_ns;
            best_misses = (double)(read_counter(miss_counter) - misses) / answered;
        }
    }
    printf("%-10s %8.1f ns", kind->name, best_ns);
    if (miss_counter >= 0)
        printf(" %8.2f cache misses", best_misses);
    putchar('\n');
    free(questions);
}

static const struct kind *find_kind(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

/* False for wrong use. */
static bool parse_options(int argc, char **argv, struct extent *ret_extent)
{
    static const struct option options[] = {{"names", required_argument, NULL, 'n'},
                                            {"answers", required_argument, NULL, 'a'},
                                            {"passes", required_argument, NULL, 'p'},
                                            {0}};
    *ret_extent = (struct extent){NAMES_DEFAULT, ANSWERS_DEFAULT, PASSES_DEFAULT};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        unsigned *value = option == 'n'   ? &ret_extent->names
                          : option == 'a' ? &ret_extent->answers
                                          : &ret_extent->passes;
        *value = optarg != NULL ? (unsigned)strtoul(optarg, NULL, 10) : 0;
        if (*value == 0)
            return false;
    }
    for (int i = optind; i < argc; i++)
        if (find_kind(argv[i]) == NULL)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    struct extent extent;
    if (!parse_options(argc, argv, &extent)) {
        fprintf(stderr, "usage: micro [--names N] [--answers N] [--passes N] "
                        "[hit|nodata|nxdomain|wildcard|listed|cached]...\n");
        return 2;
    }

    name_hash_key_set(UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9));
    rcu_register_thread();
    struct zone zone = {.text = "bench.example", .role = ZONE_PRIMARY, .status = ZONE_SERVING};
    (void)name_parse(&zone.name, apex, sizeof(apex));
    zone.data = build_zone(extent.names);
    struct zone cached = {.text = "cache.example", .role = ZONE_FORWARD};
    (void)name_parse(&cached.name, cached_apex, sizeof(cached_apex));
    if (zone_data_create_empty(cached_apex, &cached.data) < 0)
        die("out of memory", NULL);
    struct zone *const zones[] = {&zone, &cached};
    struct responder_view view = {.orders = build_orders(zone.data, cached.data, extent.names),
                                  .cache = build_cache(extent.names)};
    const struct responder_options responder_options = {
        .view = &view, .udp_payload_max = 1232, .tcp_idle_timeout_ms = 10000, .forward = forward};
    struct responder *responder;
    struct error error = {0};
    if (zone_set_create(zones, 2, &view.zones) < 0 ||
        responder_create(&responder_options, &responder, &error) < 0)
        die("cannot start", &error);

    int miss_counter = open_miss_counter();
    if (optind == argc)
        for (size_t i = 0; i < KIND_COUNT; i++)
            measure(responder, &kinds[i], &extent, miss_counter);
    for (int i = optind; i < argc; i++)
        measure(responder, find_kind(argv[i]), &extent, miss_counter);

    responder_free(responder);
    overlay_set_free(view.orders);
    zone_set_free(view.zones);
    zone_data_free(zone.data);
    zone_data_free(cached.data);
    cache_free(view.cache);
    rcu_unregister_thread();
    return 0;
}
