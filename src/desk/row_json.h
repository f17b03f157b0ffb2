/* Columns of rows as JSON; null for SQL's NULL. NULL is out of memory. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "desk/store.h"

/* Of Unix seconds, as RFC 3339. */
json_t *row_time_json(const struct store_rows *rows, size_t row, size_t column);
json_t *row_text_json(const struct store_rows *rows, size_t row, size_t column);
