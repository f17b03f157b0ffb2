/* The command lines of `tamis order draft` to `tamis order exempt`. */
#include <getopt.h>

#include "cli/desk_order_internal.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum {
    OPTION_REASON = 0x100,
    OPTION_REFERENCE,
    OPTION_STATE,
    OPTION_SEALED_UNTIL,
    OPTION_DELAY_UNTIL,
    OPTION_REPORT,
    OPTION_DOCUMENT,
    OPTION_CONTACT,
    OPTION_EXEMPT,
};

static int list_take(const struct order_arguments *arguments, const char **list, size_t *count)
{
    if (*count == LIST_MAX)
        return command_usage_error(arguments->command, "takes an option %d times at most",
                                   LIST_MAX);
    list[(*count)++] = optarg;
    return 0;
}

/* Takes one option. 0, or an exit code. */
static int option_take(struct order_arguments *arguments, int option, unsigned takes)
{
    const struct {
        int option;
        unsigned needs;
        const char **value;
    } texts[] = {
        {OPTION_REASON, TAKES_REASON, &arguments->reason},
        {OPTION_REFERENCE, TAKES_REFERENCE, &arguments->reference},
        {OPTION_STATE, TAKES_STATE, &arguments->state},
        {OPTION_SEALED_UNTIL, TAKES_DRAFT, &arguments->sealed_until},
        {OPTION_REPORT, TAKES_DRAFT, &arguments->report},
        {OPTION_DELAY_UNTIL, TAKES_DELAY, &arguments->delay_until},
        {OPTION_DOCUMENT, TAKES_CHANGE, &arguments->document},
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].option == option && (takes & texts[i].needs) != 0) {
            *texts[i].value = optarg;
            return 0;
        }
    if (option == OPTION_CONTACT && (takes & TAKES_DRAFT) != 0)
        return list_take(arguments, arguments->contacts, &arguments->contact_count);
    if (option == OPTION_EXEMPT && (takes & TAKES_CHANGE) != 0)
        return list_take(arguments, arguments->exempt, &arguments->exempt_count);
    return command_usage_error(arguments->command, "takes no such option");
}

static int words_take(struct order_arguments *arguments, int argc, char **argv, unsigned takes)
{
    int count = argc - optind;

    if (count > ((takes & NEEDS_WORD) != 0))
        return command_usage_error(arguments->command, "too many words");
    if (count < ((takes & NEEDS_WORD) != 0))
        return command_usage_error(arguments->command, "something is missing");
    arguments->word = count > 0 ? argv[optind] : NULL;
    if ((takes & NEEDS_REASON) == NEEDS_REASON && arguments->reason == NULL)
        return command_usage_error(arguments->command, "give a --reason");
    if ((takes & TAKES_CHANGE) != 0 && arguments->document == NULL && arguments->exempt_count == 0)
        return command_usage_error(arguments->command, "give --exempt NAME or --document FILE");
    return 0;
}

static int arguments_read(struct order_arguments *arguments, int argc, char **argv, unsigned takes)
{
    static const struct option table[] = {
        DESK_OPTIONS,
        {"reason", required_argument, NULL, OPTION_REASON},
        {"reference", required_argument, NULL, OPTION_REFERENCE},
        {"state", required_argument, NULL, OPTION_STATE},
        {"sealed-until", required_argument, NULL, OPTION_SEALED_UNTIL},
        {"delay-until", required_argument, NULL, OPTION_DELAY_UNTIL},
        {"report", required_argument, NULL, OPTION_REPORT},
        {"document", required_argument, NULL, OPTION_DOCUMENT},
        {"contact", required_argument, NULL, OPTION_CONTACT},
        {"exempt", required_argument, NULL, OPTION_EXEMPT},
        {0},
    };
    int option;

    while ((option = desk_option_next(arguments->command, table, &arguments->desk, argc, argv)) >=
           0) {
        int exit_code = option_take(arguments, option, takes);
        if (exit_code != 0)
            return exit_code;
    }
    if (option == DESK_OPTION_WRONG)
        return EXIT_USAGE;
    return words_take(arguments, argc, argv, takes);
}

int order_run(const struct command *command, int argc, char **argv, unsigned takes,
              order_work_fn *work)
{
    _cleanup_(desk_client_closep) struct desk_client *client = NULL;
    struct order_arguments arguments = {.command = command};
    struct error error = {0};

    int exit_code = arguments_read(&arguments, argc, argv, takes);
    if (exit_code != 0)
        return exit_code;
    int rc = desk_client_open(&arguments.desk, &client, &error);
    if (rc == 0)
        rc = work(client, &arguments, &error);
    if (rc < 0) {
        error_print(stderr, "tamis", &error);
        return EXIT_FINDING;
    }
    return EXIT_OK;
}
