#include "base/config_value.h"

#include <errno.h>
#include <libgen.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct config_value_place config_value_place(const char *format, ...)
{
    struct config_value_place place;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(place.path, sizeof(place.path), format, arguments);
    va_end(arguments);
    return place;
}

int config_value_fail(const struct config_value_source *source, struct config_value_place place,
                      struct error *ret_error, const char *format, ...)
{
    char text[sizeof(ret_error->text)];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    return error_set_at(ret_error, -EINVAL, source->yaml->path,
                        yaml_source_line(source->yaml, place.path), "%s", text);
}

int config_value_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory while loading the configuration");
}

int config_value_paths(const char *path, char **ret_path, char **ret_directory,
                       struct error *ret_error)
{
    char *file = realpath(path, NULL);
    if (file == NULL)
        return error_set_at(ret_error, -errno, path, 0, "cannot be opened: %s", strerror(errno));

    char *copy = strdup(path);
    char *directory = copy != NULL ? realpath(dirname(copy), NULL) : NULL;
    int rc = 0;
    if (copy == NULL)
        rc = config_value_out_of_memory(ret_error);
    else if (directory == NULL)
        rc = error_set_at(ret_error, -errno, path, 0, "its folder cannot be opened: %s",
                          strerror(errno));
    free(copy);
    if (rc < 0) {
        free(file);
        return rc;
    }
    *ret_path = file;
    *ret_directory = directory;
    return 0;
}

int config_value_copy(const char *text, char **ret_copy, struct error *ret_error)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL)
        return config_value_out_of_memory(ret_error);
    *ret_copy = copy;
    return 0;
}

int config_value_path(const struct config_value_source *source, struct config_value_place place,
                      const char *what, const char *path, char **ret_path, struct error *ret_error)
{
    char *joined;

    if (path == NULL || path[0] == '/')
        return config_value_copy(path, ret_path, ret_error);
    if (path[0] == '\0')
        return config_value_fail(source, place, ret_error, "%s has no name: write its path", what);
    if (asprintf(&joined, "%s/%s", source->directory, path) < 0)
        return config_value_out_of_memory(ret_error);
    *ret_path = joined;
    return 0;
}

int config_value_file(const struct config_value_source *source, struct config_value_place place,
                      const char *what, const char *path, char **ret_path, struct error *ret_error)
{
    struct stat status;
    char *joined = NULL;

    int rc = config_value_path(source, place, what, path, &joined, ret_error);
    if (rc < 0 || joined == NULL)
        return rc;
    if (stat(joined, &status) < 0 || access(joined, R_OK) < 0)
        rc = config_value_fail(
            source, place, ret_error,
            "%s %s cannot be read: %s; relative paths begin at the configuration file", what,
            joined, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        rc =
            config_value_fail(source, place, ret_error, "%s %s is no file: name one", what, joined);
    if (rc < 0) {
        free(joined);
        return rc;
    }
    *ret_path = joined;
    return 0;
}

static bool has_port(const struct config_address *address)
{
    return address->address.ss_family == AF_INET
               ? ((const struct sockaddr_in *)&address->address)->sin_port != 0
               : ((const struct sockaddr_in6 *)&address->address)->sin6_port != 0;
}

static int address_parse(const struct config_value_source *source, struct config_value_place place,
                         const char *text, uint16_t port_default,
                         struct config_address *ret_address, struct error *ret_error)
{
    struct error problem;

    if (config_address_parse(text, port_default, ret_address, &problem) < 0)
        return config_value_fail(source, place, ret_error, "%s", problem.text);
    return 0;
}

int config_value_address(const struct config_value_source *source, struct config_value_place place,
                         const char *text, uint16_t port_default,
                         struct config_address *ret_address, struct error *ret_error)
{
    struct config_address address;

    int rc = address_parse(source, place, text, port_default, &address, ret_error);
    if (rc < 0)
        return rc;
    if (strchr(text, '/') != NULL)
        return config_value_fail(source, place, ret_error,
                                 "\"%s\" is a prefix: a single address must stand here", text);
    if (!has_port(&address))
        return config_value_fail(source, place, ret_error,
                                 "\"%s\" lacks its port: write %s@80, for example", text, text);
    *ret_address = address;
    return 0;
}

int config_value_addresses(const struct config_value_source *source,
                           struct config_value_place place, char *const *texts, size_t count,
                           uint16_t port_default, struct config_address **ret_list,
                           size_t *ret_count, struct error *ret_error)
{
    if (count == 0)
        return 0;
    struct config_address *list = calloc(count, sizeof(*list));
    if (list == NULL)
        return config_value_out_of_memory(ret_error);

    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++) {
        struct config_value_place entry = config_value_place("%s.%zu", place.path, i);
        rc = port_default == 0
                 ? address_parse(source, entry, texts[i], 0, &list[i], ret_error)
                 : config_value_address(source, entry, texts[i], port_default, &list[i], ret_error);
    }
    if (rc < 0) {
        free(list);
        return rc;
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

int config_value_number(const struct config_value_source *source, struct config_value_place place,
                        const unsigned *raw, unsigned value_default, unsigned value_min,
                        unsigned value_max, unsigned *ret_value, struct error *ret_error)
{
    unsigned value = raw != NULL ? *raw : value_default;
    if (value < value_min || value > value_max)
        return config_value_fail(source, place, ret_error, "%u is out of bounds: give %u to %u",
                                 value, value_min, value_max);
    *ret_value = value;
    return 0;
}
