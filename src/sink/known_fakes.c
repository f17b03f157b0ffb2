#include "sink/known_fakes.h"

#include <errno.h>
#include <stdlib.h>

#include "base/file_text.h"
#include "sink/text_part.h"

/* Of the file; thousands of rows. */
#define FILE_SIZE_MAX (1024 * 1024)

enum column { COLUMN_NAME, COLUMN_FAMILY, COLUMN_BOT, COLUMN_MACHINE, COLUMN_USER, COLUMN_COUNT };

static const char *const column_names[COLUMN_COUNT] = {"name", "family", "bot", "machine", "user"};

struct row {
    const char *columns[COLUMN_COUNT]; /* in the file's text; patterns in lower case */
};

struct known_fakes {
    struct file_text text;
    struct row *rows;
    size_t count, room;
};

void known_fakes_free(struct known_fakes *fakes)
{
    if (fakes == NULL)
        return;
    file_text_clear(&fakes->text);
    free(fakes->rows);
    free(fakes);
}

size_t known_fakes_count(const struct known_fakes *fakes)
{
    return fakes->count;
}

/* Takes a word off the front of `line` and ends it with NUL; NULL at the line's end. */
static char *take_word(char **line)
{
    char *word = *line + strspn(*line, " \t");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " \t");
    *line = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

/* In lower case, with its spaces back. */
static void make_pattern(char *word)
{
    for (; *word != '\0'; word++) {
        *word = (char)letter_lower((uint8_t)*word);
        if (*word == '+')
            *word = ' ';
    }
}

static bool is_quoted(const char *text)
{
    size_t size = strlen(text);
    return size > 2 && text[0] == '"' && text[size - 1] == '"';
}

static char *trim_end(char *line)
{
    for (size_t size = strlen(line); size > 0 && strchr(" \t\r", line[size - 1]) != NULL; size--)
        line[size - 1] = '\0';
    return line;
}

static int add_row(struct known_fakes *fakes, const struct row *row)
{
    if (fakes->count == fakes->room) {
        size_t room = fakes->room == 0 ? 16 : 2 * fakes->room;
        struct row *rows = reallocarray(fakes->rows, room, sizeof(*rows));
        if (rows == NULL)
            return -ENOMEM;
        fakes->rows = rows;
        fakes->room = room;
    }
    fakes->rows[fakes->count++] = *row;
    return 0;
}

static bool is_any(const char *pattern)
{
    return strcmp(pattern, "*") == 0;
}

static int read_line(struct known_fakes *fakes, const char *path, uint32_t number, char *line,
                     struct error *ret_error)
{
    struct row row;
    line = trim_end(line + strspn(line, " \t"));
    if (*line == '\0' || *line == '#')
        return 0;
    for (enum column column = 0; column < COLUMN_COUNT; column++) {
        char *word = take_word(&line);
        if (word == NULL || *word == '"')
            return error_set_at(ret_error, -EINVAL, path, number,
                                "the column \"%s\" is missing: a row is name, family, bot, "
                                "machine, user and the \"source\"",
                                column_names[column]);
        if (column != COLUMN_NAME)
            make_pattern(word);
        row.columns[column] = word;
    }
    line += strspn(line, " \t");
    if (!is_quoted(line))
        return error_set_at(ret_error, -EINVAL, path, number,
                            "\"%s\" has no source: end the row with where it is described, in "
                            "double quotes",
                            row.columns[COLUMN_NAME]);
    if (is_any(row.columns[COLUMN_BOT]) && is_any(row.columns[COLUMN_MACHINE]) &&
        is_any(row.columns[COLUMN_USER]))
        return error_set_at(ret_error, -EINVAL, path, number,
                            "\"%s\" would match every check-in: name a bot, a machine or a user",
                            row.columns[COLUMN_NAME]);
    if (add_row(fakes, &row) < 0)
        return error_set(ret_error, -ENOMEM, "no memory for the rows of %s", path);
    return 0;
}

int known_fakes_load(const char *path, struct known_fakes **ret_fakes, struct error *ret_error)
{
    _cleanup_(known_fakes_freep) struct known_fakes *fakes = calloc(1, sizeof(*fakes));
    if (fakes == NULL)
        return error_set(ret_error, -ENOMEM, "no memory to read %s", path);
    int rc = file_text_read(path, FILE_SIZE_MAX, &fakes->text, ret_error);
    if (rc < 0)
        return rc;

    char *line = fakes->text.octets, *end = line + fakes->text.size;
    for (uint32_t number = 1; line < end; number++) {
        char *newline = memchr(line, '\n', (size_t)(end - line));
        char *next = newline == NULL ? end : newline + 1;
        if (memchr(line, '\0', (size_t)(next - line)) != NULL)
            return error_set_at(ret_error, -EINVAL, path, number,
                                "the line has a NUL octet: write it as text");
        if (newline != NULL)
            *newline = '\0';
        rc = read_line(fakes, path, number, line, ret_error);
        if (rc < 0)
            return rc;
        line = next;
    }
    *ret_fakes = TAKE(fakes);
    return 0;
}

static bool matches(const char *pattern, struct sink_text text)
{
    size_t size = strlen(pattern);
    if (is_any(pattern))
        return true;
    if (pattern[0] == '*')
        return text.size >= size - 1 &&
               text_is(text_after(text, text.size - (size - 1)), pattern + 1);
    if (pattern[size - 1] != '*')
        return text_is(text, pattern);
    for (size_t i = 0; i + 1 < size; i++) {
        if (i == text.size || letter_lower(text.octets[i]) != (uint8_t)pattern[i])
            return false;
    }
    return true;
}

const char *known_fakes_find(const struct known_fakes *fakes,
                             const struct sink_recognition *recognition)
{
    if (recognition->kind != SINK_CHECKIN)
        return NULL;
    for (size_t i = 0; i < fakes->count; i++) {
        const char *const *columns = fakes->rows[i].columns;
        if (matches(columns[COLUMN_FAMILY], text_word(recognition->family)) &&
            matches(columns[COLUMN_BOT], recognition->bot) &&
            matches(columns[COLUMN_MACHINE], recognition->machine) &&
            matches(columns[COLUMN_USER], recognition->user))
            return columns[COLUMN_NAME];
    }
    return NULL;
}
