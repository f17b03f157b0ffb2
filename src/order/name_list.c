#include "order/name_list.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
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

static size_t count_newlines(const char *text, const char *end)
{
    size_t count = 0;

    for (; (text = memchr(text, '\n', (size_t)(end - text))) != NULL; text++)
        count++;
    return count;
}

/* Some lines of a names-file, the first of which has the number `line`. */
struct lines {
    struct name_list *list;
    const char *text, *end;
    uint32_t line;
    int rc;
};

static int add_lines(const struct lines *lines)
{
    const char *text = lines->text;

    for (uint32_t line = lines->line; text < lines->end; line++) {
        const char *newline = memchr(text, '\n', (size_t)(lines->end - text));
        const char *next = newline != NULL ? newline + 1 : lines->end;
        const char *entry = text;
        size_t entry_size = (size_t)((newline != NULL ? newline : lines->end) - text);
        trim(&entry, &entry_size);
        int rc = entry_size > 0 ? name_list_add(lines->list, entry, entry_size, line) : 0;
        if (rc < 0)
            return rc;
        text = next;
    }
    return 0;
}

static void *add_lines_aside(void *context)
{
    struct lines *lines = context;
    lines->rc = add_lines(lines);
    return NULL;
}

/* A key is two octets longer than the text it came from at most, and a line has its end. */
static int reserve_lines(struct name_list *list, size_t size, size_t lines)
{
    return reserve(list, list->keys_size + size + lines + NAME_KEY_MAX, list->count + lines);
}

/* Puts the entries of another list behind those of this one. */
static int append(struct name_list *list, const struct name_list *other)
{
    if (list->keys_size + other->keys_size > KEYS_SIZE_MAX)
        return -E2BIG;
    int rc = reserve(list, list->keys_size + other->keys_size, list->count + other->count);
    if (rc < 0)
        return rc;
    memcpy(list->keys + list->keys_size, other->keys, other->keys_size);
    for (size_t i = 0; i < other->count; i++) {
        struct name_key_entry entry = other->entries[i];
        entry.key += (uint32_t)list->keys_size;
        list->entries[list->count++] = entry;
    }
    list->keys_size += other->keys_size;
    list->wire_size += other->wire_size;
    return 0;
}

/* Has a second thread read `second` into a list of its own, which then follows the first. */
static int add_both(const struct lines *first, const struct lines *second)
{
    struct name_list *list = first->list;
    struct order order = {.path = list->order->path, .names_path = list->order->names_path};
    struct name_list rest = {.order = &order};
    struct lines aside = *second;
    pthread_t thread;

    int rc = reserve_lines(&rest, (size_t)(second->end - second->text),
                           count_newlines(second->text, second->end) + 1);
    if (rc < 0)
        return rc;
    aside.list = &rest;
    bool has_thread = pthread_create(&thread, NULL, add_lines_aside, &aside) == 0;
    rc = add_lines(first);
    if (has_thread)
        pthread_join(thread, NULL);
    else if (rc == 0)
        (void)add_lines_aside(&aside);
    if (rc == 0)
        rc = aside.rc;
    order_take_findings(list->order, &order);
    if (rc == 0)
        rc = append(list, &rest);
    name_list_reset(&rest);
    return rc;
}

/* Below this a thread costs more than it spares. */
#define PARTED_SIZE_MIN ((size_t)1024 * 1024)

int name_list_add_lines(struct name_list *list, const char *text, size_t size)
{
    static const char byte_order_mark[] = "\xef\xbb\xbf";
    const char *end = text + size;
    size_t newlines = count_newlines(text, end);

    if (newlines >= LINE_MAX_NUMBER)
        return -E2BIG;
    int rc = reserve_lines(list, size, newlines + 1);
    if (rc < 0)
        return rc;
    if (size >= 3 && memcmp(text, byte_order_mark, 3) == 0)
        text += 3;

    struct lines all = {.list = list, .text = text, .end = end, .line = 1};
    const char *newline = size >= PARTED_SIZE_MIN
                              ? memchr(text + size / 2, '\n', (size_t)(end - text) - size / 2)
                              : NULL;
    if (newline == NULL)
        return add_lines(&all);
    struct lines first = all, second = all;
    first.end = second.text = newline + 1;
    second.line += (uint32_t)count_newlines(first.text, first.end);
    return add_both(&first, &second);
}

/* What is left of the repeated entries while the list is sorted out. */
struct duplicates {
    struct duplicate *items;
    size_t count, capacity;
};

static int duplicates_add(struct duplicates *duplicates, const struct name_key_entry *entry,
                          uint32_t first_line)
{
    if (duplicates->count == duplicates->capacity) {
        size_t capacity = duplicates->capacity + duplicates->capacity / 2 + 64;
        struct duplicate *items = reallocarray(duplicates->items, capacity, sizeof(*items));
        if (items == NULL)
            return -ENOMEM;
        duplicates->items = items;
        duplicates->capacity = capacity;
    }
    duplicates->items[duplicates->count++] = (struct duplicate){
        .key = entry->key,
        .line = entry->line,
        .first_line = first_line,
    };
    return 0;
}

static int compare_duplicates(const void *one, const void *other)
{
    const struct duplicate *left = one, *right = other;

    return left->key < right->key ? -1 : left->key > right->key;
}

/* In the order of their lines, so that the ones that are kept are the first. */
static void report_duplicates(struct name_list *list, const struct duplicates *duplicates)
{
    struct order *order = list->order;

    if (duplicates->count > 1)
        qsort(duplicates->items, duplicates->count, sizeof(struct duplicate), compare_duplicates);
    for (size_t i = 0; i < duplicates->count; i++) {
        const struct duplicate *duplicate = &duplicates->items[i];
        uint8_t wire[NAME_SIZE_MAX];
        char text[NAME_TEXT_MAX], detail[320];
        uint32_t line = duplicate->line, first = duplicate->first_line;

        if (((line ^ first) & ORDER_LINE_INLINE) != 0)
            snprintf(detail, sizeof(detail), "line %u of %s lists it first",
                     first & ~ORDER_LINE_INLINE, line_file(order, first));
        else
            snprintf(detail, sizeof(detail), "line %u lists it first", first & ~ORDER_LINE_INLINE);
        name_key_read(list->keys + duplicate->key, wire);
        size_t size = name_text_write(wire, text);
        order_add_finding(order, line_file(order, line), line & ~ORDER_LINE_INLINE, text, size,
                          "is a duplicate", detail);
    }
}

/* Walks the sorted entries: the first of equal ones becomes a name in wire form, the others go to
 * `duplicates`. */
static int sort_out(const struct name_list *list, struct order_names *names,
                    struct duplicates *duplicates)
{
    const uint8_t *before = NULL;
    size_t used = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct name_key_entry *entry = &list->entries[i];
        const uint8_t *key = list->keys + entry->key;
        if (i + NAME_KEY_AHEAD < list->count)
            __builtin_prefetch(list->keys + entry[NAME_KEY_AHEAD].key);
        if (before != NULL && name_key_compare(before, key) == 0) {
            int rc = duplicates_add(duplicates, entry, names->lines[names->count - 1]);
            if (rc < 0)
                return rc;
            continue;
        }
        before = key;
        names->offsets[names->count] = (uint32_t)used;
        names->lines[names->count++] = entry->line;
        used += name_key_read(key, names->octets + used);
    }
    return 0;
}

static int allocate_names(const struct name_list *list, struct order_names *ret_names)
{
    struct order_names names = {0};

    if (list->wire_size > UINT32_MAX)
        return -E2BIG;
    names.octets = malloc(list->wire_size + 1);
    names.offsets = reallocarray(NULL, list->count + 1, sizeof(*names.offsets));
    names.lines = reallocarray(NULL, list->count + 1, sizeof(*names.lines));
    if (names.octets == NULL || names.offsets == NULL || names.lines == NULL) {
        order_names_clear(&names);
        return -ENOMEM;
    }
    *ret_names = names;
    return 0;
}

int name_list_finish(struct name_list *list, struct order_names *ret_names)
{
    struct duplicates duplicates = {0};
    struct order_names names;

    int rc = allocate_names(list, &names);
    if (rc < 0)
        return rc;
    name_key_sort(list->entries, list->count, list->keys);
    rc = sort_out(list, &names, &duplicates);
    if (rc == 0) {
        report_duplicates(list, &duplicates);
        *ret_names = names;
        name_list_reset(list);
    } else {
        order_names_clear(&names);
    }
    free(duplicates.items);
    return rc;
}
