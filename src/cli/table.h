/* Tables for a terminal: columns as wide as their widest cell, numbers to the right. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/cleanup.h"

struct table_column {
    const char *title; /* NULL in the first column: no line of titles */
    bool right;        /* aligned to the right, as numbers are */
};

struct table;

/* `columns` must live as long as the table. NULL: out of memory. */
struct table *table_create(const struct table_column *columns, size_t column_count);
void table_free(struct table *table);
DEFINE_FREEP(struct table, table_free)

/* Adds the next cell, from left to right and row by row; NULL and "" show as "-". The text is
 * copied; control characters in it show as '?', since cells may quote hostile lists. Lack of memory
 * is reported by table_print(). */
void table_add(struct table *table, const char *text);

/* Prints whole rows. Returns 0 or -ENOMEM when cells were lost. */
_must_check_ int table_print(const struct table *table, FILE *stream);

/* Prints text with control characters as '?'. */
void text_print(FILE *stream, const char *text);
