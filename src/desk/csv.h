/* Reads CSV (RFC 4180): records of fields apart by commas, quoted where they have to be. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define CSV_FIELDS_MAX 16

struct csv {
    char *at; /* what is left; fields are cut out of it in place */
    unsigned line;
};

/* One record: its fields, and the line where it begins. */
struct csv_record {
    unsigned line;
    size_t count;
    char *fields[CSV_FIELDS_MAX];
};

/* Begins to read `text`, which is changed. A byte-order mark is skipped. */
void csv_open(struct csv *csv, char *text);

/* The next record that is not empty: 1; 0 at the end; -EINVAL: a quote that does not end or ends
 * within a field, or too many fields; `ret_record->line` says where. */
int csv_next(struct csv *csv, struct csv_record *ret_record);
