/* POST /v1/hosts/imports: hosts from a CSV file, whose first line names the columns: name, and if
 * there are any, wildcard and aaaa_suffix. What is wrong is told by line. Nothing is made of a file
 * with an error, unless `partial=yes`; nothing at all with `dry_run=yes`. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "desk/csv.h"
#include "desk/host_sync.h"
#include "desk/host_tables.h"
#include "desk/hosts_internal.h"

#define LINES_MAX  10000
#define ERRORS_MAX 100 /* that are told */

enum column { COLUMN_NAME, COLUMN_WILDCARD, COLUMN_SUFFIX, COLUMN_COUNT };

static const char *const column_names[] = {"name", "wildcard", "aaaa_suffix"};

struct line {
    unsigned number;
    char name[HOST_NAME_SIZE], suffix[HOST_SUFFIX_SIZE];
    bool wildcard;
    const struct desk_config_zone *zone;
};

struct import {
    struct request *request;
    struct line *lines;
    size_t count;
    json_t *errors, *names; /* of what is wrong, and of what was made */
    size_t error_count, created;
    bool is_dry, is_partial;
};

/* ---- Reading ---- */

static void error_note(struct import *import, unsigned line, const char *detail)
{
    import->error_count++;
    if (json_array_size(import->errors) < ERRORS_MAX)
        (void)json_array_append_new(import->errors,
                                    json_pack("{s:i, s:s}", "line", (int)line, "detail", detail));
}

/* Which field has which column; -1: none has it. */
static int columns_read(struct csv *csv, int ret_columns[static COLUMN_COUNT],
                        struct error *ret_error)
{
    struct csv_record record;

    for (size_t i = 0; i < COLUMN_COUNT; i++)
        ret_columns[i] = -1;
    if (csv_next(csv, &record) != 1)
        return error_set(ret_error, -EINVAL, "the file is empty: begin it with a line \"name\"");
    for (size_t i = 0; i < record.count; i++) {
        size_t column = 0;
        while (column < COLUMN_COUNT && strcasecmp(record.fields[i], column_names[column]) != 0)
            column++;
        if (column == COLUMN_COUNT || ret_columns[column] >= 0)
            return error_set(ret_error, -EINVAL,
                             "line %u: column \"%.40s\" is not known, or there twice: columns are "
                             "name, wildcard and aaaa_suffix",
                             record.line, record.fields[i]);
        ret_columns[column] = (int)i;
    }
    if (ret_columns[COLUMN_NAME] < 0)
        return error_set(ret_error, -EINVAL, "line %u: no column \"name\": add it", record.line);
    return 0;
}

static const char *field_of(const struct csv_record *record, const int columns[COLUMN_COUNT],
                            enum column column)
{
    int index = columns[column];
    return index >= 0 && (size_t)index < record->count ? record->fields[index] : "";
}

static bool flag_parse(const char *text, bool *ret_flag)
{
    static const char *const words[] = {"", "no", "false", "0", "yes", "true", "1"};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *ret_flag = i > 3;
            return true;
        }
    return false;
}

/* Fills a line; NULL, or what is wrong. */
static const char *line_check(const struct import *import, const struct csv_record *record,
                              const int columns[COLUMN_COUNT], struct line *line,
                              struct error *error)
{
    const struct desk_config_hosts *config = &request_desk(import->request)->config->hosts;
    const char *suffix = field_of(record, columns, COLUMN_SUFFIX);
    uint8_t octets[16], bits;

    line->number = record->line;
    line->suffix[0] = '\0';
    if (host_name_normalize(field_of(record, columns, COLUMN_NAME), line->name, error) < 0 ||
        host_name_check(config, line->name, &line->zone, error) < 0)
        return error->text;
    if (!flag_parse(field_of(record, columns, COLUMN_WILDCARD), &line->wildcard))
        return "the wildcard is neither yes nor no";
    if (suffix[0] != '\0') {
        if (!host_suffix_parse(suffix, octets, &bits))
            return "the aaaa_suffix is no suffix, as ::1:2:3:4";
        host_suffix_text(octets, bits, line->suffix);
    }
    return NULL;
}

static int lines_read(struct import *import, char *text, struct error *ret_error)
{
    int columns[COLUMN_COUNT];
    struct csv_record record;
    struct error error;
    struct csv csv;

    csv_open(&csv, text);
    int rc = columns_read(&csv, columns, ret_error);
    if (rc < 0)
        return rc;
    while ((rc = csv_next(&csv, &record)) == 1) {
        if (import->count + import->error_count == LINES_MAX)
            return error_set(ret_error, -EINVAL, "a file has at most %d hosts: send it in pieces",
                             LINES_MAX);
        const char *wrong =
            line_check(import, &record, columns, &import->lines[import->count], &error);
        if (wrong != NULL)
            error_note(import, record.line, wrong);
        else
            import->count++;
    }
    if (rc < 0) /* nobody knows where the next record begins */
        return error_set(ret_error, -EINVAL, "line %u: the quotes do not fit: see RFC 4180",
                         record.line);
    return 0;
}

/* ---- Making ---- */

static int line_do(struct import *import, struct store *store, const struct change *change,
                   const struct line *line, struct host_allowance *allowance,
                   struct error *ret_error)
{
    const struct host_new new = {
        .name = line->name,
        .zone = line->zone->name,
        .account = request_principal(import->request)->account,
        .wildcard = line->wildcard,
        .suffix = line->suffix,
    };
    char id[ID_SIZE];

    if (allowance->count >= allowance->count_max)
        return error_set(ret_error, -EACCES, "the plan has room for %llu hosts",
                         (unsigned long long)allowance->count_max);
    if (allowance->free && !line->zone->free)
        return error_set(ret_error, -EACCES, "%s is not for free plans", line->zone->name);
    int rc = host_insert(store, change, &new, id, ret_error);
    if (rc == 0)
        allowance->count++;
    return rc;
}

/* Of a dry run, or of a file with an error, everything is rolled back. */
#define ROLLED_BACK (-ECANCELED)

static int import_do(struct store *store, void *context, struct error *ret_error)
{
    struct import *import = context;
    const struct change change = change_of_request(import->request);
    const struct desk_config_hosts *config = &request_desk(import->request)->config->hosts;
    size_t errors_before = json_array_size(import->errors), count_before = import->error_count;
    struct host_allowance allowance;
    struct error why;

    json_array_clear(import->names);
    int rc = host_allowance_get(store, config, request_principal(import->request)->account,
                                &allowance, ret_error);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < import->count; i++) {
        const struct line *line = &import->lines[i];
        rc = line_do(import, store, &change, line, &allowance, &why);
        if (rc == 0)
            (void)json_array_append_new(import->names, json_string(line->name));
        else if (rc == -EEXIST || rc == -EACCES)
            error_note(import, line->number, why.text);
        else
            break;
    }
    if (rc < 0 && rc != -EEXIST && rc != -EACCES) {
        /* It may be tried again: what was noted is noted then. */
        while (json_array_size(import->errors) > errors_before)
            (void)json_array_remove(import->errors, errors_before);
        import->error_count = count_before;
        *ret_error = why;
        return rc;
    }
    import->created = json_array_size(import->names);
    if (import->is_dry || (import->error_count > 0 && !import->is_partial))
        return error_set(ret_error, ROLLED_BACK, "nothing is made");
    return 0;
}

static int import_reply(struct import *import, bool is_made, struct reply *reply)
{
    return reply_json(
        reply, 200,
        json_pack("{s:b, s:b, s:i, s:i, s:o, s:O}", "dry_run", import->is_dry, "made", is_made,
                  "hosts", (int)import->created, "errors_count", (int)import->error_count, "names",
                  is_made ? json_incref(import->names) : json_array(), "errors", import->errors));
}

static int import_run(struct import *import, struct reply *reply, struct error *ret_error)
{
    struct desk *desk = request_desk(import->request);
    const json_t *name;
    size_t i, size;
    /* The body is the request's: the fields are cut out of a copy. */
    const char *body = request_body(import->request, &size);
    char *text = strndup(body, size);
    if (text == NULL)
        return -ENOMEM;
    int rc = strlen(text) == size ? lines_read(import, text, ret_error)
                                  : error_set(ret_error, -EINVAL, "the file has a NUL");
    free(text);
    if (rc == 0)
        rc = request_transact(import->request, import_do, import, ret_error);
    if (rc < 0 && rc != ROLLED_BACK)
        return rc;
    bool is_made = rc == 0;
    if (is_made)
        json_array_foreach(import->names, i, name) hosts_forget(desk, json_string_value(name));
    outbox_wake(desk);
    return import_reply(import, is_made, reply);
}

static bool is_yes(const struct request *request, const char *name)
{
    const char *value = request_query(request, name);
    return value != NULL && (strcmp(value, "yes") == 0 || strcmp(value, "true") == 0);
}

/* Looked at here, so that whoever may not import learns that first. */
static bool is_csv(const struct request *request)
{
    const char *type = request_header(request, "Content-Type");
    return type != NULL && strncasecmp(type, "text/csv", 8) == 0 &&
           strchr("; ", type[8]) != NULL; /* or its end */
}

int host_import(struct request *request, struct reply *reply, struct error *ret_error)
{
    if (!is_csv(request))
        return reply_problem(reply, 415, "unsupported-type", NULL, NULL,
                             "the body must be text/csv");
    struct import import = {
        .request = request,
        .lines = calloc(LINES_MAX, sizeof(struct line)),
        .errors = json_array(),
        .names = json_array(),
        .is_dry = is_yes(request, "dry_run"),
        .is_partial = is_yes(request, "partial"),
    };
    int rc = -ENOMEM;
    if (import.lines != NULL && import.errors != NULL && import.names != NULL)
        rc = import_run(&import, reply, ret_error);
    free(import.lines);
    json_decref(import.errors);
    json_decref(import.names);
    return rc;
}
