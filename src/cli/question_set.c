#include "cli/question_set.h"

#include <errno.h>
#include <libknot/libknot.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "cli/prove_names.h"
#include "order/traffic.h"

#define TABLE_SIZE_MIN 1024

void question_set_clear(struct question_set *set)
{
    free(set->octets);
    free(set->entries);
    free(set->table);
    *set = (struct question_set){0};
}

static uint64_t question_hash(const uint8_t *name, uint16_t type, bool dnssec_ok)
{
    return name_hash(name) ^ ((uint64_t)type << 1 | dnssec_ok) * 0x9e3779b97f4a7c15;
}

/* The place in the table where a question is, or where it belongs. */
static size_t table_place(const struct question_set *set, const uint8_t *name, uint16_t type,
                          bool dnssec_ok)
{
    size_t place = question_hash(name, type, dnssec_ok) & (set->table_size - 1);
    for (; set->table[place] != 0; place = (place + 1) & (set->table_size - 1)) {
        const struct question_entry *entry = &set->entries[set->table[place] - 1];
        if (entry->type == type && entry->dnssec_ok == dnssec_ok &&
            name_equal(set->octets + entry->name, name))
            break;
    }
    return place;
}

static int table_grow(struct question_set *set)
{
    size_t size = set->table_size == 0 ? TABLE_SIZE_MIN : 2 * set->table_size;
    uint32_t *table = calloc(size, sizeof(*table));
    if (table == NULL)
        return -ENOMEM;
    free(set->table);
    set->table = table;
    set->table_size = size;
    for (size_t i = 0; i < set->count; i++)
        table[table_place(set, question_set_name(set, i), set->entries[i].type,
                          set->entries[i].dnssec_ok)] = (uint32_t)i + 1;
    return 0;
}

/* Makes room for one more name and entry. */
static int rooms_grow(struct question_set *set, size_t name_size)
{
    if (set->octet_count + name_size > set->octet_room) {
        size_t room = 2 * set->octet_room + 65536;
        uint8_t *octets = realloc(set->octets, room);
        if (octets == NULL)
            return -ENOMEM;
        set->octets = octets;
        set->octet_room = room;
    }
    if (set->count == set->room) {
        size_t room = 2 * set->room + 1024;
        struct question_entry *entries = realloc(set->entries, room * sizeof(*entries));
        if (entries == NULL)
            return -ENOMEM;
        set->entries = entries;
        set->room = room;
    }
    return 0;
}

int question_set_add(struct question_set *set, const uint8_t *name, uint16_t type, bool dnssec_ok)
{
    if (2 * set->count >= set->table_size && table_grow(set) < 0)
        return -ENOMEM;
    size_t place = table_place(set, name, type, dnssec_ok);
    if (set->table[place] != 0)
        return 0;
    if (set->count == QUESTIONS_MAX)
        return -E2BIG;

    size_t size = name_wire_size(name);
    int rc = rooms_grow(set, size);
    if (rc < 0)
        return rc;
    name_fold(set->octets + set->octet_count, name, size);
    set->entries[set->count++] = (struct question_entry){set->octet_count, type, dnssec_ok};
    set->octet_count += size;
    set->table[place] = (uint32_t)set->count;
    return 0;
}

size_t question_set_find(const struct question_set *set, const uint8_t *name, uint16_t type,
                         bool dnssec_ok)
{
    if (set->count == 0)
        return SIZE_MAX;
    uint32_t found = set->table[table_place(set, name, type, dnssec_ok)];
    return found != 0 ? found - 1 : SIZE_MAX;
}

static bool scope_has(const struct question_scope *scope, const uint8_t *lower)
{
    return scope->zone == NULL || knot_dname_in_bailiwick(lower, scope->zone) >= 0;
}

static int add_types(struct question_set *set, const uint8_t *name,
                     const struct question_scope *scope)
{
    uint8_t lower[NAME_SIZE_MAX];
    int rc = 0;

    name_fold(lower, name, name_wire_size(name));
    if (!scope_has(scope, lower))
        return 0;
    for (size_t i = 0; i < scope->type_count && rc == 0; i++)
        rc = question_set_add(set, lower, scope->types[i], scope->dnssec_ok);
    return rc;
}

static int add_failed(int rc, const char *path, struct error *ret_error)
{
    return rc == -E2BIG ? error_set_at(ret_error, rc, path, 0,
                                       "has more than %zu questions: split it into several files",
                                       QUESTIONS_MAX)
                        : error_set_at(ret_error, rc, path, 0, "there is no memory for its names");
}

int question_set_add_file(struct question_set *set, const char *path,
                          const struct question_scope *scope, uint64_t *ret_faults,
                          struct error *ret_error)
{
    _cleanup_(name_file_closep) struct name_file *file = NULL;
    struct name_line line;
    uint64_t faults = 0;

    int rc = name_file_open(path, &file, ret_error);
    if (rc < 0)
        return rc;
    while ((rc = name_file_next(file, &line, ret_error)) > 0) {
        faults += line.fault != NULL;
        int added = line.fault == NULL ? add_types(set, line.name, scope) : 0;
        if (added < 0)
            return add_failed(added, path, ret_error);
    }
    *ret_faults = faults;
    return rc;
}

int question_set_add_listing(struct question_set *set, struct listing *listing,
                             const struct question_scope *scope)
{
    const uint8_t *name;
    int rc = 0;

    while (rc == 0 && (name = listing_next(listing)) != NULL)
        rc = add_types(set, name, scope);
    return rc;
}

struct traffic_taking {
    struct question_set *set;
    const struct question_scope *scope;
    const char *path;
    uint64_t queries;
};

static int query_take(void *context, const struct traffic_query *query, struct error *ret_error)
{
    struct traffic_taking *taking = context;
    if (!scope_has(taking->scope, query->name->wire))
        return 0;
    taking->queries++;
    int rc = question_set_add(taking->set, query->name->wire, query->request->qtype,
                              query->request->dnssec_ok);
    return rc < 0 ? add_failed(rc, taking->path, ret_error) : 0;
}

int question_set_add_traffic(struct question_set *set, const char *path, uint16_t port,
                             const struct question_scope *scope, uint64_t *ret_queries,
                             struct error *ret_error)
{
    struct traffic_taking taking = {.set = set, .scope = scope, .path = path};
    struct traffic_report report;

    int rc = traffic_read(path, port, query_take, &taking, &report, ret_error);
    if (rc == 0)
        *ret_queries = taking.queries;
    return rc;
}

uint64_t question_set_digest(const struct question_set *set)
{
    crypto_generichash_state state;
    uint64_t digest[crypto_generichash_BYTES_MIN / sizeof(uint64_t)];

    crypto_generichash_init(&state, NULL, 0, sizeof(digest));
    for (size_t i = 0; i < set->count; i++) {
        const struct question_entry *entry = &set->entries[i];
        const uint8_t asked[3] = {(uint8_t)(entry->type >> 8), (uint8_t)entry->type,
                                  entry->dnssec_ok};
        const uint8_t *name = question_set_name(set, i);
        crypto_generichash_update(&state, name, name_wire_size(name));
        crypto_generichash_update(&state, asked, sizeof(asked));
    }
    crypto_generichash_final(&state, (uint8_t *)digest, sizeof(digest));
    return digest[0];
}
