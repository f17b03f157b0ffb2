#include "server/check.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "server/server_internal.h"

struct check {
    json_t *findings; /* NULL: findings are printed at once */
    unsigned errors, warnings;
};

static void tell(struct check *check, bool is_error, const struct error *error)
{
    if (is_error)
        check->errors++;
    else
        check->warnings++;
    if (check->findings != NULL) {
        json_array_append_new(check->findings,
                              json_pack("{s:s, s:s, s:I, s:s}", "severity",
                                        is_error ? "error" : "warning", "file", error->file, "line",
                                        (json_int_t)error->line, "text", error->text));
        return;
    }
    char text[sizeof(error->file) + sizeof(error->text) + 16];
    fprintf(stderr, "tamisd: %s%s\n",
            is_error ? "" : "warning: ", error_format(error, text, sizeof(text)));
}

static void check_zones(struct check *check, const struct config *config)
{
    struct zone_load *loads;
    size_t count;
    if (server_plan_loads(config, &loads, &count) < 0) {
        struct error error;
        error_set(&error, -ENOMEM, "out of memory");
        tell(check, true, &error);
        return;
    }
    zone_loader_run(loads, count, 0);
    for (size_t i = 0; i < count; i++) {
        size_t kept = loads[i].finding_count < LOADER_FINDINGS_MAX ? loads[i].finding_count
                                                                   : LOADER_FINDINGS_MAX;
        for (size_t k = 0; k < kept; k++)
            tell(check, false, &loads[i].findings[k]);
        if (loads[i].data == NULL)
            tell(check, true, &loads[i].error);
        zone_data_free(loads[i].data);
    }
    free(loads);
}

static void check_order(struct check *check, const char *path, const struct order_policy *policy)
{
    _cleanup_(order_freep) struct order *order = NULL;
    struct error error;
    if (order_load(path, policy, &order, &error) < 0) {
        tell(check, true, &error);
        return;
    }
    for (size_t i = 0; i < order->finding_count; i++) {
        char text[700];
        error_set_at(&error, -EINVAL, order->findings[i].file, order->findings[i].line, "%s",
                     order_finding_format(&order->findings[i], text, sizeof(text)));
        tell(check, false, &error);
    }
    if (order->ends <= time(NULL)) {
        error_set_at(&error, -ETIME, path, 0, "order %s has ended", order->id);
        tell(check, false, &error);
    }
}

static void warn(void *context, const struct error *warning)
{
    tell(context, false, warning);
}

static void check_all(struct check *check, const char *config_path)
{
    struct config *config;
    struct error error;
    if (config_load(config_path, &config, &error) < 0) {
        tell(check, true, &error);
        return;
    }
    check_zones(check, config);
    if (server_tls_check(config, warn, check, &error) < 0)
        tell(check, true, &error);

    struct order_keyring_entry *keyring;
    struct order_policy policy;
    if (server_order_policy(config, &keyring, &policy) == 0) {
        for (size_t i = 0; i < config->order_file_count; i++)
            check_order(check, config->order_files[i], &policy);
        free(keyring);
    }
    if (check->findings == NULL && check->errors == 0)
        printf("%s: %zu zones, %zu orders, %u warnings: good\n", config_path, config->zone_count,
               config->order_file_count, check->warnings);
    config_free(config);
}

int server_check(const char *config_path, bool json)
{
    struct check check = {.findings = json ? json_array() : NULL};
    check_all(&check, config_path);
    if (json) {
        json_t *result = json_pack("{s:b, s:I, s:I, s:o}", "good", check.errors == 0, "errors",
                                   (json_int_t)check.errors, "warnings", (json_int_t)check.warnings,
                                   "findings", check.findings);
        json_dumpf(result, stdout, JSON_INDENT(2));
        fputc('\n', stdout);
        json_decref(result);
    }
    return check.errors == 0 ? 0 : 1;
}
