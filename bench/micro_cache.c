/* What a hit in the cache costs beside the same answer from a zone in memory.
 *
 *     micro_cache [--names N] [--answers N] [--passes N]
 *
 * Both begin with the question as it came and end with the records behind it: the zone by
 * answer_question(), the cache by cache_find() and cached_answer_write(). They take turns, the best
 * pass of each counts, and the ratio of the two is what is worth comparing.
 */
#include <arpa/inet.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rcu.h"
#include "front/cache.h"
#include "zone/answer.h"

#define NAMES_DEFAULT   1000000
#define ANSWERS_DEFAULT 2000000
#define PASSES_DEFAULT  5 /* noise only adds */
#define NOW             INT64_C(1790000000)
#define MESSAGE_MAX     1232

/* Room for an answer of one address, all overhead included, twice over. */
#define OCTETS_PER_NAME 320

enum { TYPE_A = 1, TYPE_NS = 2, TYPE_SOA = 6 };

static const uint8_t apex[] = "\5bench\7example";

static struct zone zone = {.text = "bench.example", .role = ZONE_PRIMARY, .status = ZONE_SERVING};
static struct answer_environment environment = {.now = NOW};
static struct cache *cache;
static struct answer answer;
static struct name asked;
static uint8_t message[MESSAGE_MAX];

static void die(const char *what)
{
    fprintf(stderr, "micro_cache: %s\n", what);
    exit(1);
}

static size_t put_name(uint8_t *at, uint64_t number)
{
    at[0] = (uint8_t)snprintf((char *)at + 1, 16, "host-%07u", (unsigned)number);
    memcpy(at + 1 + at[0], apex, sizeof(apex));
    return 1 + (size_t)at[0] + sizeof(apex);
}

/* ---- The two ---- */

static size_t answer_from_zone(const uint8_t *wire, size_t size)
{
    struct response response;
    int name_size = name_parse(&asked, wire, size);
    size_t question_end = QUESTION_OFFSET + (size_t)name_size + 4;
    memcpy(message + QUESTION_OFFSET, wire, (size_t)name_size);
    response_init(&response, message, question_end, sizeof(message), &asked);
    answer.question = (struct question){.name = &asked, .type = TYPE_A};
    question_find_zone(&answer.question, environment.zones);
    answer_question(&answer, &environment, &response);
    return response.size - question_end;
}

static size_t answer_from_cache(const uint8_t *wire, size_t size)
{
    struct cached_answer found;
    int name_size = name_parse(&asked, wire, size);
    size_t question_end = QUESTION_OFFSET + (size_t)name_size + 4;
    memcpy(message + QUESTION_OFFSET, wire, (size_t)name_size);
    const struct cache_key key = {.name = &asked, .type = TYPE_A};
    if (!cache_find(cache, &key, &found))
        return 0;
    return cached_answer_write(&found, NOW + 1, 30, message + question_end,
                               sizeof(message) - question_end);
}

/* ---- What they answer from ---- */

static struct zone_data *build_zone(unsigned names)
{
    struct zone_builder *builder;
    struct zone_data *data;
    struct error error;
    uint8_t owner[NAME_SIZE_MAX], soa[2 * sizeof(apex) + 20] = {0};
    if (zone_builder_create(apex, &builder) < 0)
        die("out of memory");
    memcpy(soa, apex, sizeof(apex));
    memcpy(soa + sizeof(apex), apex, sizeof(apex));
    int rc = zone_builder_add(builder, apex, TYPE_SOA, 60, soa, sizeof(soa), &error);
    if (rc == 0)
        rc = zone_builder_add(builder, apex, TYPE_NS, 60, apex, sizeof(apex), &error);
    for (unsigned number = 0; number < names && rc == 0; number++) {
        const uint32_t address = htonl(0x64400000 | number); /* 100.64.0.0/10 */
        (void)put_name(owner, number);
        rc = zone_builder_add(builder, owner, TYPE_A, 60, (const uint8_t *)&address,
                              sizeof(address), &error);
    }
    if (rc < 0 || zone_builder_finish(builder, &data, &error) < 0)
        die("cannot build the zone");
    zone_builder_free(builder);
    return data;
}

/* Keeps what the zone answers. */
static void fill_cache(unsigned names)
{
    const struct cache_options options = {.octets_max =
                                              (uint64_t)names * OCTETS_PER_NAME + CACHE_OCTETS_MIN};
    if (cache_create(&options, &cache) < 0)
        die("out of memory");
    const uint16_t ttl_place = 6; /* behind a pointer, type and class */
    for (unsigned number = 0; number < names; number++) {
        uint8_t wire[NAME_SIZE_MAX];
        size_t name_size = put_name(wire, number), body_size = answer_from_zone(wire, name_size);
        const struct cache_key key = {.name = &asked, .type = TYPE_A};
        const struct cached_answer kept = {
            .authoritative = true,
            .counts = {1},
            .body = message + QUESTION_OFFSET + name_size + 4,
            .body_size = (uint16_t)body_size,
            .ttl_places = &ttl_place,
            .ttl_count = 1,
            .stored_at = NOW,
            .expires_at = NOW + 60,
            .stale_until = NOW + 3600,
        };
        cache_put(cache, &key, &kept);
        rcu_quiescent_state();
    }
    struct cache_counters counters;
    cache_counters(cache, &counters);
    if (counters.answers < names - names / 100)
        die("the cache does not hold the names");
}

/* ---- Measuring ---- */

static double clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static double measure(size_t (*answer_one)(const uint8_t *wire, size_t size), unsigned names,
                      unsigned answers)
{
    uint64_t missed = 0;
    const double started_ns = clock_ns();
    for (unsigned i = 0; i < answers; i++) {
        uint8_t wire[NAME_SIZE_MAX];
        /* Far apart from one question to the next. */
        size_t size = put_name(wire, i * UINT64_C(2654435761) % names);
        missed += answer_one(wire, size) == 0;
    }
    const double took_ns = (clock_ns() - started_ns) / answers;
    if (missed > answers / 100)
        die("an answer is missing");
    return took_ns;
}

/* What making the question costs, which is not theirs. */
static size_t answer_nothing(const uint8_t *wire, size_t size)
{
    memcpy(message + QUESTION_OFFSET, wire, size);
    return size;
}

static bool parse_options(int argc, char **argv, unsigned values[3])
{
    static const struct option options[] = {{"names", required_argument, NULL, 0},
                                            {"answers", required_argument, NULL, 1},
                                            {"passes", required_argument, NULL, 2},
                                            {0}};
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option < 0 || option > 2)
            return false;
        values[option] = (unsigned)strtoul(optarg, NULL, 10);
        if (values[option] == 0)
            return false;
    }
    return optind == argc;
}

int main(int argc, char **argv)
{
    unsigned values[3] = {NAMES_DEFAULT, ANSWERS_DEFAULT, PASSES_DEFAULT};
    if (!parse_options(argc, argv, values)) {
        fprintf(stderr, "usage: micro_cache [--names N] [--answers N] [--passes N]\n");
        return 2;
    }
    const unsigned names = values[0];
    struct zone *const zones[] = {&zone};
    struct zone_set *set;
    rcu_register_thread();
    name_hash_key_set(UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xbf58476d1ce4e5b9));
    (void)name_parse(&zone.name, apex, sizeof(apex));
    zone.data = build_zone(names);
    if (zone_set_create(zones, 1, &set) < 0)
        die("out of memory");
    environment.zones = set;
    fill_cache(names);

    static size_t (*const kinds[])(const uint8_t *wire, size_t size) = {
        answer_nothing, answer_from_zone, answer_from_cache};
    double best_ns[3] = {0};
    for (unsigned pass = 0; pass < values[2]; pass++) {
        for (unsigned kind = 0; kind < 3; kind++) {
            double took_ns = measure(kinds[kind], names, values[1]);
            if (pass == 0 || took_ns < best_ns[kind])
                best_ns[kind] = took_ns;
        }
    }
    const double zone_ns = best_ns[1] - best_ns[0], cache_ns = best_ns[2] - best_ns[0];
    printf("zone       %8.1f ns\ncache      %8.1f ns\nratio      %8.2f\n", zone_ns, cache_ns,
           cache_ns / zone_ns);

    cache_free(cache);
    zone_set_free(set);
    zone_data_free(zone.data);
    rcu_unregister_thread();
    return 0;
}
