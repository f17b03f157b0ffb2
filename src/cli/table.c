#include "cli/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Between two columns. */
#define GAP 2

struct table {
    const struct table_column *columns;
    size_t column_count;
    char **cells;
    size_t cell_count, capacity;
    bool lost; /* memory was out */
};

struct table *table_create(const struct table_column *columns, size_t column_count)
{
    struct table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    table->columns = columns;
    table->column_count = column_count;
    return table;
}

void table_free(struct table *table)
{
    if (table == NULL)
        return;
    for (size_t i = 0; i < table->cell_count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}

static bool is_control(char octet)
{
    return (unsigned char)octet < ' ' || octet == 0x7f;
}

void table_add(struct table *table, const char *text)
{
    if (table->cell_count == table->capacity) {
        size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        char **cells = reallocarray(table->cells, capacity, sizeof(*cells));
        if (cells == NULL) {
            table->lost = true;
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }

    char *cell = strdup(text != NULL && text[0] != '\0' ? text : "-");
    if (cell == NULL) {
        table->lost = true;
        return;
    }
    for (char *c = cell; *c != '\0'; c++)
        if (is_control(*c))
            *c = '?';
    table->cells[table->cell_count++] = cell;
}

/* Characters, not octets: continuation octets of UTF-8 take no room. */
static size_t text_width(const char *text)
{
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static void cell_print(const struct table *table, size_t column, const char *text, size_t width,
                       FILE *stream)
{
    bool right = table->columns[column].right, last = column + 1 == table->column_count;
    int pad = (int)(width - text_width(text));

    if (right)
        fprintf(stream, "%*s%s", pad, "", text);
    else
        fprintf(stream, "%s%*s", text, last ? 0 : pad, "");
    fprintf(stream, last ? "\n" : "%*s", GAP, "");
}

int table_print(const struct table *table, FILE *stream)
{
    bool titled = table->columns[0].title != NULL;
    size_t row_count = table->cell_count / table->column_count;

    if (table->lost)
        return -ENOMEM;
    size_t *widths = calloc(table->column_count, sizeof(*widths));
    if (widths == NULL)
        return -ENOMEM;

    for (size_t i = 0; titled && i < table->column_count; i++)
        widths[i] = text_width(table->columns[i].title);
    for (size_t i = 0; i < row_count * table->column_count; i++) {
        size_t width = text_width(table->cells[i]);
        if (width > widths[i % table->column_count])
            widths[i % table->column_count] = width;
    }

    for (size_t i = 0; titled && i < table->column_count; i++)
        cell_print(table, i, table->columns[i].title, widths[i], stream);
    for (size_t i = 0; i < row_count * table->column_count; i++)
        cell_print(table, i % table->column_count, table->cells[i], widths[i % table->column_count],
                   stream);
    free(widths);
    return 0;
}

void text_print(FILE *stream, const char *text)
{
    for (; *text != '\0'; text++)
        fputc(is_control(*text) ? '?' : *text, stream);
}
