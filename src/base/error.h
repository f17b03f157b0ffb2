/* What went wrong, for a person: cause, place and remedy in one value.
 *
 * A function that can fail returns 0 or a negative errno value. The text travels in `struct error`,
 * filled where the cause is known and printed once at the top. Outputs are set only on success.
 */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "base/cleanup.h"

struct error {
    int code;       /* negative errno; 0 while nothing was reported */
    uint32_t line;  /* 1-based line in `file`; 0 when no line applies */
    char file[256]; /* path the error is about, as the user wrote it; "" when none applies */
    char text[512]; /* the cause and, after a colon or semicolon, the remedy; no trailing newline */
};

/* Fills `error` (may be NULL) and returns `code`, so that callers write `return error_set(...)`. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same with a place. `line` 0 means the file as a whole. */
int error_set_at(struct error *error, int code, const char *file, uint32_t line, const char *format,
                 ...) __attribute__((format(printf, 5, 6)));

/* Writes "file:line: text" (as much of it as is known) into `ret_text`; returns `ret_text`. */
const char *error_format(const struct error *error, char *ret_text, size_t size);

/* Prints "<program>: file:line: text\n". */
void error_print(FILE *stream, const char *program, const struct error *error);
