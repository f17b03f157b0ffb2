#include "cli/prove_names.h"

#include <errno.h>
#include <libknot/dname.h>
#include <stdlib.h>
#include <string.h>

/* A name of 255 octets takes at most 1016 characters, each octet written as \DDD. */
#define LINE_SIZE_MAX 2048

/* Names whose hashes are remembered, at 16 octets each; names beyond are not checked for
 * duplicates, which cost a second question and nothing else. */
#define HASHES_MAX (16u << 20)

struct name_file {
    FILE *stream;
    char *path;
    uint64_t line;
    bool skips_line; /* the rest of a line that was too long */
    size_t begin, end;
    char buffer[256 << 10];
};

int name_file_open(const char *path, struct name_file **ret_file, struct error *ret_error)
{
    _cleanup_(name_file_closep) struct name_file *file = calloc(1, sizeof(*file));
    if (file == NULL || (file->path = strdup(path)) == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    file->stream = fopen(path, "re");
    if (file->stream == NULL)
        return error_set_at(ret_error, -errno, path, 0, "cannot open the names file: %s",
                            strerror(errno));
    setvbuf(file->stream, NULL, _IONBF, 0);
    *ret_file = TAKE(file);
    return 0;
}

void name_file_close(struct name_file *file)
{
    if (file == NULL)
        return;
    if (file->stream != NULL)
        fclose(file->stream);
    free(file->path);
    free(file);
}

bool name_file_rewind(struct name_file *file)
{
    if (fseek(file->stream, 0, SEEK_SET) < 0)
        return false;
    file->line = 0;
    file->begin = file->end = 0;
    file->skips_line = false;
    return true;
}

/* Moves the unread rest to the front and reads more behind it. Returns the octets read. */
static size_t buffer_fill(struct name_file *file)
{
    memmove(file->buffer, file->buffer + file->begin, file->end - file->begin);
    file->end -= file->begin;
    file->begin = 0;
    size_t got = fread(file->buffer + file->end, 1, sizeof(file->buffer) - file->end, file->stream);
    file->end += got;
    return got;
}

/* Skips the rest of a line that was cut. Returns false at the end of the file. */
static bool line_skip(struct name_file *file)
{
    for (;;) {
        char *newline = memchr(file->buffer + file->begin, '\n', file->end - file->begin);
        if (newline != NULL) {
            file->begin = (size_t)(newline - file->buffer) + 1;
            return true;
        }
        file->begin = file->end;
        if (buffer_fill(file) == 0)
            return false;
    }
}

/* Finds the next line without its newline. A line longer than the bound is cut; its rest is
 * skipped. Returns 1, 0 at the end, or a negative errno. */
static int line_next(struct name_file *file, const char **ret_text, size_t *ret_size)
{
    char *newline;
    if (file->skips_line) {
        file->skips_line = false;
        if (!line_skip(file) && !ferror(file->stream))
            return 0;
    }
    for (;;) {
        size_t held = file->end - file->begin;
        newline = memchr(file->buffer + file->begin, '\n', held);
        if (newline != NULL || held > LINE_SIZE_MAX)
            break;
        if (buffer_fill(file) > 0)
            continue;
        if (ferror(file->stream))
            return errno != 0 ? -errno : -EIO;
        if (held == 0)
            return 0;
        newline = file->buffer + file->end;
        break;
    }

    file->line++;
    *ret_text = file->buffer + file->begin;
    if (newline != NULL) {
        *ret_size = (size_t)(newline - *ret_text);
        file->begin += *ret_size + (newline < file->buffer + file->end);
        return 1;
    }

    *ret_size = LINE_SIZE_MAX + 1;
    file->begin += *ret_size;
    file->skips_line = true;
    return 1;
}

static bool is_blank(char character)
{
    return character == ' ' || character == '\t' || character == '\r';
}

static const char *name_parse_text(const char *text, size_t size, struct name_line *ret_line)
{
    char copy[LINE_SIZE_MAX + 1];
    for (size_t i = 0; i < size; i++) {
        if (is_blank(text[i]))
            return "more than one word on the line";
        if ((unsigned char)text[i] > 126)
            return "not ASCII: write an internationalised name as A-label (xn--...)";
        if (text[i] < ' ')
            return "a control character";
    }
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (knot_dname_from_str(ret_line->name, copy, sizeof(ret_line->name)) == NULL)
        return "not a domain name";
    ret_line->name_size = (uint8_t)knot_dname_size(ret_line->name);
    return NULL;
}

int name_file_next(struct name_file *file, struct name_line *ret_line, struct error *ret_error)
{
    const char *text = "";
    size_t size = 0;
    for (;;) {
        errno = 0;
        int rc = line_next(file, &text, &size);
        if (rc < 0)
            return error_set_at(ret_error, rc, file->path, 0, "cannot read the names file: %s",
                                strerror(-rc));
        if (rc == 0)
            return 0;

        bool cut = size > LINE_SIZE_MAX;
        const char *comment = memchr(text, '#', size);
        if (comment != NULL) {
            size = (size_t)(comment - text);
            cut = false;
        }
        while (size > 0 && is_blank(text[0])) {
            text++;
            size--;
        }
        while (size > 0 && is_blank(text[size - 1]))
            size--;
        if (size == 0)
            continue;

        ret_line->number = file->line;
        ret_line->fault = cut ? "longer than any name" : name_parse_text(text, size, ret_line);
        if (ret_line->fault != NULL) {
            size_t shown = size < sizeof(ret_line->text) - 1 ? size : sizeof(ret_line->text) - 1;
            for (size_t i = 0; i < shown; i++)
                ret_line->text[i] = text[i] >= ' ' && text[i] < 127 ? text[i] : '?';
            ret_line->text[shown] = '\0';
        }
        return 1;
    }
}

void survey_clear(struct survey *survey)
{
    free(survey->hashes);
    *survey = (struct survey){0};
}

static void survey_note(struct survey *survey, uint64_t line, const char *reason, const char *text)
{
    if (survey->example_count == SURVEY_EXAMPLES_MAX)
        return;
    struct survey_example *example = &survey->examples[survey->example_count++];
    example->line = line;
    example->reason = reason;
    snprintf(example->text, sizeof(example->text), "%.*s", (int)sizeof(example->text) - 1, text);
}

/* Returns false if it was there before. */
static bool hashes_insert(uint64_t *hashes, size_t capacity, uint64_t hash)
{
    for (size_t i = hash & (capacity - 1);; i = (i + 1) & (capacity - 1)) {
        if (hashes[i] == hash)
            return false;
        if (hashes[i] == 0) {
            hashes[i] = hash;
            return true;
        }
    }
}

static bool hashes_grow(struct survey *survey)
{
    size_t capacity = survey->hash_capacity == 0 ? 1024 : 2 * survey->hash_capacity;
    if (survey->hash_count >= HASHES_MAX)
        return false;
    uint64_t *hashes = calloc(capacity, sizeof(*hashes));
    if (hashes == NULL)
        return false;
    for (size_t i = 0; i < survey->hash_capacity; i++)
        if (survey->hashes[i] != 0)
            hashes_insert(hashes, capacity, survey->hashes[i]);
    free(survey->hashes);
    survey->hashes = hashes;
    survey->hash_capacity = capacity;
    return true;
}

static bool survey_holds(struct survey *survey, const uint8_t *name)
{
    if (survey->duplicates_partial)
        return false;
    if (2 * survey->hash_count >= survey->hash_capacity && !hashes_grow(survey)) {
        survey->duplicates_partial = true;
        free(TAKE(survey->hashes));
        return false;
    }
    uint64_t hash = name_hash(name);
    if (!hashes_insert(survey->hashes, survey->hash_capacity, hash != 0 ? hash : 1))
        return true;
    survey->hash_count++;
    return false;
}

void survey_add_sample(struct survey *survey, const uint8_t *name)
{
    if (survey->sample_count == SURVEY_SAMPLES_MAX)
        return;
    uint8_t parent_offset = name[0] == 0 ? 0 : (uint8_t)(1 + name[0]);
    /* Names of one zone mostly stand together: the newest sample is tried first. */
    for (size_t i = survey->sample_count; i-- > 0;)
        if (name_equal(survey->samples[i].name + survey->samples[i].parent_offset,
                       name + parent_offset))
            return;
    struct survey_sample *sample = &survey->samples[survey->sample_count++];
    memcpy(sample->name, name, name_wire_size(name));
    sample->parent_offset = parent_offset;
}

void survey_add_line(struct survey *survey, const struct name_line *line)
{
    if (line->fault != NULL) {
        survey->faults++;
        survey_note(survey, line->number, line->fault, line->text);
        return;
    }
    survey->names++;
    survey_add_sample(survey, line->name);
    if (survey_holds(survey, line->name)) {
        knot_dname_txt_storage_t text;
        survey->duplicates++;
        if (knot_dname_to_str(text, line->name, sizeof(text)) != NULL)
            survey_note(survey, line->number, "duplicate: asked about again", text);
    }
}
