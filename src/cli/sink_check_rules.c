#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/sink_samples.h"
#include "cli/table.h"
#include "sink/rule_compile.h"

struct check_options {
    const char *rules, *samples;
    bool json;
    char **files;
    int file_count;
};

/* What was found, as it goes out. */
struct check {
    const struct check_options *options;
    struct rule_set *set;
    struct recogniser *recogniser;
    struct sample_list list;
    json_t *findings; /* of the compiler; NULL without --json */
    bool error_shown; /* by a finding */
};

static void take_finding(void *context, bool is_warning, const char *file, unsigned line,
                         const char *text)
{
    struct check *check = context;

    check->error_shown = check->error_shown || !is_warning;
    if (check->findings != NULL)
        (void)json_array_append_new(check->findings,
                                    json_pack("{s:b, s:s, s:i, s:s}", "warning", is_warning, "file",
                                              file, "line", (int)line, "text", text));
    else if (line > 0)
        fprintf(stderr, "%s:%u: %s%s\n", file, line, is_warning ? "warning: " : "", text);
    else
        fprintf(stderr, "%s: %s%s\n", file, is_warning ? "warning: " : "", text);
}

/* ---- Counting ---- */

struct counts {
    unsigned matched, missed, wrong;
};

static struct counts count_rule(const struct sample_list *list, const struct rule *rule)
{
    struct counts counts = {0};

    for (size_t i = 0; i < list->count; i++) {
        const struct sample *sample = &list->samples[i];
        bool own = strcmp(sample->rule, rule->label) == 0;
        if (!sample->expected.given)
            continue;
        if (own && sample->agrees)
            counts.matched++;
        else if (own)
            counts.wrong++;
        else if (!sample->agrees && sample->expected.kind == rule->kind &&
                 !sample->expected.no_family && strcmp(sample->expected.family, rule->family) == 0)
            counts.missed++;
    }
    return counts;
}

static size_t count_disagreeing(const struct sample_list *list)
{
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
        count += !list->samples[i].agrees;
    return count;
}

/* ---- Printing ---- */

static const char *expectation_text(const struct sample *sample, char text[80])
{
    const struct sample_expectation *expected = &sample->expected;

    if (expected->no_family)
        return "none";
    snprintf(text, 80, "%s%s%s", expected->family, expected->family[0] != '\0' ? " " : "",
             sink_kind_names[expected->kind]);
    return text;
}

static int print_rules(const struct check *check)
{
    static const struct table_column columns[] = {{"RULE", false},  {"FAMILY", false},
                                                  {"KIND", false},  {"MATCHED", true},
                                                  {"MISSED", true}, {"FALSE", true}};
    _cleanup_(table_freep) struct table *table = table_create(columns, 6);
    char number[16];

    if (table == NULL)
        return -ENOMEM;
    for (size_t i = 0; check->set != NULL && i < check->set->count; i++) {
        const struct rule *rule = &check->set->rules[i];
        if (rule->is_private)
            continue;
        const struct counts counts = count_rule(&check->list, rule);
        table_add(table, rule->label);
        table_add(table, rule->family);
        table_add(table, sink_kind_names[rule->kind]);
        const unsigned values[] = {counts.matched, counts.missed, counts.wrong};
        for (size_t j = 0; j < 3; j++) {
            snprintf(number, sizeof(number), "%u", values[j]);
            table_add(table, number);
        }
    }
    return table_print(table, stdout);
}

static int print_files(const struct check *check)
{
    static const struct table_column columns[] = {
        {"FILE", false},        {"KIND", false},       {"FAMILY", false}, {"VERSION", false},
        {"WELL-FORMED", false}, {"CONSISTENT", false}, {"FAKE", false},   {"RULE", false}};
    _cleanup_(table_freep) struct table *table = table_create(columns, 8);

    if (table == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < check->list.count; i++) {
        const struct sample *sample = &check->list.samples[i];
        table_add(table, sample->path);
        table_add(table, sink_kind_names[sample->kind]);
        table_add(table, sample->family);
        table_add(table, sample->version);
        table_add(table, sample->wellformed ? "yes" : "no");
        table_add(table, sample->consistent ? "yes" : "no");
        table_add(table, sample->fake);
        table_add(table, sample->rule);
    }
    return table_print(table, stdout);
}

static int print_text(const struct check *check)
{
    char text[80];

    if (check->options->file_count > 0)
        return print_files(check);
    int rc = print_rules(check);
    if (check->options->samples == NULL)
        return rc;
    for (size_t i = 0; i < check->list.count; i++) {
        const struct sample *sample = &check->list.samples[i];
        if (!sample->agrees)
            fprintf(stderr, "%s: is %s%s%s, not %s\n", sample->path, sample->family,
                    sample->family[0] != '\0' ? " " : "", sink_kind_names[sample->kind],
                    expectation_text(sample, text));
    }
    printf("%zu samples, %zu of them not as their folder says\n", check->list.count,
           count_disagreeing(&check->list));
    return rc;
}

static json_t *rules_json(const struct check *check)
{
    json_t *list = json_array();

    for (size_t i = 0; check->set != NULL && i < check->set->count; i++) {
        const struct rule *rule = &check->set->rules[i];
        const struct counts counts = count_rule(&check->list, rule);
        if (!rule->is_private)
            (void)json_array_append_new(
                list, json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i}", "rule", rule->label,
                                "family", rule->family, "kind", sink_kind_names[rule->kind],
                                "source", rule->source, "matched", (int)counts.matched, "missed",
                                (int)counts.missed, "false", (int)counts.wrong));
    }
    return list;
}

/* A path or a version need not be UTF-8: what isn't shows as '?'. */
static json_t *text_json(const char *text)
{
    json_t *value = json_string(text);
    char ascii[PATH_MAX];
    size_t size = 0;

    if (value != NULL)
        return value;
    for (; text[size] != '\0' && size < sizeof(ascii) - 1; size++)
        ascii[size] = (signed char)text[size] < ' ' ? '?' : text[size];
    return json_stringn(ascii, size);
}

static json_t *samples_json(const struct sample_list *samples)
{
    json_t *list = json_array();
    char text[80];

    for (size_t i = 0; i < samples->count; i++) {
        const struct sample *sample = &samples->samples[i];
        json_t *object =
            json_pack("{s:o, s:s, s:s, s:s, s:o, s:b, s:b, s:o}", "path", text_json(sample->path),
                      "kind", sink_kind_names[sample->kind], "family", sample->family, "rule",
                      sample->rule, "version", text_json(sample->version), "wellformed",
                      sample->wellformed, "consistent", sample->consistent, "fake",
                      sample->fake[0] != '\0' ? text_json(sample->fake) : json_null());
        if (sample->expected.given) {
            (void)json_object_set_new(object, "expected",
                                      text_json(expectation_text(sample, text)));
            (void)json_object_set_new(object, "ok", json_boolean(sample->agrees));
        }
        (void)json_array_append_new(list, object);
    }
    return list;
}

static void print_json(const struct check *check, const struct error *error)
{
    char text[1024];
    json_t *result =
        json_pack("{s:b, s:o, s:O, s:o}", "ok",
                  error == NULL && count_disagreeing(&check->list) == 0, "rules", rules_json(check),
                  "findings", check->findings, "samples", samples_json(&check->list));

    if (error != NULL)
        (void)json_object_set_new(result, "error",
                                  text_json(error_format(error, text, sizeof(text))));
    json_dumpf(result, stdout, JSON_INDENT(2));
    putchar('\n');
    json_decref(result);
}

/* ---- The work ---- */

static int look(struct check *check, struct error *error)
{
    const struct check_options *options = check->options;

    int rc = options->samples == NULL
                 ? 0
                 : sample_list_add_folder(&check->list, check->recogniser, options->samples, error);
    for (int i = 0; rc == 0 && i < options->file_count; i++)
        rc = sample_list_add(&check->list, check->recogniser, options->files[i], NULL, error);
    return rc;
}

static int load(struct check *check, const char *folder, struct error *error)
{
    int rc = rule_set_compile(folder, take_finding, check, &check->set, error);

    return rc < 0 ? rc : recogniser_load(folder, 1, &check->recogniser, error);
}

static int check_rules(const struct check_options *options)
{
    struct check check = {.options = options, .findings = options->json ? json_array() : NULL};
    char folder[PATH_MAX];
    struct error error = {0};

    int rc = 0;
    if (options->rules != NULL)
        snprintf(folder, sizeof(folder), "%s", options->rules);
    else if ((rc = rules_folder_find(folder, sizeof(folder))) < 0)
        (void)error_set(&error, rc, "there is no rules folder: name one with --rules");
    if (rc == 0)
        rc = load(&check, folder, &error);
    if (rc == 0)
        rc = look(&check, &error);
    if (options->json)
        print_json(&check, rc < 0 ? &error : NULL);
    else if (rc < 0 && !check.error_shown)
        error_print(stderr, "tamis", &error);
    else if (rc == 0 && print_text(&check) < 0)
        rc = -ENOMEM;
    bool found = rc < 0 || count_disagreeing(&check.list) > 0;
    sample_list_clear(&check.list);
    recogniser_free(check.recogniser);
    rule_set_free(check.set);
    json_decref(check.findings);
    return found ? EXIT_FINDING : EXIT_OK;
}

static int run(int argc, char **argv)
{
    static const struct option table[] = {
        {"rules", required_argument, NULL, 'r'},
        {"samples", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {0},
    };
    struct check_options options = {0};
    int option;

    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        if (option == 'r')
            options.rules = optarg;
        else if (option == 's')
            options.samples = optarg;
        else if (option == 'j')
            options.json = true;
        else if (option == ':')
            return command_usage_error(&command_sink_check_rules, "%s needs a folder",
                                       argv[optind - 1]);
        else
            return command_usage_error(&command_sink_check_rules, "no option %s", argv[optind - 1]);
    }
    options.files = argv + optind;
    options.file_count = argc - optind;
    if (options.samples != NULL && options.file_count > 0)
        return command_usage_error(&command_sink_check_rules, "give files or --samples, not both");
    return check_rules(&options);
}

const struct command command_sink_check_rules = {
    .path = "sink check-rules",
    .summary = "compile the sinkhole's rules and test them against samples",
    .help =
        "Usage: tamis sink check-rules [--rules FOLDER] [--samples FOLDER | FILE...] [--json]\n"
        "\n"
        "Compiles the rules folder of tamis-sink and says what is wrong by file and line. With\n"
        "--samples, tells whether each first packet is what its folder's name says; with files,\n"
        "what each of them is. Exits 1 on an error or when a sample is not as expected.\n"
        "\n"
        "  --rules FOLDER     (default: $TAMIS_RULES, else the installed one)\n"
        "  --samples FOLDER   folders named after a kind (http), a family (gh0st), a family's\n"
        "                     other messages (gh0st-beacon) or none, with a packet in each file\n"
        "  --json             write one JSON object\n"
        "\n"
        "Example: tamis sink check-rules --rules /etc/tamis-sink/rules --samples samples\n",
    .run = run,
};
