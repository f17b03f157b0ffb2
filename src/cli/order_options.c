#include "cli/order_options.h"

#include <errno.h>
#include <stdlib.h>

/* More signers than an order can carry. */
#define SIGNATURES_MIN_MAX 64

static int take_signatures(struct order_options *options, const struct command *command)
{
    char *end;
    unsigned long count = strtoul(optarg, &end, 10);

    if (optarg[0] < '0' || optarg[0] > '9' || *end != '\0' || count > SIGNATURES_MIN_MAX)
        return command_usage_error(command, "--signatures expects a number from 0 to %d, not '%s'",
                                   SIGNATURES_MIN_MAX, optarg);
    options->signatures_min = (unsigned)count;
    return EXIT_OK;
}

int order_options_take(struct order_options *options, const struct command *command, int option,
                       char **argv)
{
    switch (option) {
    case OPTION_STRICT:
        options->strict = true;
        return EXIT_OK;
    case OPTION_JSON:
        options->json = true;
        return EXIT_OK;
    case OPTION_KEYRING:
        options->keyring_path = optarg;
        return EXIT_OK;
    case OPTION_SIGNATURES:
        return take_signatures(options, command);
    case ':':
        return command_usage_error(command, "%s needs an argument", argv[optind - 1]);
    default:
        return command_usage_error(command, "no option '%s'", argv[optind - 1]);
    }
}

int order_options_policy(struct order_options *options, struct order_policy *ret_policy,
                         struct error *ret_error)
{
    if (options->keyring_path != NULL) {
        int rc = keyring_load(options->keyring_path, &options->keyring, ret_error);
        if (rc < 0)
            return rc;
    }
    *ret_policy = (struct order_policy){
        .strict = options->strict,
        .signatures_min = options->signatures_min,
        .keyring = options->keyring != NULL ? options->keyring->entries : NULL,
        .keyring_count = options->keyring != NULL ? options->keyring->count : 0,
    };
    return 0;
}

void order_options_clear(struct order_options *options)
{
    keyring_free(options->keyring);
    options->keyring = NULL;
}
