/* `tamis zone check`: loads a zone file as tamisd would and says what is wrong with it, by line. */
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <libknot/dname.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/command.h"
#include "zone/zone_file.h"

/* Findings listed in the JSON object: a file that is wrong in more places is wrong as a whole, and
 * the object has to be held in memory. All are counted. */
#define FINDINGS_LISTED_MAX 10000

struct zone_check {
    const char *zone, *path;
    uint64_t finding_count, fatal_count;
    json_t *findings; /* NULL: findings are printed as they come */
};

static void zone_check_report(void *context, const struct zone_finding *finding)
{
    struct zone_check *check = context;

    check->finding_count++;
    check->fatal_count += finding->fatal;
    if (check->findings != NULL) {
        if (json_array_size(check->findings) >= FINDINGS_LISTED_MAX)
            return;
        json_t *item = json_pack("{s:s, s:I, s:b, s:s}", "file", finding->file, "line",
                                 (json_int_t)finding->line, "fatal", (int)finding->fatal, "text",
                                 finding->text);
        /* Without memory for one more, the count still tells of it. */
        (void)json_array_append_new(check->findings, item);
        return;
    }

    const char *weight = finding->fatal ? "error" : "warning";
    if (finding->line > 0)
        fprintf(stderr, "%s:%" PRIu64 ": %s: %s\n", finding->file, finding->line, weight,
                finding->text);
    else
        fprintf(stderr, "%s: %s: %s\n", finding->file, weight, finding->text);
}

/* `data` is NULL for a zone that cannot be served. Returns 0, or -1 when it could not be printed.
 */
static int zone_check_print_json(const struct zone_check *check, const struct zone_data *data)
{
    json_t *object = json_pack("{s:s, s:s, s:b, s:I, s:O}", "zone", check->zone, "file",
                               check->path, "ok", check->finding_count == 0, "finding_count",
                               (json_int_t)check->finding_count, "findings", check->findings);
    int rc = object == NULL ? -1 : 0;
    if (rc == 0 && data != NULL)
        rc = json_object_update_new(
            object, json_pack("{s:I, s:I, s:I, s:I}", "names", (json_int_t)data->name_count,
                              "records", (json_int_t)data->record_count, "serial",
                              (json_int_t)data->soa.serial, "memory", (json_int_t)data->memory));
    else if (rc == 0)
        rc = json_object_update_new(
            object, json_pack("{s:n, s:n, s:n, s:n}", "names", "records", "serial", "memory"));
    if (rc == 0)
        rc = json_dumpf(object, stdout, JSON_INDENT(2));
    if (rc == 0)
        putchar('\n');
    json_decref(object);
    return rc;
}

static void zone_check_print_text(const struct zone_check *check, const struct zone_data *data)
{
    if (data == NULL) {
        fprintf(stderr, "%s: cannot be served: %" PRIu64 " error%s in %s\n", check->zone,
                check->fatal_count, check->fatal_count == 1 ? "" : "s", check->path);
        return;
    }
    printf("%s: %" PRIu64 " name%s, %" PRIu64 " record%s, serial %" PRIu32, check->zone,
           data->name_count, data->name_count == 1 ? "" : "s", data->record_count,
           data->record_count == 1 ? "" : "s", data->soa.serial);
    if (check->finding_count > 0)
        printf(", %" PRIu64 " warning%s", check->finding_count,
               check->finding_count == 1 ? "" : "s");
    putchar('\n');
}

static int zone_check_run(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'}, {0}};
    bool json = false;

    optind = 1;
    opterr = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option != 'j')
            return command_usage_error(&command_zone_check, "unknown option %s", argv[optind - 1]);
        json = true;
    }
    if (argc - optind != 2)
        return command_usage_error(&command_zone_check, "needs the zone's NAME and its FILE");

    struct zone_check check = {.zone = argv[optind], .path = argv[optind + 1]};
    uint8_t apex[NAME_SIZE_MAX];
    if (knot_dname_from_str(apex, check.zone, sizeof(apex)) == NULL)
        return command_usage_error(&command_zone_check, "%s is not a domain name", check.zone);
    knot_dname_to_lower(apex);

    if (json && (check.findings = json_array()) == NULL) {
        fputs("tamis: out of memory\n", stderr);
        return EXIT_FINDING;
    }

    _cleanup_(zone_data_freep) struct zone_data *data = NULL;
    struct error error = {0};
    int rc = zone_file_load(check.path, apex, zone_check_report, &check, &data, &error);
    /* A file that cannot be read at all has no line to report. */
    if (rc < 0 && check.fatal_count == 0)
        zone_check_report(
            &check, &(struct zone_finding){
                        .file = error.file, .line = error.line, .fatal = true, .text = error.text});

    rc = 0;
    if (json)
        rc = zone_check_print_json(&check, data);
    else
        zone_check_print_text(&check, data);
    json_decref(check.findings);
    return check.finding_count == 0 && rc == 0 ? EXIT_OK : EXIT_FINDING;
}

const struct command command_zone_check = {
    .path = "zone check",
    .summary = "load a zone file and report errors by line",
    .help = "usage: tamis zone check [--json] NAME FILE\n"
            "\n"
            "Loads FILE as the zone NAME, as tamisd would. An error means that the zone cannot be\n"
            "served; a warning, that a record is left out and the rest stands.\n"
            "\n"
            "  --json   print one object instead of text\n"
            "\n"
            "Exits 0 when there is nothing to say, 1 with findings, 2 on wrong use.\n"
            "\n"
            "example: tamis zone check a.example a.example.zone\n",
    .run = zone_check_run,
};
