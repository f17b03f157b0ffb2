#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>

int command_usage_error(const struct command *command, const char *format, ...)
{
    va_list arguments;

    fprintf(stderr, "tamis %s: ", command->path);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "; see tamis %s --help\n", command->path);
    return EXIT_USAGE;
}
