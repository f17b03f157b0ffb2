/* What every command that speaks to a desk reads of its command line. */
#include <string.h>

#include "cli/command.h"
#include "cli/desk_client.h"

/* Whether the option was one of the common ones; then it is noted. */
static bool option_take(struct desk_options *options, int option, const char *argument)
{
    switch (option) {
    case DESK_OPTION_URL:
        options->url = argument;
        return true;
    case DESK_OPTION_TOKEN_FILE:
        options->token_file = argument;
        return true;
    case DESK_OPTION_JSON:
        options->json = true;
        return true;
    default:
        return false;
    }
}

int desk_option_next(const struct command *command, const struct option *table,
                     struct desk_options *options, int argc, char **argv)
{
    int option;

    opterr = 0;
    do
        option = getopt_long(argc, argv, ":", table, NULL);
    while (option != -1 && option_take(options, option, optarg));
    if (option != ':' && option != '?')
        return option;
    (void)command_usage_error(command, option == ':' ? "%s needs an argument" : "no option '%s'",
                              argv[optind - 1]);
    return DESK_OPTION_WRONG;
}

void desk_options_pick(const struct option *all, size_t count, const int *takes,
                       struct option *ret_table)
{
    static const struct option common[] = {DESK_OPTIONS};
    size_t used = DESK_OPTION_COUNT;
    memcpy(ret_table, common, sizeof(common));
    for (; *takes != 0; takes++)
        for (size_t i = 0; i < count; i++)
            if (all[i].val == *takes)
                ret_table[used++] = all[i];
    ret_table[used] = (struct option){0};
}
