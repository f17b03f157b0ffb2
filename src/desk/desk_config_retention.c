/* The section `retention`: for how many days what is kept (retention.c). */
#include "desk/desk_config_internal.h"

#define DAYS_MAX 36500

#define UNCONFIRMED_DEFAULT     14
#define EXPIRED_TOKENS_DEFAULT  30
#define FAILED_OUTBOX_DEFAULT   30
#define AUDIT_ADDRESSES_DEFAULT 90
#define AUDIT_DEFAULT           3650

const cyaml_schema_field_t desk_retention_fields[] = {
    OPTIONAL_NUMBER("unconfirmed-days", struct raw_retention, unconfirmed_days),
    OPTIONAL_NUMBER("expired-tokens-days", struct raw_retention, expired_tokens_days),
    OPTIONAL_NUMBER("failed-outbox-days", struct raw_retention, failed_outbox_days),
    OPTIONAL_NUMBER("audit-addresses-days", struct raw_retention, audit_addresses_days),
    OPTIONAL_NUMBER("audit-days", struct raw_retention, audit_days),
    CYAML_FIELD_END,
};

int desk_config_check_retention(const struct desk_config_source *source, struct desk_config *config,
                                struct error *ret_error)
{
    const struct raw_retention nothing = {0};
    const struct raw_retention *raw =
        source->raw->retention != NULL ? source->raw->retention : &nothing;
    struct desk_config_retention *retention = &config->retention;
    const struct {
        const char *place;
        const unsigned *raw;
        unsigned value_default;
        unsigned *ret_value;
    } numbers[] = {
        {"retention.unconfirmed-days", raw->unconfirmed_days, UNCONFIRMED_DEFAULT,
         &retention->unconfirmed_days},
        {"retention.expired-tokens-days", raw->expired_tokens_days, EXPIRED_TOKENS_DEFAULT,
         &retention->expired_tokens_days},
        {"retention.failed-outbox-days", raw->failed_outbox_days, FAILED_OUTBOX_DEFAULT,
         &retention->failed_outbox_days},
        {"retention.audit-addresses-days", raw->audit_addresses_days, AUDIT_ADDRESSES_DEFAULT,
         &retention->audit_addresses_days},
        {"retention.audit-days", raw->audit_days, AUDIT_DEFAULT, &retention->audit_days},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == 0; i++)
        rc = config_value_number(&source->values, config_value_place("%s", numbers[i].place),
                                 numbers[i].raw, numbers[i].value_default, 0, DAYS_MAX,
                                 numbers[i].ret_value, ret_error);
    return rc;
}

void desk_config_clear_retention(struct desk_config *config)
{
    (void)config; /* numbers */
}
