#include "order/keyring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml_load.h"
#include "order/signing_key.h"

struct key_entry {
    char *name;
    char *public;
};

static const cyaml_schema_field_t entry_fields[] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct key_entry, name, 0, CYAML_UNLIMITED),
    CYAML_FIELD_STRING_PTR("public", CYAML_FLAG_POINTER, struct key_entry, public, 0,
                           CYAML_UNLIMITED),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t entry_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct key_entry, entry_fields),
};

static const cyaml_schema_value_t keyring_schema = {
    CYAML_VALUE_SEQUENCE(CYAML_FLAG_POINTER, struct key_entry, &entry_schema, 0, CYAML_UNLIMITED),
};

/* What the entries point to. */
struct storage {
    struct key_entry *entries;
    unsigned count;
    uint8_t (*public_keys)[SIGNING_PUBLIC_SIZE];
};

static int add_entry(struct keyring *keyring, const struct yaml_source *source, unsigned index,
                     struct error *ret_error)
{
    const struct storage *storage = keyring->storage;
    const struct key_entry *entry = &storage->entries[index];
    char place[24];

    snprintf(place, sizeof(place), "%u", index);
    if (!signer_name_valid(entry->name))
        return error_set_at(ret_error, -EINVAL, source->path, yaml_source_line(source, place),
                            "'%.64s' cannot name a signer", entry->name);
    if (!base64_decode_exactly(entry->public, storage->public_keys[index], SIGNING_PUBLIC_SIZE))
        return error_set_at(ret_error, -EINVAL, source->path, yaml_source_line(source, place),
                            "the public key of '%s' is not the base64 of %d octets; copy the line "
                            "of its .pub file",
                            entry->name, SIGNING_PUBLIC_SIZE);
    for (size_t i = 0; i < keyring->count; i++)
        if (strcmp(keyring->entries[i].name, entry->name) == 0)
            return error_set_at(ret_error, -EINVAL, source->path, yaml_source_line(source, place),
                                "'%s' stands here twice; keep one", entry->name);
    keyring->entries[keyring->count++] = (struct order_keyring_entry){
        .name = entry->name,
        .public_key = storage->public_keys[index],
    };
    return 0;
}

static int fill(struct keyring *keyring, const struct yaml_source *source, struct error *ret_error)
{
    struct storage *storage = keyring->storage;

    int rc = yaml_source_load(source, &keyring_schema, (void **)&storage->entries, &storage->count,
                              ret_error);
    if (rc < 0)
        return rc;
    storage->public_keys = calloc(storage->count + 1u, sizeof(*storage->public_keys));
    keyring->entries = calloc(storage->count + 1u, sizeof(*keyring->entries));
    if (storage->public_keys == NULL || keyring->entries == NULL)
        return error_set_at(ret_error, -ENOMEM, source->path, 0, "out of memory");
    for (unsigned i = 0; i < storage->count; i++) {
        rc = add_entry(keyring, source, i, ret_error);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int keyring_load(const char *path, struct keyring **ret_keyring, struct error *ret_error)
{
    _cleanup_(yaml_source_freep) struct yaml_source *source = NULL;
    _cleanup_(keyring_freep) struct keyring *keyring = NULL;

    int rc = yaml_source_read(path, &source, ret_error);
    if (rc < 0)
        return rc;
    keyring = calloc(1, sizeof(*keyring));
    if (keyring != NULL)
        keyring->storage = calloc(1, sizeof(struct storage));
    if (keyring == NULL || keyring->storage == NULL)
        return error_set_at(ret_error, -ENOMEM, path, 0, "out of memory");
    rc = fill(keyring, source, ret_error);
    if (rc < 0)
        return rc;
    *ret_keyring = TAKE(keyring);
    return 0;
}

void keyring_free(struct keyring *keyring)
{
    if (keyring == NULL)
        return;
    struct storage *storage = keyring->storage;
    if (storage != NULL) {
        yaml_value_free(&keyring_schema, storage->entries, storage->count);
        free(storage->public_keys);
        free(storage);
    }
    free(keyring->entries);
    free(keyring);
}
