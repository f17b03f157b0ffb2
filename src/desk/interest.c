#include "desk/interest.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "desk/audit.h"
#include "desk/desk.h"
#include "desk/interest_keys.h"
#include "desk/interest_token.h"

/* Interests of one page of those that are loaded. */
#define LOAD_PAGE 200

/* A token that somebody placed. */
struct placed {
    uint8_t token[INTEREST_TOKEN_SIZE];
    char interest[ID_SIZE];
};

struct placed_list {
    struct placed *items;
    size_t count, room;
    bool *uses_key; /* by the desk's keys: whether there are interests made with it */
};

/* A name whose tokens are looked for: one that the order lists, or one above such a name. */
struct candidate {
    const char *name;
    const char *listed; /* the order's */
    bool is_listed, is_subtree, is_broad;
};

struct candidate_list {
    struct candidate *items;
    size_t count, room;
};

struct match {
    char interest[ID_SIZE];
    const char *name; /* the order's */
    enum interest_relation relation;
};

struct interest_check {
    struct match *matches;
    size_t count, room;
    char **names; /* those of the matches, when they are the check's own; as many */
};

static int out_of_memory(struct error *error)
{
    return error_set(error, -ENOMEM, "out of memory while looking for interests");
}

/* Makes room for one more item; false: out of memory. */
static bool grow(void **items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return true;
    const size_t more = *room > 0 ? 2 * *room : 64;
    void *grown = reallocarray(*items, more, size);
    if (grown == NULL)
        return false;
    *items = grown;
    *room = more;
    return true;
}

/* ---- What is placed ---- */

static int placed_compare(const void *one, const void *other)
{
    return memcmp(((const struct placed *)one)->token, ((const struct placed *)other)->token,
                  INTEREST_TOKEN_SIZE);
}

static int placed_take(const struct interest_keys *keys, const struct store_rows *rows,
                       struct placed_list *list, struct error *ret_error)
{
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        size_t size;
        const uint8_t *token = store_row_octets(rows, i, 0, &size);
        const struct interest_key *key = interest_key_find(keys, store_row_text(rows, i, 2));
        if (key == NULL || size != INTEREST_TOKEN_SIZE)
            continue; /* of a key that is retired: nobody can find it any more */
        if (!grow((void **)&list->items, list->count, &list->room, sizeof(*list->items)))
            return out_of_memory(ret_error);
        struct placed *placed = &list->items[list->count++];
        memcpy(placed->token, token, size);
        (void)snprintf(placed->interest, ID_SIZE, "%s", store_row_text(rows, i, 1));
        list->uses_key[key - keys->keys] = true;
    }
    return 0;
}

/* One page of interests behind `after`, which it moves on; sets whether there may be more. */
static int placed_page(const struct interest_keys *keys, struct store *store, int64_t now_s,
                       char after[static ID_SIZE], struct placed_list *list, bool *ret_is_more,
                       struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *page = NULL;
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc = store_query(store, &page, ret_error,
                         "SELECT id FROM interests WHERE id > $1 AND withdrawn_at IS NULL AND "
                         "expires_at > $2 ORDER BY id LIMIT $3",
                         store_text(after), store_integer(now_s), store_integer(LOAD_PAGE));
    if (rc < 0)
        return rc;
    const size_t count = store_rows_count(page);
    *ret_is_more = count == LOAD_PAGE;
    if (count == 0)
        return 0;
    const char *last = store_row_text(page, count - 1, 0);
    rc = store_query(store, &rows, ret_error,
                     "SELECT t.token, t.interest, i.key_id FROM interest_tokens t "
                     "JOIN interests i ON i.id = t.interest JOIN accounts a ON a.id = i.account "
                     "WHERE t.interest > $1 AND t.interest <= $2 AND i.expires_at > $3 AND "
                     "a.state = 'active'",
                     store_text(after), store_text(last), store_integer(now_s));
    if (rc == 0)
        rc = placed_take(keys, rows, list, ret_error);
    (void)snprintf(after, ID_SIZE, "%s", last);
    return rc;
}

static int placed_load(const struct interest_keys *keys, struct store *store, int64_t now_s,
                       struct placed_list *list, struct error *ret_error)
{
    char after[ID_SIZE] = "";
    bool is_more = true;
    int rc = 0;
    list->uses_key = calloc(keys->count, sizeof(bool));
    if (list->uses_key == NULL)
        return out_of_memory(ret_error);
    while (rc == 0 && is_more)
        rc = placed_page(keys, store, now_s, after, list, &is_more, ret_error);
    if (rc == 0 && list->count > 0)
        qsort(list->items, list->count, sizeof(*list->items), placed_compare);
    return rc;
}

/* ---- What the order lists ---- */

static bool is_broad(const struct desk_config *config, const char *name)
{
    for (size_t i = 0; i < config->hosts.zone_count; i++)
        if (strcmp(config->hosts.zones[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < config->interests.broad_count; i++)
        if (strcmp(config->interests.broad[i], name) == 0)
            return true;
    return false;
}

static int candidate_compare(const void *one_in, const void *other_in)
{
    const struct candidate *one = one_in, *other = other_in;
    return strcmp(one->name, other->name);
}

/* Sorted, each name once: the names of an order share most of those above them. */
static void candidates_join(struct candidate_list *list)
{
    size_t kept = 0;
    if (list->count == 0)
        return;
    qsort(list->items, list->count, sizeof(*list->items), candidate_compare);
    for (size_t i = 1; i < list->count; i++) {
        struct candidate *at = &list->items[kept], *next = &list->items[i];
        if (strcmp(at->name, next->name) != 0) {
            list->items[++kept] = *next;
            continue;
        }
        if (next->is_listed)
            at->listed = next->listed;
        at->is_listed = at->is_listed || next->is_listed;
        at->is_subtree = at->is_subtree || next->is_subtree;
    }
    list->count = kept + 1;
}

static int candidates_make(const struct desk_config *config, const struct interest_name *names,
                           size_t count, struct candidate_list *list, struct error *ret_error)
{
    for (size_t i = 0; i < count; i++) {
        for (const char *name = names[i].name; name != NULL; name = interest_parent(name)) {
            if (!grow((void **)&list->items, list->count, &list->room, sizeof(*list->items)))
                return out_of_memory(ret_error);
            list->items[list->count++] = (struct candidate){
                .name = name,
                .listed = names[i].name,
                .is_listed = name == names[i].name,
                .is_subtree = name == names[i].name && names[i].is_subtree,
            };
        }
    }
    candidates_join(list);
    for (size_t i = 0; i < list->count; i++)
        list->items[i].is_broad = is_broad(config, list->items[i].name);
    return 0;
}

/* ---- Where they meet ---- */

static int matches_add(struct interest_check *check, const struct placed_list *placed,
                       const struct candidate *candidate, enum interest_relation relation,
                       const uint8_t output[static BLINDING_OUTPUT_SIZE], struct error *ret_error)
{
    struct placed wanted;
    interest_token_make(relation, output, wanted.token);
    const struct placed *end = placed->items + placed->count;
    const struct placed *at =
        bsearch(&wanted, placed->items, placed->count, sizeof(*placed->items), placed_compare);
    if (at == NULL)
        return 0;
    while (at > placed->items && placed_compare(at - 1, &wanted) == 0)
        at--;
    for (; at < end && placed_compare(at, &wanted) == 0; at++) {
        if (!grow((void **)&check->matches, check->count, &check->room, sizeof(*check->matches)))
            return out_of_memory(ret_error);
        struct match *match = &check->matches[check->count++];
        *match = (struct match){.name = candidate->listed, .relation = relation};
        memcpy(match->interest, at->interest, ID_SIZE);
    }
    return 0;
}

static int candidate_match(struct interest_check *check, const struct placed_list *placed,
                           const struct candidate *candidate, const struct interest_key *key,
                           struct error *ret_error)
{
    uint8_t output[BLINDING_OUTPUT_SIZE];
    int rc = blinding_output(key->secret, candidate->name, strlen(candidate->name), output);
    if (rc < 0)
        return error_set(ret_error, rc, "the name %s cannot be matched", candidate->name);
    if (candidate->is_listed)
        rc = matches_add(check, placed, candidate, INTEREST_NAME, output, ret_error);
    if (rc == 0 && !candidate->is_broad)
        rc = matches_add(check, placed, candidate, INTEREST_TREE, output, ret_error);
    if (rc == 0 && candidate->is_subtree)
        rc = matches_add(check, placed, candidate, INTEREST_BELOW, output, ret_error);
    return rc;
}

static int check_fill(struct interest_check *check, const struct interest_keys *keys,
                      const struct placed_list *placed, const struct candidate_list *candidates,
                      struct error *ret_error)
{
    int rc = 0;
    for (size_t key = 0; key < keys->count; key++)
        for (size_t i = 0; placed->uses_key[key] && i < candidates->count && rc == 0; i++)
            rc = candidate_match(check, placed, &candidates->items[i], &keys->keys[key], ret_error);
    return rc;
}

int interest_check_make(struct desk *desk, struct store *store, const struct interest_name *names,
                        size_t count, struct interest_check **ret_check, struct error *ret_error)
{
    struct interest_check *check = calloc(1, sizeof(*check));
    struct placed_list placed = {0};
    struct candidate_list candidates = {0};

    int rc = check != NULL ? placed_load(desk->interest_keys, store, clock_now_s(desk->clock),
                                         &placed, ret_error)
                           : out_of_memory(ret_error);
    if (rc == 0 && placed.count > 0)
        rc = candidates_make(desk->config, names, count, &candidates, ret_error);
    if (rc == 0 && placed.count > 0)
        rc = check_fill(check, desk->interest_keys, &placed, &candidates, ret_error);
    free(candidates.items);
    free(placed.items);
    free(placed.uses_key);
    if (rc < 0) {
        interest_check_free(check);
        return rc;
    }
    *ret_check = check;
    return 0;
}

void interest_check_free(struct interest_check *check)
{
    if (check == NULL)
        return;
    for (size_t i = 0; check->names != NULL && i < check->count; i++)
        free(check->names[i]);
    free(check->names);
    free(check->matches);
    free(check);
}

int interest_check_own(struct interest_check *check, struct error *ret_error)
{
    if (check->names != NULL || check->count == 0)
        return 0;
    check->names = calloc(check->count, sizeof(*check->names));
    if (check->names == NULL)
        return out_of_memory(ret_error);
    for (size_t i = 0; i < check->count; i++) {
        check->names[i] = strdup(check->matches[i].name);
        if (check->names[i] == NULL)
            return out_of_memory(ret_error);
        check->matches[i].name = check->names[i];
    }
    return 0;
}

/* ---- Overlaps ---- */

static int overlap_audit(struct store *store, const struct interest_occasion *occasion,
                         const char *id, struct error *ret_error)
{
    json_t *detail = json_pack("{s:s}", "order", occasion->order);
    int rc = audit_write(store,
                         &(struct audit_entry){.now_ms = occasion->now_ms,
                                               .who = occasion->who,
                                               .client = occasion->client,
                                               .action = "overlap.find",
                                               .object = id,
                                               .detail = detail},
                         ret_error);
    json_decref(detail);
    return rc;
}

/* Adds the overlap unless it is there; an interest that was withdrawn meanwhile has none. */
static int overlap_add(struct store *store, const struct match *match,
                       const struct interest_occasion *occasion, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    const int64_t now_s = occasion->now_ms / 1000;
    const bool has_contact = occasion->who != NULL && occasion->who->account[0] != '\0';
    char id[ID_SIZE];
    uint64_t changed;
    int rc = store_query(store, &rows, ret_error,
                         "SELECT account FROM interests WHERE id = $1 AND withdrawn_at IS NULL",
                         store_text(match->interest));
    if (rc < 0 || store_rows_count(rows) == 0)
        return rc;
    id_make(ID_OVERLAP, occasion->now_ms, id);
    rc = store_change(store, &changed, ret_error,
                      "INSERT INTO interest_overlaps (id, order_id, interest, account, contact, "
                      "name, relation, found_at, "
                      "held_until) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) "
                      "ON CONFLICT (order_id, interest) DO NOTHING",
                      store_text(id), store_text(occasion->order), store_text(match->interest),
                      store_text(store_row_text(rows, 0, 0)),
                      store_text(has_contact ? occasion->who->account : NULL),
                      store_text(match->name), store_text(interest_relation_text(match->relation)),
                      store_integer(now_s), store_integer(now_s + occasion->hold_s));
    return rc < 0 || changed == 0 ? rc : overlap_audit(store, occasion, id, ret_error);
}

int interest_overlaps(struct store *store, const struct interest_check *check,
                      const struct interest_occasion *occasion, struct interest_hold *ret_hold,
                      struct error *ret_error)
{
    int rc = 0;
    assert(store_in_transaction(store));
    for (size_t i = 0; i < check->count && rc == 0; i++)
        rc = overlap_add(store, &check->matches[i], occasion, ret_error);
    return rc < 0 ? rc
                  : interest_hold_find(store, occasion->order, occasion->now_ms / 1000, ret_hold,
                                       ret_error);
}

int interest_hold_find(struct store *store, const char *order, int64_t now_s,
                       struct interest_hold *ret_hold, struct error *ret_error)
{
    _cleanup_(store_rows_freep) struct store_rows *rows = NULL;
    int rc =
        store_query(store, &rows, ret_error,
                    "SELECT ended_at, held_until FROM interest_overlaps WHERE order_id = $1 AND "
                    "(ended_how IS NULL OR ended_how <> 'withdrawn')",
                    store_text(order));
    if (rc < 0)
        return rc;
    struct interest_hold hold = {.overlaps = (unsigned)store_rows_count(rows)};
    for (size_t i = 0; i < store_rows_count(rows); i++) {
        const int64_t until_s = store_row_integer(rows, i, 1);
        if (!store_row_is_null(rows, i, 0) || until_s <= now_s)
            continue;
        hold.open++;
        if (until_s > hold.until_s)
            hold.until_s = until_s;
    }
    *ret_hold = hold;
    return 0;
}
