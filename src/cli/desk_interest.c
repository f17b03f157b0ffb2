/* `tamis interest`: what a partner is interested in, placed so that the desk cannot read it. What
 * it was is kept on this machine alone, in interests.json beside desk.yaml. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "cli/command.h"
#include "cli/desk_client.h"
#include "cli/interest_tokens.h"

#define RECORD_SIZE_MAX (64 << 20)
#define DAYS_MAX        366

enum { OPTION_FILE = 0x100, OPTION_DAYS, OPTION_REFERENCE };

static int failed(const struct error *error)
{
    error_print(stderr, "tamis", error);
    return EXIT_FINDING;
}

/* ---- What was placed from here ---- */

static int record_path(char ret_path[static PATH_MAX], struct error *ret_error)
{
    char *folder = desk_folder();
    if (folder == NULL)
        return error_set(ret_error, -ENOMEM, "there is no home folder: set $XDG_CONFIG_HOME");
    int size = snprintf(ret_path, PATH_MAX, "%s/interests.json", folder);
    int rc = 0;
    if (size >= PATH_MAX)
        rc = error_set_at(ret_error, -ENAMETOOLONG, folder, 0, "is too long a path");
    for (char *at = folder + 1; rc == 0; at++) {
        const char kept = *at;
        if (kept != '/' && kept != '\0')
            continue;
        *at = '\0';
        if (mkdir(folder, 0700) < 0 && errno != EEXIST)
            rc = error_set_at(ret_error, -errno, folder, 0, "cannot be made: %s", strerror(errno));
        *at = kept;
        if (kept == '\0')
            break;
    }
    free(folder);
    return rc;
}

/* {id: pattern}; the caller frees it. */
static int record_read(const char *path, json_t **ret_record, struct error *ret_error)
{
    struct file_text text;
    if (access(path, F_OK) < 0) {
        *ret_record = json_object();
        return 0;
    }
    int rc = file_text_read(path, RECORD_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    json_t *record = json_loadb(text.octets, text.size, 0, NULL);
    file_text_clear(&text);
    if (!json_is_object(record)) {
        json_decref(record);
        return error_set_at(ret_error, -EINVAL, path, 0, "is no record of interests: move it away");
    }
    *ret_record = record;
    return 0;
}

static int record_write(const char *path, const json_t *record, struct error *ret_error)
{
    char *text = json_dumps(record, JSON_INDENT(2) | JSON_SORT_KEYS);
    if (text == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory for the record of interests");
    int rc = file_text_put(path, 0600, text, strlen(text), ret_error);
    free(text);
    return rc;
}

/* ---- place ---- */

struct placing {
    struct desk_options desk;
    struct interest_patterns patterns;
    const char *reference;
    long days; /* 0: as the desk has it */
};

/* Each is noted before the next is asked for: what was placed is never forgotten. */
static int place_each(const struct placing *placing, struct desk_client *client, json_t *bodies,
                      json_t *ret_placed, struct error *ret_error)
{
    char path[PATH_MAX];
    json_t *record = NULL;
    int rc = record_path(path, ret_error);
    if (rc == 0)
        rc = record_read(path, &record, ret_error);
    for (size_t i = 0; i < placing->patterns.count && rc == 0; i++) {
        json_t *body = json_array_get(bodies, i), *answer = NULL;
        if (placing->reference != NULL)
            json_object_set_new(body, "reference", json_string(placing->reference));
        if (placing->days > 0)
            json_object_set_new(body, "days", json_integer(placing->days));
        rc = desk_client_ask(client, "POST", "/v1/interests", body, &answer, ret_error);
        if (rc < 0)
            break;
        json_object_set_new(answer, "interest", json_string(placing->patterns.items[i].text));
        const char *id = json_string_value(json_object_get(answer, "id"));
        if (id != NULL)
            json_object_set(record, id, json_object_get(answer, "interest"));
        json_array_append_new(ret_placed, answer);
        rc = record_write(path, record, ret_error);
    }
    json_decref(record);
    return rc;
}

static const struct desk_column columns[] = {
    {.title = "interest", .member = "interest"},   {.title = "id", .member = "id"},
    {.title = "state", .member = "state"},         {.title = "expires", .member = "expires_at"},
    {.title = "reference", .member = "reference"},
};

static int interests_print(const json_t *items, bool json)
{
    if (json)
        desk_json_print(items);
    else if (desk_table_print(items, columns, sizeof(columns) / sizeof(columns[0])) < 0)
        return EXIT_FINDING;
    return EXIT_OK;
}

static int place(struct placing *placing)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct error error = {0};
    json_t *bodies = NULL, *placed = json_array();

    int rc = desk_client_open(&placing->desk, &client, &error);
    if (rc == 0)
        rc = interest_bodies_make(client, &placing->patterns, &bodies, &error);
    if (rc == 0)
        rc = place_each(placing, client, bodies, placed, &error);
    int code = EXIT_OK;
    if (rc == 0 || json_array_size(placed) > 0)
        code = interests_print(placed, placing->desk.json);
    json_decref(bodies);
    json_decref(placed);
    return rc < 0 ? failed(&error) : code;
}

static int place_option(struct placing *placing, int option)
{
    struct error error;
    char *end;
    switch (option) {
    case OPTION_FILE:
        return interest_patterns_read(&placing->patterns, optarg, &error) < 0 ? failed(&error) : 0;
    case OPTION_REFERENCE:
        placing->reference = optarg;
        return 0;
    case OPTION_DAYS:
        placing->days = strtol(optarg, &end, 10);
        if (*end != '\0' || placing->days < 1 || placing->days > DAYS_MAX)
            return command_usage_error(&command_interest_place,
                                       "'%s' is no number of days up to %d", optarg, DAYS_MAX);
        return 0;
    default:
        return 0;
    }
}

static int place_parse(struct placing *placing, int argc, char **argv)
{
    static const struct option table[] = {
        {"file", required_argument, NULL, OPTION_FILE},
        {"days", required_argument, NULL, OPTION_DAYS},
        {"reference", required_argument, NULL, OPTION_REFERENCE},
        DESK_OPTIONS,
        {0},
    };
    struct error error;
    int option;

    while ((option = desk_option_next(&command_interest_place, table, &placing->desk, argc,
                                      argv)) >= 0) {
        int code = place_option(placing, option);
        if (code != 0)
            return code;
    }
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    for (int i = optind; i < argc; i++)
        if (interest_patterns_add(&placing->patterns, argv[i], &error) < 0)
            return failed(&error);
    return placing->patterns.count > 0
               ? 0
               : command_usage_error(&command_interest_place, "give a name or --file");
}

static int place_run(int argc, char **argv)
{
    struct placing placing = {0};
    int code = place_parse(&placing, argc, argv);
    if (code == 0)
        code = place(&placing);
    interest_patterns_clear(&placing.patterns);
    return code;
}

const struct command command_interest_place = {
    .path = "interest place",
    .summary = "be told when an order touches a name, without telling which",
    .help = "Usage: tamis interest place [OPTION]... NAME|*.NAME...\n"
            "\n"
            "Places interests in names, or with *. in a name and all below it. The names are\n"
            "blinded here: the desk gets tokens, and learns what they are about only where an\n"
            "order lists the same. Which name has which id is kept in interests.json beside\n"
            "desk.yaml.\n"
            "\n"
            "  --file FILE        one interest a line; '#' begins a comment\n"
            "  --days N           how long (default: 180)\n"
            "  --reference TEXT   your own word for it, which the desk can read\n" DESK_OPTIONS_HELP
            "\n"
            "Example: tamis interest place --days 30 '*.evil.example'\n",
    .run = place_run,
};

/* ---- list ---- */

static int list(const struct desk_options *options)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct error error = {0};
    char path[PATH_MAX];
    json_t *items = NULL, *record = NULL, *item;
    size_t index;

    int rc = record_path(path, &error);
    if (rc == 0)
        rc = record_read(path, &record, &error);
    if (rc == 0)
        rc = desk_client_open(options, &client, &error);
    if (rc == 0)
        rc = desk_client_list(client, "/v1/interests", &items, &error);
    int code = EXIT_OK;
    if (rc == 0) {
        json_array_foreach(items, index, item)
        {
            const char *id = json_string_value(json_object_get(item, "id"));
            json_t *known = id != NULL ? json_object_get(record, id) : NULL;
            json_object_set(item, "interest", known);
        }
        code = interests_print(items, options->json);
    }
    json_decref(items);
    json_decref(record);
    return rc < 0 ? failed(&error) : code;
}

static int list_run(int argc, char **argv)
{
    static const struct option table[] = {DESK_OPTIONS, {0}};
    struct desk_options options = {0};

    if (desk_option_next(&command_interest_list, table, &options, argc, argv) == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    if (optind != argc)
        return command_usage_error(&command_interest_list, "it takes no words");
    return list(&options);
}

const struct command command_interest_list = {
    .path = "interest list",
    .summary = "show the interests that were placed",
    .help = "Usage: tamis interest list [OPTION]...\n"
            "\n"
            "Shows your interests, with the names of those that were placed from this machine.\n"
            "One that is 'aging' was made with an older key of the desk: place it anew. One that\n"
            "is 'unmatched' is found by no order any more.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis interest list\n",
    .run = list_run,
};

/* ---- withdraw ---- */

static int withdraw(const struct desk_options *options, char **ids, int count)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct error error = {0};
    struct desk_path path;
    char record_file[PATH_MAX];
    json_t *record = NULL;

    int rc = record_path(record_file, &error);
    if (rc == 0)
        rc = record_read(record_file, &record, &error);
    if (rc == 0)
        rc = desk_client_open(options, &client, &error);
    for (int i = 0; i < count && rc == 0; i++) {
        rc = desk_path(&path, &error, "/v1/interests/{}", ids[i]);
        if (rc == 0)
            rc = desk_client_ask(client, "DELETE", path.text, NULL, NULL, &error);
        if (rc == 0 && json_object_del(record, ids[i]) == 0)
            rc = record_write(record_file, record, &error);
    }
    json_decref(record);
    return rc < 0 ? failed(&error) : EXIT_OK;
}

static int withdraw_run(int argc, char **argv)
{
    static const struct option table[] = {DESK_OPTIONS, {0}};
    struct desk_options options = {0};

    if (desk_option_next(&command_interest_withdraw, table, &options, argc, argv) ==
        DESK_OPTION_WRONG)
        return EXIT_USAGE;
    if (optind == argc)
        return command_usage_error(&command_interest_withdraw, "give the id of an interest");
    return withdraw(&options, argv + optind, argc - optind);
}

const struct command command_interest_withdraw = {
    .path = "interest withdraw",
    .summary = "end interests; what they hold is held no more",
    .help = "Usage: tamis interest withdraw [OPTION]... ID...\n"
            "\n"
            "Ends interests: the desk forgets their tokens, and orders that they hold go on.\n"
            "\n" DESK_OPTIONS_HELP "\n"
            "Example: tamis interest withdraw int_06gz7q0f2v8k3m5n9p1r\n",
    .run = withdraw_run,
};
