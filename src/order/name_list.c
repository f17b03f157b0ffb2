#include "order/name_list.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dns/name.h"
#include "order/name_key.h"
#include "order/name_text.h"

/* Keys are addressed by 32 bits: enough for about 160 million hostnames. */
#define KEYS_SIZE_MAX ((size_t)UINT32_MAX)

/* Lines are numbered by 31 bits, the last one says in which file. */
#define LINE_MAX_NUMBER (ORDER_LINE_INLINE - 1)

struct name_list {
    struct order *order;
    uint8_t *keys;
    size_t keys_size, keys_capacity;
    struct name_key_entry *entries;
    size_t count, capacity;
    size_t wire_size; /* of all entries */
};

/* An entry that repeats an earlier one. */
struct duplicate {
    uint32_t key;
    uint32_t line;
    uint32_t first_line;
};

int name_list_create(struct order *order, struct name_list **ret_list)
{
    struct name_list *list = calloc(1, sizeof(*list));
    if (list == NULL)
        return -ENOMEM;
    list->order = order;
    *ret_list = list;
    return 0;
}

static void name_list_reset(struct name_list *list)
{
    free(list->keys);
    free(list->entries);
    *list = (struct name_list){.order = list->order};
}

void name_list_free(struct name_list *list)
{
    if (list == NULL)
        return;
    name_list_reset(list);
    free(list);
}

/* Makes room for exactly so much more, where the caller knows how much will come. */
static int reserve(struct name_list *list, size_t keys_size, size_t count)
{
    if (keys_size > list->keys_capacity) {
        uint8_t *keys = realloc(list->keys, keys_size);
        if (keys == NULL)
            return -ENOMEM;
        list->keys = keys;
        list->keys_capacity = keys_size;
    }
    if (count > list->capacity) {
        struct name_key_entry *entries = reallocarray(list->entries, count, sizeof(*entries));
        if (entries == NULL)
            return -ENOMEM;
        list->entries = entries;
        list->capacity = count;
    }
    return 0;
}

static int make_room(struct name_list *list)
{
    size_t keys_size = list->keys_capacity, count = list->capacity;

    if (list->keys_size + NAME_KEY_MAX > KEYS_SIZE_MAX)
        return -E2BIG;
    if (list->keys_size + NAME_KEY_MAX > keys_size)
        keys_size += keys_size / 2 + 64 * NAME_KEY_MAX;
    if (list->count == count)
        count += count / 2 + 64;
    return reserve(list, keys_size, count);
}

static const char *line_file(const struct order *order, uint32_t line)
{
    return (line & ORDER_LINE_INLINE) != 0 ? order->path : order->names_path;
}

int name_list_add(struct name_list *list, const char *text, size_t size, uint32_t line)
{
    uint8_t wire[NAME_SIZE_MAX];
    size_t wire_size;
    struct name_fault fault;

    int rc = name_text_parse(text, size, wire, &wire_size, &fault);
    if (rc == -EINVAL) {
        order_add_finding(list->order, line_file(list->order, line), line & ~ORDER_LINE_INLINE,
                          text, size, fault.reason, fault.detail);
        return 0;
    }
    if (rc < 0)
        return rc;
    rc = make_room(list);
    if (rc < 0)
        return rc;
    list->entries[list->count++] = (struct name_key_entry){
        .key = (uint32_t)list->keys_size,
        .line = line,
    };
    list->keys_size += name_key_write(wire, list->keys + list->keys_size);
    list->wire_size += wire_size;
    return 0;
}

static bool is_blank(char octet)
{
    return octet == ' ' || octet == '\t' || octet == '\r';
}

/* Cuts blanks around and a comment, which begins with '#' at the start or after a blank. */
static void trim(const char **text, size_t *size)
{
    const char *begin = *text, *end = begin + *size;

    while (begin < end && is_blank(*begin))
        begin++;
    for (const char *at = begin; at < end; at++)
        if (*at == '#' && (at == begin || is_blank(at[-1])))
            end = at;
    while (end > begin && is_blank(end[-1]))
        end--;
    *text = begin;
    *size = (size_t)(end - begin);
}

static size_t count_lines(const char *text, size_t size)
{
    size_t count = 1;

    for (const char *end = text + size; (text = memchr(text, '\n', (size_t)(end - text))) != NULL;
         text++)
        count++;
    return count;
}

int name_list_add_lines(struct name_list *list, const char *text, size_t size)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *end = text + size;
    size_t lines = count_lines(text, size);

    if (lines > LINE_MAX_NUMBER)
        return -E2BIG;
    /* A key is two octets longer than the text it came from at most, and a line has its end. */
    int rc = reserve(list, list->keys_size + size + lines + NAME_KEY_MAX, list->count + lines);
    if (rc < 0)
        return rc;
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;

    for (uint32_t line = 1; text < end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *next = newline != NULL ? newline + 1 : end;
        const char *entry = text;
        size_t entry_size = (size_t)((newline != NULL ? newline : end) - text);
        trim(&entry, &entry_size);
        rc = entry_size > 0 ? name_list_add(list, entry, entry_size, line) : 0;
        if (rc < 0)
            return rc;
        text = next;
    }
    return 0;
}

static bool keys_equal(const uint8_t *keys, uint32_t one, uint32_t other)
{
    size_t size = name_key_size(keys + one);

    return memcmp(keys + one, keys + other, size) == 0;
}

/* Keeps the first of equal entries; the others go to `duplicates`. */
static int split_duplicates(struct name_list *list, struct duplicate **ret_duplicates,
                            size_t *ret_count)
{
    struct name_key_entry *entries = list->entries;
    struct duplicate *duplicates = NULL;
    size_t kept = 0, count = 0, capacity = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (kept == 0 || !keys_equal(list->keys, entries[kept - 1].key, entries[i].key)) {
            entries[kept++] = entries[i];
            continue;
        }
        if (count == capacity) {
            capacity += capacity / 2 + 64;
            struct duplicate *larger = reallocarray(duplicates, capacity, sizeof(*larger));
            if (larger == NULL) {
                free(duplicates);
                return -ENOMEM;
            }
            duplicates = larger;
        }
        duplicates[count++] = (struct duplicate){
            .key = entries[i].key,
            .line = entries[i].line,
            .first_line = entries[kept - 1].line,
        };
    }
    list->count = kept;
    *ret_duplicates = duplicates;
    *ret_count = count;
    return 0;
}

static int compare_duplicates(const void *one, const void *other)
{
    const struct duplicate *left = one, *right = other;

    return left->key < right->key ? -1 : left->key > right->key;
}

/* In the order of their lines, so that the ones that are kept are the first. */
static void report_duplicates(struct name_list *list, struct duplicate *duplicates, size_t count)
{
    struct order *order = list->order;

    if (count > 1)
        qsort(duplicates, count, sizeof(*duplicates), compare_duplicates);
    for (size_t i = 0; i < count; i++) {
        uint8_t wire[NAME_SIZE_MAX];
        char text[NAME_TEXT_MAX], detail[320];
        uint32_t line = duplicates[i].line, first = duplicates[i].first_line;

        if (((line ^ first) & ORDER_LINE_INLINE) != 0)
            snprintf(detail, sizeof(detail), "line %u of %s lists it first",
                     first & ~ORDER_LINE_INLINE, line_file(order, first));
        else
            snprintf(detail, sizeof(detail), "line %u lists it first", first & ~ORDER_LINE_INLINE);
        name_key_read(list->keys + duplicates[i].key, wire);
        size_t size = name_text_write(wire, text);
        order_add_finding(order, line_file(order, line), line & ~ORDER_LINE_INLINE, text, size,
                          "is a duplicate", detail);
    }
}

/* From keys to wire form. */
static int build_names(const struct name_list *list, struct order_names *ret_names)
{
    struct order_names names = {.count = list->count};
    size_t used = 0;

    if (list->wire_size > UINT32_MAX)
        return -E2BIG;
    names.octets = malloc(list->wire_size + NAME_SIZE_MAX);
    names.offsets = reallocarray(NULL, list->count + 1, sizeof(*names.offsets));
    names.lines = reallocarray(NULL, list->count + 1, sizeof(*names.lines));
    if (names.octets == NULL || names.offsets == NULL || names.lines == NULL) {
        order_names_clear(&names);
        return -ENOMEM;
    }
    for (size_t i = 0; i < list->count; i++) {
        names.offsets[i] = (uint32_t)used;
        names.lines[i] = list->entries[i].line;
        used += name_key_read(list->keys + list->entries[i].key, names.octets + used);
    }
    uint8_t *exact = realloc(names.octets, used > 0 ? used : 1);
    if (exact != NULL)
        names.octets = exact;
    *ret_names = names;
    return 0;
}

int name_list_finish(struct name_list *list, struct order_names *ret_names)
{
    struct duplicate *duplicates = NULL;
    size_t count = 0;

    name_key_sort(list->entries, list->count, list->keys);
    int rc = split_duplicates(list, &duplicates, &count);
    if (rc < 0)
        return rc;
    report_duplicates(list, duplicates, count);
    free(duplicates);
    rc = build_names(list, ret_names);
    name_list_reset(list);
    return rc;
}
