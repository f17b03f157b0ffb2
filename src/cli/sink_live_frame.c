#include "cli/sink_live_frame.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/quantity.h"
#include "cli/sparkline.h"
#include "cli/table.h"

/* Rows of each table: a terminal of 40 lines shows all of it. */
#define ROWS_MAX 5
#define LAST_MAX 8

static int64_t count_of(const json_t *object, const char *key)
{
    return (int64_t)json_number_value(json_object_get(object, key));
}

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* ---- The head ---- */

static void head_print(FILE *stream, const json_t *snapshot)
{
    const json_t *rates = json_object_get(snapshot, "rates");
    fprintf(stream, "tamis-sink, up %s; %s connections a second, %s events a second, %s open\n\n",
            quantity_seconds(count_of(snapshot, "uptime_s")).text,
            quantity_count(count_of(rates, "connections")).text,
            quantity_count(count_of(rates, "events")).text,
            quantity_count(count_of(snapshot, "open")).text);
}

static void headline_print(FILE *stream, const json_t *snapshot)
{
    const json_t *classes = json_object_get(snapshot, "classes");
    const json_t *series = json_object_get(snapshot, "series");
    double values[SPARKLINE_MAX];
    char text[SPARKLINE_SIZE];
    size_t size = json_array_size(series), count = 0;

    for (size_t i = size > SPARKLINE_MAX ? size - SPARKLINE_MAX : 0; i < size; i++)
        values[count++] = (double)count_of(json_array_get(series, i), "proven");
    fprintf(stream, "Proven victims %s  %s  likely %s\n",
            quantity_count(count_of(classes, "proven")).text, sparkline(values, count, text),
            quantity_count(count_of(classes, "likely")).text);
}

/* Everything else that connected, so that nobody takes it for victims. */
static void others_print(FILE *stream, const json_t *snapshot)
{
    const json_t *value;
    const char *key;
    bool first = true;

    fputs("No victims:", stream);
    json_object_foreach(json_object_get(snapshot, "classes"), key, value)
    {
        if (strcmp(key, "proven") == 0 || strcmp(key, "likely") == 0)
            continue;
        fputs(first ? " " : ", ", stream);
        text_print(stream, key);
        fprintf(stream, " %s", quantity_count((int64_t)json_number_value(value)).text);
        first = false;
    }
    fputs(first ? " none\n" : "\n", stream);
    first = true;
    fputs("Connections:", stream);
    json_object_foreach(json_object_get(snapshot, "kinds"), key, value)
    {
        int64_t count = (int64_t)json_number_value(value);
        if (count == 0)
            continue;
        fputs(first ? " " : ", ", stream);
        text_print(stream, key);
        fprintf(stream, " %s", quantity_count(count).text);
        first = false;
    }
    fputs(first ? " none\n" : "\n", stream);
}

/* ---- The tables ---- */

struct column {
    struct table_column column; /* the title is the member's name as well */
    bool is_count;
};

static int rows_print(FILE *stream, const json_t *rows, const struct column *shown, size_t count,
                      size_t rows_max)
{
    struct table_column columns[8];
    const json_t *row;
    size_t i;

    if (json_array_size(rows) == 0)
        return 0;
    for (size_t c = 0; c < count; c++)
        columns[c] = shown[c].column;
    _cleanup_(table_freep) struct table *table = table_create(columns, count);
    if (table == NULL)
        return -ENOMEM;
    json_array_foreach(rows, i, row)
    {
        if (i == rows_max)
            break;
        for (size_t c = 0; c < count; c++) {
            const json_t *value = json_object_get(row, shown[c].column.title);
            if (shown[c].is_count)
                table_add(table, quantity_count((int64_t)json_number_value(value)).text);
            else
                table_add(table, json_string_value(value));
        }
    }
    fputc('\n', stream);
    return table_print(table, stream);
}

static int cuts_print(FILE *stream, const json_t *snapshot)
{
    static const struct column families[] = {
        {{"family", false}, false}, {{"proven", true}, true}, {{"likely", true}, true}};
    static const struct column orders[] = {{{"order", false}, false},
                                           {{"proven", true}, true},
                                           {{"fresh", true}, true},
                                           {{"quiet", true}, true}};
    int rc = rows_print(stream, json_object_get(snapshot, "families"), families, 3, ROWS_MAX);
    return rc == 0 ? rows_print(stream, json_object_get(snapshot, "orders"), orders, 4, ROWS_MAX)
                   : rc;
}

/* One line: "Countries: CH 12, DE 3". */
static void places_print(FILE *stream, const char *title, const json_t *places, const char *key)
{
    const json_t *place;
    size_t i;

    if (json_array_size(places) == 0)
        return;
    fprintf(stream, "%s:", title);
    json_array_foreach(places, i, place)
    {
        const json_t *name = json_object_get(place, key);
        fputs(i == 0 ? " " : ", ", stream);
        if (json_is_integer(name))
            fprintf(stream, "AS%" JSON_INTEGER_FORMAT, json_integer_value(name));
        else
            text_print(stream, text_of(place, key));
        fprintf(stream, " %s", quantity_count(count_of(place, "proven")).text);
    }
    fputc('\n', stream);
}

static int last_print(FILE *stream, const json_t *snapshot)
{
    static const struct table_column columns[] = {{"last", false},    {"kind", false},
                                                  {"family", false},  {"name", false},
                                                  {"network", false}, {"country", false}};
    const json_t *last = json_object_get(snapshot, "last"), *row;
    char network[16];
    size_t i;

    if (json_array_size(last) == 0)
        return 0;
    _cleanup_(table_freep) struct table *table =
        table_create(columns, sizeof(columns) / sizeof(columns[0]));
    if (table == NULL)
        return -ENOMEM;
    json_array_foreach(last, i, row)
    {
        int64_t asn = count_of(row, "asn");
        if (i == LAST_MAX)
            break;
        (void)snprintf(network, sizeof(network), "AS%" PRId64, asn);
        table_add(table, text_of(row, "at"));
        table_add(table, text_of(row, "kind"));
        table_add(table, text_of(row, "family"));
        table_add(table, text_of(row, "name"));
        table_add(table, asn > 0 ? network : NULL);
        table_add(table, text_of(row, "country"));
    }
    fputc('\n', stream);
    return table_print(table, stream);
}

int live_frame_print(FILE *stream, const json_t *snapshot, struct error *ret_error)
{
    head_print(stream, snapshot);
    headline_print(stream, snapshot);
    others_print(stream, snapshot);
    int rc = cuts_print(stream, snapshot);
    if (rc == 0) {
        fputc('\n', stream);
        places_print(stream, "Countries", json_object_get(snapshot, "countries"), "country");
        places_print(stream, "Networks", json_object_get(snapshot, "asns"), "asn");
        rc = last_print(stream, snapshot);
    }
    return rc < 0 ? error_set(ret_error, rc, "out of memory") : 0;
}

/* ---- On a terminal ---- */

/* Octets of a line that fill at most so many columns; each character is taken for one. */
static size_t line_fit(const char *line, size_t size, unsigned columns)
{
    size_t at = 0;
    for (unsigned column = 0; at < size; at++) {
        if (((unsigned char)line[at] & 0xc0) == 0x80)
            continue;
        if (column++ == columns)
            break;
    }
    return at;
}

void live_frame_fit(FILE *stream, const char *text, unsigned columns, unsigned lines, int highlight)
{
    for (unsigned line = 0; line < lines && *text != '\0'; line++) {
        size_t size = strcspn(text, "\n");
        bool stands_out = highlight && line == LIVE_HEADLINE;
        /* The cursor stays in the last line: a line end there would scroll. */
        fprintf(stream, "%s%s%.*s%s\033[K", line > 0 ? "\n" : "", stands_out ? "\033[1;32m" : "",
                (int)line_fit(text, size, columns), text, stands_out ? "\033[0m" : "");
        text += size + (text[size] == '\n');
    }
    fputs("\033[J", stream);
}
