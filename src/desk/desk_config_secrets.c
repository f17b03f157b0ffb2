/* The section `secrets`: the key that seals what the database must not tell by itself. */
#include <stdlib.h>

#include "desk/desk_config_internal.h"

const cyaml_schema_field_t desk_secrets_fields[] = {
    OPTIONAL_TEXT("key-file", struct raw_secrets, key_file),
    CYAML_FIELD_END,
};

int desk_config_check_secrets(const struct desk_config_source *source, struct desk_config *config,
                              struct error *ret_error)
{
    const struct raw_secrets *raw = source->raw->secrets;
    return raw == NULL || raw->key_file == NULL
               ? 0
               : config_value_file(&source->values, config_value_place("secrets.key-file"),
                                   "the key", raw->key_file, &config->secrets.key_file, ret_error);
}

void desk_config_clear_secrets(struct desk_config *config)
{
    free(config->secrets.key_file);
}
