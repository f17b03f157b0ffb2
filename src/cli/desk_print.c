/* What a desk answers, for people and for programs. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/desk_client.h"
#include "cli/table.h"

static const json_t *member_find(const json_t *object, const char *path)
{
    char name[128];
    while (object != NULL && *path != '\0') {
        size_t size = strcspn(path, "/");
        (void)snprintf(name, sizeof(name), "%.*s", (int)size, path);
        object = json_object_get(object, name);
        path += size + (path[size] == '/');
    }
    return object;
}

/* A list as words apart by blanks. */
static void list_text(const json_t *list, char *text, size_t size)
{
    size_t used = 0, index;
    json_t *value;

    text[0] = '\0';
    json_array_foreach((json_t *)list, index, value)
    {
        const char *word = json_string_value(value);
        if (word == NULL || used + strlen(word) + 2 > size)
            break;
        used += (size_t)snprintf(text + used, size - used, "%s%s", used > 0 ? " " : "", word);
    }
}

static const char *value_text(const json_t *value, char *text, size_t size)
{
    text[0] = '\0';
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        (void)snprintf(text, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        (void)snprintf(text, size, "%g", json_real_value(value));
    else if (json_is_boolean(value))
        return json_is_true(value) ? "yes" : "no";
    else if (json_is_array(value))
        list_text(value, text, size);
    return text;
}

int desk_table_print(const json_t *items, const struct desk_column *columns, size_t column_count)
{
    struct table_column *heads = calloc(column_count, sizeof(*heads));
    char text[1024];
    size_t index;
    json_t *item;
    int rc = -ENOMEM;

    for (size_t i = 0; heads != NULL && i < column_count; i++)
        heads[i] = (struct table_column){.title = columns[i].title, .right = columns[i].right};
    struct table *table = heads != NULL ? table_create(heads, column_count) : NULL;
    if (table != NULL) {
        json_array_foreach((json_t *)items, index, item)
        {
            for (size_t i = 0; i < column_count; i++)
                table_add(table,
                          value_text(member_find(item, columns[i].member), text, sizeof(text)));
        }
        rc = table_print(table, stdout);
    }
    table_free(table);
    free(heads);
    return rc;
}

int desk_object_print(const json_t *object, const struct desk_column *columns, size_t column_count)
{
    static const struct table_column heads[] = {{NULL, false}, {NULL, false}};
    _cleanup_(table_freep) struct table *table = table_create(heads, 2);
    char text[1024];

    if (table == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < column_count; i++) {
        const json_t *value = member_find(object, columns[i].member);
        if (value == NULL)
            continue;
        table_add(table, columns[i].title);
        table_add(table, value_text(value, text, sizeof(text)));
    }
    return table_print(table, stdout);
}

void desk_json_print(const json_t *json)
{
    json_dumpf(json, stdout, JSON_INDENT(2) | JSON_ENCODE_ANY);
    putchar('\n');
}
