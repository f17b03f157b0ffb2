/* The names file: one name a line, '#' begins a comment, any number of lines. It is streamed; what
 * is kept of it is bounded. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "dns/name.h"

/* Findings kept with their text. */
#define SURVEY_EXAMPLES_MAX 20

/* Names kept as samples, each with another parent: through them the zones are found. */
#define SURVEY_SAMPLES_MAX 256

struct name_file;

_must_check_ int name_file_open(const char *path, struct name_file **ret_file,
                                struct error *ret_error);
void name_file_close(struct name_file *file);
DEFINE_FREEP(struct name_file, name_file_close)

/* Starts again at the first line. Returns false for a pipe, which cannot. */
bool name_file_rewind(struct name_file *file);

struct name_line {
    uint64_t number;             /* of the line, from 1 */
    const char *fault;           /* why it holds no name; NULL: it does */
    uint8_t name[NAME_SIZE_MAX]; /* wire form, letter case as written */
    uint8_t name_size;
    char text[256]; /* as written, where there is a fault; what does not print becomes '?' */
};

/* Reads up to the next line with a name or a fault. Returns 1, 0 at the end, or a negative errno.
 */
_must_check_ int name_file_next(struct name_file *file, struct name_line *ret_line,
                                struct error *ret_error);

struct survey_example {
    uint64_t line;
    const char *reason;
    char text[256];
};

/* What there is to say about all names together. */
struct survey {
    uint64_t names, faults, duplicates;
    bool duplicates_partial; /* the file is too long for all names to be remembered */
    struct survey_example examples[SURVEY_EXAMPLES_MAX];
    size_t example_count;
    struct survey_sample {
        uint8_t name[NAME_SIZE_MAX];
        uint8_t parent_offset;
    } samples[SURVEY_SAMPLES_MAX];
    size_t sample_count;
    uint64_t *hashes; /* of the names seen; 0: free */
    size_t hash_count, hash_capacity;
};

void survey_clear(struct survey *survey);
void survey_add_line(struct survey *survey, const struct name_line *line);
/* Takes a name as a sample if its parent is new. */
void survey_add_sample(struct survey *survey, const uint8_t *name);
