/* `tamis ledger list` and `tamis ledger show`: entries, after the whole ledger was verified. */
#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/command.h"
#include "cli/desk_client.h"
#include "cli/ledger_place.h"

#define LIMIT_DEFAULT 50
#define LIMIT_MAX     1000000

/* Of an answer about one entry: it and its proof, as JSON that escapes each octet. */
#define ANSWER_SIZE_MAX (16 * ENTRY_SIZE_MAX)

enum { OPTION_KEY = 0x100, OPTION_KIND, OPTION_OBJECT, OPTION_LIMIT, OPTION_JSON };

struct listing {
    const char *kind, *object, *id; /* NULL: any */
    size_t limit;                   /* the last so many */
    bool json, has_key;
    struct note_verifier key;
    struct ledger_place from;
    struct ledger_claim claim;
    json_t *items; /* {index, entry} */
};

/* ---- Entries ---- */

static bool is_text(const json_t *entry, const char *name, const char *wanted)
{
    const char *text = json_string_value(json_object_get(entry, name));
    return wanted == NULL || (text != NULL && strcmp(text, wanted) == 0);
}

static json_t *item_make(uint64_t index, json_t *entry)
{
    return json_pack("{s:I, s:o}", "index", (json_int_t)index, "entry", entry);
}

/* Keeps those that are asked for, and of them the last. */
static int entry_take(void *context, uint64_t index, const uint8_t *octets, size_t size)
{
    struct listing *listing = context;
    json_t *entry = json_loadb((const char *)octets, size, 0, NULL);
    if (!json_is_object(entry) || !is_text(entry, "kind", listing->kind) ||
        !is_text(entry, "object", listing->object) || !is_text(entry, "id", listing->id)) {
        json_decref(entry);
        return 0;
    }
    if (json_array_append_new(listing->items, item_make(index, entry)) < 0)
        return -ENOMEM;
    /* Twice as many are let in before the older half goes: a list moves as a whole. */
    if (json_array_size(listing->items) < 2 * listing->limit)
        return 0;
    json_t *last = json_array();
    for (size_t i = listing->limit; i < json_array_size(listing->items); i++)
        json_array_append(last, json_array_get(listing->items, i));
    json_decref(listing->items);
    listing->items = last;
    return 0;
}

static int entries_read(struct listing *listing, struct error *ret_error)
{
    const struct ledger_audit audit = {
        .source = &listing->from.source,
        .checkpoint = &listing->claim.checkpoint,
        .entry = entry_take,
        .context = listing,
    };
    int rc = ledger_verify_all(&audit, ret_error);
    while (rc == 0 && json_array_size(listing->items) > listing->limit)
        json_array_remove(listing->items, 0);
    return rc;
}

static int listing_open(struct listing *listing, const char *place, struct error *ret_error)
{
    int rc = ledger_place_open(place, &listing->from, ret_error);
    if (rc == 0)
        rc = ledger_claim_read(&listing->from.source, &listing->key, NULL, 0, &listing->claim,
                               ret_error);
    listing->items = json_array();
    return rc;
}

static void listing_close(struct listing *listing)
{
    ledger_place_close(&listing->from);
    json_decref(listing->items);
    free(listing);
}

static struct listing *listing_create(void)
{
    struct listing *listing = calloc(1, sizeof(*listing)); /* a claim is large */
    if (listing == NULL)
        fputs("tamis: no memory\n", stderr);
    else
        listing->limit = LIMIT_DEFAULT;
    return listing;
}

/* ---- Options ---- */

static int option_take(const struct command *command, struct listing *listing, int option,
                       char **argv)
{
    char *end;
    switch (option) {
    case OPTION_KEY:
        listing->has_key = true;
        return ledger_key_take(optarg, &listing->key) < 0 ? EXIT_USAGE : 0;
    case OPTION_KIND:
        listing->kind = optarg;
        return 0;
    case OPTION_OBJECT:
        listing->object = optarg;
        return 0;
    case OPTION_LIMIT:
        listing->limit = strtoul(optarg, &end, 10);
        if (*end != '\0' || optarg[0] == '-' || listing->limit < 1 || listing->limit > LIMIT_MAX)
            return command_usage_error(command, "'%s' is no number of entries up to %d", optarg,
                                       LIMIT_MAX);
        return 0;
    case OPTION_JSON:
        listing->json = true;
        return 0;
    default:
        return command_usage_error(
            command, option == ':' ? "%s needs an argument" : "no option '%s'", argv[optind - 1]);
    }
}

static int options_parse(const struct command *command, const struct option *table, int words,
                         struct listing *listing, int argc, char **argv)
{
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":", table, NULL)) != -1) {
        int code = option_take(command, listing, option, argv);
        if (code != 0)
            return code;
    }
    if (argc - optind != words)
        return command_usage_error(command, words == 1 ? "give one URL or folder"
                                                       : "give a URL or folder, and an entry");
    if (!listing->has_key)
        return command_usage_error(command, "give the log's verifier key with --key");
    return 0;
}

static int finish(struct listing *listing, int rc, const struct error *error)
{
    if (rc < 0)
        error_print(stderr, "tamis", error);
    listing_close(listing);
    return rc < 0 ? EXIT_FINDING : EXIT_OK;
}

/* ---- list ---- */

static int list_run(int argc, char **argv)
{
    static const struct option table[] = {
        {"key", required_argument, NULL, OPTION_KEY},
        {"kind", required_argument, NULL, OPTION_KIND},
        {"object", required_argument, NULL, OPTION_OBJECT},
        {"limit", required_argument, NULL, OPTION_LIMIT},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    static const struct desk_column columns[] = {
        {.title = "index", .member = "index", .right = true},
        {.title = "time", .member = "entry/time"},
        {.title = "kind", .member = "entry/kind"},
        {.title = "object", .member = "entry/object"},
        {.title = "id", .member = "entry/id"},
    };
    struct error error = {0};
    struct listing *listing = listing_create();
    if (listing == NULL)
        return EXIT_FINDING;
    int code = options_parse(&command_ledger_list, table, 1, listing, argc, argv);
    if (code != 0) {
        listing_close(listing);
        return code;
    }
    int rc = listing_open(listing, argv[optind], &error);
    if (rc == 0)
        rc = entries_read(listing, &error);
    if (rc == 0 && listing->json)
        desk_json_print(listing->items);
    else if (rc == 0)
        rc = desk_table_print(listing->items, columns, sizeof(columns) / sizeof(columns[0]));
    return finish(listing, rc, &error);
}

const struct command command_ledger_list = {
    .path = "ledger list",
    .summary = "show what a ledger tells, verified",
    .help = "Usage: tamis ledger list --key KEY [OPTION]... URL|FOLDER\n"
            "\n"
            "Verifies the whole ledger, as 'tamis ledger verify' does, and then shows the entries\n"
            "that are asked for.\n"
            "\n"
            "  --key KEY        the log's verifier key, or a file with it\n"
            "  --kind KIND      of this kind, such as order.activated\n"
            "  --object ID      about this order, report, ...\n"
            "  --limit N        the last N of them (default: 50)\n"
            "  --json           write them as a JSON array\n"
            "\n"
            "Example: tamis ledger list --key ledger.pub --kind order.lifted \\\n"
            "             https://desk.example/ledger\n",
    .run = list_run,
};

/* ---- show ---- */

/* Where the desk says that the entry is; what it says is checked afterwards. */
static int place_ask(struct listing *listing, uint64_t *ret_index, struct error *ret_error)
{
    struct file_text text;
    char path[128];
    (void)snprintf(path, sizeof(path), "entries/%s", listing->id);
    int rc = listing->from.source.read(listing->from.source.context, path, ANSWER_SIZE_MAX, &text,
                                       ret_error);
    if (rc < 0)
        return rc;
    json_t *answer = json_loadb(text.octets, text.size, 0, NULL);
    const json_t *index = json_object_get(answer, "index");
    file_text_clear(&text);
    if (json_is_integer(index))
        *ret_index = (uint64_t)json_integer_value(index);
    else
        rc = error_set(ret_error, -ENOENT, "%s: is queued, and not in the ledger yet", listing->id);
    json_decref(answer);
    return rc;
}

static int entry_verify(struct listing *listing, uint64_t index, struct error *ret_error)
{
    uint8_t *octets;
    size_t size;
    int rc = ledger_verify_entry(&listing->from.source, &listing->claim.checkpoint, index, &octets,
                                 &size, ret_error);
    if (rc < 0)
        return rc;
    json_t *entry = json_loadb((const char *)octets, size, 0, NULL);
    free(octets);
    if (!json_is_object(entry) || !is_text(entry, "id", listing->id)) {
        json_decref(entry);
        return error_set(ret_error, -EBADMSG, "the entry %" PRIu64 " is another one", index);
    }
    json_array_append_new(listing->items, item_make(index, entry));
    return 0;
}

static int show(struct listing *listing, const char *name, struct error *ret_error)
{
    uint64_t index = 0;
    char *end;
    const bool is_index = name[0] >= '0' && name[0] <= '9';
    int rc = 0;
    if (is_index) {
        index = strtoull(name, &end, 10);
        if (*end != '\0')
            return error_set(ret_error, -EINVAL, "'%s' is no index", name);
        return entry_verify(listing, index, ret_error);
    }
    if (strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name) || strlen(name) > 64)
        return error_set(ret_error, -EINVAL, "'%s' is no id of an entry", name);
    listing->id = name;
    if (listing->from.url == NULL)
        rc = entries_read(listing, ret_error);
    else
        rc = place_ask(listing, &index, ret_error);
    if (rc == 0 && listing->from.url != NULL)
        rc = entry_verify(listing, index, ret_error);
    if (rc == 0 && json_array_size(listing->items) == 0)
        rc = error_set(ret_error, -ENOENT, "the ledger has no entry %s", name);
    return rc;
}

static int show_run(int argc, char **argv)
{
    static const struct option table[] = {
        {"key", required_argument, NULL, OPTION_KEY},
        {"json", no_argument, NULL, OPTION_JSON},
        {0},
    };
    struct error error = {0};
    struct listing *listing = listing_create();
    if (listing == NULL)
        return EXIT_FINDING;
    int code = options_parse(&command_ledger_show, table, 2, listing, argc, argv);
    if (code != 0) {
        listing_close(listing);
        return code;
    }
    int rc = listing_open(listing, argv[optind], &error);
    if (rc == 0)
        rc = show(listing, argv[optind + 1], &error);
    if (rc == 0)
        desk_json_print(json_array_get(listing->items, 0));
    return finish(listing, rc, &error);
}

const struct command command_ledger_show = {
    .path = "ledger show",
    .summary = "show one entry of a ledger, proved",
    .help = "Usage: tamis ledger show --key KEY [OPTION]... URL|FOLDER ID|INDEX\n"
            "\n"
            "Shows one entry and checks that it is in the ledger: by its index, or by the id\n"
            "that a notice names.\n"
            "\n"
            "  --key KEY        the log's verifier key, or a file with it\n"
            "  --json           JSON, which is what it writes in any case\n"
            "\n"
            "Example: tamis ledger show --key ledger.pub https://desk.example/ledger \\\n"
            "             led_06gz7q0f2v8k3m5n9p1r\n",
    .run = show_run,
};
