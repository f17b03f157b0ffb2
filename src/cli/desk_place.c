/* Where the desk is, and the token for it: options, environment, desk.yaml. */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_text.h"
#include "base/yaml_load.h"
#include "cli/desk_client.h"

#define TOKEN_FILE_SIZE_MAX 4096

struct raw_place {
    char *desk, *token_file;
};

#define OPTIONAL_TEXT(key, member)                                                          \
    CYAML_FIELD_STRING_PTR(key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, struct raw_place, \
                           member, 0, CYAML_UNLIMITED)

static const cyaml_schema_field_t place_fields[] = {
    OPTIONAL_TEXT("desk", desk),
    OPTIONAL_TEXT("token-file", token_file),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t place_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct raw_place, place_fields),
};

static const char *environment(const char *name)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? text : NULL;
}

char *desk_folder(void)
{
    const char *config = environment("XDG_CONFIG_HOME"), *home = environment("HOME");
    char *folder;
    int size;

    if (config != NULL)
        size = asprintf(&folder, "%s/tamis", config);
    else if (home != NULL)
        size = asprintf(&folder, "%s/.config/tamis", home);
    else
        return NULL;
    return size < 0 ? NULL : folder;
}

static int out_of_memory(struct error *ret_error)
{
    return error_set(ret_error, -ENOMEM, "no memory to look for the desk");
}

/* A token in the clear on a network is everybody's. */
static bool is_own_machine(const char *host)
{
    size_t size = strcspn(host, ":/?#");
    if (host[0] == '[')
        return strncmp(host, "[::1]", 5) == 0 && strchr(":/", host[5]) != NULL;
    return (size == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (strncmp(host, "127.", 4) == 0 && strspn(host, "0123456789.") == size);
}

static int url_check(const char *url, char **ret_url, struct error *ret_error)
{
    size_t size = strlen(url);
    bool is_clear = strncasecmp(url, "http://", 7) == 0;

    if (!is_clear && strncasecmp(url, "https://", 8) != 0)
        return error_set(ret_error, -EINVAL,
                         "\"%s\" is no address of a desk: write https://desk.example", url);
    if (strchr(url, '@') != NULL)
        return error_set(ret_error, -EINVAL,
                         "the desk's address has a name in it: leave out what stands before the @");
    if (is_clear && !is_own_machine(url + 7))
        return error_set(ret_error, -EINVAL, "%s would send the token in the clear: write https://",
                         url);
    while (size > 0 && url[size - 1] == '/')
        size--;
    *ret_url = strndup(url, size);
    return *ret_url == NULL ? out_of_memory(ret_error) : 0;
}

/* The first line of a file that nobody else may read. */
static int token_read(const char *path, char **ret_token, struct error *ret_error)
{
    struct file_text text;
    struct stat status;

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) &&
        (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "others may read or change the token: chmod 600 it");
    int rc = file_text_read(path, TOKEN_FILE_SIZE_MAX, &text, ret_error);
    if (rc < 0)
        return rc;
    text.octets[strcspn(text.octets, "\r\n")] = '\0';
    if (text.octets[0] == '\0')
        rc = error_set_at(ret_error, -EINVAL, path, 0,
                          "there is no token in it: see tamis account login --help");
    else if ((*ret_token = strdup(text.octets)) == NULL)
        rc = out_of_memory(ret_error);
    sodium_memzero(text.octets, text.size);
    file_text_clear(&text);
    return rc;
}

/* What desk.yaml says where nothing else does. Paths in it begin at its folder. */
static int file_use(const char *folder, bool needs_url, bool needs_token, struct desk_place *place,
                    struct error *ret_error)
{
    char path[4096], token_path[8192];
    void *loaded = NULL;

    (void)snprintf(path, sizeof(path), "%s/desk.yaml", folder);
    if (access(path, F_OK) < 0)
        return 0;
    int rc = yaml_load_file(path, &place_schema, &loaded, ret_error);
    if (rc < 0)
        return rc;
    const struct raw_place *raw = loaded;
    if (raw != NULL && needs_url && raw->desk != NULL)
        rc = url_check(raw->desk, &place->url, ret_error);
    /* The token is for the desk that stands beside it, and for no other. */
    bool is_meant =
        raw != NULL && raw->desk != NULL && place->url != NULL &&
        strncmp(raw->desk, place->url, strlen(place->url)) == 0 &&
        strspn(raw->desk + strlen(place->url), "/") == strlen(raw->desk) - strlen(place->url);
    if (rc == 0 && is_meant && needs_token && raw->token_file != NULL) {
        (void)snprintf(token_path, sizeof(token_path), "%s%s%s",
                       raw->token_file[0] == '/' ? "" : folder,
                       raw->token_file[0] == '/' ? "" : "/", raw->token_file);
        if (access(token_path, F_OK) == 0) /* else there is none: sign in by tamis account login */
            rc = token_read(token_path, &place->token, ret_error);
    }
    yaml_value_free(&place_schema, loaded, 0);
    return rc;
}

int desk_place_find(const struct desk_options *options, struct desk_place *ret_place,
                    struct error *ret_error)
{
    struct desk_place place = {0};
    const char *url = options->url != NULL ? options->url : environment("TAMIS_DESK");
    const char *token = environment("TAMIS_DESK_TOKEN");
    char *folder = desk_folder();
    int rc = 0;

    if (url != NULL)
        rc = url_check(url, &place.url, ret_error);
    if (rc == 0 && options->token_file != NULL)
        rc = token_read(options->token_file, &place.token, ret_error);
    else if (rc == 0 && token != NULL && (place.token = strdup(token)) == NULL)
        rc = out_of_memory(ret_error);
    if (rc == 0 && folder != NULL)
        rc = file_use(folder, url == NULL, place.token == NULL, &place, ret_error);
    if (rc == 0 && place.url == NULL)
        rc = error_set(ret_error, -EINVAL,
                       "no desk is named: give --desk URL, or sign in by tamis account login");
    free(folder);
    if (rc < 0) {
        desk_place_clear(&place);
        return rc;
    }
    *ret_place = place;
    return 0;
}

void desk_place_clear(struct desk_place *place)
{
    if (place->token != NULL)
        sodium_memzero(place->token, strlen(place->token));
    free(place->token);
    free(place->url);
    *place = (struct desk_place){0};
}
