#include "server/zone_commands.h"

#include <errno.h>
#include <libknot/descriptor.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "order/timestamp.h"
#include "server/log.h"
#include "server/record_text.h"
#include "server/server_internal.h"

/* Entries asked of a view at once. */
#define ENTRIES_MAX 1024

/* Changes that a history tells: the latest ones. */
#define HISTORY_MAX 10000

static int no_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "out of memory");
}

/* ---- The zone of a command ---- */

/* Finds the zone that has the name; the reload lock keeps it. */
static int find_zone(const struct server *server, const json_t *request, const char *key,
                     bool wants_apex, struct name *ret_name, struct zone **ret_zone,
                     struct error *ret_error)
{
    const char *text = json_string_value(json_object_get(request, key));
    uint8_t wire[NAME_SIZE_MAX];
    if (text == NULL || knot_dname_from_str(wire, text, sizeof(wire)) == NULL ||
        name_parse(ret_name, wire, sizeof(wire)) < 0)
        return error_set(ret_error, -EINVAL, "\"%.200s\" is not a domain name",
                         text != NULL ? text : "");
    struct zone *zone = zone_set_find(server->view.zones, ret_name, 0);
    if (zone == NULL || (wants_apex && zone->name.label_count != ret_name->label_count))
        return error_set(ret_error, -ENOENT,
                         "%.200s is not a zone of this server%s: \"tamis ctl zones\" lists them",
                         text, wants_apex ? "" : " or in one");
    if (atomic_load(&zone->status) == ZONE_UNLOADED || zone->role == ZONE_FORWARD)
        return error_set(ret_error, -ENODATA, "zone %s has no data", zone->text);
    *ret_zone = zone;
    return 0;
}

static int need_journal(const struct server *server, const struct zone *zone, bool changes,
                        struct error *ret_error)
{
    if (changes && zone->role != ZONE_PRIMARY)
        return error_set(ret_error, -EPERM,
                         "zone %s is not a primary one: change it at its primary", zone->text);
    if (server->journal == NULL)
        return error_set(ret_error, -ENOENT,
                         "there is no journal: no zone takes updates, or it is damaged (see the "
                         "log); files are read again by \"tamis ctl reload\"");
    return 0;
}

/* ---- Dump ---- */

struct listing {
    const struct name_entry **entries;
    size_t count, room;
    const struct name *apex;
};

static int compare_entries(const void *left, const void *right, void *context)
{
    const struct listing *listing = context;
    const struct name_entry *one = *(const struct name_entry *const *)left;
    const struct name_entry *other = *(const struct name_entry *const *)right;
    uint8_t first[NAME_SIZE_MAX], second[NAME_SIZE_MAX];
    record_owner(listing->apex->wire, listing->apex->size, one->owner, one->owner_size, first);
    record_owner(listing->apex->wire, listing->apex->size, other->owner, other->owner_size, second);
    return knot_dname_cmp(first, second);
}

static int list_entries(struct zone_view *view, struct listing *listing)
{
    for (;;) {
        if (listing->room - listing->count < ENTRIES_MAX) {
            const size_t room = listing->room * 2 + ENTRIES_MAX;
            const struct name_entry **entries =
                reallocarray(listing->entries, room, sizeof(struct name_entry *));
            if (entries == NULL)
                return -ENOMEM;
            listing->entries = entries;
            listing->room = room;
        }
        size_t count = zone_view_next(view, listing->entries + listing->count, NULL, ENTRIES_MAX);
        if (count == 0)
            break;
        listing->count += count;
    }
    qsort_r(listing->entries, listing->count, sizeof(struct name_entry *), compare_entries,
            listing);
    return 0;
}

/* The SOA comes first, as a zone file wants it. */
static int write_entry(FILE *stream, const struct name *apex, const struct name_entry *entry)
{
    uint8_t owner[NAME_SIZE_MAX];
    record_owner(apex->wire, apex->size, entry->owner, entry->owner_size, owner);
    struct rrset rrset;
    int rc = 0;
    if (entry->owner_size == 0 && name_entry_rrset(entry, KNOT_RRTYPE_SOA, &rrset))
        rc = record_set_write(stream, owner, &rrset);
    const uint8_t *at = name_entry_rrsets(entry);
    for (unsigned left = entry->rrset_count; left > 0 && rc == 0; left--) {
        at = rrset_read(&rrset, at);
        if (rrset.type != KNOT_RRTYPE_SOA)
            rc = record_set_write(stream, owner, &rrset);
    }
    return rc;
}

static int write_view(struct zone_view *view, FILE *stream)
{
    struct listing listing = {.apex = &zone_view_data(view)->apex};
    int rc = list_entries(view, &listing);
    for (size_t i = 0; i < listing.count && rc == 0; i++)
        rc = write_entry(stream, listing.apex, listing.entries[i]);
    free(listing.entries);
    return rc;
}

static int open_view(struct zone *zone, struct zone_view **ret_view)
{
    pthread_mutex_lock(&zone->writer);
    int rc = zone->data->apex_entry != NULL ? zone_view_open(zone->data, ret_view) : -ENODATA;
    pthread_mutex_unlock(&zone->writer);
    return rc;
}

int zone_command_dump(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    struct server *server = context;
    _cleanup_(zone_view_closep) struct zone_view *view = NULL;
    struct name name;
    struct zone *zone;
    pthread_mutex_lock(&server->reload);
    int rc = find_zone(server, request, "zone", true, &name, &zone, ret_error);
    if (rc == 0 && open_view(zone, &view) < 0)
        rc = error_set(ret_error, -ENODATA, "zone %s has no data, or memory is short", zone->text);
    pthread_mutex_unlock(&server->reload);
    if (rc < 0)
        return rc;

    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    rc = stream != NULL ? write_view(view, stream) : -ENOMEM;
    if (stream != NULL && fclose(stream) != 0)
        rc = -ENOMEM;
    if (rc == 0)
        *ret_result = json_pack("{s:I, s:s#}", "serial", (json_int_t)zone_view_soa(view)->serial,
                                "text", text, (int)size);
    free(text);
    return rc == 0 && *ret_result != NULL ? 0 : no_memory(ret_error);
}

/* ---- Changing a zone by command ---- */

struct change_report {
    json_t *removed, *added; /* lines; NULL: only counted */
    uint64_t sets;
    uint32_t serial_from, serial_to;
};

static int commit_edit(struct server *server, struct zone *zone, struct zone_edit *edit,
                       enum commit_kind kind, struct change_report *report, struct error *ret_error)
{
    static const char *const author = "control";
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = zone_edit_prepare(edit);
    if (rc == -EINVAL)
        return error_set(ret_error, rc,
                         "zone %s would have a CNAME beside other data, or no NS at its apex: "
                         "nothing was changed",
                         zone->text);
    if (rc < 0)
        return no_memory(ret_error);
    const struct change_list *changes = zone_edit_changes(edit);
    const struct commit commit = {
        .apex = zone->name.wire,
        .serial_from = report->serial_from,
        .serial_to = zone_edit_serial(edit),
        .at_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000,
        .kind = kind,
        .authors = &author,
        .author_count = 1,
        .changes = changes->octets,
        .changes_size = changes->size,
    };
    rc = journal_write(server->journal, &commit, 1, ret_error);
    if (rc < 0)
        return rc;
    zone_edit_commit(edit);
    report->serial_to = commit.serial_to;
    server_zone_changed(server, zone, commit.changes_size);
    return 0;
}

/* Whether two sets say the same; stored sets are in canonical order. */
static bool same_set(const struct rrset *one, const struct rrset *other)
{
    return one->ttl == other->ttl && one->size == other->size &&
           memcmp(one->data, other->data, one->size) == 0;
}

/* Makes one name as `wanted` has it (NULL: without records) from what `present` has. */
static int edit_name(struct zone_edit *edit, const struct name *owner,
                     const struct name_entry *present, const struct name_entry *wanted)
{
    struct rrset rrset, other;
    int rc = 0;
    const uint8_t *at = present != NULL ? name_entry_rrsets(present) : NULL;
    for (unsigned left = present != NULL ? present->rrset_count : 0; left > 0 && rc == 0; left--) {
        at = rrset_read(&rrset, at);
        if (wanted != NULL && name_entry_rrset(wanted, rrset.type, &other))
            continue;
        const struct rrset none = {.type = rrset.type};
        rc = zone_edit_put(edit, owner, &none);
    }
    at = wanted != NULL ? name_entry_rrsets(wanted) : NULL;
    for (unsigned left = wanted != NULL ? wanted->rrset_count : 0; left > 0 && rc == 0; left--) {
        at = rrset_read(&rrset, at);
        if (present == NULL || !name_entry_rrset(present, rrset.type, &other) ||
            !same_set(&rrset, &other))
            rc = zone_edit_put(edit, owner, &rrset);
    }
    return rc;
}

static int parse_owner(const struct zone_data *data, const struct name_entry *entry,
                       struct name *ret_owner)
{
    uint8_t wire[NAME_SIZE_MAX];
    record_owner(data->apex.wire, data->apex.size, entry->owner, entry->owner_size, wire);
    return name_parse(ret_owner, wire, sizeof(wire));
}

/* A name that the zone does not have. */
static int add_name(void *context, const uint8_t *wire, const struct name_entry *entry)
{
    struct zone_edit *edit = context;
    struct name owner;
    if (name_parse(&owner, wire, NAME_SIZE_MAX) < 0)
        return -EINVAL;
    const struct name_entry *present = zone_edit_find(edit, &owner);
    return present == NULL || present->rrset_count == 0 ? edit_name(edit, &owner, NULL, entry) : 0;
}

/* Changes the names that the zone has to what `wanted` has of them, then adds the others. */
static int edit_to(struct zone_edit *edit, struct zone_view *view, const struct zone_data *wanted)
{
    const struct name_entry *entries[ENTRIES_MAX];
    size_t count;
    while ((count = zone_view_next(view, entries, NULL, ENTRIES_MAX)) > 0) {
        for (size_t i = 0; i < count; i++) {
            struct name owner;
            if (parse_owner(zone_view_data(view), entries[i], &owner) < 0)
                return -EINVAL;
            int rc = edit_name(edit, &owner, entries[i], zone_data_find(wanted, &owner).entry);
            if (rc < 0)
                return rc;
        }
    }
    return zone_data_each(wanted, add_name, edit);
}

static void add_lines(json_t *to, json_t *lines, json_t *others)
{
    size_t i, k;
    json_t *line, *other;
    json_array_foreach(lines, i, line)
    {
        bool is_there = false;
        json_array_foreach(others, k, other) is_there |=
            strcmp(json_string_value(line), json_string_value(other)) == 0;
        if (!is_there)
            json_array_append(to, line);
    }
}

/* What the edit changes, as lines of zone files. */
static void report_changes(const struct zone *zone, const struct zone_edit *edit,
                           struct change_report *report)
{
    const struct change_list *changes = zone_edit_changes(edit);
    struct change change;
    report->sets = changes->count;
    for (size_t at = 0; report->removed != NULL &&
                        change_list_next(changes->octets, changes->size, &at, &change);) {
        uint8_t owner[NAME_SIZE_MAX];
        record_owner(zone->name.wire, zone->name.size, change.owner, change.owner_size, owner);
        json_t *before = record_set_json(owner, &change.before);
        json_t *after = record_set_json(owner, &change.after);
        if (before != NULL && after != NULL) {
            add_lines(report->removed, before, after);
            add_lines(report->added, after, before);
        }
        json_decref(before);
        json_decref(after);
    }
}

/* With the zone's lock: compares, and commits unless it is only to be told. */
static int import_locked(struct server *server, struct zone *zone, struct zone_data *file,
                         bool is_diff, struct change_report *report, struct error *ret_error)
{
    _cleanup_(zone_edit_endp) struct zone_edit *edit = NULL;
    _cleanup_(zone_view_closep) struct zone_view *view = NULL;
    int rc = zone_edit_begin(zone->data, &edit, ret_error);
    if (rc < 0)
        return rc;
    report->serial_from = report->serial_to = zone->data->soa.serial;
    if (zone_view_open(zone->data, &view) < 0)
        return no_memory(ret_error);
    rc = edit_to(edit, view, file);
    if (rc < 0)
        return error_set(ret_error, rc,
                         rc == -ENOMEM ? "out of memory"
                                       : "the file has records that only a signer makes: a zone "
                                         "that is updated is not signed here");
    report_changes(zone, edit, report);
    if (is_diff || zone_edit_changes(edit)->count == 0)
        return 0;
    if ((int32_t)(zone_edit_serial(edit) - report->serial_from) <= 0 &&
        zone_edit_set_serial(edit, report->serial_from + 1) < 0)
        return no_memory(ret_error);
    rc = commit_edit(server, zone, edit, COMMIT_IMPORT, report, ret_error);
    if (rc < 0)
        return rc;
    /* From here on the zone is as its file again, when that is what was imported. */
    const struct config_zone *config = zone->config;
    struct zone_source configured;
    if (zone_file_source(config->file, &configured) == 0 &&
        zone_file_source_equal(&configured, &file->source)) {
        zone->data->source = file->source;
        zone->data->source.serial = report->serial_to;
    }
    return 0;
}

/* What is wrong with a file that loads all the same, the log of a start tells. */
static void ignore_finding(void *context, const struct zone_finding *finding)
{
    (void)context;
    (void)finding;
}

static int import_file(void *context, const json_t *request, bool is_diff, json_t **ret_result,
                       struct error *ret_error)
{
    struct server *server = context;
    _cleanup_(zone_data_freep) struct zone_data *file = NULL;
    const char *path = json_string_value(json_object_get(request, "file"));
    struct change_report report = {.removed = is_diff ? json_array() : NULL,
                                   .added = is_diff ? json_array() : NULL};
    struct name name;
    struct zone *zone;
    pthread_mutex_lock(&server->reload);
    int rc = find_zone(server, request, "zone", true, &name, &zone, ret_error);
    if (rc == 0 && !is_diff)
        rc = need_journal(server, zone, true, ret_error);
    if (rc == 0 && path == NULL)
        rc = error_set(ret_error, -EINVAL, "the request names no file");
    if (rc == 0)
        rc = zone_file_load(path, zone->name.wire, ignore_finding, NULL, &file, ret_error);
    if (rc == 0) {
        pthread_mutex_lock(&zone->writer);
        rc = import_locked(server, zone, file, is_diff, &report, ret_error);
        pthread_mutex_unlock(&zone->writer);
    }
    pthread_mutex_unlock(&server->reload);
    if (rc < 0) {
        json_decref(report.removed);
        json_decref(report.added);
        return rc;
    }
    if (!is_diff && report.sets > 0)
        server_log(LOG_INFO, "zone %.*s: %s imported, %llu record sets changed, serial %u", 255,
                   json_string_value(json_object_get(request, "zone")), path,
                   (unsigned long long)report.sets, report.serial_to);
    *ret_result = json_pack(
        "{s:I, s:I, s:I, s:I, s:o*, s:o*}", "changed", (json_int_t)report.sets, "serial_from",
        (json_int_t)report.serial_from, "serial", (json_int_t)report.serial_to, "file_serial",
        (json_int_t)file->soa.serial, "removed", report.removed, "added", report.added);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

int zone_command_diff(void *context, const json_t *request, json_t **ret_result,
                      struct error *ret_error)
{
    return import_file(context, request, true, ret_result, ret_error);
}

int zone_command_import(void *context, const json_t *request, json_t **ret_result,
                        struct error *ret_error)
{
    return import_file(context, request, false, ret_result, ret_error);
}

/* ---- History ---- */

struct history {
    const struct zone *zone;
    const struct name *only; /* NULL: every name */
    json_t *changes;
    uint64_t left_out;
};

/* Whether the change is of the name that is asked about. */
static bool is_of(const struct change *change, const struct zone *zone, const struct name *only)
{
    return only == NULL || (only->size == change->owner_size + zone->name.size &&
                            memcmp(only->wire, change->owner, change->owner_size) == 0);
}

static const char *kind_word(enum commit_kind kind)
{
    static const char *const words[] = {"update", "transfer", "import", "restore"};
    return words[kind];
}

static int add_commit(void *context, const struct commit *commit)
{
    struct history *history = context;
    struct change change;
    char at_text[TIMESTAMP_SIZE], name[KNOT_DNAME_TXT_MAXLEN + 1];
    for (size_t at = 0; change_list_next(commit->changes, commit->changes_size, &at, &change);) {
        if (!is_of(&change, history->zone, history->only))
            continue;
        uint8_t owner[NAME_SIZE_MAX];
        record_owner(history->zone->name.wire, history->zone->name.size, change.owner,
                     change.owner_size, owner);
        knot_dname_to_str(name, owner, sizeof(name));
        json_t *one = json_pack(
            "{s:I, s:s, s:s, s:s, s:s, s:o, s:o}", "serial", (json_int_t)commit->serial_to, "at",
            timestamp_write(commit->at_us / 1000000, at_text), "kind", kind_word(commit->kind),
            "by", change.author < commit->author_count ? commit->authors[change.author] : "",
            "name", name, "before", record_set_json(owner, &change.before), "after",
            record_set_json(owner, &change.after));
        if (one == NULL || json_array_append_new(history->changes, one) < 0)
            return -ENOMEM;
        if (json_array_size(history->changes) > HISTORY_MAX) {
            json_array_remove(history->changes, 0);
            history->left_out++;
        }
    }
    return 0;
}

/* The journal's own word for a serial that it does not have would say less. */
static int read_from(struct server *server, const struct zone *zone, uint32_t serial,
                     int (*visit)(void *context, const struct commit *commit), void *context,
                     struct error *ret_error)
{
    int rc = journal_read(server->journal, zone->name.wire, serial, visit, context, ret_error);
    uint32_t first, last;
    if (rc != -ENOENT)
        return rc == -ENOMEM ? no_memory(ret_error) : rc;
    if (journal_range(server->journal, zone->name.wire, &first, &last) < 0)
        return error_set(ret_error, -ENOENT, "the journal has no changes of zone %s", zone->text);
    if (serial == last)
        return 0;
    return error_set(ret_error, -ENOENT,
                     "zone %s never had serial %u, or the journal has it no more: it reaches from "
                     "%u to %u",
                     zone->text, serial, first, last);
}

/* A serial of the request; false: it is there and none. */
static bool read_serial(const json_t *value, uint32_t *ret_serial)
{
    const json_int_t number = json_integer_value(value);
    *ret_serial = (uint32_t)number;
    return json_is_integer(value) && number >= 0 && number <= UINT32_MAX;
}

int zone_command_history(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error)
{
    struct server *server = context;
    const json_t *since = json_object_get(request, "since");
    struct name name;
    struct zone *zone;
    uint32_t first = 0, last;
    pthread_mutex_lock(&server->reload);
    int rc = find_zone(server, request, "name", false, &name, &zone, ret_error);
    if (rc == 0)
        rc = need_journal(server, zone, false, ret_error);
    if (rc == 0 && since != NULL && !read_serial(since, &first))
        rc = error_set(ret_error, -EINVAL, "since is not a serial");
    if (rc == 0 && since == NULL &&
        journal_range(server->journal, zone->name.wire, &first, &last) < 0)
        rc = error_set(ret_error, -ENOENT, "the journal has no changes of zone %s", zone->text);
    struct history history = {.zone = zone, .changes = json_array()};
    if (rc == 0 && name.label_count != zone->name.label_count)
        history.only = &name;
    if (rc == 0)
        rc = read_from(server, zone, first, add_commit, &history, ret_error);
    pthread_mutex_unlock(&server->reload);
    if (rc < 0) {
        json_decref(history.changes);
        return rc;
    }
    *ret_result = json_pack("{s:o, s:I}", "changes", history.changes, "left_out",
                            (json_int_t)history.left_out);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}

/* ---- Restore ---- */

struct restore {
    const struct zone *zone;
    const struct name *only;    /* NULL: every name */
    struct change_list changes; /* since then, without the SOA's: the serial goes on */
};

static int note_changes(void *context, const struct commit *commit)
{
    struct restore *restore = context;
    struct change change;
    int rc = 0;
    for (size_t at = 0;
         rc == 0 && change_list_next(commit->changes, commit->changes_size, &at, &change);) {
        if (is_of(&change, restore->zone, restore->only) && change.before.type != KNOT_RRTYPE_SOA)
            rc = change_list_add(&restore->changes, &change);
    }
    return rc;
}

/* With the zone's lock: undoes what came after the serial, as one commit. */
static int restore_locked(struct server *server, struct zone *zone, struct restore *restore,
                          uint32_t serial, struct change_report *report, struct error *ret_error)
{
    _cleanup_(zone_edit_endp) struct zone_edit *edit = NULL;
    report->serial_from = report->serial_to = zone->data->soa.serial;
    int rc = read_from(server, zone, serial, note_changes, restore, ret_error);
    if (rc == 0)
        rc = zone_edit_begin(zone->data, &edit, ret_error);
    if (rc == 0)
        rc = zone_edit_apply(edit, restore->changes.octets, restore->changes.size, true, ret_error);
    if (rc < 0)
        return rc;
    report->sets = zone_edit_changes(edit)->count;
    if (report->sets == 0)
        return 0;
    if (zone_edit_set_serial(edit, report->serial_from + 1) < 0)
        return no_memory(ret_error);
    return commit_edit(server, zone, edit, COMMIT_RESTORE, report, ret_error);
}

int zone_command_restore(void *context, const json_t *request, json_t **ret_result,
                         struct error *ret_error)
{
    struct server *server = context;
    struct change_report report = {0};
    struct name name;
    struct zone *zone;
    uint32_t serial;
    pthread_mutex_lock(&server->reload);
    int rc = find_zone(server, request, "name", false, &name, &zone, ret_error);
    if (rc == 0)
        rc = need_journal(server, zone, true, ret_error);
    if (rc == 0 && !read_serial(json_object_get(request, "serial"), &serial))
        rc = error_set(ret_error, -EINVAL, "serial is not a serial");
    if (rc == 0) {
        struct restore restore = {.zone = zone};
        if (name.label_count != zone->name.label_count)
            restore.only = &name;
        pthread_mutex_lock(&zone->writer);
        rc = restore_locked(server, zone, &restore, serial, &report, ret_error);
        pthread_mutex_unlock(&zone->writer);
        change_list_clear(&restore.changes);
    }
    if (rc == 0 && report.sets > 0)
        server_log(LOG_INFO, "zone %s: %s put back as of serial %u, %llu record sets, serial %u",
                   zone->text, json_string_value(json_object_get(request, "name")), serial,
                   (unsigned long long)report.sets, report.serial_to);
    pthread_mutex_unlock(&server->reload);
    if (rc < 0)
        return rc;
    *ret_result = json_pack("{s:I, s:I, s:I}", "changed", (json_int_t)report.sets, "serial_from",
                            (json_int_t)report.serial_from, "serial", (json_int_t)report.serial_to);
    return *ret_result == NULL ? no_memory(ret_error) : 0;
}
