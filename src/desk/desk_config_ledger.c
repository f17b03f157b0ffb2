/* The section `ledger`: what the public ledger is called, and who signs it. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"

#define WITNESSES_MAX 32 /* a checkpoint has room for twice as many (NOTE_SIGNERS_MAX) */

#define INTERVAL_DEFAULT_MS 200
#define INTERVAL_MIN_MS     10
#define INTERVAL_MAX_MS     60000

const cyaml_schema_field_t desk_ledger_fields[] = {
    OPTIONAL_TEXT("origin", struct raw_ledger, origin),
    OPTIONAL_TEXT("key-file", struct raw_ledger, key_file),
    OPTIONAL_LIST("witnesses", struct raw_ledger, witnesses, &yaml_text_schema, WITNESSES_MAX),
    OPTIONAL_NUMBER("interval", struct raw_ledger, interval),
    CYAML_FIELD_END,
};

/* The ledger's URL without the scheme, as the format asks; known from where the desk is. */
static int origin_check(const struct desk_config_source *source, const struct raw_ledger *raw,
                        struct desk_config *config, struct error *ret_error)
{
    const char *site = strstr(config->http.base, "://");
    if (raw->origin == NULL) {
        if (asprintf(&config->ledger.origin, "%s/ledger", site + 3) < 0) {
            config->ledger.origin = NULL;
            return config_value_out_of_memory(ret_error);
        }
        return 0;
    }
    if (!note_name_valid(raw->origin))
        return config_value_fail(&source->values, config_value_place("ledger.origin"), ret_error,
                                 "\"%s\" cannot name a ledger: write its URL without https://, as "
                                 "desk.example/ledger",
                                 raw->origin);
    return config_value_copy(raw->origin, &config->ledger.origin, ret_error);
}

static int key_check(const struct desk_config_source *source, const struct raw_ledger *raw,
                     struct desk_config *config, struct error *ret_error)
{
    struct desk_config_ledger *ledger = &config->ledger;
    if (raw->key_file != NULL)
        return config_value_file(&source->values, config_value_place("ledger.key-file"),
                                 "the ledger's key", raw->key_file, &ledger->key_file, ret_error);
    ledger->key_is_made = true;
    if (asprintf(&ledger->key_file, "%s/ledger.key", config->state) < 0) {
        ledger->key_file = NULL;
        return config_value_out_of_memory(ret_error);
    }
    return 0;
}

static int witnesses_check(const struct desk_config_source *source, const struct raw_ledger *raw,
                           struct desk_config_ledger *ledger, struct error *ret_error)
{
    struct error problem;
    if (raw->witnesses_count == 0)
        return 0;
    ledger->witnesses = calloc(raw->witnesses_count, sizeof(*ledger->witnesses));
    if (ledger->witnesses == NULL)
        return config_value_out_of_memory(ret_error);
    for (unsigned i = 0; i < raw->witnesses_count; i++) {
        struct note_verifier *witness = &ledger->witnesses[ledger->witness_count];
        if (note_verifier_parse(raw->witnesses[i], witness, &problem) < 0)
            return config_value_fail(&source->values, config_value_place("ledger.witnesses.%u", i),
                                     ret_error, "%s", problem.text);
        if (witness->type != NOTE_KEY_COSIGNATURE)
            return config_value_fail(&source->values, config_value_place("ledger.witnesses.%u", i),
                                     ret_error,
                                     "this is the key of a log: write the one that the witness "
                                     "cosigns with");
        ledger->witness_count++;
    }
    return 0;
}

int desk_config_check_ledger(const struct desk_config_source *source, struct desk_config *config,
                             struct error *ret_error)
{
    const struct raw_ledger nothing = {0};
    const struct raw_ledger *raw = source->raw->ledger != NULL ? source->raw->ledger : &nothing;

    int rc = origin_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = key_check(source, raw, config, ret_error);
    if (rc == 0)
        rc = witnesses_check(source, raw, &config->ledger, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("ledger.interval"),
                                 raw->interval, INTERVAL_DEFAULT_MS, INTERVAL_MIN_MS,
                                 INTERVAL_MAX_MS, &config->ledger.interval_ms, ret_error);
    return rc;
}

void desk_config_clear_ledger(struct desk_config *config)
{
    free(config->ledger.origin);
    free(config->ledger.key_file);
    free(config->ledger.witnesses);
}
