#include "base/error.h"

#include <stdarg.h>
#include <string.h>

/* Texts quote hostile input: a terminal must not act on what stands in it. */
static void hide_controls(char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f)
            *text = '?';
}

static int error_fill(struct error *error, int code, const char *file, uint32_t line,
                      const char *format, va_list arguments)
{
    if (error == NULL)
        return code;

    /* The arguments may point into *error itself, when a caller wraps a text: format into a copy.
     */
    struct error filled = {.code = code, .line = line};
    if (file != NULL)
        snprintf(filled.file, sizeof(filled.file), "%s", file);
    vsnprintf(filled.text, sizeof(filled.text), format, arguments);
    hide_controls(filled.file);
    hide_controls(filled.text);
    *error = filled;
    return code;
}

int error_set(struct error *error, int code, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, code, NULL, 0, format, arguments);
    va_end(arguments);
    return code;
}

int error_set_at(struct error *error, int code, const char *file, uint32_t line, const char *format,
                 ...)
{
    va_list arguments;
    va_start(arguments, format);
    error_fill(error, code, file, line, format, arguments);
    va_end(arguments);
    return code;
}

const char *error_format(const struct error *error, char *ret_text, size_t size)
{
    if (error->file[0] == '\0')
        snprintf(ret_text, size, "%s", error->text);
    else if (error->line == 0)
        snprintf(ret_text, size, "%s: %s", error->file, error->text);
    else
        snprintf(ret_text, size, "%s:%u: %s", error->file, error->line, error->text);
    return ret_text;
}

void error_print(FILE *stream, const char *program, const struct error *error)
{
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    fprintf(stream, "%s: %s\n", program, error_format(error, text, sizeof(text)));
}
