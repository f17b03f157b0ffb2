#include "desk/interest_keys.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "desk/desk_config.h"
#include "desk/key_file.h"

static const char key_info[] = "tamis interest key";

static int key_make(const char *path, struct error *ret_error)
{
    int rc = key_file_make(path, ret_error);
    if (rc == 0)
        log_event(LOG_INFO, "the key of deconfliction is made, %s: keep a copy", path);
    return rc;
}

static int key_load(const char *path, struct interest_key *ret_key, struct error *ret_error)
{
    static const char what[] = "key of deconfliction";
    uint8_t seed[BLINDING_SEED_SIZE], public[BLINDING_ELEMENT_SIZE];

    static_assert(sizeof(seed) == KEY_FILE_OCTETS, "a file holds a seed");
    int rc = key_file_read(path, what, seed, ret_error);
    if (rc < 0)
        return rc;
    rc = blinding_key_derive(seed, key_info, sizeof(key_info) - 1, ret_key->secret, public);
    sodium_memzero(seed, sizeof(seed));
    if (rc < 0)
        return error_set_at(ret_error, -EINVAL, path, 0,
                            "is no %s: it has 64 hexadecimal digits, as of 'openssl rand -hex 32'",
                            what);
    sodium_bin2hex(ret_key->id, sizeof(ret_key->id), public, sizeof(ret_key->id) / 2);
    return 0;
}

static int key_load_own(const struct desk_config *config, struct interest_key *ret_key,
                        struct error *ret_error)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof(path), "%s/interest.key", config->state) >= (int)sizeof(path))
        return error_set_at(ret_error, -ENAMETOOLONG, config->state, 0, "is too long a path");
    int rc = 0;
    if (access(path, F_OK) < 0 && errno == ENOENT)
        rc = key_make(path, ret_error);
    return rc < 0 ? rc : key_load(path, ret_key, ret_error);
}

int interest_keys_load(const struct desk_config *config, struct interest_keys **ret_keys,
                       struct error *ret_error)
{
    const struct desk_config_interests *interests = &config->interests;
    struct interest_keys *keys = calloc(1, sizeof(*keys));
    const size_t count = interests->key_count > 0 ? interests->key_count : 1;
    if (keys != NULL)
        keys->keys = calloc(count, sizeof(*keys->keys));
    if (keys == NULL || keys->keys == NULL) {
        free(keys);
        return error_set(ret_error, -ENOMEM, "out of memory for keys");
    }
    keys->count = count;
    int rc = 0;
    if (interests->key_count == 0)
        rc = key_load_own(config, &keys->keys[0], ret_error);
    for (size_t i = 0; i < interests->key_count && rc == 0; i++)
        rc = key_load(interests->key_files[i], &keys->keys[i], ret_error);
    if (rc < 0) {
        interest_keys_free(keys);
        return rc;
    }
    *ret_keys = keys;
    return 0;
}

void interest_keys_free(struct interest_keys *keys)
{
    if (keys == NULL)
        return;
    sodium_memzero(keys->keys, keys->count * sizeof(*keys->keys));
    free(keys->keys);
    free(keys);
}

const struct interest_key *interest_key_find(const struct interest_keys *keys, const char *id)
{
    for (size_t i = 0; i < keys->count; i++)
        if (strcmp(keys->keys[i].id, id) == 0)
            return &keys->keys[i];
    return NULL;
}
