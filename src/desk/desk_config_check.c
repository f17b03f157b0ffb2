/* What the checks of all sections share: places, paths, secrets, addresses. */
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "desk/desk_config_internal.h"

#define SECRET_SIZE_MAX 4096

struct desk_config_place desk_config_place(const char *format, ...)
{
    struct desk_config_place place;
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(place.path, sizeof(place.path), format, arguments);
    va_end(arguments);
    return place;
}

int desk_config_fail(const struct desk_config_source *source, struct desk_config_place place,
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

int desk_config_out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "out of memory while loading the configuration");
}

int desk_config_copy(const char *text, char **ret_copy, struct error *ret_error)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    if (text != NULL && copy == NULL)
        return desk_config_out_of_memory(ret_error);
    *ret_copy = copy;
    return 0;
}

char *desk_config_path(const struct desk_config *config, const char *path)
{
    char *joined;

    if (path[0] == '/')
        return strdup(path);
    return asprintf(&joined, "%s/%s", config->directory, path) < 0 ? NULL : joined;
}

int desk_config_file(const struct desk_config_source *source, const struct desk_config *config,
                     struct desk_config_place place, const char *what, const char *path,
                     char **ret_path, struct error *ret_error)
{
    struct stat status;

    if (path[0] == '\0')
        return desk_config_fail(source, place, ret_error, "%s has no name: write its path", what);
    char *joined = desk_config_path(config, path);
    if (joined == NULL)
        return desk_config_out_of_memory(ret_error);

    int rc = 0;
    if (stat(joined, &status) < 0 || access(joined, R_OK) < 0)
        rc = desk_config_fail(
            source, place, ret_error,
            "%s %s cannot be read: %s; relative paths begin at the configuration file", what,
            joined, strerror(errno));
    else if (!S_ISREG(status.st_mode))
        rc = desk_config_fail(source, place, ret_error, "%s %s is no file: name one", what, joined);
    if (rc < 0) {
        free(joined);
        return rc;
    }
    *ret_path = joined;
    return 0;
}

static int secret_from_file(const struct desk_config_source *source,
                            const struct desk_config *config, struct desk_config_place place,
                            const char *file, char **ret_secret, struct error *ret_error)
{
    char *path = NULL;
    struct stat status;
    struct file_text text;

    int rc = desk_config_file(source, config, place, "the secret", file, &path, ret_error);
    if (rc < 0)
        return rc;
    if (stat(path, &status) == 0 && (status.st_mode & S_IRWXO) != 0)
        rc = desk_config_fail(source, place, ret_error,
                              "every user of this system may read or change %s: chmod o= it", path);
    if (rc == 0)
        rc = file_text_read(path, SECRET_SIZE_MAX, &text, ret_error);
    free(path);
    if (rc < 0)
        return rc;
    text.octets[strcspn(text.octets, "\r\n")] = '\0';
    rc = desk_config_copy(text.octets, ret_secret, ret_error);
    sodium_memzero(text.octets, text.size);
    file_text_clear(&text);
    return rc;
}

int desk_config_secret(const struct desk_config_source *source, const struct desk_config *config,
                       struct desk_config_place place, const char *file, const char *variable,
                       char **ret_secret, struct error *ret_error)
{
    char *secret = NULL;
    int rc = 0;

    if (file != NULL && variable != NULL)
        return desk_config_fail(source, place, ret_error,
                                "the secret is in two places: leave one of them out");
    if (file != NULL)
        rc = secret_from_file(source, config, place, file, &secret, ret_error);
    else if (variable != NULL && getenv(variable) == NULL)
        rc = desk_config_fail(source, place, ret_error,
                              "the environment has no %s: set it to the secret", variable);
    else if (variable != NULL)
        rc = desk_config_copy(getenv(variable), &secret, ret_error);
    if (rc < 0)
        return rc;
    if (secret != NULL && secret[0] == '\0') {
        free(secret);
        return desk_config_fail(source, place, ret_error, "the secret is empty: write it there");
    }
    *ret_secret = secret;
    return 0;
}

void desk_config_secret_free(char *secret)
{
    if (secret != NULL)
        sodium_memzero(secret, strlen(secret));
    free(secret);
}

int desk_config_address(const struct desk_config_source *source, struct desk_config_place place,
                        const char *text, uint16_t port_default, struct config_address *ret_address,
                        struct error *ret_error)
{
    struct config_address address;
    struct error problem;

    if (config_address_parse(text, port_default, &address, &problem) < 0)
        return desk_config_fail(source, place, ret_error, "%s", problem.text);
    if (port_default != 0 && strchr(text, '/') != NULL)
        return desk_config_fail(source, place, ret_error,
                                "\"%s\" is a prefix: a single address must stand here", text);
    *ret_address = address;
    return 0;
}

int desk_config_addresses(const struct desk_config_source *source, struct desk_config_place place,
                          char *const *texts, size_t count, uint16_t port_default,
                          struct config_address **ret_list, size_t *ret_count,
                          struct error *ret_error)
{
    if (count == 0)
        return 0;
    struct config_address *list = calloc(count, sizeof(*list));
    if (list == NULL)
        return desk_config_out_of_memory(ret_error);
    for (size_t i = 0; i < count; i++) {
        int rc = desk_config_address(source, desk_config_place("%s.%zu", place.path, i), texts[i],
                                     port_default, &list[i], ret_error);
        if (rc < 0) {
            free(list);
            return rc;
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

int desk_config_number(const struct desk_config_source *source, struct desk_config_place place,
                       const unsigned *raw, unsigned value_default, unsigned value_min,
                       unsigned value_max, unsigned *ret_value, struct error *ret_error)
{
    unsigned value = raw != NULL ? *raw : value_default;
    if (value < value_min || value > value_max)
        return desk_config_fail(source, place, ret_error, "%u is out of bounds: give %u to %u",
                                value, value_min, value_max);
    *ret_value = value;
    return 0;
}
