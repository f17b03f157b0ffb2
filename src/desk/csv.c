#include "desk/csv.h"

#include <errno.h>
#include <string.h>

void csv_open(struct csv *csv, char *text)
{
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    *csv = (struct csv){.at = text, .line = 1};
}

/* Takes a quoted field; two quotes stand for one. */
static int quoted_take(struct csv *csv, char **ret_field)
{
    char *from = csv->at + 1, *to = from;
    *ret_field = from;
    for (; *from != '\0'; from++) {
        if (*from == '\n')
            csv->line++;
        if (*from != '"') {
            *to++ = *from;
        } else if (from[1] == '"') {
            *to++ = *from++;
        } else {
            csv->at = from + 1;
            *to = '\0';
            return strchr(",\r\n", *csv->at) != NULL ? 0 : -EINVAL;
        }
    }
    return -EINVAL;
}

static int field_take(struct csv *csv, char **ret_field)
{
    if (*csv->at == '"')
        return quoted_take(csv, ret_field);
    *ret_field = csv->at;
    csv->at += strcspn(csv->at, ",\r\n\"");
    return *csv->at == '"' ? -EINVAL : 0;
}

/* Ends the field at the cursor and steps over what ends it; returns whether the record goes on. */
static bool field_end(struct csv *csv)
{
    char end = *csv->at;
    if (end == '\0')
        return false;
    *csv->at++ = '\0';
    if (end == '\r' && *csv->at == '\n')
        csv->at++;
    if (end != ',')
        csv->line++;
    return end == ',';
}

int csv_next(struct csv *csv, struct csv_record *ret_record)
{
    for (; *csv->at == '\n' || *csv->at == '\r'; csv->at++)
        csv->line += *csv->at == '\n';
    ret_record->line = csv->line;
    ret_record->count = 0;
    if (*csv->at == '\0')
        return 0;
    do {
        if (ret_record->count == CSV_FIELDS_MAX ||
            field_take(csv, &ret_record->fields[ret_record->count]) < 0)
            return -EINVAL;
        ret_record->count++;
    } while (field_end(csv));
    return 1;
}
