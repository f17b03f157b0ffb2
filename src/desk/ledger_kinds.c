#include "desk/ledger_kinds.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "desk/clock.h"

/* More members than any kind has. */
#define MEMBERS_MAX 16

#define WORD_SIZE_MAX      64
#define REFERENCE_SIZE_MAX 64
#define HASH_TEXT_SIZE     64 /* SHA-256 in hex */
#define COUNTS_DEPTH_MAX   4  /* by month: by class: by step: median */
#define DETAIL_DEPTH_MAX   6
#define LINE_SIZE_MAX      500

/* ---- Kinds of values ---- */

static bool is_of(const json_t *value, size_t size_max, const char *also)
{
    const char *text = json_string_value(value);
    size_t size = json_string_length(value);
    if (text == NULL || size == 0 || size > size_max || strlen(text) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (!isdigit((unsigned char)text[i]) && !islower((unsigned char)text[i]) &&
            strchr(also, text[i]) == NULL)
            return false;
    return true;
}

/* A code: a reason, an action, a class. Lower case without blanks: no place for a sentence. */
static bool is_word(const json_t *value)
{
    return is_of(value, WORD_SIZE_MAX, "._-");
}

/* An id of the desk, or the one that an order's document bears. */
static bool is_reference(const json_t *value)
{
    return is_of(value, REFERENCE_SIZE_MAX, "._-/ABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

static bool is_hash(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && json_string_length(value) == HASH_TEXT_SIZE &&
           strspn(text, "0123456789abcdef") == HASH_TEXT_SIZE;
}

static bool is_hex(const json_t *value)
{
    const char *text = json_string_value(value);
    const size_t size = json_string_length(value);
    return text != NULL && size > 0 && size <= HASH_TEXT_SIZE &&
           strspn(text, "0123456789abcdef") == size;
}

/* A line that staff wrote to be published: whoever writes it names nobody. An address for mail is
 * the mistake that can be seen. */
static bool is_line(const json_t *value)
{
    const char *text = json_string_value(value);
    const size_t size = json_string_length(value);
    if (text == NULL || size > LINE_SIZE_MAX || strlen(text) != size)
        return false;
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)text[i] < ' ' || text[i] == 0x7f || text[i] == '@')
            return false;
    return true;
}

/* Commitments to names: the ledger never forgets, and a name may be an innocent's. */
static bool are_hashes(const json_t *value)
{
    size_t index;
    json_t *hash;
    if (!json_is_array(value))
        return false;
    json_array_foreach((json_t *)value, index, hash)
    {
        if (!is_hash(hash))
            return false;
    }
    return true;
}

static bool is_time(const json_t *value)
{
    const char *text = json_string_value(value);
    int64_t time_s;
    return text != NULL && strlen(text) == CLOCK_TEXT_SIZE - 1 && clock_parse(text, &time_s);
}

static bool is_count(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool is_month(const json_t *value)
{
    const char *text = json_string_value(value);
    return text != NULL && json_string_length(value) == 7 && strspn(text, "0123456789") == 4 &&
           text[4] == '-' && strspn(text + 5, "0123456789") == 2;
}

/* Codes and numbers, one within the other: figures. */
static bool are_counts_to(const json_t *value, unsigned depth)
{
    const char *name;
    json_t *member;
    if (!json_is_object(value))
        return is_count(value) || json_is_null(value);
    json_object_foreach((json_t *)value, name, member)
    {
        json_t *text = json_string(name);
        bool is_right =
            text != NULL && is_word(text) && depth > 0 && are_counts_to(member, depth - 1);
        json_decref(text);
        if (!is_right)
            return false;
    }
    return true;
}

static bool are_counts(const json_t *value)
{
    return are_counts_to(value, COUNTS_DEPTH_MAX);
}

/* What an order's event adds: figures of a rehearsal, a reason, a time. No fractions: there is more
 * than one way to write them, and the entry's octets are hashed. */
static bool is_detail_to(const json_t *value, unsigned depth)
{
    const char *name;
    size_t index;
    json_t *member;
    if (json_is_string(value))
        return is_line(value);
    if (!json_is_object(value) && !json_is_array(value))
        return json_is_integer(value) || json_is_boolean(value) || json_is_null(value);
    if (depth == 0)
        return false;
    json_array_foreach((json_t *)value, index, member)
    {
        if (!is_detail_to(member, depth - 1))
            return false;
    }
    json_object_foreach((json_t *)value, name, member)
    {
        if (!is_detail_to(member, depth - 1))
            return false;
    }
    return true;
}

static bool is_detail(const json_t *value)
{
    return json_is_object(value) && is_detail_to(value, DETAIL_DEPTH_MAX);
}

static bool is_opening(const json_t *value);

/* ---- Kinds of entries ---- */

struct member {
    const char *name;
    bool (*is_right)(const json_t *value);
};

/* Of an order: before it is public a commitment alone, then what opens it. */
/* clang-format off */
#define ORDER_MEMBERS                                                                          \
    {"order", is_reference}, {"commitment", is_hash}, {"version", is_count}, {"by", is_word},  \
    {"id", is_reference}, {"salt", is_hex}, {"document_sha256", is_hash}, {"kind", is_word},   \
    {"authority", is_line}, {"action", is_word}, {"starts", is_time}, {"ends", is_time},       \
    {"names", is_count}, {"subtrees", is_count}, {"detail", is_detail}

static const struct kind {
    const char *name;
    struct member members[MEMBERS_MAX]; /* any of them may be missing; one without name ends */
} kinds[] = {
    {"appeal.decided", {{"outcome", is_word}, {"reason", is_word}, {"names", is_count},
                        {"order", is_reference}, {"report", is_reference}}},
    {"figures.published", {{"month", is_month}, {"document", is_hash}, {"figures", are_counts}}},
    {"order.activated", {ORDER_MEMBERS}},
    {"order.amended", {ORDER_MEMBERS}},
    {"order.approved", {ORDER_MEMBERS}},
    {"order.drafted", {ORDER_MEMBERS}},
    {"order.edited", {ORDER_MEMBERS}},
    {"order.expired", {ORDER_MEMBERS}},
    {"order.held", {ORDER_MEMBERS}},
    {"order.lifted", {ORDER_MEMBERS}},
    {"order.notified", {ORDER_MEMBERS}},
    {"order.opened", {ORDER_MEMBERS}},
    {"order.rehearsed", {ORDER_MEMBERS}},
    {"order.released", {ORDER_MEMBERS}},
    {"order.withdrawn", {ORDER_MEMBERS}},
    {"overlap.overridden", {{"overlap", is_reference}, {"reason", is_word}, {"held_until", is_time}}},
    {"privacy.deleted", {{"what", is_word}, {"hash", is_hash}, {"count", is_count}}},
    {"report.blocked", {{"report", is_reference}, {"decision", is_reference}, {"action", is_word},
                        {"reason", is_word}, {"names", are_hashes}}},
    {"report.decided", {{"report", is_reference}, {"decision", is_reference}, {"class", is_word},
                        {"action", is_word}, {"reason", is_word}, {"received_at", is_time},
                        {"names", is_count}, {"order", is_reference}}},
    {"sealed", {{"commitment", is_hash}, {"of", is_word}, {"opens_at", is_time}}},
    {"opened", {{"sealed", is_reference}, {"opening", is_opening}}},
};
/* clang-format on */

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < KIND_COUNT; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    return NULL;
}

static const struct member *member_find(const struct kind *kind, const char *name)
{
    for (size_t i = 0; i < MEMBERS_MAX && kind->members[i].name != NULL; i++)
        if (strcmp(kind->members[i].name, name) == 0)
            return &kind->members[i];
    return NULL;
}

static int content_check(const struct kind *kind, const json_t *content, struct error *ret_error)
{
    const char *name;
    json_t *value;
    if (!json_is_object(content))
        return error_set(ret_error, -EINVAL, "the content of %s is no object", kind->name);
    json_object_foreach((json_t *)content, name, value)
    {
        const struct member *member = member_find(kind, name);
        if (member == NULL)
            return error_set(ret_error, -EINVAL,
                             "%s has no member %s in the ledger: see ledger_kinds.c", kind->name,
                             name);
        if (!member->is_right(value))
            return error_set(ret_error, -EINVAL,
                             "%s.%s is nothing that the ledger may tell: see ledger_kinds.c",
                             kind->name, name);
    }
    return 0;
}

static bool is_subject(const json_t *value)
{
    return json_is_null(value) || is_reference(value);
}

/* What a sealed entry committed to; nothing is sealed twice. */
static bool is_opening(const json_t *value)
{
    const char *name = json_string_value(json_object_get(value, "kind"));
    const struct kind *kind = name != NULL ? kind_find(name) : NULL;
    const json_t *content = json_object_get(value, "data");
    return kind != NULL && strchr(kind->name, '.') != NULL && json_object_size(value) == 4 &&
           is_hash(json_object_get(value, "salt")) &&
           is_subject(json_object_get(value, "object")) && content_check(kind, content, NULL) == 0;
}

int ledger_kind_check(const char *kind_name, const char *subject, const json_t *content,
                      struct error *ret_error)
{
    const struct kind *kind = kind_find(kind_name);
    if (kind == NULL)
        return error_set(ret_error, -EINVAL, "the ledger has no kind %s: see ledger_kinds.c",
                         kind_name);
    json_t *reference = subject != NULL ? json_string(subject) : json_null();
    bool is_right = reference != NULL && is_subject(reference);
    json_decref(reference);
    if (!is_right)
        return error_set(ret_error, -EINVAL, "the subject of %s is no id", kind_name);
    int rc = content_check(kind, content, ret_error);
    if (rc < 0)
        return rc;
    if (json_dumpb(content, NULL, 0, JSON_COMPACT) > LEDGER_CONTENT_MAX)
        return error_set(ret_error, -EINVAL,
                         "the content of %s is longer than %d octets: publish its hash", kind_name,
                         LEDGER_CONTENT_MAX);
    return 0;
}
