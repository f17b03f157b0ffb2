/* `tamis sink series`: how the victims of an order became fewer, day by day since its first. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quantity.h"
#include "cli/sink_events_place.h"
#include "cli/sink_span.h"
#include "cli/sparkline.h"
#include "cli/table.h"

#define DAY_US  INT64_C(86400000000)
#define HOUR_US INT64_C(3600000000)

/* Families and countries of an order; further ones are counted together. */
#define PLACES_MAX 300

struct tally {
    char key[SINK_WORD_SIZE];
    uint64_t count;
};

struct series {
    struct sink_events_place place;
    const char *order;
    int64_t step_us;
    struct census_point *points;
    size_t count;
    struct tally families[PLACES_MAX], countries[PLACES_MAX];
};

/* ---- Gathering ---- */

static int point_take(void *context, const struct census_point *point)
{
    struct series *series = context;
    if (point->at_us <= series->place.since_us)
        return 0;
    struct census_point *grown =
        reallocarray(series->points, series->count + 1, sizeof(*series->points));
    if (grown == NULL)
        return -ENOMEM;
    series->points = grown;
    series->points[series->count++] = *point;
    return 0;
}

static void tally_add(struct tally tallies[static PLACES_MAX], const char *key)
{
    const char *text = key == NULL || key[0] == '\0' ? "unknown" : key;
    size_t i = 0;
    while (i < PLACES_MAX - 1 && tallies[i].count > 0 && strcmp(tallies[i].key, text) != 0)
        i++;
    (void)snprintf(tallies[i].key, sizeof(tallies[i].key), "%s",
                   i < PLACES_MAX - 1 ? text : "others");
    tallies[i].count++;
}

static int entry_take(void *context, const struct census_entry *entry)
{
    struct series *series = context;
    if (entry->class != CENSUS_PROVEN || strcmp(entry->order, series->order) != 0 ||
        entry->last_us < series->place.since_us)
        return 0;
    tally_add(series->families, entry->family);
    tally_add(series->countries, entry->country);
    return 0;
}

static int tally_compare(const void *left, const void *right)
{
    const struct tally *a = left, *b = right;
    if (a->count != b->count)
        return a->count < b->count ? 1 : -1;
    return strcmp(a->key, b->key);
}

static int gather(struct series *series, const struct census *census)
{
    const int64_t end_us =
        series->place.until_us != 0 ? series->place.until_us : series->place.now_us;
    int rc = census_series(census, series->order, series->step_us, point_take, series);
    if (rc == 0)
        rc = census_each(census, end_us, entry_take, series);
    qsort(series->families, PLACES_MAX, sizeof(series->families[0]), tally_compare);
    qsort(series->countries, PLACES_MAX, sizeof(series->countries[0]), tally_compare);
    return rc;
}

/* ---- Output ---- */

/* Days since the first point: what makes two operations comparable. */
static double day_of(const struct series *series, const struct census_point *point)
{
    return (double)(point->at_us - series->points[0].at_us) / (double)DAY_US;
}

static uint64_t seen_max(const struct series *series)
{
    uint64_t max = 0;
    for (size_t i = 0; i < series->count; i++)
        if (series->points[i].seen > max)
            max = series->points[i].seen;
    return max;
}

static double share(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : (double)part / (double)whole;
}

static json_t *tallies_json(const struct tally *tallies)
{
    json_t *object = json_object();
    for (size_t i = 0; i < PLACES_MAX && tallies[i].count > 0; i++)
        json_object_set_new(object, tallies[i].key, json_integer((json_int_t)tallies[i].count));
    return object;
}

static int json_print(const struct series *series)
{
    const uint64_t max = seen_max(series);
    json_t *points = json_array();
    for (size_t i = 0; i < series->count; i++) {
        const struct census_point *point = &series->points[i];
        json_array_append_new(
            points,
            json_pack("{s:s, s:f, s:I, s:f, s:I, s:I, s:I, s:b}", "at",
                      quantity_time(point->at_us / 1000000).text, "day", day_of(series, point),
                      "seen", (json_int_t)point->seen, "share", share(point->seen, max), "fresh",
                      (json_int_t)point->fresh, "quiet", (json_int_t)point->quiet, "addresses",
                      (json_int_t)point->addresses, "rekeyed", (int)point->rekeyed));
    }
    json_t *object =
        json_pack("{s:s, s:I, s:o, s:o, s:o}", "order", series->order, "step_s",
                  (json_int_t)(series->step_us / 1000000), "points", points, "families",
                  tallies_json(series->families), "countries", tallies_json(series->countries));
    if (object == NULL)
        return -ENOMEM;
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return 0;
}

static void tallies_print(const char *title, const struct tally *tallies)
{
    if (tallies[0].count == 0)
        return;
    printf("%s:", title);
    for (size_t i = 0; i < PLACES_MAX && tallies[i].count > 0; i++) {
        fputs(i > 0 ? ", " : " ", stdout);
        text_print(stdout, tallies[i].key);
        printf(" %s", quantity_count((int64_t)tallies[i].count).text);
    }
    putchar('\n');
}

static int sparkline_print(const struct series *series)
{
    char text[SPARKLINE_SIZE];
    double *seen = calloc(series->count, sizeof(*seen));
    if (seen == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < series->count; i++)
        seen[i] = (double)series->points[i].seen;
    printf("Victims seen: %s\n\n", sparkline(seen, series->count, text));
    free(seen);
    return 0;
}

static int table_write(const struct series *series)
{
    static const struct table_column columns[] = {
        {"day", true}, {"until", false}, {"seen", true},      {"of the most", true},
        {"new", true}, {"quiet", true},  {"addresses", true}, {"keys", false}};
    const uint64_t max = seen_max(series);
    char text[32];
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    if (table == NULL || sparkline_print(series) < 0)
        return -ENOMEM;
    for (size_t i = 0; i < series->count; i++) {
        const struct census_point *point = &series->points[i];
        (void)snprintf(text, sizeof(text), "%.*f", series->step_us % DAY_US == 0 ? 0 : 2,
                       day_of(series, point));
        table_add(table, text);
        table_add(table, quantity_time(point->at_us / 1000000).text);
        table_add(table, quantity_count((int64_t)point->seen).text);
        (void)snprintf(text, sizeof(text), "%.0f %%", 100 * share(point->seen, max));
        table_add(table, text);
        table_add(table, quantity_count((int64_t)point->fresh).text);
        table_add(table, quantity_count((int64_t)point->quiet).text);
        table_add(table, quantity_count((int64_t)point->addresses).text);
        /* Old victims count as new ones then; a reader must not take it for growth. */
        table_add(table, point->rekeyed ? "changed" : NULL);
    }
    int rc = table_print(table, stdout);
    putchar('\n');
    tallies_print("Families", series->families);
    tallies_print("Countries", series->countries);
    return rc;
}

static int series_make(struct series *series, struct error *ret_error)
{
    _cleanup_(census_freep) struct census *census = NULL;
    struct sink_events_loss loss;
    int rc = sink_events_open(&series->place, ret_error);
    if (rc == 0)
        rc = sink_events_census(&series->place, 0, series->place.until_us, &census, &loss,
                                ret_error);
    if (rc < 0)
        return rc;
    rc = gather(series, census);
    if (rc == 0 && series->count == 0)
        return error_set(ret_error, -ENOENT,
                         "no event of order %s in this time: see tamis sink top --by order",
                         series->order);
    if (rc == 0)
        rc = series->place.json ? json_print(series) : table_write(series);
    if (rc < 0)
        return error_set(ret_error, rc, "the series can't be made: %s", strerror(-rc));
    return sink_events_loss_print(&loss);
}

/* ---- Options ---- */

enum { OPTION_ORDER = SINK_OPTION_OWN, OPTION_STEP };

static int step_take(struct series *series)
{
    if (sink_span_parse(optarg, &series->step_us) == 0 && series->step_us % HOUR_US == 0)
        return EXIT_OK;
    return command_usage_error(&command_sink_series, "'%s' is no step: write 1d, 7d or 1h", optarg);
}

static int options_parse(struct series *series, int argc, char **argv)
{
    static const struct option table[] = {
        SINK_EVENTS_OPTIONS,
        {"order", required_argument, NULL, OPTION_ORDER},
        {"step", required_argument, NULL, OPTION_STEP},
        {0},
    };
    int option, code = EXIT_OK;
    opterr = 0;
    while (code == EXIT_OK && (option = getopt_long(argc, argv, ":c:", table, NULL)) != -1) {
        if (option == OPTION_ORDER)
            series->order = optarg;
        else if (option == OPTION_STEP)
            code = step_take(series);
        else
            code = sink_events_option(&command_sink_series, &series->place, option, argv);
    }
    if (code == EXIT_OK)
        code = sink_events_check(&command_sink_series, &series->place, argc, argv);
    if (code == EXIT_OK && series->order == NULL)
        code = command_usage_error(&command_sink_series, "say which order: --order ID");
    return code;
}

static int series_run(int argc, char **argv)
{
    struct error error = {0};
    struct series *series = calloc(1, sizeof(*series));
    if (series == NULL) {
        fputs("tamis: no memory\n", stderr);
        return EXIT_FINDING;
    }
    series->step_us = DAY_US;
    int code = options_parse(series, argc, argv);
    if (code == EXIT_OK) {
        int rc = series_make(series, &error);
        if (rc < 0)
            error_print(stderr, "tamis", &error);
        code = rc == 0 ? EXIT_OK : EXIT_FINDING;
    }
    sink_events_close(&series->place);
    free(series->points);
    free(series);
    return code;
}

const struct command command_sink_series = {
    .path = "sink series",
    .summary = "show how the victims of an order became fewer",
    .help = "Usage: tamis sink series --order ID [OPTION]...\n"
            "\n"
            "Shows, step by step, how many victims an order's names brought, how many were new,\n"
            "and how many have gone quiet. Days count from the first step, so that one operation\n"
            "compares with another.\n"
            "\n"
            "  --order ID       the order\n"
            "  --step SPAN      1d (default), 7d, 1h\n"
            "  --since TIME     steps after then: 30d, 2026-11-24, 2026-11-24T12:00:00Z\n"
            "  --until TIME     events before then\n"
            "  --json           a JSON object\n"
            "  -c FILE          configuration of tamis-sink (default: tamis-sink.yaml here, or\n"
            "                   /etc/tamis-sink/tamis-sink.yaml)\n"
            "  --events FOLDER  the events, where there is no configuration\n"
            "\n"
            "Example: tamis sink series --order nv-2014-00987 --since 30d\n",
    .run = series_run,
};
