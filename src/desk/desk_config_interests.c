/* The section `interests`: keys and limits of deconfliction. */
#include <stdlib.h>

#include "desk/desk_config_internal.h"

#define KEYS_MAX 8 /* each makes a check of an order as much longer */

#define EVALUATIONS_DEFAULT 2000
#define EVALUATIONS_MAX     1000000
#define INTERESTS_DEFAULT   500
#define INTERESTS_MAX       100000
#define BROAD_MAX           10000

const cyaml_schema_field_t desk_interests_fields[] = {
    OPTIONAL_TEXTS("key-files", struct raw_interests, key_files),
    OPTIONAL_NUMBER("evaluations-per-day", struct raw_interests, evaluations_per_day),
    OPTIONAL_NUMBER("interests-max", struct raw_interests, interests_max),
    OPTIONAL_LIST("broad", struct raw_interests, broad, &yaml_text_schema, BROAD_MAX),
    CYAML_FIELD_END,
};

static int keys_check(const struct desk_config_source *source, const struct raw_interests *raw,
                      struct desk_config *config, struct error *ret_error)
{
    struct desk_config_interests *interests = &config->interests;
    if (raw->key_files_count > KEYS_MAX)
        return config_value_fail(&source->values, config_value_place("interests.key-files"),
                                 ret_error, "%u keys are too many: retire old ones, %d can be kept",
                                 raw->key_files_count, KEYS_MAX);
    if (raw->key_files_count == 0)
        return 0;
    interests->key_files = calloc(raw->key_files_count, sizeof(char *));
    if (interests->key_files == NULL)
        return config_value_out_of_memory(ret_error);
    for (unsigned i = 0; i < raw->key_files_count; i++) {
        int rc =
            config_value_file(&source->values, config_value_place("interests.key-files.%u", i),
                              "the key", raw->key_files[i], &interests->key_files[i], ret_error);
        if (rc < 0)
            return rc;
        interests->key_count++;
    }
    return 0;
}

static int broad_copy(const struct raw_interests *raw, struct desk_config_interests *interests,
                      struct error *ret_error)
{
    if (raw->broad_count == 0)
        return 0;
    interests->broad = calloc(raw->broad_count, sizeof(char *));
    if (interests->broad == NULL)
        return config_value_out_of_memory(ret_error);
    for (unsigned i = 0; i < raw->broad_count; i++) {
        int rc = config_value_copy(raw->broad[i], &interests->broad[i], ret_error);
        if (rc < 0)
            return rc;
        interests->broad_count++;
    }
    return 0;
}

int desk_config_check_interests(const struct desk_config_source *source, struct desk_config *config,
                                struct error *ret_error)
{
    const struct raw_interests nothing = {0};
    const struct raw_interests *raw =
        source->raw->interests != NULL ? source->raw->interests : &nothing;
    struct desk_config_interests *interests = &config->interests;

    int rc = keys_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values,
                                 config_value_place("interests.evaluations-per-day"),
                                 raw->evaluations_per_day, EVALUATIONS_DEFAULT, 1, EVALUATIONS_MAX,
                                 &interests->evaluations_per_day, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("interests.interests-max"),
                                 raw->interests_max, INTERESTS_DEFAULT, 1, INTERESTS_MAX,
                                 &interests->interests_max, ret_error);
    if (rc == 0)
        rc = broad_copy(raw, interests, ret_error);
    return rc;
}

void desk_config_clear_interests(struct desk_config *config)
{
    struct desk_config_interests *interests = &config->interests;
    for (size_t i = 0; i < interests->key_count; i++)
        free(interests->key_files[i]);
    for (size_t i = 0; i < interests->broad_count; i++)
        free(interests->broad[i]);
    free(interests->key_files);
    free(interests->broad);
}
