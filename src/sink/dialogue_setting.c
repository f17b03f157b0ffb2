#include "sink/dialogue_setting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int setting_fill(struct dialogue_setting *setting, const struct dialogue_options *options,
                        struct error *ret_error)
{
    const struct tls_files files = {.certificate = options->certificate, .key = options->key};

    if ((files.certificate == NULL) != (files.key == NULL))
        return error_set_at(ret_error, -EINVAL,
                            files.certificate != NULL ? files.certificate : files.key, 0,
                            "a certificate and its key go together: give both, or neither, and one "
                            "is made at each start");
    setting->operator_name = strdup(options->operator_name != NULL ? options->operator_name : "");
    setting->contact = strdup(options->contact);
    if (setting->operator_name == NULL || setting->contact == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    setting->octets_max = options->octets_max;
    return dialogue_tls_setting_init(&setting->tls, &files, ret_error);
}

int dialogue_setting_create(const struct dialogue_options *options, dialogue_order_fn *order,
                            void *context, struct dialogue_setting **ret_setting,
                            struct error *ret_error)
{
    struct dialogue_setting *setting = calloc(1, sizeof(*setting));
    if (setting == NULL)
        return error_set(ret_error, -ENOMEM, "out of memory");
    setting->order = order;
    setting->context = context;
    int rc = setting_fill(setting, options, ret_error);
    if (rc < 0) {
        dialogue_setting_free(setting);
        return rc;
    }
    *ret_setting = setting;
    return 0;
}

void dialogue_setting_free(struct dialogue_setting *setting)
{
    if (setting == NULL)
        return;
    dialogue_tls_setting_clear(&setting->tls);
    free(setting->operator_name);
    free(setting->contact);
    free(setting);
}
