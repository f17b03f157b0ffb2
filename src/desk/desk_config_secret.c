/* Secrets, which several sections have. */
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "desk/desk_config_internal.h"

#define SECRET_SIZE_MAX 4096

static int secret_from_file(const struct desk_config_source *source,
                            struct config_value_place place, const char *file, char **ret_secret,
                            struct error *ret_error)
{
    char *path = NULL;
    struct stat status;
    struct file_text text;

    int rc = config_value_file(&source->values, place, "the secret", file, &path, ret_error);
    if (rc < 0)
        return rc;
    if (stat(path, &status) == 0 && (status.st_mode & S_IRWXO) != 0)
        rc =
            config_value_fail(&source->values, place, ret_error,
                              "every user of this system may read or change %s: chmod o= it", path);
    if (rc == 0)
        rc = file_text_read(path, SECRET_SIZE_MAX, &text, ret_error);
    free(path);
    if (rc < 0)
        return rc;
    text.octets[strcspn(text.octets, "\r\n")] = '\0';
    rc = config_value_copy(text.octets, ret_secret, ret_error);
    sodium_memzero(text.octets, text.size);
    file_text_clear(&text);
    return rc;
}

int desk_config_secret(const struct desk_config_source *source, struct config_value_place place,
                       const char *file, const char *variable, char **ret_secret,
                       struct error *ret_error)
{
    char *secret = NULL;
    int rc = 0;

    if (file != NULL && variable != NULL)
        return config_value_fail(&source->values, place, ret_error,
                                 "the secret is in two places: leave one of them out");
    if (file != NULL)
        rc = secret_from_file(source, place, file, &secret, ret_error);
    else if (variable != NULL && getenv(variable) == NULL)
        rc = config_value_fail(&source->values, place, ret_error,
                               "the environment has no %s: set it to the secret", variable);
    else if (variable != NULL)
        rc = config_value_copy(getenv(variable), &secret, ret_error);
    if (rc < 0)
        return rc;
    if (secret != NULL && secret[0] == '\0') {
        free(secret);
        return config_value_fail(&source->values, place, ret_error,
                                 "the secret is empty: write it there");
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
