#include "desk/row_json.h"

#include "desk/clock.h"

json_t *row_time_json(const struct store_rows *rows, size_t row, size_t column)
{
    char text[CLOCK_TEXT_SIZE];
    if (store_row_is_null(rows, row, column))
        return json_null();
    return json_string(clock_text(store_row_integer(rows, row, column), text));
}

json_t *row_text_json(const struct store_rows *rows, size_t row, size_t column)
{
    const char *text = store_row_text(rows, row, column);
    return text != NULL ? json_string(text) : json_null();
}
