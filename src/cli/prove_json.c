#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libknot/libknot.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/prove_report.h"

/* Builders return NULL where memory runs out; json_pack() hands that upwards. */

static json_t *json_name(const uint8_t *wire)
{
    knot_dname_txt_storage_t text;
    return json_string(knot_dname_to_str(text, wire, sizeof(text)) != NULL ? text : "");
}

static json_t *json_time(int64_t seconds)
{
    char text[32];
    time_t value = (time_t)seconds;
    struct tm parts;
    if (gmtime_r(&value, &parts) == NULL ||
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        return json_null();
    return json_string(text);
}

static json_t *json_orders(const struct listing *listing)
{
    json_t *orders = json_array();
    for (size_t i = 0; i < listing_order_count(listing); i++) {
        const struct order *order = listing_order(listing, i);
        json_t *entry = json_pack(
            "{s:s, s:s, s:I, s:I, s:I, s:I}", "id", order->id, "file",
            order->path != NULL ? order->path : "", "names", (json_int_t)order->names.count,
            "subtrees", (json_int_t)order->subtrees.count, "exempt",
            (json_int_t)order->exempt.count, "refused", (json_int_t)order->finding_count);
        if (json_array_append_new(orders, entry) < 0) {
            json_decref(orders);
            return NULL;
        }
    }
    return orders;
}

static json_t *json_lines(const struct survey *survey)
{
    json_t *lines = json_array();
    for (size_t i = 0; i < survey->example_count; i++) {
        const struct survey_example *example = &survey->examples[i];
        if (json_array_append_new(lines, json_pack("{s:I, s:s, s:s}", "line",
                                                   (json_int_t)example->line, "reason",
                                                   example->reason, "text", example->text)) < 0) {
            json_decref(lines);
            return NULL;
        }
    }
    return lines;
}

static json_t *json_serial(const struct zone_serial *zone, enum exchange_side side,
                           enum serial_moment moment)
{
    return zone->seen[side][moment] ? json_integer(zone->serial[side][moment]) : json_null();
}

static json_t *json_zones(const struct zone_serials *serials)
{
    json_t *zones = json_array();
    for (size_t i = 0; i < serials->count; i++) {
        const struct zone_serial *zone = &serials->zones[i];
        json_t *entry = json_pack(
            "{s:o, s:{s:o, s:o}, s:{s:o, s:o}, s:b}", "zone", json_name(zone->name), "front",
            "start", json_serial(zone, EXCHANGE_FRONT, SERIAL_START), "end",
            json_serial(zone, EXCHANGE_FRONT, SERIAL_END), "origin", "start",
            json_serial(zone, EXCHANGE_ORIGIN, SERIAL_START), "end",
            json_serial(zone, EXCHANGE_ORIGIN, SERIAL_END), "changed", zone_serial_changed(zone));
        if (json_array_append_new(zones, entry) < 0) {
            json_decref(zones);
            return NULL;
        }
    }
    return zones;
}

static json_t *json_kinds(uint32_t kinds)
{
    json_t *names = json_array();
    for (enum difference kind = 0; kind < DIFFERENCES; kind++)
        if (kinds & DIFFERENCE_BIT(kind) &&
            json_array_append_new(names, json_string(difference_name(kind))) < 0) {
            json_decref(names);
            return NULL;
        }
    return names;
}

static json_t *json_differences(const struct report *report)
{
    json_t *counts = json_object();
    for (enum difference kind = 0; kind < DIFFERENCES; kind++)
        if (report->by_kind[kind] > 0 &&
            json_object_set_new(counts, difference_name(kind),
                                json_integer((json_int_t)report->by_kind[kind])) < 0) {
            json_decref(counts);
            return NULL;
        }
    return counts;
}

static json_t *json_examples(const struct report *report)
{
    json_t *examples = json_array();
    for (size_t i = 0; i < report->example_count; i++) {
        const struct report_example *example = &report->examples[i];
        const struct zone_serial *zone = zone_serials_find(&report->serials, example->name);
        char type[32];
        if (knot_rrtype_to_string(example->type, type, sizeof(type)) < 0)
            type[0] = '\0';
        json_t *entry = json_pack(
            "{s:o, s:s, s:b, s:b, s:s, s:o, s:s, s:o, s:b}", "name", json_name(example->name),
            "type", type, "dnssec", example->dnssec_ok, "listed", example->listed, "kind",
            difference_name(example->kind), "kinds", json_kinds(example->kinds), "detail",
            example->detail, "zone", zone != NULL ? json_name(zone->name) : json_null(),
            "serial_changed", zone != NULL && zone_serial_changed(zone));
        if (json_array_append_new(examples, entry) < 0) {
            json_decref(examples);
            return NULL;
        }
    }
    return examples;
}

static json_t *json_side(const struct exchange_counts *counts, enum exchange_side side)
{
    return json_pack("{s:I, s:I, s:I}", "queries", (json_int_t)counts->queries_sent[side],
                     "repeated", (json_int_t)counts->repeated[side], "over_tcp",
                     (json_int_t)counts->over_tcp[side]);
}

static json_t *json_asked(const struct report *report)
{
    const struct survey *survey = &report->survey;
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:b}", "names_file", report->names_path, "types",
        report->types, "dnssec", report->dnssec, "ttl", report->ttl, "random_case_seed",
        report->random_case ? json_integer((json_int_t)report->random_case_seed) : json_null(),
        "bad_lines",
        json_pack("{s:I, s:I, s:b, s:o}", "count", (json_int_t)survey->faults, "duplicates",
                  (json_int_t)survey->duplicates, "duplicates_partial", survey->duplicates_partial,
                  "examples", json_lines(survey)),
        "origin_may_be_silent", report->origin_may_be_silent);
}

static json_t *report_json(const struct report *report)
{
    return json_pack(
        "{s:s, s:b, s:s?, s:s, s:s, s:o, s:f, s:o, s:o, s:{s:I, s:I, s:I, s:I},"
        " s:{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}, s:o, s:o, s:o, s:{s:o, s:o, s:I}}",
        "tamis", TAMIS_VERSION, "proved", report_proved(report), "stopped", report->stopped,
        "front", report->front, "origin", report->origin, "started", json_time(report->started),
        "seconds", report->seconds, "asked", json_asked(report), "orders",
        json_orders(report->listing), "names", "listed", (json_int_t)report->names_listed,
        "unlisted", (json_int_t)report->names_unlisted, "listed_wrong",
        (json_int_t)report->names_listed_wrong, "unlisted_different",
        (json_int_t)report->names_unlisted_different, "answers", "compared",
        (json_int_t)report->questions, "equal", (json_int_t)report->equal, "blocked",
        (json_int_t)report->blocked, "blocked_alias", (json_int_t)report->blocked_alias,
        "different", (json_int_t)report->different, "not_comparable",
        (json_int_t)report->not_comparable, "settled", (json_int_t)report->settled,
        "addresses_left_out", (json_int_t)report->addresses_left_out, "differences",
        json_differences(report), "examples", json_examples(report), "zones",
        json_zones(&report->serials), "transport", "front",
        json_side(&report->exchange, EXCHANGE_FRONT), "origin",
        json_side(&report->exchange, EXCHANGE_ORIGIN), "stray", (json_int_t)report->exchange.stray);
}

int report_write_json(const struct report *report, FILE *stream, struct error *ret_error)
{
    json_t *root = report_json(report);
    if (root == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the report");
    int rc = json_dumpf(root, stream, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
    json_decref(root);
    if (rc < 0 || fputc('\n', stream) == EOF || fflush(stream) == EOF)
        return error_set(ret_error, -EIO, "cannot write the report: %s", strerror(errno));
    return 0;
}

static int report_write_file(const struct report *report, int fd, struct error *ret_error)
{
    FILE *stream = fdopen(fd, "w");
    if (stream == NULL) {
        close(fd);
        return error_set(ret_error, -errno, "cannot write the report: %s", strerror(errno));
    }
    int rc = report_write_json(report, stream, ret_error);
    if (rc == 0 && fsync(fd) < 0)
        rc = error_set(ret_error, -errno, "cannot write the report: %s", strerror(errno));
    if (fclose(stream) == EOF && rc == 0)
        rc = error_set(ret_error, -EIO, "cannot write the report: %s", strerror(errno));
    return rc;
}

int report_save_json(const struct report *report, const char *path, struct error *ret_error)
{
    char *unfinished = NULL;
    if (asprintf(&unfinished, "%s.tmp", path) < 0)
        return error_set(ret_error, -ENOMEM, "out of memory for the report");

    int rc;
    int fd = open(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        rc = error_set_at(ret_error, -errno, path, 0, "cannot write the report: %s",
                          strerror(errno));
    else
        rc = report_write_file(report, fd, ret_error);
    if (rc == 0 && rename(unfinished, path) < 0)
        rc = error_set_at(ret_error, -errno, path, 0, "cannot write the report: %s",
                          strerror(errno));
    if (rc < 0 && fd >= 0)
        (void)unlink(unfinished);
    free(unfinished);
    return rc;
}
