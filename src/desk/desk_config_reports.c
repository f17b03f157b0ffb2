/* The section `reports`: how they come in, how soon they are dealt with, and what of them is kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "desk/desk_config_internal.h"

#define HOURS_MAX 8760
#define DAYS_MAX  3650

/* Large enough for what MTAs let through by default (Exim 50 MiB, Postfix 10 MiB), and held in
 * memory by each of the few that are taken in at a time. */
#define MAIL_DEFAULT_KIB (16 * 1024)
#define MAIL_MAX_KIB     (256 * 1024)

#define EVIDENCE_ITEM_DEFAULT_KIB MAIL_DEFAULT_KIB /* a mail is kept whole */
#define EVIDENCE_DEFAULT_MIB      (20 * 1024)
#define EVIDENCE_MAX_MIB          (16 * 1024 * 1024)
#define EVIDENCE_DEFAULT_DAYS     180

#define DUPLICATE_DEFAULT_HOURS 168
#define PER_ADDRESS_DEFAULT     60
#define ANSWERS_DEFAULT         50
#define COUNT_MAX               1000000
#define CLAIM_DEFAULT_MINUTES   60
#define CLAIM_MAX_MINUTES       (7 * 24 * 60)

#define LMTP_PORT_DEFAULT 2424

static const cyaml_schema_field_t class_fields[] = {
    TEXT("name", struct raw_report_class, name),
    OPTIONAL_NUMBER("decide-hours", struct raw_report_class, decide_hours),
    OPTIONAL_NUMBER("notice-hours", struct raw_report_class, notice_hours),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t class_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct raw_report_class, class_fields),
};

const cyaml_schema_field_t desk_reports_fields[] = {
    OPTIONAL_LIST("classes", struct raw_reports, classes, &class_schema, REPORT_CLASS_COUNT),
    OPTIONAL_TEXT("lmtp", struct raw_reports, lmtp),
    OPTIONAL_NUMBER("mail-kib-max", struct raw_reports, mail_kib_max),
    OPTIONAL_NUMBER("evidence-item-kib-max", struct raw_reports, evidence_item_kib_max),
    OPTIONAL_NUMBER("evidence-mib-max", struct raw_reports, evidence_mib_max),
    OPTIONAL_NUMBER("evidence-days", struct raw_reports, evidence_days),
    OPTIONAL_NUMBER("duplicate-hours", struct raw_reports, duplicate_hours),
    OPTIONAL_NUMBER("per-address-hourly", struct raw_reports, per_address_hourly),
    OPTIONAL_NUMBER("answers-daily", struct raw_reports, answers_daily),
    OPTIONAL_NUMBER("claim-minutes", struct raw_reports, claim_minutes),
    CYAML_FIELD_END,
};

static int class_check(const struct desk_config_source *source, size_t index,
                       const struct raw_report_class *raw, struct desk_config_reports *reports,
                       struct error *ret_error)
{
    const struct report_class *class = report_class_find(raw->name);
    if (class == NULL)
        return config_value_fail(&source->values,
                                 config_value_place("reports.classes.%zu.name", index), ret_error,
                                 "there is no class \"%s\" of reports: write malware-controller, "
                                 "csam, malware, phishing, attack, spam, copyright or other",
                                 raw->name);
    struct config_value_place notice =
        config_value_place("reports.classes.%zu.notice-hours", index);
    if (class->blocks_at_once && raw->notice_hours != NULL && *raw->notice_hours > 0)
        return config_value_fail(&source->values, notice, ret_error,
                                 "%s is blocked together with the notice: leave notice-hours out",
                                 class->name);
    size_t i = report_class_index(class);
    int rc = config_value_number(&source->values,
                                 config_value_place("reports.classes.%zu.decide-hours", index),
                                 raw->decide_hours, class->decide_hours, 1, HOURS_MAX,
                                 &reports->classes[i].decide_hours, ret_error);
    if (rc == 0)
        rc = config_value_number(&source->values, notice, raw->notice_hours, class->notice_hours, 0,
                                 HOURS_MAX, &reports->classes[i].notice_hours, ret_error);
    return rc;
}

static int classes_check(const struct desk_config_source *source, const struct raw_reports *raw,
                         struct desk_config_reports *reports, struct error *ret_error)
{
    for (size_t i = 0; i < REPORT_CLASS_COUNT; i++) {
        reports->classes[i].decide_hours = report_classes[i].decide_hours;
        reports->classes[i].notice_hours = report_classes[i].notice_hours;
    }
    int rc = 0;
    for (size_t i = 0; i < raw->classes_count && rc == 0; i++)
        rc = class_check(source, i, &raw->classes[i], reports, ret_error);
    return rc;
}

static int lmtp_check(const struct desk_config_source *source, const struct raw_reports *raw,
                      struct desk_config_reports *reports, struct error *ret_error)
{
    if (raw->lmtp == NULL)
        return 0;
    reports->lmtp = calloc(1, sizeof(*reports->lmtp));
    if (reports->lmtp == NULL)
        return config_value_out_of_memory(ret_error);
    return config_value_address(&source->values, config_value_place("reports.lmtp"), raw->lmtp,
                                LMTP_PORT_DEFAULT, reports->lmtp, ret_error);
}

static int numbers_check(const struct desk_config_source *source, const struct raw_reports *raw,
                         struct desk_config_reports *reports, struct error *ret_error)
{
    const struct {
        const char *name;
        const unsigned *raw;
        unsigned value_default, value_min, value_max;
        unsigned *ret_value;
    } numbers[] = {
        {"mail-kib-max", raw->mail_kib_max, MAIL_DEFAULT_KIB, 16, MAIL_MAX_KIB,
         &reports->mail_kib_max},
        {"evidence-item-kib-max", raw->evidence_item_kib_max, EVIDENCE_ITEM_DEFAULT_KIB, 1,
         MAIL_MAX_KIB, &reports->evidence_item_kib_max},
        {"evidence-mib-max", raw->evidence_mib_max, EVIDENCE_DEFAULT_MIB, 1, EVIDENCE_MAX_MIB,
         &reports->evidence_mib_max},
        {"evidence-days", raw->evidence_days, EVIDENCE_DEFAULT_DAYS, 1, DAYS_MAX,
         &reports->evidence_days},
        {"duplicate-hours", raw->duplicate_hours, DUPLICATE_DEFAULT_HOURS, 1, HOURS_MAX,
         &reports->duplicate_hours},
        {"per-address-hourly", raw->per_address_hourly, PER_ADDRESS_DEFAULT, 1, COUNT_MAX,
         &reports->per_address_hourly},
        {"answers-daily", raw->answers_daily, ANSWERS_DEFAULT, 1, COUNT_MAX,
         &reports->answers_daily},
        {"claim-minutes", raw->claim_minutes, CLAIM_DEFAULT_MINUTES, 1, CLAIM_MAX_MINUTES,
         &reports->claim_minutes},
    };
    int rc = 0;
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && rc == 0; i++)
        rc = config_value_number(&source->values, config_value_place("reports.%s", numbers[i].name),
                                 numbers[i].raw, numbers[i].value_default, numbers[i].value_min,
                                 numbers[i].value_max, numbers[i].ret_value, ret_error);
    return rc;
}

int desk_config_check_reports(const struct desk_config_source *source, struct desk_config *config,
                              struct error *ret_error)
{
    const struct raw_reports nothing = {0};
    const struct raw_reports *raw = source->raw->reports != NULL ? source->raw->reports : &nothing;

    int rc = classes_check(source, raw, &config->reports, ret_error);
    if (rc == 0)
        rc = lmtp_check(source, raw, &config->reports, ret_error);
    if (rc == 0)
        rc = numbers_check(source, raw, &config->reports, ret_error);
    return rc;
}

void desk_config_clear_reports(struct desk_config *config)
{
    free(config->reports.lmtp);
}
