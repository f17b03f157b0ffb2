/* `tamis`: finds the command and runs it. A new command is one line in the table. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "cli/command.h"

/* One command a line. */
/* clang-format off */
static const struct command *const commands[] = {
    &command_zone_check,
    &command_zone_dump,
    &command_zone_diff,
    &command_zone_import,
    &command_zone_history,
    &command_zone_restore,
    &command_order_check,
    &command_order_compile,
    &command_order_rehearse,
    &command_order_sign,
    &command_order_draft,
    &command_order_rehearsal,
    &command_order_list,
    &command_order_show,
    &command_order_notify,
    &command_order_approve,
    &command_order_activate,
    &command_order_amend,
    &command_order_lift,
    &command_order_servers,
    &command_order_exempt,
    &command_key_generate,
    &command_ctl,
    &command_prove,
    &command_sink_rules,
    &command_takeover_plan,
    &command_takeover_copy,
    &command_takeover_shadow,
    &command_takeover_gate,
    &command_takeover_canary,
    &command_takeover_go,
    &command_takeover_abort,
    &command_takeover_return,
    &command_takeover_status,
    &command_sink_check_rules,
    &command_sink_live,
    &command_sink_top,
    &command_sink_series,
    &command_sink_report,
    &command_account_create,
    &command_account_reset,
    &command_account_confirm,
    &command_account_login,
    &command_account_show,
    &command_account_list,
    &command_account_suspend,
    &command_account_reinstate,
    &command_account_role,
    &command_account_plan,
    &command_account_export,
    &command_account_delete,
    &command_account_token_list,
    &command_account_token_create,
    &command_account_token_delete,
    &command_host_list,
    &command_host_show,
    &command_host_create,
    &command_host_set,
    &command_host_delete,
    &command_host_key,
    &command_host_txt,
    &command_host_import,
    &command_report_submit,
    &command_report_list,
    &command_report_show,
    &command_report_queue,
    &command_report_claim,
    &command_report_decide,
    &command_report_figures,
    &command_appeal_submit,
    &command_appeal_prove,
    &command_appeal_list,
    &command_appeal_show,
    &command_appeal_decide,
    &command_interest_place,
    &command_interest_list,
    &command_interest_withdraw,
    &command_overlap_list,
    &command_overlap_show,
    &command_overlap_say,
    &command_overlap_override,
    &command_ledger_key,
    &command_ledger_verify,
    &command_ledger_list,
    &command_ledger_show,
};
/* clang-format on */

#define COMMAND_COUNT (sizeof(commands) / sizeof(commands[0]))

/* Longest path of a command, for what the user typed instead. */
#define PATH_SIZE_MAX 64

static void print_command_list(FILE *stream, const char *group)
{
    size_t group_size = strlen(group);

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strncmp(commands[i]->path, group, group_size) == 0)
            fprintf(stream, "  %-20s  %s\n", commands[i]->path, commands[i]->summary);
}

static void print_help(FILE *stream, const char *group)
{
    fprintf(stream, "Usage: tamis COMMAND [OPTION]... [ARGUMENT]...\n\nCommands:\n");
    print_command_list(stream, group);
    fprintf(stream, "\n"
                    "tamis COMMAND --help tells all about a command.\n"
                    "Exit codes: 0 success, 1 a finding, 2 wrong use.\n"
                    "Example: tamis order check nv-2014-00987.yaml\n");
}

/* The arguments that `path` takes up at the start of argv, 0 when they are other words. */
static int match(const char *path, int argc, char **argv)
{
    int words = 0;

    while (words < argc) {
        size_t size = strlen(argv[words]);
        if (strncmp(path, argv[words], size) != 0)
            return 0;
        words++;
        if (path[size] == '\0')
            return words;
        if (path[size] != ' ')
            return 0;
        path += size + 1;
    }
    return 0;
}

/* Whether `word` is the first word of a command of two. */
static bool is_group(const char *word)
{
    size_t size = strlen(word);

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        if (strncmp(commands[i]->path, word, size) == 0 && commands[i]->path[size] == ' ')
            return true;
    return false;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

/* Text that cannot be written, to a full disk for example, is no success. */
static int finish_output(int code)
{
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "tamis: the output cannot be written: is the disk full?\n");
        return EXIT_FINDING;
    }
    return code;
}

static int run(const struct command *command, int words, int argc, char **argv)
{
    char path[PATH_SIZE_MAX];

    if (asks_for_help(argc - words + 1, argv + words - 1)) {
        fputs(command->help, stdout);
        return EXIT_OK;
    }
    snprintf(path, sizeof(path), "%s", command->path);
    argv[words - 1] = path;
    return command->run(argc - words + 1, argv + words - 1);
}

/* What was meant: the command nearest to the first two words, or to the first. */
static int unknown_command(int argc, char **argv)
{
    const char *paths[COMMAND_COUNT];
    char typed[PATH_SIZE_MAX];

    for (size_t i = 0; i < COMMAND_COUNT; i++)
        paths[i] = commands[i]->path;
    bool two = argc > 1 && argv[1][0] != '-';
    snprintf(typed, sizeof(typed), "%s%s%s", argv[0], two ? " " : "", two ? argv[1] : "");
    const char *nearest = nearest_word(typed, paths, COMMAND_COUNT);
    if (nearest == NULL)
        nearest = nearest_word(argv[0], paths, COMMAND_COUNT);
    if (nearest != NULL)
        fprintf(stderr, "tamis: no command '%s'; did you mean 'tamis %s'?\n", typed, nearest);
    else
        fprintf(stderr, "tamis: no command '%s'; see tamis --help\n", typed);
    return EXIT_USAGE;
}

static int dispatch(int argc, char **argv)
{
    if (argc == 0) {
        print_help(stderr, "");
        return EXIT_USAGE;
    }
    if (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0 ||
        strcmp(argv[0], "help") == 0) {
        print_help(stdout, "");
        return EXIT_OK;
    }
    if (strcmp(argv[0], "--version") == 0) {
        puts("tamis " TAMIS_VERSION);
        return EXIT_OK;
    }
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        int words = match(commands[i]->path, argc, argv);
        if (words > 0)
            return run(commands[i], words, argc, argv);
    }
    if (is_group(argv[0]) && (argc == 1 || asks_for_help(argc, argv))) {
        print_help(argc == 1 ? stderr : stdout, argv[0]);
        return argc == 1 ? EXIT_USAGE : EXIT_OK;
    }
    return unknown_command(argc, argv);
}

int main(int argc, char **argv)
{
    return finish_output(dispatch(argc - 1, argv + 1));
}
