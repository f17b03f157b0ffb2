#include "cli/ctl_print.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "cli/quantity.h"
#include "cli/table.h"

/* Lines of a list before a person stops reading; --json has all. */
#define NAMES_SHOWN_MAX    20
#define FINDINGS_SHOWN_MAX 20

static const char *text_of(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* A text for the middle of a line. */
static const char *text_or(const json_t *object, const char *key, const char *otherwise)
{
    const char *text = text_of(object, key);
    return text != NULL && text[0] != '\0' ? text : otherwise;
}

static int64_t number_of(const json_t *object, const char *key)
{
    return (int64_t)json_number_value(json_object_get(object, key));
}

static struct quantity count_of(const json_t *object, const char *key)
{
    return quantity_count(number_of(object, key));
}

static bool is_number(const json_t *object, const char *key)
{
    return json_is_number(json_object_get(object, key));
}

static void add_count(struct table *table, const json_t *object, const char *key)
{
    table_add(table, is_number(object, key) ? count_of(object, key).text : NULL);
}

/* A zone that was never loaded has the time 0. */
static void add_distance(struct table *table, const json_t *object, const char *key, int64_t now)
{
    int64_t time = number_of(object, key);
    table_add(table, time > 0 ? quantity_distance(time, now).text : text_of(object, key));
}

static void add_time(struct table *table, const json_t *object, const char *key)
{
    int64_t time = number_of(object, key);
    table_add(table, time > 0 ? quantity_time(time).text : text_of(object, key));
}

static int finish(const struct table *table, FILE *stream)
{
    return table != NULL ? table_print(table, stream) : -ENOMEM;
}

/* What an order or a reload found: "names.txt:12: *.a.example is a wildcard". */
static void finding_print(const json_t *finding, FILE *stream)
{
    const char *file = text_or(finding, "file", NULL);
    const char *entry = text_or(finding, "entry", NULL);
    const char *detail = text_or(finding, "detail", NULL);
    int64_t line = number_of(finding, "line");

    fputs("  ", stream);
    if (file != NULL) {
        text_print(stream, file);
        if (line > 0)
            fprintf(stream, ":%lld", (long long)line);
        fputs(": ", stream);
    }
    if (entry != NULL) {
        text_print(stream, entry);
        fputc(' ', stream);
    }
    text_print(stream, text_or(finding, "reason", text_or(finding, "text", "is refused")));
    if (detail != NULL) {
        fputs(": ", stream);
        text_print(stream, detail);
    }
    fputc('\n', stream);
}

/* The first findings of a result, which may itself hold fewer than were found. */
static void findings_print(const json_t *result, FILE *stream)
{
    const json_t *findings = json_object_get(result, "findings");
    size_t count = json_array_size(findings);
    int64_t total = number_of(result, "finding_total");
    int64_t shown = count < FINDINGS_SHOWN_MAX ? (int64_t)count : FINDINGS_SHOWN_MAX;

    if (total < (int64_t)count)
        total = (int64_t)count;
    for (int64_t i = 0; i < shown; i++)
        finding_print(json_array_get(findings, (size_t)i), stream);
    if (total > shown)
        fprintf(stream, "  and %s more: --json shows %s\n", quantity_count(total - shown).text,
                total > (int64_t)count ? "more of them" : "all");
}

int ctl_print_status(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    const json_t *zones = json_object_get(result, "zones");
    const json_t *orders = json_object_get(result, "orders");
    const json_t *queries = json_object_get(result, "queries");

    (void)now;
    (void)findings;
    fputs("tamisd ", stream);
    text_print(stream, text_or(result, "version", "?"));
    fprintf(stream, ", pid %lld, up %s, since %s\n", (long long)number_of(result, "pid"),
            quantity_seconds(number_of(result, "uptime_s")).text,
            quantity_time(number_of(result, "started")).text);
    fprintf(stream, "zones    %s: %s serving, %s unloaded, %s expired\n",
            count_of(zones, "total").text, count_of(zones, "serving").text,
            count_of(zones, "unloaded").text, count_of(zones, "expired").text);
    fprintf(stream, "orders   %s active, %s names\n", count_of(orders, "active").text,
            count_of(orders, "names").text);
    fprintf(stream, "queries  %s UDP, %s TCP, %s TLS\n", count_of(queries, "udp").text,
            count_of(queries, "tcp").text, count_of(queries, "tls").text);
    fprintf(stream, "workers  %s\n", count_of(result, "workers").text);
    fprintf(stream, "memory   %s\n", quantity_octets(number_of(result, "memory_octets")).text);
    return 0;
}

int ctl_print_zones(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    static const struct table_column columns[] = {
        {"ZONE", false},    {"ROLE", false},    {"STATUS", false}, {"SERIAL", true},
        {"NAMES", true},    {"RECORDS", true},  {"MEMORY", true},  {"LOADED", false},
        {"CHECKED", false}, {"EXPIRES", false}, {"QUERIES", true},
    };
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    size_t index;
    json_t *zone;

    if (json_array_size(result) == 0) {
        fputs("no zones: add some under \"zones\" in the configuration\n", stream);
        return 0;
    }
    json_array_foreach(result, index, zone)
    {
        char serial[24] = "";

        if (table == NULL)
            break;
        /* A serial is a label, not a quantity: its digits stay together. */
        if (is_number(zone, "serial"))
            snprintf(serial, sizeof(serial), "%lld", (long long)number_of(zone, "serial"));
        table_add(table, text_of(zone, "name"));
        table_add(table, text_of(zone, "role"));
        table_add(table, text_of(zone, "status"));
        table_add(table, serial);
        add_count(table, zone, "names");
        add_count(table, zone, "records");
        table_add(table, is_number(zone, "memory_octets")
                             ? quantity_octets(number_of(zone, "memory_octets")).text
                             : NULL);
        add_distance(table, zone, "loaded_at", now);
        add_distance(table, zone, "checked_at", now);
        add_distance(table, zone, "expires_at", now);
        add_count(table, json_object_get(zone, "answers"), "queries");
    }
    int rc = finish(table, stream);

    json_array_foreach(result, index, zone)
    {
        const char *error = text_of(zone, "error");
        if (error == NULL || error[0] == '\0')
            continue;
        text_print(findings, text_or(zone, "name", "?"));
        fputs(": ", findings);
        text_print(findings, error);
        fputc('\n', findings);
    }
    return rc;
}

/* What doesn't fit the table's line. */
static void order_details_print(const json_t *order, FILE *stream)
{
    fputc('\n', stream);
    text_print(stream, text_or(order, "id", "?"));
    fputs(": ", stream);
    text_print(stream, text_or(order, "authority", "no authority named"));
    fputc('\n', stream);
    const char *notice = text_of(order, "notice");
    if (notice != NULL && notice[0] != '\0') {
        fputs("  notice     ", stream);
        text_print(stream, notice);
        fputc('\n', stream);
    }
    if (number_of(order, "subtrees") > 0)
        fprintf(stream, "  subtrees   %s\n", count_of(order, "subtrees").text);
    if (number_of(order, "exempt") > 0)
        fprintf(stream, "  exempt     %s names\n", count_of(order, "exempt").text);
    if (number_of(order, "activated_at") > 0)
        fprintf(stream, "  activated  %s\n", quantity_time(number_of(order, "activated_at")).text);
    if (json_array_size(json_object_get(order, "findings")) > 0) {
        fprintf(stream, "  refused entries:\n");
        findings_print(order, stream);
    }
}

int ctl_print_orders(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    static const struct table_column columns[] = {
        {"ORDER", false}, {"KIND", false},   {"ACTION", false}, {"STATE", false},  {"NAMES", true},
        {"MARKED", true}, {"REFUSED", true}, {"HITS", true},    {"STARTS", false}, {"ENDS", false},
    };
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    size_t index;
    json_t *order;

    (void)now;
    (void)findings;
    if (json_array_size(result) == 0) {
        fputs("no orders: activate one with \"tamis ctl activate FILE\"\n", stream);
        return 0;
    }
    json_array_foreach(result, index, order)
    {
        if (table == NULL)
            break;
        table_add(table, text_of(order, "id"));
        table_add(table, text_of(order, "kind"));
        table_add(table, text_of(order, "action"));
        table_add(table, text_of(order, "state"));
        add_count(table, order, "names");
        add_count(table, order, "marked");
        add_count(table, order, "refused");
        add_count(table, order, "hits");
        add_time(table, order, "starts");
        add_time(table, order, "ends");
    }
    int rc = finish(table, stream);
    json_array_foreach(result, index, order)
    {
        order_details_print(order, stream);
    }
    return rc;
}

/* "  name  1,234" for each number of an object. */
static int counters_print(const char *title, json_t *counters, FILE *stream)
{
    static const struct table_column columns[] = {{NULL, false}, {NULL, true}};
    _cleanup_(table_freep) struct table *table = table_create(columns, 2);
    const char *key;
    json_t *value;

    text_print(stream, title);
    fputs(json_object_size(counters) == 0 ? ": none\n" : ":\n", stream);
    json_object_foreach(counters, key, value)
    {
        char label[64];
        if (table == NULL)
            break;
        snprintf(label, sizeof(label), "  %s", key);
        table_add(table, label);
        table_add(table, json_is_number(value)
                             ? quantity_count((int64_t)json_number_value(value)).text
                             : json_string_value(value));
    }
    return finish(table, stream);
}

static int order_hits_print(const json_t *order, FILE *stream)
{
    static const struct table_column columns[] = {{NULL, false}, {NULL, true}};
    _cleanup_(table_freep) struct table *table = table_create(columns, 2);
    const json_t *names = json_object_get(order, "names");
    size_t count = json_array_size(names);
    size_t shown = count < NAMES_SHOWN_MAX ? count : NAMES_SHOWN_MAX;

    fputs("order ", stream);
    text_print(stream, text_or(order, "id", "?"));
    fprintf(stream, ": %s hits on %s names%s\n", count_of(order, "hits").text,
            quantity_count((int64_t)count).text, shown > 0 ? ":" : "");
    for (size_t i = 0; i < shown && table != NULL; i++) {
        const json_t *name = json_array_get(names, i);
        char label[320];
        snprintf(label, sizeof(label), "  %s", text_or(name, "name", "?"));
        table_add(table, label);
        add_count(table, name, "hits");
    }
    int rc = finish(table, stream);
    if (count > shown)
        fprintf(stream, "  and %s more names: --json shows all\n",
                quantity_count((int64_t)(count - shown)).text);
    return rc;
}

int ctl_print_stats(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    const char *key;
    json_t *value;
    size_t index;
    int rc = 0;

    (void)now;
    (void)findings;
    json_object_foreach((json_t *)result, key, value)
    {
        if (rc == 0 && json_is_object(value))
            rc = counters_print(key, value, stream);
    }
    json_array_foreach(json_object_get(result, "orders"), index, value)
    {
        if (rc == 0)
            rc = order_hits_print(value, stream);
    }
    return rc;
}

static int recent_reports_print(const json_t *recent, int64_t now, FILE *stream)
{
    static const struct table_column columns[] = {
        {"REPORTED", false}, {"NAME", false}, {"TYPE", false}, {"ERROR", true}, {"LISTED", false}};
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *report;
    size_t index;
    json_array_foreach(recent, index, report)
    {
        if (table == NULL || index == NAMES_SHOWN_MAX)
            break;
        add_distance(table, report, "time", now);
        table_add(table, text_of(report, "name"));
        table_add(table, text_of(report, "type"));
        add_count(table, report, "error");
        table_add(table, json_is_true(json_object_get(report, "listed")) ? "yes" : NULL);
    }
    return index > 0 ? finish(table, stream) : 0;
}

int ctl_print_reports(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    json_t *zone;
    size_t index;
    int rc = 0;

    (void)findings;
    if (text_of(result, "agent") == NULL) {
        fputs("nobody takes error reports here: configure server.error-reports\n", stream);
        return 0;
    }
    fprintf(stream, "%s reports to ", count_of(result, "reports").text);
    text_print(stream, text_of(result, "agent"));
    fprintf(stream, ", %s of them about names of others\n", count_of(result, "foreign").text);
    json_array_foreach(json_object_get(result, "zones"), index, zone)
    {
        char title[320];
        snprintf(title, sizeof(title), "%s, by extended error", text_or(zone, "zone", "?"));
        if (rc == 0)
            rc = counters_print(title, json_object_get(zone, "errors"), stream);
    }
    return rc == 0 ? recent_reports_print(json_object_get(result, "recent"), now, stream) : rc;
}

static int origins_print(const json_t *origins, FILE *stream)
{
    static const struct table_column columns[] = {
        {"ZONE"},        {"SERVER"},         {"STATE"},          {"RTT", true},
        {"ASKED", true}, {"ANSWERED", true}, {"TIMEOUTS", true}, {"REFUSED", true},
    };
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    const json_t *origin;
    size_t index;
    if (table == NULL)
        return -ENOMEM;
    json_array_foreach(origins, index, origin)
    {
        char rtt[32];
        const double rtt_ms = json_number_value(json_object_get(origin, "rtt_ms"));
        snprintf(rtt, sizeof(rtt), "%.1f ms", rtt_ms);
        table_add(table, text_of(origin, "zone"));
        table_add(table, text_of(origin, "server"));
        table_add(table, json_is_true(json_object_get(origin, "healthy")) ? "answers" : "fails");
        table_add(table, rtt_ms > 0 ? rtt : NULL);
        add_count(table, origin, "asked");
        add_count(table, origin, "answered");
        add_count(table, origin, "timeouts");
        add_count(table, origin, "refused");
    }
    return finish(table, stream);
}

int ctl_print_cache(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    (void)now;
    (void)findings;
    if (is_number(result, "purged")) {
        fprintf(stream, "%s answers purged\n", count_of(result, "purged").text);
        if (json_number_value(json_object_get(result, "denials")) > 0)
            fprintf(stream, "%s denials of the zone purged\n", count_of(result, "denials").text);
        return 0;
    }
    int rc = counters_print("cache", json_object_get(result, "cache"), stream);
    if (rc == 0)
        rc = counters_print("denials", json_object_get(result, "denials"), stream);
    if (rc == 0)
        rc = counters_print("forwarding", json_object_get(result, "forwarding"), stream);
    if (rc == 0)
        rc = origins_print(json_object_get(result, "origins"), stream);
    return rc;
}

/* What the server did with the order that it was given. */
static const char *activation_word(const json_t *result)
{
    if (json_is_true(json_object_get(result, "unchanged")))
        return " was active already and stays as it is";
    if (json_is_true(json_object_get(result, "replaced")))
        return " is active in place of its earlier version";
    return " is active";
}

int ctl_print_activate(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    (void)now;
    fputs("order ", stream);
    text_print(stream, text_or(result, "id", "?"));
    fprintf(stream, "%s after %s: %s names, %s in effect, %s refused\n", activation_word(result),
            quantity_ms(json_number_value(json_object_get(result, "took_ms"))).text,
            count_of(result, "names").text, count_of(result, "marked").text,
            count_of(result, "refused").text);
    /* The order stands: what of it doesn't is told beside the result, and fails nothing. */
    if (json_array_size(json_object_get(result, "findings")) > 0)
        fputs("refused entries:\n", findings);
    findings_print(result, findings);
    return 0;
}

int ctl_print_lift(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    (void)now;
    (void)findings;
    fputs("order ", stream);
    text_print(stream, text_or(result, "id", "?"));
    fprintf(stream, " is lifted after %s: %s names answer as their zones say\n",
            quantity_ms(json_number_value(json_object_get(result, "took_ms"))).text,
            count_of(result, "names").text);
    return 0;
}

/* "zones: 3 loaded, 20 unchanged". */
static void reload_part_print(const json_t *result, const char *part, FILE *stream)
{
    json_t *counters = json_object_get(result, part);
    const char *key, *separator = ": ";
    json_t *value;

    if (!json_is_object(counters))
        return;
    fputs(part, stream);
    json_object_foreach(counters, key, value)
    {
        if (!json_is_number(value))
            continue;
        fprintf(stream, "%s%s ", separator, quantity_count((int64_t)json_number_value(value)).text);
        text_print(stream, key);
        separator = ", ";
    }
    fputc('\n', stream);
}

static int64_t reload_failed(const json_t *result)
{
    return number_of(json_object_get(result, "zones"), "failed") +
           number_of(json_object_get(result, "orders"), "failed");
}

int ctl_print_reload(const json_t *result, int64_t now, FILE *stream, FILE *findings)
{
    (void)now;
    reload_part_print(result, "zones", stream);
    reload_part_print(result, "orders", stream);
    if (reload_failed(result) > 0)
        fputs("what failed keeps its earlier state:\n", findings);
    findings_print(result, findings);
    const json_t *notes = json_object_get(result, "notes"), *note;
    size_t i;
    json_array_foreach(notes, i, note) finding_print(note, stream);
    return 0;
}

bool ctl_reload_found(const json_t *result)
{
    return reload_failed(result) > 0 || json_array_size(json_object_get(result, "findings")) > 0;
}
