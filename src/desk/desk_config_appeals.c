/* The section `appeals`: how long proofs and decisions may take, and whom the desk asks about a
 * name that its own servers may answer otherwise. */
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"

#define DNS_PORT 53

#define PROVE_DEFAULT_HOURS  168
#define DECIDE_DEFAULT_HOURS 72
#define HOURS_MAX            8760
#define PER_ADDRESS_DEFAULT  20
#define PER_ADDRESS_MAX      100000

const cyaml_schema_field_t desk_appeals_fields[] = {
    OPTIONAL_TEXT("resolver", struct raw_appeals, resolver),
    OPTIONAL_NUMBER("prove-hours", struct raw_appeals, prove_hours),
    OPTIONAL_NUMBER("decide-hours", struct raw_appeals, decide_hours),
    OPTIONAL_NUMBER("per-address-hourly", struct raw_appeals, per_address_hourly),
    CYAML_FIELD_END,
};

int desk_config_check_appeals(const struct desk_config_source *source, struct desk_config *config,
                              struct error *ret_error)
{
    const struct raw_appeals nothing = {0};
    const struct raw_appeals *raw = source->raw->appeals != NULL ? source->raw->appeals : &nothing;
    struct desk_config_appeals *appeals = &config->appeals;

    int rc = config_value_number(&source->values, config_value_place("appeals.prove-hours"),
                                 raw->prove_hours, PROVE_DEFAULT_HOURS, 1, HOURS_MAX,
                                 &appeals->prove_hours, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("appeals.decide-hours"),
                                 raw->decide_hours, DECIDE_DEFAULT_HOURS, 1, HOURS_MAX,
                                 &appeals->decide_hours, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, config_value_place("appeals.per-address-hourly"),
                                 raw->per_address_hourly, PER_ADDRESS_DEFAULT, 1, PER_ADDRESS_MAX,
                                 &appeals->per_address_hourly, ret_error);
    if (rc < 0 || raw->resolver == NULL)
        return rc;
    appeals->resolver = calloc(1, sizeof(*appeals->resolver));
    if (appeals->resolver == NULL)
        return config_value_out_of_memory(ret_error);
    return config_value_address(&source->values, config_value_place("appeals.resolver"),
                                raw->resolver, DNS_PORT, appeals->resolver, ret_error);
}

void desk_config_clear_appeals(struct desk_config *config)
{
    free(config->appeals.resolver);
}
