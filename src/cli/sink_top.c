/* `tamis sink top`: who is hit most, and how sure that is. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "cli/quantity.h"
#include "cli/sink_events_place.h"
#include "cli/table.h"

#define LIMIT_DEFAULT 10
#define LIMIT_MAX     1000000

static const char *const by_names[] = {"all", "order", "family", "asn", "country", "name"};

struct top {
    struct sink_events_place place;
    enum census_by by;
    size_t limit;
    struct table *table; /* NULL: JSON */
    json_t *cuts;
    struct census_figures total;
};

/* ---- Output ---- */

static json_t *figures_json(const struct census_figures *figures)
{
    json_t *classes = json_object();
    for (size_t i = 0; i < CENSUS_CLASS_COUNT; i++)
        json_object_set_new(classes, census_class_names[i],
                            json_integer((json_int_t)figures->victims[i]));
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:f, s:I}", "classes", classes, "addresses",
                     (json_int_t)figures->addresses, "addresses_all",
                     (json_int_t)figures->addresses_all, "fresh", (json_int_t)figures->fresh,
                     "quiet", (json_int_t)figures->quiet, "shared", (json_int_t)figures->shared,
                     "churn", figures->churn, "events", (json_int_t)figures->events);
}

static void row_add(struct top *top, const char *key, const struct census_figures *figures)
{
    char text[160];
    bool is_asn = top->by == CENSUS_ASN && strcmp(key, "0") != 0 && key[0] != '\0';
    (void)snprintf(text, sizeof(text), "%s%s", is_asn ? "AS" : "", key);
    table_add(top->table, top->by == CENSUS_ASN && !is_asn ? NULL : text);
    table_add(top->table, quantity_count((int64_t)figures->victims[CENSUS_PROVEN]).text);
    table_add(top->table, quantity_count((int64_t)figures->victims[CENSUS_LIKELY]).text);
    table_add(top->table, quantity_count((int64_t)figures->addresses).text);
    table_add(top->table, quantity_count((int64_t)figures->shared).text);
    (void)snprintf(text, sizeof(text), "%.2f", figures->churn);
    table_add(top->table, text);
    table_add(top->table, quantity_count((int64_t)figures->fresh).text);
    table_add(top->table, quantity_count((int64_t)figures->quiet).text);
}

static int cut_take(void *context, const char *key, const struct census_figures *figures)
{
    struct top *top = context;
    if (figures->victims[CENSUS_PROVEN] == 0 && figures->victims[CENSUS_LIKELY] == 0)
        return 0; /* only what is no victim came there */
    if (top->table != NULL) {
        row_add(top, key, figures);
        return 0;
    }
    json_t *cut = figures_json(figures);
    if (cut == NULL || json_object_set_new(cut, "key", json_string(key)) < 0 ||
        json_array_append_new(top->cuts, cut) < 0)
        return -ENOMEM;
    return 0;
}

static int total_take(void *context, const char *key, const struct census_figures *figures)
{
    struct top *top = context;
    (void)key;
    top->total = *figures;
    return 0;
}

static void headline_print(const struct census_figures *total)
{
    printf("Proven victims: %s", quantity_count((int64_t)total->victims[CENSUS_PROVEN]).text);
    printf(", from about %s addresses", quantity_count((int64_t)total->addresses).text);
    printf("; %s share an address; %.2f addresses a victim and day\n",
           quantity_count((int64_t)total->shared).text, total->churn);
    printf("Likely victims: %s\n\n", quantity_count((int64_t)total->victims[CENSUS_LIKELY]).text);
}

/* So that nobody takes what connected for victims. */
static void others_print(const struct census_figures *total)
{
    static const enum census_class others[] = {CENSUS_HUNTER, CENSUS_SCANNER, CENSUS_RESEARCHER,
                                               CENSUS_RESOLVER, CENSUS_UNKNOWN};
    fputs("\nNo victims:", stdout);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        printf("%s %s %s", i > 0 ? "," : "", census_class_names[others[i]],
               quantity_count((int64_t)total->victims[others[i]]).text);
    printf("; about %s addresses connected in all\n",
           quantity_count((int64_t)total->addresses_all).text);
}

static int json_print(struct top *top)
{
    json_t *object = json_pack("{s:s, s:o, s:O}", "by", by_names[top->by], "total",
                               figures_json(&top->total), "cuts", top->cuts);
    if (object == NULL)
        return -ENOMEM;
    json_dumpf(object, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(object);
    return 0;
}

static int figures_print(struct top *top, const struct census *census)
{
    const int64_t end_us = top->place.until_us != 0 ? top->place.until_us : top->place.now_us;
    const struct table_column columns[] = {
        {by_names[top->by], false}, {"proven", true}, {"likely", true}, {"addresses", true},
        {"behind NAT", true},       {"churn", true},  {"new", true},    {"quiet", true}};
    int rc = census_cuts(census, end_us, CENSUS_ALL, 1, total_take, top);
    top->cuts = json_array();
    if (!top->place.json)
        top->table = table_create(columns, sizeof(columns) / sizeof(columns[0]));
    if (top->cuts == NULL || (!top->place.json && top->table == NULL))
        rc = -ENOMEM;
    if (rc == 0)
        rc = census_cuts(census, end_us, top->by, top->limit, cut_take, top);
    if (rc == 0 && top->place.json) {
        rc = json_print(top);
    } else if (rc == 0) {
        headline_print(&top->total);
        rc = table_print(top->table, stdout);
        others_print(&top->total);
    }
    table_free(top->table);
    json_decref(top->cuts);
    return rc;
}

/* A victim is proven by coming back; who looks at less time than that takes sees none. */
static void span_check(const struct top *top)
{
    const int64_t end_us = top->place.until_us != 0 ? top->place.until_us : top->place.now_us;
    const int64_t needed_us = (int64_t)top->place.options.persistence_s * 1000000;
    if (top->place.since_us != 0 && end_us - top->place.since_us <= needed_us)
        fprintf(stderr,
                "tamis: a victim is proven after %s, which this span does not have: give a longer "
                "one\n",
                quantity_seconds(needed_us / 1000000).text);
}

static int top_make(struct top *top, struct error *ret_error)
{
    _cleanup_(census_freep) struct census *census = NULL;
    struct sink_events_loss loss;
    int rc = sink_events_open(&top->place, ret_error);
    if (rc == 0)
        rc = sink_events_census(&top->place, top->place.since_us, top->place.until_us, &census,
                                &loss, ret_error);
    if (rc < 0)
        return rc;
    span_check(top);
    rc = figures_print(top, census);
    if (rc < 0)
        return error_set(ret_error, rc, "the figures can't be made: %s", strerror(-rc));
    return sink_events_loss_print(&loss);
}

/* ---- Options ---- */

enum { OPTION_BY = SINK_OPTION_OWN, OPTION_LIMIT };

static int by_take(struct top *top)
{
    for (enum census_by by = CENSUS_ORDER; by <= CENSUS_NAME; by++)
        if (strcmp(optarg, by_names[by]) == 0) {
            top->by = by;
            return EXIT_OK;
        }
    return command_usage_error(&command_sink_top,
                               "nothing is counted by '%s': try country, asn, family, name or "
                               "order",
                               optarg);
}

static int limit_take(struct top *top)
{
    char *end;
    errno = 0;
    top->limit = strtoul(optarg, &end, 10);
    if (optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || errno != 0 || top->limit < 1 ||
        top->limit > LIMIT_MAX)
        return command_usage_error(&command_sink_top, "'%s' is no number of rows up to %d", optarg,
                                   LIMIT_MAX);
    return EXIT_OK;
}

static int options_parse(struct top *top, int argc, char **argv)
{
    static const struct option table[] = {
        SINK_EVENTS_OPTIONS,
        {"by", required_argument, NULL, OPTION_BY},
        {"limit", required_argument, NULL, OPTION_LIMIT},
        {0},
    };
    int option, code = EXIT_OK;
    opterr = 0;
    while (code == EXIT_OK && (option = getopt_long(argc, argv, ":c:", table, NULL)) != -1)
        code = option == OPTION_BY ? by_take(top)
               : option == OPTION_LIMIT
                   ? limit_take(top)
                   : sink_events_option(&command_sink_top, &top->place, option, argv);
    return code == EXIT_OK ? sink_events_check(&command_sink_top, &top->place, argc, argv) : code;
}

static int top_run(int argc, char **argv)
{
    struct top top = {.by = CENSUS_FAMILY, .limit = LIMIT_DEFAULT};
    struct error error = {0};

    int code = options_parse(&top, argc, argv);
    if (code != EXIT_OK)
        return code;
    int rc = top_make(&top, &error);
    if (rc < 0)
        error_print(stderr, "tamis", &error);
    sink_events_close(&top.place);
    return rc == 0 ? EXIT_OK : EXIT_FINDING;
}

const struct command command_sink_top = {
    .path = "sink top",
    .summary = "count victims by country, network, family, name or order",
    .help = "Usage: tamis sink top [OPTION]...\n"
            "\n"
            "Counts proven victims, with likely ones, addresses, NAT and churn beside them, and\n"
            "says how many others connected that are no victims.\n"
            "\n"
            "  --by WHAT        family (default), country, asn, name or order\n"
            "  --since TIME     of events since then: 7d, 2026-11-24, 2026-11-24T12:00:00Z\n"
            "  --until TIME     and before then\n"
            "  --limit N        rows (default: 10)\n"
            "  --json           a JSON object\n"
            "  -c FILE          configuration of tamis-sink (default: tamis-sink.yaml here, or\n"
            "                   /etc/tamis-sink/tamis-sink.yaml)\n"
            "  --events FOLDER  the events, where there is no configuration\n"
            "\n"
            "Example: tamis sink top --by country --since 7d\n",
    .run = top_run,
};
